"""What may be said of results, for terminals and pages: sentences in either language, and rows of numbers."""

from __future__ import annotations

from coref_k8s.controller.view import LengthView
from coref_k8s.report.figures import of_verdict, on_test
from coref_k8s.search.records import TrialState
from coref_k8s.search.tested import tested
from coref_k8s.search.verdict import Comparison, Difference, Verdict
from coref_k8s.text.document import MIN_DOCUMENTS
from coref_k8s.wording import Lang, Message, say


def sentences(verdict: Verdict, lang: Lang = "en") -> list[str]:
    """Return the winner with its figures, then each comparison; `better` only where the interval excludes 0."""
    few = [
        say("verdict.few-runs", lang, trial=one.trial, done=len(one.scores), asked=one.asked)
        for one in verdict.candidates
        if len(one.scores) < one.asked
    ]
    return [_won(verdict, lang), *(comparison(one, lang) for one in verdict.comparisons), *few]


def headline(length: LengthView, lang: Lang = "en") -> str:
    """Return the winner with its figures, or the score on test of what was tested without a choice."""
    if length.verdict is not None:
        return _won(length.verdict, lang)
    figure = on_test(length)
    return figure.message.say(lang) if figure is not None else ""


def _won(verdict: Verdict, lang: Lang) -> str:
    dev, test = of_verdict(verdict)
    return say("verdict.winner", lang, trial=verdict.winner, dev=dev.message, test=test.message)


def conclusions(length: LengthView, ended: bool, lang: Lang = "en") -> list[str]:
    """Return what is to be said of a length's best score: the verdict, or how far its finalists are, or that it is unconfirmed."""
    if length.verdict is not None:
        return sentences(length.verdict, lang)
    if (found := tested(length.best, None)) is not None:
        return [headline(length, lang), *(comparison(one, lang) for one in found.comparisons)]
    if not length.planned_runs:
        # the best of one is chosen by nobody's luck
        return [say("verdict.not-confirmed", lang)] if ended and len(length.ranked) > 1 else []
    if not length.runs:
        return []
    if ended:
        return [say("verdict.lost", lang)]
    running = sum(run.open for run in length.runs)
    counted = [run for run in length.runs if run.state is not TrialState.PRUNED]
    planned = max(length.planned_runs, len(counted))
    return [say("verdict.running", lang, done=length.runs_done, planned=planned, running=running)]


def rows(verdict: Verdict) -> list[dict[str, object]]:
    """Return one row a metric and comparison: winner, the other, difference, interval, what may be claimed."""
    return [
        {
            "seq_len": verdict.seq_len,
            "trial": verdict.winner,
            "against": against.against,
            "metric": one.metric,
            "winner": one.other + one.difference,
            "other": one.other,
            "difference": one.difference,
            "ci_low": one.low,
            "ci_high": one.high,
            "models_ci_low": one.models and one.models[0],
            "models_ci_high": one.models and one.models[1],
            "claim": one.claim,
        }
        for against in verdict.comparisons
        for one in against.differences
    ]


def named(against: str, lang: Lang) -> str:
    """Return `untuned`, `defaults` or `single` in words."""
    return say(f"words.role-{against}", lang)


def claim(found: str, lang: Lang) -> str:
    """Return what may be claimed, in words; of most metrics nothing is."""
    return say(f"words.claim-{_coded(found)}", lang) if found else ""


def comparison(found: Comparison, lang: Lang = "en") -> str:
    """Return what may be claimed of one comparison, with its figures."""
    other = named(found.against, lang)
    if (score := found.score) is None:
        unknown = Message.of("verdict.no-item-scores" if found.runs else "verdict.no-complete-run")
        return say("verdict.not-compared", lang, other=other, why=found.problem or unknown)
    said = _claimed(f"verdict.claim-{_coded(score.claim)}", other, score, lang)
    return said if score.models or score.low is None else say("verdict.of-models", lang, said=said)


def against(found: Comparison, lang: Lang = "en") -> str:
    """Return the figures of one comparison without its claim, to stand beside it."""
    if (score := found.score) is None:
        return comparison(found, lang)
    return _claimed("verdict.against", named(found.against, lang), score, lang)


def _claimed(code: str, other: str, score: Difference, lang: Lang) -> str:
    values = {"difference": score.difference, "low": score.low, "high": score.high}
    if score.low is None:
        said = say(code, lang, other=other, figures=Message("verdict.figures-few", values))
        return say("verdict.too-few", lang, said=said, least=MIN_DOCUMENTS)
    figures = Message("verdict.figures", values)
    if score.models:
        low, high = score.models
        figures = Message.of("verdict.figures-settings", **values, models_low=low, models_high=high)
    return say(code, lang, other=other, figures=figures)


def _coded(claim: str) -> str:
    return claim.replace(" ", "-")
