"""One parameter of a command, written once, that stands for many options."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def keyword(name: str, annotation: Any, default: Any = None) -> inspect.Parameter:
    """Return an option as a parameter of a command."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def expand(
    function: Callable[..., Any],
    name: str,
    options: Sequence[inspect.Parameter],
    gather: Callable[[Mapping[str, Any]], Any],
) -> Callable[..., Any]:
    """Return a command with `options` where `function` has its parameter `name`.

    When it runs, `function` receives `gather(values of the options by name)` as `name`.
    """
    signature = inspect.signature(function, eval_str=True)
    parameters = [
        p for own in signature.parameters.values() for p in (options if own.name == name else [own])
    ]

    @functools.wraps(function)
    def command(**values: Any) -> Any:
        given = {option.name: values.pop(option.name) for option in options}
        return function(**values, **{name: gather(given)})

    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    # Typer reads the signature; annotations of the function would contradict it
    command.__annotations__ = {}
    return command
