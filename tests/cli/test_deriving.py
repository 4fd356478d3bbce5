"""`train` and `ensemble` on studies that cannot have them: one sentence, and nothing is created."""

from __future__ import annotations

from typing import Any

import pytest

from coref_k8s.search.reporting import TrialReporter
from coref_k8s.search.storage import open_storage
from coref_k8s.search.studies import LengthStudy
from coref_k8s.settings import Settings
from coref_k8s.store import Store
from coref_k8s.study.reading import build_spec


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["train", "sampl", "--from-best"], 1, "did you mean 'sample'?"),
        (["train", "sample", "--from-best"], 2, "tunes 512 and 1024 tokens; say which is meant with --seq-len"),
        (["train", "sample", "--seq-len", "2048"], 2, "does not tune length 2048; it tunes 512 and 1024"),
        (["train", "sample", "--seq-len", "512", "--trial", "2"], 1, "no trial 2 of 512 tokens whose parameters"),
        (["train", "sample", "--seq-len", "512", "--trial", "9"], 1, "no trial 9 of 512 tokens"),
        (["train", "sample", "--seq-len", "512", "--trial", "1", "--from-best"], 2, "contradict each other"),
        (["train", "sample", "--seq-len", "512", "--train-limit", "many"], 2, "above 0, or none, not 'many'"),
        (["train", "empty", "--from-best"], 1, "has no complete trial yet"),
        (["train", "done-final-512"], 2, "made of the results of 'done'; name that one"),
        (["train", "sample", "--seq-len", "512", "--set", "trials=2"], 2, "one length, one trial"),
        (["train", "sample", "--seq-len", "512", "--dry-run", "client"], 2, "--dry-run"),
        (["train", "a-very-long-name-indeed-of-39-characters", "--from-best"], 2, "a shorter one with --name"),
        (["ensemble", "sample", "--seq-len", "512", "--top", "3"], 2, "has 2 complete trials of 512 tokens, fewer than --top 3"),
        (["ensemble", "sample", "--seq-len", "512", "--top", "1"], 2, "--top"),
        (["ensemble", "sample", "--seq-len", "512", "--top", "2"], 1, "trial 1 of study 'sample' has no model in"),
        (["ensemble", "nothing"], 1, "there is no study 'nothing'"),
    ],
)  # fmt: skip
def test_what_cannot_be_made(coref: Any, study: str, arguments: list[str], code: int, sentence: str) -> None:
    store = Store(Settings.from_env().storage_url)
    store.create_study("", "empty", build_spec(seq_lengths=[512]))
    purpose = {"kind": "train", "study": "done", "trials": [1]}
    store.create_study("", "done-final-512", build_spec(seq_lengths=[512], trials=1, purpose=purpose))
    long = "a-very-long-name-indeed-of-39-characters"
    spec = build_spec(seq_lengths=[512], search={"sampler": "random"})
    store.create_study("", long, spec)
    trials = LengthStudy(open_storage(store.url), spec, long, 512)
    TrialReporter(store.url, trials.ask().trial_id).result(0.5, {})
    before = {one.name for one in store.list_studies("")}
    answer = coref(*arguments)
    assert answer.code == code, answer.err + answer.out
    assert sentence in answer.err
    last = answer.err.rstrip().splitlines()[-1]
    assert last.startswith("coref-k8s: ")
    assert {one.name for one in store.list_studies("")} == before
    store.close()
