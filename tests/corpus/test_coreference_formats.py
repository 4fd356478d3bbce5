"""Coreference as others keep it: CorefUD, CoNLL-2012, word pieces, KoCoNovel, JSON after CorefUD; and their licences."""

import json

import pytest

from coref_k8s.corpus.conllu import read_conllu
from coref_k8s.corpus.corefud_rows import corefud_row
from coref_k8s.corpus.licences import licence_of_source
from coref_k8s.corpus.shipped import korean_folder
from coref_k8s.corpus.sources import Loaded, load_documents
from coref_k8s.errors import DataError
from coref_k8s.study.spec import DatasetConfig, DataSpec


def read(path, **config):
    loaded = Loaded()
    sources = [DatasetConfig(source=str(path), min_length=0, **config)]
    pairs = list(load_documents(DataSpec(sources=sources), loaded=loaded))
    return [document for document, _ in pairs], [group for _, group in pairs], loaded


def chains(document):
    return {
        label: [document.text[start:end] for start, end in spans]
        for label, spans in document.clusters.items()
    }


# --- CorefUD


def conllu(*sentences, entity="eid-etype-head-other", newdoc="# newdoc id = d"):
    """Sentences of `id form head misc`, blanks between columns."""
    lines = [f"# global.Entity = {entity}", newdoc]
    for sentence in sentences:
        for word in sentence.strip().splitlines():
            if word.strip().startswith("#"):
                lines.append(word.strip())
                continue
            name, form, head, misc = word.split()
            lines.append("\t".join([name, form, "_", "_", "_", "_", head, "_", "_", misc]))
        lines.append("")
    return "\n".join(lines) + "\n"


def parsed(*sentences, **how):
    (document,) = read_conllu(conllu(*sentences, **how).splitlines(keepends=True), where="f.conllu")
    return document


def test_a_mention_may_begin_or_end_with_a_dropped_argument():
    document = parsed(
        """
        1    소람은 4 Entity=(e1-person-1-)
        1.1  _      _ Entity=(e2-letter-3-
        2    쓴     3 _
        3    편지를 4 Entity=e2)
        4    읽었다 0 Entity=(e3-event-1-
        4.1  _      _ Entity=e3)
        """,
        "1 편지는 2 Entity=(e2-letter-1-)\n2 길었다 0 _",
    )
    assert chains(document) == {"e1": ["소람은"], "e2": ["쓴 편지를", "편지는"], "e3": ["읽었다"]}
    # the ordinal of a head counts dropped arguments: the third of (1.1, 2, 3)
    assert document.words.head((4, 9)) == 2
    assert not document.zeros


def test_a_dropped_argument_alone_is_kept_by_its_place_and_counted():
    document = parsed("1 소람은 2 Entity=(e1-person-1-)\n1.1 _ _ Entity=(e1-person-1-)\n2 왔다 0 _")
    assert chains(document) == {"e1": ["소람은"]}
    assert document.zeros == {"e1": [3]}
    assert document.beyond == {"zero": 1}


def test_mentions_in_several_pieces_are_counted_unless_only_dropped_arguments_part_them():
    document = parsed(
        """
        1   둘   0 Entity=(e1[1/2]-x-1-)
        2   만   1 _
        3   함께 1 Entity=(e1[2/2]-x-1-)
        4   큰   1 Entity=(e2[1/2]-x-3-)
        4.1 _    _ _
        5   집   1 Entity=(e2[2/2]-x-3-)
        """
    )
    assert chains(document) == {"e2": ["큰 집"]}
    assert document.beyond == {"discontinuous": 1}


def test_nested_crossing_and_equal_brackets_of_one_token():
    document = parsed(
        """
        1 큰   2 Entity=(e1-x-2-(e2-x-3-
        2 집   3 _
        3 마당 4 Entity=e1)
        4 쪽   0 Entity=e2)
        5 우리 4 Entity=(e4-x-2-(e4-x-1-)
        6 둘   4 Entity=e4)(e5-x-1-)|Entity=(e6-x-1-)
        """
    )
    assert chains(document) == {
        "e1": ["큰 집 마당"],
        "e2": ["큰 집 마당 쪽"],
        "e4": ["우리", "우리 둘"],
        "e5": ["둘"],
        "e6": ["둘"],
    }


