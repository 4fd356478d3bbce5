"""`coref-k8s` whose trials take no training (`tests/local/trial_program.py`): for tests that need only its behaviour."""

import sys
from pathlib import Path

from coref_k8s.cli.main import run
from coref_k8s.local.session import LocalSession

TRIAL = Path(__file__).parents[1] / "local" / "trial_program.py"


def without_training() -> None:
    """Let every local session run the stand-in."""
    defaults = LocalSession.__init__.__kwdefaults__
    assert defaults is not None
    defaults |= {"command": [sys.executable, str(TRIAL)], "grace": 5.0}


if __name__ == "__main__":
    without_training()
    sys.exit(run())
