"""A whole controller as a program, for tests that kill it: `run_study.py DATA_DIR NAME [resume]`."""

import sys
from pathlib import Path

from coref_k8s.errors import CorefError
from coref_k8s.local.session import LocalSession
from coref_k8s.settings import Settings

HERE = Path(__file__).parent


def session(data_dir: Path) -> LocalSession:
    """Return a session whose trials are `trial_program.py`."""
    command = [sys.executable, "-I", "-S", str(HERE / "trial_program.py")]
    settings = Settings.from_env({}, data_dir=data_dir)
    return LocalSession(settings, command=command, grace=5.0, gpus=(), cores=2, pause=0.02)


def reporting_session(data_dir: Path, storage_url: str) -> LocalSession:
    """Return a session whose trials are `reporting_program.py`."""
    command = [sys.executable, str(HERE / "reporting_program.py")]
    settings = Settings.from_env({}, data_dir=data_dir, storage_url=storage_url)
    return LocalSession(settings, command=command, gpus=(), cores=2)


if __name__ == "__main__":
    try:
        result = session(Path(sys.argv[1])).run(sys.argv[2], resume="resume" in sys.argv)
    except CorefError as error:
        sys.exit(f"{error}")
    print(result.study.phase, result.interrupted)
