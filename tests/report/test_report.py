"""The report of a study: one file that needs nothing, with the numbers of the database and what they rest on."""

from __future__ import annotations

import html
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from coref_k8s.controller.view import StudyView
from coref_k8s.evaluation.compare import Difference
from coref_k8s.report.budgets import budgets
from coref_k8s.report.html import labels
from coref_k8s.report.importance import importances
from coref_k8s.report.page import report
from coref_k8s.search.records import TrialRecord, TrialState
from coref_k8s.store import Phase
from coref_k8s.study.reading import spec_from_mapping
from coref_k8s.wording import Message
from tests.report.sample import COMMIT, NOW, with_finalists
from tests.report.sample import study as sample

ROOT = Path(__file__).parents[2]


def section(page: str, name: str) -> str:
    """The text of one section, tags left out."""
    found = re.search(rf'<section id="{name}">(.*?)</section>', page, re.DOTALL)
    assert found, name
    return html.unescape(re.sub(r"<[^>]+>", " ", found[1]))


def sections(page: str) -> list[str]:
    return re.findall(r'<section id="(\w+)">', page)


def changed(view: StudyView, change: Callable[[TrialRecord], TrialRecord]) -> StudyView:
    return replace(view, trials=[change(one) for one in view.trials])


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_everything_is_in_one_file(coref: Any, study: str, lang: str) -> None:
    answer = coref("report", study, "--lang", lang)
    assert answer.code == 0, answer.err
    page = Path(answer.out.strip()).read_text(encoding="utf-8")
    assert not re.search(r"(src|href)=\"(?!data:|#)|https?://|@import|url\(", page)
    for words in ("0.410", "0.450 … 0.550", "+0.300", "learning_rate", "coref-k8s submit", "<circle"):
        assert words in page
    assert ("최적화 이력" in page) == (lang == "ko")


def test_a_local_study_leads_to_the_logs_and_files_of_its_trials(
    coref: Any, study: str, tmp_path: Path
) -> None:
    (tmp_path / "data/studies/sample/512/1").mkdir(parents=True)
    (tmp_path / "data/jobs/sample/sample-512-2-1").mkdir(parents=True)
    (tmp_path / "data/jobs/sample/sample-512-2-1/log").write_text("boom")
    (tmp_path / "reports").mkdir()
    page = Path(coref("report", study, "-o", tmp_path / "reports/r.html").out.strip()).read_text("utf-8")
    found = set(re.findall(r'href="([^"#:]+)"', page))
    assert found == {"../data/studies/sample/512/1", "../data/jobs/sample/sample-512-2-1/log"}
    assert all((tmp_path / "reports" / one).exists() for one in found)


def test_the_losses_of_trials_are_drawn() -> None:
    page = report(sample(), now=NOW)
    assert 'aria-label="loss (nats) – step"' in page
    assert "200" in section(page, "losses")  # the last step
    assert 'id="losses"' not in report(changed(sample(), lambda one: replace(one, attrs={})), now=NOW)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([0.4, 0.4005, 0.401], ["0.4", "0.4005", "0.401"]),
        ([0.0, 0.5, 1.0], ["0", "0.5", "1"]),
        ([1000.0, 1500.0, 12500.0], ["1000", "1500", "12500"]),
        ([1e-5, 2.5e-5], ["1e-5", "2.5e-5"]),
        ([0.12341, 0.12342], ["0.12341", "0.12342"]),
        ([0.3], ["0.3"]),
    ],
)
def test_no_two_names_on_an_axis_are_the_same(values: list[float], told: list[str]) -> None:
    assert labels(values) == told


def test_its_request_can_be_submitted_again(coref: Any, study: str, tmp_path: Path) -> None:
    page = Path(coref("report", study).out.strip()).read_text(encoding="utf-8")
    request = html.unescape(re.search(r'<pre id="request">(.*?)</pre>', page, re.DOTALL)[1])
    (tmp_path / "request.yaml").write_text(request)
    answer = coref("plan", "--file", tmp_path / "request.yaml", "-o", "json")
    assert answer.code == 0, answer.err
    assert 'id="command">coref-k8s submit --local --name sample-again --file request.yaml' in page


def test_what_reproduces_it_names_every_revision_and_version() -> None:
    page = report(sample(), now=NOW)
    request = html.unescape(re.search(r'<pre id="request">(.*?)</pre>', page, re.DOTALL)[1])
    spec = spec_from_mapping(yaml.safe_load(request))
    asked = sample().spec
    assert spec.model_revision == COMMIT
    assert [one.revision for one in spec.data.sources] == [COMMIT, COMMIT, None, None, None]
    pinned = {"model_revision": None, "data": asked.data}
    assert spec.model_copy(update=pinned) == asked
    again = section(page, "again")
    for words in (
        "coref-k8s submit --namespace team",
        "torch",
        "2.13.0",
        "transformers",
        "5.23.0",
        "optuna",
        "3.11.9",
        "ab" * 32,
    ):
        assert words in again, words


