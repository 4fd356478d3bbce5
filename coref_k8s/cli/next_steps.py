"""What can be typed next."""

from __future__ import annotations

from coref_k8s.cli.console import note, suggest
from coref_k8s.cli.speech import said
from coref_k8s.client.backend import Backend
from coref_k8s.controller.view import StudyView
from coref_k8s.store.records import Phase


def tell_if_left(backend: Backend, name: str) -> None:
    """Say why what was asked of a study is not taken up, where nobody does."""
    if why := backend.taken_up(name):
        note(said(why), style="yellow")


def suggest_next(backend: Backend, view: StudyView, *, after: str = "") -> None:
    """Say what can be done with a study now; not the command `after` which that is said."""
    running = not view.ended and backend.is_running(view.name)
    steps = [*_steps(view, running), *_uses(backend, view)]
    suggest(*(step for step in steps if step.partition(" ")[0] != after))


def _steps(view: StudyView, running: bool) -> list[str]:
    name, best = view.name, any(one.best for one in view.lengths)
    steps = [f"watch {name}", f"logs {name} -f"] if running else []
    if not running and view.phase is not Phase.SUCCEEDED:
        steps += [f"status {name}", f"logs {name}", f"resume {name}"]
    if best:
        steps += [f"results {name}", f"best {name}", f"report {name}"]
    if view.phase is Phase.SUCCEEDED and view.spec.purpose.kind == "search":
        lengths = view.spec.seq_lengths
        which = f" --seq-len {lengths[-1]}" if len(lengths) > 1 else ""
        steps.append(f"train {name} --from-best{which}")
    return steps


def _uses(backend: Backend, view: StudyView) -> list[str]:
    """Return what the model of a study that has succeeded is there for."""
    if view.phase is not Phase.SUCCEEDED or not any(one.best for one in view.lengths):
        return []
    if view.spec.task == "coreference":
        # reads the folder of this machine
        return [f"resolve {view.name} TEXT.txt"] if backend.here else []
    if view.spec.purpose.kind == "ensemble":
        return []
    length = view.spec.seq_lengths[-1]
    model = f"{view.name}/{length}"
    here = " --local" if backend.here else ""
    return [f"submit{here} --task coreference --seq-lengths {length} --model {model} --data CHAINS"]
