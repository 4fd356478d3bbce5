"""How much an evaluation asks: how many items of a kind, and how many of them in the arms that cost most.

An anaphoric item costs one pass in the open full arm, one in the open removed arm and a short one in the truncated
arm. Closed scoring costs up to four passes an arm instead of one, so most of a whole evaluation is closed
scoring. Every beginning of an item list is balanced over distance buckets and documents (`coref_items.sample`), so
asking less means taking a beginning.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Most that the full evaluation may cost (share of the training), as counted; measured on a CPU it is less, since
#: training makes masks and updates weights as well (tests/benchmarks/evaluation_cost.py).
SHARE = 0.15
#: Passes without gradient that one trained token costs.
TRAINED = 3.0
#: Share of the items that a lean evaluation scores closed (Coref F1, closed Top-1/Top-5), swaps, asks the reference way,
#: and of gold mentions that it links.
CLOSED_SHARE, SWAPPED_SHARE, SEED_SHARE, ANTECEDENT_SHARE = 0.5, 0.25, 0.25, 0.5


@dataclass(frozen=True)
class Extent:
    """Most items of each kind; None is all that there are."""

    items: int | None = None
    """Anaphoric items and LAMBADA items, each, in the open arms."""
    closed: int | None = None
    """Anaphoric items that are scored closed too, and pairs of Coref F1: a beginning of `items`."""
    swapped: int | None = None
    """Items in the swapped arm."""
    seed: int | None = None
    """Items of each of the three reference metrics."""
    antecedents: int | None = None
    """Gold mentions to be linked."""

    @staticmethod
    def lean(items: int) -> Extent:
        """Return the extent of so many items with fewer of them in the arms that cost most."""
        shares = (CLOSED_SHARE, SWAPPED_SHARE, SEED_SHARE, ANTECEDENT_SHARE)
        return Extent(items, *(max(1, round(share * items)) for share in shares))


#: Everything in the item file.
WHOLE = Extent()


def quick_extent(items: int) -> Extent:
    """Return what a quick evaluation asks: half as many pairs, which cost several passes each."""
    return Extent(items, max(1, items // 2))
