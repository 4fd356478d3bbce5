"""From a unit of work to the order its job gets. The same inputs give the same order, also after a restart."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

from coref_k8s.controller.snapshot import Unit
from coref_k8s.sizing.batch import plan_batch
from coref_k8s.sizing.calibration import Calibration
from coref_k8s.sizing.resources import size_pod
from coref_k8s.study.names import WITHOUT_GPU
from coref_k8s.study.order import Order
from coref_k8s.study.paths import work_folder
from coref_k8s.study.spec import StudySpec


def make_order(
    spec: StudySpec,
    namespace: str,
    study: str,
    unit: Unit,
    *,
    attempt: int = 1,
    tier: int = 0,
    trial_id: int | None = None,
    params: Mapping[str, Any] | None = None,
    prepared: str = "",
    correction: float = 1.0,
    calibration: Calibration | None = None,
    seed: int | None = None,
    untuned: bool = False,
    study_uid: str = "",
) -> Order:
    """Return the order of one attempt at a unit. Raises SizingError when no batch fits the GPU.

    `correction` scales the memory estimate by what earlier trials of the length measured; `calibration` is what was measured before.
    """
    batch = None
    on_cpu = unit.kind in WITHOUT_GPU
    if unit.seq_len is not None and not on_cpu:
        accumulation = (params or {}).get("accumulation")
        batch = plan_batch(
            spec,
            unit.seq_len,
            accumulation=accumulation,
            tier=tier,
            correction=correction,
            calibration=calibration,
        )
    return Order(
        kind=unit.kind,
        study=study,
        study_uid=study_uid,
        namespace=namespace,
        spec=spec,
        attempt=attempt,
        seq_len=unit.seq_len,
        trial=unit.trial,
        trial_id=trial_id,
        params=dict(params or {}),
        seed=seed_of(spec, unit) if seed is None else seed,
        untuned=untuned,
        batch=batch,
        resources=size_pod(spec, None if on_cpu else unit.seq_len, tier=tier),
        workdir=work_folder(spec, study, *unit),
        prepared=prepared,
    )


def seed_of(spec: StudySpec, unit: Unit) -> int:
    """Return the seed of a unit: its own, the same in every attempt, below 2**31."""
    # one that searches nothing does one thing, whatever number it has
    trial = unit.trial if spec.purpose.kind == "search" or unit.trial is None else 0
    text = f"{spec.seed}/{unit.kind}/{unit.seq_len}/{trial}"
    return zlib.crc32(text.encode()) & 0x7FFFFFFF
