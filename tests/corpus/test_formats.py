"""Every format of text and chains that can be brought, read through the public reader."""

import json
import os
import unicodedata

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from coref_k8s.corpus.extractors import get_extractor
from coref_k8s.corpus.marked import mark, parse_marked
from coref_k8s.corpus.registry import Extracted, register_extractor
from coref_k8s.corpus.shipped import korean_folder, shipped_documents
from coref_k8s.corpus.sources import Loaded, load_documents
from coref_k8s.corpus.validate import main as validate
from coref_k8s.corpus.validate import problems
from coref_k8s.errors import DataError
from coref_k8s.study.spec import DatasetConfig, DataSpec
from coref_k8s.text.clean import clean_text
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
    assert mark(document.text, document.mentions()) == content.partition("\n\n")[2].strip()
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


@pytest.mark.parametrize("head", ["title: a", "id: a\nsplit: other", "id: a\nauthor: b", "id: a\nid: b"])
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


def test_text_is_composed_and_its_chains_are_carried_over(tmp_path):
    apart = "\u1112\u1161\u11ab\u1100\u1173\u11af"  # 한글 in conjoining letters
    text = f"\r\n{apart} e\u0301t {apart}"
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": apart + "\r\n둘"}))
    (tmp_path / "b.jsonl").write_text(
        json.dumps({"text": text, "clusters": {apart: [[2, 8], [13, 19], [9, 12]]}})
    )
    marked = unicodedata.normalize("NFD", "id: 셋째\ntitle: 제목\n\n{1|소람}이 왔다. {1|소람}은 웃었다.\n")
    (tmp_path / "c.coref.txt").write_text(marked, encoding="utf-8")
    (tmp_path / "d.conllu").write_text(unicodedata.normalize("NFD", CONLLU), encoding="utf-8")
    rows = {"sentences": [[apart, "e\u0301"]], "clusters": [[[0, 0], [1, 1]]], "doc_key": "e"}
    (tmp_path / "e.jsonl").write_text(json.dumps(rows))
    (tmp_path / unicodedata.normalize("NFD", "f가.txt")).write_text(apart)
    words = f"#begin document (g); part 000\ng 0 0 {apart} - (0)\ng 0 1 e\u0301 - (1)\n\n#end document\n"
    (tmp_path / "g.conll").write_text(words)
    pieces = {"doc_key": "h", "sentences": [["[CLS]", apart, "##" + apart]], "subtoken_map": [0, 0, 0]}
    (tmp_path / "h.jsonl").write_text(json.dumps({**pieces, "clusters": [[[1, 2]]]}))
    documents = read(tmp_path)[0]
    assert all(unicodedata.is_normalized("NFC", d.text + d.title + d.doc_id) for d in documents)
    assert documents[0].text == "한글\n둘"
    assert mentions(documents[1]) == [("한글", "한글"), ("ét", "한글"), ("한글", "한글")]
    assert mentions(documents[2]) == [("소람", "1"), ("소람", "1")]
    assert mentions(documents[3])[0] == ("김영희는", "e1")
    assert mentions(documents[5]) == [("한글", "0"), ("é", "0")]
    assert documents[6].doc_id == "f가"
    assert mentions(documents[7]) == [("한글", "0"), ("é", "1")]
    assert mentions(documents[8]) == [("한글한글", "0")]


@given(
    st.text(
        st.sampled_from("가각ㄱ한\u1100\u1161\u11a8\u0301\u0315\u0344e\u09c7\u09be\ud83d\0\r\n a\uf900"),
        max_size=12,
    )
)
def test_cleaning_is_the_whole_texts_own_composition(text):
    whole = text.replace("\ud83d", "\ufffd").replace("\0", "\ufffd").replace("\r\n", "\n").replace("\r", "\n")
    cleaned = clean_text(text)
    assert cleaned.text == unicodedata.normalize("NFC", whole)
    assert cleaned.span(0, len(text)) == (0, len(cleaned.text))
    for start in range(len(text)):
        begin, end = cleaned.span(start, start + 1)
        assert begin < end, "no mention becomes empty"
    assert clean_text(cleaned.text).text == cleaned.text


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.jsonl", b'\n{"text": "x"', "a.jsonl:2: not JSON ("),
        ("a.jsonl", b'["x"]', "must be a JSON object"),
        ("a.jsonl", b'{"body_text": "x"}', "none of the columns"),
        ("a.jsonl", b'{"text": 5}', "the column text of a row holds no text but int"),
        ("a.jsonl", b'{"text": "abc", "clusters": [[[0, 9]]]}', "lies outside its text of 3 characters"),
        ("a.txt", b"\xb0\xa1\xb3\xaa", "not UTF-8 ("),
        ("a.parquet", b"PAR0", "Parquet file size is 4 bytes"),
        ("a.jsonl", b'{"text": "abc", "clusters": "[[[0"}', "a.jsonl:1: clusters must be {label: "),
        ("a.jsonl", b'{"text": "abc", "clusters": {"e": [5]}}', "a.jsonl:1: clusters must be {label: "),
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
            "not a list of [first, last]",
        ),
        ("a.conllu", b"a-b" + b"\t_" * 9 + b"\n", "a.conllu:1: 'a-b' is not a range of words"),
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


