"""A whole study as a user runs it, with real trials: a tiny model, generated text, two optimiser steps."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
BUS = "data/coref_automl_bus.ndjson"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a small model in it."""
    from transformers import AutoTokenizer

    from coref_k8s.model.small import create_small_model

    folder = tmp_path_factory.mktemp("place")
    tokenizer = AutoTokenizer.from_pretrained(ROOT / "data/korean/tokenizer")
    create_small_model(folder / "model", tokenizer, layers=1, hidden=32, heads=2, intermediate=32)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("KUBECONFIG", str(folder / "none"))
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("HF_HUB_OFFLINE", "1")
        for name in ("COREF_DATA_DIR", "COREF_STORAGE_URL", "COREF_BUS", "LANG", "LC_ALL"):
            patch.delenv(name, raising=False)
        yield folder


def shell(line: str) -> str:
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def said() -> dict[str, Any]:
    """The answers that several tests need, by what was asked: each is asked once, by whichever test comes first."""
    return {}


@pytest.fixture
def study(coref: Any, place: Path, said: dict[str, Any]) -> Any:
    """The answer of the submission; the study `tiny` has ended."""
    if "submit" not in said:
        said["submit"] = coref(
            "submit", "--local", "--name", "tiny", "--model", "model", "--any-length", "--seq-lengths", "128", "192",
            "--trials", "2", "--max-steps", "2", "--batch-size", "2", "--gpus", "0", "--parallelism", "2", "--pruner", "none",
            "--set", "data.sources=[{source: 'gaps:60'}]", "--set", "data.evalItems=8", "--set", "training.evaluations=1",
        )  # fmt: skip
    assert said["submit"].code == 0, said["submit"].err + said["submit"].out
    return said["submit"]


@pytest.fixture
def base(coref: Any, study: Any, said: dict[str, Any]) -> Any:
    """The answer of an evaluation of the untrained model, saved as base.json."""
    if "base" not in said:
        said["base"] = coref(
            "evaluate", "model", "--prepared", "tiny", "--seq-len", "128", "--save", "base.json", "-o", "json"
        )
    assert said["base"].code == 0, said["base"].err
    return said["base"]


def test_submit(study: Any) -> None:
    assert "128 tokens: trial" in study.out
    assert "192 tokens: trial" in study.out


def test_the_founding_documents_lines_work_on_the_bus(study: Any) -> None:
    last = shell(f"cat {BUS} | jq 'select(.section == \"eval_stream\")' | tail -10")
    assert '"coref_top5"' in shell(f"cat {BUS} | jq 'select(.section == \"eval_stream\")'")
    assert last.rstrip().endswith("}")
    best = shell(
        f'grep "eval_stream" {BUS} | jq -r \'select(.coref_top5) | "\\(.seq_len)t: \\(.coref_top5)"\' | sort -n -r | head -5'
    )
    lines = best.splitlines()
    assert len(lines) == 4
    assert all(re.fullmatch(r"(128|192)t: \d(\.\d+)?", line) for line in lines)


def test_best_names_a_folder_that_holds_a_model(coref: Any, study: Any) -> None:
    best = yaml.safe_load(coref("best", "tiny", "--output", "yaml").out)
    for length in (128, 192):
        found = best["lengths"][length]
        assert (Path("data") / found["folder"] / "model" / "config.json").is_file()
        assert 0 <= found["dev"]["score"] <= 1
        assert "coref_top5_gain" in found["dev"]["metrics"]
    # the lines that are printed beside it do what they say
    told = coref("best", "tiny").out
    assert re.search(r"128 tokens: trial \d, score not given on dev \(too few items\)", told)
    assert all(f"model: data/{found['folder']}/model" in told for found in best["lengths"].values())
    space: dict[str, Any] = {}
    exec("\n".join(line.strip() for line in told.partition("In Python:\n")[2].splitlines()), space)
    assert space["fill"].model.config.max_position_embeddings == 192


def test_data_show_by_study_and_by_hash(coref: Any, study: Any) -> None:
    answer = coref("data", "show", "tiny")
    assert answer.code == 0
    assert "gaps:60" in answer.out
    (folder,) = (path for path in Path("data/prepared").iterdir() if path.is_dir() and path.name[0] != ".")
    assert json.loads(coref("data", "show", folder.name, "-o", "json").out)["hash"] == folder.name
    missing = coref("data", "show", "nothing")
    assert missing.code == 1
    assert folder.name in missing.err


