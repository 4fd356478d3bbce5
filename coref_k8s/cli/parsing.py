"""Options that take several values: `--seq-lengths 1024 2048`, repeated, or with commas.

Typer's parser gives an option a fixed number of values. Before it sees them, the arguments are rewritten to one
value an option: the first value always belongs to it, further ones as long as they are numbers, so that
nothing else that follows is swallowed. Text lists (`--dataset-choice`) are repeated or have commas.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from typer.core import TyperCommand, TyperOption

from coref_k8s.cli.framework import Spoken
from coref_k8s.errors import RequestError

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?(,([-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?)?)*")
#: Metavar of an option whose further values are recognised by being numbers.
NUMBERS = "NUMBERS"


class MultiValueCommand(Spoken, TyperCommand):
    """A command whose `multiple` options take several values and whose other options come once."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Rewrite several values to repeated options, refuse contradictions, then parse as usual."""
        if "--help-all" in args or ctx.resilient_parsing:
            return super().parse_args(ctx, args)
        options = [p for p in self.get_params(ctx) if isinstance(p, TyperOption)]
        lists = {name: option for option in options if option.multiple for name in option.opts}
        args = _expand(args, lists)
        single = [option for option in options if not option.multiple]
        _once(args, {name: one for one in single for name in (*one.opts, *one.secondary_opts)})
        return super().parse_args(ctx, args)


def _expand(args: Sequence[str], lists: dict[str, TyperOption]) -> list[str]:
    rest = list(args)
    done: list[str] = []
    while rest:
        word = rest.pop(0)
        if word == "--":
            return [*done, word, *rest]
        name, equals, value = word.partition("=")
        if name not in lists:
            done.append(word)
            continue
        if equals:
            values = [value]
        elif rest and not rest[0].startswith("--"):
            values = [rest.pop(0)]
        else:
            raise RequestError("cli.needs-a-value", option=name)
        while lists[name].metavar == NUMBERS and rest and _NUMBER.fullmatch(rest[0]):
            values.append(rest.pop(0))
        for one in values:
            done += [name, one]
    return done


def _once(args: Sequence[str], options: dict[str, TyperOption]) -> None:
    seen: dict[str, str] = {}
    for word in args:
        if word == "--":
            return
        name = word.partition("=")[0]
        option = options.get(name)
        if option is None or option.count or option.name is None:
            continue
        if option.name in seen:
            if (first := seen[option.name]) != name:
                raise RequestError("cli.contradict", one=first, other=name)
            raise RequestError("cli.given-twice", option=name)
        seen[option.name] = name
