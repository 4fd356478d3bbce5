"""The images: Dockerfiles without findings, locks with hashes, and the controller image really built and run
(the trial image too: `-m slow`).

The build needs Debian's buildah and debootstrap (`tests/install-services.sh` installs them) and root; its base is a
small Debian 12, made once and kept in the temporary folder.
"""

from __future__ import annotations

import ast
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.chart.rendering import CHART, ROOT

IMAGES = ROOT / "images"
#: Where base and layers are kept between runs.
CACHE = Path(tempfile.gettempdir()) / "coref-k8s-images"
BASE = "localhost/coref-base"


@pytest.mark.parametrize("image", ["controller", "trial"])
def test_dockerfile_has_no_findings(image: str) -> None:
    program = Path(sys.prefix) / "bin" / "hadolint"
    done = subprocess.run([program, IMAGES / image / "Dockerfile"], capture_output=True, text=True)
    assert done.stdout + done.stderr == ""
    assert done.returncode == 0


@pytest.mark.parametrize("lock", sorted(IMAGES.glob("*/*.lock")), ids=lambda path: path.name)
def test_lock_has_a_hash_for_everything(lock: Path) -> None:
    entries = re.split(r"\n(?=[a-z0-9])", lock.read_text(encoding="utf-8"))
    assert len(entries) > 30
    for entry in entries:
        assert re.match(r"[\w.\[\]-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", entry, re.S), entry[:80]


def test_controller_holds_no_torch_and_what_it_needs() -> None:
    names = set(
        re.findall(r"^([a-z0-9-]+)==", (IMAGES / "controller" / "requirements.lock").read_text(), re.M)
    )
    assert {"kubernetes", "optuna", "psycopg2-binary", "pydantic", "typer"} <= names
    assert not {"torch", "transformers", "datasets", "kiwipiepy"} & names


def test_trial_images_differ_in_torch_and_cuda_only() -> None:
    cuda, cpu = (
        set(
            re.findall(
                r"^([a-z0-9-]+==\S+)", (IMAGES / "trial" / f"requirements-{name}.lock").read_text(), re.M
            )
        )
        for name in ("cuda", "cpu")
    )
    assert cpu < cuda
    assert all(re.match(r"torch|triton|nvidia-|cuda-", name) for name in cuda - cpu)
    (torch,) = [name for name in cuda if name.startswith("torch==")]
    assert f"{torch} " in (IMAGES / "trial" / "Dockerfile").read_text()


def buildah(*arguments: str | Path, seconds: float = 600) -> str:
    command = [
        "buildah",
        "--root",
        CACHE / "root",
        "--runroot",
        CACHE / "run",
        "--storage-driver",
        "vfs",
        *arguments,
    ]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=seconds)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


def make_base() -> None:
    """Make the base image from Debian's packages, unless it is there."""
    if BASE in buildah("images", "--format", "{{.Name}}"):
        return
    root = CACHE / "rootfs"
    shutil.rmtree(root, ignore_errors=True)
    packages = "--include=python3,python3-venv,ca-certificates"
    subprocess.run(
        ["debootstrap", "--variant=minbase", packages, "bookworm", str(root)], check=True, capture_output=True
    )
    for extra in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale"):
        shutil.rmtree(root / extra, ignore_errors=True)
    container = buildah("from", "scratch").strip()
    buildah("add", "--quiet", container, root, "/")
    buildah("commit", "--quiet", container, BASE)
    buildah("rm", container)
    shutil.rmtree(root)


