"""The behaviour suite of all runners, over Jobs."""

from __future__ import annotations

import pytest

from tests.runner_contract import RunnerContract

pytestmark = pytest.mark.cluster


class TestClusterRunner(RunnerContract):
    """Jobs behave as processes do."""
