"""What a live view knows of a study, gathered from bus events, from snapshots of the database, or from both.

No I/O and no clock here. Snapshots (`sync`) decide about states and scores; events add what happens in between:
steps, losses, speed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from coref_k8s.cli.speech import lang, said, say
from coref_k8s.client.changes import planned_evaluations
from coref_k8s.client.readable import score_told
from coref_k8s.controller.snapshot import Unit
from coref_k8s.controller.view import StudyView
from coref_k8s.report.claims import conclusions, sentences
from coref_k8s.search.records import TrialRecord, TrialState
from coref_k8s.store.records import TERMINAL, Phase
from coref_k8s.study.names import Kind
from coref_k8s.telemetry.bus import message_of
from coref_k8s.wording import Message, has

_OUTCOMES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAILED,
}


def stage_word(stage: str) -> str:
    """Return a stage of the preparation in words; one that is not known as it is."""
    code = f"live.stage-{stage}"
    return say(code) if has(code) else stage


@dataclass
class LiveTrial:
    """One trial as it is seen from outside."""

    number: int
    state: TrialState = TrialState.RUNNING
    step: int = 0
    steps: int | None = None
    loss: float | None = None
    tokens_per_second: float | None = None
    step_seconds: float | None = None
    scores: dict[int, float] = field(default_factory=dict)
    """Score by evaluation."""
    few: bool = False
    """Whether the score rests on too few items to be shown."""
    evaluations: int | None = None
    """Evaluations in the whole trial; all that is known of its way where there are no events."""
    value: float | None = None
    reason: str = ""
    waits: str = ""
    """What it waits for, in words, while it does not run."""
    finalist: bool = False
    """Whether it is the run of a finalist, which has a number of its own."""
    announced: bool = False
    """Whether its end has been told."""

    @property
    def told(self) -> Message:
        """The score as it is told."""
        return score_told(self.score, self.few)

    @property
    def score(self) -> float | None:
        """The result, or the last evaluation's score."""
        return (
            self.value if self.value is not None else (self.scores[max(self.scores)] if self.scores else None)
        )


@dataclass
class LiveLength:
    """One sequence length."""

    seq_len: int
    planned: int | None = None
    trials: dict[int, LiveTrial] = field(default_factory=dict)
    winner: int | None = None
    """Trial that the finalists have confirmed."""
    finals: list[str] = field(default_factory=list)
    """What is to be said of its finalists."""
    finalists: dict[int, LiveTrial] = field(default_factory=dict)
    """Runs of its finalists, by their own numbers."""

    def trial(self, number: int, finalist: bool = False) -> LiveTrial:
        """Return a trial, or a run of a finalist, new if need be."""
        known = self.finalists if finalist else self.trials
        return known.setdefault(number, LiveTrial(number, finalist=finalist))

    @property
    def done(self) -> int:
        """Trials with an outcome."""
        return sum(t.state not in (TrialState.RUNNING, TrialState.WAITING) for t in self.trials.values())

    @property
    def running(self) -> list[LiveTrial]:
        """Trials and runs of finalists under way, by number."""
        ordered = sorted(self.trials.items()) + sorted(self.finalists.items())
        return [trial for _, trial in ordered if trial.state is TrialState.RUNNING]

    @property
    def complete(self) -> list[LiveTrial]:
        """Trials with a result, by number."""
        ordered = (trial for _, trial in sorted(self.trials.items()))
        return [t for t in ordered if t.state is TrialState.COMPLETE and t.value is not None]

    @property
    def best(self) -> LiveTrial | None:
        """The winner of the finalists, or else the best complete trial."""
        if self.winner in self.trials:
            return self.trials[self.winner]
        return max(self.complete, key=lambda t: (t.value or 0.0, -t.number), default=None)