def test_every_number_stands_beside_what_no_model_reaches() -> None:
    page = report(sample(lengths=(2048,)), now=NOW)
    best = sample(lengths=(2048,)).lengths[0].best
    assert best is not None
    metrics, reference = section(page, "metrics"), section(page, "reference")
    assert re.search(rf"Coref Top5\s+{best.metrics['coref_top5']:.3f}\s.*\s0\.120", metrics)
    for name in ("coref_f1", "coref_top5", "lbd_top1"):
        value = best.metrics[f"seed_{name}"]
        assert re.search(rf"{value:.3f}\s+0\.210\s+\+{value - 0.21:.3f}", reference), name


def test_a_coreference_study_shows_chains_and_nothing_of_hidden_mentions() -> None:
    view = sample(lengths=(512, 1024), task="coreference")
    page = report(view, now=NOW)
    best = view.lengths[0].best
    assert best is not None
    metrics, chains = section(page, "metrics"), section(page, "chains")
    for name, value, guess in (
        ("CoNLL F1", best.metrics["conll_f1"], "0.111"),
        ("mentions found", best.metrics["mention_f1"], "0.222"),
        ("CoNLL F1, gold mentions given", best.metrics["gold_conll_f1"], "0.333"),
    ):
        assert re.search(rf"{name}\s+{value:.3f}\s.*\s{guess}", metrics), name
    assert re.search(r"no model: equal nouns linked\s+0\.111\s+0\.071 … 0\.151", chains)
    assert re.search(r"a pronoun\s+300\s+0\.400", chains)
    assert re.search(r"513–1,024 tokens\s+100\s+0\.400", chains)
    assert "LEA" in section(page, "trials")
    text = re.sub(r"\s+", "", section(page, "sample"))
    # by the gold entities' numbers
    assert "옌템1의스승은<핀혼3>을보았다.그1는웃었다." in text
    assert "옌템1의스승2은<핀혼3>을보았다.그2는웃었다." in text
    for foreign in ("LAMBADA", "Top5", "by context", "five nouns"):
        assert foreign not in page, foreign
    poor = changed(view, lambda one: replace(one, metrics=one.metrics | {"equal_conll_f1": 0.9}))
    assert re.search(
        r"512 tokens: CoNLL F1 0\.\d+ is below what is reached without a model", report(poor, now=NOW)
    )
    assert 'id="chains"' not in report(sample(lengths=(1024,)), now=NOW)


def test_gold_mentions_are_told_by_type_where_there_are_chains() -> None:
    plain = sample(lengths=(1024,))
    assert 'id="antecedents"' not in report(plain, now=NOW)
    names = {"antecedent": 0.42, "antecedent_pronoun": 0.31, "antecedent_512_1024": 0.27}
    metrics: dict[str, float] = {}
    for name, value in names.items():
        metrics |= {name: value, f"{name}_ci_low": value - 0.05, f"{name}_ci_high": value + 0.05}
        metrics |= {f"baseline_frequent_{name}": 0.33, f"baseline_nearest_{name}": 0.22}
    counts = {"antecedent": 200, "antecedent_new": 12, "antecedent_pronoun": 90, "antecedent_512_1024": 44}

    def with_chains(one: TrialRecord) -> TrialRecord:
        evidence = one.attrs.get("evidence", {}) | {"counts": counts}
        return replace(one, metrics=one.metrics | metrics, attrs=one.attrs | {"evidence": evidence})

    page = report(changed(plain, with_chains), now=NOW)
    found = section(page, "antecedents")
    assert re.search(r"a pronoun\s+90\s+0\.310\s+0\.260 … 0\.360\s+0\.330\s+0\.220", found)
    assert re.search(r"513–1,024 tokens\s+44\s+0\.270", found)
    assert "a new name" not in found  # too few for a number
    assert re.search(r"antecedents\s+0\.420\s+0\.370 … 0\.470\s.*0\.330", section(page, "metrics"))
    assert "0.83 for strings seen before, 0.63 for new names and −0.07 for pronouns" in section(
        page, "metrics"
    )


