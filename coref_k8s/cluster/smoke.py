"""`helm test`: asks for one small study and waits for its result, as a user would.

python -m coref_k8s.cluster.smoke STUDY.yaml [--timeout SECONDS]
"""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from collections.abc import Callable
from pathlib import Path

from coref_k8s.cluster import names
from coref_k8s.cluster.api import ClusterApi
from coref_k8s.cluster.errors import NotFound
from coref_k8s.cluster.resources import STUDIES
from coref_k8s.cluster.settings import own_namespace
from coref_k8s.errors import ClusterError, CorefError
from coref_k8s.study.reading import load_study_file, spec_from_mapping
from coref_k8s.wording import say as words

#: Time between two looks (seconds).
PAUSE = 2.0


def smoke(
    api: ClusterApi,
    file: Path,
    *,
    timeout: float,
    tell: Callable[[str], None] = print,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """Create the study of `file` under a new name, wait for its end, delete it; return its best score.

    A study that failed stays, so that it can be looked at. Raises ClusterError when it fails or `timeout`
    (seconds) is over, RequestError when the file holds no valid study.
    """
    _, data = load_study_file(file)
    spec_from_mapping(data, where=str(file))
    name = f"helm-test-{secrets.token_hex(3)}"
    metadata = {"name": name, "annotations": {names.PURGE_ANNOTATION: "true"}}
    api.create(
        STUDIES,
        {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": metadata, "spec": data},
    )
    tell(words("cluster.smoke-created", study=name))
    end, told = clock() + timeout, ""
    while True:
        status = api.get(STUDIES, name).get("status") or {}
        phase, message = status.get("phase", words("cluster.smoke-unseen")), status.get("message", "")
        news = " ".join(part for part in (phase, status.get("progress", ""), message) if part)
        if news != told:
            tell(news)
            told = news
        if phase == "Succeeded" and status.get("best"):
            api.delete(STUDIES, name)
            # a release that is uninstalled before the controller has purged the study would leave it behind for good
            while _exists(api, name) and clock() < end:
                sleep(PAUSE)
            return str(status.get("bestScore"))
        if phase in ("Succeeded", "Failed", "Cancelled"):
            raise ClusterError("cluster.smoke-no-best", study=name, news=news)
        if clock() >= end:
            raise ClusterError("cluster.smoke-late", study=name, timeout=timeout, news=news)
        sleep(PAUSE)


def _exists(api: ClusterApi, name: str) -> bool:
    try:
        api.get(STUDIES, name)
    except NotFound:
        return False
    return True


def main() -> int:
    """Run the test with this pod's service account, or the kubeconfig; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m coref_k8s.cluster.smoke", description=__doc__)
    parser.add_argument("study", type=Path, help="YAML file with the study")
    parser.add_argument("--timeout", type=float, default=900, help="seconds to wait")
    options = parser.parse_args()
    try:
        api = ClusterApi.connect(namespace=own_namespace())
        best = smoke(api, options.study, timeout=options.timeout)
    except CorefError as error:
        print(error, file=sys.stderr)
        return 1
    print(words("cluster.smoke-best", score=best))
    return 0


if __name__ == "__main__":
    sys.exit(main())
