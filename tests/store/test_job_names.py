"""No two jobs of a namespace share a name, whatever their studies are called."""

from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from coref_k8s.study.names import MAX_NAME, Kind, job_name

#: Parts that a name could be confused by.
PARTS = ["a", "0", "1", "512", "finalist", "finalist0", "verdict", "prepare"]
NAMES = st.lists(st.sampled_from(PARTS), min_size=1, max_size=5).map("-".join)


def jobs(study: str) -> dict[tuple[object, ...], str]:
    found = {(study, Kind.PREPARE, n): job_name(study, Kind.PREPARE, None, None, n) for n in (0, 1, 512)}
    for length, number, attempt in product((512, 1024), (0, 1, 512), (1, 512)):
        for kind in (Kind.TRIAL, Kind.FINALIST):
            found[study, kind, length, number, attempt] = job_name(study, kind, length, number, attempt)
        found[study, Kind.VERDICT, length, attempt] = job_name(study, Kind.VERDICT, length, None, attempt)
    return found


@given(st.sets(NAMES, min_size=2, max_size=6))
def test_job_names_are_unique(studies: set[str]) -> None:
    found = [name for study in studies for name in jobs(study).values()]
    assert len(set(found)) == len(found)


def test_job_names_fit_and_a_trial_s_can_be_read() -> None:
    assert job_name("a", Kind.TRIAL, 512, 3, 1) == "a-512-3-1"
    longest = "x" * MAX_NAME
    for kind, number in ((Kind.TRIAL, 99_999), (Kind.FINALIST, 999), (Kind.VERDICT, None)):
        assert len(job_name(longest, kind, 16_384, number, 99)) <= 63
