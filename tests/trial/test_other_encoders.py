"""A trial of an encoder that is no DeBERTa: prepared without packing, trained and scored by its own code."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoConfig, AutoModelForMaskedLM, AutoTokenizer

from coref_k8s.corpus.prepared import open_prepared, rows_path
from coref_k8s.corpus.shipped import shipped_tokenizer
from coref_k8s.settings import Settings
from coref_k8s.trial.prepare_job import prepare_data
from coref_k8s.trial.sequences import Sequences
from tests.trial.conftest import LENGTH, House


@pytest.mark.parametrize("kind", ["modernbert"])
def test_a_trial_of_another_encoder(house: House, kind: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(shipped_tokenizer())
    special = {f"{name}_token_id": tokenizer.pad_token_id for name in ("pad", "bos", "eos", "cls", "sep")}
    config = AutoConfig.for_model(
        kind,
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=LENGTH,
        **special,
    )
    folder = house.root / "models" / kind
    AutoModelForMaskedLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    training = house.spec.training.model_copy(update={"max_steps": 4, "evaluations": 1})
    spec = house.spec.model_copy(update={"model": f"models/{kind}", "training": training})

    prepared = prepare_data(spec, Settings(house.root, house.storage, None), None)
    assert prepared.path.name != Path(house.prepared).name
    rows = Sequences(rows_path(open_prepared(prepared.path, LENGTH).path, LENGTH))
    assert not any(rows[number].segments.any() for number in range(len(rows))), "one document a row"

    order = house.order(kind, spec=spec, prepared=str(prepared.path.relative_to(house.root)))
    process = house.start(order)
    assert process.wait() == 0, process.log
    result = house.result(order)
    assert result["outcome"] == "complete"
    assert 0 <= result["score"] <= 1
    AutoModelForMaskedLM.from_pretrained(house.root / order.workdir / "model")