def test_a_distance_with_few_items_has_no_number() -> None:
    text = section(report(sample(lengths=(2048,)), now=NOW), "distance")
    rows = dict(re.findall(r"(1–512|513–1,024|1,025–1,536|1,537–2,048)\s+(\d+ +\S+)", text))
    assert {where: re.split(" +", found) [0] for where, found in rows.items()} == {
        "1–512": "120", "513–1,024": "51", "1,025–1,536": "19", "1,537–2,048": "4",
    }  # fmt: skip
    assert text.count("too few items") == 2


def test_what_was_lost_is_told_first() -> None:
    mixed = changed(
        sample(),
        lambda one: (
            replace(one, attrs=one.attrs | {"versions": {"torch": "2.6.0"}}) if one.number == 0 else one
        ),
    )
    found = re.search(r'id="warnings">(.*?)</section>', report(mixed, now=NOW), re.DOTALL)
    text = html.unescape(found[1])
    assert "squad_kor_v1 was left out: DataError: the hub does not answer <404>" in text
    assert "6 trials failed: crashed: exit code 1" in text
    assert re.search(r"different versions of torch: 2\.13\.0 \(\d+\), 2\.6\.0 \(3\)", text)
    assert "too high" in text
    assert "below what a list" not in text
    poor = changed(sample(), lambda one: replace(one, metrics=one.metrics | {"baseline_nearest_top5": 0.9}))
    assert re.search(
        r"1024 tokens: Coref Top5 0\.\d+ is below what frequent or near nouns reach without a model \(0\.900\)",
        report(poor, now=NOW),
    )
    going_on = replace(sample(), phase=Phase.RUNNING, finished_at=None)
    assert "has not ended: 72 of 72" in report(going_on, now=NOW)


def test_cost_adds_up() -> None:
    view = sample()
    text = section(report(view, now=NOW), "cost")
    rows = {
        name: int(seconds.replace(",", ""))
        for name, seconds in re.findall(r"(succeeded|pruned|failed|total) +\d+ +([\d,]+)", text)
    }
    assert rows["total"] == view.gpu_seconds == sum(rows[name] for name in ("succeeded", "pruned", "failed"))
    without = report(sample(gpus=0), now=NOW)
    assert "64\u00a0%" in section(without, "cost")  # by time where there is no GPU
    assert "time of attempts" in without
    assert "GPU seconds" not in section(without, "cost")


def test_importance_finds_what_decides_and_says_what_it_rests_on() -> None:
    view = sample(trials=60, lengths=(1024,))
    found = importances(view.spec, 1024, view.trials)
    assert found is not None
    assert found.trials == len(view.lengths[0].ranked)
    assert (found.parameters[0].name, found.parameters[0].shown) == ("learning_rate", True)
    assert sum(one.share for one in found.parameters) == pytest.approx(1)
    assert f"Rests on {found.trials} complete trials: the best {found.top} against all" in section(
        report(view, now=NOW), "importance"
    )
    # by chance one of twenty passes its mark; scores that belong to other trials say nothing
    values = [one.value for one in view.lengths[0].ranked]
    shuffled = changed(
        view,
        lambda one: (
            replace(one, value=values[one.number * 7 % len(values)])
            if one.state is TrialState.COMPLETE
            else one
        ),
    )
    none = importances(view.spec, 1024, shuffled.trials)
    assert none is not None
    assert sum(one.shown for one in none.parameters) <= len(none.parameters) // 3


def test_scores_of_too_few_items_are_in_no_table_and_in_no_chart() -> None:
    view = sample(trials=6, lengths=(512,))
    hidden = sorted({name for t in view.trials for name in t.metrics} | {"score"})
    few = [
        replace(t, attrs={**t.attrs, "evidence": {**t.attrs.get("evidence", {}), "not_given": hidden}})
        if t.state is TrialState.COMPLETE
        else replace(t, attrs={"not_given": hidden})
        for t in view.trials
    ]
    found = report(replace(view, trials=few), "en", NOW)
    assert "asked too few items for a score" in section(found, "metrics")
    assert 'id="history"' not in found
    numbers = {f"{t.value:.3f}" for t in view.trials if t.value is not None}
    assert not {number for number in numbers if f">{number}<" in found}


def test_importance_of_too_few_or_equal_scores_is_not_told() -> None:
    view = sample(trials=8, lengths=(2048,))
    assert len(view.lengths[0].ranked) < 8
    assert importances(view.spec, 2048, view.trials) is None
    assert "too few to say what mattered" in section(report(view, now=NOW), "importance")
    flat = changed(sample(lengths=(1024,)), lambda one: replace(one, value=0.4) if one.value else one)
    assert importances(flat.spec, 1024, flat.trials) is None
    assert "same score" in section(report(flat, now=NOW), "importance")


