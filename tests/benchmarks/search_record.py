"""Trains small models at many settings and writes down what they scored: the tables under the ladders of `search_neutral.py`.

    OMP_NUM_THREADS=1 nice python -m tests.benchmarks.search_record [--only gru,digits] [--output FILE]

Each task is trained at `SETTINGS` random settings of its five parameters (places in their ranges, drawn from seed 0), each
at every rung: a length of text, or a number of training items. Every run reports four times. The first `AGAIN` settings are
run a second time with another seed, which tells the noise. Needs torch, scikit-learn and the text that the project ships;
14 minutes of one core. A line of the file: task, rung, seed, five places, four scores.
"""

from __future__ import annotations

import argparse
import csv
import math
import re
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

TABLE = Path(__file__).with_name("search_runs.csv")
DOCUMENTS = Path(__file__).parents[2] / "data" / "korean" / "documents"
SETTINGS, AGAIN, REPORTS = 96, 12, 4

#: What a task does with a rung, five places in [0, 1] and a seed: four scores, higher is better.
Train = Callable[[int, Sequence[float], int], list[float]]


@dataclass(frozen=True)
class Task:
    """Something that can be trained at several rungs."""

    rungs: tuple[int, ...]
    """Lengths of text (characters) or numbers of training items, ascending."""
    train: Train


def log(place: float, low: float, high: float) -> float:
    """Return the value at a place of a logarithmic range."""
    return math.exp(math.log(low) + place * (math.log(high) - math.log(low)))


# -- language models of the shipped text, by length ----------------------------------------------------------


@cache
def documents(split: str) -> list[tuple[str, str]]:
    """Return (domain, text) of the shipped documents of a split, without the marks of chains."""
    found = []
    for path in sorted(DOCUMENTS.glob("*.coref.txt")):
        head, _, text = path.read_text(encoding="utf-8").partition("\n\n")
        facts = dict(line.split(": ", 1) for line in head.splitlines())
        if (facts["split"] == "train") == (split == "train"):
            found.append((facts["domain"], re.sub(r"\{\d+\||\}", "", text)))
    return found


@cache
def characters(split: str) -> tuple[np.ndarray, int]:
    """Return the text of a split as character numbers, and how many there are; 0 is any rare one."""
    counted = Counter("".join(text for _, text in documents("train")))
    known = {one: at + 1 for at, (one, _) in enumerate(counted.most_common(250))}
    text = "".join(text for _, text in documents(split))
    return np.array([known.get(one, 0) for one in text]), len(known) + 1


