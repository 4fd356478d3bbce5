"""The body of a forked trial; a module of its own, since `conftest` is the name of many and could not be pickled."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable


def run(environment: dict[str, str], log: str, before: Callable[[], None] | None) -> None:
    """Run the trial program in a process just forked, with its output in `log`."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    # by the line, as the interpreter's own: else the end of a progress bar stands behind the next event
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    os.environ.update(environment)
    try:
        if before is not None:
            before()
        from coref_k8s.trial.main import main

        code = main()
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    sys.exit(code)