def test_it_needs_no_torch_and_no_scipy() -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('torch', 'scipy', 'sklearn', 'pandas', 'datasets', 'kiwipiepy')))\n"
        "from coref_k8s.report.page import report; from tests.report.sample import study\n"
        "assert 'learning_rate' in report(study(trials=12, lengths=(1024,)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_study_before_its_first_trial_has_a_report() -> None:
    empty = replace(
        sample(),
        trials=[],
        attempts=[],
        phase=Phase.PREPARING,
        finished_at=None,
        statistics={},
        started_at=None,
    )
    page = report(empty, now=NOW)
    assert sections(page) == ["metrics", "cost", "again"]
    assert "No trial has a result yet" in page


def test_thousands_of_trials_stay_readable_and_small() -> None:
    many = sample(trials=700, lengths=(1024,))
    page = report(many, now=NOW)
    assert len(page) < 2_000_000
    assert "The best 300 of" in section(page, "parallel")
    assert "The best 500 of 700" in section(page, "trials")


def test_finalists_say_how_sure_the_best_is() -> None:
    plain = sample(trials=6, lengths=(1024,))
    view = with_finalists(plain)
    shown = section(report(view), "answer")
    winner = view.lengths[0].verdict.winner
    assert (
        f"1024 tokens : trial {winner} wins: 0.440 on dev (mean of 2 runs); 0.420 on test (mean of 2 runs; 95 % interval 0.380 … 0.460)"
        in shown
    )
    assert re.search(
        r" better +against the untuned model on test: \+0\.370 \(95 % interval \+0\.300 … \+0\.440\)", shown
    )
    assert re.search(r" no difference shown +against the defaults on test: \+0\.010", shown)
    page = report(view)
    assert page.index('id="answer"') < page.index("<nav>"), "the first screen answers whether it is better"
    assert re.search(
        r"1024 +the untuned model +score +0\.420 +0\.050 +\+0\.370 +\+0\.300 … \+0\.440 +better",
        section(page, "finalists"),
    )
    assert view.lengths[0].best.number == winner != view.lengths[0].ranked[0].number
    for one, split in ((view, "test"), (plain, "dev")):
        text = section(report(one), "metrics")
        assert [name for name in ("dev", "test") if f"Values on {name} are of" in text] == [split]
    korean = section(report(view, "ko"), "answer")
    assert re.search(r"나음 +test에서 튜닝 전 모델 대비 \+0\.370 \(95% 신뢰구간", korean)
    assert "finalists" not in sections(report(plain))
    # without finalists nothing was tested, and that is said as plainly
    assert "not tested   1024 tokens : one run each, not confirmed by finalists" in section(
        report(plain), "answer"
    )


def test_a_final_training_says_whether_it_is_better() -> None:
    one = sample(trials=1, lengths=(1024,))
    row = {"against": "the untuned model", "split": "test", "metric": "score", "a": 0.5, "b": 0.1, "difference": 0.4,
           "low": 0.3, "high": 0.5, "items": 90, "documents": 30, "verdict": "better", "sentence": "-"}  # fmt: skip
    test = {"score": 0.5, "metrics": {"score_ci_low": 0.4, "score_ci_high": 0.6}}
    attrs = {"test": test, "comparisons": [row, row | {"split": "dev", "difference": 0.9}]}
    view = changed(one, lambda trial: replace(trial, attrs=trial.attrs | attrs))
    shown = section(report(view, now=NOW), "answer")
    assert "1024 tokens : 0.500 on test (one run; 95 % interval 0.400 … 0.600)" in shown
    assert re.search(r" better +against the untuned model on test: \+0\.400", shown)
    assert "0.9" not in shown
    # one trial is neither a history nor something to compare by length
    assert not {"history", "by_length"} & set(sections(report(view, now=NOW)))


def test_a_score_without_a_gain_by_context_is_warned_of() -> None:
    for low, warned in ((-0.01, True), (0.02, False)):
        gains = {f"{name}_gain_ci_low": low for name in ("coref_f1", "coref_top5", "lbd_top1")}
        view = changed(sample(lengths=(1024,)), lambda one, g=gains: replace(one, metrics=one.metrics | g))  # type: ignore[misc]
        assert ("1024 tokens: no gain by context is shown" in report(view, now=NOW)) == warned


def test_the_timeline_has_a_bar_a_trial_in_as_many_lanes_as_ran_together() -> None:
    view = with_finalists(sample(trials=24))
    found = re.search(r'<section id="timeline">(.*?)</section>', report(view, now=NOW), re.DOTALL)
    assert found
    lanes: dict[str, list[tuple[float, float]]] = {}
    for left, y, right in re.findall(r'points="([\d.]+),([\d.]+) ([\d.]+),[\d.]+"', found[1]):
        lanes.setdefault(y, []).append((float(left), float(right)))
    assert len(lanes) == 3
    assert sum(map(len, lanes.values())) == len(view.trials)
    for bars in lanes.values():
        assert all(before[1] <= after[0] for before, after in pairwise(sorted(bars)))


