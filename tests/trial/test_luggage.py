"""What a job brings from object storage and keeps there, without the training in between; the store is a folder here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from coref_k8s.errors import SupersededError
from coref_k8s.objects import Place
from coref_k8s.settings import Settings
from coref_k8s.study.names import Kind
from coref_k8s.study.order import Order
from coref_k8s.study.spec import PurposeSpec, StudySpec
from coref_k8s.telemetry.bus import Bus
from coref_k8s.trial.luggage import Luggage
from coref_k8s.trial.signals import StopSignal
from tests.trial.conftest import RESOURCES

WORK = "studies/joined/512/0"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Those of a pod: an empty data folder, and a store."""
    return Settings(tmp_path / "pod", "sqlite://", None, object_store=f"file://{tmp_path}/kept")


@pytest.fixture
def place(settings: Settings, tmp_path: Path) -> Place:
    """The store, with two trials, prepared data and a model that somebody put there."""
    place = Place(settings.object_store or "")
    for number in (3, 5):
        put(
            place, tmp_path, f"studies/korean/512/{number}",
            "model/config.json", "items-dev.json", "losses.json", "checkpoints/step-1.pt",
        )  # fmt: skip
    put(place, tmp_path, "prepared/1", "statistics.json", "512/train.arrow")
    place._bucket.write("models/own/config.json", b"{}")
    return place


def put(place: Place, tmp_path: Path, name: str, *files: str) -> None:
    for file in files:
        path = tmp_path / "source" / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{name} {file}")
    place.put(name, tmp_path / "source" / name)


def order(kind: str, model: str = "/pod/models/own") -> Order:
    spec = StudySpec(
        seq_lengths=(512,),
        trials=1,
        model=model,
        purpose=PurposeSpec(kind=kind, study="korean", trials=(3, 5)),
    )
    return Order(
        kind=Kind.TRIAL, study="joined", spec=spec, seq_len=512, resources=RESOURCES, workdir=WORK,
        prepared="prepared/1",
    )  # fmt: skip


def files(folder: Path) -> set[str]:
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts)}


@pytest.mark.parametrize(
    ("kind", "of_parents"),
    [("ensemble", {"model/config.json", "items-dev.json"}), ("train", {"items-dev.json"})],
)
def test_a_job_brings_what_it_reads_and_no_more(
    settings: Settings, place: Place, kind: str, of_parents: set[str]
) -> None:
    luggage = Luggage(order(kind, f"{settings.data_dir}/models/own"), settings, Bus(None), StopSignal())
    luggage.bring()
    expected = {f"studies/korean/512/{number}/{file}" for number in (3, 5) for file in of_parents}
    expected |= {"prepared/1/statistics.json", "prepared/1/512/train.arrow", "models/own/config.json"}
    assert files(settings.data_dir) == expected


def test_a_study_may_start_from_the_model_of_another_ones_trial(settings: Settings, place: Place) -> None:
    start = "studies/korean/512/3/model"
    Luggage(order("train", f"{settings.data_dir}/{start}"), settings, Bus(None), StopSignal()).bring()
    assert (settings.data_dir / start / "config.json").is_file()
    assert not (settings.data_dir / "studies/korean/512/5/model").exists()


def test_what_is_kept_on_the_way_comes_back_and_a_result_without_its_checkpoints(
    settings: Settings, place: Place, tmp_path: Path
) -> None:
    def on(node: str) -> tuple[Luggage, Path]:
        here = Settings(tmp_path / node, "sqlite://", None, object_store=settings.object_store)
        return Luggage(order("train"), here, Bus(None), StopSignal()), here.data_dir / WORK

    first, folder = on("first")
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints/step-1.pt").write_text("half way")
    first.keep_on_the_way()
    second, folder = on("second")
    second.bring()
    assert files(folder) == {"checkpoints/step-1.pt"}
    (folder / "model").mkdir()
    (folder / "model/config.json").write_text("{}")
    (folder / "result.json").write_text("{}")
    second.keep_result()
    third, folder = on("third")
    third.bring()
    assert files(folder) == {"result.json"}  # enough to hand it in
    assert place.get(WORK, tmp_path / "look")
    assert files(tmp_path / "look") == {"result.json", "model/config.json"}


def test_an_attempt_that_was_given_up_keeps_nothing(settings: Settings, place: Place) -> None:
    @contextmanager
    def superseded() -> Iterator[None]:
        raise SupersededError("store.superseded")
        yield

    old = Luggage(order("train"), settings, Bus(None), StopSignal(), held=superseded)
    folder = settings.data_dir / WORK
    folder.mkdir(parents=True)
    (folder / "result.json").write_text("{}")
    for keep in (old.keep_on_the_way, old.keep_result):
        with pytest.raises(SupersededError):
            keep()
    assert not place.exists(WORK)
