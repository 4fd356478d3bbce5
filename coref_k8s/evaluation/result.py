"""`EvaluationResult`: what an evaluation found, with what is needed to check and to compare it."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from coref_k8s.errors import DataError, reason
from coref_k8s.evaluation.given import not_given
from coref_k8s.wording import Message


@dataclass
class ItemScores:
    """Scores of single items, for paired differences: `columns[name][i]` belongs to item `ids[i]`."""

    ids: list[str] = field(default_factory=list)
    documents: list[str] = field(default_factory=list)
    """What each item counts for in intervals: its document, or the work that the document is a part of."""
    columns: dict[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Bucket:
    """Scores of the items whose antecedent is `above` < distance <= `up_to` tokens away."""

    above: int
    up_to: int
    n: int
    scores: dict[str, float] | None
    """None below 30 items: too few for a number."""


@dataclass(frozen=True)
class Sample:
    """Where a document begins, and who is who there: chains as characters [start, end), by the model and in truth."""

    doc_id: str
    text: str
    found: list[list[list[int]]]
    gold: list[list[list[int]]]


@dataclass
class EvaluationResult:
    """Metrics by name, all finite, and their evidence."""

    metrics: dict[str, float]
    """Every number by its plain name; gains, intervals and baselines have suffixes and prefixes."""
    counts: dict[str, int]
    """Items behind the numbers, by kind."""
    buckets: list[Bucket]
    thresholds: dict[str, float]
    """What dev decided, to be given to the evaluation on test: `tau`, from which on Coref F1 abstains; `linked` and
    `alone`, from which on a coreference model takes a span for a mention."""
    warnings: list[Message]
    item_scores: dict[str, ItemScores]
    """By kind: `coref`, `f1`, `lambada`; `chains` has whole documents."""
    items_sha256: str
    tokenizer: str
    seq_len: int
    weights: dict[str, float]
    full: bool
    seconds: float = 0.0
    view: str = ""
    """How chains were scored (`CorefScores.headline`); empty for other items."""

    sample: Sample | None = None
    """A document as a coreference model resolved it, of a full evaluation."""

    @property
    def score(self) -> float:
        """The objective's value."""
        return self.metrics["score"]

    @property
    def given(self) -> dict[str, float]:
        """The metrics that rest on enough items to be shown; the score only where those do that it weighs."""
        hidden = set(self.not_given)
        return {name: value for name, value in self.metrics.items() if name not in hidden}

    @property
    def noted(self) -> dict[str, Any]:
        """What a study keeps of a result on test documents: score, metrics, and which of them are not given."""
        return {"score": self.score, "metrics": self.metrics, "not_given": self.not_given}

    @property
    def not_given(self) -> list[str]:
        """Metrics that rest on too few items to be shown."""
        return not_given(self.metrics, self.counts, self.weights)

    @property
    def item_ids(self) -> list[str]:
        """Ids of the scored items, by kind."""
        return [f"{kind}/{name}" for kind, scores in self.item_scores.items() for name in scores.ids]

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        warnings = [message.dump() for message in self.warnings]
        return {**asdict(self), "warnings": warnings, "item_ids": self.item_ids}

    def to_json(self) -> str:
        """One JSON object."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)

    @staticmethod
    def read(path: Path) -> EvaluationResult:
        """Read a saved result, in UTF-8 or UTF-16. Raises DataError when it cannot be read or is something else."""
        try:
            return EvaluationResult.from_json(path.read_bytes())
        except OSError as error:
            why = reason(error)
        except DataError as error:
            why = error.message
        raise DataError("evaluation.unreadable-result", path=str(path), why=why)

    @staticmethod
    def from_json(text: str | bytes) -> EvaluationResult:
        """Read what `to_json` wrote. Raises DataError when it is something else."""
        try:
            record = json.loads(text)
            record.pop("item_ids")
            if "tau" in record:  # before there were coreference models
                record["thresholds"] = {"tau": record.pop("tau")}
            record["sample"] = Sample(**record["sample"]) if record.get("sample") else None
            record["buckets"] = [Bucket(**entry) for entry in record["buckets"]]
            record["item_scores"] = {kind: _items(entry) for kind, entry in record["item_scores"].items()}
            record["warnings"] = [Message.load(entry) for entry in record["warnings"]]
            return EvaluationResult(**record)
        except KeyError as error:
            raise DataError("evaluation.no-result", why=f"{error} is missing") from error
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise DataError("evaluation.no-result", why=str(error)) from error


def _items(entry: dict[str, Any]) -> ItemScores:
    """Return scores of items as they were saved. Raises ValueError, KeyError or TypeError for what was cut or changed."""
    scores = ItemScores(**entry)
    if {len(scores.documents), *map(len, scores.columns.values())} != {len(scores.ids)}:
        raise ValueError("its items, their documents and their scores are not as many")
    if not all(math.isfinite(score) for column in scores.columns.values() for score in column):
        raise ValueError("a score is not finite")
    return scores