def pip_of_this_machine(folder: Path) -> list[str]:
    """Mounts that let pip inside the build use the indexes that pip uses here."""
    text = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    found: dict[str, str] = {}
    # variables win over files
    for line in sorted(text.splitlines(), key=lambda line: line.startswith(":env:")):
        key, _, value = line.partition("=")
        found[key.rpartition(".")[2]] = ast.literal_eval(value)
    lines = "".join(f"{key} = {' '.join(value.split())}\n" for key, value in found.items())
    config = folder / "pip.conf"
    config.write_text(f"[global]\n{lines}", encoding="utf-8")
    words = {word for value in found.values() for word in value.split()}
    # an index on disk keeps its files beside its pages
    words = {str(Path(word[7:]).parent) if word.startswith("file://") else word for word in words}
    places = {word for word in words if word.startswith("/") and Path(word).exists()}
    return [
        f"--volume={config}:/etc/pip.conf:ro",
        *(f"--volume={place}:{place}:ro" for place in sorted(places)),
    ]


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    """The base of both images; one test run at a time builds here."""
    if missing := [tool for tool in ("buildah", "debootstrap") if not shutil.which(tool)]:
        pytest.skip(f"building without Docker needs {' and '.join(missing)} (tests/install-services.sh)")
    if os.geteuid() != 0:
        pytest.skip("building without Docker needs root")
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # what a run that was killed has left
        buildah("rm", "--all")
        buildah("rmi", "--prune")
        make_base()
        yield BASE


@contextmanager
def built(name: str, folder: Path, *options: str) -> Iterator[str]:
    """Build an image and give a container of it; both are removed afterwards."""
    tag = f"localhost/coref-{name}:test"
    fixed = ["--isolation=chroot", "--network=host", "--layers=false", *pip_of_this_machine(folder)]
    buildah("build", *fixed, *options, "--file", IMAGES / name / "Dockerfile", "--tag", tag, ROOT)
    container = buildah("from", tag).strip()
    try:
        assert "65532" in buildah("inspect", "--format", "{{.OCIv1.Config.User}}", container)
        yield container
    finally:
        buildah("rm", container)
        buildah("rmi", tag)


def test_controller_image_is_built_and_runs(base: str, tmp_path: Path) -> None:
    bases = [f"--build-arg={name}={base}" for name in ("BUILD_BASE", "RUN_BASE")]
    with built("controller", tmp_path, *bases) as container:
        run = ("run", "--isolation=chroot", container, "--", "/opt/coref/bin/coref-k8s")
        assert "controller" in buildah(*run, "--help")
        everything = "import coref_k8s.cli.system, coref_k8s.cluster.service, coref_k8s.cluster.smoke"
        shell = f"/opt/coref/bin/python -v -c '{everything}, kubernetes.client' 2>&1"
        told = buildah(*run[:-1], "sh", "-c", shell)
        read, compiled = (
            len(re.findall(f"# code object from '?/opt/coref.*{end}", told, re.M)) for end in ("pyc", "py'?$")
        )
        assert (read > 500, compiled < 20) == (True, True), (read, compiled)
        mounted = Path(buildah("mount", container).strip())
        ours = sum(path.lstat().st_size for path in (mounted / "opt" / "coref").rglob("*"))
        # the target is 250 MB with the base, which is another one here
        assert ours < 190e6, f"/opt/coref: {ours / 1e6:.0f} MB"
        assert not list(mounted.glob("opt/coref/lib/python3.11/site-packages/torch"))


@pytest.mark.slow
def test_trial_image_is_built_and_runs_a_trial(base: str, tmp_path: Path) -> None:
    """The study of `helm test`, whose model and text are in the image."""
    (data := tmp_path / "data").mkdir()
    data.chmod(0o777)
    # CPU wheels may also lie in pip's `find-links`
    index = "--build-arg=TORCH_INDEX=https://pypi.org/simple"
    study = CHART / "files" / "smoke.yaml"
    with built("trial", tmp_path, "--target=cpu", f"--build-arg=BASE={base}", index) as container:
        mounts = (f"--volume={study}:/study.yaml:ro", f"--volume={data}:/data")
        run = ("run", "--isolation=chroot", *mounts, container, "--")
        submit = ("coref-k8s", "submit", "--local", "--data-dir=/data", "--file=/study.yaml", "--name=smoke")
        buildah(*run, *submit)
        result = json.loads(
            buildah(*run, "coref-k8s", "status", "smoke", "--data-dir=/data", "--output=json")
        )
    assert result["phase"] == "Succeeded"
