"""Our own tables: studies and the attempts at their trials. The trials themselves are Optuna's.

Same database as Optuna's, different tables, no Optuna import: listing studies stays fast.
"""

from coref_k8s.store.records import TERMINAL, AttemptRecord, Outcome, Phase, StudyRecord
from coref_k8s.store.store import Store

__all__ = ["TERMINAL", "AttemptRecord", "Outcome", "Phase", "Store", "StudyRecord"]
