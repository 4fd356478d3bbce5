"""Generated documents with real reference: exact chains that equal strings do not give."""

import re
from collections import Counter

import pytest

from coref_k8s.corpus.generated import generator_of, is_generated
from coref_k8s.corpus.names import ROLES
from coref_k8s.corpus.people import generate_people
from coref_k8s.corpus.sources import load_documents
from coref_k8s.corpus.validate import problems
from coref_k8s.errors import DataError
from coref_k8s.evaluation.coreference import score_documents
from coref_k8s.evaluation.coreference.baselines import linked_by_string
from coref_k8s.study.spec import DatasetConfig, DataSpec
from coref_k8s.text.alignment import token_spans
from coref_k8s.text.korean import analyse

LENGTHS = (480, 1024)
PRONOUNS = ("그", "그녀")


def strings(document, label):
    return [document.text[start:end] for start, end in document.clusters[label]]


def test_documents_are_sound_and_repeat_exactly():
    documents = list(generate_people(30, lengths=LENGTHS))
    assert documents == list(generate_people(30, lengths=LENGTHS))
    assert documents != list(generate_people(30, lengths=LENGTHS, seed=1))
    assert [problems(document) for document in documents] == [[]] * 30
    assert Counter(document.split for document in documents) == {"train": 24, "dev": 3, "test": 3}
    assert len({document.text for document in documents}) == 30


def test_a_person_is_a_name_a_role_or_a_pronoun():
    for document in generate_people(20, lengths=LENGTHS):
        for label in document.clusters:
            found = Counter(strings(document, label))
            if "-" in label:  # a companion
                assert set(found) == {next(iter(found))}
                continue
            roles = {one for one in found if one.removeprefix("그 ") in ROLES}
            names = set(found) - roles - set(PRONOUNS)
            assert len(names) == 1
            assert len(roles) <= 1
            assert len(set(found) & set(PRONOUNS)) <= 1
            # whoever is "그 <role>" was brought in with that role
            for role in roles:
                assert f"{role.removeprefix('그 ')} {next(iter(names))}" in document.text


def test_a_pronoun_is_the_only_one_of_the_sentence_before():
    for document in generate_people(20, lengths=LENGTHS):
        sentences = [(line.start(), line.end()) for line in re.finditer(r"[^\n]+", document.text)]
        mentions = list(document.mentions())
        inside = [[m for m in mentions if start <= m[0] < end] for start, end in sentences]
        for number, found in enumerate(inside):
            for start, end, label in found:
                if document.text[start:end] in PRONOUNS:
                    before = next(one for one in reversed(inside[:number]) if one)
                    assert [one[2] for one in before] == [label]


def test_no_mention_is_missing():
    for document in generate_people(10, lengths=(480,)):
        marked = [(start, end) for start, end, _ in document.mentions()]
        names = {strings(document, label)[0] for label in document.clusters if "-" not in label}
        for name in names:
            for found in re.finditer(name, document.text):
                assert found.span() in marked
        for pronoun in analyse(document.text).pronouns:
            assert any(start <= pronoun.start < end for start, end in marked), pronoun


@pytest.mark.parametrize("seed", range(3))
def test_equal_strings_are_not_enough(seed):
    documents = list(generate_people(60, lengths=(480, 1024, 2048), seed=seed))
    equal = [linked_by_string(d.text, ((s, e) for s, e, _ in d.mentions())) for d in documents]
    found = score_documents(documents, equal, full=False).scores
    assert found["conll_f1"].value == pytest.approx(0.74, abs=0.03)
    assert found["mention_f1"].value == 1


def test_a_window_of_480_tokens_holds_many_mentions(tokenizer):
    for document in generate_people(12, lengths=LENGTHS):
        tokens = token_spans(tokenizer, document.text)
        length = LENGTHS[int(document.doc_id.removeprefix("people-")) % 2]
        assert 0.6 * length < len(tokens) < 1.3 * length
        spans = [tokens.covering(start, end) for start, end, _ in document.mentions()]
        assert sum(last <= 480 for _, last in spans) > 20
        nested = sum(a[0] <= b[0] and b[1] <= a[1] for a in spans for b in spans if a != b)
        assert nested < 0.1 * len(spans)


def test_the_source_people_is_loaded():
    spec = DataSpec(sources=[DatasetConfig(source="people:12", min_length=0)])
    documents = [document for document, _ in load_documents(spec, lengths=(256,))]
    assert len(documents) == 12
    assert all(document.clusters and is_generated(document.source) for document in documents)
    assert {document.split for document in documents} == {"train", "dev", "test"}


def test_a_generated_source_needs_a_number():
    with pytest.raises(DataError, match="must be people:N with a number"):
        generator_of("people:many")