def test_prepare_finds_what_is_prepared(coref: Any, study: Any) -> None:
    answer = coref(
        "prepare", "--model", "model", "--any-length", "--seq-lengths", "128", "192",
        "--set", "data.sources=[{source: 'gaps:60'}]", "--set", "data.evalItems=8",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    assert (Path(answer.out.strip()) / "statistics.json").is_file()
    assert (
        len([path for path in Path("data/prepared").iterdir() if path.is_dir() and path.name[0] != "."]) == 1
    )


def test_evaluate_a_trial_and_a_model(coref: Any, base: Any) -> None:
    own = coref("evaluate", "tiny/128/0")
    assert own.code == 0, own.err
    assert "LAMBADA Top1" in own.out
    # at most eight items of a kind are asked for: too few for a number
    assert "no score, there are too few items" in own.out
    assert "too few items for a number (30 are needed), and so for a score: Coref F1 (8)" in own.err
    metrics = json.loads(base.out)["metrics"]
    assert not {"score", "coref_top5", "coref_top5_ci_low", "coref_closed1", "lbd_top1_gain"} & set(metrics)


def test_compare_says_no_more_than_the_interval_allows(coref: Any, base: Any) -> None:
    answer = coref("compare", "tiny/128/0", "base.json")
    assert answer.code == 0, answer.err
    assert "95 % interval" in answer.out
    other_length = coref("compare", "tiny/128/0", "tiny/192/0", "--seq-len", "128")
    assert other_length.code == 0, other_length.err
    same = coref("compare", "tiny/128/0", "tiny/128/0", "-o", "json")
    assert {one["claim"] for one in json.loads(same.out)} <= {"no difference shown", ""}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["evaluate", "model"], "--data PATH or --prepared DATA, and --seq-len TOKENS"),
        (
            ["evaluate", "model", "--data", "x.txt", "--prepared", "tiny", "--seq-len", "128"],
            "--data and --prepared contradict each other",
        ),
        (
            ["evaluate", "no/such-model", "--data", "x.txt", "--seq-len", "128"],
            "model 'no/such-model' is not a folder here",
        ),
        (["evaluate", "model", "--data", "none.txt", "--seq-len", "128"], "none.txt does not exist"),
        (
            ["evaluate", "bare", "--data", "short.txt", "--seq-len", "128"],
            "bare cannot be opened",
        ),
        (
            ["evaluate", "model", "--data", "short.txt", "--seq-len", "128"],
            "there is nothing to ask at 128 tokens",
        ),
        (["evaluate", "tiny/128/9", "--prepared", "tiny", "--seq-len", "128"], "study 'tiny' has no trial 9"),
        (["evaluate", "none.json"], "none.json: No such file"),
        (["evaluate", "model", "--prepared", "tiny", "--seq-len", "512"], "512"),
        (["compare", "tiny/128/0", "tiny/192/0"], "say at which both are scored: --seq-len TOKENS"),
    ],
)
def test_what_cannot_be_scored_is_one_sentence(
    coref: Any, study: Any, arguments: list[str], sentence: str
) -> None:
    Path("short.txt").write_text("바람이 불었다.", encoding="utf-8")
    Path("bare").mkdir(exist_ok=True)
    shutil.copy("model/config.json", "bare/config.json")
    shutil.copy("model/model.safetensors", "bare/model.safetensors")
    answer = coref(*arguments)
    assert answer.code in (1, 2)
    assert sentence in answer.err
    assert answer.err.rstrip().count("\n") == 0, answer.err


def test_the_constant_list_is_that_of_the_training_documents(study: Any) -> None:
    (prepared,) = Path("data/prepared").glob("[!.]*")
    frequent = json.loads((prepared / "statistics.json").read_text(encoding="utf-8"))["frequent_nouns"]
    for split in ("dev", "test"):
        items = json.loads((prepared / f"128/items-{split}.json").read_text(encoding="utf-8"))
        assert items["frequent"] == frequent[:5]


def test_prepared_data_that_do_not_suit_are_refused_before_anything_is_created(
    coref: Any, study: Any, place: Path
) -> None:
    from transformers import AutoTokenizer

    from coref_k8s.model.small import create_small_model

    tokenizer = AutoTokenizer.from_pretrained("model")
    tokenizer.add_tokens(["한자루"])
    create_small_model("other", tokenizer, layers=1, hidden=32, heads=2, intermediate=32)
    (prepared,) = Path("data/prepared").glob("[!.]*")
    chosen = ("--any-length", "--gpus", "0", "--dataset-choice", str(prepared))
    for verb in (("plan",), ("submit", "--local", "--name", "wrong")):
        answer = coref(*verb, "--model", "other", "--seq-lengths", "128", *chosen)
        assert answer.code == 1, answer.err
        assert "were prepared with another tokeniser than the model's; prepare them again" in answer.err
        assert "Traceback" not in answer.err
        answer = coref(*verb, "--model", "model", "--seq-lengths", "256", *chosen)
        assert answer.code == 1
        assert "was prepared for 128 and 192 tokens, not for 256" in answer.err
    assert not Path("data/studies/wrong").exists()
    assert coref("plan", "--model", "model", "--seq-lengths", "128", *chosen).code == 0


