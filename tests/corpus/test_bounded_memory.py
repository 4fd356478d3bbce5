"""However large the text is: preparing it takes disk, and of memory less than a kilobyte a document."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

FEW, MANY = 3_000_000, 12_000_000
#: Prepares one text file with a stand-in for Kiwi and prints the most memory of its own that it took (bytes), and its documents.
PREPARE = """
import json, re, sys, threading, time
from pathlib import Path
import datasets, pyarrow
from transformers import AutoTokenizer
from coref_k8s.corpus import duplicates, quality
from coref_k8s.corpus.prepare import prepare
from coref_k8s.corpus.shipped import shipped_tokenizer
from coref_k8s.study.spec import DatasetConfig, DataSpec, StudySpec
from coref_k8s.text.korean import Analysis, Span

def analyse(text):
    runs = [Span(found.start(), found.end(), found[0]) for found in re.finditer(r"\\w{3,}", text)]
    return Analysis(runs, [], [], [found.span() for found in re.finditer(r"[^.]+\\.?", text)], text.count(" ") + 1)

def own():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))

def watch():
    global most
    while True:
        most = max(most, own())
        time.sleep(0.005)

quality.analyse = analyse
duplicates._AT_ONCE = 1 << 16  # what is compared at a time is as much for few texts as for many
tokenizer = AutoTokenizer.from_pretrained(shipped_tokenizer())
source = DatasetConfig(source=sys.argv[1], extractor="lines")
spec = StudySpec(seq_lengths=(512,), data=DataSpec(sources=[source]))
most = before = own()
threading.Thread(target=watch, daemon=True).start()
found = prepare(spec, Path(sys.argv[2]), tokenizer, workers=1).statistics
print(json.dumps([most - before, sum(found["documents"].values()), found["filters"]["near_duplicate"]]))
"""


def write(file: Path, size: int) -> tuple[int, int]:
    """Write lines of invented words, every twentieth one a copy but for its end; return how many there are, and copies (size in bytes)."""
    drawn = np.random.default_rng(1)
    syllables = np.array([chr(code) for code in range(0xAC00, 0xD7A4, 7)])
    words = ["".join(drawn.choice(syllables, n)) for n in drawn.integers(1, 5, 20_000)]
    written = lines = copies = 0
    text = ""
    with file.open("w", encoding="utf-8") as out:
        while written < size:
            lines += 1
            if lines % 20:
                text = " ".join(words[at % 20_000] for at in drawn.zipf(1.3, 700))
            else:
                copies += 1
            line = f"{text} {lines}번째 글이다.\n"
            out.write(line)
            written += len(line.encode())
    return lines, copies


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from Linux's /proc")
def test_memory_does_not_grow_with_the_text(tmp_path: Path) -> None:
    taken = {}
    for size in (FEW, MANY):
        file = tmp_path / f"{size}.txt"
        lines, copies = write(file, size)
        done = subprocess.run(
            [sys.executable, "-c", PREPARE, str(file), str(tmp_path / f"data-{size}")],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parents[2],
        )
        taken[size], documents, same = json.loads(done.stdout)
        assert (documents + same, same) == (lines, copies)
    # held at once, what texts are compared by would be three times their bytes; the half is what buffers and the allocator add
    assert taken[MANY] - taken[FEW] < MANY - FEW, taken
