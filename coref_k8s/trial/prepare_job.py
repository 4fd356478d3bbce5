"""The preparation job: text to memory-mapped sequences and evaluation items, once for a whole study."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coref_k8s.corpus.generated import is_generated
from coref_k8s.corpus.prepare import PreparedRef
from coref_k8s.corpus.show import read_statistics
from coref_k8s.errors import TrialError, UnusableTextError
from coref_k8s.objects import Mirror
from coref_k8s.settings import Settings
from coref_k8s.sizing.shape import config_of
from coref_k8s.sizing.suitable import packs
from coref_k8s.store import Store
from coref_k8s.store.fence import Fence
from coref_k8s.study.order import Order
from coref_k8s.study.paths import PREPARED
from coref_k8s.study.spec import StudySpec
from coref_k8s.telemetry.bus import Bus
from coref_k8s.text.document import Document
from coref_k8s.trial.files import write_json
from coref_k8s.trial.luggage import Luggage
from coref_k8s.trial.models import load_tokenizer, model_path
from coref_k8s.trial.observers import waiting
from coref_k8s.trial.parents import Parent, parent_of
from coref_k8s.trial.signals import StopSignal
from coref_k8s.wording import Message

if TYPE_CHECKING:
    from coref_k8s.corpus.progress import ProgressCallback


def run_prepare(order: Order, settings: Settings, bus: Bus, stop: StopSignal, fence: Fence) -> int:
    """Prepare a study's data, or find them prepared; return the exit code.

    Where they are is written to `result.json` in the job's folder and to the study in the database. Raises
    DataError, ModelError, StorageError when the database was away for an hour, and TrialError for text that no other start would make usable.
    """
    # what is half done is in a folder aside, which the next preparation removes
    stop.leave_at_once()
    wait = waiting(order, bus, stop)
    store = wait(lambda: Store(settings.storage_url))
    fence.guard(store.engine)
    luggage = Luggage(order, settings, bus, stop, held=fence.held)
    parent = parent_of(order, store, luggage.mirror, wait)
    if parent is not None and parent.serves(order.spec):
        prepared = PreparedRef(parent.path, parent.path.name, read_statistics(parent.path))
    else:
        try:
            prepared = prepare_data(
                order.spec, settings, bus.about(study=order.study), parent=parent, mirror=luggage.mirror
            )
        except UnusableTextError as error:
            raise TrialError(error.message) from error
    where = str(prepared.path.relative_to(settings.data_dir))
    write_json(
        settings.data_dir / order.workdir / "result.json",
        {
            "outcome": "complete",
            "study": order.study,
            "kind": order.kind.value,
            "prepared": where,
            "hash": prepared.hash,
            "statistics": prepared.statistics,
        },
    )
    luggage.keep_result()
    wait(lambda: store.set_prepared(order.namespace, order.study, where, prepared.statistics))
    return 0


def prepare_data(
    spec: StudySpec,
    settings: Settings,
    bus: Bus | None,
    progress: ProgressCallback | None = None,
    parent: Parent | None = None,
    mirror: Mirror | None = None,
) -> PreparedRef:
    """Prepare text of a request, in task mentions with evaluation items, below the data root. Raises DataError, ModelError.

    With object storage in the settings, text, model and what is prepared already come from there, and the data are kept
    there (ObjectStoreError). Data for a study that follows a `parent` keep its split and are scored on its very items: more text to train on
    changes nothing of what is measured.
    """
    from coref_k8s.coref.encoded import Coverage, representable
    from coref_k8s.corpus.prepare import prepare
    from coref_k8s.corpus.prepared import items_path
    from coref_k8s.evaluation.evaluate import check_objective
    from coref_k8s.evaluation.items import build_items

    mirror = mirror or Mirror(settings)
    for name in (spec.model, *(one.source for one in spec.data.sources if not is_generated(one.source))):
        mirror.fetch(name)
    model = model_path(spec.model, settings.data_dir)
    tokenizer = load_tokenizer(model, spec.model_revision)
    if spec.data.packing and not packs(spec, config_of(model)):
        spec = spec.model_copy(update={"data": spec.data.model_copy(update={"packing": False})})

    def write_items(
        documents: Iterable[Document], tokens: Any, seq_len: int, split: str, path: Path
    ) -> list[Message]:
        if parent is not None and (known := items_path(parent.path, seq_len, split)).is_file():
            shutil.copyfile(known, path)
            return []
        # beside the items of a length lies what was counted of the training documents
        frequent = read_statistics(path.parent.parent)["frequent_nouns"]
        items = build_items(
            documents, tokens, seq_len, max_items=spec.data.eval_items, seed=spec.seed, frequent=frequent
        )
        check_objective(items, spec.objective.weights, split)
        items.save(path)
        return [Message.of("evaluation.split", split=split, what=one) for one in items.remarks()]

    def measure(documents: Iterable[Document], tokens: Any) -> dict[str, Any]:
        # one document at a time: what Kiwi says of all of them would not fit
        counts = [representable([one], tokens) for one in documents]
        found = Coverage(*(sum(getattr(one, field.name) for one in counts) for field in fields(Coverage)))
        return {"mentions": found.mentions, "share": round(found.share, 4), "without_particles": found.trims}

    prepared = prepare(
        spec,
        settings.data_dir,
        tokenizer,
        bus=bus,
        progress=progress,
        eval_writer=write_items,
        measure=measure,
        held_out=parent.held_out() if parent is not None else None,
        bring=mirror.fetch,
    )
    mirror.keep(f"{PREPARED}/{prepared.hash}", adds=True)
    return prepared
