"""What is looked at before a study starts on this machine: what would fail in minutes is said at once."""

from __future__ import annotations

import os
import re
import urllib.error
import urllib.request
from http.client import HTTPException
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from coref_k8s.client.planning import plan_study
from coref_k8s.corpus.generated import is_generated
from coref_k8s.errors import DataError, MissingDependencyError, ModelError
from coref_k8s.evaluation.registry import check_weights, known_metrics
from coref_k8s.model.files import check_weights_there
from coref_k8s.settings import Settings
from coref_k8s.sizing.shape import cached_config, hub_is_forbidden, looks_like_path, shape_of
from coref_k8s.study.spec import StudySpec
from coref_k8s.wording import Message

#: Packages of the trial program, in the order of what is missing most likely.
_TRIAL_PACKAGES = ("torch", "transformers", "datasets", "kiwipiepy")
#: What a token may be made of: more cannot stand in a header.
_HEADER = re.compile(r"[!-~]+")
#: How long the hub may take to answer (seconds).
_PATIENCE = 10.0


def is_remark(message: Message) -> bool:
    """Tell whether a message of a check only says what was found."""
    return message.code.startswith("corpus.seen") or message.code == "client.head-on-top"


def localised(spec: StudySpec) -> StudySpec:
    """Return the request with absolute paths, so that `resume` works from any folder."""
    sources = tuple(s.model_copy(update={"source": _absolute(s.source)}) for s in spec.data.sources)
    choices = tuple(_absolute(choice) for choice in spec.data.choices)
    data = spec.data.model_copy(update={"sources": sources, "choices": choices})
    return spec.model_copy(update={"model": _absolute(spec.model), "data": data})


def _absolute(text: str) -> str:
    path = os.path.expanduser(text)
    return os.path.abspath(path) if os.path.exists(path) else text


def check_before_start(spec: StudySpec, *, text: bool = True) -> list[Message]:
    """Return what text there is (`is_remark`), and warnings; raise MissingDependencyError, ModelError or DataError for what cannot work.

    Without `text` its sources are not looked at: they have been prepared.
    """
    check_weights(spec.objective.weights, spec.task)
    require_trial_packages()
    hub = Hub()
    if text:
        _check_paths(spec)
    check_model(spec.model, hub)
    return _check_data(spec, hub) if text else []


def check_request(spec: StudySpec) -> list[Message]:
    """Return what of a request will not do what it seems to, wherever it runs. Raises SizingError when no batch fits."""
    plan_study(spec)
    found = []
    if spec.limits.max_gpu_hours is not None and not spec.pod.gpus:
        found.append(Message.of("client.gpu-hours-without-gpus"))
    if elsewhere := sorted(set(spec.objective.weights) - set(known_metrics(spec.task))):
        found.append(Message.of("client.metric-not-here", names=elsewhere))
    if spec.task == "coreference" and spec.training.max_steps is not None and spec.purpose.kind == "search":
        found.append(Message.of("client.head-on-top", steps=spec.training.max_steps))
    return found


def require_trial_packages() -> None:
    """Raise MissingDependencyError unless the packages of trials are installed."""
    missing = [name for name in _TRIAL_PACKAGES if find_spec(name) is None]
    if missing:
        raise MissingDependencyError("client.needs-packages", packages=missing)


def check_model(model: str, hub: Hub | None = None) -> None:
    """Raise ModelError unless a model is in a folder here, in the hub's cache, or to be had from the hub."""
    if Path(model).is_dir():
        shape_of(model)  # raises ModelError when it holds no model
        check_weights_there(model)
        return
    if looks_like_path(model):
        raise ModelError("client.no-model", model=model)
    if cached_config(model) is not None:
        return
    if (problem := (hub or Hub()).problem(f"{model}/resolve/main/config.json")) is not None:
        raise ModelError("client.model-not-found", model=model, why=problem)


