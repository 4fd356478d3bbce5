"""Analysis speed: documents per second with all cores, against one plain Kiwi pass in one process.

    python tests/benchmarks/corpus.py [--characters N] [--output json]

Both read the same text: the shipped documents, repeated under changed names until there are N characters.
The plain pass calls `Kiwi.tokenize` and nothing else; ours also counts qualities and draws MinHash signatures.
Start-up (loading Kiwi, starting the processes) is measured apart: a preparation pays it once. The speed-up needs
a machine of one's own; the CPU overhead (CPU seconds of all processes over those of the plain pass) holds on a
shared one too, and the cores divided by it are what the speed-up would be with the cores to itself.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

from coref_k8s.corpus.parallel import analyse_all, cores
from coref_k8s.corpus.shipped import shipped_documents
from coref_k8s.document import Document
from coref_k8s.korean import kiwi

#: Least speed-up over one plain pass, as a share of the cores.
TARGET = 0.9


def corpus(characters: int) -> list[Document]:
    """Repeat the shipped documents up to a size."""
    documents: list[Document] = []
    size = 0
    while size < characters:
        for document in shipped_documents():
            documents.append(replace(document, doc_id=f"{document.doc_id}-{len(documents)}"))
            size += len(document.text)
    return documents


def plain(texts: list[str]) -> tuple[float, float]:
    """Return the seconds and CPU seconds that one plain pass takes."""
    kiwi().tokenize("준비")
    began, cpu = time.perf_counter(), time.process_time()
    for text in texts:
        kiwi().tokenize(text)
    return time.perf_counter() - began, time.process_time() - cpu


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of its children that have ended."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--characters", type=int, default=2_000_000)
    parser.add_argument("--output", choices=["table", "json"], default="table")
    arguments = parser.parse_args()
    documents = corpus(arguments.characters)
    texts = [document.text for document in documents]
    workers = cores()

    alone, alone_cpu = plain(texts)

    # what starting the processes costs, to be taken off
    cpu = cpu_seconds()
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        list(pool.map(plain, [["준비"]] * workers))
    startup_cpu, cpu = cpu_seconds() - cpu, cpu_seconds()

    began = time.perf_counter()
    stream = analyse_all(documents, signature=True)
    next(stream)
    started = time.perf_counter()
    done = sum(1 for _ in stream)
    ours = time.perf_counter() - started
    overhead = (cpu_seconds() - cpu - startup_cpu) / alone_cpu

    result = {
        "characters": sum(map(len, texts)),
        "documents": len(documents),
        "cores": workers,
        "plain_documents_per_second": round(len(documents) / alone, 1),
        "documents_per_second": round(done / ours, 1),
        "startup_seconds": round(started - began, 1),
        "speedup": round(done / ours / (len(documents) / alone), 2),
        "cpu_overhead": round(overhead, 3),
        "speedup_by_cpu": round(workers / overhead, 2),
        "target": round(TARGET * workers, 2),
    }
    if arguments.output == "json":
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:28}{value}")
    return 0 if result["speedup"] >= TARGET * workers else 1


if __name__ == "__main__":
    sys.exit(main())
