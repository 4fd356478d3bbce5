"""Prepares a study's data once: read, split, filter, analyse, sample, cut, pack, write. Documents with chains stay whole.

The result lies under `prepared/<hash>/` in the data root, where the hash covers everything it depends on.
It appears there all at once (a folder is filled beside it and renamed), so a killed preparation leaves nothing
half done and two at a time do no harm. Documents wait in files: memory grows with their number (less than a
kilobyte each), not with the text.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coref_k8s.corpus.building import Preparation
from coref_k8s.corpus.chains import Measure
from coref_k8s.corpus.fingerprint import data_hash
from coref_k8s.corpus.generated import is_generated
from coref_k8s.corpus.local import is_local
from coref_k8s.corpus.prepared import items_path, open_prepared
from coref_k8s.corpus.progress import ProgressCallback, Reporter
from coref_k8s.corpus.show import add_remarks, read_statistics
from coref_k8s.corpus.sources import Emitter
from coref_k8s.files import alone
from coref_k8s.study.paths import PREPARED, STATISTICS_FILE
from coref_k8s.study.spec import StudySpec
from coref_k8s.text.document import Document, Split
from coref_k8s.wording import Message

#: Writes the evaluation items of one split, and returns what is to be said of them: (documents, tokenizer, seq_len, split, path).
EvalWriter = Callable[[list[Document], Any, int, str, Path], Iterable[Message] | None]


@dataclass(frozen=True)
class PreparedRef:
    """Where prepared data lie, under which hash, and what they are."""

    path: Path
    hash: str
    statistics: dict[str, Any]


def prepare(
    spec: StudySpec,
    data_root: Path,
    tokenizer: Any,
    *,
    bus: Emitter | None = None,
    progress: ProgressCallback | None = None,
    eval_writer: EvalWriter | None = None,
    measure: Measure | None = None,
    workers: int | None = None,
    held_out: Mapping[str, Split] | None = None,
    bring: Callable[[str], None] = lambda _: None,
) -> PreparedRef:
    """Prepare the data of `spec`, or find them prepared.

    Data that lack a source which failed on the way (a hub that went away, a gate without a token) lie under a
    hash of their own: the same request reads again, and `PreparedRef.hash` says which data these are.

    `eval_writer` writes the item files of the dev and test documents for every length, in task mentions; `measure` counts
    for the statistics of task coreference. `workers` is the
    number of analysing processes, by default one a core. `held_out` gives texts the split that they have in other data:
    nothing tested on there, and no copy of it, is trained on here. `bring` is given the name of the data's folder before it
    is looked for. Raises DataError when no usable text is left.
    """
    revisions = _revisions(spec)
    key = data_hash(spec, tokenizer, revisions, held_out=held_out)
    root = data_root / PREPARED
    root.mkdir(parents=True, exist_ok=True)
    target = root / key
    bring(f"{PREPARED}/{key}")
    with alone(target) as had:
        if not (target / STATISTICS_FILE).exists():
            if had:
                for left in root.glob(f".{key}-*"):
                    shutil.rmtree(left, ignore_errors=True)
            work = Path(tempfile.mkdtemp(prefix=f".{key}-", dir=root))
            try:
                work.chmod(0o755)  # mkdtemp's 0700 would hide the data from trials of another user
                out = work / "out"
                out.mkdir()
                preparation = Preparation(
                    spec,
                    tokenizer,
                    revisions,
                    work,
                    out,
                    Reporter(progress, bus),
                    bus,
                    data_root,
                    workers,
                    held_out or {},
                    measure,
                )
                # without a source that was lost on the way these are other data: the next study tries again
                key = preparation.run()
                target = root / key
                _write_items(out, spec, tokenizer, eval_writer)
                with contextlib.suppress(OSError):  # another one was first, and wrote the same
                    out.rename(target)
            finally:
                shutil.rmtree(work, ignore_errors=True)
        _write_items(target, spec, tokenizer, eval_writer)
    return PreparedRef(target, key, read_statistics(target))


def _revisions(spec: StudySpec) -> dict[int, str]:
    """Return the commit of every hub source that can be asked for it."""
    found = {}
    for place, config in enumerate(spec.data.sources):
        if not is_generated(config.source) and not is_local(config.source):
            from coref_k8s.corpus.hub import resolve

            commit = resolve(config)
            if commit:
                found[place] = commit
    return found


def _write_items(folder: Path, spec: StudySpec, tokenizer: Any, eval_writer: EvalWriter | None) -> None:
    """Write the item files that are missing; each appears whole."""
    if eval_writer is None or spec.task != "mentions":
        return
    remarks: list[Message] = []
    for seq_len in spec.seq_lengths:
        for split in ("dev", "test"):
            path = items_path(folder, seq_len, split)
            documents = [] if path.exists() else open_prepared(folder, seq_len).documents(split)
            if documents:
                part = path.with_name(f".{os.getpid()}-{path.name}")
                remarks += eval_writer(documents, tokenizer, seq_len, split, part) or ()
                part.replace(path)
    if remarks:
        add_remarks(folder, remarks)
