"""Analysis speed: documents per second with all cores, against one plain Kiwi pass in one process.

    python tests/benchmarks/corpus.py [--characters N] [--rounds N] [--output json]

Both read the same text: the shipped documents, repeated until there are N characters. The plain pass calls
`Kiwi.tokenize` and nothing else; ours also finds sentences, noun runs and pronouns, counts qualities and draws
sketches for near-duplicates, and hands everything back to the parent. They take turns, so that other work on the machine
strikes both; the speed-up is the median of the rounds. Start-up (loading Kiwi and the libraries, starting the
processes, the first pages of Kiwi's model) is measured apart: a preparation pays it once.

The speed-up needs a machine of one's own; beside other work the CPU figures say more. `cpu_overhead` is the CPU
seconds of all processes over those of the plain pass, and the cores divided by it what the speed-up would be with
the cores to itself, if nothing waited. Cores that others use too run slower the more run at once, which counts
against ours: `beside_kiwi` does not see that. It is the CPU time of the analysis outside Kiwi over that inside,
taken in one process, document by document.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from multiprocessing import active_children
from pathlib import Path
from unittest.mock import patch

from kiwipiepy import Token

from coref_k8s.corpus.parallel import analyse_all, analysers, cores
from coref_k8s.corpus.quality import analyse_document
from coref_k8s.corpus.shipped import shipped_documents
from coref_k8s.text.document import Document
from coref_k8s.text.korean import kiwi

#: Least speed-up over one plain pass, as a share of the cores.
TARGET = 0.9


def corpus(characters: int) -> list[Document]:
    """Repeat the shipped documents up to a size."""
    documents: list[Document] = []
    size = 0
    while True:
        for document in shipped_documents():
            if size >= characters:
                return documents
            documents.append(document)
            size += len(document.text)


def plain(documents: list[Document]) -> None:
    """Make one plain pass."""
    for document in documents:
        kiwi().tokenize(document.text)


def beside_kiwi(documents: list[Document]) -> float:
    """Return the CPU time that an analysis takes outside Kiwi, as a share of that inside."""
    analyse_document(documents[0], sketched=True)  # loads what is loaded once
    inside = 0.0

    class Timed:
        def tokenize(self, text: str) -> list[Token]:
            nonlocal inside
            began = time.thread_time()
            tokens = plain_kiwi.tokenize(text)
            inside += time.thread_time() - began
            return tokens

    plain_kiwi, kiwi_timed = kiwi(), Timed()
    with patch("coref_k8s.text.korean.kiwi", lambda: kiwi_timed):
        began = time.thread_time()
        for document in documents:
            analyse_document(document, sketched=True)
        return (time.thread_time() - began) / inside - 1


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds and CPU seconds, of this process and those it has started, that some work takes."""
    began, cpu = time.perf_counter(), cpu_seconds()
    work()
    return time.perf_counter() - began, cpu_seconds() - cpu


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of its children that live."""
    return time.process_time() + sum(_cpu_of(child.pid) for child in active_children())


def _cpu_of(process: int | None) -> float:
    after_name = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    user, system = after_name[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--characters", type=int, default=700_000, help="text of a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", choices=["table", "json"], default="table")
    arguments = parser.parse_args()
    documents = corpus(arguments.characters)
    workers = cores()
    first = corpus(50_000 * workers)
    plain(first)

    def ours(texts: list[Document]) -> None:
        for _ in analyse_all(texts, sketched=True, workers=workers, pool=pool):
            pass

    alone, together = [], []
    with analysers(workers) as pool:
        startup, _ = timed(lambda: ours(first))
        for _ in range(arguments.rounds):
            alone.append(timed(lambda: plain(documents)))
            together.append(timed(lambda: ours(documents)))
    rounds = list(zip(alone, together, strict=True))
    speedups = [one / both for (one, _), (both, _) in rounds]
    overheads = [both / one for (_, one), (_, both) in rounds]
    overhead = statistics.median(overheads)

    result = {
        "characters": sum(len(document.text) for document in documents),
        "documents": len(documents),
        "rounds": arguments.rounds,
        "cores": workers,
        "startup_seconds": round(startup, 1),
        "plain_documents_per_second": round(len(documents) / statistics.median(s for s, _ in alone), 1),
        "documents_per_second": round(len(documents) / statistics.median(s for s, _ in together), 1),
        "speedups": [round(value, 2) for value in speedups],
        "speedup": round(statistics.median(speedups), 2),
        "cpu_overheads": [round(value, 3) for value in overheads],
        "cpu_overhead": round(overhead, 3),
        "beside_kiwi": round(beside_kiwi(first), 3),
        "speedup_by_cpu": round(workers / overhead, 2),
        "target": round(TARGET * workers, 2),
    }
    if arguments.output == "json":
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:28}{value}")
    return 0 if result["speedup"] >= result["target"] else 1


if __name__ == "__main__":
    sys.exit(main())
