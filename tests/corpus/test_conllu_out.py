"""Chains written into a CoNLL-U file, read back by us and by udapi, the format's own library."""

import logging
import random

import pytest
from udapi.core.document import Document

from coref_k8s.corpus.conllu import read_conllu
from coref_k8s.corpus.conllu_out import annotate_conllu
from coref_k8s.errors import DataError

FILE = """# newdoc id = d1
# newpar
# sent_id = 1
# text = 큰 집 마당에 누리가 왔다.
1\t큰\t크다\tADJ\t_\t_\t2\tamod\t_\tEntity=(e9-place-1-)
2\t집\t집\tNOUN\t_\t_\t3\tnmod\t_\t_
3-4\t마당에\t_\t_\t_\t_\t_\t_\t_\t_
3\t마당\t마당\tNOUN\t_\t_\t6\tobl\t_\tBridge=e9<e8:part|LId=마당-1
4\t에\t에\tADP\t_\t_\t3\tcase\t_\t_
5\t누리가\t누리\tPROPN\t_\t_\t6\tnsubj\t_\t_
5.1\t_\t_\tPRON\t_\t_\t_\t_\t6:obj\tEntity=(e9-place-1-)
6\t왔다\t오다\tVERB\t_\t_\t0\troot\t_\tSpaceAfter=No
7\t.\t.\tPUNCT\t_\t_\t6\tpunct\t_\t_

# sent_id = 2
1\t누리는\t누리\tPROPN\t_\t_\t2\tnsubj\t_\tEntity=(e8-x-1-)
2\t갔다\t가다\tVERB\t_\t_\t0\troot\t_\t_

# newdoc
# sent_id = 3
1\t끝\t끝\tNOUN\t_\t_\t0\troot\t_\t_

"""
FILE = "# global.Entity = eid-etype-head-other\n" + FILE


def written(*chains):
    """The file with chains of strings in its first document."""
    text = next(read_conllu(FILE.split("\n"), where="f")).text
    spans = [[(text.index(one), text.index(one) + len(one)) for one in chain] for chain in chains]
    return annotate_conllu(FILE.splitlines(keepends=True), [spans, [[(0, 1)]]], where="f"), spans


def by_udapi(text):
    """The entities of a file: words and head of each mention."""
    logging.disable(logging.CRITICAL)
    try:
        document = Document()
        document.from_conllu_string(text)
        return [
            [(" ".join(word.form for word in m.words), m.head.form) for m in entity.mentions]
            for entity in document.coref_entities
        ]
    finally:
        logging.disable(logging.NOTSET)


def test_chains_replace_those_of_the_file_and_all_else_stays():
    found, spans = written(["큰 집 마당에"], ["누리가", "누리는"], ["마당에"], ["집"])
    assert found.left_out == 0
    assert by_udapi(found.text) == [
        [("큰 집 마당 에", "마당")],
        [("집", "집")],
        [("마당 에", "마당")],
        [("누리가", "누리가"), ("누리는", "누리는")],
        [("끝", "끝")],
    ]
    again = list(read_conllu(found.text.split("\n"), where="o"))
    assert sorted(map(sorted, again[0].clusters.values())) == sorted(map(sorted, spans))
    assert not again[0].zeros

    def without(text):
        lines = [line for line in text.split("\n") if line and not line.startswith("# global.Entity")]
        return [line.rpartition("\t")[0] or line for line in lines]

    assert without(found.text) == without(FILE)
    assert "LId=마당-1" in found.text
    assert "Bridge" not in found.text


def test_what_a_file_cannot_hold_is_counted():
    # beyond a sentence; crossing one of its own entity
    found, _ = written(["왔다. 누리는"], ["큰 집", "집 마당에"])
    assert found.left_out == 2
    assert found.text.count("Entity=") == 3


def test_mentions_of_two_entities_may_cross():
    found, _ = written(["큰 집"], ["집 마당에"])
    assert found.left_out == 0
    assert by_udapi(found.text)[:2] == [[("큰 집", "집")], [("집 마당 에", "마당")]]


def test_every_document_needs_its_chains():
    with pytest.raises(DataError, match="f has 2 documents, but there are chains for 1"):
        annotate_conllu(FILE.split("\n"), [[]], where="f")


@pytest.mark.parametrize("seed", range(5))
def test_random_chains_come_back(seed):
    rng = random.Random(seed)
    lines = []
    for number in range(3):
        lines.append(f"# newdoc id = d{number}")
        for _ in range(4):
            words = rng.randint(2, 9)
            lines += [f"{w}\t말{w}\t_\t_\t_\t_\t{w - 1}\t_\t_\t_" for w in range(1, words + 1)] + [""]
    documents = list(read_conllu(lines, where="r"))
    chains = []
    for document in documents:
        sentences = document.words.spans
        spans = {
            (sentences[first][0], sentences[min(first + rng.randint(0, 3), len(sentences) - 1)][1])
            for first in rng.sample(range(len(sentences)), 6)
        }
        chosen = [[] for _ in range(3)]
        for span in spans:
            rng.choice(chosen).append(span)
        chains.append([chain for chain in chosen if chain])
    found = annotate_conllu(lines, chains, where="r")
    again = [document.clusters.values() for document in read_conllu(found.text.split("\n"), where="o")]
    kept = sum(len(chain) for one in again for chain in one)
    assert kept + found.left_out == sum(len(chain) for one in chains for chain in one)
    given = [{frozenset(chain) for chain in one} for one in chains]
    for one, other in zip(again, given, strict=True):
        assert all(any(set(chain) <= whole for whole in other) for chain in one)
    assert sum(map(len, by_udapi(found.text))) == kept
