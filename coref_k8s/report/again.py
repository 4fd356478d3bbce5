"""The sections that say what to mind and how to do it again: warnings, request, versions, revisions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from html import escape
from typing import Any

from coref_k8s import __version__
from coref_k8s.controller.view import LengthView
from coref_k8s.report.context import Context
from coref_k8s.report.html import Cell, table
from coref_k8s.report.metrics import guess_without, metric, metrics_of
from coref_k8s.search.records import TrialState
from coref_k8s.search.tested import tested
from coref_k8s.study import yaml12
from coref_k8s.study.names import MAX_NAME
from coref_k8s.study.reading import changed
from coref_k8s.study.spec import StudySpec


def warnings(page: Context) -> list[str]:
    """What a reader must know before believing a number, in words."""
    view, found = page.view, list[str]()
    planned = sum(one.planned for one in view.lengths)
    if not view.ended:
        found.append(page.plain("report.w-unfinished", done=view.done, planned=planned))
    elif view.message:
        found.append(page.said(view.message))
    for lost in view.statistics.get("skipped_sources", ()):
        why = page.said(lost.get("message", lost.get("reason")))
        found.append(page.plain("report.w-source", source=lost.get("source"), reason=why))
    found += [page.said(one) for one in view.statistics.get("left_out", ())]
    reasons = Counter((page.said(t.reason).splitlines() or ["?"])[0][:160] for t in view.failures)
    found += [page.plain("report.w-failed", n=n, why=why) for why, n in reasons.most_common(5)]
    for name, kinds in versions(page).items():
        if len(kinds) > 1:
            listed = ", ".join(f"{version} ({n})" for version, n in kinds.most_common())
            found.append(page.plain("report.w-versions", name=name, found=listed))
    for one in view.lengths:
        found += _of_length(page, one)
    searched = view.spec.purpose.kind == "search" and not view.spec.search.finalists
    if view.ended and searched and any(len(one.ranked) > 1 for one in view.lengths):
        found.append(page.plain("report.w-single"))
    return found


def _of_length(page: Context, one: LengthView) -> Iterator[str]:
    """What to mind of the best trial of a length."""
    if one.best is None:
        return
    names, scores = metrics_of(page.view.spec), one.best.metrics
    for message in one.best.attrs.get("evidence", {}).get("warnings", ()):
        yield page.plain("report.w-items", length=one.seq_len, message=page.said(message))
    for name in names:
        guess = guess_without(scores, name)
        if guess is not None and scores.get(name, guess) < guess:
            code, value = f"report.w-guess-{page.view.spec.task}", scores[name]
            yield page.plain(code, length=one.seq_len, name=metric(name, page.lang), value=value, guess=guess)
    shown = tested(one.best, one.verdict)
    rests_on = scores if shown is None else shown.metrics
    gains = [low for name in names if (low := rests_on.get(f"{name}_gain_ci_low")) is not None]
    if gains and max(gains) <= 0:
        yield page.plain("report.w-gain", length=one.seq_len)


def versions(page: Context) -> dict[str, Counter[str]]:
    """The versions that trials reported, by software, with the number of trials."""
    found: dict[str, Counter[str]] = {}
    for trial in page.view.trials:
        reported = trial.attrs.get("versions")
        if trial.state is not TrialState.RUNNING and isinstance(reported, dict):
            for name, version in reported.items():
                found.setdefault(str(name), Counter())[str(version)] += 1
    return found


def model_revision(page: Context) -> str | None:
    """The commit of the hub model that trials reported, or that was asked for."""
    reported = Counter(
        str(one.attrs["model_revision"]) for one in page.view.trials if one.attrs.get("model_revision")
    )
    return reported.most_common(1)[0][0] if reported else page.view.spec.model_revision


def request(page: Context) -> str:
    """The request with the revisions that were used, as YAML."""
    spec = page.view.spec
    pinned: dict[str, Any] = {"model_revision": model_revision(page)}
    revisions = page.view.statistics.get("revisions", {})
    seen: Counter[str] = Counter()
    sources = []
    for place, config in enumerate(spec.data.sources):
        # as preparation names them: the second of a name by its place
        name = f"{config.source}:{config.subset}" if config.subset else config.source
        seen[name] += 1
        commit = revisions.get(name if seen[name] == 1 else f"{name}#{place}")
        sources.append(config.model_copy(update={"revision": commit}) if commit else config)
    pinned["data"] = spec.data.model_copy(update={"sources": tuple(sources)})
    whole: StudySpec = spec.model_copy(update=pinned)
    body = {"seqLengths": list(spec.seq_lengths), "model": spec.model, "trials": spec.trials,
            "parallelism": spec.parallelism, "seed": spec.seed, **changed(whole)}  # fmt: skip
    return yaml12.write(body, width=10_000, inline=True)


def again(page: Context) -> str:
    """Request, command, versions and revisions."""
    where = f" --namespace {page.view.namespace}" if page.view.namespace else " --local"
    name = f"{page.view.name[: MAX_NAME - 6]}-again"
    command = f"coref-k8s submit{where} --name {name} --file request.yaml"
    rows: list[list[Cell]] = [
        [name, ", ".join(version for version, _ in found.most_common())]
        for name, found in versions(page).items()
    ] or [["coref-k8s", f"{__version__} ({page.plain('report.not-recorded')})"]]
    revisions: list[list[Cell]] = [
        [page.view.spec.model, model_revision(page) or page.plain("report.local-folder")]
    ]
    revisions += [[name, commit] for name, commit in page.view.statistics.get("revisions", {}).items()]
    if page.view.statistics.get("hash"):
        revisions.append([page.view.prepared or "prepared", page.view.statistics["hash"]])
    for one in page.view.lengths:
        if one.best is not None and (sha := one.best.attrs.get("evidence", {}).get("items_sha256")):
            revisions.append([f"{page.plain('words.items')} {one.seq_len}", sha])
    return (
        page.about("report.again-about")
        + f'<pre id="request">{escape(request(page))}</pre><pre id="command">{escape(command)}</pre>'
        + '<div class="two"><div>'
        + table(page.heads("report.software", "report.version"), rows)
        + "</div><div>"
        + table(["", page.plain("words.revision")], revisions, name="hash")
        + "</div></div>"
    )
