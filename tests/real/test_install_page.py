"""The walk-through of docs/install.md on the cluster of KUBECONFIG, word by word; Helm's part is the release itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from tests.chart.rendering import ROOT
from tests.chart.test_install_page import commands, section
from tests.real.release import Release

pytestmark = pytest.mark.real

WALK = list(commands(section("kind, CPU only")))


@pytest.mark.parametrize("words", [one for one in WALK if one[0] in ("kubectl", "coref-k8s")], ids=" ".join)
def test_what_the_page_types_works(release: Release, words: list[str]) -> None:
    if words[0] == "kubectl" and shutil.which("kubectl") is None:
        pytest.skip("kubectl is not here")
    program = [sys.executable, "-m", "coref_k8s"] if words[0] == "coref-k8s" else words[:1]
    # the page's namespace is that of a first installation; a view that goes on for ever is looked at once
    rest = [release.api.namespace if word == "coref" else word for word in words[1:] if word != "--watch"]
    done = subprocess.run(
        [*program, *rest], cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr or done.stdout
