"""The simulated benchmark runs, and its figures are sane; whether the target is met is its own matter."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from coref_k8s.study.reading import build_spec
from tests.benchmarks.search import MEASURED, main
from tests.benchmarks.search_cluster import founding, ours
from tests.benchmarks.search_ladders import DEVELOPMENT, HELD_OUT, ladder, ladder_spec, recorded
from tests.benchmarks.search_landscape import BASE, GAIN, Landscape
from tests.benchmarks.search_neutral import main as neutral
from tests.benchmarks.search_record import REPORTS, SETTINGS, TABLE, TASKS
from tests.benchmarks.search_record import main as record
from tests.benchmarks.search_thaw import main as thaw
from tests.benchmarks.search_thaw import stopping, thawing
from tests.benchmarks.search_trainings import main as trainings


@pytest.mark.parametrize("against", ["founding", "asha", "trivial"])
def test_the_benchmark_prints_its_figures(against: str, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = ["--only", "ten-trials", "--against", against]
    assert main(["--repetitions", "2", *chosen, "--output", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["repetitions"], found["target"], found["against"]) == (2, 0.5, against)
    low, high = found["gpu_hours_ratio_low"], found["gpu_hours_ratio_high"]
    assert low is None or low > 0 <= (found["gpu_hours_ratio"] or low) <= (high or 99)
    one = found["scenarios"]["ten-trials"]
    assert BASE < one["score_opponent"] < BASE + GAIN
    assert BASE < one["score_ours"] < BASE + GAIN
    assert 0 <= one["idle_share"] < 1


def test_both_ways_live_in_the_same_world_and_repeat() -> None:
    spec = build_spec(seq_lengths=[512, 1024], trials=6)
    world = Landscape(0, spec, MEASURED)
    assert world.run(512, PARAMS, 0) == Landscape(0, spec, MEASURED).run(512, PARAMS, 0)
    for way in (founding, ours):
        first, again = way(spec, world, 1, 4), way(spec, world, 1, 4)
        assert first == again
        assert first.points == sorted(first.points, key=lambda point: point[0])
        assert 0 < first.gpu_hours <= 4 * first.wall_hours + 1e-9
    # nothing is better than knowing the optimum, and noise does not change what parameters are worth
    quiet = Landscape(0, spec, replace(MEASURED, seed_noise=0.0, report_noise=0.0))
    assert quiet.quality(512, PARAMS) == world.quality(512, PARAMS) < BASE + GAIN
    assert quiet.run(512, PARAMS, 0).reports[-1] == pytest.approx(quiet.quality(512, PARAMS))


def test_a_study_is_extended_until_its_budget_is_used() -> None:
    spec = build_spec(seq_lengths=[512], trials=3)
    world = Landscape(3, spec, MEASURED)
    short = ours(spec, world, 0, 2)
    longer = ours(spec, world, 0, 2, budget=short.gpu_hours + 1)
    assert (short.trials, longer.trials) == (3, 13)
    assert longer.gpu_hours > short.gpu_hours + 1


PARAMS = {
    "learning_rate": 7e-5, "warmup_ratio": 0.1, "weight_decay": 0.05, "accumulation": 1, "mask_low": 0.1,
    "mask_high": 0.2, "layer_decay": 0.9, "mention_share": 0.5, "distance_preference": 0.7, "epochs": 1.0,
}  # fmt: skip


def test_the_neutral_benchmark_ends_with_one_line_of_figures(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--worlds", "2", "--ladders", "near,kinds", "--opponents", "trivial", "--output", "json"]
    assert neutral(arguments) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(found["ladders"]) == {"near", "kinds"}
    for figures in (found, *(one[name] for one in found["ladders"].values() for name in ("asha", "trivial"))):
        low, point, high = (figures[f"cost_ratio{end}"] for end in ("_low", "", "_high"))
        assert low is None or low > 0
        assert point is None or low <= point <= (high or 99)


def test_pausing_and_stopping_are_compared_in_the_same_worlds(capsys: pytest.CaptureFixture[str]) -> None:
    assert thaw(["--worlds", "2", "--ladders", "near", "--samplers", "random", "--output", "json"]) == 0
    found = json.loads(capsys.readouterr().out)["ladders"]["near"]["random"]
    assert all(BASE < end < BASE + GAIN for end in found["end"])
    spec, world = ladder_spec(8), ladder("near").world(0)
    stopped, paused = (way(spec, world, 0, "random") for way in (stopping, thawing))
    assert paused == thawing(spec, world, 0, "random")
    # what was paused goes on: more trials of those begun have an end
    assert len(paused.points) > len(stopped.points)


def test_ladders_for_development_and_for_figures_have_nothing_in_common() -> None:
    assert not set(DEVELOPMENT) & set(HELD_OUT)
    worlds = [ladder("kinds").world(seed) for seed in (0, 0, 1)]
    params = {
        "learning_rate": 1e-4,
        "weight_decay": 0.2,
        "layer_decay": 0.5,
        "mention_share": 0.5,
        "distance_preference": 0.4,
    }
    runs = [world.run(512, params, 0) for world in worlds]
    assert runs[0] == runs[1] != runs[2]
    # a later rung costs more, and no score is far above the best known
    assert runs[0].hours < worlds[0].run(2048, params, 0).hours
    assert all(world.quality(2048, params) <= 0.61 for world in worlds)


def test_drawn_rungs_have_as_much_in_common_as_is_said() -> None:
    places = np.random.default_rng(0).random((200, 5))
    alike = {}
    for name in ("kindred", "half", "foreign"):
        worlds = [ladder(name).make(seed)[0] for seed in range(20)]
        ends = [[curves(places)[:, -1] for curves in world.values()] for world in worlds]
        alike[name] = np.mean([np.corrcoef(rungs)[np.triu_indices(3, 1)].mean() for rungs in ends])
    assert alike["kindred"] > 0.8 > 0.65 > alike["half"] > 0.3 > alike["foreign"]


def test_a_task_is_recorded_again_without_the_others(tmp_path: Path) -> None:
    table = tmp_path / "runs.csv"
    table.write_text(TABLE.read_text(encoding="utf-8"), encoding="utf-8")
    assert record(["--only", "gaps", "--settings", "2", "--output", str(table)]) == 0
    before, now = (path.read_text(encoding="utf-8").splitlines() for path in (TABLE, table))
    mine = [line for line in now if line.startswith("gaps,")]
    assert len(mine) == 2 * 2 * 3  # settings, seeds, rungs
    assert [line for line in now if line not in mine] == [x for x in before if not x.startswith("gaps,")]


def test_every_task_is_recorded_in_full() -> None:
    for name, task in TASKS.items():
        runs = recorded(name)
        assert tuple(runs) == task.rungs
        for places, scores, noise in runs.values():
            assert (places.shape, scores.shape) == ((SETTINGS, 5), (SETTINGS, REPORTS))
            assert 0 < noise < scores[:, -1].std()


@pytest.mark.slow
def test_real_trainings_are_compared_at_the_same_cost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ["--repetitions=1", "--trials=1", "--steps=4", f"--folder={tmp_path}", "--output=json"]
    assert trainings(small) == 0
    found = json.loads(capsys.readouterr().out)
    (run,) = found["repetitions"]
    assert run["cost"] == pytest.approx((256 + 384 + 512) / 512, abs=0.01)  # of one training a length
    assert all(0 <= score <= 1 for way in ("asha", "ours") for score in run[way])
    (kept,) = tmp_path.glob("repetition-*.json")
    asha, own = json.loads(kept.read_text())
    assert own["gpu_hours"] >= asha["gpu_hours"]
    assert trainings(small) == 0  # what was kept is not run again
    assert json.loads(capsys.readouterr().out)["repetitions"] == [run]
