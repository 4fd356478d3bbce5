"""The preparation job: text to memory-mapped sequences and evaluation items, once for a whole study."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from coref_k8s.document import Document
from coref_k8s.runner import Order
from coref_k8s.settings import Settings
from coref_k8s.telemetry.bus import Bus
from coref_k8s.trial.files import write_json
from coref_k8s.trial.models import load_tokenizer, model_path
from coref_k8s.trial.signals import StopSignal


def run_prepare(order: Order, settings: Settings, bus: Bus, stop: StopSignal) -> int:
    """Prepare a study's data, or find them prepared; return the exit code.

    Where they are is written to `result.json` in the job's folder. Raises DataError, ModelError.
    """
    # what is half done is in a folder aside, which the next preparation removes
    stop.leave_at_once()
    from coref_k8s.corpus.prepare import prepare
    from coref_k8s.evaluation.items import build_items

    spec = order.spec
    tokenizer = load_tokenizer(model_path(spec.model, settings.data_dir), spec.model_revision)

    def write_items(documents: Iterable[Document], tokens: Any, seq_len: int, split: str, path: Path) -> None:
        build_items(documents, tokens, seq_len, max_items=spec.data.eval_items, seed=spec.seed).save(path)

    prepared = prepare(spec, settings.data_dir, tokenizer, bus=bus, eval_writer=write_items)
    write_json(
        settings.data_dir / order.workdir / "result.json",
        {
            "outcome": "complete",
            "study": order.study,
            "kind": order.kind.value,
            "prepared": str(prepared.path.relative_to(settings.data_dir)),
            "hash": prepared.hash,
            "statistics": prepared.statistics,
        },
    )
    return 0