def test_evaluate_and_compare_on_text_of_every_form(coref: Any, place: Path, tmp_path: Path) -> None:
    from coref_k8s.corpus.shipped import shipped_documents

    documents = shipped_documents()[:2]
    marked = ROOT / "data/korean/documents" / "story-01.coref.txt"
    (tmp_path / "plain").mkdir()
    for number, document in enumerate(documents):
        (tmp_path / "plain" / f"{number}.txt").write_text(document.text, encoding="utf-8")
    rows = [{"text": one.text, "doc_id": one.doc_id, "clusters": dict(one.clusters)} for one in documents]
    (tmp_path / "gold.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    ask = ("--seq-len", "128", "--items", "4")
    for source in (tmp_path / "plain", tmp_path / "gold.jsonl", marked):
        answer = coref("evaluate", "model", "--data", source, *ask, "-o", "json")
        assert answer.code == 0, answer.err
        found = json.loads(answer.out)
        assert found["counts"]["coref"] == 4
        assert found["seq_len"] == 128
    few = coref("evaluate", "model", "--data", marked, *ask, "--lang", "en")
    assert "too few items" in few.out
    assert "chosen among the window's nouns, Top5" not in few.out
    marked, ask = marked.parent, ("--seq-len", "128", "--items", "40")
    english = coref("evaluate", "model", "--data", marked, *ask, "--lang", "en")
    korean = coref(
        "evaluate", "model", "--data", marked, *ask, "--lang", "ko", "--save", tmp_path / "one.json"
    )
    for answer, words in (
        (english, ("by  ", "chosen among the window's nouns, Top5", "chance")),
        (korean, ("신뢰구간", "창 안의 명사 중에서 고름, Top5", "우연")),
    ):
        assert all(one in answer.out for one in words), answer.out
        assert not re.search(r"\S…", answer.out), "nothing is cut off in 80 columns"
    assert "경고: " in korean.err
    assert "임계값" in korean.err
    pair = coref("compare", tmp_path / "one.json", "model", "--data", marked, *ask, "--lang", "ko")
    assert pair.code == 0, pair.err
    assert "차이 확인 안 됨" in pair.out
    assert "Top5 문맥 이득" in pair.out
    assert "차이가 확인되지 않았습니다: " in pair.out
    assert "No difference" not in pair.out


def test_finalists_say_how_sure_the_best_is(coref: Any, study: Any) -> None:
    answer = coref(
        "submit", "--local", "--name", "sure", "--model", "model", "--any-length", "--seq-lengths", "128",
        "--trials", "1", "--max-steps", "2", "--batch-size", "2", "--gpus", "0", "--parallelism", "2", "--pruner", "none",
        "--set", "data.sources=[{source: 'gaps:60'}]", "--set", "data.evalItems=8", "--set", "training.evaluations=1",
        "--finalists", "1", "--finalist-seeds", "1",
    )  # fmt: skip
    assert answer.code == 0, answer.err + answer.out
    assert "trial 0 wins: not given on dev (too few items); not given on test (too few items)" in answer.out
    assert "the defaults on test" in answer.out
    best = json.loads(coref("best", "sure", "-o", "json").out)["lengths"]["128"]
    assert best["folder"].startswith("studies/sure/128/finalist-")
    assert (Path("data") / best["folder"] / "model" / "config.json").is_file()
    assert best["dev"]["runs"] == best["test"]["runs"] == 1
    assert {row["against"] for row in best["comparisons"]} == {"untuned", "defaults"}
    # what the verdict says of a run is what its folder holds
    own = json.loads((Path("data") / best["folder"] / "items-test.json").read_text())
    assert best["test"]["score"] == pytest.approx(own["metrics"]["score"])
    assert best["test"]["ci_low"] <= best["test"]["score"] <= best["test"]["ci_high"]
    by_hand = coref(
        "compare",
        best["folder"].removeprefix("studies/"),
        "sure/128/finalist-0",
        "--split",
        "test",
        "-o",
        "json",
    )
    assert by_hand.code == 0, by_hand.err
    (score,) = [one for one in json.loads(by_hand.out) if one["metric"] == "score"]
    row = next(r for r in best["comparisons"] if (r["against"], r["metric"]) == ("untuned", "score"))
    assert (row["difference"], row["claim"]) == (pytest.approx(score["difference"]), score["claim"])
    # side by side
    rows = json.loads(coref("results", "tiny", "sure", "-o", "json").out)
    assert [(row["study"], row["seq_len"]) for row in rows] == [("tiny", 128), ("tiny", 192), ("sure", 128)]
    assert rows[0]["test"] is None
    assert rows[2]["test"] == best["test"]["score"]
    assert (rows[2]["trials"], rows[2]["runs"], rows[2]["gpu_hours"]) == (1, 3, 0.0)
    table = coref("results", "tiny", "sure").out
    assert "untuned" in table
    assert re.search(r"search\.finalists +0 +1\b", table)
    assert "data.evalItems" not in table, "in that they do not differ"
    korean = coref("results", "tiny", "sure", "--lang", "ko").out
    assert "스터디" in korean
    assert "설정" in korean
    assert "untuned" not in korean
    assert (rows[0]["setting_trials"], rows[2]["setting_trials"]) == (2, 1)
    assert (
        coref("results", "tiny", "sure", "-o", "csv")
        .out.splitlines()[0]
        .startswith("study,phase,seq_len,model")
    )
    assert "trial 0 wins" in coref("status", "sure").out


def test_the_final_training_of_the_best_on_more_text(coref: Any, study: Any) -> None:
    answer = coref("train", "tiny", "--from-best", "--seq-len", "128", "--train-limit", "none")
    assert answer.code == 0, answer.err + answer.out
    assert "128 tokens: trial 0, score not given on test (too few items)" in answer.out
    for words in (
        "on test: ",
        "on dev: ",
        "model: data/",
        "card:  data/",
    ):
        assert words in answer.out
    assert "trained for" not in answer.out
    winner = yaml.safe_load(coref("best", "tiny", "--seq-len", "128", "-o", "yaml").out)["lengths"][128]
    found = yaml.safe_load(coref("best", "tiny-final-128", "--output", "yaml").out)["lengths"][128]
    assert found["params"] == winner["params"]
    folder = Path("data") / found["folder"]
    card = (folder / "model/README.md").read_text()
    assert f"trial {winner['trial']} of tiny, whose parameters were taken" in card
    assert "the untuned model, test documents" in card
    # new data, but the same questions on the same held-out documents
    statistics = json.loads(coref("data", "show", "tiny-final-128", "-o", "json").out)
    before = json.loads(coref("data", "show", "tiny", "-o", "json").out)
    assert statistics["hash"] != before["hash"]
    for split in ("dev", "test"):
        files = [Path(f"data/prepared/{one['hash']}/128/items-{split}.json") for one in (statistics, before)]
        assert files[0].read_bytes() == files[1].read_bytes()
    assert "Succeeded" in coref("status", "tiny-final-128").out
    # beside its search: what it reaches on test, and what was different
    *_, row = json.loads(coref("results", "tiny", "tiny-final-128", "-o", "json").out)
    assert row["test_ci_low"] <= row["test"] == found["test"]["score"] <= row["test_ci_high"]
    assert row["against_untuned"] in ("better", "worse", "no difference shown")
    assert row["setting_data.trainLimit"] is None
    assert "setting_search.sampler" not in row
    again = coref("train", "tiny", "--from-best", "--seq-len", "128")
    assert again.code == 2
    assert "tiny-final-128" in again.err
    assert coref("delete", "tiny-final-128", "--yes").code == 0
    assert not folder.exists()


def test_an_ensemble_of_the_best(coref: Any, study: Any) -> None:
    answer = coref("ensemble", "tiny", "--top", "2", "--seq-len", "192")
    assert answer.code == 0, answer.err + answer.out
    found = json.loads(coref("best", "tiny-ensemble-192", "--output", "json").out)["lengths"]["192"]
    rows = {row["way"]: row for row in found["ensemble"]}
    singles = [row["score"] for way, row in rows.items() if way.startswith("trial")]
    assert len(singles) == 2
    assert {"probability average"} < rows.keys()
    for way in rows.keys() & {"uniform soup", "greedy soup", "probability average"}:
        assert rows[way]["verdict"] in answer.out
        if way == "greedy soup":
            assert rows[way]["score"] >= max(singles)
    for command in (["report"], ["results", "--all"], ["logs"], ["status"]):
        seen = coref(*command, "tiny-ensemble-192")
        assert seen.code == 0, (command, seen.err)
    # the parent's data were taken as they are
    assert len(json.loads(coref("list", "--output", "json").out)) >= 2
    prepared = {
        json.loads(coref("data", "show", one, "-o", "json").out)["hash"]
        for one in ("tiny", "tiny-ensemble-192")
    }
    assert len(prepared) == 1
