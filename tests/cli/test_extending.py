"""`extend`: what a study that has ended, or still runs, can be given."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from coref_k8s.controller.view import StudyView
from coref_k8s.search.storage import open_storage
from coref_k8s.search.studies import LengthStudy
from coref_k8s.settings import Settings
from coref_k8s.store import AttemptRecord, Outcome, Phase, Store
from coref_k8s.study.names import Kind
from coref_k8s.study.reading import build_spec
from tests.cli.conftest import play
from tests.cli.test_life_of_a_study import SUBMIT, place

__all__ = ["place"]


def view(coref: Any, name: str = "one") -> StudyView:
    return StudyView.from_json(coref("status", name, "-o", "json").out)


def test_a_finished_study_takes_finalists_and_more_of_them(coref: Any, place: Path) -> None:
    assert coref(*SUBMIT).code == 0
    before = view(coref)
    answer = coref("extend", "one", "--finalists", "1", "--finalist-seeds", "1")
    assert answer.code == 0, answer.err
    assert "study one: finalists 0 → 1, finalistSeeds 3 → 1" in answer.out
    assert "coref-k8s resume one goes on with it" in answer.err
    gone_on = coref("resume", "one")
    assert gone_on.code == 0, gone_on.err
    assert f"trial {before.lengths[0].best.number} wins" in gone_on.out
    found = view(coref)
    assert found.trials == before.trials, "nothing that was finished is run again"
    assert [run.attrs["role"] for run in found.runs] == ["untuned", "trial", "defaults"]
    # a second seed keeps what the first has shown
    assert coref("extend", "one", "--finalist-seeds", "2").code == 0
    assert coref("resume", "one").code == 0
    more = view(coref)
    assert more.runs[:3] == found.runs
    (candidate,) = more.verdicts[0].candidates
    assert (len(more.runs), len(candidate.scores), candidate.asked) == (5, 2, 2)


def test_a_study_that_ran_out_of_patience_goes_on_with_more_of_it(coref: Any, place: Path) -> None:
    submit = list(SUBMIT)
    submit[submit.index("--trials") + 1] = "9"
    assert coref(*submit, "--patience", "1", "--set", "search.startupTrials=1").code == 0
    early = view(coref).done
    assert early < 9
    trials = coref("extend", "one", "--trials", "+1")
    assert trials.code == 0, trials.err
    assert "it begins more trials only with another --patience" in trials.err
    assert coref("resume", "one").code == 0
    assert view(coref).done == early
    assert coref("extend", "one", "--patience", "9").code == 0
    assert coref("resume", "one").code == 0
    assert view(coref).done == 10


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "say what is to change: --trials +10"),
        (["--trials", "many"], "--trials 'many': give a number such as 40, or +10"),
        (["--trials", "1"], "--trials 1: study 'sample' has begun 3 trials of 512 tokens already; give 3 or more"),
        (["--trials", "3"], "study 'sample' has all of that already"),
        (["--finalists", "4"], "4 finalists cannot be chosen of 3 trials; give more trials"),
        (["--finalists", "-1"], "--finalists must be at least 0, not -1"),
        (["--finalist-seeds", "0"], "--finalist-seeds must be at least 1, not 0"),
        (["--parallelism", "0"], "--parallelism must be at least 1, not 0"),
        (["--patience", "0"], "--patience must be at least 1, not 0"),
        (["--min-gain", "2"], "--min-gain must be at most 1"),
        (["--max-gpu-hours", "0"], "--max-gpu-hours must be above 0"),
        (["--max-duration", "-5"], "--max-duration must be above 0"),
        (["--trials", "+2", "--max-gpu-hours", "1"], "has used 1.50 GPU-hours, and limits.maxGpuHours is 1: nothing would begin"),
    ],
)  # fmt: skip
def test_what_cannot_be_given_is_one_sentence_and_changes_nothing(
    coref: Any, study: str, arguments: list[str], sentence: str
) -> None:
    store = Store(Settings.from_env().storage_url)
    end = datetime(2026, 1, 1, tzinfo=UTC)
    spent = AttemptRecord(
        job_name="sample-512-0-1", kind=Kind.TRIAL, seq_len=512, trial=0, attempt=1, tier=0, outcome=Outcome.SUCCEEDED,
        gpus=1, gpu_seconds=5400.0, finished_at=end,
    )  # fmt: skip
    store.record_attempt("", study, spent)
    store.set_phase("", study, Phase.SUCCEEDED)
    before = store.get_study("", study)
    answer = coref("extend", study, *arguments)
    assert answer.code == 2, answer.out
    assert sentence in answer.err
    assert answer.err.count("\n") == 1
    assert store.get_study("", study) == before
    store.close()


def test_what_a_search_is_followed_by_takes_no_finalists(coref: Any, study: str) -> None:
    store = Store(Settings.from_env().storage_url)
    purpose = {"kind": "train", "study": study, "trials": [1]}
    spec = build_spec(seq_lengths=[512], trials=1, purpose=purpose, search={"sampler": "random"})
    store.create_study("", "final", spec)
    play(LengthStudy(open_storage(store.url), spec, "final", 512), store.url, "good")
    answer = coref("extend", "final", "--finalists", "1")
    assert (answer.code, "a study to train has one length, one trial and no finalists" in answer.err) == (
        2,
        True,
    )
    store.close()
