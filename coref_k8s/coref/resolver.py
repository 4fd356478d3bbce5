"""`Resolver`: raw text in, chains out.

from coref_k8s import Resolver

resolver = Resolver.from_pretrained("data/…/model")
document = resolver("철수는 영희를 만났다. 그는 기뻤다.")
[[mention.text for mention in chain] for chain in document.chains]
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from pathlib import Path

import torch

from coref_k8s.coref.encoded import EncodedDocument, encode_document
from coref_k8s.coref.model import CorefModel, load_model
from coref_k8s.coref.prediction import WINDOWS, Found, predict
from coref_k8s.coref.resolved import Mention, ResolvedDocument
from coref_k8s.errors import RequestError
from coref_k8s.text.clean import CleanText, clean_text, whole_characters
from coref_k8s.text.document import Document


class Resolver:
    """Resolves texts of any length with one model; a text's memory grows with its length, not with its square."""

    def __init__(self, model: CorefModel, *, windows: int = WINDOWS) -> None:
        """`windows`: windows of one forward pass; more are faster on a GPU and take more of its memory."""
        self.model = model
        self._windows = windows

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, *, device: str | torch.device | None = None, windows: int = WINDOWS
    ) -> Resolver:
        """Open a saved model; on a GPU where there is one, unless `device` names another ("cpu", "cuda:1").

        Raises NotFoundError, ModelError, or RequestError for a device that is not there.
        """
        return cls(load_model(folder, _device(device)), windows=windows)

    def __call__(self, text: str, doc_id: str = "document") -> ResolvedDocument:
        """Resolve a text; offsets are characters of the text as it is given."""
        cleaned = clean_text(text)
        model = self.model
        encoded = encode_document(
            Document(doc_id, cleaned.text), model.tokenizer, model.config.trims, model.longest_sentence
        )
        found = predict(model, encoded, windows=self._windows)
        return _resolved(doc_id, whole_characters(text), cleaned, encoded, found, model.config.singletons)


def _device(device: str | torch.device | None) -> torch.device:
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().split("\n", 1)[0]
        raise RequestError("coref.no-device", device=str(device), why=reason) from error
    return chosen


def _resolved(
    doc_id: str, text: str, cleaned: CleanText, encoded: EncodedDocument, found: Found, singletons: bool
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
    return ResolvedDocument(doc_id, text, mentions, sentences)


def _order(encoded: EncodedDocument, span: list[int]) -> tuple[int, int]:
    start, end = encoded.characters(*span)
    return start, -end


def _given(cleaned: CleanText, start: int, end: int) -> tuple[int, int]:
    """Return where characters of the clean text stand in the text as it was given."""
    if cleaned.begins is None or cleaned.ends is None:
        return start, end
    return bisect_left(cleaned.begins, start), bisect_right(cleaned.ends, end) - 1
