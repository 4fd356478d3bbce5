"""Asking, telling, resuming and carrying over, through the real storage."""

from pathlib import Path

import optuna
import pytest
from optuna.storages import InMemoryStorage, RDBStorage
from optuna.trial import TrialState as OptunaState
from sqlalchemy import event, inspect, text

from coref_k8s.errors import StorageError
from coref_k8s.search.carrying import warm_start
from coref_k8s.search.records import TrialState, ranked
from coref_k8s.search.reporting import TrialReporter
from coref_k8s.search.space import distributions, space_for
from coref_k8s.search.storage import open_storage
from coref_k8s.search.studies import LengthStudy
from coref_k8s.search.trials import delete_trials, read_trials
from coref_k8s.study.parameters import needed
from coref_k8s.study.reading import build_spec
from coref_k8s.wording import Message

SPEC = build_spec(seq_lengths=[512, 1024], search={"startup_trials": 2})


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/new/folder/coref.db"


def run_trials(url: str, count: int, *, spec=SPEC, seq_len: int = 512) -> list[dict]:
    """Run trials whose score is best at a high learning rate; return what was asked."""
    study = LengthStudy(open_storage(url), spec, "demo", seq_len)
    asked = []
    for _ in range(count):
        record = study.ask()
        asked.append(record.params)
        TrialReporter(url, record.trial_id).result(record.params["learning_rate"] * 1000, {"coref_f1": 0.5})
    return asked


@pytest.mark.parametrize("sampler", ["tpe", "random", "gp"])
def test_an_interrupted_study_draws_what_an_uninterrupted_one_draws(tmp_path: Path, sampler: str) -> None:
    spec = build_spec(seq_lengths=[512], seed=7, search={"sampler": sampler, "startup_trials": 2})
    whole = run_trials(f"sqlite:///{tmp_path}/whole.db", 5, spec=spec)
    halves = f"sqlite:///{tmp_path}/halves.db"
    assert run_trials(halves, 3, spec=spec) + run_trials(halves, 2, spec=spec) == whole
    assert len({str(params) for params in whole}) == 5


def test_reports_and_results_are_read_back(url: str) -> None:
    study = LengthStudy(open_storage(url), SPEC, "demo", 512)
    record = study.ask()
    reporter = TrialReporter(url, record.trial_id)
    reporter.report(1, 0.2, {"coref_f1": 0.2})
    reporter.note(peak_gpu_bytes=5)
    assert study.trials()[0].intermediate == {1: 0.2}
    reporter.result(0.4, {"coref_f1": 0.4})
    (read,) = read_trials(open_storage(url), "demo", 512)
    assert (read.state, read.value, read.metrics) == (TrialState.COMPLETE, 0.4, {"coref_f1": 0.4})
    assert read.attrs == {"peak_gpu_bytes": 5}
    assert read.finished_at is not None


def test_the_first_outcome_stands(url: str) -> None:
    study = LengthStudy(open_storage(url), SPEC, "demo", 512)
    record = study.ask()
    study.fail(record.number, Message.verbatim("out of memory"))
    study.fail(record.number, Message.verbatim("something else"))
    study.prune(record.number)
    reporter = TrialReporter(url, record.trial_id)
    assert reporter.is_closed()
    reporter.result(0.9, {})
    (read,) = study.trials()
    assert (read.state, read.attrs["reason"]) == (TrialState.FAILED, "out of memory")


def test_a_hopeless_trial_is_pruned_but_not_during_warm_up(url: str) -> None:
    spec = build_spec(
        seq_lengths=[512],
        training={"evaluations": 4},
        search={"pruner": "median", "space": {"warmup_ratio": {"choices": [0.5]}}},
    )
    study = LengthStudy(open_storage(url), spec, "demo", 512)
    for _ in range(5):
        reporter = TrialReporter(url, study.ask().trial_id)
        for step in (1, 2, 3, 4):
            reporter.report(step, 0.8, {})
        reporter.result(0.8, {})
    bad = TrialReporter(url, study.ask().trial_id)
    bad.report(2, 0.1, {})
    assert not study.should_prune(study.trials()[-1])
    bad.report(3, 0.1, {})
    assert study.should_prune(study.trials()[-1])
    study.prune(5)
    assert study.trials()[-1].state is TrialState.PRUNED
    assert study.trials()[-1].value == 0.1


