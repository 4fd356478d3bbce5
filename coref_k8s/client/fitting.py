"""A request as this machine can run it: on its GPUs or its CPU, in batches that its memory holds."""

from __future__ import annotations

from coref_k8s.client.planning import GIB, plan_study
from coref_k8s.errors import RequestError, SizingError
from coref_k8s.local.hardware import Machine, this_machine
from coref_k8s.sizing.resources import parse_quantity
from coref_k8s.store.records import StudyRecord
from coref_k8s.study.spec import StudySpec
from coref_k8s.wording import Message

#: First compute capability of GPUs that compute in a format (float32 all do).
_FROM = {"bf16": 8.0, "tf32": 8.0, "fp16": 7.0}


def fitted(spec: StudySpec, machine: Machine | None = None) -> tuple[StudySpec, Message]:
    """Return a request as this machine runs it, and what was found and chosen.

    What the request names itself stays: GPUs are refused when they are not there (RequestError), memory is what it says or
    what there is, the less of the two. Raises SizingError when not even one trial fits.
    """
    machine = machine or this_machine()
    usable = machine.usable_gpus
    # that of a derived study comes from the study that it is made of, which may have run elsewhere
    named = "gpus" in spec.pod.model_fields_set and (spec.purpose.kind == "search" or spec.pod.gpus > 1)
    gpus = spec.pod.gpus if named else min(spec.pod.gpus, len(usable))
    if gpus > len(usable):
        raise RequestError(
            "client.too-few-gpus", asked=gpus, shown=len(usable), here=_gpus_of(machine), most=len(usable)
        )
    return _on_gpus(spec, machine, gpus) if gpus else _on_cpu(spec, machine)


def check_gpus(study: StudyRecord, machine: Machine | None = None) -> None:
    """Raise RequestError for a study that goes on only where there are GPUs: begun elsewhere, or by release 0.1."""
    if not study.spec.pod.gpus:
        return
    machine = machine or this_machine()
    if study.spec.pod.gpus > len(machine.usable_gpus):
        raise RequestError(
            "client.no-gpus-to-go-on",
            study=study.name,
            asked=study.spec.pod.gpus,
            here=_gpus_of(machine),
            most=len(machine.usable_gpus),
        )


def _on_gpus(spec: StudySpec, machine: Machine, gpus: int) -> tuple[StudySpec, Message]:
    bf16 = all(gpu.bf16 for gpu in machine.usable_gpus)
    known = all(gpu.capability is not None for gpu in machine.usable_gpus)
    training = spec.training
    for gpu in machine.usable_gpus:
        if gpu.capability is not None and gpu.capability < _FROM.get(training.precision, 0.0):
            raise RequestError("client.no-precision", precision=training.precision, device=gpu.model)
    if known and not bf16:
        # and sized for it
        wide = {"precision": "fp32"} if training.precision == "auto" else {}
        training = training.model_copy(update=wide)
    size = spec.gpu_memory_gb
    if machine.gpu_memory is not None:
        card = machine.gpu_memory * 10 // GIB / 10
        size = min(size, card) if "gpu_memory_gb" in spec.model_fields_set else card
    pod = spec.pod.model_copy(update={"gpus": gpus})
    spec = spec.model_copy(update={"gpu_memory_gb": size, "pod": pod, "training": training})
    return spec, Message.of(
        "client.found-gpus",
        here=_gpus_of(machine),
        cores=machine.cores,
        each=gpus,
        n=min(spec.parallelism, len(machine.usable_gpus) // gpus),
        size=size,
        precision=_precision("bf16" if training.precision == "auto" else training.precision),
    )


def _on_cpu(spec: StudySpec, machine: Machine) -> tuple[StudySpec, Message]:
    if spec.training.precision == "tf32":
        raise RequestError("client.no-precision", precision="tf32", device="CPU")
    asked = machine.memory if spec.pod.memory is None else int(parse_quantity(spec.pod.memory))
    at_once = min(spec.parallelism, machine.cores)
    while True:
        each = min(asked, machine.memory // at_once)
        # what is chosen because memory is scarce stays chosen; cores are shared anyway
        fewer = {"parallelism": at_once} if at_once < min(spec.parallelism, machine.cores) else {}
        pod = spec.pod.model_copy(update={"gpus": 0, "memory": f"{each >> 20}Mi"})
        found = spec.model_copy(update={"pod": pod, **fewer})
        try:
            plan_study(found)
            break
        except SizingError:
            if at_once == 1:
                raise
            at_once -= 1
    return found, Message.of(
        "client.found-cpu",
        here=_gpus_of(machine),
        cores=machine.cores,
        free=machine.memory / GIB,
        n=at_once,
        each=each / GIB,
        precision=_precision("fp32" if spec.training.precision == "auto" else spec.training.precision),
    )


def _gpus_of(machine: Machine) -> Message:
    if not machine.gpus:
        return Message.of("client.no-gpu")
    if not machine.usable_gpus:
        return Message.of("client.unusable-gpus", n=len(machine.gpus), torch=machine.torch)
    names = list(dict.fromkeys(gpu.model for gpu in machine.gpus if gpu.model)) or ["GPU"]
    return Message.of("client.gpus", n=len(machine.gpus), names=names)


def _precision(form: str) -> Message:
    return Message.of(f"client.precision-{form}")
