"""What the masked-mention score says about coreference: its rank correlation with antecedent accuracy over several models.

    python -m tests.benchmarks.proxy --data PATH [--seq-len 512] [--output json] MODEL MODEL MODEL ...

A model is a folder, STUDY (its best), STUDY/TOKENS or STUDY/TOKENS/NUMBER of this machine (`--data-dir`); all trials of a study
make a good set, since they differ. The text needs gold chains, of other documents than the models were trained on. JSON ends
with a line of the correlations (Spearman), each with the models that it is over.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from scipy import stats

from coref_k8s.client.models import model_folder
from coref_k8s.evaluation.coreference.breakdown import TYPES
from coref_k8s.settings import Settings
from coref_k8s.trial.scoring import score_text

SCORES = ("score", "coref_top5", "coref_f1")
ACCURACIES = ("antecedent", *(f"antecedent_{kind}" for kind in TYPES))


def correlations(rows: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Return the rank correlation of each score with each accuracy, over the models that have both."""
    found: dict[str, dict[str, float]] = {}
    for score in SCORES:
        for accuracy in ACCURACIES:
            pairs = [(row[score], row[accuracy]) for row in rows if score in row and accuracy in row]
            if len(pairs) > 2 and all(len(set(values)) > 1 for values in zip(*pairs, strict=True)):
                rho = stats.spearmanr(*zip(*pairs, strict=True)).statistic
                found.setdefault(score, {})[accuracy] = round(float(rho), 3)
                found[score]["models"] = len(rows)
    return found


def main() -> None:
    """Score every model and print the correlations."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--data", required=True, help="text with gold chains")
    parser.add_argument("--seq-len", type=int, default=512)
    parser.add_argument("--max-items", type=int, default=200)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--output", choices=("table", "json"), default="table")
    options = parser.parse_args()
    settings = Settings.from_env(data_dir=options.data_dir)
    rows = []
    for name in options.models:
        folder = model_folder(name, settings)
        result = score_text(str(folder), options.data, options.seq_len, max_items=options.max_items)
        row = {key: result.metrics[key] for key in (*SCORES, *ACCURACIES) if key in result.metrics}
        rows.append(row)
        if options.output == "json":
            print(json.dumps({"model": name, **row}, ensure_ascii=False), flush=True)
        else:
            print(name, *(f"{key} {value:.3f}" for key, value in row.items()), flush=True)
    found = correlations(rows)
    if options.output == "json":
        print(json.dumps(found))
        return
    for score, with_accuracies in found.items():
        print(f"{score}:", *(f"{key} {value:g}" for key, value in with_accuracies.items()))


if __name__ == "__main__":
    main()
