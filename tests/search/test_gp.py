"""The Gaussian process and the sampler on it, held to their formulas."""

from __future__ import annotations

import itertools
import math

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState, create_trial

from coref_k8s.search.cube import Cube
from coref_k8s.search.gaussian import _gradient, fit
from coref_k8s.search.gp import EDGES, MOST, GPSampler, Trial, expected_improvement, observed
from coref_k8s.search.prior import PriorTrial
from coref_k8s.search.records import TrialRecord
from coref_k8s.search.records import TrialState as State
from coref_k8s.search.space import default_params, distributions, space_for
from coref_k8s.study.reading import build_spec
from tests.timing import cpu, least

SPEC = build_spec(seq_lengths=[1024])
SPACE = distributions(space_for(SPEC, 1024))


def matern(a: np.ndarray, b: np.ndarray, scales: np.ndarray) -> float:
    r = math.sqrt(5 * sum(((x - y) / s) ** 2 for x, y, s in zip(a, b, scales, strict=True)))
    return (1 + r + r * r / 3) * math.exp(-r)


def test_the_process_is_the_textbooks() -> None:
    """Rasmussen and Williams, equations 2.23 and 2.24, written out with an inverse."""
    draw = np.random.default_rng(0)
    x, y, extra = draw.random((12, 3)), draw.standard_normal(12), draw.random(12) * 0.1
    process = fit(x, y, extra)
    at = draw.random((4, 3))
    kernel = process.amplitude * np.array([[matern(a, b, process.scales) for b in x] for a in x])
    across = process.amplitude * np.array([[matern(a, b, process.scales) for b in x] for a in at])
    inverse = np.linalg.inv(kernel + np.diag(process.noise + extra))
    mean, deviation = process.predict(at)
    np.testing.assert_allclose(mean, across @ inverse @ y, rtol=1e-5, atol=1e-7)
    variance = process.amplitude - np.diag(across @ inverse @ across.T)
    np.testing.assert_allclose(deviation**2, variance, rtol=1e-5)


def test_hyperparameters_climb_the_likelihood() -> None:
    """The gradient is that of the log marginal likelihood (equation 2.30), by central differences."""
    draw = np.random.default_rng(1)
    x, y, extra = draw.random((9, 2)), draw.standard_normal(9), draw.random(9) * 0.1
    pairs = np.triu_indices(9, 1)
    squares = (x[pairs[0]] - x[pairs[1]]) ** 2
    worse = 3 * draw.standard_normal(9)

    def likelihood(theta: np.ndarray) -> float:
        kernel = math.exp(theta[2]) * np.array([[matern(a, b, np.exp(theta[:2])) for b in x] for a in x])
        covariance = kernel + np.diag(math.exp(theta[3]) + extra)
        _, log = np.linalg.slogdet(covariance)
        return float(-0.5 * y @ np.linalg.solve(covariance, y) - 0.5 * log)

    theta = np.log([0.5, 1.5, 0.8, 0.2])
    best, gradient = _gradient(theta, pairs, squares, np.array([worse, y]), extra)
    assert best == 1
    for i, slope in enumerate(gradient):
        step = 1e-5 * np.eye(4)[i]
        assert slope == pytest.approx((likelihood(theta + step) - likelihood(theta - step)) / 2e-5, rel=1e-4)


def test_it_finds_out_which_input_matters() -> None:
    draw = np.random.default_rng(2)
    x = draw.random((60, 3))
    y = np.sin(6 * x[:, 1])
    process = fit(x, (y - y.mean()) / y.std(), np.zeros(60))
    assert process.scales.argmin() == 1
    mean, _ = process.predict(x)
    assert np.corrcoef(mean, y)[0, 1] > 0.99


def test_expected_improvement_is_the_mean_of_what_draws_would_gain() -> None:
    draw = np.random.default_rng(3)
    mean, deviation = np.array([0.0, 0.5, -1.0]), np.array([1.0, 0.1, 0.5])
    drawn = np.maximum(mean + deviation * draw.standard_normal((400_000, 3)) - 0.4, 0).mean(axis=0)
    np.testing.assert_allclose(expected_improvement(mean, deviation, 0.4), drawn, atol=2e-3)


@given(st.integers(0, 2**32 - 1))
def test_every_place_has_its_parameters_and_the_way_back(seed: int) -> None:
    cube = Cube(SPACE)
    places = cube.random(np.random.default_rng(seed), 3)
    near = cube.near(np.random.default_rng(seed), places, 4, 0.3)
    for place in [*places, *near]:
        params = cube.params(place)
        for name, distribution in SPACE.items():
            assert distribution._contains(distribution.to_internal_repr(params[name]))
        np.testing.assert_allclose(cube.place(params), place, atol=1e-9)


