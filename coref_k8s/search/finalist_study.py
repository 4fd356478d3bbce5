"""The runs of one length's finalists in the storage: an Optuna study beside that of its trials.

A run is a trial there like any other, so reports, retries, memory tiers and accounts need to know nothing new;
role, seed and parameters are attributes. The verdict is an attribute of the study.
"""

from __future__ import annotations

from optuna.storages import RDBStorage
from optuna.trial import TrialState as OptunaState
from optuna.trial import create_trial

from coref_k8s.search.finalists import Run, missing_runs
from coref_k8s.search.records import PARAMS_ATTR, ROLE_ATTR, SEED_ATTR, TRIAL_ATTR, TrialRecord
from coref_k8s.search.storage import guarded
from coref_k8s.search.stored import FINALISTS, VERDICT_ATTR, optuna_study_name
from coref_k8s.search.trials import Trials, read_trials
from coref_k8s.search.verdict import Verdict
from coref_k8s.study.spec import StudySpec
from coref_k8s.wording import NOTHING, Message

#: Why a finalist's run is given up.
OUTDONE = Message.of("search.no-finalist-any-more")


class FinalistStudy(Trials):
    """The runs of one length. Every method may raise StorageError. One process at a time may add."""

    def __init__(
        self, storage: RDBStorage, spec: StudySpec, study: str, seq_len: int, namespace: str = ""
    ) -> None:
        super().__init__(storage, optuna_study_name(namespace, study, seq_len, FINALISTS), seq_len)
        self.spec = spec

    def add(self, run: Run) -> TrialRecord:
        """Open a run and return it; one that was begun already is returned as it is."""
        for known in reversed(self.trials()):
            if not missing_runs([run], [known]):
                return known
        facts = {
            ROLE_ATTR: run.role.value,
            TRIAL_ATTR: run.of_trial,
            SEED_ATTR: run.seed,
            PARAMS_ATTR: run.params,
        }
        with guarded():
            self.storage.create_new_trial(
                self._memory.study_id, create_trial(state=OptunaState.RUNNING, user_attrs=facts)
            )
        return self.trials()[-1]

    def should_prune(self, record: TrialRecord) -> bool:
        """Return False: a run has one evaluation, its last."""
        return False

    def prune(self, number: int, reason: Message = NOTHING) -> None:
        """Close a run whose trial is no finalist any more."""
        super().prune(number, reason or OUTDONE)

    def verdict(self) -> Verdict | None:
        """Return the verdict that was written last."""
        return _verdict(self.storage, self._memory.study_id)


def read_runs(storage: RDBStorage, study: str, seq_len: int, namespace: str = "") -> list[TrialRecord]:
    """Return the runs of a length's finalists without opening them for more; none when none was begun."""
    return read_trials(storage, study, seq_len, namespace, part=FINALISTS)


def write_verdict(storage: RDBStorage, study: str, verdict: Verdict, namespace: str = "") -> None:
    """Write a length's verdict; an earlier one is replaced. Raises StorageError."""
    with guarded():
        study_id = storage.get_study_id_from_name(
            optuna_study_name(namespace, study, verdict.seq_len, FINALISTS)
        )
        storage.set_study_user_attr(study_id, VERDICT_ATTR, verdict.to_dict())


def _verdict(storage: RDBStorage, study_id: int) -> Verdict | None:
    with guarded():
        data = storage.get_study_user_attrs(study_id).get(VERDICT_ATTR)
    return None if data is None else Verdict.from_dict(data)