def test_longer_lengths_start_from_the_best_of_shorter_ones(url: str) -> None:
    run_trials(url, 6)
    records = read_trials(open_storage(url), "demo", 512)
    carried = warm_start(records, SPEC, 1024)
    space = space_for(SPEC, 1024)
    assert len(carried) == 3
    for params in carried:
        rate = params["learning_rate"]
        assert space["learning_rate"].low <= rate <= space["learning_rate"].high
    # the best learning rate at 512 keeps its relative place, so the order of the rates stays
    assert [p["learning_rate"] for p in carried] == sorted(
        (p["learning_rate"] for p in carried), reverse=True
    )
    longer = LengthStudy(open_storage(url), SPEC, "demo", 1024)
    longer.enqueue(carried[0])
    asked = longer.ask(refresh=False).params
    assert {k: asked[k] for k in carried[0]} == carried[0]
    assert asked["position_range"] in ("clamp", "rescale", "grow")
    assert ranked(records)[0].value == max(r.value for r in records)


def test_a_deleted_length_is_gone(url: str) -> None:
    run_trials(url, 1)
    storage = open_storage(url)
    delete_trials(storage, "demo")
    delete_trials(storage, "demo")
    assert read_trials(storage, "demo", 512) == []


def test_a_long_study_is_deleted_in_as_many_statements_as_a_short_one(url: str) -> None:
    storage, statements = open_storage(url), []
    event.listen(storage.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))

    def deleting(trials: int) -> int:
        run_trials(url, trials)
        before = len(statements)
        delete_trials(storage, "demo")
        return len(statements) - before

    assert deleting(6) == deleting(2)
    with storage.engine.connect() as connection:
        tables = [name for name in inspect(storage.engine).get_table_names() if name.startswith("trial")]
        counts = {name: connection.scalar(text(f"SELECT count(*) FROM {name}")) for name in tables}
    assert {"trials", "trial_params", "trial_values"} <= counts.keys()
    assert set(counts.values()) == {0}


def test_reports_wait_while_the_database_is_away(tmp_path: Path, url: str) -> None:
    record = LengthStudy(open_storage(url), SPEC, "demo", 512).ask()
    folder = tmp_path / "new"
    away = tmp_path / "away"
    folder.rename(away)
    folder.write_text("in the way")
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            folder.unlink()
            away.rename(folder)

    reporter = TrialReporter(url, record.trial_id, sleep=sleep)
    reporter.report(1, 0.1, {})
    assert not reporter.is_closed()
    reporter.result(0.3, {"coref_f1": 0.3})
    assert waits == [1.0, 2.0, 4.0]
    (read,) = read_trials(open_storage(url), "demo", 512)
    assert (read.intermediate, read.value) == ({1: 0.1}, 0.3)


def test_a_database_that_cannot_be_opened_is_one_sentence_without_its_password() -> None:
    with pytest.raises(StorageError) as caught:
        open_storage("postgresql+psycopg2://coref:geheim@127.0.0.1:9/coref")
    assert "geheim" not in str(caught.value)
    assert "cannot be opened" in str(caught.value)
    with pytest.raises(StorageError, match="only sqlite and postgresql"):
        open_storage("mysql://coref:geheim@127.0.0.1/coref")


@pytest.mark.parametrize(
    ("seq_len", "rate", "accumulation"),
    [
        (512, (1e-5, 5e-4), (1, 2)),
        (1024, (5e-6, 2e-4), (1, 2, 4)),
        (1536, (1e-6, 1e-4), (2, 4, 8)),
        (2048, (1e-6, 1e-4), (2, 4, 8)),
    ],
)
def test_the_founding_ranges(seq_len: int, rate: tuple, accumulation: tuple) -> None:
    space = space_for(build_spec(seq_lengths=[seq_len]), seq_len)
    assert (space["learning_rate"].low, space["learning_rate"].high, space["learning_rate"].log) == (
        *rate,
        True,
    )
    assert space["accumulation"].choices == accumulation
    assert ("position_range" in space) == (seq_len > 512)


