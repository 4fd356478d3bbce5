"""The half-finished study of the command line's tests."""

from tests.cli.conftest import here, study

__all__ = ["here", "study"]
