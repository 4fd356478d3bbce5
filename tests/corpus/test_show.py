"""Finding prepared data, reading their statistics, and the progress of a preparation."""

import pytest

from coref_k8s.corpus.prepare import prepare
from coref_k8s.corpus.progress import Reporter
from coref_k8s.corpus.show import find_prepared, read_statistics
from coref_k8s.errors import DataError, NotFoundError


def test_prepared_data_are_found_by_path_hash_or_its_beginning(tmp_path, tokenizer, request_for):
    ref = prepare(request_for("gaps:12"), tmp_path, tokenizer)
    for name in (str(ref.path), ref.hash, ref.hash[:6]):
        assert find_prepared(name, tmp_path).resolve() == ref.path.resolve()
    with pytest.raises(NotFoundError, match=f"no prepared data called 'x' .*{ref.hash}"):
        find_prepared("x", tmp_path)
    (ref.path / "statistics.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        read_statistics(ref.path)


def test_progress_is_reported_with_its_eta():
    now = 0.0
    seen, events = [], []

    class Bus:
        def emit(self, section, **fields):
            events.append((section, fields))

    def items():
        nonlocal now
        for number in range(40):
            now += 1.0
            yield number

    assert list(Reporter(seen.append, Bus(), clock=lambda: now).track(items(), "analyse", total=40)) == list(
        range(40)
    )
    half = next(progress for progress in seen if progress.done == 20)
    assert (half.stage, half.total, half.eta) == ("analyse", 40, 20.0)
    assert seen[-1].done == 40
    # the bus gets fewer: a line every five seconds
    assert [fields["done"] for _, fields in events] == [5, 10, 15, 20, 25, 30, 35, 40, 40]
    assert {section for section, _ in events} == {"dataset_progress"}
