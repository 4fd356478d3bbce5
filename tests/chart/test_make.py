"""`make images` and `make kind-load`: what they call, seen by programs that only write down how they were called."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

from tests.chart.rendering import CHART, ROOT, objects, one

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


def made(
    folder: Path, *arguments: str, programs: tuple[str, ...], scripts: dict[str, str] | None = None
) -> tuple[int, list[list[str]], str]:
    """Run make with only these programs and its own; return its code, the calls and what it said."""
    told = '#!/bin/sh\necho "{name} $*" >> {log}\n'
    bin_, log = folder / "bin", folder / "calls"
    bin_.mkdir()
    for name in ("make", "sh", "sed", "python3", "date", "mktemp", "rm", "touch"):
        (bin_ / name).symlink_to(shutil.which(name) or name)
    for name in programs:
        script = (scripts or {}).get(name, told).format(name=name, log=log)
        (bin_ / name).write_text(script, encoding="utf-8")
        (bin_ / name).chmod(0o755)
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=ROOT, env={**clean, "PATH": str(bin_)}, capture_output=True, text=True,
    )  # fmt: skip
    calls = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    return done.returncode, calls, done.stdout + done.stderr


@pytest.mark.parametrize("builder", ["docker", "podman", "buildah"])
def test_images_builds_both_with_the_names_that_the_chart_asks_for(tmp_path: Path, builder: str) -> None:
    code, calls, said = made(tmp_path, "images", f"BUILDER={builder}", programs=(builder,))
    assert code == 0, said
    assert [call[:2] for call in calls] == [[builder, "build"]] * 2
    tags = [call[call.index("--tag") + 1] for call in calls]
    controller = one(objects({}), "Deployment", "coref-controller")
    settings = yaml.safe_load(one(objects({}), "ConfigMap", "coref-controller")["data"]["cluster.yaml"])
    assert tags == [
        controller["spec"]["template"]["spec"]["containers"][0]["image"],
        settings["jobs"]["image"],
    ]
    for call in calls:
        assert f"VERSION={VERSION}" in call
        assert (ROOT / call[call.index("--file") + 1]).is_file()
        assert call[-1] == "."
    assert calls[1][calls[1].index("--target") + 1] == "cuda"


def test_every_target_that_is_asked_for_is_in_the_dockerfile(tmp_path: Path) -> None:
    _, calls, _ = made(tmp_path, "images", "TRIAL_TARGET=cpu", programs=("docker",))
    text = (ROOT / "images" / "trial" / "Dockerfile").read_text(encoding="utf-8")
    stages = re.findall(r"^FROM \S+ AS (\S+)$", text, re.M)
    assert calls[1][calls[1].index("--target") + 1] == "cpu"
    assert {"cpu", "cuda"} <= set(stages)


@pytest.mark.parametrize(
    ("programs", "options", "start"),
    [
        (("kind",), (), ["kind", "load", "docker-image", "--name", "kind"]),
        (("kind", "k3d"), ("KIND_CLUSTER=lab",), ["kind", "load", "docker-image", "--name", "lab"]),
        (("k3d",), (), ["k3d", "image", "import", "--cluster", "k3s-default"]),
        (("k3d",), ("K3D_CLUSTER=lab",), ["k3d", "image", "import", "--cluster", "lab"]),
    ],
)
def test_kind_load_takes_both_images_to_the_cluster_that_is_there(
    tmp_path: Path, programs: tuple[str, ...], options: tuple[str, ...], start: list[str]
) -> None:
    code, calls, said = made(tmp_path, "kind-load", *options, programs=programs)
    assert code == 0, said
    version = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))["appVersion"]
    assert calls == [[*start, f"coref-k8s/controller:{version}", f"coref-k8s/trial:{version}"]]


@pytest.mark.parametrize("builder", ["podman", "buildah"])
@pytest.mark.parametrize(
    ("cluster", "load"),
    [
        ("kind", ["kind", "load", "image-archive", "--name", "kind"]),
        ("k3d", ["k3d", "image", "import", "--cluster", "k3s-default"]),
    ],
)
def test_images_that_are_not_in_docker_go_through_a_file(
    tmp_path: Path, builder: str, cluster: str, load: list[str]
) -> None:
    push = '#!/bin/sh\necho "{name} $*" >> {log}\nfile="${{3#docker-archive:}}"; touch "${{file%%:*}}"\n'
    code, calls, said = made(
        tmp_path, "kind-load", f"BUILDER={builder}", programs=(cluster, builder), scripts={builder: push}
    )
    assert code == 0, said
    version = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))["appVersion"]
    for image, (pushed, loaded) in zip(("controller", "trial"), (calls[:2], calls[2:]), strict=True):
        name = f"coref-k8s/{image}:{version}"
        assert loaded[:-1] == load
        # the name in the file is the one that the chart asks for, without localhost/
        assert pushed == [builder, "push", name, f"docker-archive:{loaded[-1]}:{name}"]
        assert not Path(loaded[-1]).exists()


def test_kind_load_without_either_says_what_to_do(tmp_path: Path) -> None:
    code, calls, said = made(tmp_path, "kind-load", programs=())
    assert (code, calls) == (2, [])
    assert "neither kind nor k3d is here" in said


@pytest.mark.slow
def test_release_makes_all_that_is_pushed(tmp_path: Path) -> None:
    """In a clone, since a release is made of a commit; takes its tools from the package index."""
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", f"file://{ROOT}", str(clone)], check=True)
    environment = Path(sys.prefix)
    (environment / ".installed").touch()  # newer than the clone's pyproject.toml
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(
        ["make", "release", f"VENV={environment}"], cwd=clone, env=clean, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    sums = dict(reversed(line.split()) for line in (clone / "dist/SHA256SUMS").read_text().splitlines())
    package = f"coref_k8s-{VERSION}"
    chart = f"coref-k8s-{VERSION}"
    assert sums.keys() == {
        f"{package}-py3-none-any.whl", f"{package}.tar.gz", f"{chart}.tgz", f"{chart}.cdx.json", "PROVENANCE"
    }  # fmt: skip
    for name, checksum in sums.items():
        assert hashlib.sha256((clone / "dist" / name).read_bytes()).hexdigest() == checksum
    parts = json.loads((clone / f"dist/{chart}.cdx.json").read_text())["components"]
    assert "optuna" in {part["name"] for part in parts}
    with zipfile.ZipFile(clone / f"dist/{package}-py3-none-any.whl") as wheel:
        assert "coref_k8s/wording/catalogue/cli.toml" in wheel.namelist()
