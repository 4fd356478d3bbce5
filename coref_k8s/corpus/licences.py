"""The licences that data put on what is made of them: of ready-made sources by a table, of others as they say themselves."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from coref_k8s.corpus.generated import is_generated
from coref_k8s.corpus.koconovel import of_koconovel
from coref_k8s.corpus.local import files_of, is_local
from coref_k8s.corpus.shipped import korean_folder
from coref_k8s.errors import CorefError
from coref_k8s.wording import Message


@dataclass(frozen=True)
class Licensed:
    """A source, whose it is, and what its licence asks for."""

    name: str
    licence: str
    """SPDX identifier, `other` for one of its own, `unknown`."""
    terms: Message
    """What the licence asks for, in words."""
    authors: str = ""
    url: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {**asdict(self), "terms": self.terms.dump()}


#: What licences ask for, by the name of their words in the catalogue.
_TERMS = {"CC-BY-SA-4.0": "share-alike", "CC-BY-4.0": "attribution", "Apache-2.0": "notices"}


def _known(name: str, licence: str, authors: str, url: str) -> Licensed:
    return Licensed(
        name, licence, Message.of(f"coref_data.terms-{_TERMS.get(licence, licence)}"), authors, url
    )


#: Ready-made sources with Korean chains. Of CorefUD's data sets each has its own licence, in the file beside it.
KOCONOVEL = _known(
    "KoCoNovel",
    "CC-BY-SA-4.0",
    "Kim, Lee & Lee 2024 (arXiv:2404.01140)",
    "https://github.com/storidient/KoCoNovel",
)
ECMT = _known("Korean-ECMT (CorefUD)", "other", "Nam et al. 2020", "https://ufal.mff.cuni.cz/corefud")
ON_HUB = {
    "Elda-AI/elda-coref-ko-v2": _known(
        "elda-coref-ko-v2",
        "CC-BY-4.0",
        "Elda-AI",
        "https://huggingface.co/datasets/Elda-AI/elda-coref-ko-v2",
    ),
    "coref-data/korean_ecmt_indiscrim": ECMT,
}
_OWN = _known("coref-k8s", "Apache-2.0", "", "")
_LICENCE_FILES = ("LICENSE", "LICENCE", "COPYING")


def licence_of_source(source: str) -> Licensed:
    """Return the licence of a source: by the table, by a licence file in its folder or beside it, else unknown."""
    if is_generated(source):
        return _OWN
    if not is_local(source):
        return ON_HUB.get(source) or _known(
            source, "unknown", "", f"https://huggingface.co/datasets/{source}"
        )
    try:
        files = list(files_of(source).values())
        if files and all(_inside(file, korean_folder()) for file in files):
            return _OWN
    except (CorefError, OSError):
        files = []
    tests: tuple[tuple[Callable[[Path], bool], Licensed], ...] = (
        (of_koconovel, KOCONOVEL),
        (lambda file: file.name.startswith("ko_ecmt"), ECMT),
    )
    for fits, known in tests:
        if any(map(fits, files)):
            return known
    return _beside(source)


def _beside(source: str) -> Licensed:
    """Return what the first line of a licence file says, in the source's folder or the one above."""
    path = Path(os.path.expanduser(source))
    name = path.name or source
    folders = [path, path.parent] if path.is_dir() else [path.parent]
    for file in (file for folder in folders for file in _licence_files(folder)):
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        title = next((line.strip() for line in lines if line.strip()), "")
        return Licensed(
            name, "other", Message.of("coref_data.terms-file", file=file.name, title=title), url=str(file)
        )
    return _known(name, "unknown", "", "")


def _licence_files(folder: Path) -> list[Path]:
    try:
        found = [file for file in folder.iterdir() if file.is_file() and file.stem.upper() in _LICENCE_FILES]
    except OSError:
        return []
    return sorted(found)


def _inside(file: Path, folder: Path) -> bool:
    return file.resolve().is_relative_to(folder.resolve())
