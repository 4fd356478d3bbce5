"""Every format of text and chains that can be brought, read through the public reader."""

import json

import pyarrow
import pytest
from pyarrow import parquet

from coref_k8s.corpus.marked import format_marked, parse_marked
from coref_k8s.corpus.registry import Extracted, get_extractor, register_extractor
from coref_k8s.corpus.shipped import korean_folder, shipped_documents
from coref_k8s.corpus.sources import Loaded, load_documents
from coref_k8s.corpus.validate import main as validate
from coref_k8s.corpus.validate import problems
from coref_k8s.errors import DataError
from coref_k8s.study.spec import DatasetConfig, DataSpec
from coref_k8s.text.document import Document

TEXT = "김영희는 나루터에 앉아 있었다. 그녀는 사공을 기다렸다."
CHAINS = {"1": [(0, 3), (18, 20)]}

CONLLU = """# global.Entity = eid-etype-head-other
# newdoc id = d1
# newpar
# sent_id = 1
1\t김영희는\t_\t_\t_\t_\t_\t_\t_\tEntity=(e1-person-1-)
2-3\t나루터에서\t_\t_\t_\t_\t_\t_\t_\t_
2\t나루터\t_\t_\t_\t_\t_\t_\t_\tEntity=(e2-place-1-
3\t에서\t_\t_\t_\t_\t_\t_\t_\tEntity=e2)
3.1\t_\t_\t_\t_\t_\t_\t_\t_\tEntity=(e1-person-1-)
4\t앉았다\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No
5\t.\t_\t_\t_\t_\t_\t_\t_\t_

# newpar
1\t그\t_\t_\t_\t_\t_\t_\t_\tEntity=(e2-place-2-(e3-x-1-)
2\t자리\t_\t_\t_\t_\t_\t_\t_\tEntity=e2)|SpaceAfter=No
3\t,\t_\t_\t_\t_\t_\t_\t_\t_
4\t그녀\t_\t_\t_\t_\t_\t_\t_\tEntity=(e1-person-1-)(e4[1/2]-x-1-)

# newdoc id = d2
1\t끝\t_\t_\t_\t_\t_\t_\t_\t_
"""


def read(*sources, **data):
    configs = [
        DatasetConfig(source=str(s), min_length=0) if not isinstance(s, DatasetConfig) else s for s in sources
    ]
    loaded = Loaded()
    documents = [document for document, _ in load_documents(DataSpec(sources=configs, **data), loaded=loaded)]
    return documents, loaded


def mentions(document):
    return [(document.text[start:end], label) for start, end, label in document.mentions()]


def test_marked_text_is_read_and_written_back():
    content = "id: a\ntitle: 나루\ndomain: story\nsplit: dev\n\n{1|김영희}는 {3|{2|나루터}의 주인}과 {1|그녀}의 {2|나루터}, {3|주인}\n"
    document = parse_marked(content, where="a")
    assert (document.doc_id, document.title, document.domain, document.split) == ("a", "나루", "story", "dev")
    assert document.text == "김영희는 나루터의 주인과 그녀의 나루터, 주인"
    assert mentions(document)[:3] == [("김영희", "1"), ("나루터의 주인", "3"), ("나루터", "2")]
    assert format_marked(document) == content
    assert problems(document) == []


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("{1|가", "never closed"),
        ("가}", "closes nothing"),
        ("{가}", "without 'N|'"),
        ("가|나", "outside a mention"),
    ],
)
def test_faults_of_marked_text_are_named_with_their_place(body, fault):
    with pytest.raises(DataError, match=f"^x.coref.txt: .*{fault}"):
        parse_marked(f"id: a\n\n{body}\n", where="x.coref.txt")


@pytest.mark.parametrize("head", ["title: a", "id: a\nsplit: other", "id: a\nauthor: b"])
def test_faults_of_the_header_are_named(head):
    with pytest.raises(DataError, match=r"^x: "):
        parse_marked(f"{head}\n\n가\n", where="x")


@pytest.mark.parametrize(
    ("clusters", "fault"),
    [
        ({"1": [(0, 3)]}, "a chain needs two"),
        ({"1": [(0, 3), (2, 90)]}, "outside the text"),
        ({"1": [(0, 3), (17, 20)]}, "starts or ends with a blank"),
        ({"1": [(0, 3), (5, 8)], "2": [(0, 3), (9, 11)]}, "marked 2 times"),
        ({"1": [(0, 7), (18, 20)], "2": [(5, 8), (21, 23)]}, "crosses"),
    ],
)
def test_the_validator_finds_unsound_chains(clusters, fault):
    assert any(fault in problem for problem in problems(Document("d", TEXT, clusters)))


