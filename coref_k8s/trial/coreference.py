"""The task `coreference`: an encoder and a coreference head learn together who is who in whole documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from torch import Tensor, nn

from coref_k8s.coref.encoded import Coverage, EncodedDocument, encode_documents
from coref_k8s.coref.encoder import open_tokenizer
from coref_k8s.coref.finishing import AtRest, WholeDocuments
from coref_k8s.coref.joined import JoinedModel
from coref_k8s.coref.model import CorefModel, load_model, new_model
from coref_k8s.coref.training import Batch, Batches, Passes, loss
from coref_k8s.evaluation.chains import ChainSet, evaluate_chains, sha256_of
from coref_k8s.evaluation.result import EvaluationResult
from coref_k8s.evaluation.sharing import Together
from coref_k8s.study.order import Order
from coref_k8s.trial.device import autocast
from coref_k8s.trial.licences import licences_of
from coref_k8s.trial.signals import StopSignal
from coref_k8s.trial.task import Course, Task
from coref_k8s.wording import Message


class Coreference(Task):
    """Mentions and their links, scored end to end."""

    average = "link score average"

    def __init__(
        self, order: Order, data_dir: Path, stop: StopSignal, warn: Callable[[Message], None]
    ) -> None:
        super().__init__(order, data_dir, stop, warn)
        self.tokenizer = open_tokenizer(self.start, order.spec.model_revision)
        self.check_tokenizer()
        self._at_rest: tuple[CorefModel, AtRest] | None = None
        self._encoded: tuple[list[EncodedDocument], Coverage] | None = None
        self._chains: dict[str, ChainSet] = {}

    def untrained(self, *, untuned: bool = False) -> CorefModel:
        """See `Task`."""
        model = new_model(
            self.start,
            self.seq_len,
            revision=self.order.spec.model_revision,
            position_range=self.position_range(untuned),
            attention=self.attention,
            checkpointing=self.batch.checkpointing,
            device=self.device,
            dropout=self.hyper.head_dropout,
            licences=[
                f"{name}: {one['licence']}; {Message.load(one['terms']).say()}"
                for name, one in licences_of(self.prepared.statistics).items()
            ],
        )
        _, coverage = self._lessons(model)
        model.adopt(coverage)
        return model

    def saved(self, folder: Path) -> CorefModel:
        """See `Task`."""
        return load_model(folder)

    def course(self, model: nn.Module, *, untuned: bool = False) -> Course:
        """See `Task`: a model is scored as it came with a head that learns over the encoder at rest."""
        assert isinstance(model, CorefModel)
        documents, _ = self._lessons(model)
        seed, training = self.order.seed, self.order.spec.training
        batches = Batches(documents, window=model.window, windows=self.batch.effective_batch, seed=seed)
        steps = 0 if untuned else training.max_steps or batches.steps(self.hyper.epochs)
        # an untuned encoder needs a head, whatever the request says
        passes = max(1.0, self.hyper.head_epochs) if untuned else self.hyper.head_epochs
        whole = WholeDocuments(documents, seed=seed)
        head_steps = whole.steps(passes)
        return Course(WindowSource(batches, whole, steps), steps + head_steps, head_steps)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """See `Task`: cross-entropies of starts and ends, and the likelihood of the links (nats a mention)."""
        assert isinstance(model, CorefModel)
        if not batch.at_rest:
            return loss(model, batch).total
        if self._at_rest is None or self._at_rest[0] is not model:  # its encoder has learnt what it will
            self._at_rest = model, AtRest(model, self._lessons(model)[0], seed=self.order.seed)
        return loss(self._at_rest[1], batch).total

    def evaluate(
        self,
        model: nn.Module,
        split: str,
        *,
        full: bool,
        thresholds: dict[str, float] | None = None,
        together: Together | None = None,
    ) -> EvaluationResult:
        """See `Task`."""
        assert isinstance(model, CorefModel)
        with autocast(self.dtype, self.device):
            return evaluate_chains(
                model,
                self._asked(split, model),
                weights=self.order.spec.objective.weights,
                full=full,
                thresholds=thresholds,
                check=self.stop.check,
                together=together,
            )

    def questions(self, split: str) -> str:
        """See `Task`."""
        return sha256_of(self.prepared.documents(split))

    def joined(self, models: Sequence[nn.Module]) -> nn.Module:
        """See `Task`."""
        return JoinedModel([model for model in models if isinstance(model, CorefModel)])

    def save(self, model: CorefModel, folder: Path, dev: EvaluationResult | None) -> None:
        """See `Task`."""
        if dev is not None:
            model.settle(dev.thresholds)
        model.save(folder)

    def _lessons(self, model: CorefModel) -> tuple[list[EncodedDocument], Coverage]:
        """Return the training documents as a model sees them; all models of an order see them alike."""
        if self._encoded is None:
            documents = self.prepared.documents("train")
            self._encoded = encode_documents(documents, model.tokenizer, model.longest_sentence)
        return self._encoded

    def _asked(self, split: str, model: CorefModel) -> ChainSet:
        if split not in self._chains:
            self._chains[split] = ChainSet.of(self.prepared.documents(split), model)
        return self._chains[split]


class WindowSource:
    """Steps of windows, then steps of whole documents, over which the encoder is at rest."""

    def __init__(self, windows: Passes, whole: Passes, steps: int) -> None:
        """`steps` is how many of the first kind there are."""
        self._windows = windows
        self._whole = whole
        self._steps = steps

    def step(self, number: int) -> WindowStep:
        """See `StepSource`."""
        if number < self._steps:
            return WindowStep(self._windows.step(number))
        return WindowStep(self._whole.step(number - self._steps))


class WindowStep:
    """The windows of one step."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self.tokens = batch.tokens

    def batches(self, batch_size: int, *, pin: bool = False) -> Iterator[tuple[Batch, float]]:
        """See `StepData`: a batch weighs what its mentions are of the step's. What is at rest is not cut."""
        if self._batch.at_rest:
            yield self._batch, 1.0
            return
        windows = self._batch.windows
        parts = [Batch(windows[at : at + batch_size]) for at in range(0, len(windows), batch_size)]
        # without a mention a batch still teaches that there are none
        counts = [max(1, part.mentions) for part in parts]
        for part, count in zip(parts, counts, strict=True):
            yield part, count / sum(counts)
