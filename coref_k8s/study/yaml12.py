"""YAML as YAML 1.2 has it (the core schema), written so that readers of 1.1 and 1.2 read the same.

`on`, `yes`, `1_0`, `1:30` and dates are text. A number keeps the text it was written as (`source`): `7815e10` and `0042`
are numbers, and are read as they stand where text is meant.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

import yaml

from coref_k8s.errors import RequestError

#: Deepest nesting and most nodes of a text that is read; aliases count each time.
DEEPEST, MOST = 40, 20_000

_TAG = "tag:yaml.org,2002:"
_NULL = re.compile(r"(~|null|Null|NULL|)$")
_BOOL = re.compile(r"(true|True|TRUE|false|False|FALSE)$")
_INT = re.compile(r"([-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$")
_FLOAT = re.compile(
    r"([-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$"
)
_RESOLVERS = {"null": _NULL, "bool": _BOOL, "int": _INT, "float": _FLOAT}


class WrittenInt(int):
    """A whole number and the text that it was written as."""

    source: str


class WrittenFloat(float):
    """A number and the text that it was written as."""

    source: str


def scalar(text: str) -> Any:
    """Return the value of an unquoted scalar."""
    if _NULL.match(text):
        return None
    if _BOOL.match(text):
        return text.lower() == "true"
    number: WrittenInt | WrittenFloat
    if len(text) > 4000:  # Python refuses such numbers, and nobody means them
        return text
    if _INT.match(text):
        number = WrittenInt(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    elif _FLOAT.match(text):
        number = WrittenFloat(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    else:
        return text
    number.source = text
    return number


class _Loader(yaml.SafeLoader):
    """Mappings, lists and core scalars; a key is one scalar, and stands once."""

    where = ""
    yaml_implicit_resolvers: dict[str, Any] = {}
    yaml_constructors: ClassVar[dict[Any, Any]] = {
        tag: yaml.SafeLoader.yaml_constructors[tag]
        for tag in (*(f"{_TAG}{kind}" for kind in ("str", "seq", "map")), None)
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Take every key as text, as JSON has it; refuse one that is no scalar or stands twice."""
        seen = set()
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise RequestError("study.yaml-key", where=self.where, line=line)
            if key.value in seen:
                raise RequestError("study.yaml-twice", where=self.where, line=line, key=key.value)
            seen.add(key.value)
        self.flatten_mapping(node)
        return {key.value: self.construct_object(value, deep) for key, value in node.value}

    def construct_plain(self, node: yaml.ScalarNode) -> Any:
        """Return a scalar that is not text."""
        return scalar(node.value)


class _Dumper(yaml.SafeDumper):
    """Quotes what any reader would take for something else than text; no anchors, short lists on one line."""

    inline = False
    # what PyYAML adds per class must not reach the library's own
    yaml_implicit_resolvers = {
        first: list(some) for first, some in yaml.SafeDumper.yaml_implicit_resolvers.items()
    }

    def ignore_aliases(self, data: Any) -> bool:
        """Write everything where it stands."""
        return True

    def represent_str(self, data: str) -> yaml.ScalarNode:
        """Write signs that a reader may take for a line break, or for nothing, by their number."""
        hidden = any(not sign.isprintable() for sign in data)
        return self.represent_scalar(f"{_TAG}str", data, style='"' if hidden else None)

    def represent_sequence(
        self, tag: str, sequence: Any, flow_style: bool | None = None
    ) -> yaml.SequenceNode:
        """Write a list of scalars on one line."""
        plain = self.inline and all(isinstance(one, str | int | float) for one in sequence)
        return super().represent_sequence(tag, sequence, flow_style=plain or flow_style)


class _InlineDumper(_Dumper):
    inline = True


for _kind, _pattern in _RESOLVERS.items():
    _Loader.add_implicit_resolver(_TAG + _kind, _pattern, None)
    _Loader.add_constructor(_TAG + _kind, _Loader.construct_plain)
    _Dumper.add_implicit_resolver(_TAG + _kind, _pattern, None)
# YAML 1.1 as Go's readers have it
_Dumper.add_implicit_resolver(_TAG + "bool", re.compile(r"[yYnN]$"), list("yYnN"))
_Dumper.add_representer(str, _Dumper.represent_str)
_Loader.add_implicit_resolver(_TAG + "merge", re.compile(r"<<$"), ["<"])


def read(text: str, where: str) -> Any:
    """Return the value of a YAML text; raise RequestError that names `where` and the line."""
    try:
        loader = _Loader(text)
        loader.where = where
        value = loader.get_single_data()
        _measure(value, [0], 0, where)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = str(getattr(error, "problem", None) or error).splitlines()[0]
        code = "study.yaml-at" if mark else "study.yaml"
        raise RequestError(code, where=where, line=mark.line + 1 if mark else 0, problem=problem) from error
    except RecursionError:
        raise RequestError("study.yaml-deep", where=where) from None
    return value


def _measure(value: Any, seen: list[int], depth: int, where: str) -> None:
    seen[0] += 1
    if depth > DEEPEST or seen[0] > MOST:
        raise RequestError("study.yaml-deep", where=where)
    if isinstance(value, list | dict):
        for one in value.values() if isinstance(value, dict) else value:
            _measure(one, seen, depth + 1, where)


def write(data: Any, *, width: int = 110, inline: bool = False) -> str:
    """Return plain data as YAML that is read back the same; `inline` puts lists of scalars on one line."""
    text: str = yaml.dump(
        data, Dumper=_InlineDumper if inline else _Dumper, allow_unicode=True, sort_keys=False, width=width
    )
    return text