def test_every_range_can_be_overridden() -> None:
    spec = build_spec(
        seq_lengths=[512, 1024],
        training={"max_steps": 10},
        data={"choices": ["a", "b"]},
        search={
            "space": {"weight_decay": {"choices": [0.0]}},
            "space_by_length": {1024: {"weight_decay": {"low": 0.1, "high": 0.2}}},
        },
    )
    assert space_for(spec, 512)["weight_decay"].choices == (0.0,)
    assert space_for(spec, 1024)["weight_decay"].high == 0.2
    assert space_for(spec, 512)["dataset"].choices == ("a", "b")
    assert "epochs" not in space_for(spec, 512)


@pytest.mark.parametrize("written", [0, 3, 99])
def test_an_enqueued_trial_begins_whole_or_not_at_all(url: str, monkeypatch, written: int) -> None:
    run_trials(url, 3)
    study = LengthStudy(open_storage(url), SPEC, "demo", 512)
    study.enqueue({"weight_decay": 0.03})
    kill_after(monkeypatch, written)
    with pytest.raises(KeyboardInterrupt):
        study.ask()
    monkeypatch.undo()
    (left,) = read_trials(open_storage(url), "demo", 512)[3:]
    assert left.state is TrialState.WAITING
    assert len(left.params) == min(written, len(space_for(SPEC, 512)))
    for trials in (study, LengthStudy(open_storage(url), SPEC, "demo", 512)):
        assert trials.trials()[-1] == left
    asked = trials.ask()
    assert (asked.number, asked.params["weight_decay"]) == (3, 0.03)
    assert asked.params.keys() == space_for(SPEC, 512).keys()
    assert left.params.items() <= asked.params.items()
    assert read_trials(open_storage(url), "demo", 512)[3] == asked
    assert study.trials()[-1] == asked


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_trials_that_were_asked_for_in_part_are_closed_and_never_the_best(new_database, kind: str) -> None:
    """As 0.1 left them when the database was full: some of their parameters, and a life of their own."""
    url = new_database(kind)
    asked = run_trials(url, 3)
    stored = optuna.load_study(study_name="demo/512", storage=open_storage(url))
    ids = []
    for ending in (OptunaState.COMPLETE, OptunaState.PRUNED, None):
        half = stored.ask(dict(sorted(distributions(space_for(SPEC, 512)).items())[4:]))
        half.report(0.9, 1)
        if ending is not None:
            stored.tell(half, 0.99 if ending is OptunaState.COMPLETE else None, state=ending)
        ids.append(half._trial_id)
    study = LengthStudy(open_storage(url), SPEC, "demo", 512)
    for _ in range(2):
        trials = study.trials()
        assert [t.state for t in trials] == [TrialState.COMPLETE] * 3 + [TrialState.FAILED] * 3
        assert "asked for only in part: accumulation, " in str(trials[3].reason)
        assert ranked(trials)[0].params in asked
    assert open_storage(url).get_trial(ids[2]).state is OptunaState.FAIL, "its pod sees it, too"
    assert study.ask().number == 6
    # whoever reads without a controller, after the end of the study
    whole = read_trials(open_storage(url), "demo", 512, needed=needed(SPEC, 512))
    assert [t.state for t in whole][:6] == [t.state for t in trials]
    assert all(t.value is None for t in whole[3:6] if not t.intermediate)