def test_the_shipped_documents_are_sound_and_many(tmp_path, capsys):
    files = sorted((korean_folder() / "documents").glob("*.coref.txt"))
    assert len(files) >= 40
    assert validate([str(file) for file in files]) == 0
    bad = tmp_path / "bad.coref.txt"
    bad.write_text("id: a\n\n{1|가}나\n", encoding="utf-8")
    assert validate([str(bad), str(files[0]), str(files[0])]) == 1
    assert "a chain needs two" in capsys.readouterr().out
    assert {document.split for document in shipped_documents()} == {"train", "dev", "test"}


def test_a_folder_of_all_formats(tmp_path):
    (tmp_path / "a.txt").write_text("﻿가나다라", encoding="utf-8")
    (tmp_path / "b.jsonl").write_text(
        json.dumps({"text": "첫째"}) + "\n\n" + json.dumps({"content": "둘째", "id": 7})
    )
    parquet.write_table(pyarrow.table({"document": ["셋째"], "title": ["제목"]}), tmp_path / "c.parquet")
    (tmp_path / "d.coref.txt").write_text("id: dd\ndomain: story\n\n{1|가} {1|가}\n", encoding="utf-8")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "e.conllu").write_text(CONLLU, encoding="utf-8")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "f.txt").write_text("숨은 글")
    (tmp_path / "notes.md").write_text("읽지 않는다")
    documents, loaded = read(tmp_path)
    assert [document.text for document in documents[:5]] == ["가나다라", "첫째", "둘째", "셋째", "가 가"]
    assert [document.doc_id for document in documents] == ["a", "b-0", "7", "c-0", "dd", "d1", "d2"]
    assert documents[4].domain == "story"
    assert loaded.documents == {str(tmp_path): 7}
    assert {document.source for document in documents} == {str(tmp_path)}


def test_conllu_entities(tmp_path):
    (tmp_path / "e.conllu").write_text(CONLLU, encoding="utf-8")
    document = read(tmp_path / "e.conllu")[0][0]
    assert document.text == "김영희는 나루터에서 앉았다.\n그 자리, 그녀"
    assert mentions(document) == [
        ("김영희는", "e1"),
        ("나루터에서", "e2"),
        ("그 자리", "e2"),
        ("그", "e3"),
        ("그녀", "e1"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("Entity=e2)\n3.1", "_\n3.1", "never closed"),
        ("Entity=(e2-place-1-\n", "_\n", "not opened"),
        ("4\t앉았다\t_", "4\t앉았다", "9 columns"),
    ],
)
def test_faults_of_conllu_are_named(tmp_path, old, new, fault):
    assert old in CONLLU
    (tmp_path / "e.conllu").write_text(CONLLU.replace(old, new), encoding="utf-8")
    with pytest.raises(DataError, match=f"e.conllu.*{fault}"):
        read(tmp_path / "e.conllu")


def test_koconovel_rows(tmp_path):
    row = {
        "doc_id": "k1",
        "title_ko": "나루",
        "text": TEXT,
        "clusters": {"A": [[0, 3], [18, 20]], "B": [[5, 8]]},
    }
    (tmp_path / "n.jsonl").write_text(json.dumps(row, ensure_ascii=False))
    document = read(tmp_path / "n.jsonl")[0][0]
    assert (document.doc_id, document.title) == ("k1", "나루")
    assert mentions(document) == [("김영희", "A"), ("나루터", "B"), ("그녀", "A")]


def test_ontonotes_style_rows(tmp_path):
    row = {
        "doc_key": "o1",
        "sentences": [["김영희는", "나루터에", "앉았다", "."], ["그녀는", "갔다", "."]],
        "clusters": [[[0, 0], [4, 4]], [[1, 2], [5, 6]]],
    }
    (tmp_path / "o.jsonlines").write_text(json.dumps(row))
    document = read(tmp_path / "o.jsonlines")[0][0]
    assert document.text == "김영희는 나루터에 앉았다 .\n그녀는 갔다 ."
    assert mentions(document) == [
        ("김영희는", "0"),
        ("나루터에 앉았다", "1"),
        ("그녀는", "0"),
        ("갔다 .", "1"),
    ]


