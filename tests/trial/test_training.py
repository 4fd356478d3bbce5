"""The loop: interrupted, out of memory, diverging."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from coref_k8s.errors import OutOfMemoryError
from coref_k8s.model.loss import masked_lm_loss
from coref_k8s.trial.checkpoint import CheckpointStore, seed_everything
from coref_k8s.trial.hyperparameters import Hyperparameters
from coref_k8s.trial.observers import EvaluationReport, MemoryReport, Observers, StepReport
from coref_k8s.trial.signals import Interrupted, StopSignal
from coref_k8s.trial.training import Ending, LossFunction, Trainer, TrainingPlan, evaluation_steps
from tests.trial.synthetic import model, source

HYPER = Hyperparameters(learning_rate=3e-3, layer_decay=0.9, warmup_ratio=0.2)
CPU = torch.device("cpu")


class Recorder:
    """An observer that keeps everything."""

    def __init__(self) -> None:
        self.steps: list[StepReport] = []
        self.memory: list[MemoryReport] = []
        self.evaluations: list[EvaluationReport] = []
        self.saved: list[int] = []

    def on_begin(self, step: int, steps: int) -> None: ...

    def on_step(self, report: StepReport) -> None:
        self.steps.append(report)

    def on_evaluation(self, report: EvaluationReport) -> None:
        self.evaluations.append(report)

    def on_checkpoint(self, report: Any) -> None:
        self.saved.append(report.step)

    def on_out_of_memory(self, report: MemoryReport) -> None:
        self.memory.append(report)

    def on_end(self, outcome: str, facts: Any) -> None: ...


class StopAfter(StopSignal):
    """Tells the loop to stop at its n-th look."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.looks = looks

    def check(self) -> None:
        self.looks -= 1
        if self.looks < 0:
            raise Interrupted


def trainer(
    tmp_path: Path,
    *,
    steps: int = 12,
    batch_size: int = 4,
    loss: LossFunction = masked_lm_loss,
    dropout: float = 0.1,
    hyper: Hyperparameters = HYPER,
    seed: int = 0,
    **more: Any,
) -> tuple[Trainer, Recorder]:
    recorder = Recorder()
    steps_source, _ = source(hyper, effective_batch=4, seed=seed)
    net = model(tmp_path, dropout=dropout)
    seed_everything(seed)
    plan = TrainingPlan(
        steps=steps,
        batch_size=batch_size,
        effective_batch=4,
        evaluate_after=evaluation_steps(steps, 3),
        max_grad_norm=1.0,
        fingerprint=more.pop("fingerprint", "this"),
        attempt=more.pop("attempt", 1),
        checkpoint_seconds=more.pop("checkpoint_seconds", 300.0),
        autocast=more.pop("autocast", None),
    )
    built = Trainer(
        net,
        steps_source,
        hyper,
        plan,
        loss=loss,
        device=CPU,
        observers=Observers([recorder]),
        **more,
    )
    return built, recorder


def score(net: nn.Module, number: int, last: bool) -> tuple[float, dict[str, Any], tuple[()]]:
    """An evaluation that uses random numbers, as a real one might."""
    return float(torch.rand(())), {"number": number, "last": last}, ()


def always(_: EvaluationReport) -> bool:
    return True


def weights(net: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in net.parameters()])


def test_the_loss_falls(tmp_path: Path) -> None:
    one, recorder = trainer(tmp_path, steps=40)
    assert one.run(score, always) is Ending.COMPLETE
    assert sum(one.losses[-10:]) < sum(one.losses[:10]) - 0.5
    assert [e.step for e in recorder.evaluations] == [13, 27, 40]
    assert [e.full for e in recorder.evaluations] == [False, False, True]
    assert [s.step for s in recorder.steps] == [10, 13, 20, 27, 30, 40]
    assert all(math.isfinite(s.tokens_per_second) and 0 <= s.data_wait < 1 for s in recorder.steps)
    assert one.progress.tokens > 40 * 4 * 24


@pytest.mark.parametrize("looks", [0, 1, 4, 5, 9, 12])
def test_resumed_training_is_bit_identical(tmp_path: Path, looks: int) -> None:
    whole, _ = trainer(tmp_path)
    whole.run(score, always)
    first, _ = trainer(tmp_path, checkpoints=CheckpointStore(tmp_path / "c"), stop=StopAfter(looks))
    assert first.run(score, always) is Ending.INTERRUPTED
    first.save()
    second, recorder = trainer(tmp_path, checkpoints=CheckpointStore(tmp_path / "c"))
    assert second.resume()
    assert second.run(score, always) is Ending.COMPLETE
    assert second.losses == whole.losses
    assert torch.equal(weights(second.model), weights(whole.model))
    assert [e["step"] for e in second.progress.evaluations] == [4, 8, 12]
    assert len(recorder.evaluations) <= 3


