"""Quality, filters, duplicates, splits and sampling."""

import json
import random
import re
import unicodedata
from collections import Counter

import pytest

from coref_k8s.corpus.duplicates import near_duplicates, sketch
from coref_k8s.corpus.generator import generate
from coref_k8s.corpus.parallel import analyse_all, analysers, cores
from coref_k8s.corpus.prepare import prepare
from coref_k8s.corpus.quality import analyse_document, measure
from coref_k8s.corpus.sampling import weighted_order
from coref_k8s.corpus.shipped import shipped_documents
from coref_k8s.corpus.split import split_documents
from coref_k8s.study.spec import DatasetConfig
from coref_k8s.text.document import Document
from coref_k8s.text.korean import analyse

TEXT = "김영희는 나루터에 앉아 있었다. 그녀는 나루터의 사공을 기다렸다. 사공은 오지 않았다."


def test_density_counts_repeated_nouns_and_pronouns():
    quality = measure(Document("d", TEXT), analyse(TEXT))
    assert (quality.words, quality.nouns, quality.pronouns, quality.repeated) == (11, 5, 1, 2)
    assert quality.coref_density == pytest.approx(100 * 3 / 11)
    assert quality.distances == (2, 0, 0, 0, 0)


def test_gold_chains_replace_equal_strings():
    document = Document("d", TEXT, {"1": [(0, 3), (18, 20)]})
    assert measure(document, analyse(TEXT)).repeated == 1


def test_generated_text_analysed_by_line_is_like_any_other():
    document = next(iter(generate(1, lengths=(512,))))
    by_line = analyse_document(document)
    whole = measure(document, analyse(document.text))
    assert by_line.quality.words == whole.words == len(document.text.split())
    assert by_line.quality.repeated == whole.repeated
    assert by_line.quality.nouns == pytest.approx(whole.nouns, rel=0.05)
    runs = by_line.noun_runs
    assert all("\n" not in document.text[s:e] for s, e in zip(runs[::2], runs[1::2], strict=True))


def test_processes_and_one_process_agree():
    documents = [document for document in shipped_documents() if document.split == "dev"] * 6
    alone = list(analyse_all(documents, sketched=True, workers=1))
    with analysers(2) as pool:
        assert list(analyse_all(documents, sketched=True, pool=pool)) == alone
        # nothing is left over of a stream that is given up, and the processes serve the next
        assert next(analyse_all(documents, sketched=True, pool=pool)) == alone[0]
        assert list(analyse_all(documents[3:5], sketched=True, pool=pool)) == alone[3:5]
    assert cores() >= 1


def changed(text: str, share: float) -> str:
    """Put other words in the place of some."""
    words, drawn = text.split(" "), random.Random(text)
    for number in range(len(words)):
        if drawn.random() < share:
            words[number] = drawn.choice(words)
    return " ".join(words)


