"""The models of a length's best trials stay, those that fall behind go."""

from __future__ import annotations

from pathlib import Path

from coref_k8s.objects import Mirror
from coref_k8s.search.reporting import TrialReporter
from coref_k8s.search.storage import open_storage
from coref_k8s.search.studies import LengthStudy
from coref_k8s.settings import Settings
from coref_k8s.store import Phase, Store
from coref_k8s.study.names import Kind
from coref_k8s.study.order import Order
from coref_k8s.study.reading import build_spec
from coref_k8s.trial.keeping import drop_models
from tests.trial.conftest import RESOURCES

SPEC = build_spec(seq_lengths=[512], trials=4, training={"keep_models": 2}, search={"sampler": "random"})


def report(tmp_path: Path, *values: float) -> list[set[str]]:
    """Let trials of these scores end one after another; return whose models were there after each."""
    settings, spec = Settings(tmp_path, f"sqlite:///{tmp_path}/coref.db", None), SPEC
    trials = LengthStudy(open_storage(settings.storage_url), spec, "s", 512)
    kept = []
    for value in values:
        record = trials.ask()
        folder = tmp_path / f"studies/s/512/{record.number}"
        (folder / "model").mkdir(parents=True)
        (folder / "result.json").write_text("{}")
        TrialReporter(settings.storage_url, record.trial_id).result(value, {})
        order = Order(
            kind=Kind.TRIAL, study="s", spec=spec, seq_len=512, trial=record.number, resources=RESOURCES,
            workdir=f"studies/s/512/{record.number}",
        )  # fmt: skip
        drop_models(order, settings, Mirror(settings))
        kept.append({path.parent.name for path in tmp_path.glob("studies/s/512/*/model")})
    return kept


def test_models_that_fall_behind_are_deleted_and_nothing_else_is(tmp_path: Path) -> None:
    kept = report(tmp_path, 0.2, 0.4, 0.1, 0.3)
    assert kept == [{"0"}, {"0", "1"}, {"0", "1"}, {"1", "3"}]
    assert len(list(tmp_path.glob("studies/s/512/*/result.json"))) == 4


def test_members_of_an_ensemble_stay_until_it_has_ended(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/coref.db")
    for name, study, members in (("e", "s", [0, 1]), ("other", "t", [2, 3])):
        purpose = {"kind": "ensemble", "study": study, "trials": members}
        store.create_study("", name, build_spec(seq_lengths=[512], trials=1, purpose=purpose))
    assert report(tmp_path, 0.2, 0.1, 0.3, 0.4)[-1] == {"0", "1", "2", "3"}
    store.set_phase("", "e", Phase.SUCCEEDED)
    assert report(tmp_path, 0.5)[-1] == {"3", "4"}
    store.close()