def test_bridging_and_split_antecedents_are_counted(tmp_path):
    (tmp_path / "a.conllu").write_text(
        conllu(
            """
            1 소람과 3 Entity=(e1-x-1-)
            2 누리가 3 Entity=(e2-x-1-)
            3 왔다   0 _
            """,
            """
            1 둘은 2 Entity=(e3-x-1-)|SplitAnte=e1<e3,e2<e3|Bridge=e1<e3:part,e2<e3
            2 갔다 0 _
            """,
        )
    )
    (document,), _, loaded = read(tmp_path / "a.conllu")
    assert document.beyond == {"split-antecedent": 1, "bridging": 2}
    said = str(loaded.left_out[0])
    assert "2 bridging links" in said
    assert "1 entity with split antecedents" in said
    assert "연관 조응 링크 2개" in loaded.left_out[0].say("ko")


def test_a_mention_inside_a_token_has_the_whole_token():
    document = parsed("1-2 그녀에게 _ _\n1 그녀 0 Entity=(e1-x-1-)\n2 에게 1 _\n3 갔다 1 _")
    assert chains(document) == {"e1": ["그녀에게"]}
    assert document.beyond == {"part-of-token": 1}
    assert document.words.spans[:2] == [(0, 4), (0, 4)]


def test_byte_order_mark_line_ends_paragraphs_and_documents(tmp_path):
    content = (
        conllu(
            "# newpar\n1 가 0 Entity=(e1-x-1-)|SpaceAfter=No\n2 . 1 _",
            "# newpar id = p2\n1 나 0 Entity=(e1-x-1-)",
        )
        + "# newdoc\n1\t다\t_\t_\t_\t_\t0\t_\t_\t_\n"
    )
    path = tmp_path / "w.conllu"
    path.write_bytes(b"\xef\xbb\xbf" + content.replace("\n", "\r\n").encode())
    documents, _, _ = read(path)
    assert [document.text for document in documents] == ["가.\n나", "다"]
    assert chains(documents[0]) == {"e1": ["가", "나"]}


def test_attributes_may_stand_in_another_order():
    document = parsed("1 가 0 Entity=(person-7-new-1)\n2 나 1 _", entity="entity-GRP-infstat-head")
    assert chains(document) == {"7": ["가"]}


def test_decomposed_letters_are_composed_and_everything_follows(tmp_path):
    decomposed = "\u1100\u1161\u11a8\u1103\u1169"  # 각도 in conjoining letters
    (tmp_path / "n.conllu").write_text(
        conllu(
            f"1 {decomposed} 2 Entity=(e1-x-1-)\n1.1 _ _ Entity=(e2-x-1-)\n2 {decomposed} 0 Entity=(e1-x-1-)"
        )
    )
    (document,), _, _ = read(tmp_path / "n.conllu")
    assert document.text == "각도 각도"
    assert document.clusters == {"e1": [(0, 2), (3, 5)]}
    assert document.words.spans == [(0, 2), (3, 5)]
    assert document.words.heads == {(0, 2): 0, (3, 5): 1}
    assert document.zeros == {"e2": [2]}


# --- CoNLL-2012

CONLL = """#begin document (story/a); part 000
story/a 0 0 김영희는 NNP * - - - - * (1)
story/a 0 1 나루터에 NNG * - - - - * (2|(3)
story/a 0 2 앉았다   VV  * - - - - * 2)

story/a 0 0 그녀는   NP  * - - - - * (1)
story/a 0 1 갔다     VV  * - - - - * -
#end document
#begin document (story/a); part 001
story/a 1 0 끝       NNG * - - - - * (1)|(1)
#end document
"""


def test_parts_of_conll_2012(tmp_path):
    (tmp_path / "a.v4_gold_conll").write_text(CONLL)
    documents, groups, loaded = read(tmp_path / "a.v4_gold_conll")
    assert [document.doc_id for document in documents] == ["story/a_0", "story/a_1"]
    assert groups == ["story/a", "story/a"]
    assert documents[0].text == "김영희는 나루터에 앉았다\n그녀는 갔다"
    assert chains(documents[0]) == {"1": ["김영희는", "그녀는"], "2": ["나루터에 앉았다"], "3": ["나루터에"]}
    assert documents[1].beyond == {"twice": 1}
    assert "marked twice" in str(loaded.left_out[0])


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("(2|(3)", "(3)", "a.conll:4: entity 2 is closed but was not opened"),
        ("* 2)", "* -", "entity 2 of document story/a is never closed"),
        ("#begin document (story/a); part 000\n", "", "a.conll:1: no '#begin document'"),
        ("story/a 0 1 갔다     VV  * - - - - * -", "a 0 1 갔다", "a.conll:7: 4 columns"),
    ],
)
def test_faults_of_conll_2012_are_named(tmp_path, old, new, fault):
    assert old in CONLL
    (tmp_path / "a.conll").write_text(CONLL.replace(old, new))
    with pytest.raises(DataError) as raised:
        read(tmp_path / "a.conll")
    assert fault in str(raised.value)