def test_the_defaults_lie_in_the_middle() -> None:
    cube = Cube(SPACE)
    place = cube.place(default_params(SPEC, 1024))
    np.testing.assert_allclose(place[cube.numbers], 0.5)


def test_a_stopped_trial_counts_with_what_it_was_heading_for() -> None:
    at = np.zeros(1)
    trials = [
        Trial(at, {1: 0.2, 2: 0.4}, 0.5),
        Trial(at, {1: 0.3, 2: 0.4}, 0.4),
        Trial(at, {1: 0.25}, None),
        Trial(at, {}, None),
    ]
    seen = observed(trials)
    assert seen is not None
    # heading for 0.25 + (0.3 + 0.1) / 2 = 0.45; without a report, as bad as the worst
    scores = np.array([0.5, 0.4, 0.45, 0.4])
    np.testing.assert_allclose(seen.values, (scores - scores.mean()) / scores.std())
    np.testing.assert_allclose(seen.extra, np.array([0, 0, 0.01, 0]) / scores.var(), atol=1e-12)
    assert observed(trials[2:]) is None


def test_a_diverged_trial_does_not_flatten_the_others() -> None:
    at = np.zeros(1)
    seen = observed([Trial(at, {}, value) for value in (0.5, 0.48, 0.52, 0.5, 0.0)])
    assert seen is not None
    assert seen.values.min() == pytest.approx(
        seen.values[1] - (seen.values[2] - seen.values[1]) / 2, abs=1e-9
    )


def study_of(trials: list[tuple[dict[str, object], float | None]]) -> optuna.Study:
    study = optuna.create_study(direction="maximize")
    for params, value in trials:
        state = TrialState.COMPLETE if value is not None else TrialState.RUNNING
        study.add_trial(create_trial(params=params, distributions=SPACE, value=value, state=state))
    return study


def test_it_goes_where_scores_are_high_and_not_where_another_trial_already_is() -> None:
    cube, draw = Cube(SPACE), np.random.default_rng(4)
    places = cube.random(draw, 40)
    column = cube.place({**default_params(SPEC, 1024), "learning_rate": 5e-6}).argmin()
    known = [(cube.params(p), 0.5 - (p[column] - 0.7) ** 2) for p in places]
    study = study_of(known)
    study.sampler = GPSampler(SPACE, 1024, seed=0, startup=5)
    first = study.ask(SPACE).params
    assert abs(cube.place(first)[column] - 0.7) < 0.2
    # the first one runs now; the next is another place
    study.sampler = GPSampler(SPACE, 1024, seed=0, startup=5)
    assert study.ask(SPACE).params != first


@pytest.mark.parametrize("reports", [{}, {1: 0.6}])
def test_what_runs_is_believed_to_end_as_expected(reports: dict[int, float]) -> None:
    """Noise would leave something to learn there, and the next trials would crowd around it."""
    cube, draw = Cube(SPACE), np.random.default_rng(15)
    known = [(cube.params(p), 0.5 + 0.1 * draw.standard_normal()) for p in cube.random(draw, 30)]
    study, sampler = study_of(known), GPSampler(SPACE, 1024, seed=0, startup=5)
    study.sampler = sampler
    trial = study.ask(SPACE)
    for step, value in reports.items():
        trial.report(value, step)
    *before, running = study.trials
    at = np.append(cube.place(running.params), 0.0)[None]
    alone = sampler._model(before)
    assert alone is not None
    assert alone.process.predict(at)[1] > 0.2
    model = sampler._model(study.trials)
    assert model is not None
    assert model.process.predict(at)[1] < 0.02
    believed = alone.process.believing(at)
    np.testing.assert_allclose(believed.predict(at)[0], alone.process.predict(at)[0], atol=1e-6)


def test_equal_promise_is_bought_where_it_is_cheap() -> None:
    """Epochs that change nothing are not paid for."""
    cube = Cube(SPACE)
    known = [
        (cube.params(p), 0.5 - float((p[:3] - 0.5) @ (p[:3] - 0.5)))
        for p in cube.random(np.random.default_rng(5), 40)
    ]
    study = study_of(known)
    asked = []
    for seed in range(6):
        study.sampler = GPSampler(SPACE, 1024, seed=seed, startup=5)
        asked.append(study.ask(SPACE).params["epochs"])
    assert sum(asked) / len(asked) < 1.7


