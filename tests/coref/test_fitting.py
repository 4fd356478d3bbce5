"""The head learns who is who; what it predicts does not depend on how a document is cut."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from coref_k8s.coref import finishing
from coref_k8s.coref.encoded import encode_document, encode_documents, representable
from coref_k8s.coref.finishing import AtRest, WholeDocuments
from coref_k8s.coref.model import new_model
from coref_k8s.coref.prediction import predict, predict_all, predict_links
from coref_k8s.coref.training import Batches, loss
from coref_k8s.coref.windows import disjoint, overlapping
from coref_k8s.text.document import Document
from tests.coref.fitting import evaluate, finish, fit

LINE = "김 첨지는 아내를 보았다. 그는 아내의 손을 잡았다."


def spans(text, *words):
    return [(text.index(word), text.index(word) + len(word)) for word in words]


def novel(sentences=60):
    return Document("novel", "\n".join(f"{number}번째 날이었다. {LINE}" for number in range(sentences)))


def test_batches_hold_every_sentence_once_and_repeat_by_their_seed(model, people):
    encoded, _ = encode_documents(people[:4], model.tokenizer, model.longest_sentence)
    batches = Batches(encoded, window=model.window, windows=2, seed=1)
    for number in (0, 1):
        sentences = [
            (window.document.doc_id, *span)
            for batch in batches.of_pass(number)
            for window in batch.windows
            for span in window.sentences.tolist()
        ]
        wanted = [(one.doc_id, *span) for one in encoded for span in one.sentences.tolist()]
        assert sorted(sentences) == sorted(wanted)
    again = Batches(encoded, window=model.window, windows=2, seed=1)
    cuts = [
        [(w.document.doc_id, w.start) for b in one.of_pass(1) for w in b.windows] for one in (batches, again)
    ]
    assert cuts[0] == cuts[1]
    assert all(len(batch.windows) <= 2 for batch in batches.of_pass(0))
    assert all(batch.tokens <= 2 * model.window for batch in batches.of_pass(0))


def test_passes_are_cut_into_steps_that_can_be_made_again(model, people):
    encoded, _ = encode_documents(people[:4], model.tokenizer, model.longest_sentence)

    def passes():
        return Batches(encoded, window=model.window, windows=2, seed=1)

    def cuts(batch):
        return [(window.document.doc_id, window.start, window.end) for window in batch.windows]

    first, second = (passes().of_pass(number) for number in (0, 1))
    assert passes().steps(2) == len(first) + len(second)
    assert passes().steps(1.5) == len(first) + round(0.5 * len(second))
    assert (passes().steps(0), passes().steps(0.001)) == (0, 1)
    in_order = [cuts(batch) for batch in (*first, *second)]
    every = passes()
    assert [cuts(every.step(number)) for number in range(len(in_order))] == in_order
    assert cuts(passes().step(len(first))) == cuts(second[0])
    assert cuts(every.step(1)) == in_order[1]


def test_documents_too_long_to_be_linked_at_once_come_in_parts(model, monkeypatch):
    monkeypatch.setattr(finishing, "LONGEST", 50)
    document = encode_document(novel(), model.tokenizer, True, model.longest_sentence)
    batches = WholeDocuments([document]).of_pass(0)
    assert all(batch.tokens <= finishing.TOGETHER for batch in batches)
    assert all(window.end - window.start <= 50 for batch in batches for window in batch.windows)
    assert sum(batch.tokens for batch in batches) == len(document)


def test_each_sentence_is_read_where_it_has_most_context(model):
    document = encode_document(novel(), model.tokenizer, True, model.longest_sentence)
    windows = overlapping(document, 40)
    read = np.concatenate([window.sentences for window in windows])
    assert sorted(map(tuple, read.tolist())) == sorted(map(tuple, document.sentences.tolist()))
    for window in windows:
        assert window.end - window.start <= 40
        for first, stop in window.sentences.tolist():
            assert window.start <= first < stop <= window.end
            room = min(
                first - window.start if window.start else len(document),
                window.end - stop if window.end < len(document) else len(document),
            )
            others = [
                min(first - start if start else len(document), start + 40 - stop)
                for start in range(0, len(document) - 40, 20)
                if start <= first and stop <= start + 40
            ]
            assert room >= max(others, default=0)


def test_windows_to_train_on_differ_between_passes(model):
    from random import Random

    document = encode_document(novel(), model.tokenizer, True, model.longest_sentence)
    first, second = (
        [window.start for window in disjoint(document, model.window, Random(seed))] for seed in (1, 2)
    )
    assert first != second


def test_gold_mentions_are_kept_whole_and_counted(model):
    gold = {
        "a": spans(LINE, "김 첨지", "그"),
        "b": [*spans(LINE, "아내"), (LINE.index("아내의"), LINE.index("아내의") + 2)],
    }
    document = Document("d", LINE, gold)
    coverage = representable([document], model.tokenizer)
    assert (coverage.mentions, coverage.share) == (4, 1.0)
    (encoded,), coverage = encode_documents([document], model.tokenizer, model.longest_sentence)
    assert [encoded.surface(first, stop) for first, stop, _ in encoded.mentions.tolist()] == [
        "김 첨지",
        "아내",
        "그",
        "아내",
    ]
    assert encoded.lost == 0
    assert not coverage.singletons
    assert representable([Document("d", LINE, {"a": spans(LINE, "그")})], model.tokenizer).singletons


def test_particles_stay_where_the_data_have_them(model):
    text = "철수는 영희를 보았다. 철수가 웃었다."
    eojeol = Document("d", text, {"a": spans(text, "철수는", "철수가")})
    nouns = Document("d", text, {"a": [(0, 2), (13, 15)]})
    assert not representable([eojeol], model.tokenizer).trims
    (encoded,), _ = encode_documents([eojeol], model.tokenizer, model.longest_sentence)
    assert encoded.surface(*encoded.mentions[0, :2].tolist()) == "철수는"
    assert representable([nouns], model.tokenizer).share == 1.0


def test_the_loss_is_finite_for_odd_documents(model):
    texts = ["", "   \n", "끝.", "가" * 500, LINE]
    documents = [Document(str(number), text) for number, text in enumerate(texts)]
    encoded, coverage = encode_documents(documents, model.tokenizer, model.longest_sentence)
    assert coverage.share == 1.0
    model.train()
    for batch in Batches(encoded, window=model.window, windows=2).of_pass(0):
        total = loss(model, batch).total
        assert torch.isfinite(total)
        total.backward()
    for one in encoded:
        assert len(predict(model, one).spans) >= 0


def test_it_fits_the_documents_that_it_is_trained_on(encoders, people):
    torch.manual_seed(0)
    model = new_model(str(encoders / "deberta"), 256)
    documents = people[10:14]
    encoded, coverage = encode_documents(documents, model.tokenizer, model.longest_sentence)
    model.adopt(coverage)
    fit(model, encoded, steps=120, encoder_rate=2e-3, head_rate=2e-3)
    scores = evaluate(model, documents, encoded).metrics()
    assert coverage.share == 1.0
    assert scores["mention_f1"] > 0.95
    assert scores["conll_f1"] > 0.9
    assert scores["gold_conll_f1"] > 0.9


def test_the_last_passes_train_the_head_alone_on_whole_documents(model, people):
    encoded, _ = encode_documents(people[10:16], model.tokenizer, model.longest_sentence)
    before = {name: value.clone() for name, value in model.encoder.state_dict().items()}
    resting = AtRest(model, encoded)
    batches = WholeDocuments(encoded).of_pass(0)
    assert all(batch.at_rest for batch in batches)
    assert all((w.start, w.end) == (0, len(w.document)) for batch in batches for w in batch.windows)
    assert sum(batch.tokens for batch in batches) == sum(map(len, encoded))

    def whole():
        with torch.no_grad():
            return sum(loss(resting, batch).total.item() for batch in batches)

    first = whole()
    finish(model, encoded, passes=15, rate=2e-3)
    assert whole() < 0.8 * first
    assert all(torch.equal(value, before[name]) for name, value in model.encoder.state_dict().items())


def test_the_last_passes_run_in_the_bfloat16_of_a_cpu(model, people):
    encoded, _ = encode_documents(people[10:12], model.tokenizer, model.longest_sentence)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        resting = AtRest(model, encoded)
        found = [loss(resting, batch).total for batch in WholeDocuments(encoded).of_pass(0)]
    assert len(found) > 0
    assert all(torch.isfinite(one) for one in found)


@pytest.mark.parametrize("name", ["deberta", "bert"])
def test_what_is_found_does_not_depend_on_what_is_resolved_beside_it(encoders, people, name):
    torch.manual_seed(0)
    model = new_model(str(encoders / name), 128).eval()
    with torch.no_grad():
        model.head.start[-1].bias.fill_(0.0)
        model.head.end[-1].bias.fill_(0.0)
    texts = [*people[:6], novel(3), Document("line", LINE), Document("nothing", ""), Document("word", "끝.")]
    documents = [encode_document(one, model.tokenizer, True, model.longest_sentence) for one in texts]
    alone = [predict(model, one, windows=1) for one in documents]
    assert sum(len(found.spans) for found in alone) > 50
    for windows in (1, 3, 16):
        together = list(predict_all(model, documents, windows=windows))
        for one, other in zip(alone, together, strict=True):
            assert one.spans.tolist() == other.spans.tolist()
            assert one.entities.tolist() == other.entities.tolist()
            assert one.confidences.tolist() == other.confidences.tolist()
            assert one.links.tolist() == other.links.tolist()


def test_short_documents_share_a_forward_pass(model, monkeypatch):
    texts = [Document(str(number), LINE) for number in range(20)]
    documents = [encode_document(one, model.tokenizer, True, model.longest_sentence) for one in texts]
    sizes = []
    encode = model.encode
    monkeypatch.setattr(model, "encode", lambda windows: sizes.append(len(windows)) or encode(windows))
    assert len(list(predict_all(model, documents, windows=4))) == 20
    assert sum(sizes) == 20
    assert len(sizes) < 7


def test_entities_never_hold_one_mention_in_another(model):
    document = encode_document(novel(4), model.tokenizer, True, model.longest_sentence)
    first = max(document.sentences.tolist(), key=lambda span: span[1] - span[0])[0]
    given = first + np.array([(0, 4), (0, 2), (1, 2), (3, 5), (4, 5)])
    found = predict_links(model, document, given)
    for entity in set(found.entities.tolist()):
        own = [tuple(span) for span in given[found.entities == entity].tolist()]
        assert all(a[1] <= b[0] for a, b in pairwise(own))


def test_links_in_blocks_are_the_links_of_one_block(model, monkeypatch):
    from coref_k8s.coref import prediction

    document = encode_document(novel(12), model.tokenizer, True, model.longest_sentence)
    given = np.array([(at, at + 1) for at in range(0, len(document), 3)])
    whole = predict_links(model, document, given)
    monkeypatch.setattr(prediction, "BLOCK", 7)
    blocks = predict_links(model, document, given)
    assert whole.entities.tolist() == blocks.entities.tolist()
    assert np.allclose(whole.links, blocks.links, atol=1e-5)
    assert sum(len(chain) for chain in whole.chains(document)) == len(given)


@pytest.mark.parametrize("name", ["deberta", "bert"])
def test_another_encoder_serves_as_well(encoders, people, name):
    model = new_model(str(encoders / name), 128)
    encoded, _ = encode_documents(people[10:12], model.tokenizer, model.longest_sentence)
    assert fit(model, encoded, steps=2) > 0
