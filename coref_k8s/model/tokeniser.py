"""Opens the tokeniser of a model, and says in one sentence what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from coref_k8s.errors import ModelError
from coref_k8s.sizing.shape import config_of
from coref_k8s.sizing.suitable import check_code

from .files import TOKENISER_FILES, check_files, first_line


def open_tokenizer(name: str, revision: str | None = None) -> Any:
    """Return a model's tokeniser; raise ModelError when it cannot be opened, or is not that of the model's weights."""
    from transformers import AutoTokenizer

    check_files(name)
    config: Mapping[str, Any] = {}
    with suppress(ModelError):  # a folder with a tokeniser alone
        config = config_of(name) or {}
    check_code(name, config)
    if Path(name).is_dir() and not any((Path(name) / file).is_file() for file in TOKENISER_FILES):
        # transformers would make up an empty one
        raise ModelError("model.no-tokeniser-file", name=name)
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, revision=revision, trust_remote_code=False)
    except Exception as error:  # transformers and tokenizers fail in ways of their own
        raise ModelError("model.no-tokeniser", name=name, why=first_line(error)) from error
    rows, tokens = config.get("vocab_size"), max(tokenizer.get_vocab().values()) + 1
    # tokens were added to the tokeniser, and the model has no embedding for them
    if isinstance(rows, int) and tokens > rows:
        raise ModelError("model.added-tokens", name=name, tokens=tokens, rows=rows)
    return tokenizer
