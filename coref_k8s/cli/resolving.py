"""`resolve`: chains of raw text."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from unicodedata import normalize

import typer

from coref_k8s.cli.console import err, note, out
from coref_k8s.cli.sheet import Sheet
from coref_k8s.cli.speech import lang, say
from coref_k8s.cli.where_options import DataDir, Where, name_place, names_of_studies
from coref_k8s.client.checks import require_trial_packages
from coref_k8s.corpus.marked import SUFFIX as MARKED
from coref_k8s.errors import CorefError, DataError, RequestError, reason
from coref_k8s.text.clean import harmless

if TYPE_CHECKING:
    from rich.status import Status

    from coref_k8s.coref.resolved import ResolvedDocument
    from coref_k8s.text.document import Document

Form = Literal["table", "text", "json", "jsonl", "conllu", "conll", "html"]
_ENDINGS = {"table": ".txt", "text": ".txt"}
#: Forms of which several documents make one stream.
_STREAMS = ("table", "text", "jsonl", "conllu", "conll")
#: Names of an entity, and letters of each and of the text where it is first named, that the table shows.
_NAMES, _LETTERS = 4, 24
#: Characters of a file's name, without its ending: file systems take 255 bytes.
_LONGEST = 64


def resolve(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", show_default=False, autocompletion=names_of_studies)
    ],
    files: Annotated[list[str] | None, typer.Argument(metavar="[FILE...|-]", show_default=False)] = None,
    output: Annotated[Form, typer.Option("--output", "-o")] = "table",
    output_dir: Annotated[Path | None, typer.Option("--output-dir", metavar="FOLDER")] = None,
    device: Annotated[str | None, typer.Option("--device", metavar="DEVICE")] = None,
    windows: Annotated[int, typer.Option("--windows", metavar="N", min=1)] = 4,
    data_dir: DataDir = None,
) -> int:
    """Print who is who in Korean text of any length."""
    require_trial_packages()
    from coref_k8s.client.resolver import Resolver

    name_place(Where(data_dir=data_dir))
    resolver = Resolver.from_pretrained(model, data_dir=data_dir, device=device, windows=windows)
    taken: set[str] = set()
    with err.status("") as status:
        run = _Run(files or ["-"], status)
        texts = run.texts()
        if output_dir is None and output not in _STREAMS:
            first = list(islice(texts, 2))
            if len(first) > 1:
                raise RequestError("coref.one-document", form=output)
            texts = iter(first)
        for document in resolver.stream(texts, check=run.passed):
            if output_dir is None:
                status.stop()  # both may go to one terminal
                _show(document, output, run)
                status.start()
            else:
                _keep(document, output, output_dir, taken)
            run.done += 1
            run.entities += len(document.chains)
    if output_dir is not None:
        note(say("coref.written", n=run.done, folder=str(output_dir)), markup=False)
    if run.failed:
        note(say("coref.not-resolved", n=run.failed, done=run.done), style="yellow", markup=False)
    return 1 if run.failed else 0


class _Run:
    """What is read, what of it cannot be, and how far it is."""

    def __init__(self, given: list[str], status: Status) -> None:
        self._given = given
        self._status = status
        self._name = ""
        self._passes = 0
        self._named: set[str] = set()
        self.failed = self.done = self.entities = 0

    def texts(self) -> Iterator[tuple[str, str]]:
        """Yield each text with its name; name what cannot be read."""
        for place, found in _documents(self._given):
            if isinstance(found, CorefError):
                self.failed += 1
                why = found.message.say(lang())
                note(harmless(f"{place}: {why}" if place else why), style="red", markup=False)
            else:
                self._name = _unused(found.doc_id, self._named)
                self._tell()
                yield self._name, found.text

    def passed(self) -> None:
        """Count a forward pass."""
        self._passes += 1
        self._tell()

    def _tell(self) -> None:
        document = harmless(self._name)
        self._status.update(say("coref.resolving", document=document, passes=self._passes, n=self.done))


def _documents(given: list[str]) -> Iterator[tuple[str, Document | CorefError]]:
    """Yield each document with its place, or why there is none there (no place where the reason names it)."""
    from coref_k8s.corpus.local import SUFFIXES, LeftOut, files_of, read_file
    from coref_k8s.study.paths import expanded
    from coref_k8s.text.document import Document

    for name in given:
        if name == "-":
            if sys.stdin.isatty():
                note(say("coref.typed-here"), style="dim", markup=False)
            yield "stdin", _text("stdin", sys.stdin.buffer.read)
            continue
        left_out = LeftOut()
        try:
            path = expanded(name)
            if path.is_file() and path.suffix.lower() not in SUFFIXES:
                yield name, _text(path.name, path.read_bytes)
                continue
            sources = files_of(name, left_out)
        except CorefError as error:
            yield "", error  # it names the file itself
            continue
        for within, file in sources.items():
            if file.suffix.lower() == ".txt" and not within.endswith(MARKED):
                # as it is, whatever its line ends: offsets count the characters of the file
                yield str(file), _text(within.removesuffix(file.suffix), file.read_bytes)
                continue
            for place, found in read_file(file, within, left_out):
                yield place, found if isinstance(found, Document) else _row(found, place)
        unread = [*left_out.messages(name)]
        for message in unread:
            yield name, DataError(message)
        if not sources and not unread:
            yield name, DataError("coref.no-files", suffixes=[*SUFFIXES])


def _text(name: str, read: Callable[[], bytes]) -> Document | CorefError:
    """Return a file of text as a document."""
    from coref_k8s.text.decoding import UTF16_MARKS, decode
    from coref_k8s.text.document import Document

    try:
        data = read()
        if b"\0" in data and not data.startswith(UTF16_MARKS):
            return DataError("coref.binary")
        return Document(name, decode(data))
    except DataError as error:
        return error
    except OSError as error:
        return DataError("coref.unreadable", why=reason(error))


def _row(row: Mapping[str, Any], place: str) -> Document | CorefError:
    """Return the document of a row, or why it has none."""
    from coref_k8s.corpus.extractors import auto
    from coref_k8s.corpus.registry import Extracted
    from coref_k8s.text.document import Document

    try:
        found = auto(row)
    except CorefError as error:
        return error
    if not isinstance(found, Extracted):
        return DataError("coref.no-text")
    return Document(found.doc_id or place, found.text)


def _show(document: ResolvedDocument, form: Form, run: _Run) -> None:
    if form == "table":
        _table(document)
        return
    text = _written(document, form, colour=out.is_terminal and not out.no_color, before=run.entities)
    if form == "text" and out.is_terminal and out.no_color:
        text = harmless(text)
    sys.stdout.write(f"\n{text}" if run.done and form == "text" else text)
    sys.stdout.flush()


def _unused(name: str, taken: set[str]) -> str:
    """Return a name, with a number where it is taken already, and take it."""
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name}-{number}"
    taken.add(found)
    return found


def _keep(document: ResolvedDocument, form: Form, folder: Path, taken: set[str]) -> None:
    """Write a document's file."""
    base = document.doc_id.strip("/.").translate({ord(sign): "-" for sign in "/:\n\0"})[:_LONGEST]
    name = _unused(base or "document", taken)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / (name + _ENDINGS.get(form, f".{form}"))
        path.write_text(_written(document, form, colour=False), encoding="utf-8")
    except OSError as error:
        why = reason(error)
        raise RequestError("coref.cannot-write", folder=str(folder), why=why) from error


