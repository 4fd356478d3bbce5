"""What a study takes before it starts: from what was measured, from what is published, and what is left while it runs."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from coref_k8s.client.expecting import outlook
from coref_k8s.controller.expecting import Source, expected_of, trial_seconds
from coref_k8s.controller.orders import make_order
from coref_k8s.controller.snapshot import Unit
from coref_k8s.controller.study import LengthState, remaining
from coref_k8s.controller.view import StudyView
from coref_k8s.errors import RequestError
from coref_k8s.local.hardware import Gpu, Machine
from coref_k8s.search.records import TrialRecord, TrialState
from coref_k8s.sizing.calibration import Calibration, Parity, Point, fitting, shape_key
from coref_k8s.sizing.cards import card_named
from coref_k8s.sizing.shape import shape_of
from coref_k8s.sizing.speed import Speed, Step
from coref_k8s.store.records import Phase, StudyRecord
from coref_k8s.study.names import Kind
from coref_k8s.study.reading import build_spec
from coref_k8s.wording import NOTHING
from tests.benchmarks.forecast import create_model, errors
from tests.timing import least

SHAPE = shape_of("kakaobank/kf-deberta-base")
#: A card on which a pass costs much whatever is in it, and computing again costs little.
TRUE = Speed(fixed=0.4, linear=2e-14, square=6e-14, again=2e-14, update=0.05, start=30.0)
NAME, GIB = "NVIDIA A100-SXM4-40GB", 2**30


def calibration(speed: Speed = TRUE, name: str = NAME, factor: float = 1.0, **more) -> Calibration:
    steps = [
        Step(n, b, p, c)
        for n in (512, 2048)
        for b, p, c in ((1, 1, False), (8, 1, False), (1, 3, False), (4, 1, True))
    ]
    points = tuple(
        Point(
            s.seq_len,
            s.batch,
            s.passes,
            s.checkpointing,
            "blocked",
            speed.seconds(s, SHAPE),
            peak=int(factor * 2**30),
            estimated=2**30,
        )
        for s in steps
    )
    known = {
        "device": name, "gpu": True, "memory": 40 * GIB, "threads": 0, "driver": "550", "versions": {}, "precision": "bf16",
        "model": "kakaobank/kf-deberta-base", "task": "mentions", "asked": "auto", "shape": shape_key(SHAPE),
        "measured_at": datetime.now(UTC), "points": points, "start": speed.start,
    }  # fmt: skip
    return Calibration(**{**known, **more})


def request(**more):
    search = {"allocation": "even", "pruner": "median"}
    return build_spec(
        **{"seq_lengths": [512, 2048], "training": {"max_steps": 100}, "search": search, **more}
    )


def test_what_was_measured_says_what_trials_take():
    seen = outlook(request(), [calibration()])
    assert seen.basis.source is Source.MEASURED
    for length, one in seen.times.items():
        batch = seen.plans[length].batch
        step = Step(length, batch.batch_size, batch.accumulation, batch.checkpointing)
        assert one.step_seconds == pytest.approx(TRUE.seconds(step, SHAPE), rel=0.05)
        assert one.trial_seconds > 100 * one.step_seconds + 30
    assert "Measured on this kind of device (NVIDIA A100-SXM4-40GB)" in str(seen.sentences()[2])
    low, high = seen.hours
    every = sum(20 * one.trial_seconds for one in seen.times.values()) / 3600
    assert low < every < high < 1.2 * every
    assert seen.wall[0] >= low * 3600 / 4 - 1
    (cost,) = [one for one in seen.sentences(2.0) if one.code == "client.costs"]
    assert cost.values["cost"][1] == pytest.approx(2 * high)


def test_a_step_of_coreference_is_no_longer_than_the_text_that_is_there(tmp_path):
    text = tmp_path / "texts.conllu"
    times = {}
    for size in (500, 50_000):
        text.write_bytes(b"x" * size)
        spec = request(
            task="coreference", data={"sources": [{"source": str(text)}]}, training={"epoch_choices": [10]}
        )
        seen = outlook(spec, machine=Machine((), 2, 64 * GIB))
        assert f"{size / 1e3:.1f} kB" in str(seen.steps_said)
        times[size] = seen.times
    few, more = times.values()
    assert few[512].training_seconds == few[2048].training_seconds, "of all lengths the same window"
    assert 10 * few[2048].training_seconds < more[2048].training_seconds
    assert few[2048].steps == 10, "a step holds windows of one pass over the text"


def test_what_was_measured_with_as_many_threads_comes_first():
    def measured(threads: int, speed: Speed) -> Calibration:
        return calibration(speed, "CPU", gpu=False, threads=threads, precision="fp32", asked="fp32")

    spec = request(seq_lengths=[512], pod={"gpus": 0, "memory": "64Gi"})
    newer, older = measured(1, TRUE), measured(2, TRUE.times(0.7))

    def step(*known: Calibration, at_once: int) -> tuple[float, float]:
        one = outlook(spec, known, machine=Machine((), 2, 256 * GIB), at_once=at_once).times[512]
        return one.step_seconds, one.margin

    alone, two = step(newer, older, at_once=2), step(newer, older, at_once=1)
    assert two[0] == pytest.approx(0.7 * alone[0], rel=0.01)
    assert alone[1] == two[1] == 0.15
    # where only other numbers were measured: two threads are no twice as fast, and how much faster is a guess
    guessed = step(newer, at_once=1)
    assert 0.6 * alone[0] < guessed[0] < 0.9 * alone[0]
    assert guessed[1] == 0.25


def test_a_calibration_that_disagrees_with_itself_gives_a_wider_interval():
    good = calibration()
    points = list(good.points)
    points[-1] = replace(points[-1], seconds=2 * points[-1].seconds)
    bad = replace(good, points=tuple(points))
    assert good.error < 0.15 < bad.error
    assert outlook(request(), [good]).times[512].margin == 0.15
    assert outlook(request(), [bad]).times[512].margin == pytest.approx(bad.error)


def test_text_that_is_generated_is_counted_before_it_is_made():
    times = {}
    for number in (60, 6000):
        seen = outlook(request(task="coreference", data={"sources": [{"source": f"people:{number}"}]}))
        assert seen.steps_said.code == "client.steps-asked"
        times[number] = seen.times[512]
    assert times[6000].evaluation_seconds == pytest.approx(100 * times[60].evaluation_seconds, rel=0.05)
    assert times[60].evaluation_seconds < times[60].training_seconds


def test_where_steps_are_given_trials_with_more_in_a_step_take_longer():
    def of(choices: list[int], **training: object):
        search = {"allocation": "even", "pruner": "none", "space": {"accumulation": {"choices": choices}}}
        spec = request(seq_lengths=[512], search=search, training=training or {"max_steps": 100})
        return outlook(spec, [calibration()]).times[512]

    one, three, either = of([1]), of([3]), of([1, 3])
    assert (one.usual_seconds, one.training_seconds) == pytest.approx(
        (one.trial_seconds, 100 * one.step_seconds)
    )
    assert three.training_seconds > 2 * one.training_seconds
    assert either.training_seconds == pytest.approx(three.training_seconds), "at most"
    assert either.usual_seconds == pytest.approx((one.usual_seconds + three.usual_seconds) / 2, rel=0.01)
    assert one.seconds[0] < either.seconds[0] < three.seconds[0]
    assert either.seconds[1] == pytest.approx(three.seconds[1])
    # of passes over the data it is the number of steps that changes
    assert of([1, 3], epoch_choices=[2]).longest == 1


def test_passes_of_the_head_alone_take_their_time():
    def of(*passes: float):
        space = {"accumulation": {"choices": [1]}}
        if passes:
            space["head_epochs"] = {"choices": list(passes)}
        search = {"allocation": "even", "pruner": "none", "space": space}
        sources = [{"source": "people:600"}]
        return outlook(request(task="coreference", data={"sources": sources}, search=search)).times[512]

    none, few, many, usual = of(0), of(8), of(16), of()
    assert none.training_seconds < few.training_seconds < many.training_seconds
    assert usual == few
    assert many.head_seconds < 1.9 * few.head_seconds, "the encoder gives its states once"
    assert few.usual_seconds == pytest.approx(few.trial_seconds), "they come on top of the steps asked for"


def test_what_is_certain_is_said_once_and_not_as_an_interval():
    spec = build_spec(
        seq_lengths=[512],
        trials=4,
        training={"max_steps": 100},
        search={"pruner": "none", "space": {"accumulation": {"choices": [1]}}},
        limits={"max_gpu_hours": 0.1},
    )
    seen = outlook(spec, [calibration()])
    seen = replace(
        seen, times={length: replace(one, margin=0.0) for length, one in seen.times.items()}, at_once=1
    )
    assert seen.hours[0] == pytest.approx(seen.hours[1])
    for lang, joint in (("en", " to "), ("ko", "~")):
        said = [one.say(lang) for one in (*seen.sentences(2.0), seen.limit)]
        assert not any(joint in one for one in said[:2]), said
        assert ("takes 0.126 GPU-hours" if lang == "en" else " 0.126 GPU") in said[-1]
    assert not any(one.code == "client.takes-least-and-most" for one in seen.sentences())
    ends = outlook(request(), [calibration()]).sentences()
    assert [one.code for one in ends[:2]] == ["client.takes-gpu-hours", "client.takes-least-and-most"]
    assert " to " in str(ends[0])


def test_without_a_measurement_the_makers_figures_say_it_and_ask_for_one():
    seen = outlook(request())
    assert seen.basis.source is Source.ESTIMATED
    assert "Estimated from the maker's figures of A100 (40 GB)" in str(seen.basis.said)
    assert "calibrate to measure" in str(seen.basis.said)
    node = request(pod={"node_selector": {"nvidia.com/gpu.product": "NVIDIA-H200"}}, gpu_memory_gb=141)
    assert outlook(node).times[512].step_seconds < seen.times[512].step_seconds
    low, high = seen.hours
    assert high > 4 * low


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("NVIDIA A100-SXM4-80GB", "A100-SXM4-80GB"),
        ("Tesla T4", "T4"),
        ("NVIDIA GH200 480GB", "GH200"),
        ("NVIDIA RTX A4000", None),
    ],
)
def test_cards_are_known_by_what_drivers_call_them(said, name):
    found = card_named(said)
    assert (found and found.name) == name


def test_another_card_another_model_another_precision_is_not_this_one():
    known, spec = [calibration()], request()
    assert fitting(known, spec, SHAPE) == known[0]
    assert fitting(known, spec, SHAPE, "NVIDIA H100 80GB HBM3") is None
    assert fitting(known, spec.model_copy(update={"gpu_memory_gb": 80.0}), SHAPE) is None
    assert fitting(known, spec, replace(SHAPE, layers=6)) is None
    assert fitting(known, request(training={"precision": "fp32"}), SHAPE) is None
    assert fitting(known, request(task="coreference"), SHAPE) is None
    slow = calibration(TRUE.times(3), name="NVIDIA A100-PCIE-40GB")
    assert fitting([known[0], slow], spec, SHAPE) == slow  # nobody knows where the next pod lands


def test_the_batch_is_the_fastest_that_fits_by_measurement():
    dear = (
        calibration()
    )  # a pass costs as much as many tokens: few large ones are better, computed again or not
    cheap = calibration(replace(TRUE, fixed=0.0, again=1e-12))
    spec = request(gpu_memory_gb=8)
    many = {
        n: p.batch
        for n, p in outlook(
            spec.model_copy(update={"gpu_memory_gb": 8.0}), [replace(cheap, memory=8 * GIB)]
        ).plans.items()
    }
    few = {n: p.batch for n, p in outlook(spec, [replace(dear, memory=8 * GIB)]).plans.items()}
    assert few[2048].effective_batch == many[2048].effective_batch
    assert few[2048].batch_size > many[2048].batch_size
    assert few[2048].checkpointing
    assert not many[2048].checkpointing
    # peaks above the estimate leave room for less
    heavy = calibration(replace(TRUE, fixed=0.0, again=1e-12), factor=1.2, memory=8 * GIB)
    tight = outlook(request(seq_lengths=[512], gpu_memory_gb=8), [heavy])
    assert tight.plans[512].batch.batch_size < many[512].batch_size


def test_a_path_that_is_off_is_not_taken_and_not_planned_for():
    wrong = (Parity("blocked", 2048, "bf16", 0.4, 0.01),)
    eager = [replace(point, path="eager") for point in calibration().points]
    off = calibration(parities=wrong, points=(*calibration().points, *eager))
    spec, usual = request(seq_lengths=[512]), outlook(request(seq_lengths=[512]), [calibration()])
    plan = outlook(spec, [off]).plans[512].batch
    assert (usual.plans[512].batch.attention, plan.attention) == ("", "eager")
    assert (
        plan.predicted_bytes / plan.batch_size
        > 2 * usual.plans[512].batch.predicted_bytes / usual.plans[512].batch.batch_size
    )
    order = make_order(spec, "", "s", Unit(Kind.TRIAL, 512, 0), params={}, calibration=off)
    assert order.batch.attention == "eager"
    with pytest.raises(RequestError, match="attention path blocked is off on NVIDIA A100"):
        outlook(request(training={"attention": "blocked"}), [off])


def test_a_limit_that_ends_the_study_is_said_before():
    spec = request(limits={"max_gpu_hours": 0.5})
    seen = outlook(spec, [calibration()])
    assert seen.hours[0] > 0.5
    assert "limits.maxGpuHours (0.5) is expected to end the study" in str(seen.sentences()[-1])
    assert not outlook(request(limits={"max_gpu_hours": 1000}), [calibration()]).limit


def test_a_card_of_this_machine_is_known_by_its_name():
    machine = Machine((Gpu("0", NAME, 40 * GIB, 8.0),), 8, 64 * GIB, "2.9.0+cu128")
    other = Machine((Gpu("0", "Tesla T4", 15 * GIB, 7.5),), 8, 64 * GIB, "2.9.0+cu128")
    assert outlook(request(), [calibration()], machine=machine).basis.source is Source.MEASURED
    there = outlook(
        request(gpu_memory_gb=15, training={"precision": "fp32", "max_steps": 100}),
        [calibration()],
        machine=other,
    )
    assert "of T4 (16 GB)" in str(there.basis.said)


NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


def test_what_remains_is_known_before_a_trial_has_ended_and_corrected_by_those_that_have():
    record = StudyRecord.of_request(
        "s", json.loads(request(trials=4).model_dump_json(by_alias=True)), prepared="prepared/x"
    )
    expected = trial_seconds(expected_of(record, calibration(), threads=1))
    lengths = [LengthState(seq_len=512, planned=4), LengthState(seq_len=2048, planned=4)]
    assert remaining(lengths, 2, NOW) is None
    first = remaining(lengths, 2, NOW, expected)
    assert first == timedelta(seconds=(4 * expected[512] + 4 * expected[2048]) / 2)
    # trials of 512 tokens have taken twice as long as expected: those of 2,048 will, too
    took = 2 * expected[512]
    lengths[0] = LengthState(seq_len=512, planned=4, complete=4, complete_seconds=4 * took)
    assert remaining(lengths, 2, NOW, expected).total_seconds() == pytest.approx(4 * 2 * expected[2048] / 2)


def test_a_trial_that_overruns_takes_no_time_from_those_after_it() -> None:
    begun = (NOW - timedelta(seconds=500), NOW - timedelta(seconds=40))
    one = LengthState(seq_len=512, planned=3, begun_at=begun)
    assert remaining([one], 1, NOW, {512: 100.0}) == timedelta(seconds=60 + 100)
    last = LengthState(seq_len=512, planned=1, begun_at=begun[:1])
    assert remaining([last], 1, NOW, {512: 100.0}) is None, "not 0 seconds: when it ends nobody knows"


#: What is asked of every installation; the slow ones, and the benchmark, ask for all eight shapes.
QUICK = {"shapes": (Step(256, 4), Step(512, 2), Step(512, 1, 2, True)), "lengths": (128, 512), "memory": False, "runs": 2}  # fmt: skip


@pytest.mark.quiet
@pytest.mark.parametrize(
    ("task", "kind", "asked"),
    [
        pytest.param("mentions", "deberta-v2", QUICK, id="small"),
        pytest.param("mentions", "deberta-v2", {}, marks=pytest.mark.slow, id="mentions"),
        pytest.param("mentions", "bert", {}, marks=pytest.mark.slow, id="bert"),
        pytest.param("coreference", "deberta-v2", {}, marks=pytest.mark.slow, id="coreference"),
    ],
)
def test_steps_that_were_not_measured_take_what_was_predicted(tmp_path, task, kind, asked):
    """Within 20 %, for shapes of which none was calibrated with."""
    model = create_model(tmp_path / "model", kind)

    def worst() -> float:
        return max(map(abs, errors(model, task=task, **asked)["seconds"].values()))

    assert least(worst, until=lambda worst: worst <= 0.2, rounds=1, most=3)[0] <= 0.2


def test_trials_of_a_model_count_however_its_folder_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = {"model_type": "deberta-v2", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
              "intermediate_size": 128, "vocab_size": 1000, "max_position_embeddings": 512}  # fmt: skip
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    ran = build_spec(seq_lengths=[512], model=str(tmp_path / "model"), pod={"gpus": 0})
    trial = TrialRecord(512, 0, 1, TrialState.COMPLETE, {}, 0.5, attrs={"tokens_per_second": 2000.0})
    view = StudyView(
        name="one",
        namespace="",
        phase=Phase.SUCCEEDED,
        message=NOTHING,
        spec=ran,
        created_at=NOW,
        trials=[trial],
    )
    for named in ("./model", "model", str(tmp_path / "model")):
        asked = build_spec(seq_lengths=[512], model=named, pod={"gpus": 0}, training={"max_steps": 10})
        assert outlook(asked, views=[view], machine=Machine((), 2, 8 * GIB)).basis.source is Source.TRIALS