BAD_LINES = (
    b'{"text": 2}',
    b'{"text": "\xb0\xa1"}',
    b'{"text": "cut',
    b"[1]",
    b'{"title": "x"}',
    b'{"text": "x", "clusters": [[[0, 9]]]}',
)


@pytest.mark.parametrize("bad", BAD_LINES)
def test_a_bad_row_is_left_out_alone_and_counted(tmp_path, caplog, bad):
    lines = [b'{"text": "\xed\x95\x98", "id": 0}', bad, b'{"text": "\xeb\x91\x98", "id": 1}', bad]
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines))
    documents, loaded = read(tmp_path / "a.jsonl")
    assert [(document.doc_id, document.text) for document in documents] == [("0", "하"), ("1", "둘")]
    assert not loaded.skipped
    (message,) = loaded.left_out
    assert str(message).startswith(f"2 rows of {tmp_path / 'a.jsonl'} left out; the first: a.jsonl:2: ")
    assert str(message) in caplog.text


@pytest.mark.parametrize("nothing", ["null", "NaN"])
def test_a_row_without_its_text_does_not_lose_the_others(tmp_path, nothing):
    (tmp_path / "a.jsonl").write_text(
        f'{{"text": "하나"}}\n{{"text": {nothing}, "title": NaN}}\n{{"text": "둘", "title": NaN}}\n'
    )
    documents, loaded = read(tmp_path / "a.jsonl")
    assert [(document.text, document.title) for document in documents] == [("하나", ""), ("둘", "")]
    assert not loaded.skipped
    assert not loaded.left_out


def test_a_user_s_extractor_that_fails_on_a_row_loses_that_row(tmp_path):
    @register_extractor("brittle")
    def brittle(row):
        return {"a": "가", "b": "나"}[row["key"]]

    (tmp_path / "a.jsonl").write_text('{"key": "a"}\n{"key": "x"}\n{"key": "b"}\n')
    documents, loaded = read(
        DatasetConfig(source=str(tmp_path / "a.jsonl"), extractor="brittle", min_length=0)
    )
    assert [document.text for document in documents] == ["가", "나"]
    assert "1 row of" in str(loaded.left_out[0])
    assert "KeyError: 'x'" in str(loaded.left_out[0])
    assert loaded.lost == {0: 1}, "the extractor may be mended"


def test_a_source_that_its_extractor_does_not_suit_is_given_up_early(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"body_text": "가"}\n' * 5000)
    (tmp_path / "b.txt").write_text("나")
    _, loaded = read(tmp_path / "a.jsonl", tmp_path / "b.txt")
    assert "none of the columns" in loaded.skipped[0].reason


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.coref.txt", "a.conllu"])
def test_a_byte_order_mark_is_no_text(tmp_path, name):
    content = {
        "a.txt": "가나",
        "a.jsonl": '{"text": "가나"}',
        "a.coref.txt": "id: a\n\n{1|가나}\n",
        "a.conllu": "1\t가나" + "\t_" * 8 + "\n",
    }[name]
    (tmp_path / name).write_text(content, encoding="utf-8-sig")
    assert [document.text for document in read(tmp_path / name)[0]] == ["가나"]


def test_half_a_letter_and_nul_become_a_sign(tmp_path):
    (tmp_path / "a.jsonl").write_text(r'{"text": "좋아요 \ud83d 그\u0000", "clusters": [[[0, 3], [6, 7]]]}')
    (document,) = read(tmp_path / "a.jsonl")[0]
    assert document.text == "좋아요 \ufffd 그\ufffd"
    assert [text for text, _ in mentions(document)] == ["좋아요", "그"]
    document.text.encode()


