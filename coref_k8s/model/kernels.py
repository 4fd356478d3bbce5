"""The passes over a tile of scores on a CPU, each as one loop: compiled by numba on first use, no compiler needed.

In PyTorch every pass is several operations, and each of them reads and writes the whole tile again. Shapes:
`scores` and `grad` (rows, keys), one head; `by_query` (rows, 2·span) holds q·pos_key and `by_key`
(lines, keys, 16) k·pos_query, 16 columns a line, each None when that term is absent; `ends` (2, keys) are the columns `far_row` and
`near_row` of `by_key` (of its gradient), contiguous. `tokens` (rows) are the queries' places, counted from the
first key; `table[length - 1 - d]` is the row of distance d, as in `buckets.py`.
"""

from typing import Any

import numba
import numpy as np

#: Columns done for all rows of a tile before the next ones: their part of `by_key` stays in the first-level cache.
COLUMNS = 128

# Sums may be reordered and fused; infinities stay what they are.
_FAST = {"nnan", "nsz", "arcp", "contract", "afn", "reassoc"}


def _jit(function: Any) -> Any:
    settings = {"fastmath": _FAST, "error_model": "numpy", "nogil": True}
    try:
        return numba.njit(cache=True, **settings)(function)
    except RuntimeError:  # nowhere to keep the compiled code: two seconds in every process
        return numba.njit(**settings)(function)


@_jit
def _exp(x: Any) -> Any:
    """e**x for x <= 0, float32, to 3e-7 (Cephes' expf); below -87 it is e**-87, next to nothing."""
    x = max(x, np.float32(-87.0))
    power = np.floor(x * np.float32(1.44269504) + np.float32(0.5))
    rest = x - power * np.float32(0.693359375) + power * np.float32(2.12194440e-4)
    series = np.float32(1.9875691500e-4)
    series = series * rest + np.float32(1.3981999507e-3)
    series = series * rest + np.float32(8.3334519073e-3)
    series = series * rest + np.float32(4.1665795894e-2)
    series = series * rest + np.float32(1.6666665459e-1)
    series = series * rest + np.float32(5.0000001201e-1)
    series = series * rest * rest + rest + np.float32(1.0)
    exponent = np.int32((np.int32(power) + np.int32(127)) << np.int32(23))
    return series * exponent.view(np.float32)


@_jit
def _mixed(x: Any) -> Any:
    """32 bits from 32, each of them depending on all (the "lowbias32" of Wellons' hash prospector)."""
    x = np.uint32(x ^ np.uint32(x >> np.uint32(16)))
    x = np.uint32(x * np.uint32(0x7FEB352D))
    x = np.uint32(x ^ np.uint32(x >> np.uint32(15)))
    x = np.uint32(x * np.uint32(0x846CA68B))
    return np.uint32(x ^ np.uint32(x >> np.uint32(16)))


@_jit
def _row_key(seed: Any, token: Any) -> Any:
    """What the random bits of one row start from."""
    low, high = np.uint32(seed & 0xFFFFFFFF), np.uint32(seed >> 32)
    return _mixed(np.uint32(_mixed(np.uint32(low ^ _mixed(np.uint32(token)))) ^ high))


@_jit
def _bits(key: Any, column: Any) -> Any:
    """32 random bits for one number: a function of its place, so that the backward pass finds them again."""
    return _mixed(np.uint32(np.uint32(np.uint32(column) * np.uint32(0x9E3779B9)) ^ key))


@_jit
def _edges(token: Any, far: Any, first: Any, stop: Any) -> Any:
    """The columns of `first..stop` whose distance from `token` is below `far`: unsigned, for numba's indexing."""
    low = min(max(token - far + 1, first), stop)
    high = min(max(token + far, low), stop)
    return np.uint64(first), np.uint64(low), np.uint64(high), np.uint64(stop)


