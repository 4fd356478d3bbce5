"""A study and a list of studies as Python objects: what notebooks and scripts work with."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime


def made_up_name(now: datetime | None = None) -> str:
    """Return a readable study name that is most likely free, such as `coref-20261122-1f3a`."""
    return f"coref-{now or datetime.now(UTC):%Y%m%d}-{secrets.token_hex(2)}"
