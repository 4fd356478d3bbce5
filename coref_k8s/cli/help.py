"""`--help`: what a command does and its options in groups, as wide as the terminal.

A command with many options shows those of every day; `--help-all` shows them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from rich.cells import cell_len
from rich.text import Text

from coref_k8s.cli.console import out
from coref_k8s.cli.speech import say

#: From so many options on, help is short unless all is asked for.
_MANY = 24
#: What most people need of them.
_EVERYDAY = {
    "--file", "--name", "--task", "--seq-lengths", "--data", "--train-limit", "--model", "--trials", "--parallelism",
    "--finalists", "--epoch-choices", "--max-steps", "--gpus", "--gpu-memory-gb", "--max-duration", "--max-gpu-hours", "--gpu-hour-price",
    "--local", "--data-dir", "--namespace", "--wait", "--output", "--lang", "--help", "--help-all",
}  # fmt: skip
#: Groups in this order; others come between, as they are found.
_FIRST = ("arguments", "what", "text", "model", "search", "training", "limits", "options")
_LAST = ("where", "cluster", "other")
#: Columns of a page, of its left side, and from which there is room for two sides.
_PAGE, _SIDE, _TWO = 100, 30, 76


def show(command: Any, ctx: Any, *, everything: bool = False) -> None:
    """Print the help of a command or a group."""
    width = min(out.width, _PAGE)
    parts = [Text(say("help.usage") + " ".join([ctx.command_path, *usage(command, ctx)])), Text()]
    for paragraph in (command.help or "").split("\n\n"):
        parts += [*_wrapped(paragraph, width), Text()]
    groups, left_out = _groups(command, ctx, everything)
    side = min(_SIDE, max((cell_len(left) for rows in groups.values() for left, _ in rows), default=0))
    for heading, rows in groups.items():
        parts.append(Text(heading, style="bold"))
        for left, text in rows:
            parts += _row(left, text, side if width >= _TWO else None, width)
        parts.append(Text())
    if left_out:
        parts += [*_wrapped(say("help.more", n=left_out, command=ctx.command_path), width), Text()]
    if command.epilog:
        parts += [*_wrapped(command.epilog, width), Text()]
    for line in parts[:-1]:
        out.print(line, no_wrap=True, overflow="ignore", crop=False)


def usage(command: Any, ctx: Any) -> list[str]:
    """Return what follows a command on its usage line."""
    pieces = [piece.strip("{}") for piece in command.collect_usage_pieces(ctx)]
    # a metavar that says itself that it may be left out, or repeated, is wrapped in the same once more
    pieces = [piece.removesuffix("...").rstrip("}") if "..." in piece[:-3] else piece for piece in pieces]
    return [piece[1:-1] if piece.startswith("[[") else piece for piece in pieces]


def _groups(command: Any, ctx: Any, everything: bool) -> tuple[dict[str, list[tuple[str, str]]], int]:
    """Return what stands under each heading, and how many options are left out."""
    found: dict[str, list[tuple[str, str]]] = {}
    options = [one for one in command.get_params(ctx) if not getattr(one, "hidden", False)]
    short = not everything and len(options) >= _MANY
    shown = [one for one in options if not short or _EVERYDAY & set(one.opts)]
    for one in shown:
        found.setdefault(_panel(one), []).append(_entry(one, ctx))
    others = [name for name in found if name not in (*_FIRST, *_LAST)]
    order = [*_FIRST, *others, *_LAST]
    groups = {say(f"help.panel-{name}"): found[name] for name in order if name in found}
    for sub in getattr(command, "commands", {}).values():
        heading = getattr(sub, "rich_help_panel", None) or say("help.panel-commands")
        groups.setdefault(heading, []).append((f"  {sub.name}", sub.short_help or sub.help or ""))
    # commands before the options of the program itself
    if getattr(command, "commands", None):
        groups = dict(sorted(groups.items(), key=lambda one: one[0] == say("help.panel-other")))
    return groups, len(options) - len(shown)


def _panel(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return "arguments"
    if {"--help", "--lang", "--wide", "--version", "--help-all"} & set(parameter.opts):
        return "other"
    return str(getattr(parameter, "rich_help_panel", None) or "help.panel-options").removeprefix(
        "help.panel-"
    )


def _entry(parameter: Any, ctx: Any) -> tuple[str, str]:
    """Return what is typed, and what it means."""
    if parameter.param_type_name == "argument":
        return f"  {parameter.metavar or parameter.name.upper()}", parameter.help or ""
    names = sorted(parameter.opts, key=len, reverse=True)
    if parameter.secondary_opts:
        names[0] = names[0].replace("--", "--[no-]", 1)
    typed = ", ".join(names) if parameter.is_flag else f"{', '.join(names)} {_value(parameter, ctx)}"
    return f"  {typed}", _with_default(parameter)


def _value(parameter: Any, ctx: Any) -> str:
    if parameter.metavar:
        return str(parameter.metavar)
    typed, _ = parameter.get_help_record(ctx)
    return str(typed).rpartition(" ")[2].strip("<>[]")


def _with_default(parameter: Any) -> str:
    text, default = str(parameter.help or ""), parameter.default
    if (
        not parameter.show_default
        or default in (None, (), [])
        or isinstance(default, bool)
        or callable(default)
    ):
        return text
    return say("help.default", text=text, value=getattr(default, "value", default))


def _row(left: str, text: str, side: int | None, width: int) -> Iterator[Text]:
    """Yield the lines of an entry: beside each other, or the text below where there is no room."""
    indent = 6 if side is None else side + 2
    lines = list(_wrapped(text, width - indent))
    if side is not None and cell_len(left) <= side and lines:
        first = Text(left, style="cyan") + Text(" " * (indent - cell_len(left)))
        yield first + lines.pop(0)
    else:
        yield Text(left, style="cyan")
    for line in lines:
        yield Text(" " * indent) + line


def _wrapped(text: str, width: int) -> Iterable[Text]:
    lines = Text(text).wrap(out, width)
    for line in lines:
        line.rstrip()
    return lines