@pytest.mark.parametrize(
    "clusters", ["null", "{}", "[]", "[[]]", '{"1": []}', '"{}"', '"[[]]"', "NaN", '{"1": null}']
)
def test_chains_without_a_mention_are_no_gold(tmp_path, clusters):
    (tmp_path / "a.jsonl").write_text(f'{{"text": "가나", "clusters": {clusters}}}')
    (tmp_path / "b.jsonl").write_text('{"doc_key": "b", "sentences": [["가나"]], "clusters": [[]]}')
    assert [document.clusters for document in read(tmp_path)[0]] == [{}, {}]


def test_what_a_folder_holds_is_read_or_named(tmp_path, caplog):
    texts, disk = tmp_path / "texts", tmp_path / "disk"
    (texts / "sub").mkdir(parents=True)
    disk.mkdir()
    (texts / "own.txt").write_text("하나")
    (texts / "sub" / "old.txt").write_bytes("둘".encode("cp949"))
    (texts / "sub" / "own.txt").write_text("둘")
    (texts / "main.jsonl.gz").write_bytes(b"x")
    (texts / "more.json").write_text("[]")
    (texts / "gone.txt").symlink_to("/nowhere/x.txt")
    (disk / "linked.txt").write_text("셋")
    (texts / "linked").symlink_to(disk)
    (disk / "round").symlink_to(texts)
    documents, loaded = read(texts)
    assert {document.doc_id for document in documents} == {"own", "sub/own", "linked/linked"}
    said = "\n".join(map(str, loaded.left_out))
    assert f"2 files of {texts} left out: main.jsonl.gz and more.json" in said
    assert "gone.txt (the link leads nowhere)" in said
    assert "sub/old.txt (not UTF-8" in said
    assert said in "\n".join(record.message for record in caplog.records)
    assert not loaded.skipped
    assert all(message.say("ko") != str(message) for message in loaded.left_out)


def test_no_two_documents_have_one_id(tmp_path):
    for folder in ("a", "b"):
        for year in ("2021", "2022"):
            (tmp_path / folder / year).mkdir(parents=True)
            (tmp_path / folder / year / "001.txt").write_text("글")
            (tmp_path / folder / year / "rows.jsonl").write_text(
                '{"text": "하나", "id": 0}\n{"text": "둘", "id": 1}\n'
            )
    documents = read(tmp_path / "a", tmp_path / "b")[0]
    ids = [document.doc_id for document in documents]
    assert ids[:6] == ["2021/001", "0", "1", "2022/001", "2022/rows-0", "2022/rows-1"]
    assert len(set(ids)) == 12
    assert ids == [document.doc_id for document in read(tmp_path / "a", tmp_path / "b")[0]]


@pytest.mark.parametrize(
    ("extractor", "expected"),
    [
        (None, ["첫째 글.\n이어서.\n\n둘째 글.\n"]),
        ("lines", ["첫째 글.", "이어서.", "둘째 글."]),
        ("paragraphs", ["첫째 글.\n이어서.", "둘째 글.\n"]),
    ],
)
def test_what_a_document_of_a_text_file_is_can_be_said(tmp_path, extractor, expected):
    (tmp_path / "a.txt").write_text("첫째 글.\r\n이어서.\r\n \r\n둘째 글.\r\n".replace(" \r", "\r"))
    (tmp_path / "b.jsonl").write_text('{"text": "셋째"}')
    documents = read(DatasetConfig(source=str(tmp_path), extractor=extractor, min_length=0))[0]
    assert [document.text for document in documents] == [*expected, "셋째"]
    assert len({document.doc_id for document in documents}) == len(documents)


def test_a_home_folder_is_found(tmp_path, monkeypatch):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a#1.txt").write_text("글")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert [document.doc_id for document in read("~/texts")[0]] == ["a#1"]


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


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.conllu", "A.COREF.TXT"])
def test_what_an_editor_of_windows_writes_is_read(tmp_path, name):
    content = {
        "a.txt": TEXT,
        "a.jsonl": json.dumps({"text": TEXT, "clusters": CHAINS}, ensure_ascii=False),
        "a.conllu": CONLLU,
        "A.COREF.TXT": "id: a\n \t\n" + mark(TEXT, [(0, 3, "1"), (18, 20, "1")]),
    }[name]
    found = []
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        (tmp_path / name).write_bytes(content.replace("\n", "\r\n").encode(encoding))
        documents, loaded = read(tmp_path / name)
        assert not loaded.left_out or name == "a.conllu"  # whose annotation has what is not used
        found.append(documents)
    assert found[0] == found[1] == found[2]
    assert TEXT in found[0][0].text or name == "a.conllu"


