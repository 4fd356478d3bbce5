"""Writes `docs/api.md` from the docstrings of the public names: `python -m docs.api_page --write FILE`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

from pydantic import BaseModel

import coref_k8s
from coref_k8s import errors
from docs.metrics_page import main

_HEAD = """\
# Python API

Generated from docstrings by `make generate`; do not edit.

Studies are started, followed, read and changed from Python as on the command line: in a script, or in a notebook.

```python
from coref_k8s import StudySpec, connect

studies = connect()                       # the cluster of the kubeconfig; this machine where there is none
study = studies.submit("my-study", StudySpec(seq_lengths=(1024,), trials=20))
study.wait(on_event=print)                # Ctrl-C stops a study of this machine; study.resume() goes on
study.trials()                            # a pandas DataFrame, best first
study.best(1024)["params"]
study.report("my-study.html")
```

* `connect(namespace="coref")` is a namespace of the cluster, `connect(data_dir="data")` a data folder of this machine, such
  as `coref-k8s submit --local` writes. Studies are the same for both: what one has started the other sees.
* On this machine a study runs in the background of the process that has submitted or resumed it, each trial as a process of
  its own (`pip install 'coref-k8s[trial]'`). When that process ends, the trials write their checkpoints; `resume` goes on.
* A request cannot be changed once it is made; another one is `StudySpec(**{**dict(spec), "trials": 40})`.
* An error is a `CorefError` whose text is one sentence: what is wrong, where, and what to do. An option that it names, such as
  `--data-dir`, is the argument `data_dir`.
"""
_SPEC = """\
Parts are written as dicts: `StudySpec(search={"sampler": "tpe"})`. In YAML and in the custom resource the names are in
camelCase.

| field | default | meaning |
|---|---|---|
"""
_ERRORS = "\n## Errors\n\n`from coref_k8s.errors import ...`; all of them are a `CorefError`.\n\n"


_CHAINS = """\
## From text to chains

```python
from coref_k8s import Resolver

resolver = Resolver.from_pretrained("my-study/1024")    # the best of a study of task coreference; or a model's folder
document = resolver("철수는 영희를 만났다. 그는 기뻤다.")     # any length; in a notebook the result shows itself
[[mention.text for mention in chain] for chain in document.chains]
open("chains.html", "w", encoding="utf-8").write(document.to_html())
```
"""


def page() -> str:
    """Return the page."""
    first, second = ("connect", "Studies", "Study"), ("Resolver", "ResolvedDocument", "Mention")
    parts = [_HEAD, *_members(first), _CHAINS, *_members(second)]
    parts.append(
        f"## StudySpec\n\n{_text(_public('StudySpec'))}\n{_SPEC}{''.join(_rows(_public('StudySpec')))}"
    )
    return "\n".join(parts) + _ERRORS + "".join(_tree(errors.CorefError))


def _public(name: str) -> Any:
    return getattr(coref_k8s, name)


def _members(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        yield from _described(name, _public(name))


def _described(name: str, thing: Any, level: str = "##") -> Iterator[str]:
    """Yield a function with its signature, or a class with its members in the order of its code."""
    call = (
        f"```python\n{_signature(name, thing)}\n```\n\n"
        if callable(thing) and not inspect.isclass(thing)
        else ""
    )
    yield f"{level} {name}\n\n{call}{_text(thing)}"
    for member, value in vars(thing).items() if inspect.isclass(thing) else ():
        described = callable(getattr(thing, member)) or isinstance(value, property | cached_property)
        if described and not member.startswith("_"):
            # what `getattr` gives is bound: a class method's signature lacks its class
            shown = getattr(thing, member) if isinstance(value, classmethod) else value
            yield from _described(f"{name}.{member}", shown, f"{level}#")


def _signature(name: str, function: Any) -> str:
    signature = inspect.signature(function)
    kept = [one for one in signature.parameters.values() if one.name != "self"]
    # annotations are text, which is shown in quotes
    whole = f"{name.rpartition('.')[2]}{signature.replace(parameters=kept)!s}".replace("'", "")
    if len(whole) <= 100:
        return whole
    return whole.replace("(", "(\n    ", 1).replace(", ", ",\n    ").replace(") ->", ",\n) ->")


def _text(thing: Any) -> str:
    return f"{inspect.getdoc(thing)}\n"


def _rows(model: type[BaseModel], above: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        default = field.get_default(call_default_factory=True)
        if isinstance(default, BaseModel):
            yield from _rows(type(default), f"{above}{name}.")
            continue
        long = isinstance(default, tuple) and any(isinstance(one, BaseModel) for one in default)
        shown = f"{len(default)} entries" if long else "" if default in (None, (), {}) else f"`{default!r}`"
        about = (field.description or "").replace("|", "\\|")
        yield f"| `{above}{name}` | {shown} | {about} |\n"


def _tree(error: type[errors.CorefError], depth: int = 0) -> Iterator[str]:
    yield f"{'  ' * depth}* `{error.__name__}`: {_text(error)}"
    for one in error.__subclasses__():
        if one.__module__ == errors.__name__:
            yield from _tree(one, depth + 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], page))