@pytest.mark.parametrize("column", ["doc_id", "doc_key", "id"])
@pytest.mark.parametrize("pieces", [{}, {"subtoken_map": [0]}])
def test_a_document_may_be_called_0(tmp_path, column, pieces):
    row = {column: 0, "sentences": [["그녀는"]], "clusters": [], **pieces}
    (tmp_path / "numbered.jsonl").write_text(json.dumps(row))
    (document,), _, _ = read(tmp_path / "numbered.jsonl")
    assert document.doc_id == "0"


# --- word pieces


def pieces(tmp_path, **row):
    (tmp_path / "p.jsonlines").write_text(json.dumps({"doc_key": "p", **row}, ensure_ascii=False))
    (document,), _, loaded = read(tmp_path / "p.jsonlines")
    return document, loaded


def test_word_pieces(tmp_path):
    document, loaded = pieces(
        tmp_path,
        sentences=[
            ["[CLS]", "김영", "##희", "##는", "나루", "##터에", "[SEP]"],
            ["[CLS]", "그녀", "##는", "[UNK]"],
        ],
        subtoken_map=[0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 3],
        sentence_map=[0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1],
        clusters=[[[1, 2], [8, 8]], [[4, 5]]],
    )
    assert document.text == "김영희는 나루터에\n그녀는 \ufffd"
    assert chains(document) == {"0": ["김영희", "그녀"], "1": ["나루터에"]}
    assert "1 piece that a tokeniser did not know" in str(loaded.left_out[0])


def test_sentencepiece_and_a_flat_list(tmp_path):
    document, _ = pieces(
        tmp_path,
        sentences=["▁김영", "희", "는", "▁왔다", "<unk>"],
        subtoken_map=[0, 0, 0, 1, 1],
        clusters=[[[0, 1]]],
    )
    assert document.text == "김영희는 왔다\ufffd"
    assert chains(document) == {"0": ["김영희"]}


def test_byte_level_pieces_that_cut_a_syllable(tmp_path):
    shown = {byte: chr(byte) for byte in [*range(33, 127), *range(0xA1, 0xAD), *range(0xAE, 0x100)]}
    hidden = (byte for byte in range(256) if byte not in shown)
    letters = shown | {byte: chr(256 + number) for number, byte in enumerate(hidden)}
    written = "".join(letters[byte] for byte in " 누리는".encode())
    assert written.startswith("Ġ")
    # the first piece ends inside 리
    document, _ = pieces(
        tmp_path,
        sentences=[[written[:5], written[5:7], written[7:]]],
        subtoken_map=[0, 0, 0],
        clusters=[[[0, 0]], [[0, 1]], [[2, 2]]],
    )
    assert document.text == "누리는"
    assert chains(document) == {"0": ["누리"], "1": ["누리"], "2": ["는"]}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"subtoken_map": [0]}, "3 pieces, but subtoken_map names 1"),
        ({"clusters": [[[1, 3]]]}, "beyond its 3 tokens"),
    ],
)
def test_faults_of_word_pieces_are_named(tmp_path, change, fault):
    row = {"sentences": [["가", "나", "다"]], "subtoken_map": [0, 1, 2], "clusters": [[[0, 0]]], **change}
    with pytest.raises(DataError, match=fault):
        pieces(tmp_path, **row)


# --- KoCoNovel


