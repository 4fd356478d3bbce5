"""What is read row by row is what Optuna itself reads."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from coref_k8s.search.optuna_tables import OptunaTables
from coref_k8s.search.storage import open_storage


def facts(trial) -> dict:
    unordered = ("intermediate_values", "_user_attrs", "_system_attrs")
    return {key: sorted(value.items()) if key in unordered else value for key, value in vars(trial).items()}


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_every_kind_of_trial_reads_as_optuna_reads_it(new_database, kind: str) -> None:
    storage = open_storage(new_database(kind))
    study = optuna.create_study(storage=storage, study_name="a", direction="maximize")
    other = optuna.create_study(storage=storage, study_name="b", direction="maximize")
    space = {
        "lr": FloatDistribution(1e-6, 1e-3, log=True),
        "steps": IntDistribution(1, 9),
        "range": CategoricalDistribution(("clamp", "rescale", 3, None)),
    }
    for number in range(4):
        other.tell(other.ask(space), 0.1)
        trial = study.ask(space)
        trial.set_user_attr("metrics", {"coref_f1": 0.5, "짧은": [1, None]})
        for step, value in ((2, math.inf), (1, -math.inf), (3, math.nan), (4, 0.1 + number)):
            trial.report(value, step)
        if number == 0:
            study.tell(trial, 0.25)
        elif number == 1:
            study.tell(trial, state=TrialState.PRUNED)
        elif number == 2:
            study.tell(trial, state=TrialState.FAIL)
    study.enqueue_trial({"lr": 1e-4})
    study.add_trial(create_trial(state=TrialState.COMPLETE, value=math.inf, params={}, distributions={}))

    rows = OptunaTables(storage, study._study_id)
    expected = storage.get_all_trials(study._study_id)
    assert [repr(facts(t)) for t in rows.all()] == [repr(facts(t)) for t in expected]
    ids = [t._trial_id for t in expected]
    assert [repr(facts(t)) for t in rows.some(ids[1:3])] == [repr(facts(t)) for t in expected[1:3]]
    assert [t.number for t in rows.all(after=ids[3])] == [4, 5]
    assert [t.number for t in rows.some([*ids, 10**6])] == [0, 1, 2, 3, 4, 5]
    assert rows.some([]) == []
    assert rows.unfinished() == {ids[3]: TrialState.RUNNING, ids[4]: TrialState.WAITING}
    reports = {(trial_id, step): value for trial_id, step, value in rows.reports()}
    assert {trial_id for trial_id, _ in reports} == {ids[3]}
    assert [str(reports[ids[3], step]) for step in (1, 2, 3, 4)] == ["-inf", "inf", "nan", "3.1"]
    begun = rows.all()[0].datetime_start.astimezone(UTC)
    assert abs(datetime.now(UTC) - begun) < timedelta(minutes=5)


def test_many_ids_are_read_in_pieces(new_database) -> None:
    storage = open_storage(new_database("sqlite"))
    study = optuna.create_study(storage=storage, direction="maximize")
    for _ in range(7):
        study.ask()
    rows = OptunaTables(storage, study._study_id)
    ids = [t._trial_id for t in rows.all()]
    padding = range(10**6, 10**6 + 1200)
    assert [t._trial_id for t in rows.some([*padding, *ids])] == ids
