"""Text with marked mentions, for terminals: `[B 여사]₁는 [그 여학교]₂의 …`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coref_k8s.coref.formats.pieces import pieces
from coref_k8s.text.clean import harmless

if TYPE_CHECKING:
    from coref_k8s.coref.resolved import ResolvedDocument

#: Colours of 256 that people with any colour vision tell apart on dark and on light (after Okabe and Ito 2008).
COLOURS = (32, 172, 36, 169, 74, 166, 142, 103)
_LOWER = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def to_text(document: ResolvedDocument, *, colour: bool = False) -> str:
    """Return the text with mentions in brackets and the number of their chains, counted from 1."""
    parts: list[str] = []
    lit: list[int] = []
    for piece in pieces(document):
        if piece.mention is None:
            parts.append(harmless(piece.text) if colour else piece.text)
            continue
        chain = piece.mention.chain
        if piece.kind == "open":
            lit.append(chain)
            parts.append((_on(chain) if colour else "") + "[")
        else:
            lit.pop()
            mark = "" if piece.again else str(chain + 1).translate(_LOWER)
            parts.append("]" + mark)
            if colour:
                parts.append(_on(lit[-1]) if lit else "\x1b[0m")
    return "".join(parts)


def _on(chain: int) -> str:
    return f"\x1b[0;38;5;{COLOURS[chain % len(COLOURS)]}m"
