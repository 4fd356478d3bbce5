"""What is known of a study, as tables for people and as rows for programs."""

import csv
import io
import json
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from coref_k8s.controller.view import StudyView
from coref_k8s.local.lock import controller_lock
from coref_k8s.search.reporting import TrialReporter
from coref_k8s.search.storage import open_storage
from coref_k8s.search.studies import LengthStudy
from coref_k8s.settings import Settings
from coref_k8s.store import Phase, Store
from coref_k8s.study.reading import build_spec
from coref_k8s.wording import Message


def test_list(coref: Any, study: str) -> None:
    answer = coref("list")
    assert answer.code == 0
    for words in (study, "Running", "512 1024", "2 × 3", "this machine"):
        assert words in answer.out
    assert json.loads(coref("list", "-o", "json").out)[0]["name"] == study
    for words in (study, "실행 중", "2 × 3", "이 컴퓨터"):
        assert words in coref("list", "--lang", "ko").out


def test_list_and_status_name_what_another_version_asks_for(coref: Any, study: str, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "data" / "coref.db")) as database, database:
        (text,) = database.execute("SELECT spec_json FROM coref_study").fetchone()
        newer = json.dumps(json.loads(text) | {"laterField": 3})
        database.execute("UPDATE coref_study SET spec_json = ?, version = '9.9'", (newer,))
    for command in (("list",), ("status", study)):
        answer = coref(*command)
        assert answer.code == 0
        assert "cannot use laterField" in answer.err
        assert "written by coref-k8s 9.9" in answer.err
    assert "laterField" in json.loads(coref("status", study, "-o", "json").out)["not_understood"]


def test_status_tells_progress_best_and_failures(coref: Any, study: str) -> None:
    answer = coref("status", study)
    assert answer.code == 0
    for words in (study, "Running", "3 of 3", "1 of 3", "0.410", "512 trial 2", "crashed (exit code 1)"):
        assert words in answer.out
    assert f"coref-k8s best {study}" in answer.err


@pytest.mark.parametrize("command", ["status", "results"])
def test_a_study_is_told_in_korean(coref: Any, study: str, command: str) -> None:
    answer = coref(command, study, "--lang", "ko")
    text = answer.out
    said = {
        "status": ("실행 중  이 컴퓨터", "dev 최고", "512 트라이얼 2", "비정상 종료(종료 코드 1)"),
        "results": ("512 토큰", "상태", "완료", "실패"),
    }
    for words in said[command]:
        assert words in text, text
    left = set(re.findall(r"[A-Za-z]{3,}", text)) - {"LAMBADA", "Top", "sample", "dev"}
    assert left == set()
    if command == "status":
        assert f"다음:\n  coref-k8s watch {study} " in answer.err


def test_a_coreference_study_shows_the_metrics_of_its_task(coref: Any, study: str) -> None:
    url = Settings.from_env().storage_url
    spec = build_spec(
        task="coreference", seq_lengths=[512], trials=1, data={"sources": [{"source": "people:9"}]}
    )
    store = Store(url)
    store.create_study("", "chains", spec)
    store.close()
    trial = LengthStudy(open_storage(url), spec, "chains", 512).ask()
    metrics = {"conll_f1": 0.51, "lea_f1": 0.42, "mention_f1": 0.73, "gold_conll_f1": 0.64, "conll_f1_ci_low": 0.5,
               "conll_f1_ci_high": 0.52}  # fmt: skip
    TrialReporter(url, trial.trial_id).result(0.51, {**metrics, "score": 0.51})
    out = coref("results", "chains").out
    assert re.search(r"trial +score +95 % interval +CoNLL +LEA +mentions +gold m\. +lr", out)
    assert re.search(r"0 +0\.510 +– +0\.510 +0\.420 +0\.730 +0\.640", out)
    best = coref("best", "chains").out
    assert re.search(r"CoNLL F1 +0\.510 +0\.500 … 0\.520", best)
    assert re.search(r"mentions found +0\.730", best)
    for foreign in ("LAMBADA", "Top5", "gain", "reference"):
        assert foreign not in out + best, foreign
    beside = " ".join(coref("results", study, "chains").err.split())
    assert "their scores are not of one kind" in beside


