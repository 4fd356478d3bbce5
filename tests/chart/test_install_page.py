"""docs/install.md, word by word: every command in it is read from the page and run, or checked as far as no cluster is needed.

On a cluster the same words are run by tests/real.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import helm_python
import pytest
import yaml

from coref_k8s.cli.main import COMMANDS
from coref_k8s.cluster import names
from tests.chart.rendering import CHART, ROOT, objects

PAGE = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
#: What stands in a block that is typed into a shell; other blocks are values.
PROGRAMS = ("coref-k8s", "helm", "kind", "kubectl", "make", "pip")
#: What Helm is asked for; everything that it renders is of these values.
RELEASE = "coref"
#: Made by people and programs: an example's name, the pod of `helm test`, what the definition adds to the API.
MADE = {"coref-s3", "alice", "coref-test", names.CRD_NAME}


def commands(page: str = PAGE) -> Iterator[list[str]]:
    """Yield the commands of the page as a shell takes them apart, those in sentences as well."""
    lines = re.sub(r"\\\n\s+", "", page).splitlines()
    blocks = [line.strip() for line in lines if line.startswith("    ")]
    sentences = [
        one for line in lines if not line.startswith("    ") for one in re.findall(r"`([^`]+)`", line)
    ]
    for line in (*blocks, *(one for one in sentences if " " in one)):
        words = shlex.split(line, comments=True)
        if words and words[0] in PROGRAMS:
            yield words[: words.index("<")] if "<" in words else [word for word in words if word != "&"]


def section(title: str) -> str:
    """Return a part of the page."""
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def options(words: list[str], *wanted: str) -> list[str]:
    """Return the values of options of these names."""
    pairs = zip(words, [*words[1:], ""], strict=True)
    return [value for word, value in pairs if word in wanted] + [
        word.partition("=")[2] for word in words if word.partition("=")[0] in wanted and "=" in word
    ]


def of(program: str) -> list[Any]:
    """Return the commands of one program, to be tested one by one."""
    return [pytest.param(words, id=" ".join(words)) for words in commands() if words[0] == program]


@lru_cache(maxsize=1)
def known() -> Mapping[str, set[str]]:
    """Names of what a release has, by kind; claims and secrets of a StatefulSet and of pods among them."""
    found: dict[str, set[str]] = {}
    for one in [*objects({}), *objects({"ui": {"enabled": True}})]:
        found.setdefault(one["kind"], set()).add(one["metadata"]["name"])
        for claim in (
            one.get("spec", {}).get("volumeClaimTemplates", ()) if one["kind"] == "StatefulSet" else ()
        ):
            pods = f"{claim['metadata']['name']}-{one['metadata']['name']}-0"
            found.setdefault("PersistentVolumeClaim", set()).add(pods)
            found.setdefault("Pod", set()).add(f"{one['metadata']['name']}-0")
    return found


def test_the_page_has_commands_of_every_program() -> None:
    assert {words[0] for words in commands()} == set(PROGRAMS)
    assert sum(1 for _ in commands()) > 30


@pytest.mark.parametrize("words", of("helm"))
def test_helm_renders_what_the_page_gives_it(words: list[str]) -> None:
    verb = words[1]
    if verb in ("install", "upgrade") and "charts/coref-k8s" in words:
        assert (ROOT / words[words.index("charts/coref-k8s")]).samefile(CHART)
        assert words[2] == RELEASE
        values: dict[str, Any] = {}
        for one in options(words, "--set"):
            values = _merged(values, helm_python.parse_set_string(one))
        report = helm_python.lint(CHART, values, strict=True, namespace="coref")
        assert not [one for one in report["messages"] if one["severity"] == "error"], report
        assert objects(values)
    if verb in ("install", "upgrade", "test", "rollback", "uninstall") and len(words) > 3:
        assert options(words, "--namespace", "-n") == ["coref"], (
            "Helm installs into this namespace everywhere"
        )


def _merged(values: dict[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    for name, value in more.items():
        both = isinstance(value, dict) and isinstance(values.get(name), dict)
        values = {**values, name: _merged(values[name], value) if both else value}
    return values


@pytest.mark.parametrize("words", of("kubectl"))
def test_kubectl_names_what_is_there(words: list[str]) -> None:
    for file in options(words, "-f", "-k"):
        if file.startswith("manifests/"):
            path = ROOT / file
            assert path.exists()
            assert all(
                yaml.safe_load_all((path / "kustomization.yaml" if path.is_dir() else path).read_text())
            )
    every = {name for of_kind in known().values() for name in of_kind} | MADE
    named = {
        re.sub(r"^(deploy|svc|statefulset)/", "", word)
        for word in words
        if re.fullmatch(r"\S*coref-[a-z0-9-]+", word)
    }
    named = {name.partition("=")[2] or name for name in named if not name.startswith("--")} - {"coref-k8s"}
    assert named <= every | known().get("ClusterRole", set()), words


@pytest.mark.parametrize("words", of("make"))
def test_make_knows_its_targets_and_variables(words: list[str]) -> None:
    dry = subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, capture_output=True, text=True)
    assert dry.returncode == 0, dry.stderr
    for name in (word.partition("=") for word in words if "=" in word):
        assert name[2] in dry.stdout, words


@pytest.mark.parametrize("words", of("coref-k8s"))
def test_the_command_line_takes_what_the_page_types(words: list[str]) -> None:
    if words[1:] == ["--help"]:
        return
    (verb,) = [one for one in COMMANDS if one.name == words[1]]
    taken = {option for parameter in verb.load().params for option in parameter.opts}
    assert {word.partition("=")[0] for word in words if word.startswith("-")} <= taken


def test_the_package_that_is_installed_is_this_one() -> None:
    assert ["pip", "install", "."] in list(commands())
    assert (ROOT / "pyproject.toml").is_file()


def test_every_place_that_the_page_leads_to_is_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
    headings = {
        re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in PAGE.splitlines()
        if line.startswith("#")
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= headings