class Overflows:
    """A loss whose gradients float16 does not hold in some steps, whatever they are multiplied by."""

    def __init__(self, first: int, last: int) -> None:
        self.first, self.last, self.calls = first, last, 0

    def __call__(self, net: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        self.calls += 1
        loss = masked_lm_loss(net, batch)
        return _Infinite.apply(loss) if self.first <= self.calls <= self.last else loss


class _Infinite(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, loss: Tensor) -> Tensor:
        return loss.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad * torch.inf


def test_in_float16_training_learns_as_in_float32(tmp_path: Path) -> None:
    wide, _ = trainer(tmp_path, steps=40, dropout=0.0)
    narrow, _ = trainer(tmp_path, steps=40, dropout=0.0, autocast=torch.float16)
    assert wide.run(score, always) is narrow.run(score, always) is Ending.COMPLETE
    assert narrow.losses[:5] == pytest.approx(wide.losses[:5], rel=5e-3)
    assert sum(narrow.losses[-10:]) == pytest.approx(sum(wide.losses[-10:]), rel=0.05)


def test_a_step_whose_gradients_overflow_is_left_out_and_resumed_training_knows_the_scale(
    tmp_path: Path,
) -> None:
    def made(**more: Any) -> Trainer:
        return trainer(tmp_path, autocast=torch.float16, loss=Overflows(3, 4), **more)[0]

    whole = made()
    assert whole.run(score, always) is Ending.COMPLETE
    first = made(checkpoints=CheckpointStore(tmp_path / "c"), stop=StopAfter(7))
    assert first.run(score, always) is Ending.INTERRUPTED
    first.save()
    assert CheckpointStore(tmp_path / "c").load()[1]["scaler"]["scale"] == 2.0**14  # of 2**16, halved twice
    second = trainer(tmp_path, autocast=torch.float16, checkpoints=CheckpointStore(tmp_path / "c"))[0]
    assert second.resume()
    assert second.run(score, always) is Ending.COMPLETE
    assert second.losses == whole.losses
    assert torch.equal(weights(second.model), weights(whole.model))


def test_an_overflow_that_stays_is_named(tmp_path: Path) -> None:
    one, _ = trainer(tmp_path, steps=40, autocast=torch.float16, loss=Overflows(1, 1000))
    assert one.run(score, always) is Ending.DIVERGED
    assert "float16 overflows: gradients are not finite at any scale of the loss at step 20" in str(
        one.reason
    )
    lost, _ = trainer(
        tmp_path, autocast=torch.float16, loss=lambda net, batch: masked_lm_loss(net, batch) * torch.inf
    )
    assert lost.run(score, always) is Ending.DIVERGED
    assert "float16 overflows: the loss is not finite at step 1" in str(lost.reason)


def test_interrupted_again_and_again(tmp_path: Path) -> None:
    whole, _ = trainer(tmp_path)
    whole.run(score, always)
    for _ in range(30):
        part, _ = trainer(tmp_path, checkpoints=CheckpointStore(tmp_path / "c"), stop=StopAfter(2))
        part.resume()
        if part.run(score, always) is Ending.COMPLETE:
            break
        part.save()
    assert part.losses == whole.losses


def test_periodic_checkpoints_change_nothing(tmp_path: Path) -> None:
    whole, _ = trainer(tmp_path)
    whole.run(score, always)
    often, recorder = trainer(tmp_path, checkpoints=CheckpointStore(tmp_path / "c"), checkpoint_seconds=1e-6)
    often.run(score, always)
    assert recorder.saved
    assert often.losses == whole.losses


def test_a_checkpoint_of_another_order_is_not_used(tmp_path: Path) -> None:
    first, _ = trainer(tmp_path, checkpoints=CheckpointStore(tmp_path / "c"), stop=StopAfter(5))
    first.run(score, always)
    first.save()
    other, _ = trainer(tmp_path, checkpoints=CheckpointStore(tmp_path / "c"), fingerprint="that")
    assert not other.resume()
    assert other.progress.step == 0


class OutOfMemory:
    """A loss that does not fit when a batch is larger than `fits`, at some steps."""

    def __init__(self, fits: int, from_call: int = 0) -> None:
        self.fits = fits
        self.calls = 0
        self.from_call = from_call
        self.sizes: list[int] = []

    def __call__(self, net: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        self.calls += 1
        size = len(batch["input_ids"])
        loss = masked_lm_loss(net, batch)
        if self.calls > self.from_call and size > self.fits:
            # as on a device: half the work is done, gradients of earlier batches are there
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        self.sizes.append(size)
        return loss


@pytest.mark.parametrize(("fits", "from_call"), [(3, 0), (2, 0), (1, 0), (2, 5)])
def test_out_of_memory_halves_the_batch_and_redoes_the_step(
    tmp_path: Path, fits: int, from_call: int
) -> None:
    plain, _ = trainer(tmp_path, dropout=0.0)
    plain.run(score, always)
    loss = OutOfMemory(fits, from_call)
    cut, recorder = trainer(tmp_path, dropout=0.0, loss=loss)
    assert cut.run(score, always) is Ending.COMPLETE
    assert cut.losses == pytest.approx(plain.losses, rel=1e-4), "same data, same masks, same effective batch"
    expected = [2] if fits >= 2 else [2, 1]
    assert recorder.memory[-1].batch_size == expected[-1]
    assert recorder.memory[-1].accumulation == 4 // expected[-1]
    assert len(recorder.memory) == 1, "once for a step, and not again"
    assert cut.progress.batch_size == expected[-1]
    assert set(loss.sizes[-4:]) == {expected[-1]}


def test_dropout_is_the_same_in_a_redone_step(tmp_path: Path) -> None:
    """A step that fails at its second batch starts again from its own random numbers."""
    seen: list[Tensor] = []

    def loss(net: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        seen.append(torch.get_rng_state())
        if len(seen) == 1:
            masked_lm_loss(net, batch)  # draws dropout masks
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return masked_lm_loss(net, batch)

    one, _ = trainer(tmp_path, steps=1, loss=loss)
    one.run(score, always)
    assert torch.equal(seen[0], seen[1])


def test_a_single_sequence_that_does_not_fit_ends_the_trial(tmp_path: Path) -> None:
    one, _ = trainer(tmp_path, loss=OutOfMemory(0, from_call=6), checkpoints=CheckpointStore(tmp_path / "c"))
    with pytest.raises(OutOfMemoryError, match="single sequence does not fit") as caught:
        one.run(score, always)
    assert caught.value.exit_code == 43
    one.save()  # the next attempt, with more memory, goes on from before the step that failed
    second, _ = trainer(tmp_path, checkpoints=CheckpointStore(tmp_path / "c"), attempt=2)
    assert second.resume()
    assert second.progress.batch_size == 4, "another attempt has its own batch"
    assert second.run(score, always) is Ending.COMPLETE
    whole, _ = trainer(tmp_path)
    whole.run(score, always)
    assert second.losses == pytest.approx(whole.losses, rel=1e-6)


def test_the_batch_that_fits_is_remembered(tmp_path: Path) -> None:
    first, _ = trainer(
        tmp_path, loss=OutOfMemory(2), checkpoints=CheckpointStore(tmp_path / "c"), stop=StopAfter(5)
    )
    first.run(score, always)
    first.save()
    second, recorder = trainer(tmp_path, loss=OutOfMemory(2), checkpoints=CheckpointStore(tmp_path / "c"))
    second.resume()
    assert second.progress.batch_size == 2
    second.run(score, always)
    assert not recorder.memory


def test_the_optimiser_may_run_out_of_memory_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, _ = trainer(tmp_path)
    plain.run(score, always)
    one, _ = trainer(tmp_path)
    step, failed = one._optimiser.step, []

    def failing(*arguments: Any) -> Any:
        if not failed:
            failed.append(True)
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return step(*arguments)

    monkeypatch.setattr(one._optimiser, "step", failing)
    one.run(score, always)
    assert failed
    assert one.losses == plain.losses


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_lost_loss_ends_training(tmp_path: Path, bad: float) -> None:
    calls = 0

    def loss(net: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        nonlocal calls
        calls += 1
        return masked_lm_loss(net, batch) * (bad if calls > 5 else 1.0)

    one, _ = trainer(tmp_path, loss=loss)
    assert one.run(score, always) is Ending.DIVERGED
    assert str(one.reason) == f"diverged: the loss is {bad} at step 6"
    assert one.progress.step <= 10, "seen at the next look"
    assert not one.progress.evaluations or one.progress.evaluations[-1]["step"] < 6


def test_an_evaluation_may_end_training(tmp_path: Path) -> None:
    one, recorder = trainer(tmp_path)
    assert one.run(score, lambda report: report.number < 2) is Ending.STOPPED
    assert one.progress.step == 8
    assert len(recorder.evaluations) == 2


def test_stopping_in_the_middle_of_an_evaluation_loses_nothing(tmp_path: Path) -> None:
    whole, _ = trainer(tmp_path)
    whole.run(score, always)

    def interrupted(net: nn.Module, number: int, last: bool) -> tuple[float, dict[str, Any]]:
        torch.rand(5)
        if number == 2:
            raise Interrupted
        return score(net, number, last)

    first, _ = trainer(tmp_path, checkpoints=CheckpointStore(tmp_path / "c"))
    assert first.run(interrupted, always) is Ending.INTERRUPTED
    first.save()
    second, recorder = trainer(tmp_path, checkpoints=CheckpointStore(tmp_path / "c"))
    second.resume()
    second.run(score, always)
    assert [e.number for e in recorder.evaluations] == [2, 3]
    assert second.losses == whole.losses


@pytest.mark.parametrize(
    ("steps", "evaluations", "expected"),
    [(100, 4, (25, 50, 75, 100)), (3, 5, (1, 2, 3)), (1, 4, (1,)), (7, 2, (4, 7))],
)
def test_evaluations_are_evenly_spaced(steps: int, evaluations: int, expected: tuple[int, ...]) -> None:
    assert evaluation_steps(steps, evaluations) == expected
