"""Sources that are generated: `gaps:N` and `people:N` for N documents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from coref_k8s.corpus.generator import generate
from coref_k8s.corpus.people import generate_people
from coref_k8s.errors import DataError
from coref_k8s.text.document import Document


class Generator(Protocol):
    """Makes documents that depend on the arguments only."""

    def __call__(
        self, count: int, *, lengths: Sequence[int], dev_share: float, test_share: float, seed: int
    ) -> Iterator[Document]:
        """Yield `count` documents whose sizes go round `lengths` (tokens)."""


#: Documents that show how long all are.
_FEW = 100

GENERATORS: dict[str, Generator] = {"gaps": generate, "people": generate_people}


def is_generated(source: str) -> bool:
    """Tell whether a source, or what a document says of its own, is generated."""
    return source.partition(":")[0] in GENERATORS


def generator_of(source: str) -> tuple[Generator, int]:
    """Return the generator that a source names, and how many documents. Raises DataError when it names no number."""
    kind, _, number = source.partition(":")
    if not number.isdecimal() or not int(number):
        raise DataError("coref_data.bad-generated", source=source, kind=kind)
    return GENERATORS[kind], int(number)


def bytes_of(source: str, lengths: Sequence[int]) -> int:
    """Return the size of the text that a generated source makes (bytes), told from its first documents."""
    generate, number = generator_of(source)
    few = min(number, _FEW)
    texts = generate(few, lengths=lengths, dev_share=0.0, test_share=0.0, seed=0)
    return sum(len(one.text.encode()) for one in texts) * number // few
