"""Trains small models at many settings and writes down what they scored: the tables under the ladders of `search_neutral.py`.

    OMP_NUM_THREADS=1 nice python -m tests.benchmarks.search_record [--only gru,digits] [--output FILE]

Each task is trained at `SETTINGS` random settings of its five parameters (places in their ranges, drawn from seed 0), each
at every rung: a length of text, or a number of training items. Every run reports four times. The first `AGAIN` settings are
run a second time with another seed, which tells the noise. What the table has of a task is replaced, the lines of other tasks
stay. Needs torch, scikit-learn and the text that the project ships; 24 minutes of one core. A line of the file: task, rung,
seed, five places, four scores.
"""

from __future__ import annotations

import argparse
import csv
import io
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


def filling(rung: int, places: Sequence[float], seed: int) -> list[float]:
    """Train convolutions to fill in masked characters: score is the share of the entropy of guessing that they save."""
    import torch
    from torch import nn

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    draw = np.random.default_rng(seed)
    text, width = characters("train")
    held, _ = characters("dev")
    rate, masked, reach = log(places[0], 1e-4, 1e-1), log(places[1], 0.01, 0.9), 1 + 2 * round(5 * places[2])
    dropout, batch = 0.8 * places[3], round(log(places[4], 4, 64))

    class Filler(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.drop = nn.Embedding(width + 1, 40), nn.Dropout(dropout)
            self.body = nn.ModuleList(nn.Conv1d(40, 40, reach, padding="same") for _ in range(2))
            self.out = nn.Linear(40, width)

        def forward(self, x: Any, where: Any) -> Any:
            x = self.embed(x).transpose(1, 2)
            for layer in self.body:
                x = x + self.drop(nn.functional.gelu(layer(x)))
            return self.out(x.transpose(1, 2)[where])

    def loss_of(source: np.ndarray, starts: np.ndarray, share: float, draw: np.random.Generator) -> Any:
        x = torch.tensor(np.stack([source[a : a + rung] for a in starts]))
        hidden = draw.random(x.shape) < share
        hidden[:, 0] |= ~hidden.any(axis=1)  # at least one of each sequence
        where = torch.tensor(hidden)
        return nn.functional.cross_entropy(model(x.masked_fill(where, width), where), x[where])

    model = Filler()
    optimiser = torch.optim.Adam(model.parameters(), lr=rate)
    quarter = 128 // batch
    at = np.linspace(0, len(held) - rung - 1, 6144 // rung).astype(int)
    found = []
    for step in range(1, REPORTS * quarter + 1):
        model.train()
        loss = loss_of(text, draw.integers(0, len(text) - rung, batch), masked, draw)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % quarter == 0:
            model.eval()
            with torch.no_grad():
                saved = 1 - float(loss_of(held, at, 0.15, np.random.default_rng(0))) / math.log(width)
            found.append(max(0.0, saved) if math.isfinite(saved) else 0.0)
    return found


@cache
def pieces() -> tuple[list[np.ndarray], list[int]]:
    """Return hashes (characters, n-grams of 1 to 4) of every shipped document, and where its test part begins."""
    found, borders = [], []
    for _, text in documents("train") + documents("dev"):
        codes = np.array([ord(one) for one in text])
        rows = [codes]
        for n in range(1, 4):
            rows.append(rows[-1] * 1_000_003 % 2_147_483_647 + np.roll(codes, -n))
        found.append(np.stack(rows, axis=1))
        borders.append(len(text) * 3 // 4)
    return found, borders


def passages(rung: int, places: Sequence[float], seed: int) -> list[float]:
    """Train a mean of embedded n-grams to tell which document a passage is of: score is the mean reciprocal rank in their ends."""
    import torch
    from torch import nn

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    draw = np.random.default_rng(seed)
    texts, borders = pieces()
    rate, longest = log(places[0], 1e-3, 10.0), 1 + round(3 * places[1])
    buckets, width, dropped = round(log(places[2], 50, 20_000)), round(log(places[3], 2, 64)), 0.9 * places[4]
    bag, out = nn.EmbeddingBag(longest * buckets, width, mode="sum"), nn.Linear(width, len(texts))
    optimiser = torch.optim.Adagrad([*bag.parameters(), *out.parameters()], lr=rate)

    def scores(which: np.ndarray, starts: np.ndarray, left_out: float) -> Any:
        grams = np.stack([texts[one][a : a + rung, :longest] for one, a in zip(which, starts, strict=True)])
        places_of = (grams % buckets + buckets * np.arange(longest)).reshape(len(which), -1)
        kept = (draw.random(places_of.shape) >= left_out) / places_of.shape[1] / (1 - left_out)
        return out(bag(torch.tensor(places_of), per_sample_weights=torch.tensor(kept, dtype=torch.float32)))

    asked = np.repeat(np.arange(len(texts)), 12)
    spread = [
        np.linspace(border, len(text) - rung - 4, 12) for text, border in zip(texts, borders, strict=True)
    ]
    begins = np.concatenate(spread).astype(int)
    found = []
    for step in range(1, 321):
        which = draw.integers(0, len(texts), 24)
        starts = np.array([draw.integers(0, borders[one] - rung - 4) for one in which])
        loss = nn.functional.cross_entropy(scores(which, starts, dropped), torch.tensor(which))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % (320 // REPORTS) == 0:
            with torch.no_grad():
                told = scores(asked, begins, 0.0).numpy()
            above = (told > told[np.arange(len(asked)), asked][:, None]).sum(axis=1)
            found.append(float((1 / (1 + above)).mean()) if np.isfinite(told).all() else 0.0)
    return found


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
    elif name == "blobs":
        x, y = datasets.make_blobs(6500, 4, centers=60, center_box=(-5, 5), random_state=0)
        y = y % 3
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


def frequencies(rung: int, places: Sequence[float], seed: int) -> list[float]:
    """Train a linear model on random Fourier features of a Matérn kernel to tell to which third of many blobs a point belongs."""
    from sklearn.linear_model import SGDClassifier

    draw = np.random.default_rng([seed, 1])
    narrow, smooth = log(places[0], 0.01, 10.0), log(places[1], 0.3, 30.0)
    features = round(log(places[2], 8, 400))
    # a Matérn kernel's spectrum is Student's t, with twice its smoothness as degrees of freedom
    tails = np.sqrt(2 * smooth / draw.chisquare(2 * smooth, features))
    waves, phases = narrow * tails * draw.normal(size=(4, features)), draw.random(features) * 2 * math.pi
    model = SGDClassifier(
        learning_rate="constant",
        eta0=log(places[3], 1e-3, 10.0),
        alpha=log(places[4], 1e-6, 1e-1),
        average=True,
        random_state=seed,
    )
    return epochs(model, "blobs", rung, seed, lambda x: np.cos(x @ waves + phases) * math.sqrt(2 / features))


# -- a matrix with gaps, by how much of it is known ----------------------------------------------------------


def gaps(rung: int, places: Sequence[float], seed: int) -> list[float]:
    """Factorise a matrix of images and pixels of which `rung` entries are known: score is the explained share of others' variance."""
    from sklearn.datasets import load_digits

    images = load_digits().data[:600] / 16.0
    split = np.random.default_rng(0).permutation(images.size)
    test, rest = split[:8000], split[8000:]
    draw = np.random.default_rng(seed)
    known = draw.permutation(rest)[:rung]
    middle, spread = float(images.flat[known].mean()), float(images.flat[test].var())
    rate, rank, penalty = log(places[0], 1e-3, 1.0), round(log(places[1], 1, 40)), log(places[2], 1e-4, 1.0)
    start, batch = log(places[3], 1e-3, 1.0), round(log(places[4], 16, 512))
    rows, columns = (start * draw.normal(size=(count, rank)) for count in images.shape)
    levels = [np.zeros(count) for count in images.shape]

    def guess(i: np.ndarray, j: np.ndarray) -> np.ndarray:
        answer: np.ndarray = middle + levels[0][i] + levels[1][j] + (rows[i] * columns[j]).sum(axis=1)
        return answer

    found = []
    for again in range(1, 13):
        for entries in np.array_split(draw.permutation(known), math.ceil(rung / batch)):
            i, j = np.divmod(entries, images.shape[1])
            off = images.flat[entries] - guess(i, j)
            left, right = rows[i], columns[j]
            np.add.at(rows, i, rate * (off[:, None] * right - penalty * left))
            np.add.at(columns, j, rate * (off[:, None] * left - penalty * right))
            for level, at in zip(levels, (i, j), strict=True):
                np.add.at(level, at, rate * (off - penalty * level[at]))
        if again % 3 == 0:
            off = images.flat[test] - guess(*np.divmod(test, images.shape[1]))
            score = 1 - float((off**2).mean()) / spread
            found.append(max(0.0, score) if math.isfinite(score) else 0.0)
    return found


TASKS = {
    "classes": Task((250, 1000, 4000), boosting("classes")),
    "digits": Task((150, 450, 1300), perceptron),
    "friedman": Task((250, 1000, 4000), boosting("friedman")),
    "kinds": Task((150, 500, 1700), linear),
    "gru": Task((32, 64, 128), language_model("gru")),
    "transformer": Task((32, 64, 128), language_model("transformer")),
    "filling": Task((48, 96, 192), filling),
    "passages": Task((48, 128, 320), passages),
    "frequencies": Task((300, 1200, 4800), frequencies),
    "gaps": Task((2500, 8000, 25000), gaps),
}


def trained(name: str, count: int) -> list[list[Any]]:
    """Train a task at that many settings and return its lines."""
    task, lines = TASKS[name], []
    settings = np.random.default_rng(0).random((count, 5)).round(4)
    for seed, some in ((0, settings), (1, settings[:AGAIN])):
        for places in some:
            for rung in task.rungs:
                scores = task.train(rung, [float(p) for p in places], seed)
                lines.append([name, rung, seed, *places, *(f"{score:.4f}" for score in scores)])
    return lines


def replace(table: Path, name: str, lines: Sequence[Sequence[Any]]) -> None:
    """Put a task's lines in the place of those that a table has of it, and leave those of other tasks as they are."""
    kept = table.read_text(encoding="utf-8").splitlines(keepends=True) if table.is_file() else []
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    found = {task: [line for line in kept if line.startswith(f"{task},")] for task in TASKS}
    found[name] = [text.getvalue()]
    table.write_text("".join(line for some in found.values() for line in some), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Train and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", default=",".join(TASKS))
    parser.add_argument("--settings", type=int, default=SETTINGS)
    parser.add_argument("--output", type=Path, default=TABLE)
    options = parser.parse_args(arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in options.only.split(","):
            began = time.process_time()
            replace(options.output, name, trained(name, options.settings))
            print(f"{name}: {time.process_time() - began:.0f} s of CPU", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
