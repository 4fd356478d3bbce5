"""`resolve`: forms, folders, the standard input, and what is said when something is wrong."""

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from unicodedata import normalize

import pytest
import torch

from coref_k8s.cli.main import run
from coref_k8s.coref.model import new_model
from coref_k8s.corpus.shipped import shipped_tokenizer
from tests.corpus.local_hub import local_hub

TEXT = "김 첨지는 아내를 보았다.\n그는 아내의 손을 잡았다.\n"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    from transformers import AutoTokenizer

    from coref_k8s.model.small import create_small_model

    root = tmp_path_factory.mktemp("model")
    create_small_model(
        root / "encoder",
        AutoTokenizer.from_pretrained(shipped_tokenizer()),
        hidden=32,
        layers=1,
        intermediate=64,
    )
    torch.manual_seed(0)
    made = new_model(str(root / "encoder"), 96)
    with torch.no_grad():
        made.head.start[-1].bias.fill_(1.0)
        made.head.end[-1].bias.fill_(0.0)
    made.save(root / "model")
    return str(root / "model")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "운수 좋은 날.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


SEEN = {
    "table": "called",
    "text": "₁",
    "json": '"clusters"',
    "jsonl": '"clusters"',
    "conllu": "Entity=(e1",
    "conll": "#begin document",
    "html": "<!doctype html>",
}


@pytest.mark.parametrize("form", SEEN)
def test_every_form(model, file, form, capsys):
    assert run(["resolve", model, str(file), "-o", form, "--device", "cpu"]) == 0
    assert SEEN[form] in capsys.readouterr().out


