"""The content hash under which prepared data are kept: everything that their bytes depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from coref_k8s.corpus.filtering import text_key
from coref_k8s.corpus.generated import is_generated
from coref_k8s.corpus.local import content_hash, is_local
from coref_k8s.corpus.shipped import shipped_documents
from coref_k8s.errors import DataError
from coref_k8s.study.spec import DatasetConfig, StudySpec
from coref_k8s.text.document import Split
from coref_k8s.text.tokenisers import rules_of

#: Raised whenever the code writes other data from the same input.
CODE_VERSION = 7


def tokenizer_fingerprint(tokenizer: Any) -> str:
    """Return a hash of what a tokeniser does: its vocabulary, rules and special tokens."""
    special = json.dumps({name: str(token) for name, token in sorted(tokenizer.special_tokens_map.items())})
    return hashlib.sha256(f"{rules_of(tokenizer)}\0{special}".encode()).hexdigest()[:16]


def data_hash(
    spec: StudySpec,
    tokenizer: Any,
    revisions: Mapping[int, str],
    lost: Mapping[int, int] | None = None,
    held_out: Mapping[str, Split] | None = None,
) -> str:
    """Return the hash of a request's data. `revisions` are the commits of its hub sources, by place.

    `lost` are sources that failed after so many documents: what is left is not what was asked for, and so
    has another hash. `held_out` are texts whose split was fixed elsewhere.
    """
    # what only the other task reads is left out; a request of task mentions hashes as before there were two
    others = {"singletons"} if spec.task == "mentions" else {"singletons", "packing", "eval_items"}
    data = spec.data.model_dump(mode="json", exclude={"choices", "sources", *others})
    key: dict[str, Any] = {
        "code": CODE_VERSION,
        "tokenizer": tokenizer_fingerprint(tokenizer),
        "lengths": list(spec.seq_lengths),
        "seed": spec.seed,
        "data": data,
        "sources": [
            [
                config.model_dump(mode="json", exclude={"revision"}),
                _content(config, revisions.get(place), (lost or {}).get(place)),
            ]
            for place, config in enumerate(spec.data.sources)
        ],
    }
    if spec.task != "mentions":
        key |= {"task": spec.task, "singletons": spec.data.singletons != "drop"}
    if held_out:
        key["held_out"] = sorted([text_key(text).hex(), split] for text, split in held_out.items())
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]


def _content(config: DatasetConfig, revision: str | None, lost: int | None) -> str:
    what, known = _source(config, revision)
    # what could not be read when the hash was asked for is in it already
    return what if lost is None or not known else f"{what}, lost after {lost} documents"


def _source(config: DatasetConfig, revision: str | None) -> tuple[str, bool]:
    """Return what stands for a source's content, and whether that is known."""
    if is_generated(config.source):
        digest = hashlib.sha256()
        for document in shipped_documents():
            digest.update(f"{document.doc_id} {document.split} {document.text}".encode())
        return digest.hexdigest(), True
    if is_local(config.source):
        try:
            return content_hash(config.source), True
        except (DataError, OSError) as error:
            return f"unreadable: {error}", False
    # an unreachable hub gives other data than a reachable one, and so another hash
    return revision or "unresolved", revision is not None
