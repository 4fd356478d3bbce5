"""`calibrate`: measure the device of this machine, or those of a cluster, for a request's model; show what was measured."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import RenderableType
from rich.text import Text

from coref_k8s.cli.console import Wide, dump, note, out, suggest, write
from coref_k8s.cli.requesting import File, Set, read_request, same_options
from coref_k8s.cli.sheet import Sheet, headed
from coref_k8s.cli.spec_options import SpecOption, spec_options
from coref_k8s.cli.speech import lang, said, say
from coref_k8s.cli.where_options import Context, DataDir, Namespace, Storage, Where, name_place
from coref_k8s.client.where import open_cluster, open_local
from coref_k8s.errors import EXIT_TERMINATED, RequestError
from coref_k8s.sizing.calibration import Calibration, Point
from coref_k8s.study.spec import StudySpec
from coref_k8s.wording import Message
from coref_k8s.wording.formats import UNKNOWN, duration, percent

if TYPE_CHECKING:
    from coref_k8s.client.local import LocalBackend

#: Time for everything, when not said otherwise (seconds).
DEADLINE = 480.0


@spec_options
def calibrate(
    action: Annotated[Literal["run", "show"], typer.Argument(metavar="[show]", show_default=False)] = "run",
    *,
    file: File = None,
    settings: Set = None,
    deadline: Annotated[float, typer.Option("--deadline", metavar="SECONDS", min=1)] = DEADLINE,
    on: Annotated[Literal["here", "cluster"], typer.Option("--on")] = "here",
    kinds: Annotated[list[str] | None, typer.Option("--gpu", metavar="KIND", show_default=False)] = None,
    data_dir: DataDir = None,
    storage: Storage = None,
    namespace: Namespace = None,
    context: Context = None,
    wide: Wide = False,
    output: Annotated[Literal["table", "json"], typer.Option("--output", "-o")] = "table",
    flags: dict[SpecOption, Any],
) -> None:
    """Measure memory and time of training steps on a GPU or CPU, for `plan` to rest on."""
    there = {"namespace": namespace, "context": context}
    where = Where(local=on == "here", data_dir=data_dir, storage=storage, **there)
    if on == "cluster" and where.here:
        raise RequestError("cli.only-here")
    if on == "here" and (where.there or kinds):
        raise RequestError("cli.only-on-cluster")
    name_place(where)
    if action == "show":
        place = open_local(where) if where.here else open_cluster(where)
        return _print(place.calibrations(), output, "calibrate" if where.here else "calibrate --on cluster")
    _, spec = read_request(file, None, settings, flags)
    found = _here(open_local(where), spec, deadline) if where.here else _there(where, spec, kinds, deadline)
    _print(found, output, None)
    if output == "table":
        suggest(_planning(spec, file, settings, local=where.here))
    return None


def _planning(spec: StudySpec, file: Path | None, settings: Sequence[str] | None, *, local: bool) -> str:
    """Return the command that plans what was measured; of another task or precision something else would be planned."""
    command = f"plan{' --local' if local else ''}" + (
        f" -f {quote(str(file))}" if file else same_options(spec)
    )
    return command + "".join(f" --set {quote(one)}" for one in settings or ())


def _here(backend: LocalBackend, spec: StudySpec, deadline: float) -> list[Calibration]:
    from coref_k8s.client.calibrating import calibrate as measure

    spec, here = backend.fit(spec)
    note(said(here))
    note(say("cli.calibrating", span=deadline), style="dim")
    with _told_to_end():
        return [measure(backend, spec, deadline, _tell)]


def _there(where: Where, spec: StudySpec, kinds: Sequence[str] | None, deadline: float) -> list[Calibration]:
    from coref_k8s.client.calibrating_there import calibrate_there

    note(say("cli.calibrating", span=deadline), style="dim")
    return calibrate_there(open_cluster(where).api, spec, kinds or (), deadline, _tell)


def _tell(one: Message) -> None:
    note(said(one), style="dim")


@contextmanager
def _told_to_end() -> Iterator[None]:
    """End on SIGTERM as on Ctrl-C: in a pod, where this is the first process, nothing would happen otherwise."""

    def end(number: int, frame: object) -> None:
        raise SystemExit(EXIT_TERMINATED)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _print(found: Sequence[Calibration], output: str, calibrate: str | None) -> None:
    if output == "json":
        write(dump([one.as_data() for one in found], "json"))
        return
    if not found:
        out.print(say("cli.no-calibration"))
        suggest(*[calibrate] if calibrate else [])
    for number, one in enumerate(found):
        out.print(*([""] if number else []), *calibration(one), sep="\n")


def calibration(one: Calibration) -> list[RenderableType]:
    """Return what was measured of one kind of device: what of, how far paths are from Hugging Face's, and each shape of step."""
    versions = ", ".join(f"{name} {number}" for name, number in one.versions.items())
    kind = say("cli.calibrated-threads", device=one.device, n=one.threads) if one.threads else one.device
    lines: list[RenderableType] = [
        Text(f"{one.model}, {one.task}, {one.precision}: {kind}", style="bold"),
        f"{one.measured_at:%Y-%m-%d %H:%M} UTC; {versions}"
        + (f"; driver {one.driver}" if one.driver else ""),
        "",
        _points(one),
        "",
    ]
    if one.parities:
        lines += [_parities(one), ""]
    path, speed = one.path, one.speed
    if speed is not None:
        about = {"path": path, "error": one.error, "n": len(one.timed), "start": speed.start}
        lines.append(say("cli.calibrated-speed", **about))
    if any(point.peak for point in one.points):
        lines.append(say("cli.calibrated-memory", factor=one.factor))
    lines += [Text(said(off), style="red") for path in one.paths if (off := one.off(path))]
    lines += [said(remark) for remark in one.notes]
    return lines


