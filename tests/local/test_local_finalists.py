"""Finalists of whole studies on this machine: real processes, a real database, the real verdict; only training is left out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from coref_k8s.controller.view import StudyView, read_view
from coref_k8s.local.session import LocalSession
from coref_k8s.report.claims import sentences
from coref_k8s.search.finalist_study import read_runs
from coref_k8s.search.finalists import fresh_seeds
from coref_k8s.search.records import TrialState
from coref_k8s.search.storage import open_storage
from coref_k8s.store import Outcome, Phase
from coref_k8s.study.names import Kind
from tests.local.run_study import session
from tests.local.test_local_study import HERE, history, put, spec


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalSession:
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    return session(tmp_path)


def finals(**changes):
    search = {
        "sampler": "random",
        "pruner": "none",
        "defaults_first": False,
        "finalists": 1,
        "finalist_seeds": 2,
    }
    return spec(search={**search, **changes.pop("search", {})}, **changes)


def view(local: LocalSession) -> StudyView:
    return read_view(local.store, "", "demo")


def test_from_submit_to_a_verdict_and_on_to_a_second_one(local: LocalSession) -> None:
    local.submit("demo", finals())
    result = local.run("demo")
    assert (result.study.phase, str(result.study.message)) == (Phase.SUCCEEDED, "")
    (length,) = view(local).lengths
    assert [(r.attrs["role"], r.attrs["of_trial"], r.state) for r in length.runs] == [
        ("untuned", None, TrialState.COMPLETE),
        *[("trial", length.ranked[0].number, TrialState.COMPLETE), ("defaults", None, TrialState.COMPLETE)] * 2,
    ]  # fmt: skip
    assert {r.attrs["seed"] for r in length.runs} == set(fresh_seeds(finals(), 512))
    verdict = length.verdict
    assert verdict.winner == length.best.number == result.progress.lengths[0].winner.number
    assert verdict.against("untuned").score.claim == "better"
    assert verdict.against("defaults").score.claim == "no difference shown"
    told = sentences(verdict)
    assert told[0].startswith(f"trial {verdict.winner} wins: ")
    assert "better than the untuned model on test: +0." in told[1]
    assert "no difference shown to the defaults on test" in told[2]
    assert "튜닝 전 모델보다 나음" in sentences(verdict, "ko")[1]
    attempts = local.store.attempts("", "demo")
    assert [a.outcome for a in attempts if a.kind in (Kind.FINALIST, Kind.VERDICT)] == [Outcome.SUCCEEDED] * 6
    events = [json.loads(line) for line in local.settings.bus.read_text().splitlines()]
    assert [e["winner"] for e in events if e["section"] == "verdict"] == [verdict.winner]

    # more trials: a better one takes the place, and what was run before is not run again
    before = [line for line in history(local) if "finalist" in line and "result" in line]
    local.store.update_spec("", "demo", finals(trials=12))
    result = local.run("demo", resume=True)
    assert result.study.phase is Phase.SUCCEEDED
    (length,) = view(local).lengths
    assert length.best.number > 1, "of twelve draws one is better than the first two"
    assert length.verdict.winner == length.best.number
    assert len(length.verdict.candidates) == 2
    after = [line for line in history(local) if "finalist" in line and "result" in line]
    assert len(after) == len(before) + 2
    assert len(set(after)) == len(after)

    local.delete("demo")
    assert read_runs(open_storage(local.settings.storage_url), "demo", 512) == []


def test_failed_finalists_cost_only_themselves(local: LocalSession) -> None:
    for number in (1, 3):
        put(local, f"crash-finalist-512-{number}", 42)
    local.submit("demo", finals(limits={"retries": 0, "max_failed_trials": 0}))
    result = local.run("demo")
    assert (result.study.phase, str(result.study.message)) == (
        Phase.SUCCEEDED,
        "every finalist of length 512 failed, so its best single run stands",
    )
    (length,) = view(local).lengths
    assert length.verdict is None
    assert length.best is length.ranked[0]
    assert "told to fail" in str(length.runs[1].reason)
