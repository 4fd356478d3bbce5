"""Tokens that carry their part of speech (`가메아리/NNP`): read without it, since no text has it.

Korean corpora that were made from the output of a tagger are delivered so, tags of the Sejong set after a slash.
"""

from __future__ import annotations

import re

# Kiwi writes VV-R and VV-I for regular and irregular stems, MeCab VV+EP for what it does not part, and NNBC for units
_HANGUL = r"NN[GPB]C?|NR|NP|(?:V[VAX]|XS[VA])(?:-[RI])?|VC[PN]|MM[ADN]?|MA[GJ]|IC|J(?:K[SCGOBVQ]|X|C)|E(?:P|F|C|TN|TM)|XPN|XS[NM]|XR|NA|NF|NV"
# what is no Hangul has tags of its own; HW/SW in a text of today is none
_TAGGED = re.compile(
    rf"[^\s+]*[가-힣ㄱ-ㆎ\u1100-\u11ff\ua960-\ua97f\ud7b0-\ud7ff][^\s+]*/(?:{_HANGUL})(?:\+(?:{_HANGUL}))*"
    r"|[A-Za-z][\w.&'-]*/SL|[\u3400-\u9fff]+/SH|\d[\d.,:-]*/SN|[^\w\s]+/S(?:[FPEWYBC]|S[OC]?|O)"
)


def without_tag(form: str) -> str:
    """Return a token without the tags that it or its morphemes carry (`가메아리/NNP+는/JX`); as it is without any."""
    if "/" not in form:
        return form
    parts = [form] if _TAGGED.fullmatch(form) else form.split("+")
    if not all(map(_TAGGED.fullmatch, parts)):
        return form
    return "".join(part[: part.rindex("/")] for part in parts)