def _points(one: Calibration) -> Sheet:
    codes = ("words.tokens", "plan.batch", "plan.checkpointing", "cli.path", "plan.a-step", "cli.tokens-a-second",
             "cli.data-wait", "cli.peak", "cli.estimate", "cli.peak-to-estimate")  # fmt: skip
    spare = ("cli.data-wait", "cli.estimate")
    table = headed(*codes, left=("cli.path",), spare=spare)
    for point in sorted(one.points, key=lambda p: (p.path != one.path, p.seq_len, p.batch, p.passes)):
        table.row(*_cells(point), style="" if point.path == one.path else "dim")
    return table


def _cells(point: Point) -> Sequence[str]:
    tokens = point.seq_len * point.batch * point.passes
    share = f"× {point.peak / point.estimated:.2f}" if point.peak and point.estimated else UNKNOWN
    return (
        str(point.seq_len),
        # without its passes a row looks like another one
        f"{point.batch} × {point.passes}",
        say("words.yes" if point.checkpointing else "words.no"),
        point.path,
        _seconds(point.seconds) if point.fits else say("cli.does-not-fit"),
        f"{tokens / point.seconds:,.0f}" if point.seconds else UNKNOWN,
        UNKNOWN if point.wait is None else percent(point.wait, lang(), 1),
        f"{point.peak / 2**30:.2f} GB" if point.peak else UNKNOWN,
        f"{point.estimated / 2**30:.2f} GB" if point.estimated else UNKNOWN,
        share,
    )


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return UNKNOWN
    return f"{seconds:.3g} s" if seconds < 100 else duration(seconds, lang(), estimate=True)


def _parities(one: Calibration) -> Sheet:
    table = headed(
        "cli.path", "words.tokens", "cli.precision", "words.difference", "cli.allowed", "", left=("cli.path",)
    )
    for parity in one.parities:
        table.row(
            parity.path, str(parity.seq_len), parity.precision,
            UNKNOWN if parity.why else f"{parity.difference:.1e}", f"{parity.allowed:.1e}",
            say("cli.agrees" if parity.agrees else "cli.off"),
        )  # fmt: skip
    return table
