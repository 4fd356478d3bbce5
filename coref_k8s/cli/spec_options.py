"""Options made from `StudySpec`: one definition, its text is the `--help`.

A field with a `flag` in its schema gets an option. Values arrive as text and are read as YAML scalars, so the
request itself decides what is valid and says so; a field without an option is reached by `--set`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from coref_k8s.cli.expanding import expand, keyword
from coref_k8s.cli.framework import HELP
from coref_k8s.cli.parsing import NUMBERS
from coref_k8s.cli.speech import lang, say
from coref_k8s.errors import RequestError
from coref_k8s.study.reading import parse_yaml
from coref_k8s.study.spec import StudySpec
from coref_k8s.study.yaml12 import scalar
from coref_k8s.wording import has

_SOURCES = ("data", "sources")
#: Group of `--help` of a field, by the first part of its path.
_PANELS = {
    "data": "text", "model": "model", "modelRevision": "model", "trials": "search", "parallelism": "search",
    "seed": "search", "search": "search", "objective": "search", "training": "training", "gpuMemoryGb": "training",
    "limits": "limits", "pod": "cluster",
}  # fmt: skip
#: Pairs of options that cannot both be meant.
_CONTRADICTIONS = (("--max-steps", "--epoch-choices"), ("--no-warm-start", "--warm-start-from"))


@dataclass(frozen=True)
class SpecOption:
    """One option of the command line and the field it fills."""

    path: tuple[str, ...]
    """Keys of the field as written in YAML."""
    flags: str
    """As Typer takes it: `--trials`, or `--warm-start/--no-warm-start`."""
    field: FieldInfo
    multiple: bool

    @property
    def parameter(self) -> str:
        """Name of the Python parameter that carries the value."""
        return "spec_" + "_".join(self.path)

    @property
    def _panel(self) -> str:
        extra = self.field.json_schema_extra
        named = extra.get("panel") if isinstance(extra, dict) else None
        return str(named or _PANELS.get(self.path[0], "what"))

    @property
    def is_bool(self) -> bool:
        """Whether it is a switch."""
        return self.field.annotation is bool

    @property
    def is_text(self) -> bool:
        """Whether the value is text as it stands, such as a model's name or one of several words."""
        return all(kind is str or isinstance(kind, str) for kind in _leaves(self.field.annotation))

    @property
    def metavar(self) -> str | None:
        """What stands behind the option in the help."""
        extra = self.field.json_schema_extra
        if isinstance(extra, dict) and "metavar" in extra:
            return str(extra["metavar"])
        kinds = list(_leaves(self.field.annotation))
        if self.is_bool:
            return None
        if self.multiple:
            return "TEXT" if self.is_text else NUMBERS
        if all(isinstance(kind, str) for kind in kinds):
            return "|".join(kinds)
        return "TEXT" if self.is_text else "INTEGER" if int in kinds else "NUMBER"

    def read(self, value: Any) -> Any:
        """Return the value as YAML would have it."""
        if self.path == _SOURCES:
            return value  # a path may have a comma
        if isinstance(value, list):
            parts = [part for text in value for part in text.split(",") if part.strip()]
            return [part.strip() if self.is_text else scalar(part.strip()) for part in parts]
        if isinstance(value, bool):
            return value
        if self.is_text:
            words = any(isinstance(kind, str) for kind in _leaves(self.field.annotation))
            return None if value == "none" and not words else value
        return None if value.lower() == "none" else scalar(value.strip())

    def as_parameter(self) -> inspect.Parameter:
        """Return the keyword parameter that Typer turns into the option."""
        kind: Any = bool if self.is_bool else list[str] if self.multiple else str
        option = typer.Option(
            *(part for part in [self.flags] if part),
            metavar=self.metavar,
            show_default=False,
            rich_help_panel=f"help.panel-{self._panel}",
        )
        return keyword(self.parameter, Annotated[kind | None, option])

    def help(self) -> str:
        """Return the field's text, with its default."""
        code = f"fields.{'.'.join(self.path)}"
        text = say(code) if lang() != "en" and has(code) else str(self.field.description)
        default = self.field.default
        if default is None or default == () or (default is False and "/" not in self.flags):
            return text
        if isinstance(default, bool):
            default = say("help.on" if default else "help.off")
        values = default if isinstance(default, tuple) else (default,)
        return say(
            "help.default",
            text=text,
            value=" ".join(f"{one:g}" if isinstance(one, float) else str(one) for one in values),
        )


