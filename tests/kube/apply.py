"""Server-side apply and field ownership (`metadata.managedFields`).

A field set is a set of paths; a path is a tuple of FieldsV1 steps (`f:spec`, `k:{"name":"main"}`, `v:"x"`).
Mirrors structured-merge-diff in what a controller can notice: merging, giving up fields, conflicts, force.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.kube.errors import ApiError
from tests.kube.lists import list_keys
from tests.kube.resources import Resource
from tests.kube.store import now

Json = dict[str, Any]
Path = tuple[str, ...]
_UNOWNED = {
    "name", "namespace", "uid", "resourceVersion", "creationTimestamp", "generation", "managedFields",
    "deletionTimestamp", "deletionGracePeriodSeconds", "generateName", "selfLink",
}  # fmt: skip


@dataclass(frozen=True)
class Manager:
    """Who writes: one entry of managedFields."""

    name: str
    operation: str  # Apply | Update
    subresource: str = ""


def _item_key(keys: tuple[str, ...], item: Json) -> str:
    return "k:" + json.dumps({k: item[k] for k in keys if k in item}, separators=(",", ":"), sort_keys=True)


def _names(path: Path) -> tuple[str, ...]:
    return tuple(step[2:] for step in path if step.startswith("f:"))


def _leaves(resource: Resource, value: Any, path: Path) -> Iterator[Path]:
    if isinstance(value, dict) and value:
        for key, child in value.items():
            yield from _leaves(resource, child, (*path, f"f:{key}"))
        return
    if isinstance(value, list):
        keys = list_keys(resource, _names(path))
        if keys == "set":
            yield from ((*path, "v:" + json.dumps(v)) for v in value)
            return
        if keys and all(isinstance(item, dict) for item in value):
            for item in value:
                step = (*path, _item_key(keys, item))
                yield (*step, ".")
                yield from _leaves(resource, item, step)
            return
    yield path


def owned(resource: Resource, obj: Json, subresource: str = "") -> set[Path]:
    """Every field of `obj` that a writer through `subresource` can own."""
    paths: set[Path] = set()
    for key, value in obj.items():
        if key in ("apiVersion", "kind") or (subresource == "status") != (key == "status"):
            continue
        paths |= set(_leaves(resource, value, (f"f:{key}",)))
    return {p for p in paths if not (p[0] == "f:metadata" and (len(p) == 1 or p[1][2:] in _UNOWNED))}


def to_fields_v1(paths: set[Path]) -> Json:
    tree: Json = {}
    for path in sorted(paths):
        at = tree
        for step in path:
            at = at.setdefault(step, {})
    return tree


def from_fields_v1(tree: Json, path: Path = ()) -> set[Path]:
    paths: set[Path] = set()
    for step, below in tree.items():
        if step == "." and path and not path[-1].startswith("k:"):
            continue  # "the map itself": ownership of its fields is enough here
        paths |= from_fields_v1(below, (*path, step)) if below else {(*path, step)}
    return paths


def managers(obj: Json) -> dict[Manager, set[Path]]:
    return {
        Manager(e["manager"], e["operation"], e.get("subresource", "")): from_fields_v1(e["fieldsV1"])
        for e in obj["metadata"].get("managedFields") or ()
    }


def with_managers(obj: Json, sets: dict[Manager, set[Path]], changed: Manager) -> Json:
    times = {
        (e["manager"], e["operation"], e.get("subresource", "")): e["time"]
        for e in obj["metadata"].get("managedFields") or ()
    }
    entries = []
    for manager, paths in sets.items():
        if not paths:
            continue
        key = (manager.name, manager.operation, manager.subresource)
        entry = {
            "manager": manager.name,
            "operation": manager.operation,
            "apiVersion": obj["apiVersion"],
            "time": now() if manager == changed else times.get(key, now()),
            "fieldsType": "FieldsV1",
            "fieldsV1": to_fields_v1(paths),
        }
        if manager.subresource:
            entry["subresource"] = manager.subresource
        entries.append(entry)
    return {**obj, "metadata": {**obj["metadata"], "managedFields": entries}}


_ABSENT = object()


def _find(value: Any, path: Path) -> Any:
    for step in path:
        if step == ".":
            return True  # existence of the item is all that is owned
        if step.startswith("f:"):
            if not isinstance(value, dict) or step[2:] not in value:
                return _ABSENT
            value = value[step[2:]]
        elif not isinstance(value, list):
            return _ABSENT
        elif step.startswith("v:"):
            return step if json.loads(step[2:]) in value else _ABSENT
        else:
            wanted = json.loads(step[2:])
            value = next((i for i in value if all(i.get(k) == v for k, v in wanted.items())), _ABSENT)
            if value is _ABSENT:
                return _ABSENT
    return value


def _drop(obj: Json, path: Path) -> None:
    parent_path, last = (path[:-2], path[-2]) if path[-1] == "." else (path[:-1], path[-1])
    parent = _find(obj, parent_path)
    if parent is _ABSENT:
        return
    if last.startswith("f:") and isinstance(parent, dict):
        parent.pop(last[2:], None)
    elif isinstance(parent, list):
        wanted = json.loads(last[2:])
        same = (
            (lambda i: i == wanted)
            if last.startswith("v:")
            else (lambda i: all(i.get(k) == v for k, v in wanted.items()))
        )
        parent[:] = [i for i in parent if not same(i)]


def _merge(resource: Resource, live: Any, config: Any, path: Path) -> Any:
    if isinstance(config, dict):
        result = dict(live) if isinstance(live, dict) else {}
        for key, value in config.items():
            result[key] = _merge(resource, result.get(key), value, (*path, f"f:{key}"))
        return result
    if isinstance(config, list) and isinstance(live, list):
        keys = list_keys(resource, _names(path))
        if keys == "set":
            return [*live, *(v for v in config if v not in live)]
        if keys:
            items = list(live)
            for item in config:
                key = _item_key(keys, item)
                at = next((i for i, old in enumerate(items) if _item_key(keys, old) == key), None)
                if at is None:
                    items.append(copy.deepcopy(item))
                else:
                    items[at] = _merge(resource, items[at], item, (*path, key))
            return items
    return copy.deepcopy(config)


def dotted(path: Path) -> str:
    """A path as conflict messages write it: `.spec.trials`, `.status.conditions[type="Ready"].status`."""
    text = ""
    for step in path:
        if step.startswith("f:"):
            text += "." + step[2:]
        elif step.startswith("k:"):
            text += "[" + ",".join(f"{k}={json.dumps(v)}" for k, v in json.loads(step[2:]).items()) + "]"
    return text


def apply(resource: Resource, live: Json, config: Json, manager: Manager, force: bool) -> Json:
    """The live object with `config` applied; 409 when another manager owns a field that would change."""
    sets = managers(live)
    mine_before = sets.get(manager, set())
    mine = owned(resource, config, manager.subresource)
    clashes: dict[Manager, list[Path]] = {}
    for other, paths in sets.items():
        if other == manager:
            continue
        taken = [p for p in sorted(paths & mine) if p[-1] != "." and _find(live, p) != _find(config, p)]
        if taken:
            clashes[other] = taken
            sets[other] = paths - set(taken)
    if clashes and not force:
        raise _apply_conflict(clashes)
    body = {k: v for k, v in config.items() if k not in ("metadata",)}
    if manager.subresource == "status":
        body = {"status": config.get("status", {})}
    else:
        body.pop("status", None)
        given = {k: v for k, v in config.get("metadata", {}).items() if k not in _UNOWNED}
        body["metadata"] = given
    merged = copy.deepcopy(_merge(resource, live, body, ()))
    for field in ("resourceVersion", "uid"):  # preconditions, checked by the write that follows
        if field in config.get("metadata", {}):
            merged["metadata"][field] = config["metadata"][field]
    others = set().union(*(paths for other, paths in sets.items() if other != manager))
    for path in sorted(mine_before - mine - others, key=lambda p: p[-1] != "."):
        _drop(merged, path)
    sets[manager] = mine
    return with_managers(merged, sets, manager)


def _differing(old: Json, new: Json) -> tuple[Json, Json]:
    """Both without the top-level fields that are the same in both."""
    same = {k for k in old if k in new and k != "metadata" and old[k] == new[k]}
    return {k: v for k, v in old.items() if k not in same}, {k: v for k, v in new.items() if k not in same}


def track_update(resource: Resource, old: Json | None, new: Json, manager: Manager) -> Json:
    """After a plain write: the writer owns what it changed, others lose it."""
    sets = {m: set(p) for m, p in managers(old or new).items()}
    if old:  # parts that are equal need no walk; metadata stays for its labels and the like
        old, new_part = _differing(old, new)
    else:
        new_part = new
    before = owned(resource, old, manager.subresource) if old else set()
    after = owned(resource, new_part, manager.subresource)
    changed = {p for p in after if old is None or p not in before or _find(old, p) != _find(new, p)}
    gone = before - after
    if not changed and not gone:
        return with_managers(new, sets, manager) if old is None else _keep_managers(old, new)
    for other in sets:
        if other != manager:
            sets[other] = sets[other] - changed - gone
    sets[manager] = (sets.get(manager, set()) - gone) | changed
    return with_managers(new, sets, manager)


def _keep_managers(old: Json, new: Json) -> Json:
    metadata = {k: v for k, v in new["metadata"].items() if k != "managedFields"}
    if "managedFields" in old["metadata"]:
        metadata["managedFields"] = old["metadata"]["managedFields"]
    return {**new, "metadata": metadata}


def _apply_conflict(clashes: dict[Manager, list[Path]]) -> ApiError:
    count = sum(len(p) for p in clashes.values())
    causes, lines = [], []
    for manager, paths in clashes.items():
        using = f' with subresource "{manager.subresource}"' if manager.subresource else ""
        lines.append(f'conflict with "{manager.name}"{using}: ' + ", ".join(dotted(p) for p in paths))
        causes += [
            {
                "reason": "FieldManagerConflict",
                "message": f'conflict with "{manager.name}"',
                "field": dotted(p),
            }
            for p in paths
        ]
    noun = "conflict" if count == 1 else "conflicts"
    message = f"Apply failed with {count} {noun}: " + "; ".join(lines)
    return ApiError(409, "Conflict", message, {"causes": causes})
