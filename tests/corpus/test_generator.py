"""Long-gap documents: the same every time, gaps as promised, names that only the context tells."""

import itertools
from collections import Counter

from coref_k8s.corpus.generator import MAX_GAP, MIN_GAP, SHORT_DOCUMENT, generate
from coref_k8s.corpus.names import NAMES
from coref_k8s.corpus.shipped import shipped_documents
from coref_k8s.corpus.tokenizer import build
from coref_k8s.corpus.validate import problems
from coref_k8s.text.document import SPLITS

LENGTHS = (512, 1024, 2048)


def names(document):
    return [document.text[start:end] for (start, end), *_ in document.clusters.values()]


def test_documents_are_sound_and_repeat_exactly():
    documents = list(generate(30, lengths=LENGTHS))
    assert documents == list(generate(30, lengths=LENGTHS))
    assert documents != list(generate(30, lengths=LENGTHS, seed=1))
    assert [problems(document) for document in documents] == [[]] * 30
    assert Counter(document.split for document in documents) == {"train": 24, "dev": 3, "test": 3}
    for document in documents:
        assert len(document.clusters) == 2
        for spans in document.clusters.values():
            assert len({document.text[start:end] for start, end in spans}) == 1


def test_names_are_drawn_anew_and_none_is_in_the_prose():
    documents = list(generate(300, lengths=(512,)))
    prose = "".join(document.text for document in shipped_documents() if document.split == "train")
    drawn = Counter(name for document in documents for name in names(document))
    assert set(drawn) <= {name for name in NAMES if name not in prose}
    assert len(drawn) > 75
    # no name is so frequent that always answering it would tell
    assert max(drawn.values()) < 0.06 * len(documents)
    # the test split's pairs of names are not known from training: a name does not tell the other one
    pairs = {split: {tuple(sorted(names(d))) for d in documents if d.split == split} for split in SPLITS}
    assert len(pairs["test"] & pairs["train"]) <= 0.25 * len(pairs["test"])


def test_the_carrier_is_train_prose_only():
    held_out = [d.text for d in shipped_documents() if d.split != "train"]
    for document in generate(30, lengths=LENGTHS):
        for line in document.text.splitlines():
            assert len(line) < 20 or not any(line in text for text in held_out)


def test_gaps_and_sizes_in_tokens(tokenizer):
    gaps = []
    for document in generate(60, lengths=LENGTHS):
        encoding = tokenizer(document.text, add_special_tokens=False, return_offsets_mapping=True)
        starts = {start: number for number, (start, _) in enumerate(encoding["offset_mapping"])}
        ends = {end: number + 1 for number, (_, end) in enumerate(encoding["offset_mapping"])}
        number = int(document.doc_id.removeprefix("gap-"))
        length = SHORT_DOCUMENT if document.split == "train" and number % 2 else LENGTHS[number // 2 % 3]
        assert 0.55 * length < len(starts) <= length - 2 + 10 * (length == SHORT_DOCUMENT)
        for spans in document.clusters.values():
            for start, end in spans:
                # a piece of their own: the particle is not in it
                assert ends[end] - starts[start] == 1
            gaps += [starts[after[0]] - ends[before[1]] for before, after in itertools.pairwise(spans)]
    assert max(gaps) <= MAX_GAP
    assert min(gaps) >= 0.9 * MIN_GAP
    assert sum(gap > 512 for gap in gaps) > 0.02 * len(gaps)


def test_more_entities():
    for document in generate(4, lengths=(1024,), entities=4):
        assert len(document.clusters) == 4
        assert len(set(names(document))) == 4


def test_the_shipped_tokenizer_is_the_one_that_the_code_builds(tokenizer):
    built = build().get_vocab()
    shipped = tokenizer.get_vocab()
    # Kiwi's model decides where particles are cut off: another version of it may move a few pieces
    assert len(built.keys() ^ shipped.keys()) <= 0.02 * len(shipped)
    assert {token: built[token] for token in tokenizer.all_special_tokens} == dict(
        zip(tokenizer.all_special_tokens, tokenizer.all_special_ids, strict=True)
    )


def test_korean_is_never_unknown(tokenizer):
    for document in shipped_documents():
        tokens = tokenizer(document.text)["input_ids"]
        assert tokens.count(tokenizer.unk_token_id) == 0


def test_a_length_below_the_shortest_gap_still_has_both_persons_twice():
    # the studies of `helm test` and of the smallest example
    for document in generate(20, lengths=[64]):
        assert all(len(spans) >= 2 for spans in document.clusters.values())
        assert len(document.clusters) == 2
