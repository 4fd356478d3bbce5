"""Studies from Python on this machine, as a notebook has them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coref_k8s import CorefError, StudySpec, connect
from tests.cli.test_life_of_a_study import PROGRAM, ROOT, history, place, results, wait_for

__all__ = ["place"]

SPEC = {
    "seq_lengths": (512,), "trials": 2, "parallelism": 2, "model": "model",
    "search": {"sampler": "random"}, "data": {"sources": ({"source": "texts"},)},
}  # fmt: skip


def hold() -> Path:
    Path("data").mkdir(exist_ok=True)
    path = Path("data/hold")
    path.touch()
    return path


def begun() -> bool:
    return sum("begins" in line for line in history()) >= 3


def test_a_study_from_submit_to_the_report(place: Path) -> None:
    studies = connect()
    study = studies.submit("one", StudySpec(**SPEC))
    assert study.is_running
    seen: list[str] = []
    assert study.wait(on_event=lambda event: seen.append(event["section"])) is study
    assert study.phase == "Succeeded"
    assert seen[0] == "study_begin"
    assert seen[-1] == "study_end"
    assert len(results()) == 2
    trials = study.trials()
    assert list(trials["state"]) == ["complete", "complete"]
    assert trials["score"].is_monotonic_decreasing
    best = study.best(512)
    assert best["dev"]["score"] == trials["score"].max() == study.best()["dev"]["score"]
    assert best["folder"] == f"data/studies/one/512/{best['trial']}"
    assert study.report("x.html", lang="ko").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert list(study.logs(trial=0)) == [], "these trials write nothing"
    assert "2 / 2" in study._repr_html_()
    assert "one" in studies._repr_html_()
    assert [other.name for other in studies] == ["one"] == [other.name for other in studies.list()]
    assert study.export().name == "one.study"
    study.delete()
    assert len(studies) == 0


def test_without_pandas_trials_are_dicts(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    study = connect(local=True).submit(None, StudySpec(**SPEC)).wait()
    assert study.name.startswith("coref-")
    assert [row["trial"] for row in study.trials()] == [row["trial"] for row in study.trials(runs=True)]
    assert all(row["state"] == "complete" for row in study.trials())


def test_ctrl_c_leaves_a_study_that_resume_finishes(place: Path) -> None:
    held = hold()
    study = connect(data_dir="data").submit("one", StudySpec(**SPEC))
    wait_for(begun)
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        study.wait()
    assert not study.is_running
    assert study.phase == "Running"
    # whoever connects later finds it as it was left
    again = connect().get("one")
    held.unlink()
    again.resume().wait()
    assert again.phase == "Succeeded"
    assert len(results()) == 2 == len(set(results()))
    with pytest.raises(CorefError, match="has succeeded, nothing is left to do"):
        again.resume()
    assert again.extend(trials="+1").wait().phase == "Succeeded"
    assert len(again.trials()) == 3


def test_an_error_in_the_callback_stops_the_study_as_ctrl_c_does(place: Path) -> None:
    held = hold()
    study = connect().submit("one", StudySpec(**SPEC))

    def fails(event: Any) -> None:
        raise ValueError(event["section"])

    with pytest.raises(ValueError, match="study_begin"):
        study.wait(on_event=fails)
    assert not study.is_running
    held.unlink()
    assert study.resume().wait().phase == "Succeeded"


def test_a_script_that_ends_leaves_its_study_to_be_resumed(place: Path) -> None:
    held = hold()
    script = (
        f"import sys, time; sys.path.insert(0, {str(ROOT)!r}); from tests.cli.program import without_training; without_training()\n"
        "from pathlib import Path; from coref_k8s import connect, StudySpec\n"
        f"connect().submit('one', StudySpec(**{SPEC!r}))\n"
        "while sum('begins' in line for line in Path('data/history').read_text().splitlines()) < 3: time.sleep(0.05)\n"
    )
    Path("data/history").touch()
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    study = connect()["one"]
    assert (study.phase, study.is_running) == ("Running", False)
    held.unlink()
    assert study.wait().phase == "Succeeded", "nobody runs it, so whoever waits does"


def test_another_process_that_runs_it_is_only_watched(place: Path) -> None:
    held = hold()
    request = StudySpec(**SPEC).model_dump_json(by_alias=True, exclude_defaults=True)
    Path("study.yaml").write_text(request)
    submit = ["submit", "--local", "--file", "study.yaml", "--name", "one"]
    program = subprocess.Popen(
        [sys.executable, str(PROGRAM), *submit], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_for(begun)
    study = connect()["one"]
    assert study.is_running
    with pytest.raises(CorefError, match=f"process {program.pid}"):
        study.resume()
    study.cancel()
    assert study.wait().phase == "Cancelled"
    program.communicate(timeout=30)
    held.unlink()


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda s: s.get("on"), "there is no study 'on'; did you mean 'one'?"),
        (lambda s: s["one"].best(1024), "does not tune length 1024; it tunes 512"),
        (lambda s: s["one"].cancel(), "has ended already"),
        (lambda s: s["one"].extend(), "say what is to change: trials"),
        (lambda s: s["one"].extend(trials=1), "trials 1: study 'one' has begun 2 trials"),
        (lambda s: s["one"].report("no/such/folder.html"), "no/such/folder.html: No such file or directory"),
        (lambda s: list(s["one"].logs(trial=7)), "has no trial 7"),
        (lambda s: s["one"].train(seq_len=768), "does not tune length 768"),
        (lambda s: s["one"].ensemble(9), "fewer than"),
        (lambda s: s.submit("one", StudySpec(**SPEC)), "'one' exists already"),
        (lambda s: s.submit("One!", StudySpec(**SPEC)), "is not a DNS label"),
        (
            lambda s: s.submit("two", StudySpec(**{**SPEC, "model": "no/such"})),
            "'no/such' is not a folder here",
        ),
        (lambda s: s.dry_run("two", StudySpec(**SPEC)), "here coref-k8s plan"),
        (lambda s: connect("team", data_dir="data"), "data_dir and namespace contradict each other"),
        (lambda s: connect("team"), "no Kubernetes cluster is configured"),
        (lambda s: StudySpec(seq_lengths=(1000,)), "sequence length 1000 is not one of"),
        (lambda s: StudySpec(trails=3), "unknown key 'trails'; did you mean 'trials'?"),
        (lambda s: StudySpec(search={"sampler": "gps"}), "search.sampler"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    finished: Any, call: Callable[[Any], Any], sentence: str
) -> None:
    with pytest.raises(CorefError, match=re.escape(sentence)) as raised:
        call(finished)
    assert "\n" not in str(raised.value)
    assert [study.name for study in finished] == ["one"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The studies of a folder with one study that has succeeded."""
    with pytest.MonkeyPatch.context() as patch:
        life = place.__wrapped__ if hasattr(place, "__wrapped__") else place
        world = life(tmp_path_factory.mktemp("finished"), patch)
        next(world)
        studies = connect()
        studies.submit("one", StudySpec(**SPEC)).wait()
        yield studies
        next(world, None)


