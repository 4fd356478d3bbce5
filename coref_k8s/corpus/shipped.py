"""The Korean documents and the small tokeniser that the project ships."""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from pathlib import Path

from coref_k8s.corpus.marked import SUFFIX, parse_marked
from coref_k8s.errors import NotFoundError
from coref_k8s.text.document import Document


def korean_folder() -> Path:
    """Return the folder with `documents/` and `tokenizer/`: the source tree's, else the installed one.

    `COREF_KOREAN_DIR` names another. Raises NotFoundError when there is none.
    """
    named = os.environ.get("COREF_KOREAN_DIR")
    places = [
        *([Path(named)] if named else []),
        Path(__file__).parents[2] / "data" / "korean",
        Path(sys.prefix) / "share" / "coref-k8s" / "korean",
    ]
    for place in places:
        if (place / "documents").is_dir():
            return place
    raise NotFoundError("corpus.nothing-shipped", places=[str(place) for place in places])


@lru_cache(maxsize=1)
def shipped_documents() -> tuple[Document, ...]:
    """Return the shipped documents, by file name."""
    files = sorted((korean_folder() / "documents").glob(f"*{SUFFIX}"))
    return tuple(parse_marked(file.read_text(encoding="utf-8"), where=str(file)) for file in files)


def shipped_tokenizer() -> Path:
    """Return the folder of the small tokeniser, for AutoTokenizer."""
    return korean_folder() / "tokenizer"