def _leaves(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) is Literal:
        yield from get_args(annotation)
    elif get_args(annotation):
        for part in get_args(annotation):
            if part not in (type(None), Ellipsis) and (isinstance(part, type) or get_args(part)):
                yield from _leaves(part)
    else:
        yield annotation


def _options(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[SpecOption]:
    for name, field in model.model_fields.items():
        here = (*path, field.alias or name)
        extra = field.json_schema_extra
        if isinstance(extra, dict) and "flag" in extra:
            flags = extra["flag"]
            assert isinstance(flags, list)
            yield SpecOption(here, str(flags[0]), field, bool(extra.get("multiple")))
        elif isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _options(field.annotation, here)


#: Every option of a request, in the order of the fields.
OPTIONS = tuple(_options(StudySpec))
HELP.update({option.parameter: option.help for option in OPTIONS})


def spec_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command every option of a request; it receives those that were set as `flags`."""
    by_parameter = {option.parameter: option for option in OPTIONS}

    def gather(values: Mapping[str, Any]) -> dict[SpecOption, Any]:
        return {
            by_parameter[name]: value for name, value in values.items() if value is not None and value != []
        }

    return expand(function, "flags", [option.as_parameter() for option in OPTIONS], gather)


def apply_flags(request: dict[str, Any], flags: Mapping[SpecOption, Any]) -> dict[tuple[str, ...], str]:
    """Put the options into a camelCase request; return the name of the option by path, for messages.

    Raises RequestError for options that contradict each other.
    """
    names = {}
    for option, value in flags.items():
        positive, _, negative = option.flags.partition("/")
        names[option.path] = negative if value is False and negative else positive
        _put(request, option.path, option.read(value))
    for one, other in _CONTRADICTIONS:
        if {one, other} <= set(names.values()):
            raise RequestError("cli.contradict", one=one, other=other)
    return names


def apply_sets(request: dict[str, Any], settings: Sequence[str]) -> dict[tuple[str, ...], str]:
    """Put `a.b.c=VALUE` settings (values in YAML) into a request; raises RequestError."""
    names = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        path = tuple(part for part in key.strip().split("."))
        if not equals or not all(path):
            raise RequestError("cli.no-setting", setting=setting)
        path = _aliases(path)
        names[path] = f"--set {key.strip()}"
        _put(request, path, parse_yaml(text, where=f"--set {key.strip()}"))
    return names


def _aliases(path: tuple[str, ...]) -> tuple[str, ...]:
    """Write field names as YAML has them (`search.warm_start` as `search.warmStart`)."""
    model: Any = StudySpec
    done = []
    for part in path:
        fields = model.model_fields if isinstance(model, type) and issubclass(model, BaseModel) else {}
        name = next((n for n, f in fields.items() if part in (n, f.alias)), None)
        done.append(fields[name].alias or name if name else part)
        model = fields[name].annotation if name else None
    return tuple(done)


def _put(request: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    if path == _SOURCES and isinstance(value, list):
        # on the command line a source is named; what else there is to say of one stands in a file
        value = [{"source": one} if isinstance(one, str) else one for one in value]
    for part in path[:-1]:
        inner = request.get(part)
        request[part] = inner = dict(inner) if isinstance(inner, dict) else {}
        request = inner
    request[path[-1]] = value