def novel(folder, name="7_나루", **changes):
    texts = [
        {"doc_id": "7_0", "text": "누리가 왔다.\n그는 웃었다."},
        {"doc_id": "7_0", "text": "우리는 갔다."},
    ]
    separate = [
        [[["0", "2", "누리", "A"], ["8", "9", "그", "A"]]],
        [[["0", "2", "우리", "A+B"]], [["4", "6", "왔다", "C"]]],
    ]
    overlapped = [separate[0], [[["0", "2", "우리", "A"]], [["0", "2", "우리", "B"]]]]
    chains = [
        {"doc_id": "7_0", "omniscent_separate": one, "reader_overlapped": other, "speakers": []}
        for one, other in zip(separate, overlapped, strict=True)
    ]
    place = folder / "data" / "jsonl" / name
    place.mkdir(parents=True)
    for file, rows in (("text.jsonl", texts), ("coref.jsonl", changes.get("chains", chains))):
        (place / file).write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    for version in ("omniscent_separate", "reader_overlapped"):
        copy = folder / "data" / "conll" / version / name / "0.conll"
        copy.parent.mkdir(parents=True)
        copy.write_text("#begin document (7); part 0\n7 0 0 누리가 - - (0)\n#end document\n")
    return place


def test_a_novel_is_one_document_and_its_version_is_said(tmp_path):
    novel(tmp_path)
    (document,), _, loaded = read(tmp_path)
    assert document.doc_id == "7_나루"
    assert document.text == "누리가 왔다.\n그는 웃었다.\n우리는 갔다."
    assert chains(document) == {"A": ["누리", "그"], "A+B": ["우리"]}
    said = [str(message) for message in loaded.left_out]
    assert "chains of KoCoNovel taken as omniscent_separate" in said[0]
    assert any("1 mention whose string is not what stands in the text" in one for one in said)


def test_another_version_of_a_novel(tmp_path):
    novel(tmp_path)
    (document,), _, _ = read(tmp_path, subset="reader_overlapped")
    assert chains(document) == {"A": ["누리", "그", "우리"], "B": ["우리"]}
    with pytest.raises(DataError, match="no version 'mine' of its chains; there are omniscent_separate"):
        read(tmp_path, subset="mine")


def test_of_the_conll_copies_one_version_is_read(tmp_path):
    novel(tmp_path)
    documents, groups, _ = read(tmp_path / "data" / "conll")
    assert [(document.doc_id, group) for document, group in zip(documents, groups, strict=True)] == [
        ("7_0", "omniscent_separate/7_나루/7")
    ]


def test_chains_of_other_parts_are_refused(tmp_path):
    novel(tmp_path, chains=[{"doc_id": "7_0", "omniscent_separate": []}])
    with pytest.raises(DataError, match=r"text\.jsonl has 2 parts and coref\.jsonl 1, not the same ones"):
        read(tmp_path)


# --- JSON after CorefUD

TOKENS = [
    {"ord": 1.0, "form": "소람은", "head": 2, "misc": "_"},
    {"ord": 1.5, "form": "_", "head": None, "misc": "_"},
    {"ord": 2.0, "form": "왔다", "head": 0, "misc": "SpaceAfter=No"},
    {"ord": 3.0, "form": ".", "head": 2, "misc": "_"},
]


def test_rows_with_entities_of_spans():
    document = corefud_row(
        {
            "doc_id": "r",
            "sentences": [{"sent_id": "s1", "tokens": TOKENS}, {"sent_id": "s2", "tokens": TOKENS[2:]}],
            "coref_entities": [
                [{"sent_id": "s1", "span": "1"}, {"sent_id": "s1", "span": "1.5"}],
                [
                    {"sent_id": "s1", "span": "1.5-2"},
                    {"sent_id": "s2", "span": "2,3"},
                    {"sent_id": "s1", "span": "1,3"},
                ],
            ],
        }
    )
    assert document.text == "소람은 왔다. 왔다."
    assert chains(document) == {"0": ["소람은"], "1": ["왔다", "왔다."]}
    assert document.beyond == {"zero": 1, "discontinuous": 1}
    assert document.words.head((0, 6)) == 1


def test_rows_with_chains_of_tokens(tmp_path):
    row = {
        "id": "r",
        "text": "소람은 왔다.",
        "sentences": [{"id": 1, "tokens": [{"id": 1, "text": "소람은"}, {"id": 2, "text": "왔다"}]}] * 2,
        "coref_chains": [[[0, 0, 0], [1, 0, 1]]],
    }
    (tmp_path / "r.jsonl").write_text(json.dumps(row))
    (document,), _, _ = read(tmp_path / "r.jsonl")
    assert chains(document) == {"0": ["소람은", "소람은 왔다"]}


