"""What a tokeniser does, apart from how it was called last."""

from __future__ import annotations

import json
from typing import Any


def rules_of(tokenizer: Any) -> str:
    """Return a tokeniser's vocabulary and rules as text, the same however it was used before.

    Truncation and padding are left out: a call sets them, and many hub tokenisers come with them switched on.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return json.dumps(tokenizer.get_vocab(), sort_keys=True)
    rules = json.loads(backend.to_str())
    return json.dumps({**rules, "truncation": None, "padding": None}, sort_keys=True)