def test_what_will_not_work_as_asked_is_a_warning(place: Path) -> None:
    spec = StudySpec(**SPEC, pod={"gpus": 0}, limits={"max_gpu_hours": 1.0})
    with pytest.warns(UserWarning, match="a limit of GPU-hours never ends a study without GPUs"):
        study = connect().submit("one", spec)
    assert study.wait().phase == "Succeeded"


def test_importing_the_package_costs_nothing() -> None:
    code = (
        "import sys, coref_k8s; coref_k8s.__version__; dir(coref_k8s)\n"
        "print([m for m in ('torch', 'optuna', 'pandas', 'pydantic', 'sqlalchemy', 'rich') if m in sys.modules])\n"
        "from coref_k8s import connect, StudySpec; connect(local=True)\n"
        "print([m for m in ('torch', 'optuna', 'pandas', 'typer', 'rich') if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n[]\n"


def test_what_is_no_value_of_an_argument_is_one_sentence(place: Path) -> None:
    studies, spec = connect(data_dir="data"), StudySpec(**SPEC)
    calls: list[tuple[Callable[[], Any], str]] = [
        (lambda: studies.submit("one", SPEC), "spec must be of type StudySpec, not dict"),  # type: ignore[arg-type]
        (lambda: studies.plan("study.yaml"), "spec must be of type StudySpec, not str"),  # type: ignore[arg-type]
        (lambda: connect(data_dir=5), r"data_dir must be of type str \| PathLike \| None, not int"),  # type: ignore[arg-type]
        (lambda: connect(storage=7), r"storage must be of type str \| None, not int"),  # type: ignore[arg-type]
        (lambda: setattr(spec, "trials", 5), "a StudySpec cannot be changed"),
        (lambda: setattr(spec.search, "sampler", "gp"), "a SearchSpec cannot be changed"),
    ]
    for call, sentence in calls:
        with pytest.raises(CorefError, match=sentence):
            call()
    assert "one" not in studies
    study = studies.submit("one", spec)
    assert "one" in studies
    assert study in studies
    assert list(study.trials()["score"].dropna()) == [], "columns are there before trials are"
    study.wait()
    calls = [
        (lambda: study.best("512"), "seq_len must be of type int, not str"),  # type: ignore[arg-type]
        (lambda: study.ensemble(top=0), "top must be at least 2"),
        (lambda: study.train(name="Not A Name"), "'Not A Name' is not a DNS label"),
        (lambda: study.report("x.html", lang="de"), "lang de: the languages are en and ko"),  # type: ignore[arg-type]
    ]
    for call, sentence in calls:
        with pytest.raises(CorefError, match=sentence):
            call()
    study.delete()
    assert "there is no study &#x27;one&#x27;" in study._repr_html_(), "a notebook shows it, and no traceback"


def test_a_request_shows_what_was_given() -> None:
    shown = repr(StudySpec(seq_lengths=(512,), training={"max_steps": 3}))
    assert "seq_lengths=(512,)" in shown
    assert "max_steps=3" in shown
    assert "gpu_memory_gb" not in shown
    other = StudySpec(**{**dict(StudySpec(**SPEC)), "trials": 9})
    assert (other.trials, other.search.sampler) == (9, "random")
