"""A command group whose members are imported when they are called, not when they are listed."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand

from coref_k8s.cli.framework import SpokenGroup, listed, translate
from coref_k8s.cli.near import request_meant
from coref_k8s.cli.parsing import MultiValueCommand
from coref_k8s.cli.speech import say
from coref_k8s.client.where import cluster_configured
from coref_k8s.errors import RequestError


@dataclass(frozen=True)
class Verb:
    """A command: where its function (or its `typer.Typer` of sub-commands) lives. Its help is `help.<name>`."""

    name: str
    module: str
    panel: str
    """Code of the panel of `--help` that lists it."""

    @property
    def attribute(self) -> str:
        """Name of the function in the module; a Python keyword or built-in gets an underscore."""
        name = self.name.replace("-", "_")
        return f"{name}_" if name in ("list", "import", "help") else name

    def stub(self) -> TyperCommand:
        """Return a stand-in that `--help` can list without importing the command."""
        line = say(f"help.{self.name}")
        return TyperCommand(self.name, help=line, short_help=line, rich_help_panel=say(self.panel))

    def load(self) -> Any:
        """Import the command and return it."""
        found = getattr(import_module(self.module), self.attribute)
        if not isinstance(found, typer.Typer):
            holder = typer.Typer(add_completion=False)
            holder.command(self.name, cls=MultiValueCommand)(found)
            found = holder
        command = typer.main.get_command(found)
        command.name = self.name
        translate(command, self.name)
        return command


class LazyGroup(SpokenGroup):
    """Lists stubs, runs the real thing."""

    def __init__(self, name: str, verbs: tuple[Verb, ...]) -> None:
        super().__init__(
            name=name,
            help=say("help.program"),
            epilog=say("help.first-time"),
            params=[listed("--lang", "en|ko"), listed("--version")],
            commands={verb.name: verb.stub() for verb in verbs},
            no_args_is_help=True,
            context_settings={"help_option_names": ["-h", "--help"]},
        )
        self.verbs = {verb.name: verb for verb in verbs}

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take `help COMMAND` and `--version` as what they stand for. Raises RequestError for options without a command."""
        if ctx.resilient_parsing:  # a shell completes
            return super().parse_args(ctx, args)
        if args[:1] == ["help"]:
            args = [*args[1:], "--help"]
        elif args[:1] in (["--version"], ["-V"]):
            args = ["version"]
        elif args[:1] not in ([], ["-h"], ["--help"], ["--help-all"]) and args[0].startswith("-"):
            self._without_command(args)
        return super().parse_args(ctx, args)

    def _without_command(self, args: list[str]) -> None:
        meant = request_meant(args, local=not cluster_configured())
        if meant is not None:
            raise RequestError("cli.no-command", meant=meant)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Import the command that is about to run. Raises RequestError for one that does not exist."""
        name, command, rest = super().resolve_command(ctx, args)
        if name in self.verbs:
            command = self.verbs[name].load()
        return name, command, rest
