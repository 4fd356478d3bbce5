"""Coreference scores: predicted chains of character spans against gold ones."""

from coref_k8s.evaluation.coreference.result import CorefScores
from coref_k8s.evaluation.coreference.scoring import Key, score_documents

__all__ = ["CorefScores", "Key", "score_documents"]