def test_files_put_together_keep_every_line(tmp_path):
    line = json.dumps({"text": TEXT}).encode()
    (tmp_path / "all.jsonl").write_bytes(b"".join(b"\xef\xbb\xbf" + line + b"\r\n" for _ in range(3)))
    documents, loaded = read(tmp_path / "all.jsonl")
    assert [document.text for document in documents] == [TEXT] * 3
    assert not loaded.left_out


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (TEXT.encode("cp949"), "iconv -f cp949 -t utf-8"),
        (TEXT.encode() + TEXT.encode("cp949"), f"from byte {len(TEXT.encode()) + 1} on"),
        (TEXT.encode()[:-2], "cut off"),
        (TEXT.encode("utf-16-be"), "utf-16le"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "format PDF"),
        (b"\x1f\x8b\x08\x00", "format gzip"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "hwp"),
    ],
)
def test_bytes_that_are_no_text_are_called_what_they_are(tmp_path, content, sentence):
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(DataError) as error:
        read(tmp_path / "a.txt")
    assert sentence in str(error.value)
    assert ("cp949" in str(error.value)) == ("cp949" in sentence), "no advice that cannot help"


@pytest.mark.parametrize("blank", ["", " \t", "\u3000", "\u00a0"])
def test_a_line_that_looks_blank_parts_documents(tmp_path, blank):
    (tmp_path / "all.txt").write_text(f"{TEXT}\n{blank}\n{TEXT}\n", encoding="utf-8")
    documents, _ = read(DatasetConfig(source=str(tmp_path / "all.txt"), min_length=0, extractor="paragraphs"))
    assert [document.text.strip() for document in documents] == [TEXT] * 2


def test_a_value_that_python_cannot_hold_costs_its_row_alone(tmp_path):
    times = pyarrow.array([0, 10**18, 1], pyarrow.timestamp("ms"))
    parquet.write_table(pyarrow.table({"text": [TEXT] * 3, "at": times}), tmp_path / "a.parquet")
    documents, loaded = read(tmp_path / "a.parquet")
    assert len(documents) == 2
    assert "a.parquet: row 2: a value of it cannot be read" in str(loaded.left_out[0])


def test_conllu_of_careless_writers_is_read(tmp_path):
    words = CONLLU.replace("\n\n", "\n \n").replace("2-3\t", "2-2000000000\t")
    (tmp_path / "a.conllu").write_text(words, encoding="utf-8")
    first = read(tmp_path / "a.conllu")[0][0]
    (tmp_path / "b.conllu").write_text(CONLLU.replace("2-3\t", "2-5\t"), encoding="utf-8")
    assert first.text == read(tmp_path / "b.conllu")[0][0].text
    assert "그 자리" in first.text, "the token ends with its sentence"


def test_chains_in_the_old_notation_of_corefud_are_not_passed_over_in_silence(tmp_path):
    row = "1\t소람은\t_\t_\t_\t_\t_\t_\t_\tClusterId=e1|MentionSpan=1\n\n"
    (tmp_path / "old.conllu").write_text(row, encoding="utf-8")
    documents, loaded = read(tmp_path / "old.conllu")
    assert not documents[0].clusters
    assert "1 mention in the notation of CorefUD before 1.0" in str(loaded.left_out[0])


def test_a_place_is_named_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.conllu").write_text("1\tx\n", encoding="utf-8")
    with pytest.raises(DataError) as error:
        read("a.conllu")
    assert str(error.value).count("a.conllu:") == 1


def test_what_is_no_file_is_named_and_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text(TEXT, encoding="utf-8")
    os.mkfifo("texts/pipe.txt")
    documents, loaded = read("texts")
    assert len(documents) == 1
    assert "pipe.txt is neither a file nor a folder" in str(loaded.left_out[0])
    with pytest.raises(DataError, match="a pipe or a device"):
        read("texts/pipe.txt")
    os.symlink("nowhere", "linked")
    with pytest.raises(DataError, match="linked does not exist"):
        read("linked")
