"""A study starts from the result of another: the model's folder is found by its name."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from coref_k8s.client.models import started
from coref_k8s.errors import NotFoundError, RequestError
from coref_k8s.study.reading import build_spec
from tests.report.sample import study as sample
from tests.report.sample import with_finalists

SEARCHED, CONFIRMED = sample(trials=12), with_finalists(sample(trials=12))


def model_of(named: str, view: Any = SEARCHED) -> str:
    def get(name: str) -> Any:
        if name != view.name:
            raise NotFoundError("client.no-database", study=name, file="coref.db")
        return view

    return started(build_spec(model=named), SimpleNamespace(get=get, root="/data/")).model


def test_the_best_of_a_length_and_a_trial_have_their_folders() -> None:
    best = SEARCHED.only(1024).lengths[0].best
    assert best is not None
    assert model_of("korean-long/1024") == f"/data/studies/korean-long/1024/{best.number}/model"
    assert model_of("korean-long/2048/3") == "/data/studies/korean-long/2048/3/model"
    assert (
        model_of("korean-long/2048/finalist-4", CONFIRMED)
        == "/data/studies/korean-long/2048/finalist-4/model"
    )
    confirmed = model_of("korean-long/1024", CONFIRMED)
    assert confirmed == "/data/studies/korean-long/1024/finalist-2/model"


def test_hub_ids_and_folders_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("klue/bert-base", "kakaobank/kf-deberta-base", "./korean-long/1024", "/models/7"):
        assert model_of(name) == name
    folder = tmp_path / "korean-long/1024"
    folder.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert model_of("korean-long/1024").startswith("/data/studies/"), "a folder without a model is none"
    (folder / "config.json").write_text("{}")
    assert model_of("korean-long/1024") == "korean-long/1024"


def test_a_trials_folder_means_its_model(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/config.json").write_text("{}")
    assert model_of(str(tmp_path)) == str(tmp_path / "model")


def test_what_is_not_there_is_said() -> None:
    with pytest.raises(RequestError, match="1000"):
        model_of("korean-long/1000")
    with pytest.raises(NotFoundError, match="trial 99"):
        model_of("korean-long/1024/99")
    with pytest.raises(NotFoundError, match="others"):
        model_of("others/1024")
