"""`prepare` and `data show` as a user meets them: small files, no model to train, both languages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

TOKENIZER = Path(__file__).parents[2] / "data/korean/tokenizer"
SOURCES = ("texts", "short.txt", "broken.jsonl")
DOCUMENTS = Path(__file__).parents[2] / "data/korean/documents"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a small model and some texts of the shipped corpus, one of them twice."""
    from transformers import AutoTokenizer

    from coref_k8s.model.small import create_small_model

    folder = tmp_path_factory.mktemp("place")
    tokenizer = AutoTokenizer.from_pretrained(TOKENIZER)
    create_small_model(folder / "model", tokenizer, layers=1, hidden=32, heads=2, intermediate=32)
    (folder / "texts").mkdir()
    kinds = ("story-0[1-6]", "encyclopedia-10", "encyclopedia-13")  # of train, dev and test
    for path in sorted(path for kind in kinds for path in DOCUMENTS.glob(f"{kind}.coref.txt")):
        (folder / "texts" / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "short.txt").write_text("짧은 글.", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("KUBECONFIG", str(folder / "none"))
        patch.setenv("HF_HUB_OFFLINE", "1")
        for name in ("COREF_DATA_DIR", "COREF_STORAGE_URL", "COREF_BUS"):
            patch.delenv(name, raising=False)
        yield folder


def request(*sources: str, **data: Any) -> list[str]:
    listed = json.dumps([{"source": source} for source in sources])
    more = [part for key, value in data.items() for part in ("--set", f"data.{key}={value}")]
    return [
        "prepare", "--model", "model", "--any-length", "--seq-lengths", "256", "--set", f"data.sources={listed}", *more
    ]  # fmt: skip


def folders() -> list[str]:
    root = Path("data/prepared")
    return [path.name for path in root.iterdir() if path.is_dir()] if root.exists() else []


@pytest.fixture(scope="module")
def said() -> dict[str, Any]:
    """The answer that several tests look at; whichever comes first asks."""
    return {}


@pytest.fixture
def prepared(coref: Any, place: Path, said: dict[str, Any]) -> Any:
    """The answer of a preparation of the texts and of two sources that are not there for it."""
    if not said:
        Path("broken.jsonl").write_text('{"text": "글"\n', encoding="utf-8")
        said["answer"] = coref(*request(*SOURCES, evalItems=2))
    assert said["answer"].code == 0, said["answer"].err
    return said["answer"]


def test_prepare_prints_the_folder_and_beside_it_what_is_in_it(prepared: Any) -> None:
    folder = Path(prepared.out.strip())
    statistics = json.loads((folder / "statistics.json").read_text(encoding="utf-8"))
    rows = statistics["lengths"]["256"]["rows"]
    assert f"documents: train {statistics['documents']['train']}, dev" in prepared.err
    assert f"; 256: {rows} sequences" in prepared.err
    assert prepared.err.count("warning: left out: ") == 1
    assert "broken.jsonl:1: not JSON (Expecting ',' delimiter" in prepared.err
    assert f"\nNext:\n  coref-k8s data show {folder}" in prepared.err
    again = prepared.err.partition("\n  coref-k8s submit --local ")[2].split("\n")[0]
    assert "--model " in again, "of another model's tokens nothing could be trained"
    assert f"--seq-lengths 256 --any-length --dataset-choice {folder}" in again


@pytest.mark.parametrize(
    ("lang", "words"),
    [
        ("en", ["prepared data {hash}", "documents  train", "text", "characters", "begin and end at token boundaries",
                "filters removed: too short 1", "left out: ", "padding", "Distance of a mention", "Samples: "]),
        ("ko", ["준비된 데이터 {hash}", "문서    train", "텍스트", "어절", "토큰 경계에서 시작하고 끝남",
                "걸러 낸 문서: 너무 짧음 1", "제외됨: ", "패딩", "멘션과 바로 앞 멘션 사이의 거리", "예문: "]),
    ],
)  # fmt: skip
def test_data_show_in_both_languages(
    coref: Any, prepared: Any, lang: str, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(prepared.out.strip())
    asked = coref("data", "show", folder, "--lang", lang)
    assert asked.code == 0, asked.err
    for word in words:
        assert word.format(hash=folder.name) in asked.out
    statistics = json.loads(coref("data", "show", folder.name[:8], "-o", "json").out)
    assert statistics["samples"][0]["text"] in asked.out, "the text as it is, with its marks"
    assert statistics["samples"][0]["text"] not in coref("data", "show", folder, "--no-samples").out
    for distance, count in statistics["lengths"]["256"]["distances"].items():
        assert distance in asked.out
        assert f"{count:,}" in asked.out
    monkeypatch.setenv("LANG", "ko_KR.UTF-8" if lang == "ko" else "C.UTF-8")
    assert coref("data", "show", folder).out == asked.out


def test_what_is_prepared_is_found_again_and_told_in_korean(coref: Any, prepared: Any) -> None:
    before = folders()
    again = coref(*request(*SOURCES, evalItems=2), "--lang", "ko")
    assert (again.out, folders()) == (prepared.out, before)
    assert "문서: train" in again.err
    assert again.err.count("제외됨: ") == 1
    assert "broken.jsonl:1: JSON이 아닙니다(" in again.err
    assert "\n다음:\n  coref-k8s data show" in again.err


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.jsonl", b'{"text": "x"', "a.jsonl:1: not JSON (Expecting ',' delimiter"),
        ("a.jsonl", b'{"words": "x"}', "none of the columns text, document"),
        ("a.parquet", b"PAR0", "Parquet file size is 4 bytes"),
        ("a.conllu", b"1\tx\n", "a.conllu:1: 2 columns where CoNLL-U has 10"),
        ("a.txt", b"\xb0\xa1", "iconv -f cp949 -t utf-8"),
        ("a.txt", "한 줄".encode(), "removed by filters: 1 shorter than their source's minLength"),
        ("a.txt", b"", "removed by filters: 1 empty"),
        ("a.doc", b"x", "ends in none of .txt"),
        ("b/a.coref.txt", "id: a\n\n{1|가나".encode(), "a.coref.txt"),
    ],
)
def test_bad_text_is_one_sentence_and_leaves_nothing(
    coref: Any, place: Path, name: str, content: bytes, sentence: str
) -> None:
    path = Path("bad") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    before = folders()
    answer = coref(*request(str(path)))
    path.unlink()
    complaint = answer.err[answer.err.index("coref-k8s: ") :]
    assert answer.code == 1
    assert answer.out == ""
    assert sentence in complaint
    assert complaint.count("\n") == 1
    assert "left out" not in answer.err, "said once"
    assert "Traceback" not in answer.err
    assert folders() == before


@pytest.mark.parametrize("name", ["texts/none.jsonl", "none/at/all", "./none", "없는 폴더", "소설"])
def test_a_file_that_is_not_there_is_no_question_to_a_hub(coref: Any, place: Path, name: str) -> None:
    answer = coref(*request(name))
    assert (answer.code, answer.out) == (1, "")
    assert answer.err == f"coref-k8s: no source of text can be read: {name}: no such file or folder\n"


@pytest.mark.parametrize(
    ("lang", "words", "brief"),
    [
        ("en", ["of the gold mentions can be given back exactly", "Gold chains", "singletons", "longest document"],
         ["mentions of", "to train on"]),
        ("ko", ["정확히 되살릴 수 있음", "정답 사슬", "단독 개체", "가장 긴 문서"], ["학습용 멘션", "개체"]),
    ],
)  # fmt: skip
def test_documents_with_chains_are_prepared_and_shown(
    coref: Any, place: Path, lang: str, words: list[str], brief: list[str]
) -> None:
    made = coref(*request("texts", "short.txt"), "--task", "coreference", "--lang", lang)
    assert made.code == 0, made.err
    for word in [*brief, "data show", "submit --local --task coreference --model"]:
        assert word in made.err
    shown = coref("data", "show", made.out.strip(), "--lang", lang)
    assert shown.code == 0, shown.err
    for word in words:
        assert word in shown.out
    statistics = json.loads(coref("data", "show", made.out.strip(), "-o", "json").out)
    for counts in statistics["chains"].values():
        for count in counts.values():
            assert f"{count:,}" in shown.out
    assert 0.9 < statistics["representable"]["share"] <= 1


def test_data_of_the_other_task_are_no_choice(coref: Any, prepared: Any) -> None:
    answer = coref(
        "submit", "--local", "--task", "coreference", "--model", "model", "--any-length", "--seq-lengths", "256",
        "--dataset-choice", prepared.out.strip(),
    )  # fmt: skip
    assert (answer.code, answer.out) == (1, "")
    assert "were prepared for task mentions, not for coreference" in answer.err


def test_text_without_chains_is_refused_in_one_sentence(coref: Any, place: Path) -> None:
    (place / "plain.txt").write_text("사슬이 없는 글이다. " * 30, encoding="utf-8")
    answer = coref(*request("plain.txt"), "--task", "coreference")
    complaint = answer.err[answer.err.index("coref-k8s: ") :]
    assert (answer.code, complaint.count("\n")) == (1, 1)
    assert "has gold chains to learn from" in complaint


@pytest.mark.parametrize(
    "arguments", [("--data", "./nowhere"), ("--set", "data.sources=[./nowhere]")], ids=["option", "set"]
)
def test_own_text_is_named_in_one_option(coref: Any, place: Path, arguments: tuple[str, ...]) -> None:
    answer = coref("prepare", "--model", "model", "--any-length", "--seq-lengths", "256", *arguments)
    assert answer.code != 0
    assert answer.err.endswith("no source of text can be read: ./nowhere: no such file or folder\n")


def test_several_texts_are_named_one_by_one(coref: Any, place: Path) -> None:
    names = ("./texts", "gaps:8")
    answer = coref(
        "prepare", "--model", "model", "--any-length", "--seq-lengths", "256", "--set", "data.evalItems=2",
        *(part for name in names for part in ("--data", name)),
    )  # fmt: skip
    assert answer.code == 0, answer.err
    statistics = json.loads((Path(answer.out.strip()) / "statistics.json").read_text(encoding="utf-8"))
    assert {Path(name).name for name in statistics["read"]} == {"texts", "gaps:8"}