def test_the_standard_input(model, monkeypatch, capsys):
    stream = io.TextIOWrapper(io.BytesIO("\ufeff".encode() + TEXT.encode()), encoding="utf-8")
    monkeypatch.setattr("sys.stdin", stream)
    assert run(["resolve", model, "-", "-o", "jsonl"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert (row["doc_id"], row["text"]) == ("stdin", TEXT)


def test_one_bad_file_of_a_folder_does_not_end_the_run(model, file, tmp_path, capsys):
    (tmp_path / "bad.txt").write_bytes("한국어".encode("cp949"))
    (tmp_path / "rows.jsonl").write_text(
        '{"text": "그가 왔다."}\nnot json\n{"text": "그가 갔다."}\n{"words": 1}\n', encoding="utf-8"
    )
    out = tmp_path / "out"
    code = run(["resolve", model, str(tmp_path), "-o", "conllu", "--output-dir", str(out)])
    said = " ".join(capsys.readouterr().err.split())
    assert code == 1
    assert len(list(out.iterdir())) == 3
    assert "bad.txt" in said
    assert "rows.jsonl:2" in said
    assert "3 documents" in said


def test_files_of_one_name_do_not_overwrite_each_other(model, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.txt").write_text(TEXT, encoding="utf-8")
    out = tmp_path / "out"
    given = [str(tmp_path / folder / "x.txt") for folder in ("a", "b")]
    assert run(["resolve", model, *given, "-o", "json", "--output-dir", str(out)]) == 0
    assert len(list(out.iterdir())) == 2


def test_a_missing_file_is_one_sentence(model, file, capsys):
    assert run(["resolve", model, "nowhere.txt", str(file), "-o", "jsonl"]) == 1
    captured = capsys.readouterr()
    assert "nowhere.txt" in captured.err
    assert len(captured.out.splitlines()) == 1


def test_several_documents_are_not_one_page(model, file, capsys):
    assert run(["resolve", model, str(file), str(file), "-o", "html"]) == 2
    assert "--output-dir" in capsys.readouterr().err


def test_a_model_that_resolves_nothing_is_one_sentence_that_says_what_to_do(model, file, tmp_path, capsys):
    encoder = str(shutil.copytree(Path(model).parent / "encoder", tmp_path / "내 모델"))
    assert run(["resolve", encoder, str(file)]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "no coreference head" in said
    assert f"coref-k8s submit --local --task coreference --model '{encoder}'" in said


@pytest.fixture
def models(study, model):
    """Models of trials 0 and 1 of 512, and of trial 0 of 1024; 512/1 is the best."""
    for trial in ("512/0", "512/1", "1024/0"):
        shutil.copytree(model, Path("data/studies") / study / trial / "model")


@pytest.mark.parametrize(
    ("name", "trial"),
    [("sample", "512/1"), ("sample/512", "512/1"), ("sample/1024", "1024/0"), ("sample/512/0", "512/0")],
)
def test_a_model_is_named_by_its_study(models, name, trial, file, capsys):
    shutil.rmtree(Path("data/studies/sample") / trial / "model")
    assert run(["resolve", name, str(file)]) == 1
    assert "has no model" in capsys.readouterr().err
    (Path("data/studies/sample") / trial / "model").symlink_to(
        Path("data/studies/sample/1024/0/model").absolute()
    )
    if trial != "1024/0":
        assert run(["resolve", name, str(file), "-o", "jsonl"]) == 0
        assert json.loads(capsys.readouterr().out)["mentions"]


def test_a_study_of_another_data_folder(models, file, monkeypatch, tmp_path, capsys):
    from coref_k8s import Resolver

    monkeypatch.chdir(file.parent.parent)
    assert run(["resolve", "sample", str(file)]) == 1
    assert "neither a folder sample nor a study" in " ".join(capsys.readouterr().err.split())
    data = str(tmp_path / "data")
    assert run(["resolve", "sample", str(file), "--data-dir", data]) == 0
    assert Resolver.from_pretrained("sample/1024", data_dir=data, device="cpu")(TEXT).mentions


def test_a_study_is_found_beside_the_folder_of_its_texts(models, file, tmp_path, capsys):
    (tmp_path / "sample").mkdir()
    assert run(["resolve", "sample", str(file), "-o", "jsonl"]) == 0
    assert run(["evaluate", "sample/512", "--data", chains(tmp_path), "-o", "json"]) == 0
    capsys.readouterr()
    assert run(["resolve", "data", str(file)]) == 1
    assert "data holds no model" in " ".join(capsys.readouterr().err.split())


def test_the_folder_that_results_name_is_enough(models, file, tmp_path, capsys):
    assert run(["resolve", "data/studies/sample/512/1", str(file), "-o", "jsonl"]) == 0
    assert run(["evaluate", "data/studies/sample/512/1", "--data", chains(tmp_path), "-o", "json"]) == 0


def chains(folder):
    """A file of documents with gold chains."""
    path = folder / "chains.jsonl"
    rows = [{"text": f"{TEXT}{number}", "clusters": [[[0, 4], [15, 16]]]} for number in range(3)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_names_that_are_almost_a_study(models, file, capsys):
    for name, words in (
        ("sampel", "did you mean 'sample'"),
        ("sample/2048", "does not tune length 2048"),
        ("sample/512/7", "study 'sample' has no trial 7"),
        ("sample/512/best", "neither a folder sample/512/best"),
        ("no/such/place", "neither a folder no/such/place"),
    ):
        assert run(["resolve", name, str(file)]) != 0
        assert words in " ".join(capsys.readouterr().err.split())


def test_documents_of_one_conllu_file_share_no_name_and_no_entity(model, tmp_path, capsys):
    from udapi.core.document import Document as Treebank

    for folder in ("가", "나/다"):
        (tmp_path / "texts" / folder).mkdir(parents=True)
        (tmp_path / "texts" / folder / "글.txt").write_text(TEXT, encoding="utf-8")
    texts = str(tmp_path / "texts")
    assert run(["resolve", model, texts, texts, "-o", "conllu"]) == 0
    written = capsys.readouterr().out
    treebank = Treebank()
    treebank.from_conllu_string(written)
    for one in ("newdoc id", "sent_id"):
        names = [line for line in written.splitlines() if line.startswith(f"# {one} = ")]
        assert len({*names}) == len(names) >= 4, names
    chains = []
    for path in (texts, texts):
        assert run(["resolve", model, path, "-o", "jsonl"]) == 0
        chains += [len(json.loads(line)["clusters"]) for line in capsys.readouterr().out.splitlines()]
    assert len(treebank.coref_entities) == sum(chains)


def test_a_folder_without_text_is_one_sentence(model, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert run(["resolve", model, str(tmp_path / "empty")]) == 1
    assert "no file of text is in this folder" in " ".join(capsys.readouterr().err.split())


def test_a_table_passes_no_command_to_the_terminal(model, tmp_path, capsys):
    rows = tmp_path / "rows.jsonl"
    row = {"doc_id": "\x1b]0;title\x07", "text": "김\x1b[31m 첨지는\x9b2J 아내를 보았다.\n" * 2}
    rows.write_text(json.dumps(row) + "\n", encoding="utf-8")
    assert run(["resolve", model, str(rows), str(tmp_path / "\x1b[31mnowhere.txt")]) == 1
    said = "".join(capsys.readouterr())
    assert "entities with" in said
    assert not {"\x1b", "\x07", "\x9b"} & {*said}


def test_a_table_cuts_no_syllable_in_half(model, tmp_path, capsys):
    """In text whose syllables are taken apart (NFD), as macOS has them."""
    for text in (TEXT, normalize("NFD", TEXT)):
        (tmp_path / "text.txt").write_text(text, encoding="utf-8")
        assert run(["resolve", model, str(tmp_path / "text.txt")]) == 0
        said = capsys.readouterr().out
        assert "아내" in said
        assert not [letter for letter in said if "\u1100" <= letter <= "\u11ff"]


def test_of_a_text_without_chains_no_empty_table_is_shown(model, tmp_path, capsys):
    (tmp_path / "blank.txt").write_text("ㅋ", encoding="utf-8")
    assert run(["resolve", model, str(tmp_path / "blank.txt")]) == 0
    name, counted = capsys.readouterr().out.strip().splitlines()
    assert name == "blank"
    assert counted.startswith("0 entities")


def test_a_file_of_rows_is_several_documents(model, tmp_path, capsys):
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "그가 왔다."}\n{"text": "그가 갔다."}\n', encoding="utf-8")
    assert run(["resolve", model, str(rows), "-o", "html"]) == 2
    assert run(["resolve", model, str(rows), "-o", "conll"]) == 0
    assert capsys.readouterr().out.count("#begin document") == 2


def test_a_file_of_any_name_is_text(model, tmp_path, capsys):
    (tmp_path / "README").write_text(TEXT, encoding="utf-8")
    assert run(["resolve", model, str(tmp_path / "README"), "-o", "jsonl"]) == 0
    assert json.loads(capsys.readouterr().out)["doc_id"] == "README"


def test_offsets_are_those_of_the_file(model, tmp_path, capsys):
    path = tmp_path / "windows.txt"
    text = TEXT.replace("\n", "\r\n")
    for encoding in ("utf-8-sig", "utf-16"):
        path.write_bytes(text.encode(encoding))
        assert run(["resolve", model, str(path), "-o", "jsonl"]) == 0
        row = json.loads(capsys.readouterr().out)
        assert (row["doc_id"], row["text"]) == ("windows", text)


def test_files_that_are_no_text_are_one_sentence(model, tmp_path, capsys):
    for content, words in (
        (b"\x7fELF\0\0\xd0", "NUL bytes"),
        (TEXT.encode("utf-16-le"), "utf-16le"),
        (TEXT.encode("cp949"), "iconv"),
    ):
        (tmp_path / "odd").write_bytes(content)
        assert run(["resolve", model, str(tmp_path / "odd")]) == 1
        said = capsys.readouterr()
        assert words in " ".join(said.err.split())
        assert not said.out


def test_what_is_found_does_not_depend_on_the_other_files(model, tmp_path, capsys):
    rows = tmp_path / "rows.jsonl"
    texts = [TEXT, "그가 왔다.", "", TEXT * 30, "끝."]
    rows.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    found = []
    for windows in ("1", "16"):
        assert run(["resolve", model, str(rows), "-o", "jsonl", "--windows", windows]) in (0, 1)
        found.append(capsys.readouterr().out)
    assert found[0] == found[1]
    assert len(found[0].splitlines()) >= 4


def test_a_model_of_the_hub(model, file, tmp_path):
    """In a process of its own: HF_ENDPOINT is read when huggingface_hub is imported."""
    files = {path.name: path.read_bytes() for path in Path(model).iterdir()}
    with local_hub({"kim/who": files, "kim/plain": {"config.json": b"{}"}}) as (endpoint, _):

        def resolved(name, **more):
            environment = os.environ | {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "home")} | more
            environment.pop("HF_TOKEN", None)
            command = [sys.executable, "-m", "coref_k8s", "resolve", name, str(file), "-o", "jsonl"]
            return subprocess.run(
                command,
                env=environment,
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )

        done = resolved("kim/who")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["text"] == TEXT
        missing, headless = resolved("kim/nobody"), resolved("kim/plain")
    assert missing.returncode
    assert "kim/nobody" in missing.stderr
    assert "head" in headless.stderr
    # what was fetched once is there without a hub
    assert resolved("kim/who", HF_HUB_OFFLINE="1").returncode == 0
