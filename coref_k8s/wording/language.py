"""The languages that the project speaks, and which one a locale asks for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal, get_args

Lang = Literal["en", "ko"]
LANGUAGES: tuple[Lang, ...] = get_args(Lang)


def locale_lang(environ: Mapping[str, str] | None = None) -> Lang:
    """Return the language of the locale: Korean, or English for everything else."""
    env = os.environ if environ is None else environ
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if value := env.get(name):
            return "ko" if value.lower().startswith("ko") else "en"
    return "en"