def kill_after(monkeypatch, count: int) -> None:
    """Die after the first `count` parameters were written, at the latest when the trial is to begin."""
    real, calls = RDBStorage.set_trial_param, []

    def killed(self, *arguments):
        calls.append(arguments)
        if len(calls) > count:
            raise KeyboardInterrupt
        return real(self, *arguments)

    def begun(self, *_):
        raise KeyboardInterrupt

    monkeypatch.setattr(RDBStorage, "set_trial_param", killed)
    monkeypatch.setattr(RDBStorage, "set_trial_state_values", begun)


def test_a_new_trial_is_there_whole_or_not_at_all(url: str, monkeypatch) -> None:
    run_trials(url, 3)
    study = LengthStudy(open_storage(url), SPEC, "demo", 512)
    real, calls = InMemoryStorage.set_trial_param, []

    def killed(self, *arguments):
        calls.append(arguments)
        if len(calls) > 5:
            raise KeyboardInterrupt
        return real(self, *arguments)

    monkeypatch.setattr(InMemoryStorage, "set_trial_param", killed)
    with pytest.raises(KeyboardInterrupt):
        study.ask()
    monkeypatch.undo()
    assert len(read_trials(open_storage(url), "demo", 512)) == 3
    asked = study.ask()
    assert asked.number == 3
    assert read_trials(open_storage(url), "demo", 512)[3].params == asked.params
    assert asked.params.keys() == space_for(SPEC, 512).keys()


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_warm_study_sees_what_happens_elsewhere(new_database, kind: str) -> None:
    url = new_database(kind)
    warm = LengthStudy(open_storage(url), SPEC, "demo", 512)
    first, second, third = (warm.ask() for _ in range(3))
    pod = TrialReporter(url, first.trial_id)
    pod.report(1, 0.25, {"coref_f1": 0.3})
    pod.report(2, float("inf"), {})
    assert warm.trials()[0].intermediate == {1: 0.25, 2: float("inf")}
    pod.report(3, 0.5, {})
    pod.result(0.5, {"coref_f1": 0.6})
    TrialReporter(url, second.trial_id).pruned(Message.verbatim("diverged"))
    elsewhere = LengthStudy(open_storage(url), SPEC, "demo", 512)
    elsewhere.fail(third.number, Message.verbatim("told elsewhere"))
    elsewhere.enqueue({"weight_decay": 0.02})
    elsewhere.enqueue({"weight_decay": 0.02})
    seen = warm.trials()
    assert [t.state for t in seen] == [
        TrialState.COMPLETE,
        TrialState.PRUNED,
        TrialState.FAILED,
        TrialState.WAITING,
    ]
    assert seen == read_trials(open_storage(url), "demo", 512)
    assert (seen[0].value, seen[0].metrics) == (0.5, {"coref_f1": 0.6})
    assert seen[2].attrs == {"reason": "told elsewhere"}
    assert warm.ask().params["weight_decay"] == 0.02
    # what sampler and pruner see is what is in the database
    inner = warm._memory.study.get_trials(deepcopy=False)
    outer = open_storage(url).get_all_trials(warm._memory.study_id)
    for a, b in zip(inner, outer, strict=True):
        assert (a.number, a.state, a.values, a.params, a.distributions, a.intermediate_values) == (
            b.number, b.state, b.values, b.params, b.distributions, b.intermediate_values,
        )  # fmt: skip
    delete_trials(open_storage(url), "demo")
    with pytest.raises(StorageError, match="were deleted while it runs"):
        warm.trials()


def test_a_plain_optuna_study_and_so_the_dashboard_reads_our_trials(url: str) -> None:
    asked = run_trials(url, 3)
    study = LengthStudy(open_storage(url), SPEC, "demo", 512)
    study.enqueue({"weight_decay": 0.03})
    study.fail(study.ask().number, Message.of("search.no-finalist-any-more"))
    plain = optuna.load_study(study_name="demo/512", storage=url)
    assert plain.best_value == ranked(study.trials())[0].value
    assert [trial.params for trial in plain.trials[:3]] == asked
    assert (plain.trials[3].state, plain.trials[3].params["weight_decay"]) == (
        optuna.trial.TrialState.FAIL,
        0.03,
    )
    assert plain.trials_dataframe().shape[0] == 4