def test_a_column_of_conllu():
    row = {"id": "x", "conllu": conllu("1 가 0 Entity=(e1-x-1-)")}
    assert chains(corefud_row(row)) == {"e1": ["가"]}


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ({"tokens": ["가"]}, "missing is sentences and coref_entities / coref_chains; there are tokens"),
        ({"sentences": [{"tokens": []}], "labels": []}, "missing is coref_entities / coref_chains"),
        ({"sentences": [["가"]], "coref_chains": [[[0, 0, 0]]]}, "sentences must be lists of tokens"),
        (
            {"id": "r", "sentences": [{"tokens": TOKENS}], "coref_chains": [[[0, 0, 9]]]},
            r"document r: mention \[0, 0, 9\] names a token that is not there",
        ),
    ],
)
def test_what_is_missing_in_a_row_is_said(row, fault):
    with pytest.raises(DataError, match=fault):
        corefud_row(row)


# --- licences


def test_licences_of_ready_made_sources(tmp_path):
    novel(tmp_path / "novels")
    (tmp_path / "ud").mkdir()
    (tmp_path / "ud" / "ko_ecmt-corefud-train.conllu").write_text(conllu("1 가 0 _"))
    found = {
        source: licence_of_source(str(source)).licence
        for source in (
            tmp_path / "novels",
            tmp_path / "ud",
            "Elda-AI/elda-coref-ko-v2",
            korean_folder() / "documents",
            "people:10",
            "klue/klue",
        )
    }
    assert list(found.values()) == [
        "CC-BY-SA-4.0",
        "other",
        "CC-BY-4.0",
        "Apache-2.0",
        "Apache-2.0",
        "unknown",
    ]
    terms = licence_of_source(str(tmp_path / "novels")).terms
    assert "under the same licence" in terms.say("en")
    assert "같은 라이선스" in terms.say("ko")


def test_a_licence_file_beside_the_data_speaks(tmp_path):
    (tmp_path / "a.txt").write_text("글")
    assert licence_of_source(str(tmp_path)).licence == "unknown"
    (tmp_path / "LICENSE.txt").write_text("\nCreative Commons Attribution 4.0\n")
    for source in (tmp_path, tmp_path / "a.txt"):
        assert "LICENSE.txt beside the data says: Creative Commons" in str(
            licence_of_source(str(source)).terms
        )
    _, _, loaded = read(tmp_path)
    assert loaded.licences[str(tmp_path)].licence == "other"


def noted(tmp_path, *rows):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    loaded = Loaded()
    list(load_documents(DataSpec(sources=(DatasetConfig(source=str(path)),)), loaded=loaded))
    return [str(one) for one in loaded.left_out]


@pytest.mark.parametrize(
    "chains",
    [
        [[[0, 2], [9, 10]]],
        {"철수": [[0, 2], [9, 10]], "absent": None},
        [[{"start": 0, "end": 2, "text": "철수"}, {"start": 9, "end": 10}]],
    ],
)
def test_chains_in_another_column_are_not_passed_over_in_silence(tmp_path, chains):
    row = {"text": "철수는 떠났다. 그는 울었다.", "chains": chains}
    (said,) = noted(tmp_path, row, row)
    assert "rows.jsonl:1: the column chains looks like gold chains" in said


@pytest.mark.parametrize(
    "other",
    [
        {"entities": [[0, 2]]},
        {"ids": [[1, 2, 3]], "names": {"a": "b"}, "none": [], "pairs": [[[0, 900]]]},
        {"clusters": [[[0, 2], [9, 10]]], "chains": [[[0, 2], [9, 10]]]},
    ],
)
def test_other_columns_are_nobody_s_business(tmp_path, other):
    assert noted(tmp_path, {"text": "철수는 떠났다. 그는 울었다.", **other}) == []


def test_offsets_in_utf_16_units_are_not_passed_over_in_silence(tmp_path):
    text = "😀 철수는 떠났다. 🎉 그는 울었다."
    spans = [(text.index(word), text.index(word) + len(word)) for word in ("철수", "그")]
    units = [
        [len(text[:start].encode("utf-16-le")) // 2, len(text[:end].encode("utf-16-le")) // 2]
        for start, end in spans
    ]
    assert noted(tmp_path, {"text": text, "clusters": [spans]}) == []
    (said,) = noted(tmp_path, {"text": text, "clusters": [units]})
    assert ":1: the chains seem to count UTF-16 units" in said
