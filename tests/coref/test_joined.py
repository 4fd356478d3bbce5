"""Several coreference models as one."""

import json

import numpy as np
import torch

from coref_k8s import Resolver
from coref_k8s.coref.encoded import encode_document
from coref_k8s.coref.joined import JoinedModel
from coref_k8s.coref.model import Thresholds, load_model
from coref_k8s.coref.prediction import predict
from coref_k8s.text.document import Document

TEXT = Document("one", "민수는 책을 샀다. 그는 그 책을 영희에게 주었다. 영희는 민수에게 고맙다고 말했다.")


def wake(model):
    """Let a head that has learnt nothing take about every other span for a mention."""
    with torch.no_grad():
        model.head.start[-1].bias.fill_(0.5)
        model.head.end[-1].bias.fill_(0.5)
    return model


def test_a_model_joined_with_itself_answers_as_it_does_alone(model):
    one = wake(model).eval()
    document = encode_document(TEXT, model.tokenizer, True, model.longest_sentence)
    alone, joined = (predict(each, document) for each in (one, JoinedModel([one, one]).eval()))
    assert len(alone.spans) > 5
    assert alone.spans.tolist() == joined.spans.tolist()
    assert alone.entities.tolist() == joined.entities.tolist()
    assert np.allclose(alone.confidences, joined.confidences, atol=1e-5)
    assert np.allclose(alone.links, joined.links, atol=1e-5)


def test_a_folder_of_members_resolves_as_one_model(model, tmp_path):
    wake(model)
    for number in (0, 1):
        with torch.no_grad():
            model.head.start[-1].bias.add_(0.1 * number)
        model.save(tmp_path / f"trial-{number}")
    record = {"members": ["trial-0", "trial-1"], "thresholds": {"linked": 0.3, "alone": 0.4}}
    (tmp_path / "members.json").write_text(json.dumps(record))
    joined = load_model(tmp_path)
    assert joined.config.thresholds == Thresholds(linked=0.3, alone=0.4)
    members = [load_model(tmp_path / name) for name in record["members"]]
    both = JoinedModel(members).eval()
    both.settle(record["thresholds"])
    document = encode_document(TEXT, model.tokenizer, True, model.longest_sentence)
    assert predict(joined, document).spans.tolist() == predict(both, document).spans.tolist()
    assert Resolver.from_pretrained(tmp_path)(TEXT.text).mentions