COPIES = {
    "first half": lambda text: text[: len(text) // 2],
    "second half": lambda text: text[len(text) // 2 :],
    "a chapter": lambda text: text[len(text) // 3 : len(text) // 3 + 400],
    "without punctuation": lambda text: re.sub(r"[^\w\s]", "", text),
    "without blanks": lambda text: text.replace(" ", ""),
    "3 % of the words": lambda text: changed(text, 0.03),
    "half, and 3 % of the words": lambda text: changed(text[: len(text) // 2], 0.03),
    "more around it": lambda text: f"들어가며. {text} 그리고 뒤에 쓴 글이 이어진다.",
}


@pytest.mark.parametrize("kind", COPIES)
def test_near_duplicates_are_found_and_others_kept(kind):
    texts = [document.text for document in shipped_documents()]
    copies = [COPIES[kind](text) for text in texts[::6]]
    found = near_duplicates((n, sketch(text)) for n, text in enumerate([*texts, *copies]))
    assert found == set(range(len(texts), len(texts) + len(copies)))


def test_the_other_half_of_a_text_goes_with_it():
    whole, other = (document.text for document in shipped_documents()[:2])
    first, second = whole[: len(whole) // 2], whole[len(whole) // 2 :]
    for order in (
        [first, whole, second, other],
        [first, second, whole, other],
        [first, other, whole, second],
    ):
        found = near_duplicates((n, sketch(text)) for n, text in enumerate(order))
        assert {order[n] for n in found} == {whole, second}
    # what is no part of anything that goes stays
    assert not near_duplicates((n, sketch(text)) for n, text in enumerate([first, second, other]))


def test_texts_of_one_formula_are_no_copies():
    names = [f"{first}{second}" for first in "가나다라마바사아자차" for second in "강산들물길솔별달"]
    texts = [
        f"{name}시는 {other}도의 남쪽에 있는 도시이다. {other} 강이 {name} 들을 지난다. {third}와 쌀이 난다."
        for name, other, third in zip(names, names[7:], names[3:], strict=False)
    ]
    assert not near_duplicates((n, sketch(text)) for n, text in enumerate(texts))
    assert not near_duplicates((n, sketch(text)) for n, text in enumerate(["", "…", "!?", "짧다", "길다"]))
    assert near_duplicates((n, sketch(text)) for n, text in enumerate(["맑음.", "흐림.", "맑음!"])) == {2}


def test_a_training_text_goes_that_holds_half_of_a_test_text_or_is_held_by_it(
    tmp_path, tokenizer, request_for
):
    whole, other, *rest = [document.text for document in shipped_documents()][:12]
    rows = [
        {"text": whole, "split": "train"},
        {"text": whole[: len(whole) // 2], "split": "test"},
        {"text": other, "split": "dev"},
        {"text": unicodedata.normalize("NFD", other[len(other) // 2 :]), "split": "train"},
        *({"text": text, "split": "train"} for text in rest),
    ]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    ref = prepare(request_for(path), tmp_path, tokenizer, workers=1)
    assert ref.statistics["filters"]["near_duplicate"] == 2
    assert ref.statistics["documents"] == {"train": len(rest), "dev": 1, "test": 1}


def test_filters_count_what_they_remove(tmp_path, tokenizer, request_for):
    folder = tmp_path / "text"
    folder.mkdir()
    documents = [document for document in shipped_documents() if document.split == "train"][:8]
    for number, document in enumerate(documents):
        (folder / f"{number}.txt").write_text(document.text, encoding="utf-8")
    (folder / "again.txt").write_text("\n" + documents[0].text + " \n", encoding="utf-8")
    (folder / "nearly.txt").write_text(documents[1].text + " 끝이다.", encoding="utf-8")
    (folder / "short.txt").write_text("짧다.", encoding="utf-8")
    (folder / "empty.txt").write_text(" \n", encoding="utf-8")
    (folder / "list.txt").write_text(
        " ".join(f"{n}번 가{chr(0xAC00 + n * 7)}다" for n in range(200)), encoding="utf-8"
    )
    config = DatasetConfig(source=str(folder), min_length=50, max_length=2600)
    ref = prepare(request_for(config, min_coref_density=4.0), tmp_path, tokenizer, workers=1)
    filters = ref.statistics["filters"]
    too_long = sum(len(document.text) > 2600 for document in documents)
    assert filters == {
        "empty": 1,
        "too_short": 1,
        "too_long": too_long,
        "domain": 0,
        "same_text": 1,
        "coref_density": 1,
        "no_chains": 0,
        "near_duplicate": 1,
    }
    assert sum(ref.statistics["documents"].values()) == 8 - too_long
    again = prepare(
        request_for(config, min_coref_density=4.0, deduplicate=False), tmp_path, tokenizer, workers=1
    )
    assert sum(again.statistics["documents"].values()) == 10 - too_long


def test_only_the_domains_asked_for(tmp_path, tokenizer, request_for):
    from coref_k8s.corpus.shipped import korean_folder

    ref = prepare(request_for(korean_folder() / "documents", domains=("news",)), tmp_path, tokenizer)
    assert ref.statistics["domains"] == {"news": 15}
    assert ref.statistics["filters"]["domain"] == 31


def test_splits_follow_the_document_alone():
    keys = [f"k{n}" for n in range(2000)]
    drawn = split_documents(keys, [None] * 2000, dev_share=0.1, test_share=0.2)
    counts = Counter(drawn)
    assert abs(counts["test"] - 400) < 60
    assert abs(counts["dev"] - 200) < 45
    # other documents, another order: the same splits
    part = keys[500:100:-1]
    assert split_documents(part, [None] * 400, dev_share=0.1, test_share=0.2) == drawn[500:100:-1]


def test_a_split_that_is_named_stays_and_groups_stay_together():
    splits = split_documents(["a", "b", "c"] * 9, ["test", None, None] * 9, dev_share=0.3, test_share=0.3)
    assert splits[::3] == ["test"] * 9
    assert len(set(splits[1::3])) == len(set(splits[2::3])) == 1


@pytest.mark.parametrize("count", [3, 4, 7])
def test_few_documents_still_fill_every_split(count):
    splits = split_documents([f"d{n}" for n in range(count)], [None] * count, dev_share=0.01, test_share=0.01)
    assert set(splits) == {"train", "dev", "test"}
    assert split_documents(["d"], [None], dev_share=0.01, test_share=0.01) == ["train"]


def test_a_test_document_wins_over_its_copy_in_training(tmp_path, tokenizer, request_for):
    folder = tmp_path / "marked"
    folder.mkdir()
    text = shipped_documents()[0].text
    for split in ("train", "test", "dev"):
        (folder / f"{split}.coref.txt").write_text(
            f"id: {split}\nsplit: {split}\n\n{text}\n", encoding="utf-8"
        )
    for own, (name, split) in zip(shipped_documents()[1:], (("y", "dev"), ("z", "train")), strict=False):
        (folder / f"{name}.coref.txt").write_text(
            f"id: {name}\nsplit: {split}\n\n{own.text}\n", encoding="utf-8"
        )
    ref = prepare(request_for(folder), tmp_path, tokenizer)
    assert ref.statistics["documents"] == {"train": 1, "dev": 1, "test": 1}
    assert ref.statistics["filters"]["same_text"] == 2


def test_sampling_follows_the_weights_without_replacement():
    weights = [1.0] * 500 + [4.0] * 500
    order = weighted_order(weights, seed=0)
    assert sorted(order) == list(range(1000))
    assert order == weighted_order(weights, seed=0) != weighted_order(weights, seed=1)
    heavy = sum(index >= 500 for index in order[:100])
    # 4 to 1 at first: 80 expected, standard deviation 4
    assert 68 <= heavy <= 92
    assert sorted(weighted_order([1e-300, 1e300], seed=3)) == [0, 1]


def test_the_train_limit_bounds_the_rows(tmp_path, tokenizer, request_for):
    ref = prepare(request_for("gaps:40", train_limit=7), tmp_path, tokenizer)
    assert {c["rows"] for c in ref.statistics["lengths"].values()} == {7}