def _check_paths(spec: StudySpec) -> None:
    """Raise DataError where all sources are paths and none is there: said before a hub is asked for anything else."""
    from coref_k8s.corpus.local import is_local

    paths = [one.source for one in spec.data.sources if not is_generated(one.source) and is_local(one.source)]
    if not spec.data.choices and len(paths) == len(spec.data.sources) and not any(map(os.path.exists, paths)):
        missing = Message.of("client.no-such-file")
        found = [Message.of("client.source-problem", source=one, why=missing) for one in dict.fromkeys(paths)]
        raise DataError("client.no-source", problems=found)


def _check_data(spec: StudySpec, hub: Hub) -> list[Message]:
    for choice in spec.data.choices:
        if not Path(choice).is_dir():
            raise DataError("client.no-prepared-data", folder=choice)
    if spec.data.choices:
        check_choices(spec)
        return []
    return look_at_sources(spec, hub)


def look_at_sources(spec: StudySpec, hub: Hub | None = None) -> list[Message]:
    """Return what text there is (`is_remark`), here and on the hub, and warnings. Raises DataError when nothing can be read."""
    hub = hub or Hub()
    from coref_k8s.corpus.hub import hub_id
    from coref_k8s.corpus.local import is_local

    problems: dict[str, Message] = {}
    found: list[Message] = []
    for one in spec.data.sources:
        if is_generated(one.source) or Path(one.source).exists():
            continue
        if is_local(one.source):
            problems[one.source] = Message.of("client.no-such-file")
        elif (problem := hub.problem(f"api/datasets/{hub_id(one.source)}")) is not None:
            problems[one.source] = problem
        else:
            found.append(Message.of("corpus.seen-on-hub", source=one.source))
    if len(problems) == len({one.source for one in spec.data.sources}):
        found = [Message.of("client.source-problem", source=one, why=why) for one, why in problems.items()]
        raise DataError("client.no-source", problems=found)
    from coref_k8s.corpus.look import look

    seen = look(spec)
    left_out = [Message.of("client.source-left-out", source=one, why=why) for one, why in problems.items()]
    return [*seen.sources, *found, *left_out, *seen.warnings]


def check_choices(spec: StudySpec) -> None:
    """Raise DataError when prepared data that can be read here do not suit the request's lengths or model.

    A folder that is not on this machine may be on the cluster's volume, and a model that is no folder may be
    on the hub: the trials look again.
    """
    from coref_k8s.corpus.prepared import open_prepared

    here = [Path(choice) for choice in spec.data.choices if Path(choice).is_dir()]
    opened = [open_prepared(folder, length, spec.task) for folder in here for length in spec.seq_lengths]
    if opened and Path(spec.model).is_dir() and find_spec("transformers") is not None:
        from coref_k8s.trial.models import load_tokenizer

        tokenizer = load_tokenizer(spec.model, spec.model_revision)
        for prepared in opened:
            prepared.check_tokenizer(tokenizer)


class Hub:
    """Asks a model and data hub whether something is there; one that is away is waited for once."""

    def __init__(self) -> None:
        self._endpoint = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
        self._away = Message.of("client.hub-offline") if hub_is_forbidden() else None

    def problem(self, path: str) -> Message | None:
        """Return why a file of the hub cannot be had; None when it can.

        The token is HF_TOKEN, that of HF_TOKEN_FILE, or that of `hf auth login`.
        """
        from huggingface_hub import get_token

        if self._away is not None:
            return self._away
        if (token := Settings.from_env().hf_token or get_token() or "") and not _HEADER.fullmatch(token):
            return Message.of("corpus.hub-token-odd")  # never with the library's words, which hold the token
        try:
            request = urllib.request.Request(f"{self._endpoint}/{quote(path)}", method="HEAD")
            if token:
                request.add_header("Authorization", f"Bearer {token}")
            urllib.request.urlopen(request, timeout=_PATIENCE).close()
        except urllib.error.HTTPError as error:
            if error.code in (401, 403):
                return Message.of("client.hub-needs-token")
            if error.code == 404:
                return Message.of("client.hub-missing")
            return None if error.code in (405, 429) else Message.of("client.hub-error", status=error.code)
        except (OSError, HTTPException, ValueError) as error:
            reason = str(getattr(error, "reason", error)).strip()
            self._away = Message.of("client.hub-away", hub=self._endpoint, reason=reason)
            return self._away
        return None
