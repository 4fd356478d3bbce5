"""`init`: a file that is taken as it is and with every example in it, and a first look at one's own text."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from coref_k8s.study.reading import load_study_file, spec_from_mapping
from coref_k8s.study.spec import StudySpec
from tests.corpus.local_hub import local_hub

LINES = "".join(f"나루터에 {n}번째 배가 닿았다. 사공은 나루터에서 손님을 기다렸다.\n" * 1 for n in range(40))


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("texts").mkdir()
    for number in range(30):
        Path(f"texts/{number}.txt").write_text(f"{number}번 글이다. " * 40, encoding="utf-8")
    Path("texts/old.hwp").write_bytes(b"\xd0\xcf")
    Path("texts/euc.txt").write_bytes("옛 글".encode("cp949"))
    Path("corpus.txt").write_text(LINES, encoding="utf-8")


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("task", ["mentions", "coreference"])
def test_the_file_is_a_request_as_it_stands_and_with_everything_that_it_shows(
    coref: Any, lang: str, task: str
) -> None:
    answer = coref("init", "./texts", "--task", task, "--model", "own/model", "--lang", lang)
    assert answer.code == 0, answer.err
    text = Path("study.yaml").read_text(encoding="utf-8")
    assert bool(re.search("[가-힣]", text)) == (lang == "ko")
    name, request = load_study_file(Path("study.yaml"))
    spec = spec_from_mapping(request)
    assert name == "texts"
    assert (spec.task, spec.model, spec.seq_lengths) == (task, "own/model", (512,))
    assert [one.source for one in spec.data.sources] == ["./texts"]
    # settings behind a # are the defaults, but for examples of those that have none
    whole = spec_from_mapping(yaml.safe_load(re.sub(r"(?m)^( *)#(?! )", r"\1", text))["spec"])
    assert whole.training.max_steps == 2000
    assert whole.limits.max_duration == 36_000
    assert whole.search.finalists == 3
    assert whole.data.sources[0].extractor == "lines"
    assert (whole.parallelism, whole.data.train_limit) == (spec.parallelism, spec.data.train_limit)
    plan = coref("plan", "-f", "study.yaml", "--model", "kakaobank/kf-deberta-base", "--lang", lang)
    assert plan.code == 0, plan.err


def test_init_says_what_to_type_next_as_a_shell_takes_it(coref: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    answer = coref("init", "texts", "-o", "내 것.yaml", "--lang", "en")
    next_ones = answer.err.partition("Next:\n")[2].splitlines()
    assert [shlex.split(line, comments=True) for line in next_ones] == [
        ["coref-k8s", "plan", "--local", "-f", "내 것.yaml"],
        ["coref-k8s", "submit", "--local", "-f", "내 것.yaml"],
    ]
    assert all("  # " in line and line == line.rstrip() and len(line) <= 80 for line in next_ones)
    assert "-f '내 것.yaml'" in Path("내 것.yaml").read_text(encoding="utf-8")


def test_init_looks_at_the_text_and_says_what_is_passed_over(coref: Any) -> None:
    answer = coref("init", "texts", "-o", "-")
    assert answer.code == 0
    assert yaml.safe_load(answer.out)["metadata"] == {"name": "texts"}
    assert "texts: 30 documents in 31 files (31 .txt)" in answer.err
    assert "old.hwp" in answer.err
    assert "euc.txt" in answer.err
    assert "cp949" in answer.err


def test_one_file_that_holds_a_whole_corpus_is_asked_about(coref: Any) -> None:
    answer = coref("init", "corpus.txt")
    assert answer.code == 0
    assert "corpus.txt is one document of 40 lines" in answer.err
    assert "extractor: lines" in answer.err
    refused = coref("submit", "--local", "-f", "study.yaml", "--model", small(), "--data-dir", "d")
    assert refused.code == 1
    assert "no document is left for" in refused.err
    assert "extractor: lines" in refused.err
    assert not Path("d/studies").exists()


def test_a_path_that_is_not_there_is_said_before_any_hub_is_asked(
    coref: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    for task in ("mentions", "coreference"):
        answer = coref(
            "submit", "--local", "--data", "./missing", "--task", task, "--model", "nobody/nothing"
        )
        assert answer.err == "coref-k8s: no source of text can be read: ./missing: no such file or folder\n"
    named = coref("evaluate", "nope/512")
    assert "neither a folder nope/512 nor a study of this name" in named.err


def test_what_is_to_be_typed_for_lines_can_be_typed_and_short_lines_are_said(coref: Any) -> None:
    folder = Path("내 글, 둘")
    folder.mkdir()
    (folder / "a.txt").write_text(LINES, encoding="utf-8")
    answer = coref("init", str(folder / "a.txt"), "-o", "-")
    setting = re.search(r"--set '(data\.sources=.*?\])'", answer.err)
    assert setting
    plan = coref("plan", "--model", "kakaobank/kf-deberta-base", "--set", setting[1])
    assert plan.code == 0, plan.err
    assert "내 글, 둘/a.txt" in plan.out
    refused = coref("prepare", "--model", small(), "--seq-lengths", "512", "--set", setting[1])
    assert refused.code == 1
    assert "40 shorter than their source's minLength (200 characters unless it says otherwise)" in refused.err


def test_what_was_remarked_stands_beside_the_fault_that_it_may_have_caused(coref: Any) -> None:
    row = {"text": "철수는 멀리 떠났다. 그는 울었다. " * 20, "chains": [[[0, 2], [12, 13]]]}
    Path("rows.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    answer = coref("init", "rows.jsonl", "--task", "coreference", "-o", "-")
    assert "none of the 1 documents read has gold chains" in answer.err
    assert "besides: rows.jsonl:1: the column chains looks like gold chains" in answer.err


def small() -> str:
    """Return a model that can be looked at."""
    from transformers import AutoTokenizer

    from coref_k8s.corpus.shipped import shipped_tokenizer
    from coref_k8s.model.small import create_small_model

    tokenizer = AutoTokenizer.from_pretrained(shipped_tokenizer())
    create_small_model(Path("model"), tokenizer, layers=1, hidden=32, heads=2, intermediate=32)
    return "model"


def test_a_file_that_is_there_is_kept(coref: Any) -> None:
    Path("study.yaml").write_text("mine", encoding="utf-8")
    answer = coref("init", "texts")
    assert answer.code == 2
    assert "study.yaml is there already" in answer.err
    assert Path("study.yaml").read_text() == "mine"
    assert coref("init", "texts", "--force").code == 0
    missing = coref("init", "nowhere/", "-o", "other.yaml")
    assert missing.code == 1
    assert "nowhere/ does not exist" in missing.err
    assert not Path("other.yaml").exists()


def test_several_sources_and_a_name(coref: Any) -> None:
    assert coref("init", "texts", "corpus.txt", "owner/set", "--name", "ours").code == 0
    name, request = load_study_file(Path("study.yaml"))
    assert name == "ours"
    assert [one.source for one in spec_from_mapping(request).data.sources] == [
        "texts",
        "corpus.txt",
        "owner/set",
    ]
    assert isinstance(spec_from_mapping(request), StudySpec)


def test_a_data_set_of_the_hub_is_asked_for(coref: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with local_hub({"own/news": {"README.md": b"news"}}) as (endpoint, _):
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
        _ask_for_data_sets(coref)


def _ask_for_data_sets(coref: Any) -> None:
    answer = coref("init", "own/news", "-o", "-")
    assert answer.code == 0
    assert "own/news is on the hub; it is read when the data are prepared" in answer.err
    answer = coref("init", "own/nothing", "-o", "-")
    assert answer.code == 0, "the file can be put right"
    assert "own/nothing" in answer.err
    assert "own/nothing" in answer.out


def test_of_documents_with_chains_it_says_what_can_be_made(coref: Any) -> None:
    rows = [
        {
            "id": str(n),
            "text": f"민수{n}는 왔다. 민수{n}는 갔다. {'비가 온다. ' * 50}",
            "clusters": [[[0, 3], [9, 12]]],
        }
        for n in range(12)
    ]
    Path("rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert "12 documents have gold chains; with --task coreference" in coref("init", "rows.jsonl").err
    assert "gold chains;" not in coref("init", "rows.jsonl", "--task", "coreference", "--force").err


def test_too_few_documents_to_judge_by_are_said_before_anything_is_trained(coref: Any) -> None:
    for number in range(30, 400):
        Path(f"texts/{number}.txt").write_text(f"{number}번 글이다. " * 40, encoding="utf-8")
    assert "with fewer than 3 there is no interval" not in coref("init", "texts", "-o", "-").err
    for number in range(18, 400):
        Path(f"texts/{number}.txt").unlink()
    said = coref("init", "texts", "-o", "-").err
    assert re.search("(dev|test) has [12] documents?: with fewer than 3 there is no interval", said), said
