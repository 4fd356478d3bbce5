"""`evaluate` and `compare` of coreference models: what is said of chains."""

import json
import re
from pathlib import Path

import pytest
import torch

from coref_k8s.cli.main import run
from coref_k8s.coref.model import new_model
from coref_k8s.corpus.people import generate_people
from coref_k8s.corpus.shipped import shipped_tokenizer


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Two folders of models that have learnt nothing."""
    from transformers import AutoTokenizer

    from coref_k8s.model.small import create_small_model

    root = tmp_path_factory.mktemp("models")
    tokenizer = AutoTokenizer.from_pretrained(shipped_tokenizer())
    create_small_model(root / "encoder", tokenizer, hidden=32, layers=1, intermediate=64)
    for seed in (0, 1):
        torch.manual_seed(seed)
        made = new_model(str(root / "encoder"), 96)
        with torch.no_grad():
            made.head.start[-1].bias.fill_(1.0)
            made.head.end[-1].bias.fill_(0.0)
        made.settle({"linked": 0.3, "alone": 0.7})
        made.save(root / str(seed))
    return [str(root / "0"), str(root / "1")]


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "people.jsonl"
    rows = [
        {"text": one.text, "doc_id": one.doc_id, "clusters": dict(one.clusters)}
        for one in generate_people(6, lengths=[120], seed=5)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_scores_of_chains_stand_beside_what_needs_no_model(models, text, capsys, tmp_path):
    saved = tmp_path / "one.json"
    assert run(["evaluate", models[0], "--data", text, "--save", str(saved), "--lang", "en"]) == 0
    out = capsys.readouterr().out
    assert re.search(r": score 0\.\d{3} \(95 % interval [01]\.\d{3} … [01]\.\d{3}\)", " ".join(out.split()))
    assert "2,049" not in out, "no row for distances that no mention has"
    for words in (
        "CoNLL F1",
        "B³",
        "no model: equal nouns linked",
        "gold mentions given",
        "a pronoun",
        "1–512 tokens",
        "items: documents ",
    ):
        assert words in out
    assert run(["evaluate", models[0], "--data", text, "--lang", "ko"]) == 0
    out = capsys.readouterr().out
    assert "대명사" in out
    assert "1–512 토큰" in out
    assert "문항: 문서 " in out
    assert "모델 없이: 같은 명사를 연결" in out
    assert run(["evaluate", models[0], "--data", text, "-o", "json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["thresholds"] == {"linked": 0.3, "alone": 0.7}
    assert record["metrics"] == json.loads(saved.read_text())["metrics"]
    assert record["seq_len"] == 96


def test_two_models_are_compared(models, text, capsys):
    assert run(["compare", *models, "--data", text, "--lang", "en"]) == 0
    out = capsys.readouterr().out
    assert "CoNLL F1" in out
    assert "of 6 documents" in " ".join(out.split())
    assert f"on{text};saidofthesetwomodels,notoftheirsettings" in "".join(out.split())


def test_a_model_that_fills_masks_is_not_compared(models, text, capsys):
    encoder = models[0].rpartition("/")[0] + "/encoder"
    assert run(["compare", models[0], encoder, "--data", text, "--seq-len", "96", "--lang", "en"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"{models[0]} finds chains and {encoder} fills masks" in said
    assert f"coref-k8s submit --local --task coreference --model {encoder}" in said


def test_names_of_other_folders_stay_apart_and_a_text_given_twice_counts_once(models, tmp_path, capsys):
    def parts(folder, number):
        lines = []
        for part in range(2):
            lines.append(f"#begin document (novel); part {part:03d}")
            for row in range(6):
                word = "가나다라마바"[(number + row + part) % 6] + "람은"
                lines += [
                    f"novel {part} 0 {word} NNG * - - - - * (1)",
                    f"novel {part} 1 갔다{number}{part} VV * - - - - * -",
                    "",
                ]
            lines.append("#end document")
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "novel.conll").write_text("\n".join(lines) + "\n", encoding="utf-8")

    for number, folder in enumerate(("east", "north", "west")):
        parts(folder, number)
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "novel.conll").write_bytes((tmp_path / "east" / "novel.conll").read_bytes())
    saved = tmp_path / "result.json"
    assert run(["evaluate", models[0], "--data", str(tmp_path), "--save", str(saved), "--lang", "en"]) == 0
    assert "2 documents are there more than once" in " ".join(capsys.readouterr().err.split())
    record = json.loads(saved.read_text())
    assert record["counts"]["documents"] == 6
    assert len(set(record["item_scores"]["chains"]["documents"])) == 3
    assert "gold_conll_f1_ci_low" in record["metrics"]


def test_other_texts_of_the_same_names_are_not_paired(models, text, tmp_path, capsys):
    rows = [json.loads(line) for line in Path(text).read_text(encoding="utf-8").splitlines()]
    for row in rows[1:3]:
        row["text"] += " 끝."
    other = tmp_path / "people.jsonl"
    other.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    saved = [str(tmp_path / f"{n}.json") for n in range(2)]
    for model, data, path in zip(models, (text, str(other)), saved, strict=True):
        assert run(["evaluate", model, "--data", data, "--save", path]) == 0
    capsys.readouterr()
    assert run(["compare", *saved, "--lang", "en"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "of 4 documents" in out
    assert "on the documents of saved results; said of these two models" in out
    assert "4 items that only one of them was asked left out" in out


def test_text_without_chains_is_refused(models, tmp_path, capsys):
    plain = tmp_path / "plain.txt"
    plain.write_text("김 첨지는 아내를 보았다. " * 20, encoding="utf-8")
    assert run(["evaluate", models[0], "--data", str(plain), "--lang", "en"]) == 1
    assert "has coreference chains" in capsys.readouterr().err
