"""When a loss says that training is lost, so that no more time goes into it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from coref_k8s.wording import Message

#: Weight of the newest loss in the moving average.
_SMOOTHING = 0.1
#: After warm-up, training has diverged when the average is this many times its best ...
RATIO = 3.0
#: ... and this much above it (nats), so that a very small best does not call noise a divergence.
MARGIN = 2.0


@dataclass
class DivergenceWatch:
    """Watches the loss of every step; its state goes into checkpoints.

    Diverged: a loss that is not finite, at any time; or, after warm-up, a smoothed loss (bias-corrected
    exponential average) above 3 times its best so far and 2 nats above it.
    """

    warmup: int
    """Steps before a high loss counts."""
    before: int = 0
    """Steps of the training that it has not seen."""
    seen: int = 0
    average: float = 0.0
    best: float = math.inf
    reason: Message | None = None

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> DivergenceWatch:
        """Return the watch that `state` told of."""
        reason = state["reason"] and Message.load(state["reason"])
        return cls(**{**state, "reason": reason})

    def feed(self, losses: Iterable[float]) -> Message | None:
        """Take the next losses; return why training has diverged, or None."""
        for loss in losses:
            if self.reason is not None:
                break
            self.seen += 1
            if not math.isfinite(loss):
                self.reason = Message.of(
                    "trial.loss-not-finite", loss=str(loss), step=self.before + self.seen
                )
                break
            self.average += _SMOOTHING * (loss - self.average)
            smooth = self.average / (1 - (1 - _SMOOTHING) ** self.seen)
            self.best = min(self.best, smooth)
            if self.seen > self.warmup and smooth > RATIO * self.best and smooth > self.best + MARGIN:
                self.reason = Message.of(
                    "trial.loss-rose", loss=smooth, step=self.before + self.seen, best=self.best
                )
        return self.reason

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {**asdict(self), "reason": self.reason and self.reason.dump()}
