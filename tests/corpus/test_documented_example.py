"""The worked example of docs/data.md, followed to the letter: a package of the user's own with an extractor."""

import json
import os
import re
from importlib.metadata import Distribution
from pathlib import Path

import pytest
import yaml

from coref_k8s.corpus import registry
from coref_k8s.corpus.sources import load_documents
from coref_k8s.study.spec import DataSpec

DOCUMENT = Path(__file__).parents[2] / "docs" / "data.md"


def block(language, start):
    """The first code block of a language whose text begins with `start`."""
    blocks = re.findall(rf"```{language}\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    return next(found for found in blocks if found.lstrip().startswith(start))


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The example's package, as pip would have installed it."""
    (tmp_path / "minutes.py").write_text(block("python", "# minutes.py"), encoding="utf-8")
    toml = block("toml", "[project.entry-points")
    group, name, target = re.fullmatch(r'\[project\.entry-points\."(.+)"\]\n(\w+) = "(.+)"\s*', toml).groups()
    metadata = tmp_path / "minutes-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: minutes\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[{group}]\n{name} = {target}\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry.installed.cache_clear()
    yield tmp_path
    registry.installed.cache_clear()


def test_an_installed_package_brings_its_extractor(installed):
    assert Distribution.from_name("minutes").version == "1.0"
    rows = [
        {"kind": "speech", "speech": "첫 발언", "topic": "예산", "session": "s1"},
        {"kind": "vote", "speech": "", "topic": "", "session": "s1"},
        {"kind": "speech", "speech": "둘째 발언", "topic": "예산", "session": "s1"},
    ]
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (installed / "minutes.jsonl").write_text(lines, encoding="utf-8")
    entry = block("yaml", "- source: /texts/minutes.jsonl").replace("/texts", str(installed))
    spec = DataSpec.model_validate({"sources": yaml.safe_load(entry)})
    found = [(document.text, document.title, group) for document, group in load_documents(spec)]
    assert found == [("첫 발언", "예산", "s1"), ("둘째 발언", "예산", "s1")]


def test_the_documented_sources_are_a_valid_request():
    request = yaml.safe_load(block("yaml", "data:"))
    assert len(DataSpec.model_validate(request["data"]).sources) == 4


@pytest.mark.skipif(
    not os.environ.get("COREF_CORPUS_DIR"), reason="COREF_CORPUS_DIR names no folder of novels"
)
def test_real_novels_with_gold_chains_are_read():
    folder = Path(os.environ["COREF_CORPUS_DIR"])
    spec = DataSpec.model_validate({"sources": [{"source": str(folder / "novels.jsonl"), "domain": "novel"}]})
    documents = [document for document, _ in load_documents(spec)]
    assert len(documents) >= 30
    assert sum(len(spans) for document in documents for spans in document.clusters.values()) > 10_000
    for document in documents:
        assert all(document.text[start:end].strip() for start, end, _ in document.mentions())