def _written(document: ResolvedDocument, form: Form, *, colour: bool, before: int = 0) -> str:
    """Return what is written of a document; `before`: entities of those that stand before it in the stream."""
    if form == "text":
        return document.to_text(colour=colour).rstrip("\n") + "\n"
    if form == "json":
        return document.to_json(indent=1) + "\n"
    if form == "jsonl":
        return document.to_json() + "\n"
    if form == "conllu":
        return document.to_conllu(first=before + 1)
    if form == "conll":
        return document.to_conll()
    if form == "html":
        return document.to_html(lang())
    from rich.console import Console

    buffer = io.StringIO()
    _table(document, Console(file=buffer, width=100))
    return buffer.getvalue()


def _table(document: ResolvedDocument, console: object = None) -> None:
    """Print the entities with two or more mentions, the largest first."""
    from collections import Counter

    table = Sheet(harmless(document.doc_id))
    for column in ("number", "mentions", "names", "first"):
        table.column(say(f"coref.column-{column}"), wrapped=column in ("names", "first"))
    chains = [(number, chain) for number, chain in enumerate(document.chains) if len(chain) > 1]
    for number, chain in sorted(chains, key=lambda one: -len(one[1])):
        names = Counter(mention.text for mention in chain).most_common(_NAMES)
        shown = ", ".join(f"{_begun(text)} {count}" for text, count in names)
        table.row(str(number + 1), str(len(chain)), shown, _context(document, chain[0].start))
    target = out if console is None else console
    if chains:
        target.print(table)  # type: ignore[attr-defined]
    else:
        target.print(harmless(document.doc_id), style="bold", markup=False, highlight=False)  # type: ignore[attr-defined]
    alone = len(document.chains) - len(chains)
    target.print(say("coref.table-foot", entities=len(chains), alone=alone), highlight=False)  # type: ignore[attr-defined]


def _context(document: ResolvedDocument, at: int) -> str:
    return _begun(" ".join(document.text[at : at + 4 * _LETTERS].split()))


def _begun(text: str) -> str:
    """Return the first letters of a text, composed: of a syllable that was taken apart half is nothing to read."""
    return harmless(normalize("NFC", text)[:_LETTERS])