def test_it_begins_at_random_and_repeats_itself() -> None:
    study = study_of([(default_params(SPEC, 1024), 0.4)])
    drawn = []
    for _ in range(2):
        study.sampler = GPSampler(SPACE, 1024, seed=7, startup=5)
        drawn.append(study.ask(SPACE).params)
        study.tell(study.trials[-1].number, state=TrialState.FAIL)
    assert drawn[0] == drawn[1]


def test_where_the_best_place_is_known_little_is_expected_and_in_units_of_the_score() -> None:
    cube, draw = Cube(SPACE), np.random.default_rng(6)
    anywhere = cube.random(draw, 40)
    best = anywhere[:1].copy()
    best[:, :3] = 0.5

    def gain(places: np.ndarray, scale: float) -> float:
        known = [(cube.params(p), scale * (0.5 - float((p[:3] - 0.5) @ (p[:3] - 0.5)))) for p in places]
        found = GPSampler(SPACE, 1024, seed=0, startup=5).expected_gain(study_of(known))
        assert found is not None
        return found

    known = np.vstack([anywhere, cube.near(draw, best, 40, 0.02)])
    assert gain(known, 1.0) < 0.5 * gain(anywhere, 1.0)
    assert gain(anywhere, 2.0) == pytest.approx(2 * gain(anywhere, 1.0), rel=1e-6)
    assert GPSampler(SPACE, 1024, seed=0, startup=5).expected_gain(study_of([])) is None


def test_of_too_many_trials_the_best_and_the_latest_are_kept() -> None:
    scores = [0.1, 0.9, 0.2, 0.8, 0.3, 0.4, 0.5]
    seen = observed([Trial(np.array([float(n)]), {}, score) for n, score in enumerate(scores)])
    assert seen is not None
    assert seen.fewer(4).inputs[:, 0].tolist() == [1.0, 3.0, 5.0, 6.0]
    assert seen.fewer(7) is seen


def test_a_choice_that_is_offered_no_more_is_no_nearer_to_one_than_to_another() -> None:
    cube = Cube(SPACE)
    place = cube.place({"position_range": "of old"})
    distances = [
        np.linalg.norm(place - cube.place({"position_range": c})) for c in ("clamp", "rescale", "grow")
    ]
    assert distances == pytest.approx([distances[0]] * 3)


def test_another_studys_trials_give_way_to_own_ones_that_say_otherwise() -> None:
    """Of the same length, good at the other end of a range: own trials alone decide, and without them the other study."""
    cube, draw = Cube(SPACE), np.random.default_rng(8)
    column = cube.place({**default_params(SPEC, 1024), "learning_rate": 5e-6}).argmin()

    def score(place: np.ndarray, best: float) -> float:
        return 0.5 - 0.5 * abs(float(place[column]) - best)

    prior = [
        PriorTrial(cube.params(p), TrialRecord(1024, n, n, State.COMPLETE, {}, score(p, 0.1)), elsewhere=True)
        for n, p in enumerate(cube.random(draw, 40))
    ]

    def rate(own: int) -> float:
        known = [(cube.params(p), score(p, 0.9)) for p in cube.random(np.random.default_rng(9), own)]
        asked = []
        for seed in range(4):
            study = study_of(known)
            study.sampler = GPSampler(SPACE, 1024, prior, seed=seed, startup=5)
            asked.append(cube.place(study.ask(SPACE).params)[column])
        return float(np.mean(asked))

    assert rate(own=0) < 0.35
    assert rate(own=20) > 0.65


def test_of_a_large_prior_only_so_much_is_fitted_and_every_own_trial() -> None:
    cube, draw = Cube(SPACE), np.random.default_rng(10)
    prior = [
        PriorTrial(cube.params(p), TrialRecord(512, n, n, State.COMPLETE, {}, 0.9 - n / 1000))
        for n, p in enumerate(cube.random(draw, 300))
    ]
    study = study_of([(cube.params(p), 0.1) for p in cube.random(draw, 20)])
    model = GPSampler(SPACE, 1024, prior, seed=0, startup=5)._model(study.trials)
    assert model is not None
    octaves = model.process.inputs[:, -1]
    assert (len(octaves), int((octaves == 0).sum())) == (MOST, 20)


