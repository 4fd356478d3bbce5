"""What a trial asks of the device it computes on."""

import subprocess
import sys

#: How many different gradients come of one sum over rows that many threads add to.
SUMS = """
import torch
from coref_k8s.trial.device import sum_in_order

torch.set_num_threads(4)
sum_in_order()
states, rows, weights = torch.randn(1000, 64), torch.randint(0, 10, (20000,)), torch.randn(20000, 64)
seen = set()
for _ in range(20):
    each = states.clone().requires_grad_()
    (each[rows] * weights).sum().backward()
    seen.add(each.grad.numpy().tobytes())
print(len(seen))
"""


def test_threads_add_up_in_one_order() -> None:
    done = subprocess.run([sys.executable, "-c", SUMS], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1"], done.stderr
