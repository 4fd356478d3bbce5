"""A command group whose members are imported when they are called, not when they are listed."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from coref_k8s.cli.parsing import MultiValueCommand


@dataclass(frozen=True)
class Verb:
    """A command: where its function (or its `typer.Typer` of sub-commands) lives, and its line of help."""

    name: str
    module: str
    panel: str
    help: str

    @property
    def attribute(self) -> str:
        """Name of the function in the module; a Python keyword or built-in gets an underscore."""
        name = self.name.replace("-", "_")
        return f"{name}_" if name in ("list", "eval", "import") else name

    def stub(self) -> TyperCommand:
        """Return a stand-in that `--help` can list without importing the command."""
        return TyperCommand(self.name, help=self.help, short_help=self.help, rich_help_panel=self.panel)

    def load(self) -> Any:
        """Import the command and return it."""
        found = getattr(import_module(self.module), self.attribute)
        if not isinstance(found, typer.Typer):
            holder = typer.Typer(add_completion=False)
            holder.command(self.name, cls=MultiValueCommand)(found)
            found = holder
        command = typer.main.get_command(found)
        command.name = self.name
        return command


class LazyGroup(TyperGroup):
    """Lists stubs, runs the real thing."""

    def __init__(self, *, name: str, verbs: tuple[Verb, ...], help: str, epilog: str) -> None:
        super().__init__(
            name=name,
            help=help,
            epilog=epilog,
            commands={verb.name: verb.stub() for verb in verbs},
            no_args_is_help=True,
            context_settings={"help_option_names": ["-h", "--help"]},
        )
        self.verbs = {verb.name: verb for verb in verbs}

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Import the command that is about to run."""
        name, command, rest = super().resolve_command(ctx, args)
        if name in self.verbs:
            command = self.verbs[name].load()
        return name, command, rest
