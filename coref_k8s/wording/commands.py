"""What is typed behind a command in a sentence, so that it finds the place that the reader has named: ` --data-dir /data`.

A text of the catalogue says `coref-k8s status {study}{typed}`; nobody gives that value. It is empty until a place is named.
"""

from __future__ import annotations

_typed = ""


def typed() -> str:
    """Return the options that name the place, with a blank before them; empty when it is found without."""
    return _typed


def place_commands(options: str) -> None:
    """Let commands in sentences end with these options from here on."""
    global _typed
    _typed = options
