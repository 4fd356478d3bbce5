"""What a resolved document is written as, read back by the project's own readers and by udapi."""

import json
import re
from pathlib import Path

import pytest

from coref_k8s.coref.resolved import Mention, ResolvedDocument
from coref_k8s.corpus.conllu import read_conllu
from coref_k8s.corpus.extractors import auto

TEXT = "김 첨지는 아내의 약을 샀다. 그의 아내는 앓았다.\n\n(그녀는 '괜찮다'고 했다)  인력거꾼인 그 사람… 😀"


SENTENCES = tuple((TEXT.index(first), TEXT.index(first) + 1) for first in ("김", "그의", "(그녀"))


def resolved(*spans, text=TEXT, doc_id="운수 좋은 날", sentences=SENTENCES):
    mentions = [
        Mention(start, end, text[start:end], 0.9, chain, 0.8)
        for start, end, chain in sorted(spans, key=lambda span: (span[0], -span[1]))
    ]
    return ResolvedDocument(doc_id, text, mentions, sentences)


def span(words, nth=0, chain=0):
    start = [found.start() for found in re.finditer(re.escape(words), TEXT)][nth]
    return start, start + len(words), chain


@pytest.fixture
def document():
    return resolved(
        span("김 첨지", chain=0),
        span("아내", chain=1),
        span("그의 아내", chain=1),
        span("그", chain=0),
        span("그녀", chain=1),
        span("인력거꾼인 그 사람", chain=0),
        span("약", chain=2),
    )


def spans_of(document):
    return sorted(sorted((m.start, m.end) for m in chain) for chain in document.chains)


def test_a_document_shows_itself_in_one_line(document):
    assert (
        repr(document) == f"<ResolvedDocument '운수 좋은 날': {len(TEXT)} characters, 7 mentions, 3 chains>"
    )


def test_chains_and_names(document):
    assert [[m.text for m in chain] for chain in document.chains] == [
        ["김 첨지", "그", "인력거꾼인 그 사람"],
        ["아내", "그의 아내", "그녀"],
        ["약"],
    ]
    assert document.names == ["김 첨지", "아내", "약"]


def test_an_entity_is_called_by_its_name_unless_that_is_rare():
    def called(*words):
        text = " ".join(words)
        starts = [sum(len(word) + 1 for word in words[:number]) for number in range(len(words))]
        spans = [(at, at + len(word), 0) for at, word in zip(starts, words, strict=True)]
        return resolved(*spans, text=text, sentences=((0, len(text)),)).names

    assert called("그", "그", "그녀", "그녀", "그녀", "영희") == ["영희"]
    assert called(*["나"] * 52, "원 아씨") == ["나"]
    assert called("그", "자기", "자기") == ["자기"]


def test_json_is_read_as_a_document_with_chains(document):
    row = json.loads(document.to_json())
    assert "\n" not in document.to_json()
    read = auto(row)
    assert read.text == TEXT
    assert sorted(map(list, read.clusters.values())) == spans_of(document)
    assert all(TEXT[m["start"] : m["end"]] == m["text"] for m in row["mentions"])
    assert {"confidence", "link_confidence", "chain"} <= row["mentions"][0].keys()


def words_of(text):
    return "".join(text.split())


def test_conllu_is_read_back_by_the_projects_reader(document):
    (read,) = read_conllu(document.to_conllu().splitlines(keepends=True), where="x")
    assert words_of(read.text) == words_of(TEXT)
    found = sorted(sorted(words_of(read.text[s:e]) for s, e in spans) for spans in read.clusters.values())
    assert found == sorted(sorted(words_of(m.text) for m in chain) for chain in document.chains)


def test_a_word_keeps_its_marks():
    whole = ["나랏〮말〯ᄊᆞ미〮", "👩\u200d👧", "🇰🇷", "👍🏽", "1\ufe0f\u20e3", "cafe\u0301", "민수"]
    text = " ".join(whole) + "🙂는 왔다"
    at = text.index("민수")
    document = resolved((at, at + 2, 0), text=text, sentences=((0, len(text)),))
    rows = [line.split("\t") for line in document.to_conllu().splitlines() if line[:1].isdigit()]
    assert [row[1] for row in rows] == [*whole, "🙂", "는", "왔다"]


