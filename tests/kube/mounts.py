"""A pod's volumes as directories of this machine, and its paths and variables rewritten to find them.

A container sees `/data`; the process sees a directory below the kubelet's root. So every argument and every
environment value in which a mount path stands (alone, or before a `/`, or inside JSON or a list) is rewritten. What a
program has built in is not: trial programs take their directories from their order.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

Json = dict[str, Any]
#: This checkout: a program of the tests is meant where it is, also when that lies below a mount path such as /tmp.
CHECKOUT = Path(__file__).parents[2]
#: Fetches ("secrets" | "configmaps", name): the object, or None when there is none.
Fetch = Callable[[str, str], Json | None]


class NotReadyError(Exception):
    """A volume or variable cannot be made yet; `reason` is the kubelet's word for the state."""

    def __init__(self, reason: str, message: str):
        super().__init__(message)
        self.reason, self.message = reason, message


class Mounts:
    """The volumes of one pod below `root`; claims and so shared data below `claims`."""

    def __init__(self, pod: Json, root: Path, claims: Path, fetch: Fetch):
        self._pod, self._root, self._fetch = pod, root, fetch
        namespace = pod["metadata"]["namespace"]
        self._directories = {
            volume["name"]: self._make(volume, claims / namespace)
            for volume in pod["spec"].get("volumes") or ()
        }

    def close(self) -> None:
        """Remove what lives as long as the pod: everything but claims."""
        shutil.rmtree(self._root, ignore_errors=True)

    def paths(self, container: Json) -> dict[str, Path]:
        """Mount path in the container → directory or file here."""
        found = {}
        for mount in container.get("volumeMounts") or ():
            if mount["name"] not in self._directories:
                continue
            place = self._directories[mount["name"]]
            if sub := mount.get("subPath"):
                place = place / sub
                if not place.exists():
                    place.mkdir(parents=True)
            found[mount["mountPath"].rstrip("/")] = place
        return found

    def _make(self, volume: Json, claims: Path) -> Path:
        place = self._root / volume["name"]
        if claim := volume.get("persistentVolumeClaim"):
            place = claims / claim["claimName"]
            place.mkdir(parents=True, exist_ok=True)
            return place
        if host := volume.get("hostPath"):
            return Path(host["path"])
        place.mkdir(parents=True, exist_ok=True)
        if secret := volume.get("secret"):
            self._write("secrets", secret["secretName"], secret, place)
        elif config := volume.get("configMap"):
            self._write("configmaps", config["name"], config, place)
        elif projected := volume.get("projected"):
            for source in projected["sources"]:
                for kind, plural in (("secret", "secrets"), ("configMap", "configmaps")):
                    if kind in source:
                        self._write(plural, source[kind]["name"], source[kind] | {"optional": True}, place)
        elif downward := volume.get("downwardAPI"):
            for item in downward.get("items") or ():
                value = field(self._pod, item["fieldRef"]["fieldPath"]) if "fieldRef" in item else ""
                (place / item["path"]).write_text(value)
        return place

    def _write(self, plural: str, name: str, volume: Json, place: Path) -> None:
        data = contents(self._fetch(plural, name), plural)
        kind = plural.removesuffix("s")
        if data is None:
            if volume.get("optional"):
                return
            raise NotReadyError("ContainerCreating", f'MountVolume.SetUp failed: {kind} "{name}" not found')
        items = volume.get("items") or [{"key": k, "path": k} for k in data]
        for item in items:
            if item["key"] not in data:
                if volume.get("optional"):
                    continue
                why = f"references non-existent {kind} key: {item['key']}"
                raise NotReadyError("ContainerCreating", f"MountVolume.SetUp failed: {why}")
            target = place / item["path"]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data[item["key"]])


def contents(obj: Json | None, plural: str) -> dict[str, bytes] | None:
    """The files of a Secret or ConfigMap."""
    if obj is None:
        return None
    if plural == "secrets":
        return {k: base64.b64decode(v) for k, v in (obj.get("data") or {}).items()}
    texts = {k: v.encode() for k, v in (obj.get("data") or {}).items()}
    return texts | {k: base64.b64decode(v) for k, v in (obj.get("binaryData") or {}).items()}


def remap(text: str, paths: dict[str, Path]) -> str:
    """`text` with every mount path in it replaced by its directory here, longest first."""
    if not paths:
        return text
    longest = sorted(paths, key=len, reverse=True)
    own = rf"(?!{re.escape(str(CHECKOUT))}(?![\w.-]))"
    pattern = rf"(?<![\w./-]){own}(" + "|".join(map(re.escape, longest)) + r")(?![\w.-])"
    return re.sub(pattern, lambda match: str(paths[match[1]]), text)


def field(pod: Json, path: str) -> str:
    """A downward API field: metadata.name, metadata.labels['x'], spec.nodeName, status.podIP…"""
    if match := re.fullmatch(r"metadata\.(labels|annotations)\['([^']+)'\]", path):
        return str((pod["metadata"].get(match[1]) or {}).get(match[2], ""))
    at: Any = pod
    for step in path.split("."):
        at = at.get(step, "") if isinstance(at, dict) else ""
    return json.dumps(at) if isinstance(at, dict) else str(at)


def environment(pod: Json, container: Json, fetch: Fetch, paths: dict[str, Path]) -> dict[str, str]:
    """The container's variables, `$(NAME)` expanded, mount paths rewritten."""
    values: dict[str, str] = {}
    for source in container.get("envFrom") or ():
        for kind, plural in (("secretRef", "secrets"), ("configMapRef", "configmaps")):
            if kind in source:
                data = contents(fetch(plural, source[kind]["name"]), plural) or {}
                values |= {source.get("prefix", "") + k: v.decode() for k, v in data.items()}
    for entry in container.get("env") or ():
        value = _value(pod, container, entry, fetch)
        if value is not None:
            values[entry["name"]] = expand(remap(value, paths), values)
    return values


def expand(text: str, values: dict[str, str]) -> str:
    # as Kubernetes does it: $$ is a dollar, $(NAME) a variable, $(UNKNOWN) stays
    return re.sub(r"\$(?:\$|\((\w+)\))", lambda m: "$" if m[1] is None else values.get(m[1], m[0]), text)


def _value(pod: Json, container: Json, entry: Json, fetch: Fetch) -> str | None:
    source = entry.get("valueFrom")
    if not source:
        return str(entry.get("value", ""))
    if "fieldRef" in source:
        return field(pod, source["fieldRef"]["fieldPath"])
    if "resourceFieldRef" in source:
        kind, _, name = source["resourceFieldRef"]["resource"].partition(".")
        return str(container.get("resources", {}).get(kind, {}).get(name, ""))
    for kind, plural in (("secretKeyRef", "secrets"), ("configMapKeyRef", "configmaps")):
        if kind in source:
            ref = source[kind]
            data = contents(fetch(plural, ref["name"]), plural)
            if data is not None and ref["key"] in data:
                return data[ref["key"]].decode()
            if ref.get("optional"):
                return None
            why = f'{plural.removesuffix("s")} "{ref["name"]}" or its key {ref["key"]} not found'
            raise NotReadyError("CreateContainerConfigError", why)
    return None
