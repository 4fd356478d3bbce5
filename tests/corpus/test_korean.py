"""Noun runs, pronouns and sentences: the definitions that metrics and filters share."""

import pytest

from coref_k8s.corpus.shipped import shipped_documents
from coref_k8s.text.document import Document
from coref_k8s.text.korean import analyse, is_noun, josa_class, kiwi, strip_josa

TEXT = "김영희는 학생이다. 누가 왔니? 그녀는 LG전자의 물건들을 나루터지기에게 5천 원에 샀다.\n\n제목\n\n그는 서울대학교 3학년이다."


def test_noun_runs_are_maximal_chains_inside_a_word():
    runs = analyse(TEXT).noun_runs
    assert [run.text for run in runs] == [
        "김영희",
        "학생",
        "LG전자",
        "물건들",
        "나루터지기",
        "제목",
        "서울대학교",
        "3학년",
    ]
    assert all(TEXT[run.start : run.end] == run.text for run in runs)


def test_a_name_that_kiwi_splits_is_one_run():
    # alone Kiwi may read 김/NNP 영/NR 희/NNG; the run joins them
    assert [run.text for run in analyse("김영희").noun_runs] == ["김영희"]


def test_digits_and_single_syllables_are_no_runs():
    assert analyse("5천 원을 집에 두었다.").noun_runs == []


def test_interrogatives_are_no_anaphors():
    analysis = analyse(TEXT)
    assert [span.text for span in analysis.pronouns] == ["그녀", "그"]
    assert [span.text for span in analysis.interrogatives] == ["누"]


def test_blank_lines_end_sentences_and_words_are_counted():
    analysis = analyse(TEXT)
    assert [TEXT[start:end] for start, end in analysis.sentences] == [
        "김영희는 학생이다.",
        "누가 왔니?",
        "그녀는 LG전자의 물건들을 나루터지기에게 5천 원에 샀다.",
        "제목",
        "그는 서울대학교 3학년이다.",
    ]
    assert analysis.words == len(TEXT.split())


def test_sentences_are_those_that_kiwi_splits():
    for document in shipped_documents()[::9]:
        for paragraph in filter(None, document.text.split("\n\n")):
            split = [tokens for tokens in kiwi().tokenize(paragraph, split_sents=True) if tokens]
            expected = [(tokens[0].start, tokens[-1].end) for tokens in split]
            assert analyse(paragraph).sentences == expected


def test_a_run_that_is_contracted_with_what_follows_has_no_surface_of_its_own():
    # 학굘 is 학교 + ㄹ, 어머닌 is 어머니 + ㄴ: their last syllable holds the particle too
    text = "학굘 갔다. 어머닌 왔다. 영희넨 철수랑 갔다. 우리나란 좋다."
    assert [run.text for run in analyse(text).noun_runs] == ["철수"]


def test_long_text_is_analysed_in_pieces_with_offsets_kept():
    sentence = "사공은 나루터에서 손님을 기다렸다. "
    text = sentence * 1500  # 30,000 characters without a line break
    analysis = analyse(text)
    assert len(analysis.sentences) == 1500
    assert {run.text for run in analysis.noun_runs} == {"사공", "나루터", "손님"}
    assert all(text[run.start : run.end] == run.text for run in analysis.noun_runs)


def test_empty_text():
    analysis = analyse(" \n\n ")
    assert (analysis.noun_runs, analysis.sentences, analysis.words) == ([], [], 0)


@pytest.mark.parametrize(
    ("word", "stem"),
    [
        ("나루터에서는", "나루터"),
        ("학생이었다", "학생"),
        ("김영희가", "김영희"),
        ("먹었다", "먹었다"),
        ("주인", "주인"),
    ],
)
def test_strip_josa(word, stem):
    assert strip_josa(word) == stem


def test_is_noun():
    assert all(map(is_noun, ["주인", "나루터지기", "집"]))
    assert not any(map(is_noun, ["먹었다", "그녀", "나루터에서", "", " "]))


def test_josa_class():
    assert [josa_class(word) for word in ("나루", "마을", "사람", "3월", "A")] == [
        "vowel",
        "rieul",
        "consonant",
        "rieul",
        "other",
    ]


def test_mentions_are_in_text_order_outer_first():
    document = Document("d", "강가의 주인이 강가에", {"b": [(0, 2), (8, 10)], "a": [(0, 6), (8, 11)]})
    assert list(document.mentions()) == [(0, 6, "a"), (0, 2, "b"), (8, 11, "a"), (8, 10, "b")]