def test_conllu_is_valid_for_udapi(document, tmp_path):
    from udapi.block.read.conllu import Conllu
    from udapi.core.document import Document

    file = tmp_path / "x.conllu"
    file.write_text(document.to_conllu(), encoding="utf-8")
    read = Document()
    with file.open(encoding="utf-8") as stream:
        Conllu(filehandle=stream).process_document(read)
    entities = {entity.eid: entity for entity in read.coref_entities}
    assert sorted(entities) == ["e1", "e2", "e3"]
    forms = {eid: [" ".join(w.form for w in m.words) for m in one.mentions] for eid, one in entities.items()}
    assert forms["e1"] == ["김 첨지", "그", "인력거꾼인 그 사람"]
    assert [m.head.form for m in entities["e1"].mentions] == ["첨지", "그", "사람"]
    assert [tree.compute_text() for tree in read.trees] == [tree.text for tree in read.trees]
    assert next(iter(read.trees)).newdoc == "운수_좋은_날"


def test_conll_2012_has_balanced_brackets(document):
    lines = document.to_conll().splitlines()
    assert lines[0] == "#begin document (운수_좋은_날); part 000"
    assert lines[-1] == "#end document"
    column = [line.split()[-1] for line in lines if line and not line.startswith("#")]
    assert sum(cell.count("(") for cell in column) == sum(cell.count(")") for cell in column) == 7
    assert all(len(line.split()) == 12 for line in lines if line and not line.startswith("#"))


def test_text_names_the_chains(document):
    plain = document.to_text()
    assert plain.startswith("[김 첨지]₁는 [아내]₂의 [약]₃을 샀다. [[그]₁의 아내]₂는")
    assert re.sub(r"[\[\]₀-₉]", "", plain) == TEXT
    coloured = document.to_text(colour=True)
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain


def test_what_commands_a_terminal_is_not_passed_on():
    text = "철수\x1b[2J\x07\x9b는\u00a0👨\u200d👩\u3000왔다\r\n"
    coloured = resolved((0, 2, 0), text=text, sentences=((0, len(text)),)).to_text(colour=True)
    assert coloured.count("\x1b") == 2  # its own
    assert coloured.endswith("[2J는\u00a0👨\u200d👩\u3000왔다\n")


def test_crossing_mentions_come_out_whole():
    text = "가 나 다 라"
    document = resolved((0, 5, 0), (2, 7, 1), text=text, sentences=((0, 7),))
    assert document.to_text() == "[가 [나 다]]₁[ 라]₂"
    (read,) = read_conllu(document.to_conllu().splitlines(keepends=True), where="x")
    assert sorted(read.clusters.values()) == [[(0, 5)], [(2, 7)]]
    html = document.to_html()
    assert html.count("<span") - html.count("</span>") == 0


def test_the_page_is_whole_and_needs_nothing_else(document):
    page = document.to_html("ko")
    assert page.startswith("<!doctype html>")
    assert not re.search(r"""(?:src|href)=["']?https?:|@import|url\(""", page)
    main = re.search(r"<main>(.*)</main>", page, re.DOTALL)[1]
    assert "😀" in main
    assert re.sub(r"<sub>.*?</sub>|<[^>]*>", "", main).replace("&#x27;", "'") == TEXT
    assert "개체" in page
    for number, mention in enumerate(document.mentions):
        if mention.chain != 2:  # named once: no chain to follow
            assert f'id="m{number}"' in page
            assert f'href="#m{number}"' in page


def test_markup_in_the_text_stays_text():
    text = "<script>alert(1)</script> & 철수"
    document = resolved((28, 30, 0), (0, 8, 1), text=text, doc_id="<b>", sentences=((0, len(text)),))
    page = document.to_html()
    assert "<script>alert" not in page
    assert "<b>" not in page.split("<body>")[1].split("<aside")[0]
    assert "iframe" in document._repr_html_()
    assert '"' not in re.search(r"srcdoc=\"([^\"]*)\"", document._repr_html_())[1]


def test_an_empty_text_is_a_document_too():
    document = resolved(text="", sentences=())
    assert document.chains == []
    assert document.to_conll().startswith("#begin")
    assert document.to_conllu() == ""  # comments without a word are no sentence
    assert "<main></main>" in document.to_html()


def test_styles_and_script_are_shipped():
    import coref_k8s.coref.formats as formats

    folder = Path(formats.__file__).parent
    assert (folder / "page.css").is_file()
    assert (folder / "page.js").is_file()
