"""A document of any length resolves in memory that grows with its length."""

import subprocess
import sys

import pytest

from tests.coref.untrained import untrained_model

#: Resolves a document of so many tokens in a process of its own and prints the memory (MiB) that it took above the model.
PROGRAM = """
import resource, sys
import torch
from coref_k8s.client.resolver import Resolver
torch.set_num_threads(1)
resolver = Resolver.from_pretrained(sys.argv[1], device="cpu")
resolver("김 첨지는 아내를 보았다.")
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before = peak()
line = sys.argv[3] if len(sys.argv) > 3 else "{0}번째 날 김 첨지는 아내를 보았다. 그는 아내의 손을 잡고 {0}번지로 갔다."
size = len(resolver.model.tokenizer.tokenize(line.format(10)))
if len(sys.argv) > 3:  # every token may begin a mention, and end it
    with torch.no_grad():
        for layers in (resolver.model.head.start, resolver.model.head.end):
            layers[-1].bias += 5
    before = peak()
document = resolver((" " if len(sys.argv) > 3 else "\\n").join(line.format(number) for number in range(int(sys.argv[2]) // size + 1)))
assert len(document.mentions) > int(sys.argv[2]) // 100, len(document.mentions)
assert document.mentions[-1].end > len(document.text) * 0.95
print(peak() - before)
"""


@pytest.fixture(scope="module")
def folder(encoders, tmp_path_factory):
    """A model that finds a realistic number of mentions, though it has learnt nothing."""
    path = tmp_path_factory.mktemp("long") / "model"
    untrained_model(encoders / "deberta", 256).save(path)
    return path


def memory(folder, tokens, *line):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), str(tokens), *line],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return float(done.stdout)


def test_five_thousand_tokens(folder):
    assert memory(folder, 5_000) < 512


def test_a_text_without_an_end_of_sentence_of_which_all_could_be_mentions(folder):
    assert memory(folder, 5_000, "민수 하늘") < 512


@pytest.mark.slow
def test_a_hundred_thousand_tokens_take_at_most_two_gibibytes_above_the_model(folder):
    assert memory(folder, 100_000) < 2048
