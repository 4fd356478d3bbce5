"""Tunes long-sequence DeBERTa for Korean coreference, on Kubernetes or on one machine.

from coref_k8s import StudySpec, connect

studies = connect()
study = studies.submit("my-study", StudySpec(seq_lengths=(1024,)))
study.wait(on_event=print)
study.best(1024)

from coref_k8s import Resolver

document = Resolver.from_pretrained("my-study")("철수는 영희를 만났다. 그는 기뻤다.")
document.chains
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coref_k8s.client.resolver import Resolver
    from coref_k8s.client.study import Studies, Study, connect
    from coref_k8s.coref.resolved import Mention, ResolvedDocument
    from coref_k8s.errors import CorefError
    from coref_k8s.study.spec import StudySpec

__all__ = [
    "CorefError",
    "Mention",
    "ResolvedDocument",
    "Resolver",
    "Studies",
    "Study",
    "StudySpec",
    "connect",
]
__version__ = "0.2.0"

#: Module of each public name; imported when the name is first used, so that `coref-k8s --help` stays fast.
_MODULES = {
    "CorefError": "coref_k8s.errors",
    "Mention": "coref_k8s.coref.resolved",
    "ResolvedDocument": "coref_k8s.coref.resolved",
    "Resolver": "coref_k8s.client.resolver",
    "Studies": "coref_k8s.client.study",
    "Study": "coref_k8s.client.study",
    "StudySpec": "coref_k8s.study.spec",
    "connect": "coref_k8s.client.study",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
