"""What needs no model: equal strings linked, every mention alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from coref_k8s.evaluation.coreference.breakdown import normalised
from coref_k8s.text.document import Document
from coref_k8s.text.korean import Analysis
from coref_k8s.text.words import Span

Chains = list[list[Span]]


def baselines(document: Document, analysis: Analysis) -> Mapping[str, Chains]:
    """Return chains by baseline.

    From raw text: `equal` links equal noun runs, `alone` leaves every noun run and pronoun alone. On gold mentions:
    `gold_equal` links equal strings, `gold_alone` none.
    """
    runs = [(run.start, run.end) for run in analysis.noun_runs]
    pronouns = [(one.start, one.end) for one in analysis.pronouns]
    gold = list(dict.fromkeys((start, end) for start, end, _ in document.mentions()))
    return {
        "equal": linked_by_string(document.text, runs),
        "alone": alone([*runs, *pronouns]),
        "gold_equal": linked_by_string(document.text, gold),
        "gold_alone": alone(gold),
    }


def linked_by_string(text: str, mentions: Iterable[Span]) -> Chains:
    """Return mentions with equal strings as chains."""
    chains: dict[str, list[Span]] = {}
    for start, end in mentions:
        chains.setdefault(normalised(text[start:end]), []).append((start, end))
    return list(chains.values())


def alone(mentions: Iterable[Span]) -> Chains:
    """Return every mention as a chain of its own."""
    return [[mention] for mention in mentions]
