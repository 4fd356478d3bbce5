"""`calibrate`: measure this machine's device for a request's model, and show what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import typer
from rich.console import RenderableType
from rich.text import Text

from coref_k8s.cli.console import Wide, dump, note, out, suggest, write
from coref_k8s.cli.requesting import File, Set, read_request
from coref_k8s.cli.sheet import Sheet, headed
from coref_k8s.cli.spec_options import SpecOption, spec_options
from coref_k8s.cli.speech import lang, said, say
from coref_k8s.cli.where_options import DataDir, Storage, Where, name_place
from coref_k8s.client.where import open_local
from coref_k8s.sizing.calibration import Calibration, Point
from coref_k8s.wording.formats import UNKNOWN, duration, percent

#: Time for everything, when not said otherwise (seconds).
DEADLINE = 480.0


@spec_options
def calibrate(
    action: Annotated[Literal["run", "show"], typer.Argument(metavar="[show]", show_default=False)] = "run",
    *,
    file: File = None,
    settings: Set = None,
    deadline: Annotated[float, typer.Option("--deadline", metavar="SECONDS", min=1)] = DEADLINE,
    data_dir: DataDir = None,
    storage: Storage = None,
    wide: Wide = False,
    output: Annotated[Literal["table", "json"], typer.Option("--output", "-o")] = "table",
    flags: dict[SpecOption, Any],
) -> None:
    """Measure memory and time of training steps on this machine's GPU or CPU, for `plan` to rest on."""
    where = Where(local=True, data_dir=data_dir, storage=storage)
    name_place(where)
    backend = open_local(where)
    if action == "show":
        return _print(backend.calibrations(), output, "calibrate")
    from coref_k8s.client.calibrating import calibrate as measure

    _, spec = read_request(file, None, settings, flags)
    spec, here = backend.fit(spec)
    note(said(here))
    note(say("cli.calibrating", span=deadline), style="dim")
    found = measure(backend, spec, deadline, lambda one: note(said(one), style="dim"))
    _print([found], output, None)
    if output == "table":
        suggest(f"plan --local --model {spec.model}")
    return None


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
    codes = ("words.tokens", "plan.batch", "cli.passes", "plan.checkpointing", "cli.path", "plan.a-step", "cli.tokens-a-second",
             "cli.data-wait", "cli.peak", "cli.estimate", "cli.peak-to-estimate")  # fmt: skip
    spare = ("cli.data-wait", "cli.estimate", "cli.passes")
    table = headed(*codes, left=("cli.path",), spare=spare)
    for point in sorted(one.points, key=lambda p: (p.path != one.path, p.seq_len, p.batch, p.passes)):
        table.row(*_cells(point), style="" if point.path == one.path else "dim")
    return table


def _cells(point: Point) -> Sequence[str]:
    tokens = point.seq_len * point.batch * point.passes
    share = f"× {point.peak / point.estimated:.2f}" if point.peak and point.estimated else UNKNOWN
    return (
        str(point.seq_len),
        str(point.batch),
        f"× {point.passes}",
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
