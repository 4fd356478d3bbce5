"""`ItemSet`: every evaluation item of a document set, built once and stored with the prepared data.

The file is JSON with sorted keys, so its sha256 names the items that a result was computed on.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from coref_k8s.errors import DataError
from coref_k8s.evaluation import antecedent_items, coref_items, lambada_items, seed_items
from coref_k8s.evaluation.antecedent_items import AntecedentItem
from coref_k8s.evaluation.baselines import LISTED
from coref_k8s.evaluation.coref_items import CorefItem
from coref_k8s.evaluation.given import MIN_ITEMS
from coref_k8s.evaluation.lambada_items import LambadaItem
from coref_k8s.evaluation.seed_items import SeedItem
from coref_k8s.evaluation.table import DocumentTable, Workbench, prepare
from coref_k8s.evaluation.vocabulary import Vocabulary
from coref_k8s.text.document import Document
from coref_k8s.wording import Message

#: Changes whenever the same documents would give other items.
FORMAT = 5
#: Earlier versions, whose items can still be asked: a study that began with them goes on with them.
_EARLIER = (2, 3, 4)
#: Fewest first mentions that Coref F1 is given from: half of its items.
MIN_FIRSTS = MIN_ITEMS // 2
#: Documents looked at per item wanted: more documents make narrower intervals, and cost preparation time.
DOCUMENTS_PER_ITEM = 2


@dataclass(frozen=True)
class ItemSet:
    """Evaluation items of one document set, tokeniser and sequence length."""

    seq_len: int
    tokenizer: str
    """sha256 of the tokeniser."""
    seed: int
    tables: list[DocumentTable]
    coref: list[CorefItem]
    """Anaphoric items in sampled order: any beginning is balanced over buckets and documents."""
    firsts: list[CorefItem]
    """First mentions, the i-th paired with the anaphoric item `pairs[i]`."""
    pairs: list[int]
    """Indices into `coref` of the anaphoric items of Coref F1."""
    lambada: list[LambadaItem]
    seed_items: list[SeedItem]
    antecedents: list[AntecedentItem]
    """Gold mentions to be linked, in sampled order: any beginning has all types and documents."""
    frequent: list[str]
    """The constant list: the most frequent noun runs of the training documents (or of these, without them)."""
    noun_ids: list[int]
    """Token ids that Kiwi calls a noun, for the `seed_` metrics."""
    counts: dict[str, int] = field(default_factory=dict)
    """How many documents, noun runs and usable ones the items come from, and of gold mentions how many are such runs."""
    format: int = FORMAT
    """Version of the rules that made them."""

    @cached_property
    def payload(self) -> bytes:
        """The file's content."""
        record = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return json.dumps(
            record, default=_fields, ensure_ascii=False, sort_keys=True, separators=(",", ":")
        ).encode()

    @cached_property
    def sha256(self) -> str:
        """Hash of the item file."""
        return hashlib.sha256(self.payload).hexdigest()

    @property
    def ids(self) -> list[str]:
        """Ids of all items, sorted."""
        groups: tuple[Sequence[Any], ...] = (
            self.coref, self.firsts, self.lambada, self.seed_items, self.antecedents
        )  # fmt: skip
        kinds = ("coref", "first", "lambada", "seed", "antecedent")
        return sorted(
            f"{kind}/{item.id}" for kind, group in zip(kinds, groups, strict=True) for item in group
        )

    def remarks(self) -> Iterator[Message]:
        """Yield what is to be said of documents that offer too little, a sentence each."""
        gold, usable = self.counts.get("gold_mentions", 0), self.counts.get("usable_gold", 0)
        if 2 * usable < gold:
            yield Message.of("evaluation.few-askable", n=gold, share=usable / gold)
        if self.few_firsts:
            yield Message.of("evaluation.few-firsts", n=len(self.firsts), least=MIN_FIRSTS)

    @property
    def few_firsts(self) -> bool:
        """Whether first mentions are what Coref F1 lacks: half of its items would be too few."""
        return len(self.firsts) < min(MIN_FIRSTS, len(self.coref))

    def save(self, path: Path) -> Path:
        """Write the item file (whole or not at all); returns its path."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(path.name + ".part")
        unfinished.write_bytes(self.payload)
        unfinished.replace(path)
        return path

    @staticmethod
    def load(path: Path) -> ItemSet:
        """Read an item file. Raises DataError when it is missing, damaged or of another version."""
        try:
            record = json.loads(Path(path).read_bytes())
        except (OSError, ValueError) as error:
            raise DataError("evaluation.items-unreadable", path=str(path), why=str(error)) from error
        version = record.get("format") if isinstance(record, dict) else None
        if version in _EARLIER:
            record.pop("conll", None)  # gold mentions to be linked, which stood beside the items
        elif version != FORMAT:
            raise DataError("evaluation.items-of-another-version", path=str(path))
        record["tables"] = [_read(DocumentTable, entry) for entry in record["tables"]]
        for name, kind in _KINDS.items():
            record[name] = [_read(kind, entry) for entry in record.get(name, ())]
        return ItemSet(**record)


#: What the lists of an item file hold.
_KINDS: Mapping[str, type[Any]] = {
    "coref": CorefItem, "firsts": CorefItem, "lambada": LambadaItem, "seed_items": SeedItem, "antecedents": AntecedentItem
}  # fmt: skip


def build_items(
    documents: Iterable[Document],
    tokenizer: Any,
    seq_len: int,
    *,
    max_items: int = 200,
    seed: int = 0,
    frequent: Sequence[str] = (),
) -> ItemSet:
    """Build the items of a document set for one tokeniser and sequence length (tokens).

    `max_items` bounds each kind. `frequent` are the most frequent nouns of the training documents, for the
    constant-list baseline; those of these documents when there are none. Documents with gold
    clusters are judged by them, others by string identity. The same input gives the same file.
    """
    vocabulary = Vocabulary(tokenizer)
    chosen = _choose(list(documents), seq_len, max_items, seed)
    benches = [prepare(document, vocabulary) for document in chosen]
    released = [bench.document.answer is not None for bench in benches]
    ordinary = [(i, bench) for i, bench in enumerate(benches) if not released[i]]

    candidates = [item for i, bench in ordinary for item in coref_items.anaphoric(bench, i, seq_len)]
    coref = coref_items.sample(candidates, max_items, seed)
    pool = [item for i, bench in ordinary for item in coref_items.first_mentions(bench, i, seq_len)]
    paired = coref_items.pair(coref, pool)
    swaps = coref_items.swaps(coref, benches, vocabulary, seed)
    coref = [replace(item, swap=swaps.get(item.id)) for item in coref]
    order = {item.id: number for number, item in enumerate(coref)}

    passages = [
        item for i, bench in ordinary for item in lambada_items.from_document(bench, i, seq_len, vocabulary)
    ]
    passages += [
        item
        for i, bench in enumerate(benches)
        if released[i] and (item := lambada_items.from_released(bench, i, seq_len)) is not None
    ]
    lambada = lambada_items.sample(passages, max_items, seed)
    seeds = [
        item
        for i, bench in enumerate(benches)
        for item in seed_items.from_document(
            bench, [entry for entry in lambada if entry.document == i], seq_len, vocabulary
        )
    ]
    mentions = [
        item
        for i, bench in ordinary
        for item in antecedent_items.antecedent_items(bench, i, seq_len, vocabulary)
    ]
    return ItemSet(
        seq_len=seq_len,
        tokenizer=vocabulary.sha256,
        seed=seed,
        tables=[bench.table for bench in benches],
        coref=coref,
        firsts=[first for _, first in paired],
        pairs=[order[item.id] for item, _ in paired],
        lambada=lambada,
        seed_items=seed_items.sample(seeds, max_items, seed),
        antecedents=antecedent_items.sample(mentions, max_items, seed),
        frequent=list(frequent[:LISTED]) or _frequent_of(benches),
        noun_ids=seed_items.noun_ids(vocabulary) if seeds else [],
        counts={
            "documents": len(benches),
            "runs": sum(bench.runs for bench in benches),
            "usable_runs": sum(len(bench.mentions) for bench in benches),
            "gold_mentions": sum(bench.gold for bench in benches),
            "usable_gold": sum(bench.usable_gold for bench in benches),
            "coref_candidates": len(candidates),
            "lambada_candidates": len(passages),
            **Counter(f"antecedents_{item.type}" for item in mentions),
        },
    )


def _choose(documents: list[Document], seq_len: int, max_items: int, seed: int) -> list[Document]:
    """A seeded choice of documents when there are many: those as long as the window first."""
    ordered = sorted(documents, key=lambda document: document.doc_id)
    random.Random(seed).shuffle(ordered)
    # A token is rarely shorter than one character, so these may fill a window.
    ordered.sort(key=lambda document: len(document.text) < seq_len)
    return ordered[: DOCUMENTS_PER_ITEM * max_items]


def _frequent_of(benches: Sequence[Workbench]) -> list[str]:
    counts = Counter(run.text for bench in benches for run in bench.analysis.noun_runs)
    return [word for word, _ in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))[:LISTED]]


def _fields(part: Any) -> dict[str, Any]:
    """Return what is written of an item or table: no copy of millions of numbers; whole documents are of no group."""
    found = vars(part)
    return (
        {key: value for key, value in found.items() if key != "group"} if found.get("group") == "" else found
    )


def _read(kind: type[Any], entry: dict[str, Any]) -> Any:
    """Make a dataclass of a JSON object; JSON has no tuples, so spans are turned back into them."""
    spans = {"window", "target", "antecedent", "passage", "sentence"}
    lists = {"runs", "earlier"}
    return kind(
        **{
            key: tuple(value)
            if key in spans and value is not None
            else [tuple(part) for part in value]
            if key in lists
            else value
            for key, value in entry.items()
        }
    )
