"""The half-finished study of the command line's tests."""

from tests.cli.conftest import study

__all__ = ["study"]
