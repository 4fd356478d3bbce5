"""A document of any length resolves in memory that grows with its length."""

import subprocess
import sys

import pytest
import torch

from coref_k8s.coref.encoded import encode_document
from coref_k8s.coref.model import new_model
from coref_k8s.coref.windows import overlapping
from coref_k8s.text.document import Document

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
line = "{0}번째 날 김 첨지는 아내를 보았다. 그는 아내의 손을 잡고 {0}번지로 갔다."
size = len(resolver.model.tokenizer.tokenize(line.format(10)))
document = resolver("\\n".join(line.format(number) for number in range(int(sys.argv[2]) // size + 1)))
assert len(document.mentions) > int(sys.argv[2]) // 100, len(document.mentions)
assert document.mentions[-1].end > len(document.text) - 60
print(peak() - before)
"""


@pytest.fixture(scope="module")
def folder(encoders, tmp_path_factory):
    """A model that takes about one token in ten for a mention, though it has learnt nothing."""
    torch.manual_seed(0)
    model = new_model(str(encoders / "deberta"), 256).eval()
    document = encode_document(
        Document("x", "김 첨지는 아내를 보았다. 그는 울었다. " * 40), model.tokenizer, True, 127
    )
    with torch.no_grad():
        states = torch.cat(model.encode(overlapping(document, model.window)))
        logits = model.head.start_logits(states)
        model.head.start[-1].bias += -1.38 - logits.quantile(
            0.9
        )  # ends are asked for above a probability of 0.2
        pairs = torch.randint(0, len(states) - 8, (400, 1)) + torch.tensor([[0, 3]])
        model.head.end[-1].bias -= model.head.end_logits(states, pairs[:, 0], pairs[:, 1]).quantile(0.9)
    path = tmp_path_factory.mktemp("long") / "model"
    model.save(path)
    return path


def memory(folder, tokens):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), str(tokens)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return float(done.stdout)


def test_five_thousand_tokens(folder):
    assert memory(folder, 5_000) < 512


@pytest.mark.slow
def test_a_hundred_thousand_tokens_take_at_most_two_gibibytes_above_the_model(folder):
    assert memory(folder, 100_000) < 2048
