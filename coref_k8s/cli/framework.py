"""What Typer says of itself (help, usage, mistakes in options), in the reader's language."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from coref_k8s.cli.help import show, usage
from coref_k8s.cli.near import command_meant, option_alike, option_meant, parameter_meant
from coref_k8s.cli.speech import lang, say
from coref_k8s.errors import RequestError
from coref_k8s.wording import Message, has

#: Help of parameters that is made elsewhere than in `help.toml`, by the parameter's name.
HELP: dict[str, Callable[[], str]] = {}


class Spoken:
    """Mixed into commands and groups: usage line and `--help` in the reader's language."""

    everything = False

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help."""
        show(self, ctx, everything=self.everything)

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        """Write the usage line."""
        formatter.write_usage(ctx.command_path, " ".join(usage(self, ctx)), prefix=say("help.usage"))

    def get_help_option(self, ctx: Any) -> Any:
        """Return the option `--help`."""
        option = super().get_help_option(ctx)  # type: ignore[misc]
        if option is not None:
            option.help = say("help.option-help")
        return option

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take `--help-all` as `--help` that leaves nothing out, then parse as usual."""
        before = args[: args.index("--")] if "--" in args else args
        if "--help-all" in (args[:1] if isinstance(self, TyperGroup) else before):
            self.everything, args = True, ["--help"]
        rest: list[str] = super().parse_args(ctx, args)  # type: ignore[misc]
        return rest


class SpokenGroup(Spoken, TyperGroup):
    """A group of commands."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the command that is about to run. Raises RequestError for one that does not exist."""
        if args[0] not in self.commands and not args[0].startswith("-") and not ctx.resilient_parsing:
            near = command_meant(args[0], self.commands)
            raise RequestError(f"cli.no-such-command{'-near' if near else ''}", name=args[0], near=near)
        return super().resolve_command(ctx, args)


def translate(command: Any, name: str) -> None:
    """Give a command, its parameters and its sub-commands their help, found by their names."""
    code = f"help.{name}"
    command.help = "\n\n".join(say(one) for one in (code, f"{code}-more") if has(one))
    command.short_help = say(code)
    if not any(one.name == "lang" for one in command.params):
        command.params += [listed("--lang", "en|ko")]
        # a request has more options than a page has room for
        command.params += [listed("--help-all")] if any(n.name in HELP for n in command.params) else []
    for parameter in command.params:
        if parameter.name in HELP:
            parameter.help = HELP[parameter.name]()
        else:
            parameter.help = next((say(one) for one in codes_of(parameter, name) if has(one)), parameter.help)
    for sub in command.commands.values() if isinstance(command, TyperGroup) else ():
        translate(sub, f"{name}-{sub.name}")


def codes_of(parameter: Any, command: str) -> Iterator[str]:
    """Yield the codes of a parameter's help: as this command means it, and as all do."""
    if parameter.param_type_name == "argument":
        own = f"argument-{parameter.name}"
    else:
        longest = max(parameter.opts, key=len)
        own = f"option-{longest.removeprefix('--')}"
    yield f"help.{command}-{own}"
    yield f"help.{own}"


def listed(name: str, metavar: str | None = None) -> Any:
    """Return an option for `--help` to list, of which the rest has been taken before (`--lang`, `--version`)."""
    holder = typer.Typer(add_completion=False)
    kind: Any = bool if metavar is None else str | None

    def holding(value: Annotated[Any, typer.Option(name, metavar=metavar)] = None) -> None: ...

    holding.__annotations__["value"] = Annotated[
        kind, typer.Option(name, metavar=metavar, show_default=False)
    ]
    holder.command()(holding)
    option: Any = typer.main.get_command(holder).params[0]
    option.name, option.expose_value = name.removeprefix("--").replace("-", "_"), False
    option.help = say(f"help.option-{name.removeprefix('--')}")
    return option


def sentence(error: typer.TyperException) -> str:
    """Return what is wrong with the command line, and where the help is."""
    context = getattr(error, "ctx", None)
    said = _mistake(error).say(lang())
    if context is None or said.endswith("?"):
        return said
    return say("cli.see-help", said=said.rstrip("."), command=context.command_path)


def _mistake(error: Any) -> Message:
    kind, text = type(error).__name__, error.format_message().strip()
    if kind == "NoSuchOption":
        asked = error.ctx.command.params if error.ctx else []
        for one in asked:
            if one.param_type_name == "argument" and error.option_name.lstrip("-") in one.opts:
                name = (one.metavar or one.human_readable_name).strip("[].")
                return Message.of("cli.argument-not-option", option=error.option_name, name=name)
        known = {name for one in asked for name in one.opts if name.startswith("-")}
        near = option_meant(error.option_name, known)
        if not near and (hint := parameter_meant(error.option_name, known)):
            return hint
        near = near or option_alike(error.option_name, known)
        code = "cli.no-such-option-near" if near else "cli.no-such-option"
        return Message.of(code, option=error.option_name, near=near)
    if kind == "MissingParameter":
        return Message.of(
            "cli.missing", kind=Message.of(f"cli.kind-{error.param.param_type_name}"), name=_named(error)
        )
    if kind == "BadParameter" and error.param is not None:
        return Message.of("cli.bad-value", name=_named(error), why=_reason(error))
    if kind == "BadOptionUsage":
        code = "cli.needs-a-value" if "requires" in text else "cli.takes-no-value"
        return Message.of(code, option=error.option_name)
    if text.startswith("Missing"):
        return Message.of("cli.no-command-given")
    if found := re.search(r"extra\sargument(?:s|\(s\))?\s\((.*)\)$", text):
        return Message.of("cli.extra-arguments", given=found[1])
    return Message.verbatim(text)


def _named(error: Any) -> str:
    return str(error.param.get_error_hint()).replace("'", "")


def _reason(error: Any) -> Message:
    """Return why a value is refused, from the error of the library that read it."""
    if found := re.search(r"'(.*)' is not one of (.*?)\.?$", error.message):
        return Message.of("cli.value-not-a-choice", given=found[1], expected=found[2].replace("'", ""))
    cause = error.__cause__
    first = cause.errors()[0] if hasattr(cause, "errors") else {}
    code = f"cli.value-{str(first.get('type', '')).replace('_', '-')}"
    if not has(code):
        return Message.verbatim(error.message)
    return Message.of(code, given=first["input"], **first.get("ctx", {}))
