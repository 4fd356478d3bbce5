"""Coreference scores: predicted chains of character spans against gold ones."""

from coref_k8s.evaluation.coreference.result import CorefScores, compare_scores
from coref_k8s.evaluation.coreference.scoring import Key, score_documents

__all__ = ["CorefScores", "Key", "compare_scores", "score_documents"]