def language_model(kind: str) -> Train:
    """Return the training of a character model: score is the share of the entropy of guessing that it saves."""

    def train(rung: int, places: Sequence[float], seed: int) -> list[float]:
        import torch
        from torch import nn

        torch.set_num_threads(1)
        torch.manual_seed(seed)
        draw = np.random.default_rng(seed)
        text, width = characters("train")
        held, _ = characters("dev")
        rate, beta = log(places[0], 1e-4, 1e-1), 1 - log(places[4], 0.005, 0.5)
        warm, decay, dropout = 0.6 * places[1], log(places[2], 1e-3, 10.0), 0.6 * places[3]

        class Gru(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.embed, self.drop = nn.Embedding(width, 32), nn.Dropout(dropout)
                self.body, self.out = nn.GRU(32, 48, batch_first=True), nn.Linear(48, width)

            def forward(self, x: Any) -> Any:
                return self.out(self.drop(self.body(self.drop(self.embed(x)))[0]))

        class Transformer(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.embed, self.where = nn.Embedding(width, 48), nn.Embedding(rung, 48)
                self.body = nn.TransformerEncoderLayer(48, 2, 96, dropout, batch_first=True, norm_first=True)
                self.out = nn.Linear(48, width)
                self.mask = nn.Transformer.generate_square_subsequent_mask(rung)

            def forward(self, x: Any) -> Any:
                x = self.embed(x) + self.where.weight
                return self.out(self.body(x, src_mask=self.mask, is_causal=True))

        model = Gru() if kind == "gru" else Transformer()
        steps, batch = 60, 12
        optimiser = torch.optim.AdamW(model.parameters(), lr=rate, betas=(beta, 0.98), weight_decay=decay)
        starts = np.linspace(0, len(held) - rung - 1, max(12, 1536 // rung)).astype(int)

        def batch_of(source: np.ndarray, at: np.ndarray) -> Any:
            return torch.tensor(np.stack([source[a : a + rung + 1] for a in at]))

        def loss_of(both: Any) -> Any:
            return nn.functional.cross_entropy(model(both[:, :-1]).flatten(0, 1), both[:, 1:].flatten())

        found = []
        for step in range(1, steps + 1):
            rises = min(1.0, step / max(1.0, warm * steps))
            for group in optimiser.param_groups:
                group["lr"] = rate * rises * (1 - (step - 1) / steps)
            model.train()
            loss = loss_of(batch_of(text, draw.integers(0, len(text) - rung - 1, batch)))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if step % (steps // REPORTS) == 0:
                model.eval()
                with torch.no_grad():
                    saved = 1 - float(loss_of(batch_of(held, starts))) / math.log(width)
                found.append(max(0.0, saved) if math.isfinite(saved) else 0.0)
        return found

    return train


# -- scikit-learn's learners, by data size -------------------------------------------------------------------


@cache
def problem(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return training and test data of a problem, shuffled: inputs, answers, inputs, answers."""
    from sklearn import datasets

    if name == "digits":
        x, y = datasets.load_digits(return_X_y=True)
        x = x / 16.0
    elif name == "classes":
        x, y = datasets.make_classification(
            6000, 20, n_informative=8, n_classes=3, n_clusters_per_class=3, flip_y=0.1, random_state=0
        )
    elif name == "friedman":
        x, y = datasets.make_friedman1(6000, 12, noise=1.5, random_state=0)
    else:
        from sklearn.feature_extraction.text import HashingVectorizer

        passages = [
            (text[at : at + 50], domain)
            for domain, text in documents("train") + documents("dev")
            for at in range(0, len(text) - 50, 50)
        ]
        vectors = HashingVectorizer(analyzer="char", ngram_range=(1, 2), n_features=1024, norm=None)
        x = abs(vectors.transform([one for one, _ in passages]).toarray())
        y = np.unique([domain for _, domain in passages], return_inverse=True)[1]
    order = np.random.default_rng(0).permutation(len(y))
    test = order[: len(y) // 4]
    rest = order[len(y) // 4 :]
    return x[rest], y[rest], x[test], y[test]


def boosting(name: str) -> Train:
    """Return the training of boosted trees: score is accuracy, or the explained share of the variance."""

    def train(rung: int, places: Sequence[float], seed: int) -> list[float]:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
        from sklearn.metrics import accuracy_score, r2_score

        x, y, x_test, y_test = problem(name)
        draw = np.random.default_rng(seed)
        kept = draw.permutation(len(y))[:rung]
        kind, metric = (
            (HistGradientBoostingRegressor, r2_score)
            if name == "friedman"
            else (HistGradientBoostingClassifier, accuracy_score)
        )
        model = kind(
            learning_rate=log(places[0], 0.01, 1.0),
            max_features=0.1 + 0.9 * places[1],
            l2_regularization=log(places[2], 1e-3, 100.0),
            max_leaf_nodes=round(log(places[3], 2, 48)),
            min_samples_leaf=round(log(places[4], 1, 100)),
            max_iter=32,
            early_stopping=False,
            random_state=seed,
        ).fit(x[kept], y[kept])
        stages = list(model.staged_predict(x_test))
        return [max(0.0, float(metric(y_test, stages[8 * n - 1]))) for n in range(1, REPORTS + 1)]

    return train


def epochs(
    model: Any, name: str, rung: int, seed: int, inputs: Callable[[np.ndarray], np.ndarray]
) -> list[float]:
    """Train a model that learns in passes, twelve of them, and return its accuracy after every third."""
    x, y, x_test, y_test = problem(name)
    draw = np.random.default_rng(seed)
    kept = draw.permutation(len(y))[:rung]
    x, y, x_test = inputs(x[kept]), y[kept], inputs(x_test)
    found: list[float] = []
    for epoch in range(1, 13):
        order = draw.permutation(rung)
        try:
            model.partial_fit(x[order], y[order], classes=np.unique(problem(name)[1]))
            found += [float(model.score(x_test, y_test))] if epoch % 3 == 0 else []
        except ValueError:  # weights that are not finite any more
            found += [0.0] if epoch % 3 == 0 else []
    return found


def perceptron(rung: int, places: Sequence[float], seed: int) -> list[float]:
    """Train a network of one layer on digits."""
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier(
        hidden_layer_sizes=(round(log(places[3], 4, 96)),),
        solver="sgd",
        learning_rate_init=log(places[0], 1e-3, 2.0),
        momentum=0.99 * places[1],
        alpha=log(places[2], 1e-5, 10.0),
        batch_size=round(log(places[4], 8, 128)),
        random_state=seed,
    )
    return epochs(model, "digits", rung, seed, lambda x: x)


def linear(rung: int, places: Sequence[float], seed: int) -> list[float]:
    """Train a linear model to tell from 50 characters what kind of text they are of."""
    from sklearn.linear_model import SGDClassifier

    model = SGDClassifier(
        loss="log_loss",
        penalty="elasticnet",
        learning_rate="invscaling",
        eta0=log(places[0], 1e-4, 10.0),
        power_t=places[1],
        alpha=log(places[2], 1e-6, 1e-1),
        l1_ratio=places[3],
        random_state=seed,
    )
    return epochs(
        model, "kinds", rung, seed, lambda x: np.where(x > 0, x, 0.0) ** (0.05 + 0.95 * places[4]) * (x > 0)
    )


TASKS = {
    "classes": Task((250, 1000, 4000), boosting("classes")),
    "digits": Task((150, 450, 1300), perceptron),
    "friedman": Task((250, 1000, 4000), boosting("friedman")),
    "kinds": Task((150, 500, 1700), linear),
    "gru": Task((32, 64, 128), language_model("gru")),
    "transformer": Task((32, 64, 128), language_model("transformer")),
}


def main() -> int:
    """Train and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", default=",".join(TASKS))
    parser.add_argument("--settings", type=int, default=SETTINGS)
    parser.add_argument("--output", type=Path, default=TABLE)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    with options.output.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        for name in options.only.split(","):
            task, began = TASKS[name], time.process_time()
            settings = np.random.default_rng(0).random((options.settings, 5)).round(4)
            for seed, some in ((0, settings), (1, settings[:AGAIN])):
                for places in some:
                    for rung in task.rungs:
                        scores = task.train(rung, [float(p) for p in places], seed)
                        table.writerow([name, rung, seed, *places, *(f"{score:.4f}" for score in scores)])
            file.flush()
            print(f"{name}: {time.process_time() - began:.0f} s of CPU", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
