"""A study as a file: out of one database, into another, and on from there."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from coref_k8s.cli.main import run
from coref_k8s.controller.portable import from_file, to_file
from coref_k8s.controller.view import read_view
from coref_k8s.errors import StorageError
from coref_k8s.search.records import TrialState
from coref_k8s.search.reporting import TrialReporter
from coref_k8s.search.storage import open_storage
from coref_k8s.search.studies import LengthStudy
from coref_k8s.search.trials import read_trials
from coref_k8s.settings import Settings
from coref_k8s.store import Phase, Store
from coref_k8s.wording import Message
from tests.postgres import new_database, postgres_server

__all__ = ["new_database", "postgres_server"]


def exported(name: str = "sample") -> Path:
    assert run(["export", name]) == 0
    return Path(f"{name}.study")


def view_of(url: str, name: str, namespace: str = ""):
    store = Store(url)
    try:
        return read_view(store, namespace, name)
    finally:
        store.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_study_is_the_same_in_another_database(study: str, new_database, kind: str) -> None:
    here = Settings.from_env().storage_url
    # what JSON has no word for: the score of a trial that has gone astray
    store = Store(here)
    trials = LengthStudy(open_storage(here), store.get_study("", study).spec, study, 1024)
    astray = TrialReporter(here, trials.ask().trial_id)
    astray.report(1, float("-inf"), {})
    astray.pruned(Message.verbatim("diverged"))
    store.close()
    there = new_database(kind)
    file = exported()
    assert run(["import", str(file), "--storage", there, "--for-namespace", "coref"]) == 0
    before, after = view_of(here, study), view_of(there, study, "coref")
    same = replace(
        after, namespace="", trials=[replace(t, trial_id=0) for t in after.trials], prepared=before.prepared
    )
    assert same == replace(before, trials=[replace(t, trial_id=0) for t in before.trials])
    assert any(t.intermediate == {1: -math.inf} for t in after.trials)
    # what Optuna itself needs: new trials can be asked for
    grown = LengthStudy(open_storage(there), after.spec, study, 512, "coref")
    assert grown.ask().number == len([t for t in before.trials if t.seq_len == 512])


def test_an_imported_study_goes_on_under_its_new_name(study: str, capsys: pytest.CaptureFixture[str]) -> None:
    here = Settings.from_env().storage_url
    store = Store(here)
    store.set_phase("", study, Phase.SUCCEEDED)
    file = str(exported())
    capsys.readouterr()
    assert run(["import", file, "--name", "copy", "--data-dir", "other"]) == 0
    assert "coref-k8s results copy --data-dir" in capsys.readouterr().err
    assert run(["import", file, "--name", "copy"]) == 0
    assert [a.job_name for a in store.attempts("", "copy")] == ["copy-512-2-1"]
    assert run(["resume", "copy"]) == 2
    assert run(["extend", "copy", "--trials", "+2"]) == 0
    record = store.get_study("", "copy")
    assert (record.phase, record.spec.trials, store.get_study("", study).spec.trials) == (Phase.PENDING, 5, 3)
    store.close()


def test_what_is_not_whole_is_refused_and_leaves_nothing(
    study: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = exported().read_bytes()
    head, _, body = good.partition(b"\n")
    newer = json.dumps({**json.loads(head), "version": 99}).encode() + b"\n" + body
    bad = Path("bad.study")
    url = f"sqlite:///{tmp_path}/other/coref.db"
    for data, words in (
        (b"", "is not an exported study"),
        (b"PK\x03\x04 something else", "is not an exported study"),
        (good[:-200], "of the"),
        (good.replace(b'"learning_rate"', b'"Learning_rate"', 1), "checksum"),
        (newer, "version 99"),
    ):
        bad.write_bytes(data)
        capsys.readouterr()
        assert run(["import", str(bad), "--storage", url]) == 1
        error = capsys.readouterr().err
        assert words in error
        assert error.count("\n") == 1
    assert not Path(tmp_path, "other").exists()


def test_a_name_that_is_taken_and_a_failure_half_way_leave_what_was(
    study: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Settings.from_env().storage_url
    before = view_of(here, study)
    file = exported()
    assert run(["import", str(file)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert view_of(here, study) == before

    def fails(*_arguments, **_more) -> None:
        raise StorageError("the database is away")

    monkeypatch.setattr(Store, "restore_study", fails)
    assert run(["import", str(file), "--name", "copy"]) == 1
    assert read_trials(open_storage(here), "copy", 512) == []
    assert [s.name for s in Store(here).list_studies("")] == [study]


def test_trials_that_do_not_fit_together_are_refused(study: str) -> None:
    view = view_of(Settings.from_env().storage_url, study)
    first = view.trials[0]
    for trials, words in (
        (view.trials[1:], "without a gap"),
        ([replace(first, state=TrialState.COMPLETE, value=None), *view.trials[1:]], "no score"),
    ):
        with pytest.raises(Exception, match=words):
            from_file(to_file(replace(view, trials=trials)), "x")
    data = to_file(view)
    assert hashlib.sha256(data.partition(b"\n")[2].removesuffix(b"\n")).hexdigest() in data.decode()
