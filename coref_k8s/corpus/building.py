"""The stages of one preparation, from sources to rows, or to whole documents with chains."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from coref_k8s.corpus.chains import ChainCounts, Measure, without_singletons
from coref_k8s.corpus.chunking import chunk
from coref_k8s.corpus.duplicates import near_duplicates, sketch
from coref_k8s.corpus.encoding import Encoded, encode
from coref_k8s.corpus.filtering import PRIORITY, Filters
from coref_k8s.corpus.fingerprint import CODE_VERSION, data_hash, tokenizer_fingerprint
from coref_k8s.corpus.intake import Intake, check_splits, unusable
from coref_k8s.corpus.packing import SPECIALS, Packer, Piece
from coref_k8s.corpus.parallel import analyse_all
from coref_k8s.corpus.prepared import documents_path, rows_path, write_documents
from coref_k8s.corpus.progress import Reporter
from coref_k8s.corpus.quality import Analysed
from coref_k8s.corpus.rows import RowWriter, make_row
from coref_k8s.corpus.sampling import weighted_order
from coref_k8s.corpus.sources import Emitter, Loaded, load_documents
from coref_k8s.corpus.split import draw
from coref_k8s.corpus.spool import Spool
from coref_k8s.corpus.statistics import LengthCounts, TextCounts, assemble
from coref_k8s.errors import ModelError
from coref_k8s.study.paths import DATASETS, STATISTICS_FILE
from coref_k8s.study.spec import StudySpec
from coref_k8s.text.alignment import token_spans
from coref_k8s.text.document import SPLITS, Document, Split
from coref_k8s.wording import Message

#: Most dev and test documents that are kept for evaluation, each; items are drawn from these.
EVAL_DOCUMENTS = 2000
#: Share of near-duplicates from which they are spoken of.
_NOTABLE = 0.1
#: Characters read for a token that can be trained on: text has about 2 a token, and sampling needs a choice.
CHARS_READ_PER_TOKEN = 4


class Preparation:
    """One preparation; `run` fills the folder `out`, `work` holds what is only needed on the way."""

    def __init__(
        self,
        spec: StudySpec,
        tokenizer: Any,
        revisions: dict[int, str],
        work: Path,
        out: Path,
        reporter: Reporter,
        bus: Emitter | None,
        data_root: Path,
        workers: int | None,
        held_out: Mapping[str, Split],
        measure: Measure | None,
    ) -> None:
        self._spec = spec
        self._data = spec.data
        self._tokenizer = tokenizer
        self._revisions = revisions
        self._work, self._out = work, out
        self._reporter = reporter
        self._bus = bus
        self._data_root = data_root
        self._workers = workers
        self._held_out = held_out
        self._loaded = Loaded()
        self._measure = measure
        self._whole = spec.task == "coreference"
        self._chains = {split: ChainCounts() for split in SPLITS}
        self._filters = Filters(spec.data, chains=self._whole)
        self._text = TextCounts()
        self._documents: Spool[Document] = Spool(work / "documents")
        self._analyses: Spool[Analysed] = Spool(work / "analyses")

    def run(self) -> str:
        """Do all stages; return the hash of what was read. Raises DataError when nothing is left to train on."""
        special = (self._tokenizer.cls_token_id, self._tokenizer.sep_token_id)
        if None in special and not self._whole:
            raise ModelError("corpus.no-frame-tokens", name=self._tokenizer.name_or_path)
        try:
            splits, weights = self._read()
            kept = self._analyse(splits)
            for split in ("dev", "test"):
                self._keep_documents(split, [number for number in kept if splits[number] == split])
            train = [number for number in kept if splits[number] == "train"]
            check_splits(self._data, self._filters, {splits[number] for number in kept}, self._loaded)
            drawn = [train[index] for index in weighted_order([weights[n] for n in train], self._spec.seed)]
            if self._whole:
                counts, extra = {}, self._keep_training(drawn)
            else:
                counts, extra = self._encode(drawn, *special), {}
        finally:
            self._documents.close()
            self._analyses.close()
        key = self._hash()
        statistics = assemble(
            key=key,
            code=CODE_VERSION,
            tokenizer={
                "fingerprint": tokenizer_fingerprint(self._tokenizer),
                "vocabulary": len(self._tokenizer),
            },
            filters=dict(self._filters.counts),
            loaded=self._loaded,
            text=self._text,
            lengths=counts,
        ) | {"task": self._spec.task, **extra}
        with (self._out / STATISTICS_FILE).open("w", encoding="utf-8") as file:
            json.dump(statistics, file, ensure_ascii=False, indent=1)
        return key

    def _hash(self) -> str:
        """Return the hash of what was read: another than the request's when a source was lost on the way."""
        revisions = {**self._revisions, **self._loaded.commits}
        return data_hash(self._spec, self._tokenizer, revisions, self._loaded.lost, self._held_out)

    def _read(self) -> tuple[list[Split], Sequence[float]]:
        """Read all sources into the spool; split by document before anything is filtered."""
        intake = Intake(self._data, self._filters, self._held_out)
        for document, group in self._reporter.track(self._sources(), "read"):
            if self._whole and self._data.singletons == "drop":
                document = without_singletons(document)
            if intake.add(document, group):
                self._documents.append(document)
        splits, notes = intake.splits()
        for note in notes:
            self._loaded.note(note, self._bus)
        self._texts, self._characters, self._works = intake.texts, intake.characters, intake.works
        return splits, intake.weights

    def _sources(self) -> Iterator[tuple[Document, str]]:
        budget = None
        # whole documents with chains are few, and come with their splits
        if self._data.train_limit is not None and not self._whole:
            share = 1 - self._data.dev_share - self._data.test_share
            tokens = self._data.train_limit * max(self._spec.seq_lengths) / share
            # each source may give twice its equal part, so that weights have something to choose among
            budget = int(tokens * CHARS_READ_PER_TOKEN * min(1.0, 2 / len(self._data.sources)))
        return load_documents(
            self._data,
            lengths=self._spec.seq_lengths,
            seed=self._spec.seed,
            char_budget=budget,
            cache_dir=self._data_root / DATASETS,
            bus=self._bus,
            loaded=self._loaded,
            revisions=self._revisions,
            chains=self._whole,
        )

    def _analyse(self, splits: list[Split]) -> list[int]:
        """Analyse what is left and return the numbers of the documents that are kept."""
        order = sorted(range(len(splits)), key=lambda number: PRIORITY[splits[number]])
        seen: set[bytes] = set()
        wanted = set()
        for number in order:  # of equal texts, a test document stays and a training document goes
            if self._texts[number] in seen and self._data.deduplicate:
                self._filters.drop("same_text")
            else:
                wanted.add(number)
            seen.add(self._texts[number])
        numbers = sorted(wanted)
        documents = (self._documents[number] for number in numbers)
        results = analyse_all(documents, sketched=self._data.deduplicate, workers=self._workers)
        place: dict[int, int] = {}
        for analysed in self._reporter.track(results, "analyse", total=len(numbers)):
            place[numbers[len(self._analyses)]] = len(self._analyses)
            self._analyses.append(analysed)
        kept = [
            number
            for number in order
            if number in place and self._filters.density(self._analyses[place[number]].quality)
        ]
        if self._data.deduplicate:
            # of two, the one that must not be trained on stays, else the longer one
            longer = sorted(kept, key=lambda number: (PRIORITY[splits[number]], -self._characters[number]))
            # what other data hold out comes before what is trained on here
            before = bisect_left(longer, PRIORITY["train"], key=lambda number: PRIORITY[splits[number]])
            sketches = chain(
                ((number, self._analyses[place[number]].sketch) for number in longer[:before]),
                ((-1, sketch(text)) for text in self._held_out),
                ((number, self._analyses[place[number]].sketch) for number in longer[before:]),
            )
            total = len(longer) + len(self._held_out)
            tracked = self._reporter.track(sketches, "deduplicate", total=total)
            same = near_duplicates(tracked, self._work) - {-1}
            self._filters.drop("near_duplicate", len(same))
            if len(same) >= _NOTABLE * len(kept):
                note = Message.of("corpus.many-near-duplicates", n=len(same), of=len(kept))
                self._loaded.note(note, self._bus)
            kept = [number for number in kept if number not in same]
        self._place = place
        for number in kept:
            self._text.add(self._documents[number], self._analyses[place[number]], splits[number])
        return kept

    def _keep_documents(self, split: Split, numbers: list[int]) -> None:
        chosen = sorted(numbers, key=lambda number: draw(self._texts[number].hex()))[:EVAL_DOCUMENTS]
        self._write(split, sorted(chosen))
        for document in (self._documents[n] for n in chosen if self._whole):
            self._chains[split].add(document, len(token_spans(self._tokenizer, document.text)))

    def _write(self, split: Split, numbers: list[int]) -> None:
        documents = (replace(self._documents[number], group=self._works[number]) for number in numbers)
        write_documents(documents_path(self._out, split), documents, split)

    def _keep_training(self, drawn: list[int]) -> dict[str, Any]:
        """Write whole documents, in the order drawn, until they have the tokens of `trainLimit` chunks; count their chains."""
        counts, chosen = self._chains["train"], []
        limit = self._data.train_limit
        most = None if limit is None else limit * max(self._spec.seq_lengths)
        for number in self._reporter.track(drawn, "encode", total=len(drawn)):
            if most is not None and counts.tokens >= most:
                break
            counts.add(self._documents[number], self._count_training(number, self._encoded(number)))
            chosen.append(number)
        chosen.sort()
        self._write("train", chosen)
        found: dict[str, Any] = {"chains": {split: one.to_json() for split, one in self._chains.items()}}
        if self._measure is not None:
            documents = (self._documents[number] for number in chosen)
            tracked = self._reporter.track(documents, "measure", total=len(chosen))
            found["representable"] = self._measure(tracked, self._tokenizer)
        return found

    def _encoded(self, number: int) -> Encoded:
        analysed = self._analyses[self._place[number]]
        return encode(self._documents[number], analysed.noun_runs, analysed.sentences, self._tokenizer)

    def _count_training(self, number: int, encoded: Encoded) -> int:
        """Count a document that is trained on; return its tokens."""
        tokens = len(encoded.ids)
        self._text.add_training(
            self._documents[number],
            self._analyses[self._place[number]],
            tokens,
            len(encoded.mentions),
            encoded.candidates,
        )
        return tokens

    def _encode(self, drawn: list[int], cls_id: int, sep_id: int) -> dict[int, LengthCounts]:
        """Write the rows of every length, documents in the order drawn, until each has its limit."""
        streams = {
            length: _LengthStream(length, self._spec, rows_path(self._out, length), cls_id, sep_id)
            for length in self._spec.seq_lengths
        }
        with ExitStack() as files:
            for stream in streams.values():
                files.callback(stream.close)
            for number in self._reporter.track(drawn, "encode", total=len(drawn)):
                if all(stream.full for stream in streams.values()):
                    break
                encoded = self._encoded(number)
                self._count_training(number, encoded)
                for stream in streams.values():
                    stream.add(encoded)
            for stream in streams.values():
                stream.finish()
        for stream in streams.values():
            if not stream.counts.rows:
                raise unusable(
                    "corpus.no-training-row", self._filters, self._loaded, seq_len=stream.counts.seq_len
                )
        return {length: stream.counts for length, stream in streams.items()}


class _LengthStream:
    """Chunks, packs and writes the rows of one sequence length."""

    def __init__(self, seq_len: int, spec: StudySpec, path: Path, cls_id: int, sep_id: int) -> None:
        path.parent.mkdir(exist_ok=True)
        self.counts = LengthCounts(seq_len)
        self._limit = spec.data.train_limit
        self._packer = Packer(seq_len, spec.seed) if spec.data.packing else None
        self._writer = RowWriter(path)
        self._special = (cls_id, sep_id)

    @property
    def full(self) -> bool:
        return self._limit is not None and self.counts.rows >= self._limit

    def add(self, encoded: Encoded) -> None:
        if self.full:
            return
        self.counts.documents += 1
        for start, end in chunk(encoded, self.counts.seq_len - SPECIALS):
            piece = Piece(encoded, start, end)
            self._write(self._packer.add(piece) if self._packer else [[piece]])

    def finish(self) -> None:
        if self._packer:
            self._write(self._packer.finish())

    def close(self) -> None:
        self._writer.close()

    def _write(self, sequences: list[list[Piece]]) -> None:
        for pieces in sequences:
            if self.full:
                return
            row = make_row(pieces, *self._special)
            self._writer.write(row)
            self.counts.add(row)