def test_what_to_type_next_names_the_place_again(
    coref: Any, study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    answer = coref("status", study, "--data-dir", str(tmp_path / "data"))
    assert f"coref-k8s best {study} --data-dir {tmp_path / 'data'}" in answer.err


def test_status_tells_what_is_used_of_the_limits(coref: Any, study: str) -> None:
    assert "Budget" not in coref("status", study).out
    store = Store(Settings.from_env().storage_url)
    spec = store.get_study("", study).spec
    limits = spec.limits.model_copy(update={"max_gpu_hours": 2.0, "max_duration": 7200.0})
    search = spec.search.model_copy(update={"min_gain": 0.005})
    store.update_spec("", study, spec.model_copy(update={"limits": limits, "search": search}))
    store.close()
    out = " ".join(coref("status", study).out.split())
    assert "0.00 of 2 GPU-hours in ended attempts" in out
    assert "of 2 h," in out
    assert "ends when one more trial is expected to add less than 0.005" in out


def test_a_trial_of_an_ended_study_does_not_run(coref: Any, study: str) -> None:
    assert " running" in coref("results", study).out
    store = Store(Settings.from_env().storage_url)
    store.set_phase(
        "", study, Phase.SUCCEEDED, Message.verbatim("stopped after 60 s, as limits.maxDuration says")
    )
    store.close()
    out = coref("results", study).out
    assert " running" not in out
    assert " waiting" in out


def test_status_as_json_is_the_whole_view(coref: Any, study: str) -> None:
    view = StudyView.from_json(coref("status", study, "--output", "json").out)
    assert [len(one.trials) for one in view.lengths] == [3, 2]
    assert view.attempts[0].reason == "Crashed"
    assert view.done == 4


def test_results_are_best_first_and_complete_in_csv_and_json(coref: Any, study: str) -> None:
    rows = list(csv.DictReader(io.StringIO(coref("results", study, "--output", "csv").out)))
    assert [(row["seq_len"], row["trial"], row["state"]) for row in rows] == [
        ("512", "1", "complete"), ("512", "0", "complete"), ("512", "2", "failed"),
        ("1024", "0", "complete"), ("1024", "1", "running"),
    ]  # fmt: skip
    assert float(rows[0]["param_learning_rate"]) > 0
    assert rows[2]["reason"] == "crashed (exit code 1)"
    data = json.loads(coref("results", study, "--output", "json").out)
    assert len(data) == 5
    assert data[0]["coref_top5_gain"] == 0.3
    assert data[4]["score"] is None


def test_results_table_shows_gains(coref: Any, study: str) -> None:
    table = coref("results", study).out
    assert re.search(r"0\.400 +\+0\.300", table)
    assert table.index("0.410") < table.index("0.310")


def test_results_of_several_studies_name_them(coref: Any, study: str) -> None:
    answer = coref("results", study, "other")
    assert answer.code == 1
    assert "no study 'other'" in answer.err


def test_best_as_yaml_feeds_a_final_run(coref: Any, study: str) -> None:
    best = yaml.safe_load(coref("best", study, "--output", "yaml").out)
    assert best["lengths"][512]["trial"] == 1
    assert (best["lengths"][512]["dev"]["score"], best["lengths"][512]["dev"]["runs"]) == (0.41, 1)
    assert best["lengths"][512]["params"]["learning_rate"] > 0
    assert best["lengths"][512]["folder"] == "studies/sample/512/1"
    assert set(best["lengths"]) == {512, 1024}


def test_best_for_people_has_interval_gain_and_folder(coref: Any, study: str) -> None:
    korean = coref("best", study, "--seq-len", "512", "--lang", "ko").out
    for words in ("512 토큰: 트라이얼 1, dev 0.410(1회 실행)", "문맥 이득", "파라미터", "모델: "):
        assert words in korean
    assert "score" not in korean
    answer = coref("best", study, "--seq-len", "512")
    for words in (
        "trial 1, score 0.410 on dev (one run)",
        "on dev, one run",
        "0.450 … 0.550",
        "+0.300",
        "learning_rate",
        "data/studies/sample/512/1",
    ):
        assert words in answer.out
    assert "1024" not in answer.out
    refused = coref("best", study, "--seq-len", "768")
    assert refused.code == 2
    assert "does not tune length 768; it tunes 512 and 1024" in refused.err


def test_logs_of_one_trial_and_of_the_study(coref: Any, study: str) -> None:
    for job, text in (
        ("prepare-1", "counting\n"),
        ("512-1-1", "first\n"),
        ("512-1-2", "second\n"),
        ("1024-0-1", "x\n"),
        ("512-finalist1-1", "again\n"),
    ):
        folder = Path("data/jobs/sample") / f"sample-{job}"
        folder.mkdir(parents=True)
        length, number = re.match(r"(\d*)\D+(\d+)", job).groups()  # type: ignore[union-attr]
        kind = "finalist" if "finalist" in job else "trial" if length else "prepare"
        order = {"kind": kind, "seqLen": int(length or 0) or None, "trial": int(number) if length else None}
        (folder / "order.json").write_text(json.dumps(order))
        (folder / "log").write_text(text)
    assert coref("logs", study, "--trial", "1", "--seq-len", "512").out == "first\nsecond\n"
    assert coref("logs", study, "--trial", "2").err.count("\n") == 1  # it never wrote one
    both = coref("logs", study, "--trial", "1")
    assert both.code == 2
    assert "lengths 512 and 1024 each have a trial 1; choose one with --seq-len" in both.err
    lines = coref("logs", study).out.splitlines()
    every = [
        "prepare-1 | counting",
        "512-1-1 | first",
        "512-1-2 | second",
        "1024-0-1 | x",
        "512-finalist1-1 | again",
    ]
    assert lines == every
    assert coref("logs", study, "--run", "1", "--seq-len", "512").out == "again\n"
    assert (
        "run 1 of length 1024 of study 'sample' has no log"
        in coref("logs", study, "--run", "1", "--seq-len", "1024").err
    )
    assert "study 'sample' has no run 9; " in coref("logs", study, "--run", "9").err
    assert "give one of them" in coref("logs", study, "--run", "1", "--trial", "1").err
    assert coref("logs", study, "--seq-len", "1024").out == "1024-0-1 | x\n"
    shutil.rmtree("data/jobs")
    assert "study 'sample' has no logs here: " in coref("logs", study).err


def test_commands_in_sentences_name_the_place(coref: Any, study: str) -> None:
    Path("data").rename("my data")
    there = ("--data-dir", "my data")
    for command, told in (
        (("status", "nobody"), "coref-k8s list"),
        (("logs", study, "--trial", "99"), f"coref-k8s results {study} --all"),
        (("logs", study, "--trial", "0", "--seq-len", "512"), f"coref-k8s results {study} --all"),
        (("evaluate", f"{study}/512/1"), f"coref-k8s results {study}"),
        (("data", "show", "none"), "coref-k8s prepare"),
    ):
        answer = coref(*command, *there)
        assert f"{told} --data-dir 'my data'" in answer.out + answer.err, command
        korean = coref(*command, *there, "--lang", "ko")
        assert f"{told} --data-dir 'my data'" in korean.out + korean.err, command
    Path("my data").rename("data")
    assert "--data-dir" not in coref("logs", study, "--trial", "99").err


def test_events_in_a_log_are_sentences_and_json_has_them_whole(coref: Any, study: str) -> None:
    folder = Path("data/jobs/sample/sample-512-1-1")
    folder.mkdir(parents=True)
    (folder / "order.json").write_text(json.dumps({"kind": "trial", "seqLen": 512, "trial": 1}))
    who = {"study": "sample", "kind": "trial", "seq_len": 512, "trial": 1, "ts": "2026-11-30T03:59:24.501Z"}
    events = [
        {**who, "section": "trial_begin", "step": 0, "steps": 16, "params": {"learning_rate": 7.071e-5}},
        {**who, "section": "train_step", "step": 8, "steps": 16, "loss": 8.8258, "learning_rate": 4.5e-5,
         "tokens_per_second": 788.4, "step_seconds": 2.5},
        {**who, "section": "eval_stream", "step": 8, "split": "dev", "score": 0.31, "coref_f1": 0.4, "lbd_top1": 0.2,
         **{f"coref_detail_{n}": 0.5 for n in range(90)}},
        {**who, "section": "trial_end", "outcome": "complete", "score": 0.31},
        {**who, "section": "warning", "message": "slow disk"},
        {**who, "section": "something_new", "message": "hello", "size": 3},
    ]  # fmt: skip
    few = {"score": 0.0, "coref_f1": 0.0, "lbd_top1": 0.2, "not_given": ["coref_f1", "score"]}
    events.insert(3, {**who, "section": "eval_stream", "step": 9, **few})
    none = few | {"not_given": ["coref_f1", "lbd_top1", "score"]}
    events.insert(4, {**who, "section": "eval_stream", "step": 10, **none})
    events.append({**who, "section": "trial_end", "outcome": "closed", "step": 11})
    lines = [*map(json.dumps, events), "Traceback: as it is"]
    (folder / "log").write_text("\n".join(lines) + "\n")
    told = coref("logs", study, "--trial", "1", "--seq-len", "512").out.splitlines()
    assert [re.sub(r"^\d\d:59:24 ", "", line) for line in told] == [
        "started, 16 steps: learning_rate 7.07e-5",
        "step 8 of 16: loss 8.83, learning rate 4.5e-5, 788 tokens/s, 20 s left",
        "step 8, on dev: score 0.310 (Coref F1 0.400, LAMBADA Top1 0.200)",
        "step 9, on dev: no score (too few items) (LAMBADA Top1 0.200)",
        "step 10, on dev: no score (too few items)",
        "complete: score 0.310 on dev",
        "warning: slow disk",
        "something_new hello size 3",
        "ended: the study had stopped this trial",
        "Traceback: as it is",
    ]
    whole = coref("logs", study, "-o", "json").out.splitlines()
    assert whole == [f"512-1-1 | {line}" for line in lines]
    korean = coref("logs", study, "--lang", "ko").out
    assert "8스텝, dev: 점수 0.310" in korean
    assert korean.startswith("512-1-1 | ")


@pytest.mark.parametrize("command", ["status", "results", "best", "logs"])
def test_an_unknown_study_is_one_sentence_with_the_closest_name(coref: Any, study: str, command: str) -> None:
    answer = coref(command, "sampel")
    assert answer.code == 1
    assert "there is no study 'sampel'; did you mean 'sample'?" in answer.err
    assert answer.err.count("\n") == 1


def test_reading_an_empty_folder_creates_nothing(
    coref: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = coref("list", "--local")
    assert answer.code == 0
    assert "submit --local" in answer.err
    answer = coref("status", "x", "--local")
    assert answer.code == 1
    assert "--data-dir" in answer.err
    assert list(tmp_path.iterdir()) == []


def test_contradicting_places_are_refused(coref: Any) -> None:
    answer = coref("list", "--local", "-n", "team")
    assert answer.code == 2
    assert "--local and --namespace contradict each other" in answer.err


def test_no_cluster_is_one_sentence(coref: Any, study: str) -> None:
    answer = coref("status", study, "-n", "team")
    assert answer.code == 1
    assert "no Kubernetes cluster is configured" in answer.err


def test_a_wrong_storage_is_one_sentence(coref: Any) -> None:
    answer = coref("list", "--storage", "mysql://a:secret@b/c")
    assert answer.code == 2
    assert "secret" not in answer.err
    answer = coref("list", "--storage", "postgresql://a:secret@127.0.0.1:1/c")
    assert answer.code == 1
    assert "secret" not in answer.err
    assert answer.err.count("\n") == 1


@pytest.fixture
def study(study: str) -> Iterator[str]:
    """The study `sample` while somebody works on it."""
    with controller_lock(Settings.from_env().data_dir, study):
        yield study
