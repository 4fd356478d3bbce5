"""Raw text to chains: cleaned, encoded, predicted, and said in characters of the text as it came."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from typing import Any

from coref_k8s.coref.encoded import EncodedDocument, encode_document
from coref_k8s.coref.model import CorefModel
from coref_k8s.coref.prediction import Check, Found, predict_all
from coref_k8s.coref.resolved import Mention, ResolvedDocument
from coref_k8s.errors import RequestError
from coref_k8s.text.clean import CleanText, clean_text, whole_characters
from coref_k8s.text.document import Document


def resolved(
    model: CorefModel, texts: Iterable[tuple[str, str]], *, windows: int, check: Check
) -> Iterator[ResolvedDocument]:
    """Yield each text, given with its name, with its chains."""
    waiting: deque[tuple[str, CleanText, EncodedDocument]] = deque()

    def encoded() -> Iterator[EncodedDocument]:
        for one in texts:
            name, text = _named(one)
            cleaned = clean_text(text)
            document = encode_document(
                Document(name, cleaned.text), model.tokenizer, model.config.trims, model.longest_sentence
            )
            waiting.append((text, cleaned, document))
            yield document

    for found in predict_all(model, encoded(), windows=windows, check=check):
        text, cleaned, document = waiting.popleft()
        yield _resolved(whole_characters(text), cleaned, document, found, model.config.singletons)


def _named(given: Any) -> tuple[str, str]:
    """Return what was given as a name and its text. Raises RequestError for anything else."""
    named = isinstance(given, tuple | list) and len(given) == 2
    for one in given if named else [given]:
        if not named or not isinstance(one, str):
            raise RequestError("coref.not-a-text", kind=type(one).__name__)
    name, text = given
    return name, text


def _resolved(
    text: str, cleaned: CleanText, encoded: EncodedDocument, found: Found, singletons: bool
) -> ResolvedDocument:
    numbers = found.entities.tolist()
    sizes = Counter(numbers)
    kept: dict[int, int] = {}
    mentions = []
    rows = zip(found.spans.tolist(), numbers, found.confidences.tolist(), found.links.tolist(), strict=True)
    for (first, stop), entity, confidence, link in sorted(rows, key=lambda row: _order(encoded, row[0])):
        if not singletons and sizes[entity] < 2:
            continue
        start, end = _given(cleaned, *encoded.characters(first, stop))
        chain = kept.setdefault(entity, len(kept))
        mentions.append(Mention(start, end, text[start:end], confidence, chain, link))
    sentences = [_given(cleaned, *span) for span in encoded.reading.sentences]
    return ResolvedDocument(encoded.doc_id, text, mentions, sentences)


def _order(encoded: EncodedDocument, span: list[int]) -> tuple[int, int]:
    start, end = encoded.characters(*span)
    return start, -end


def _given(cleaned: CleanText, start: int, end: int) -> tuple[int, int]:
    """Return where characters of the clean text stand in the text as it was given."""
    if cleaned.begins is None or cleaned.ends is None:
        return start, end
    return bisect_left(cleaned.begins, start), bisect_right(cleaned.ends, end) - 1