@pytest.mark.parametrize(("power", "edge"), [(2, max(EDGES)), (1, 0.0)])
def test_whether_the_middle_is_better_is_read_from_the_trials(power: int, edge: float) -> None:
    """Scores that fall off on both sides of the middle, and scores that rise from one end of each range to the other."""
    cube = Cube(SPACE)
    columns = np.flatnonzero(cube.numbers)
    known = [
        (cube.params(p), 1.0 - float(((p[columns] - 0.5) ** power).sum()))
        for p in cube.random(np.random.default_rng(11), 40)
    ]
    model = GPSampler(SPACE, 1024, seed=0, startup=5)._model(study_of(known).trials)
    assert model is not None
    assert model.edge == edge


def test_values_that_are_not_finite_are_as_if_never_reported() -> None:
    cube = Cube(SPACE)
    places = cube.random(np.random.default_rng(12), 24)
    known = [(cube.params(p), 0.5 - float((p[0] - 0.3) ** 2)) for p in places[:20]]

    def asked(*more: optuna.trial.FrozenTrial) -> dict[str, object]:
        study = study_of(known)
        study.add_trials(more)
        study.sampler = GPSampler(SPACE, 1024, prior, seed=0, startup=5)
        return study.ask(SPACE).params

    def trial(at: int, reports: dict[int, float], value: float | None = None) -> optuna.trial.FrozenTrial:
        state = TrialState.COMPLETE if value is not None else TrialState.PRUNED
        params = cube.params(places[at])
        return create_trial(
            params=params, distributions=SPACE, value=value, state=state, intermediate_values=reports
        )

    prior: list[PriorTrial] = []
    plain = asked(trial(20, {1: 0.1}))
    assert asked(trial(20, {1: 0.1, 2: math.nan}), trial(21, {}, math.inf), trial(22, {}, -math.inf)) == plain
    assert asked(trial(20, {1: 0.1, 2: math.inf})) == plain
    # another length's neither
    record = TrialRecord(512, 0, 0, State.COMPLETE, {}, 0.4)
    prior = [PriorTrial(cube.params(places[23]), record)]
    plain = asked(trial(20, {1: 0.1}))
    broken = TrialRecord(512, 1, 1, State.COMPLETE, {}, math.inf, {1: math.nan})
    prior.append(PriorTrial(cube.params(places[22]), broken))
    first = asked(trial(20, {1: 0.1}))
    assert all(SPACE[name]._contains(SPACE[name].to_internal_repr(value)) for name, value in first.items())
    assert GPSampler(SPACE, 1024, prior, seed=0, startup=5)._model(study_of(known).trials) is not None


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_a_place_is_asked_again_only_when_there_is_no_other(noise: float) -> None:
    """Of six places: each is tried before one is repeated, and repeats go to those that noise keeps apart least."""
    space = {name: SPACE[name] for name in ("accumulation", "position_range")}
    space["accumulation"] = optuna.distributions.CategoricalDistribution((1, 2))
    worth = {
        (a, p): 0.4 + 0.1 * n
        for n, (a, p) in enumerate((a, p) for p in ("clamp", "rescale", "grow") for a in (1, 2))
    }
    study, draw = optuna.create_study(direction="maximize"), np.random.default_rng(13)
    for name in worth:
        params = dict(zip(space, name, strict=True))
        if name != (2, "grow"):  # the best is found by asking
            study.add_trial(create_trial(params=params, distributions=space, value=worth[name]))
    asked = []
    for number in range(35):
        study.sampler = GPSampler(space, 1024, seed=number, startup=5)
        trial = study.ask(space)
        asked.append((trial.params["accumulation"], trial.params["position_range"]))
        study.tell(trial, worth[asked[-1]] + noise * draw.standard_normal())
    assert asked[0] == (2, "grow")
    counts = {name: asked.count(name) for name in worth}
    assert max(counts.values()) <= 20
    assert min(counts.values()) >= (3 if noise == 0 else 0)


@pytest.mark.quiet
def test_an_ask_takes_at_most_a_tenth_of_a_second_of_cpu() -> None:
    """Of 120 observations, the most that a process is fitted to."""
    cube, draw = Cube(SPACE), np.random.default_rng(14)
    study = study_of([(cube.params(p), 0.5 - float(p @ p) / 20) for p in cube.random(draw, MOST)])
    seeds = itertools.count()

    def asking() -> float:
        study.sampler = GPSampler(SPACE, 1024, seed=next(seeds), startup=5)
        took = cpu(lambda: study.ask(SPACE))
        study.tell(study.trials[-1].number, state=TrialState.FAIL)
        return took

    assert least(asking, until=lambda took: took < 0.1)[0] < 0.1
