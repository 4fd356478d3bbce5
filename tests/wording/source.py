"""What the source says of codes and words: read from its syntax, nothing is imported."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "coref_k8s"
_CODE = re.compile(r"[a-z_]+\.[A-Za-z0-9_.-]+")
#: Calls whose text arguments are codes.
_SAYS = {"say", "of", "plain", "about", "heads", "headed", "Message"}
_TWO_WORDS = re.compile(r"[A-Za-z]{2,}[,;:]? [a-z]{2,}|[가-힣]")


@lru_cache
def modules() -> dict[str, ast.Module]:
    """Every module of the package by its path below it."""
    found = sorted(PACKAGE.rglob("*.py"))
    return {str(file.relative_to(PACKAGE)): ast.parse(file.read_text(encoding="utf-8")) for file in found}


def codes_said() -> Iterator[tuple[str, str]]:
    """Pairs of place and code: where a code is said, raised or sent, the code written out."""
    for path, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _says(node):
                for text in _texts(node):
                    if _CODE.fullmatch(text):
                        yield f"{path}:{node.lineno}", text


def patterns() -> Iterator[re.Pattern[str]]:
    """What f-strings that make a code can become."""
    for tree in modules().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else None for part in node.values]
                if (
                    isinstance(parts[0], str)
                    and re.match(r"[a-z_]+\.", parts[0])
                    and " " not in "".join(map(str, parts))
                ):
                    yield re.compile(
                        "".join(".+" if part is None else re.escape(str(part)) for part in parts)
                    )


def constants() -> set[str]:
    """Every text of the source that could be a code."""
    return {
        node.value
        for tree in modules().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _CODE.fullmatch(node.value)
    }


def named_by_rooms() -> set[str]:
    """Codes of which only the part behind the dot is written out, in a room that puts its topic before it."""
    found = set()
    for path, tree in modules().items():
        topics = {
            str(node.values[0].value)[:-1]
            for node in ast.walk(tree)
            if isinstance(node, ast.JoinedStr)
            and isinstance(node.values[0], ast.Constant)
            and re.fullmatch(r"[a-z_]+\.", str(node.values[0].value))
        }
        for topic in topics:
            for other, room in modules().items():
                if other.split("/")[0] == path.split("/")[0]:
                    found |= {
                        f"{topic}.{node.value}"
                        for node in ast.walk(room)
                        if isinstance(node, ast.Constant) and isinstance(node.value, str)
                    }
                    found |= {f"{topic}.{name}" for name in _ending(room)}
    return found


def _ending(room: ast.Module) -> Iterator[str]:
    """Names whose end is made up: `parameter-{kind}` with every text of the room."""
    texts = {
        node.value
        for node in ast.walk(room)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    for node in ast.walk(room):
        if (
            isinstance(node, ast.JoinedStr)
            and len(node.values) == 2
            and isinstance(node.values[0], ast.Constant)
            and re.fullmatch(r"[a-z-]+-", str(node.values[0].value))
        ):
            yield from (f"{node.values[0].value}{text}" for text in texts)


def sentences(*rooms: str) -> Iterator[tuple[str, str]]:
    """Pairs of place and text: what looks like words for people; docstrings, markup and what is typed are left out."""
    classes = set(
        re.findall(r"\.([a-z][a-z0-9]*)", (PACKAGE / "report" / "page.css").read_text(encoding="utf-8"))
    )
    for path, tree in modules().items():
        if path.split("/")[0].removesuffix(".py") not in rooms:
            continue
        no_words = {id(node) for node in [*_docstrings(tree), *_commands(tree)]}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in no_words:
                text = node.value
                plain = not re.search(r"[<>]|\$|[a-z]=|\{\w| \[?--", text)
                if plain and _TWO_WORDS.search(text) and not classes.issuperset(text.split()):
                    yield f"{path}:{node.lineno}", text


def worded_errors() -> Iterator[tuple[str, str]]:
    """Pairs of place and text: errors that are raised with words instead of a code."""
    for path, tree in modules().items():
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and _name(node).endswith("Error") and node.args):
                continue
            if _name(node) in _PYTHON_ERRORS:
                continue
            first = node.args[0]
            if isinstance(first, ast.JoinedStr) and not _makes_a_code(first):
                yield f"{path}:{node.lineno}", ast.unparse(first)
            elif isinstance(first, ast.Constant) and " " in str(first.value):
                yield f"{path}:{node.lineno}", str(first.value)


#: Errors of the language: a mistake in the program, which no user can make.
_PYTHON_ERRORS = {
    "ValueError", "TypeError", "KeyError", "AttributeError", "RuntimeError", "AssertionError", "NotImplementedError",
    "OSError", "ImportError", "IndexError", "LookupError", "TimeoutError", "ConnectionError", "PermissionError",
}  # fmt: skip


def _makes_a_code(node: ast.JoinedStr) -> bool:
    first = node.values[0]
    return isinstance(first, ast.Constant) and bool(re.match(r"[a-z_]+\.[^ ]*$", str(first.value)))


def _name(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _says(node: ast.Call) -> bool:
    return _name(node) in _SAYS or (_name(node).endswith("Error") and _name(node) not in _PYTHON_ERRORS)


def _texts(call: ast.Call) -> Iterator[str]:
    for argument in call.args:
        choices = [argument.body, argument.orelse] if isinstance(argument, ast.IfExp) else [argument]
        for one in choices:
            if isinstance(one, ast.Constant) and isinstance(one.value, str):
                yield one.value


def _commands(tree: ast.Module) -> Iterator[ast.AST]:
    """Parts of what is suggested to be typed next."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node) == "suggest":
            yield from ast.walk(node)


def _docstrings(tree: ast.Module) -> Iterator[ast.Constant]:
    for node in ast.walk(tree):
        for statement in getattr(node, "body", []) if isinstance(getattr(node, "body", None), list) else []:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                yield statement.value
