"""A whole controller as a program, for tests that kill it: `run_study.py DATA_DIR NAME [resume]`."""

import sys
from pathlib import Path

from coref_k8s.errors import CorefError
from coref_k8s.local.session import LocalSession
from coref_k8s.settings import Settings

PROGRAM = Path(__file__).parent / "trial_program.py"


def session(data_dir: Path, storage_url: str | None = None) -> LocalSession:
    """Return a session whose trials are `trial_program.py`."""
    settings = Settings.from_env({}, data_dir=data_dir, storage_url=storage_url)
    return LocalSession(
        settings, command=[sys.executable, str(PROGRAM)], grace=5.0, gpus=(), cores=2, pause=0.02
    )


if __name__ == "__main__":
    try:
        result = session(Path(sys.argv[1])).run(sys.argv[2], resume="resume" in sys.argv)
    except CorefError as error:
        sys.exit(f"{error}")
    print(result.study.phase, result.interrupted)
