"""What a verdict says, for terminals and pages: sentences in both languages, and rows of numbers."""

from __future__ import annotations

from typing import Literal

from coref_k8s.controller.view import LengthView
from coref_k8s.search.records import TrialState
from coref_k8s.search.tested import Tested, tested
from coref_k8s.search.verdict import NO_DIFFERENCE, Comparison, Difference, Verdict

Lang = Literal["en", "ko"]

_TEXT = {
    "winner": (
        "trial {trial} wins: {dev} on dev ({runs}); on test {test}",
        "시도 {trial} 우승: dev {dev} ({runs}), test {test}",
    ),
    "mean_of": ("mean of {n} runs", "실행 {n}회 평균"),
    "mean_of_1": ("one run", "실행 1회"),
    "tested": ("on test {score}", "test {score}"),
    "interval": (" (95 % interval {low} … {high})", " (95% 신뢰구간 {low} … {high})"),
    "better": ("better than {other} on test: {figures}", "test에서 {other}보다 나음: {figures}"),
    "worse": ("worse than {other} on test: {figures}", "test에서 {other}보다 못함: {figures}"),
    NO_DIFFERENCE: (
        "no difference shown to {other} on test: {figures}",
        "test에서 {other}과 차이가 확인되지 않음: {figures}",
    ),
    "against": ("against {other} on test: {figures}", "test에서 {other} 대비 {figures}"),
    "uncompared": ("not compared with {other}: {why}", "{other}과 비교하지 못함: {why}"),
    "no_run": ("it has no complete run", "완료된 실행이 없음"),
    "no_score": ("the objective has no scores by item", "목표 점수에 항목별 점수가 없음"),
    "few_runs": (
        "trial {trial} has {done} of {asked} runs: the others failed or were not made",
        "시도 {trial}의 실행은 {asked}회 중 {done}회뿐: 나머지는 실패했거나 실행되지 않음",
    ),
    "claim_better": ("better", "나음"),
    "claim_worse": ("worse", "못함"),
    f"claim_{NO_DIFFERENCE}": (NO_DIFFERENCE, "차이가 확인되지 않음"),
    "untuned": ("the untuned model", "튜닝 전 모델"),
    "defaults": ("the defaults", "기본값"),
    "single": ("the best single model", "가장 나은 단일 모델"),
    "few": ("; too few documents for a claim", "; 문서가 너무 적어 주장할 수 없음"),
    "running": (
        "finalists: {done} of {all} runs, {running} under way",
        "결선: 실행 {all}회 중 {done}회 완료, {running}회 진행 중",
    ),
    "unconfirmed": (
        "one run each, not confirmed by finalists (extend --finalists)",
        "한 번씩만 실행한 점수이며 결선으로 확인하지 않음 (extend --finalists)",
    ),
    "lost": (
        "no finalist has a result, so this is the best single run",
        "결과를 낸 결선 시도가 없어 단일 실행의 최고 점수를 표시함",
    ),
}


def sentences(verdict: Verdict, lang: Lang = "en") -> list[str]:
    """Return the winner with its figures, then each comparison; `better` only where the interval excludes 0."""
    few = [
        _say(lang, "few_runs", trial=one.trial, done=len(one.scores), asked=one.asked)
        for one in verdict.candidates
        if len(one.scores) < one.asked
    ]
    return [_won(verdict, lang), *(comparison(one, lang) for one in verdict.comparisons), *few]


def headline(length: LengthView, found: Tested, lang: Lang = "en") -> str:
    """Return the winner with its figures, or the score on test of what was tested without a choice."""
    if length.verdict is not None:
        return _won(length.verdict, lang)
    return _say(lang, "tested", score=_figure(found.score, found.low, found.high, lang))


def _won(verdict: Verdict, lang: Lang) -> str:
    winner = next(one for one in verdict.candidates if one.trial == verdict.winner)
    n = len(winner.scores)
    return _say(
        lang,
        "winner",
        trial=verdict.winner,
        dev=f"{verdict.dev:.3f}",
        runs=_say(lang, "mean_of_1" if n == 1 else "mean_of", n=n),
        test=_figure(verdict.test, verdict.low, verdict.high, lang),
    )


def _figure(score: float, low: float | None, high: float | None, lang: Lang) -> str:
    if low is None or high is None:
        return f"{score:.3f}"
    return f"{score:.3f}" + _say(lang, "interval", low=f"{low:.3f}", high=f"{high:.3f}")


def standing(length: LengthView, ended: bool, lang: Lang = "en") -> list[str]:
    """Return what is to be said of a length's best score: the verdict, or how far its finalists are, or that it is unconfirmed."""
    if length.verdict is not None:
        return sentences(length.verdict, lang)
    if (found := tested(length.best, None)) is not None:
        return [headline(length, found, lang), *(comparison(one, lang) for one in found.comparisons)]
    if not length.planned_runs:
        # the best of one is chosen by nobody's luck
        return [_say(lang, "unconfirmed")] if ended and len(length.ranked) > 1 else []
    if not length.runs:
        return []
    if ended:
        return [_say(lang, "lost")]
    running = sum(run.open for run in length.runs)
    counted = [run for run in length.runs if run.state is not TrialState.PRUNED]
    planned = max(length.planned_runs, len(counted))
    return [_say(lang, "running", done=length.runs_done, all=planned, running=running)]


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
            "claim": one.claim,
        }
        for against in verdict.comparisons
        for one in against.differences
    ]


def named(against: str, lang: Lang) -> str:
    """Return `untuned` or `defaults` in words."""
    return _say(lang, against)


def claim(found: str, lang: Lang) -> str:
    """Return what may be claimed, in words."""
    return _say(lang, f"claim_{found}")


def comparison(found: Comparison, lang: Lang = "en") -> str:
    """Return what may be claimed of one comparison, with its figures."""
    other = _say(lang, found.against)
    score = found.score
    if score is None:
        why = found.problem or _say(lang, "no_score" if found.runs else "no_run")
        return _say(lang, "uncompared", other=other, why=why)
    figures = f"{_signed(score.difference)}{_between(score, lang)}"
    return _say(lang, score.claim, other=other, figures=figures) + _few(score, lang)


def _between(score: Difference, lang: Lang) -> str:
    return _say(lang, "interval", low=_signed(score.low), high=_signed(score.high))


def against(found: Comparison, lang: Lang = "en") -> str:
    """Return the figures of one comparison without its claim, to stand beside it."""
    if (score := found.score) is None:
        return comparison(found, lang)
    figures = f"{_signed(score.difference)}{_between(score, lang)}"
    return _say(lang, "against", other=_say(lang, found.against), figures=figures) + _few(score, lang)


def _few(score: Difference, lang: Lang) -> str:
    excluded = score.low > 0 or score.high < 0
    return _say(lang, "few") if excluded and score.claim == NO_DIFFERENCE else ""


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def _say(lang: Lang, key: str, **values: object) -> str:
    return _TEXT[key][lang == "ko"].format(**values)
