"""One alignment for all tokenisers: every noun of a text is found at the same characters."""

import pytest

from coref_k8s.corpus.encoding import encode
from coref_k8s.errors import ModelError
from coref_k8s.evaluation.table import prepare
from coref_k8s.evaluation.vocabulary import Vocabulary
from coref_k8s.text.alignment import token_spans
from coref_k8s.text.document import Document
from coref_k8s.text.korean import analyse

TEXT = "나루터의 사공은 상자를 들었다.  그 상자 속에는 지도가 있었다.\n사공이 '지도'를 폈다. 김뷁뚫이 웃었다."
SPECIAL = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]
FAMILIES = ("wordpiece", "metaspace", "bytelevel", "uncased")


def tokenizer_of(family):
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    corpus = [TEXT.replace("김뷁뚫", "김하늘")] * 3
    if family == "metaspace":
        tok = Tokenizer(models.Unigram())
        tok.normalizer = normalizers.NFKC()
        tok.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer = trainers.UnigramTrainer(
            vocab_size=150, special_tokens=SPECIAL, unk_token="[UNK]", show_progress=False
        )
    elif family == "bytelevel":
        tok = Tokenizer(models.BPE())
        tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = trainers.BpeTrainer(
            vocab_size=300,
            special_tokens=SPECIAL,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
    else:
        tok = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tok.normalizer = normalizers.BertNormalizer(lowercase=True, strip_accents=family == "uncased")
        tok.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(vocab_size=90, special_tokens=SPECIAL, show_progress=False)
    tok.train_from_iterator(corpus, trainer)
    names = {f"{name.strip('[]').lower()}_token": name for name in SPECIAL}
    return PreTrainedTokenizerFast(tokenizer_object=tok, **names)


@pytest.fixture(scope="module", params=FAMILIES)
def tokenizer(request):
    return tokenizer_of(request.param)


def test_spans_hold_whole_characters_and_no_blanks(tokenizer):
    tokens = token_spans(tokenizer, TEXT)
    assert tokens.starts == sorted(tokens.starts)
    assert tokens.ends == sorted(tokens.ends)
    surfaces = [TEXT[start:end] for start, end in zip(tokens.starts, tokens.ends, strict=True)]
    assert all(surface == surface.strip() for surface in surfaces)
    read = {at for s, e in zip(tokens.starts, tokens.ends, strict=True) for at in range(s, e)}
    assert read == {at for at, char in enumerate(TEXT) if not char.isspace()}


def test_a_word_is_covered_by_all_of_its_tokens(tokenizer):
    tokens = token_spans(tokenizer, TEXT)
    for word in ("나루터의", "사공은", "상자", "지도", "김뷁뚫이"):
        start = TEXT.index(word)
        first, stop = tokens.covering(start, start + len(word))
        assert tokens.starts[first] <= start
        assert tokens.ends[stop - 1] >= start + len(word)
        assert first == 0 or tokens.ends[first - 1] <= start
        assert stop == len(tokens) or tokens.starts[stop] >= start + len(word)


def test_what_is_exact_reads_as_the_characters(tokenizer):
    tokens = token_spans(tokenizer, TEXT)
    start = TEXT.index("김뷁뚫이")
    found = [tokens.exactly(start, start + size) for size in range(1, 5)]
    # bytes and jamo of one syllable stay together: no mention ends inside
    for span, size in zip(found, range(1, 5), strict=True):
        if span:
            assert tokens.ends[span[1] - 1] == start + size
    assert found[-1] is not None


def test_training_and_evaluation_find_the_same_runs(tokenizer):
    document = Document("d", TEXT)
    analysis = analyse(TEXT)
    runs = [edge for run in analysis.noun_runs for edge in (run.start, run.end)]
    sentences = [edge for pair in analysis.sentences for edge in pair]
    trained = encode(document, runs, sentences, tokenizer)
    bench = prepare(document, Vocabulary(tokenizer))
    spans = {(start, end) for start, end, _ in trained.mentions.tolist()}
    assert trained.candidates == len(analysis.noun_runs)
    # evaluation needs more of a run: the tokeniser must write it alike outside the text
    assert {(mention.start, mention.end) for mention in bench.mentions} <= spans
    assert len(bench.mentions) >= len(spans) - 2


def test_names_of_special_tokens_are_words(tokenizer):
    text = "논문에서 [MASK] 와 [SEP]을 썼다. [CLS][PAD]"
    tokens = token_spans(tokenizer, text)
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    assert not special & set(tokens.ids)
    start = text.index("[MASK]")
    assert tokens.covering(start, start + 6)[0] < tokens.covering(start, start + 6)[1]


def test_decomposed_text_keeps_its_own_offsets(tokenizer):
    import unicodedata

    text = unicodedata.normalize("NFD", TEXT)
    tokens = token_spans(tokenizer, text)
    word = unicodedata.normalize("NFD", "상자")
    start = text.index(word)
    first, stop = tokens.covering(start, start + len(word))
    assert tokens.starts[first] <= start < start + len(word) <= max(tokens.ends[first:stop])


def test_a_tokeniser_without_offsets_is_refused_in_one_sentence():
    class Slow:
        is_fast = False

    with pytest.raises(ModelError, match="Slow gives no character offsets"):
        token_spans(Slow(), "글")