def test_text_is_normalised_unless_chains_count_its_characters(tmp_path):
    apart = "\u1112\u1161\u11ab\u1100\u1173\u11af"  # 한글 in conjoining letters
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": apart + "\r\n둘"}))
    (tmp_path / "b.jsonl").write_text(json.dumps({"text": apart, "clusters": [[[0, 3], [3, 6]]]}))
    texts = [document.text for document in read(tmp_path)[0]]
    assert texts == ["한글\n둘", apart]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.jsonl", b'\n{"text": "x"', "line 2: not JSON ("),
        ("a.jsonl", b'["x"]', "must be a JSON object"),
        ("a.jsonl", b'{"body_text": "x"}', "none of the columns"),
        ("a.jsonl", b'{"text": 5}', "the column text of a row holds no text but int"),
        ("a.jsonl", b'{"text": "abc", "clusters": [[[0, 9]]]}', "lies outside its text of 3 characters"),
        ("a.txt", b"\xb0\xa1\xb3\xaa", "not UTF-8 ("),
        ("a.parquet", b"PAR0", "Parquet file size is 4 bytes"),
        ("a.jsonl", b'{"text": "abc", "clusters": "[[[0"}', "row 1: clusters must be {label: "),
        ("a.jsonl", b'{"text": "abc", "clusters": {"e": [5]}}', "row 1: clusters must be {label: "),
        (
            "a.jsonl",
            b'{"doc_key": "d", "sentences": ["ab c"], "clusters": []}',
            "sentences must be lists of tokens",
        ),
        (
            "a.jsonl",
            b'{"doc_key": "d", "sentences": [["ab"]], "clusters": [[[0, 1]]]}',
            "beyond its 1 tokens",
        ),
        (
            "a.jsonl",
            b'{"doc_key": "d", "sentences": [["ab"]], "clusters": [[[-1, 0]]]}',
            "beyond its 1 tokens",
        ),
        (
            "a.jsonl",
            b'{"doc_key": "d", "sentences": [["ab"]], "clusters": [[0]]}',
            "no list of [first, last]",
        ),
        ("a.conllu", b"a-b" + b"\t_" * 9 + b"\n", "line 1: 'a-b' is no range of words"),
        ("a.jsonl", b"", "holds no documents"),
        ("a.doc", b"x", "ends in none of"),
    ],
)
def test_a_bad_file_is_left_out_with_one_warning_and_the_rest_goes_on(
    tmp_path, caplog, name, content, reason
):
    (tmp_path / name).write_bytes(content)
    good = tmp_path / "good.txt"
    good.write_text("좋은 글")
    documents, loaded = read(tmp_path / name, good)
    assert [document.text for document in documents] == ["좋은 글"]
    assert [(lost.source, lost.documents) for lost in loaded.skipped] == [(str(tmp_path / name), 0)]
    assert reason in loaded.skipped[0].reason
    assert len(caplog.records) == 1
    assert loaded.skipped[0].reason in caplog.text


def test_documents_before_a_fault_are_kept(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "하나"}\n{"text": 2}\n')
    documents, loaded = read(tmp_path / "a.jsonl")
    assert [document.text for document in documents] == ["하나"]
    assert loaded.skipped[0].documents == 1


def test_a_row_without_its_text_does_not_lose_the_others(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "하나"}\n{"text": null}\n{"text": "둘"}\n')
    documents, loaded = read(tmp_path / "a.jsonl")
    assert [document.text for document in documents] == ["하나", "둘"]
    assert not loaded.skipped


def test_domains_choose_sources(tmp_path):
    (tmp_path / "a.txt").write_text("가")
    config = DatasetConfig(source=str(tmp_path / "a.txt"), domain="story", quality_weight=3)
    document = read(config)[0][0]
    assert (document.domain, document.weight) == ("story", 3)


def test_a_registered_extractor_reads_its_rows(tmp_path):
    @register_extractor("lectures")
    def lectures(row):
        return Extracted(row["speech"], group=row["session"]) if row["speech"] else None

    (tmp_path / "a.jsonl").write_text('{"speech": "발언", "session": "s"}\n{"speech": "", "session": "s"}\n')
    config = DatasetConfig(source=str(tmp_path / "a.jsonl"), extractor="lectures")
    pairs = list(load_documents(DataSpec(sources=[config])))
    assert [(document.text, group) for document, group in pairs] == [("발언", "s")]
    with pytest.raises(DataError, match=r"'lecturs' is not registered; known are .*lectures"):
        get_extractor("lecturs")


def test_the_text_of_kiwi_free_sources_is_bounded_by_the_budget(tmp_path):
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": "가" * 100}) + "\n" for _ in range(50)))
    spec = DataSpec(sources=[DatasetConfig(source=str(tmp_path / "a.jsonl"))])
    assert len(list(load_documents(spec, char_budget=450))) == 5
