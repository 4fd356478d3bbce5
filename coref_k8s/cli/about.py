"""`version`."""

from __future__ import annotations

from coref_k8s import __version__
from coref_k8s.cli.console import out


def version() -> None:
    """Print the version."""
    out.print(f"coref-k8s {__version__}", highlight=False)