@dataclass
class LiveState:
    """A study while it runs. `study` None follows whatever the events speak of."""

    study: str | None = None
    uid: str | None = None
    """What tells it from others of its name, as soon as that is known."""
    since: datetime | None = None
    """Events that do not tell which study of its name they are of count from here on."""
    news_since: datetime | None = None
    """What happened before is shown as it stands, and told no more."""
    fixed: bool = False
    """Whether no other study is shown after this one, as when somebody has named it."""
    phase: Phase = Phase.PENDING
    interrupted: bool = False
    """Whether nobody works on it."""
    message: str = ""
    lengths: dict[int, LiveLength] = field(default_factory=dict)
    stage: str = ""
    """What the preparation does at the moment."""
    stage_share: float | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    remaining: timedelta | None = None
    gpu_seconds: float = 0.0
    """GPU time of ended attempts (seconds x GPUs)."""
    problem: str = ""
    """What keeps the study from going on right now."""
    held: str = ""
    """What its preparation or its verdict waits for, or else what keeps the whole study."""
    known: frozenset[str] = frozenset()
    """Warnings that the reader has been told already (`Message.to_text`)."""
    stopping: bool = False
    """Whether the user has asked to leave."""
    news: deque[tuple[datetime, str]] = field(default_factory=lambda: deque(maxlen=200))
    told: int = 0
    """News ever added; a reader of plain lines remembers how far it has read."""

    @property
    def ended(self) -> bool:
        """Whether nothing will happen any more."""
        return self.phase in TERMINAL

    def length(self, seq_len: int) -> LiveLength:
        """Return a length, new if need be."""
        return self.lengths.setdefault(seq_len, LiveLength(seq_len))

    def sync(self, view: StudyView, now: datetime) -> None:
        """Take over what the database says."""
        self.study, self.uid = view.name, view.uid
        before, earlier = self.phase, self.message
        self.phase, self.message = view.phase, said(view.message or view.preparing)
        self.interrupted = view.interrupted
        self.started_at, self.finished_at = view.started_at, view.finished_at
        self.remaining, self.gpu_seconds = view.remaining(now), view.gpu_seconds
        waits = {(w.kind, w.seq_len, w.trial): said(w.told) for w in view.held}
        others = [unit for unit in waits if unit[2] is None]
        held = [say("live.waits", who=said(Unit(*unit).named), why=waits[unit]) for unit in others]
        self._tell_held(held[0] if held else said(view.stuck), now)
        searches = view.spec.purpose.kind == "search"
        for one in view.lengths:
            length = self.length(one.seq_len)
            length.planned = one.planned
            for kind, record in [(Kind.TRIAL, t) for t in one.trials] + [
                (Kind.FINALIST, r) for r in one.runs
            ]:
                trial = length.trial(record.number, kind is Kind.FINALIST)
                trial.state, trial.value = record.state, record.value if not record.open else None
                trial.evaluations, trial.reason = planned_evaluations(view.spec), said(record.reason)
                self._tell_waiting(record, trial, waits.get((kind, one.seq_len, record.number), ""), now)
                trial.scores.update(record.intermediate)
                few = "score" in record.not_given
                trial.few = trial.few or few if record.open else few
                if record.state in _OUTCOMES.values():
                    self._tell_end(now, one.seq_len, trial)
            length.finals = conclusions(one, view.ended, lang()) if one.runs or not searches else []
            if one.verdict is not None and length.winner is None:
                for sentence in sentences(one.verdict, lang()):
                    self._tell(now, f"{say('words.of-tokens', length=one.seq_len)}: {sentence}")
            length.winner = one.verdict.winner if one.verdict else None
        if (view.phase is not before and view.phase in TERMINAL) or (
            not self.stopping and view.phase is before and self.message not in ("", earlier) and not view.held
        ):
            self._tell_phase(now, view.message or view.preparing)

    def tell_problem(self, now: datetime) -> None:
        """Make news of what keeps the study from going on, for whoever reads lines only."""
        self._tell(now, self.problem)

    def stop(self, now: datetime) -> None:
        """Note that the user has asked to leave."""
        self.stopping = True
        self._tell(now, say("live.stopping"))

    def apply(self, event: Mapping[str, Any]) -> None:
        """Take over an event of the bus; those of other studies and unknown ones change nothing."""
        section, study = event.get("section"), event.get("study")
        if study is not None:
            begins = section == "study_begin" and self.ended and not self.fixed
            if self.study is None or begins:
                self.study = study
            if study != self.study or not self._same(event):
                return
        try:
            when = datetime.fromisoformat(str(event["ts"]))
        except (KeyError, ValueError):
            return
        if event.get("study_uid") is None and self.since is not None and when < self.since:
            return  # said before this study, by a version that did not tell studies of one name apart
        handler = getattr(self, f"_on_{section}", None)
        if handler is not None:
            handler(when, event)

    def _same(self, event: Mapping[str, Any]) -> bool:
        """Whether an event is of the study that is shown; one of its name that begins takes its place."""
        uid = event.get("study_uid")
        if uid is None or uid == self.uid:
            return True
        if self.uid is not None:
            if event.get("section") != "study_begin":
                return False
            # nothing is left of the other one but what was told of it
            kept = ("study", "since", "news_since", "fixed", "known", "news", "told")
            vars(self).update(vars(LiveState()) | {name: getattr(self, name) for name in kept})
        self.uid = str(uid)
        return True

    def _on_study_begin(self, when: datetime, event: Mapping[str, Any]) -> None:
        self.started_at = self.started_at or when
        if self.ended or self.phase is Phase.PENDING:
            self.phase = Phase.RUNNING  # a bus alone does not say more; the database does
        for length in event.get("seq_lengths") or ():
            self.length(int(length)).planned = event.get("trials")

    def _on_study_phase(self, when: datetime, event: Mapping[str, Any]) -> None:
        phase = str(event.get("phase", "")).capitalize()
        if phase in set(Phase) and not self.ended:
            self.phase, message = Phase(phase), message_of(event)
            self.message = said(message)
            self._tell_phase(when, message)

    def _on_study_end(self, when: datetime, event: Mapping[str, Any]) -> None:
        self._on_study_phase(when, event)
        if self.ended:
            self.finished_at = self.finished_at or when

    def _on_dataset_progress(self, when: datetime, event: Mapping[str, Any]) -> None:
        stage = stage_word(str(event.get("stage", "")))
        done, total = event.get("done") or 0, event.get("total")
        if stage != self.stage or done == total:
            code = "live.data-of" if total else "live.data"
            self._tell(when, say(code, stage=stage, done=done, total=total))
        self.stage, self.stage_share = stage, done / total if total else None

    def _on_trial_begin(self, when: datetime, event: Mapping[str, Any]) -> None:
        trial = self._trial(event)
        if trial is None:
            return
        trial.step, trial.steps = int(event.get("step") or 0), event.get("steps")
        trial.announced = False
        trial.state = TrialState.RUNNING
        if self.phase is Phase.PENDING:
            self.phase = Phase.RUNNING  # the logs of pods lack the line of the study's beginning
        code = "live.resumed" if trial.step else "live.begin"
        self._tell(when, say(code, who=self._who(event), step=trial.step, steps=trial.steps))

    def _on_train_step(self, when: datetime, event: Mapping[str, Any]) -> None:
        trial = self._trial(event)
        if trial is None:
            return
        trial.step, trial.steps = int(event.get("step") or 0), event.get("steps", trial.steps)
        trial.loss, trial.tokens_per_second = event.get("loss"), event.get("tokens_per_second")
        trial.step_seconds = event.get("step_seconds")

    def _on_eval_stream(self, when: datetime, event: Mapping[str, Any]) -> None:
        trial, score = self._trial(event), event.get("score")
        if trial is None or score is None or event.get("split") == "test":
            return
        trial.scores[int(event.get("evaluation") or len(trial.scores) + 1)] = float(score)
        trial.evaluations = event.get("evaluations", trial.evaluations)
        trial.few = "score" in event.get("not_given", ())
        values = {"who": self._who(event), "score": trial.told}
        if step := event.get("step"):
            trial.step = max(trial.step, int(step))
            # a quick evaluation of few items steers the search; people see how the trial learns
            code = "live.eval-few" if trial.few and trial.loss is not None else "live.eval"
            self._tell(when, say(code, step=step, loss=trial.loss, **values))
        else:
            code = "live.evaluated" if trial.evaluations else "live.evaluated-another"
            values |= {"number": event.get("evaluation"), "planned": trial.evaluations}
            self._tell(when, say(code, **values))

    def _on_trial_end(self, when: datetime, event: Mapping[str, Any]) -> None:
        # trials say how they ended as their outcome, the controller as their state
        trial, outcome = self._trial(event), str(event.get("outcome") or event.get("state") or "")
        if trial is None:
            return
        if outcome in _OUTCOMES:
            trial.state = _OUTCOMES[outcome]
            trial.value = event.get("score", trial.score) if outcome == "complete" else None
            few = "score" in event.get("not_given", ())
            trial.few = few if "score" in event else trial.few or few
            trial.reason = said(message_of(event) or str(event.get("reason") or ""))
            self._tell_end(when, int(event["seq_len"]), trial)
        elif outcome and outcome != "closed":  # of a trial that was ended from outside the study has told why
            self._tell(when, say("live.interrupted", who=self._who(event)))

    def _on_warning(self, when: datetime, event: Mapping[str, Any]) -> None:
        if message_of(event).to_text() in self.known:
            return
        who = f"{self._who(event)}: " if event.get("trial") is not None else ""
        self._tell(when, say("words.warning", message=who + said(message_of(event))))

    def _trial(self, event: Mapping[str, Any]) -> LiveTrial | None:
        kind = event.get("kind", "trial")
        if kind not in ("trial", "finalist") or event.get("seq_len") is None or event.get("trial") is None:
            return None
        return self.length(int(event["seq_len"])).trial(int(event["trial"]), kind == "finalist")

    def _who(self, event: Mapping[str, Any]) -> str:
        return self._named(event.get("seq_len"), event.get("trial"), event.get("kind") == "finalist")

    def _named(self, seq_len: object, number: object, finalist: bool) -> str:
        return say("live.who-finalist" if finalist else "live.who", length=seq_len, trial=number)

    def _tell_phase(self, when: datetime, message: Message) -> None:
        code = "live.study-why" if message else "live.study"
        self._tell(when, say(code, phase=self.phase.words, why=said(message)))

    def _tell_waiting(self, record: TrialRecord, trial: LiveTrial, why: str, now: datetime) -> None:
        who = self._named(record.seq_len, record.number, trial.finalist)
        if why and not trial.waits:
            self._tell(now, say("live.waits", who=who, why=why))
        elif trial.waits and not why and record.open:
            self._tell(now, say("live.goes-on", who=who))
        trial.waits = why

    def _tell_held(self, held: str, now: datetime) -> None:
        """Say what keeps the preparation, the verdict or the whole study, and when it goes on."""
        if held != self.held and not self.ended:
            self._tell(now, held or say("live.study-goes-on"))
        self.held = held

    def _tell_end(self, when: datetime, seq_len: int, trial: LiveTrial) -> None:
        if trial.announced:
            return
        trial.announced = True
        who = self._named(seq_len, trial.number, trial.finalist)
        # a finalist's run that is not needed any more has no score that could be too low
        dropped = trial.state is TrialState.PRUNED and (trial.finalist or trial.reason)
        code = "live.end-dropped" if dropped else f"live.end-{trial.state.value}"
        if code == "live.end-pruned" and trial.few:
            code = "live.end-pruned-few"
        self._tell(when, say(code, who=who, score=trial.told, why=trial.reason or "?"))

    def _tell(self, when: datetime, text: str) -> None:
        if self.news_since is not None and when < self.news_since:
            return
        self.news.append((when, text))
        self.told += 1
