from __future__ import annotations

import os
from pathlib import Path

import pytest
from sqlalchemy import make_url

from coref_k8s.errors import RequestError
from coref_k8s.settings import Settings, checked_url, masked_url


def test_everything_has_a_default_below_the_working_directory(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings.from_env({})
    assert settings.data_dir == tmp_path / "data"
    assert settings.storage_url == f"sqlite:///{tmp_path}/data/coref.db"
    assert settings.bus == tmp_path / "data" / "coref_automl_bus.ndjson"
    assert (settings.order, settings.hf_token, settings.metrics_port) == (None, None, None)


def test_files_win_over_values_and_arguments_over_both(tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text("postgresql://u:p@db/x\n")
    env = {"COREF_STORAGE_URL_FILE": str(secret), "COREF_STORAGE_URL": "sqlite:///other.db", "COREF_BUS": "-"}
    settings = Settings.from_env(env)
    assert settings.storage_url == "postgresql+psycopg2://u:p@db/x"
    assert settings.bus is None
    given = Settings.from_env(env, data_dir=tmp_path, storage_url="sqlite:///mine.db")
    assert given.storage_url == "sqlite:///mine.db"
    assert "p@db" not in repr(settings)


def test_a_child_gets_the_same_settings(tmp_path: Path) -> None:
    settings = Settings.from_env({"COREF_DATA_DIR": str(tmp_path), "HF_TOKEN": "t", "COREF_BUS": "-"})
    assert Settings.from_env(settings.environment()) == settings


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"COREF_ORDER_FILE": "/nowhere/order"}, "COREF_ORDER_FILE names /nowhere/order"),
        ({"COREF_METRICS_PORT": "http"}, "COREF_METRICS_PORT is 'http'"),
        ({"COREF_STORAGE_URL": "mysql://root:hidden@db/x"}, r"mysql://root:\*\*\*@db/x"),
        ({"COREF_STORAGE_URL": "coref.db"}, "is not a database that this project knows"),
        ({"COREF_STORAGE_URL": "postgresql://u:hidden@h:abc/d"}, r"the port in storage .*u:\*\*\*@h:abc/d"),
        ({"COREF_STORAGE_URL": "postgresql://u:hidden@h:99999/d"}, "is not a number from 1 to 65535"),
        ({"COREF_STORAGE_URL": "postgres://u:hidden@h:tcp://10.0.0.1:5432/d"}, "the port in storage"),
        (
            {"COREF_STORAGE_URL": "postgresql://u:hidden@[::1/d"},
            "the port in storage|cannot be read as a database URL",
        ),
    ],
)
def test_bad_values_are_one_sentence(env: dict[str, str], words: str) -> None:
    with pytest.raises(RequestError, match=words) as error:
        Settings.from_env(env)
    assert "hidden" not in str(error.value)


def test_urls_are_completed_and_masked() -> None:
    assert checked_url("postgres://u:p@h/d") == "postgresql+psycopg2://u:p@h/d"
    assert masked_url("postgresql+psycopg2://u:p:@/x@h:5/d") == "postgresql+psycopg2://u:***@h:5/d"
    assert masked_url("postgresql://h/d?user=u&password=p&x=1") == "postgresql://h/d?user=u&password=***&x=1"
    assert masked_url("sqlite:////tmp/a:b@c.db") == "sqlite:////tmp/a:b@c.db"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:hidden too@h/d",
        "postgresql://u:hidden@ too@h/d",
        "postgresql://u@company:hidden@h/d",
        "postgresql:/u:hidden@h/d",
        "jdbc:postgresql://u:hidden@h/d",
        "'postgresql://u:hidden@h/d'",
        "host=h password='hidden too' user=u",
        "no answer from postgresql://u@company:hidden@h/d (timeout)",
    ],
)
def test_no_spelling_of_a_url_shows_its_password(url: str) -> None:
    assert "hidden" not in masked_url(url)
    assert "too" not in masked_url(url)
    assert "h" in masked_url(url).split("***")[1] or "host=h" in masked_url(url)


def test_a_database_lies_where_its_url_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert checked_url("sqlite:///~/study.db") == "sqlite:////home/someone/study.db"
    with pytest.raises(RequestError, match=r"sqlite:///path/to/file\.db"):
        checked_url("sqlite://study.db")  # SQLAlchemy takes the file for a host


def test_a_folder_whose_name_is_no_utf8_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"caf\\udce9' has a name that is no UTF-8"):
        Settings.from_env({}, data_dir=os.fsdecode(bytes(tmp_path) + b"/caf\xe9"))


@pytest.mark.parametrize(
    "name", ["내 자료", "50%", "50%20", "#1", "what?", "a@b:c", "it's", "a&b=c;d", "[x]"]
)
def test_the_database_lies_in_the_folder_whatever_its_name(tmp_path: Path, name: str) -> None:
    settings = Settings.from_env({}, data_dir=tmp_path / name)
    assert make_url(settings.storage_url).database == str(tmp_path / name / "coref.db")
    assert Settings.from_env(settings.environment()) == settings


def test_without_a_home_a_tilde_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # as for a user id without a line in passwd
    with pytest.raises(RequestError, match="~/data: this user has no home folder"):
        Settings.from_env({"COREF_DATA_DIR": "~/data"})
    assert Settings.from_env({"COREF_DATA_DIR": "data"}).data_dir.is_absolute()
