"""The live view knows what events and database say, in either language, on a terminal and in a pipe."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from coref_k8s.cli.live import LiveState
from coref_k8s.cli.speech import speak
from coref_k8s.cli.view import Watcher, screen, sparkline
from coref_k8s.client.events import BusTail
from coref_k8s.client.following import Look, Moment
from coref_k8s.controller.runner import Reason
from coref_k8s.controller.view import StudyView, Waiting
from coref_k8s.search.records import TrialRecord, TrialState
from coref_k8s.store import Phase
from coref_k8s.study.names import Kind
from coref_k8s.study.reading import build_spec
from coref_k8s.telemetry.bus import Bus, Section, said
from coref_k8s.wording import NOTHING, Message, locale_lang

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
WHO = {"study": "demo", "kind": "trial", "seq_len": 512, "trial": 0}


def view(phase: Phase = Phase.RUNNING, trials: tuple[TrialRecord, ...] = ()) -> StudyView:
    spec = build_spec(seq_lengths=[512, 1024], trials=4, parallelism=2)
    return StudyView(
        name="demo", namespace="", phase=phase, message=NOTHING, spec=spec, created_at=NOW,
        started_at=NOW - timedelta(minutes=3), trials=list(trials),
    )  # fmt: skip


def record(number: int, state: TrialState, value: float | None = None, **more: Any) -> TrialRecord:
    start = NOW - timedelta(seconds=100)
    end = None if state is TrialState.RUNNING else start + timedelta(seconds=60)
    return TrialRecord(512, number, number, state, {}, value, started_at=start, finished_at=end, **more)


def shown(state: LiveState, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(screen(state, NOW))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_what_a_trial_waits_for_is_shown_and_told_once() -> None:
    running = view(trials=(record(0, TrialState.RUNNING), record(1, TrialState.RUNNING)))
    waits = [
        Waiting(Kind.TRIAL, 512, 0, Reason.SUSPENDED),
        Waiting(Kind.TRIAL, 512, 1, Reason.UNSCHEDULABLE, Message.verbatim("0/3 nodes are available")),
    ]
    state = LiveState()
    for _ in range(2):
        state.sync(replace(running, waiting=waits), NOW)
    told = [text for _, text in state.news]
    assert "512 trial 0 started" not in told
    assert told.count("512 trial 0 waits: suspended") == 1
    assert told.count("512 trial 1 waits: 0/3 nodes are available") == 1
    assert shown(state).count("waiting") == 2
    state.sync(running, NOW)
    assert [text for _, text in state.news][-2:] == ["512 trial 0 runs", "512 trial 1 runs"]
    assert "waiting" not in shown(state)
    state.sync(
        replace(
            running,
            waiting=[Waiting(Kind.PREPARE, None, None, Reason.IMAGE, Message.verbatim("no such image"))],
        ),
        NOW,
    )
    assert "the preparation waits: no such image" in shown(state)
    speak("ko")
    korean = LiveState()
    korean.sync(replace(running, waiting=waits), NOW)
    assert "512 트라이얼 0 대기: 보류됨" in [text for _, text in korean.news]


def playing(lang: Any = "en") -> LiveState:
    speak(lang)
    state = LiveState()
    state.sync(view(trials=(record(0, TrialState.RUNNING), record(1, TrialState.COMPLETE, 0.4))), NOW)
    ts = NOW.isoformat()
    for event in (
        {"section": "trial_begin", **WHO, "step": 0, "steps": 200},
        {"section": "train_step", **WHO, "step": 50, "steps": 200, "loss": 3.14159, "step_seconds": 0.5},
        {"section": "eval_stream", **WHO, "evaluation": 1, "step": 50, "score": 0.25, "split": "dev"},
        {"section": "train_step", **WHO | {"study": "another"}, "step": 199, "steps": 200},
    ):
        state.apply({"ts": ts, **event})
    return state


def test_a_bus_that_speaks_of_two_studies_of_one_name() -> None:
    state, first, second = (
        LiveState(),
        {"study": "demo", "study_uid": "1"},
        {"study": "demo", "study_uid": "2"},
    )
    ts = {"ts": NOW.isoformat()}
    end = {
        "section": "trial_end",
        "kind": "trial",
        "seq_len": 512,
        "trial": 0,
        "state": "failed",
        "reason": "no",
    }
    state.apply({**ts, "section": "study_begin", **first, "seq_lengths": [512], "trials": 3})
    state.apply({**ts, **end, **first})
    assert state.length(512).done == 1
    state.apply({**ts, "section": "study_begin", **second, "seq_lengths": [512], "trials": 2})
    assert (state.length(512).done, state.length(512).planned) == (0, 2)
    state.apply({**ts, **end, **first})  # a trial of the other that ends late
    assert state.length(512).done == 0
    state.apply({**ts, **end, **second})
    assert state.length(512).done == 1


def test_the_view_shows_progress_best_and_news() -> None:
    text = shown(playing())
    for words in (
        "demo",
        "Running",
        "3 min",
        "512 tokens",
        "1 of 4 trials",
        "best 0.400 (trial 1)",
        "1024 tokens",
        "trial 0",
        "50/200",
        "loss 3.14",
        "about 1 min 15 s left",
        "score 0.250",
        "512 trial 0 started",
    ):
        assert words in text, words
    assert "199" not in text


def test_what_it_costs_is_shown_where_there_are_gpus() -> None:
    state = playing()
    assert "GPU" not in shown(state)
    state.gpu_seconds = 5400
    assert "1.50 GPU-hours" in shown(state)


def test_the_view_in_korean() -> None:
    text = shown(playing("ko"))
    for words in ("실행 중", "512 토큰", "최고 0.400 (트라이얼 1)", "손실 3.14", "512 트라이얼 0 시작"):
        assert words in text, words


def test_the_view_fits_a_narrow_terminal() -> None:
    assert max(len(line) for line in shown(playing(), width=80).splitlines()) <= 80


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("width", [80, 120])
def test_a_trial_is_one_line_whatever_the_width(lang: Any, width: int) -> None:
    state = playing(lang)
    who = {"ts": NOW.isoformat(), **WHO}
    state.apply({**who, "section": "train_step", "step": 1250, "steps": 46875, "loss": 3.14159, "step_seconds": 0.51, "tokens_per_second": 18234.5})  # fmt: skip
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(screen(state, NOW, width, 24))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    (row,) = [line for line in lines if "1250/46875" in line]
    left = {"en": "6 h 28 min", "ko": "6시간 28분"}[lang]
    for words in ("0.250", "3.14", left, "▄"):
        assert words in row, row
    assert ("18,234" in row) == (width == 120)
    assert max(map(cell_len, lines)) <= width


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("width", [30, 60, 80, 120])
def test_no_number_and_no_word_is_cut(lang: Any, width: int) -> None:
    state = playing(lang)
    who = {"ts": NOW.isoformat(), **WHO, "kind": "finalist", "trial": 12}
    state.apply({**who, "section": "trial_begin", "steps": 46875})
    state.apply(
        {**who, "section": "train_step", "step": 1250, "steps": 46875, "loss": 3.14159, "step_seconds": 0.51}
    )
    state.sync(view(trials=(record(0, TrialState.FAILED, attrs={"reason": "x" * 50}),)), NOW)
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(screen(state, NOW, width, 24))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(cell_len, text.splitlines())) <= width
    assert "…" not in text
    joined = "".join(text.split())
    facts = {
        "en": ["best 0.400 (trial 1)", "1 failed", "run 12"],
        "ko": ["최고 0.400 (트라이얼 1)", "실패 1", "최종 후보 실행 12"],
    }
    for words in (*facts[lang], "1250/46875", "x" * 50):
        assert words.replace(" ", "") in joined, words


def test_a_low_terminal_shows_how_many_more_run() -> None:
    state = LiveState()
    state.sync(view(trials=tuple(record(n, TrialState.RUNNING) for n in range(12))), NOW)
    for lines, more in ((14, 4), (12, 6), (40, 0)):
        console = Console(file=io.StringIO(), width=80, force_terminal=False)
        console.print(screen(state, NOW, 80, lines))
        text = console.file.getvalue()  # type: ignore[attr-defined]
        assert len(text.splitlines()) < lines
        assert f"and {more} more running" in text if more else "more" not in text
        assert text.count("starting") == 12 - more
        assert "1024 tokens" in text
    for number in range(9):
        state.apply({"ts": NOW.isoformat(), "section": "trial_begin", **WHO, "trial": number, "steps": 9})
    console = Console(file=io.StringIO(), width=80, force_terminal=False)
    console.print(screen(state, NOW, 80, 14))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert len(text.splitlines()) == 13
    assert "512 trial 8 started" in text


def test_an_ensemble_scores_as_many_models_as_it_tries() -> None:
    event = {"ts": NOW.isoformat(), "section": "eval_stream", **WHO, "evaluation": 5, "score": 0.2}
    joined = {"kind": "ensemble", "study": "parent", "trials": [0, 1]}
    for purpose, words in (({"kind": "search"}, "evaluation 5 of 4: "), (joined, "evaluation 5: ")):
        spec = build_spec(seq_lengths=[512], trials=1, purpose=purpose)
        state = LiveState()
        state.sync(replace(view(trials=(record(0, TrialState.RUNNING),)), spec=spec), NOW)
        state.apply(event)
        assert any(words in text for _, text in state.news), state.news


def test_without_events_snapshots_tell_of_beginnings_and_evaluations() -> None:
    going = record(0, TrialState.RUNNING, intermediate={1: 0.2})
    views = [
        view(Phase.PREPARING),
        view(trials=(record(0, TrialState.RUNNING),)),
        view(trials=(going,)),
        view(trials=(going,)),
        view(Phase.SUCCEEDED, (record(0, TrialState.COMPLETE, 0.4, intermediate={1: 0.2, 4: 0.4}),)),
    ]
    look = Look(lambda: views.pop(0), None)
    state = LiveState()
    Watcher(state, Console(file=io.StringIO())).show([look(last=True) for _ in range(len(views))])
    assert [text for _, text in state.news] == [
        "study Preparing data",
        "study Running",
        "512 trial 0 started",
        "512 trial 0 evaluation 1 of 4: score 0.200",
        "512 trial 0 complete: score 0.400",
        "study Succeeded",
    ]
    state = LiveState()
    state.sync(view(trials=(going,)), NOW)
    assert "evaluation 1/4" in shown(state)


def test_an_end_is_told_once_whether_the_bus_or_the_database_says_it() -> None:
    state = playing()
    state.apply({"ts": NOW.isoformat(), "section": "trial_end", **WHO, "outcome": "complete", "score": 0.5})
    state.sync(view(trials=(record(0, TrialState.COMPLETE, 0.5), record(1, TrialState.COMPLETE, 0.4))), NOW)
    told = [text for _, text in state.news if "complete" in text]
    assert told == ["512 trial 1 complete: score 0.400", "512 trial 0 complete: score 0.500"]
    assert "best 0.500 (trial 0)" in shown(state)


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_a_score_of_too_few_items_is_never_a_number(lang: Any) -> None:
    few = {"en": "no score (too few items)", "ko": "점수 없음(문항 부족)"}[lang]
    state = playing(lang)
    told = {"ts": NOW.isoformat(), **WHO, "score": 0.0, "not_given": ["coref_f1", "score"]}
    state.apply({**told, "section": "eval_stream", "evaluation": 1, "step": 50})
    assert "0.000" not in shown(state)
    state.apply({**told, "section": "trial_end", "outcome": "complete"})
    assert [text for _, text in state.news][-1].endswith(few)
    ended = record(1, TrialState.COMPLETE, 0.0, attrs={"evidence": {"not_given": ["score"]}})
    state = LiveState()
    state.sync(view(trials=(ended,)), NOW)
    assert shown(state).count(few) == 2  # of the length, and as the last of the news
    assert "0.000" not in shown(state)


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_a_quick_evaluation_of_too_few_items_shows_the_loss_and_is_no_ground_for_pruning_in_words(
    lang: Any,
) -> None:
    state = playing(lang)
    told = {"ts": NOW.isoformat(), **WHO}
    state.apply({**told, "section": "train_step", "step": 50, "steps": 100, "loss": 8.741})
    few = {"score": 0.08, "not_given": ["coref_f1", "score"]}
    state.apply({**told, "section": "eval_stream", "evaluation": 1, "step": 50, **few})
    assert [text for _, text in state.news][-1].endswith(
        {"en": "step 50: loss 8.74", "ko": "50스텝: 손실 8.74"}[lang]
    )
    state.apply({**told, "section": "trial_end", "state": "pruned"})
    end = [text for _, text in state.news][-1]
    assert end.endswith(
        {"en": "pruned: behind other trials at this point", "ko": "다른 트라이얼보다 뒤처짐"}[lang]
    )
    # the trial's own process hears of it later; it does not go on
    state.apply({**told, "section": "trial_end", "outcome": "closed", "step": 52})
    assert [text for _, text in state.news][-1] == end


def test_a_trial_that_is_scored_in_full_in_the_end_has_its_score_however_few_were_asked_before() -> None:
    state = playing("en")
    told = {"ts": NOW.isoformat(), **WHO}
    state.apply(
        {**told, "section": "eval_stream", "evaluation": 1, "step": 50, "score": 0.08, "not_given": ["score"]}
    )
    running = record(1, TrialState.RUNNING, attrs={"not_given": ["score"]})
    state.sync(view(trials=(running,)), NOW)
    state.apply({**told, "section": "trial_end", "outcome": "complete", "score": 0.5})
    assert [text for _, text in state.news][-1].endswith("complete: score 0.500")
    whole = record(1, TrialState.COMPLETE, 0.6, attrs={"not_given": ["score"], "evidence": {}})
    state.sync(view(trials=(whole,)), NOW)
    assert "best 0.600 (trial 1)" in shown(state)


def test_what_the_reader_was_told_before_the_start_is_not_told_again() -> None:
    told, new = (
        Message.of("corpus.filtered", removed=["x"]),
        Message.of("trial.batch-halved", step=5, batch_size=2, accumulation=4),
    )
    state = LiveState(known=frozenset([told.to_text()]))
    for message in (told, new):
        event = json.loads(
            json.dumps({"section": "warning", "ts": NOW.isoformat(), "study": "demo", **said(message)})
        )
        state.apply(event)
    assert [text for _, text in state.news] == [f"warning: {new}"]


def test_failures_say_why() -> None:
    state = playing()
    failed = record(2, TrialState.FAILED, attrs={"reason": "Crashed: exit code 1"})
    state.sync(view(Phase.FAILED, (failed,)), NOW)
    assert "512 trial 2 failed: Crashed: exit code 1" in shown(state)
    assert "study Failed" in shown(state)


def test_the_end_of_a_study_is_told_once() -> None:
    why = Message.of("controller.preparation-failed", why=Message.verbatim("the disk is full"))
    state = playing()
    end = {"ts": NOW.isoformat(), "section": "study_end", "study": "demo", "phase": "Failed", **said(why)}
    state.apply(end)
    state.sync(replace(view(Phase.FAILED), message=why), NOW)
    assert len([text for _, text in state.news if "the disk is full" in text]) == 1


def test_remaining_time_comes_from_finished_trials() -> None:
    # 3 left at 512 (one of them runs for longer than the complete one took), 4 at 1024 taken to cost twice as much, two at a time
    trials = (record(0, TrialState.RUNNING), record(1, TrialState.COMPLETE, 0.4))
    assert view(trials=trials).remaining(NOW) == timedelta(seconds=(120 + 480) / 2)
    assert view().remaining(NOW) is None


def test_a_bus_file_is_read_as_it_grows(tmp_path: Path) -> None:
    tail = BusTail(tmp_path / "bus.ndjson")
    assert tail.read() == []
    bus = Bus(tmp_path / "bus.ndjson")
    bus.emit(Section.TRIAL_BEGIN, **WHO)
    assert [event["section"] for event in tail.read()] == ["trial_begin"]
    with (tmp_path / "bus.ndjson").open("a") as file:
        file.write('damaged\n{"section": "half')
    assert tail.read() == []
    with (tmp_path / "bus.ndjson").open("a") as file:
        file.write(' a line"}\n')
    assert tail.read() == [{"section": "half a line"}]
    assert BusTail(None).read() == []


def test_a_pipe_gets_each_piece_of_news_as_one_plain_line() -> None:
    console = Console(file=io.StringIO(), width=40)
    events = [[{"ts": NOW.isoformat(), "section": "trial_begin", **WHO}], [], []]
    trials = [record(0, TrialState.RUNNING)]
    look = Look(lambda: view(trials=tuple(trials)), lambda: events.pop(0))

    def moments() -> Iterator[Moment]:
        yield look()
        yield look()
        trials[0] = record(0, TrialState.FAILED, attrs={"reason": "a long reason " * 5})
        yield look(last=True)

    Watcher(LiveState(study="demo"), console).show(moments())
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[0].endswith("512 trial 0 started")
    assert "\x1b" not in "".join(lines)


def test_a_terminal_that_cannot_move_its_cursor_gets_lines() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80, _environ={"TERM": "dumb"})
    ended = view(trials=(record(0, TrialState.COMPLETE, 0.4),))
    Watcher(LiveState(study="demo"), console).show([Moment(view=ended)])
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines()[0].endswith("512 trial 0 complete: score 0.400")


def test_a_finalist_that_is_not_needed_any_more_is_no_pruned_trial() -> None:
    state = LiveState(study="demo")
    why = Message.of("search.no-finalist-any-more")
    about = {"ts": NOW.isoformat(), **WHO, "kind": "finalist", "trial": 3}
    state.apply({"section": "trial_end", **about, "state": "pruned", **said(why)})
    ((_, told),) = state.news
    assert told == "512 finalists' run 3 is not needed any more: " + str(why)


def test_a_terminal_gets_the_view_redrawn() -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system=None)
    Watcher(LiveState(study="demo"), console).show([Moment(view=view())])
    assert isinstance(console.file, io.StringIO)
    assert "512 tokens" in console.file.getvalue()


def test_sparkline() -> None:
    assert sparkline([0, 0.5, 1]) == "▁▅█"
    assert sparkline([0.3]) == "▄"
    assert sparkline([]) == ""


@pytest.mark.parametrize(
    ("variables", "lang"),
    [({"LANG": "ko_KR.UTF-8"}, "ko"), ({"LANG": "ko_KR", "LC_ALL": "C"}, "en"), ({}, "en")],
)
def test_the_language_is_the_locales(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], lang: str
) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert locale_lang() == lang


def test_views_survive_json() -> None:
    one = view(trials=(record(0, TrialState.COMPLETE, 0.4),))
    assert StudyView.from_json(one.to_json()) == one
    assert json.loads(one.to_json())["name"] == "demo"


def test_a_run_of_a_finalist_is_no_trial_and_is_seen() -> None:
    state = playing("en")
    run = {"ts": NOW.isoformat(), **WHO, "kind": "finalist"}
    state.apply({**run, "section": "trial_begin", "step": 0, "steps": 80})
    state.apply({**run, "section": "train_step", "step": 20, "steps": 80, "loss": 1.5, "step_seconds": 0.5})
    text = shown(state)
    assert "512 finalists' run 0 started" in text
    assert "1 of 4 trials" in text
    (row,) = [line for line in text.splitlines() if "20/80" in line]
    assert row.split()[:2] == ["run", "0"]
    state.apply({**run, "section": "trial_end", "outcome": "complete", "score": 0.9})
    assert "512 finalists' run 0 complete: score 0.900" in shown(state)
    assert "best 0.400 (trial 1)" in shown(state)


def test_stored_words_are_told_in_the_readers_language() -> None:
    state = playing("ko")
    state.apply(
        {"ts": NOW.isoformat(), "section": "dataset_progress", "stage": "analyse", "done": 3, "total": 9}
    )
    smaller = Message.of("trial.batch-halved", step=5, batch_size=2, accumulation=4)
    state.apply({"ts": NOW.isoformat(), "section": "warning", **WHO, **said(smaller)})
    text = shown(state, 120)
    assert "데이터: 형태소 분석 3 / 9" in text
    assert "경고: 512 트라이얼 0: 5스텝에서 GPU 메모리가 부족합니다. 배치 2 × 누적 4로 계속합니다" in text
