"""The three patches that are not server-side apply: JSON merge, JSON patch and strategic merge."""

from __future__ import annotations

import copy
from typing import Any

from tests.kube.errors import ApiError
from tests.kube.lists import strategic_keys

Json = dict[str, Any]


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386: null removes, maps merge, everything else replaces."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def strategic_merge(target: Any, patch: Any, path: tuple[str, ...] = ()) -> Any:
    """Merge patch, but lists with a merge key merge item by item (`$patch: delete` removes one)."""
    if isinstance(patch, list):
        keys = strategic_keys(path)
        if keys == "set":
            return [*(target or []), *(v for v in patch if v not in (target or []))]
        if keys is None:
            return copy.deepcopy(patch)
        items = list(target or [])
        for item in patch:
            found = next(
                (i for i, old in enumerate(items) if all(old.get(k) == item.get(k) for k in keys)), None
            )
            if item.get("$patch") == "delete":
                if found is not None:
                    del items[found]
            elif found is None:
                items.append(strategic_merge({}, item, path))
            else:
                items[found] = strategic_merge(items[found], item, path)
        return items
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if key.startswith("$setElementOrder/"):
            continue
        if key.startswith("$deleteFromPrimitiveList/"):
            name = key.split("/", 1)[1]
            result[name] = [v for v in result.get(name, []) if v not in value]
        elif value is None:
            result.pop(key, None)
        else:
            result[key] = strategic_merge(result.get(key), value, (*path, key))
    return result


def _steps(pointer: str) -> list[str]:
    if pointer == "":
        return []
    return [p.replace("~1", "/").replace("~0", "~") for p in pointer.split("/")[1:]]


def _get(document: Any, steps: list[str]) -> Any:
    for step in steps:
        document = document[int(step)] if isinstance(document, list) else document[step]
    return document


def _put(document: Any, steps: list[str], value: Any, insert: bool) -> Any:
    if not steps:
        return value
    parent, last = _get(document, steps[:-1]), steps[-1]
    if isinstance(parent, list):
        if last == "-":
            parent.append(value)
        elif insert:
            parent.insert(int(last), value)
        else:
            parent[int(last)] = value
    else:
        if not insert and last not in parent:
            raise KeyError(last)
        parent[last] = value
    return document


def _remove(document: Any, steps: list[str]) -> Any:
    parent, last = _get(document, steps[:-1]), steps[-1]
    return parent.pop(int(last)) if isinstance(parent, list) else parent.pop(last)


def json_patch(target: Json, operations: list[Json]) -> Json:
    """RFC 6902; an operation that does not fit is refused with 422, as the real server does."""
    document = copy.deepcopy(target)
    for operation in operations:
        op, steps = operation["op"], _steps(operation["path"])
        try:
            if op in ("add", "replace"):
                document = _put(document, steps, copy.deepcopy(operation["value"]), op == "add")
            elif op == "remove":
                _remove(document, steps)
            elif op == "test":
                if _get(document, steps) != operation["value"]:
                    raise KeyError(operation["path"])
            elif op in ("move", "copy"):
                source = _steps(operation["from"])
                value = copy.deepcopy(_get(document, source))
                if op == "move":
                    _remove(document, source)
                document = _put(document, steps, value, True)
        except (KeyError, IndexError, ValueError, TypeError):
            message = (
                f'the server rejected our request due to an error in our request: {op} "{operation["path"]}"'
            )
            raise ApiError(422, "Invalid", message) from None
    return document