#: What is a name in Korean too: metrics, methods, splits, units of information, and what a user typed.
NAMES = {
    "coref", "top", "lambada", "gpu", "dev", "test", "ped", "anova", "limits", "maxgpuhours",
    "korean", "long", "kakaobank", "deberta", "base", "team", "klue", "mrc", "kor", "squad",
    "dataerror", "log", "the", "hub", "does", "not", "answer",
}  # fmt: skip


def test_nothing_but_names_is_english_in_the_korean_report() -> None:
    view = with_finalists(sample())
    view = replace(
        view,
        message=Message.of(
            "controller.remarks",
            first=Message.of("controller.max-gpu-hours", hours=3.0),
            rest=Message.of("controller.finalists-not-all-run", lengths=[512]),
        ),
    )
    page = report(view, "ko", NOW)
    body = re.sub(r"<(style|script|pre)\b.*?</\1>", " ", page[page.index("<body>") :], flags=re.DOTALL)
    again = body.index('<section id="again">')
    shown = html.unescape(re.sub(r"<[^>]+>", " ", body[:again]))
    names = (
        NAMES
        | {part for name in view.trials[0].params for part in name.split("_")}
        | {"clamp", "rescale", "grow"}
    )
    left = {word.lower() for word in re.findall(r"[A-Za-z]{3,}", shown)} - names
    assert left == set()
    assert "GPU 3시간을 쓰고 중지됨(limits.maxGpuHours); 길이 512의 최종 후보를 다 실행하지 못함" in shown


def test_budgets_are_told_in_the_head() -> None:
    view = sample()
    limits = view.spec.limits.model_copy(update={"max_gpu_hours": 9.0, "max_duration": 86400.0})
    search = view.spec.search.model_copy(update={"patience": 7, "min_gain": 0.005})
    page = report(
        replace(view, spec=view.spec.model_copy(update={"limits": limits, "search": search})), "en", NOW
    )
    head = page[page.index("<header>") : page.index("</header>")]
    for words in ("of 9 GPU-hours", "of 1 d", "after 7 trials without", "add less than 0.005"):
        assert words in head
    assert "Budget" not in report(view, "en", NOW)


def test_a_limit_of_time_counts_from_when_the_study_was_last_resumed() -> None:
    view = sample()
    limits = view.spec.limits.model_copy(update={"max_duration": 7200.0})
    extended = replace(
        view,
        spec=view.spec.model_copy(update={"limits": limits}),
        phase=Phase.RUNNING,
        resumed_at=NOW - timedelta(minutes=90),
        finished_at=None,
    )
    assert budgets(extended, NOW) == "Budget: 1 h 30 min of 2 h"
    assert extended.elapsed(NOW) == timedelta(hours=31)


def test_what_was_stored_is_told_in_the_readers_language() -> None:
    stored = Message.of("report.w-items", length=512, message=Message.of("words.too-small")).to_text()
    view = replace(sample(), phase=Phase.FAILED, message=Message.load(stored))
    assert "512 tokens: too few items" in report(view, "en", NOW)
    assert "512 토큰: 문항 부족" in report(view, "ko", NOW)
    older = replace(view, message=Message.load("no trial is complete"))
    assert "no trial is complete" in report(older, "ko", NOW)


@pytest.mark.parametrize(
    ("low", "documents", "korean"),
    [
        (0.1, 30, "이 모델이 튜닝 전 모델보다 낫습니다: 점수 0.500 대 0.300 (차이 +0.200, 95% 신뢰구간 +0.100 … +0.300; 문서 30개의 문항 90개)."),
        (-0.1, 30, "이 모델과 튜닝 전 모델의 차이가 확인되지 않았습니다: 점수 0.500 대 0.300"),
        (None, 2, "(차이 +0.200; 문서 2개의 문항 90개); 문서가 너무 적어 판단할 수 없음, 3개부터 가능."),
    ],
)  # fmt: skip
def test_the_sentence_of_a_comparison_is_told_in_korean(
    low: float | None, documents: int, korean: str
) -> None:
    found = Difference("score", 0.5, 0.3, 0.2, low, 0.3, 90, documents)
    said = found.sentence(Message.of("verdict.this-model"), Message.of("words.role-untuned"))
    assert korean in said.say("ko")