@_jit
def add_positions(
    scores: Any, by_query: Any, by_key: Any, ends: Any, tokens: Any, table: Any, far: int, rows: Any
) -> None:
    """`scores` += both position terms; `rows` is (far_row, near_row)."""
    far_row, near_row = rows
    keys = scores.shape[1]
    for block in range(0, keys, COLUMNS):
        for i in range(scores.shape[0]):
            first, low, high, stop = _edges(tokens[i], far, block, min(keys, block + COLUMNS))
            offset = np.uint64(table.shape[0] // 2 - tokens[i])
            line = scores[i]
            if by_query is not None:
                terms = by_query[i]
                for j in range(first, low):
                    line[j] += terms[far_row]
                for j in range(low, high):
                    line[j] += terms[table[offset + j]]
                for j in range(high, stop):
                    line[j] += terms[near_row]
            if by_key is not None:
                for j in range(first, low):
                    line[j] += ends[0, j]
                for j in range(low, high):
                    row = table[offset + j]
                    line[j] += by_key[row >> np.uint32(4), j, row & np.uint32(15)]
                for j in range(high, stop):
                    line[j] += ends[1, j]


@_jit
def attend(scores: Any, logsum: Any, tokens: Any, seed: Any, dropped: Any) -> None:
    """`scores` become probabilities, of which dropout has taken its share.

    `logsum` (rows) comes with the largest of each row and leaves with the logarithm of its sum.
    """
    for i in range(scores.shape[0]):
        line, largest = scores[i], logsum[i]
        keys = np.uint64(line.shape[0])
        total = np.float32(0)
        for j in range(keys):
            line[j] = _exp(line[j] - largest)
            total += line[j]
        logsum[i] = largest + np.log(total)
        share = np.float32(1) / total
        key = _row_key(seed, tokens[i])
        for j in range(keys):
            line[j] = line[j] * share if _bits(key, j) >= dropped else np.float32(0)


@_jit
def differentiate(
    scores: Any, grad: Any, logsum: Any, delta: Any, tokens: Any, seed: Any, dropped: Any
) -> None:
    """`scores` become the probabilities of `attend`; `grad`, theirs, becomes that of the scores.

    `delta` (rows): the sum over a row of probability times gradient.
    """
    for i in range(scores.shape[0]):
        line, into = scores[i], grad[i]
        normaliser, mean = logsum[i], delta[i]
        key = _row_key(seed, tokens[i])
        for j in range(np.uint64(line.shape[0])):
            probability = _exp(line[j] - normaliser)
            kept = probability if _bits(key, j) >= dropped else np.float32(0)
            line[j] = kept
            into[j] = kept * into[j] - probability * mean


@_jit
def gather_gradients(
    grad: Any,
    by_query: Any,
    by_key: Any,
    ends: Any,
    begin: int,
    end: int,
    tokens: Any,
    table: Any,
    far: int,
    rows: Any,
) -> None:
    """`by_query`, `by_key` and `ends` += what the columns `begin..end` of `grad`, of the scores, send to them."""
    far_row, near_row = rows
    for block in range(begin, end, COLUMNS):
        for i in range(grad.shape[0]):
            first, low, high, stop = _edges(tokens[i], far, block, min(end, block + COLUMNS))
            offset = np.uint64(table.shape[0] // 2 - tokens[i])
            line = grad[i]
            if by_query is not None:
                into = by_query[i]
                total = np.float32(0)
                for j in range(first, low):
                    total += line[j]
                into[far_row] += total
                for j in range(low, high):
                    into[table[offset + j]] += line[j]
                total = np.float32(0)
                for j in range(high, stop):
                    total += line[j]
                into[near_row] += total
            if by_key is not None:
                for j in range(first, low):
                    ends[0, j] += line[j]
                for j in range(low, high):
                    row = table[offset + j]
                    by_key[row >> np.uint32(4), j, row & np.uint32(15)] += line[j]
                for j in range(high, stop):
                    ends[1, j] += line[j]
