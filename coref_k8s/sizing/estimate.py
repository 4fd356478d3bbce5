"""Peak memory of one training step of either task, in parts, from a model's shape; pure arithmetic.

Counted from what each operation keeps for the backward pass, with one fitted factor, `SLACK`;
tests/model/test_estimate.py holds it against measured peaks of real steps on the CPU in float32. The
narrow (bf16) counts are for a GPU and have not been measured on one.

The lean path keeps no (query, key) matrix and computes the head at masked positions only, in chunks, so
its activations grow with tokens; Hugging Face's own for DeBERTa ("eager") grow with the square of the length. Other
architectures attend by PyTorch's kernels ("sdpa"), which keep no matrix either, but for attention dropout on a CPU.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from coref_k8s.sizing.head import HeadShape
from coref_k8s.sizing.shape import LEAN, ModelShape

#: Bytes of float32 logits that exist at one time in the lean head.
HEAD_CHUNK_BYTES = 1 << 28
#: Words of the vocabulary whose logits are computed at a time on a CPU, beside the chunk that they are put into.
HEAD_WORDS = 1 << 13
#: Numbers in one tile of the lean attention, and the buffers of a tile that live together: compiled loops
#: work in place, PyTorch's operations from one buffer into another.
TILE_ELEMENTS = {"cpu": 1 << 19, "cuda": 1 << 25}
TILE_BUFFERS = {"cpu": 3, "cuda": 7}
#: CUDA context, cuBLAS workspaces and allocator fragmentation (bytes).
OVERHEAD = int(1.2 * 2**30)
#: What the counts leave out: page rounding, small tensors, the autograd graph itself. The one fitted
#: number, on the shapes of tests/model/test_estimate.py.
SLACK = 1.02
#: Bytes of state that an optimiser keeps for each weight: AdamW's two moments in float32, or in 8 bits.
OPTIMISER_BYTES = {"adamw": 8, "adamw8bit": 2, "sgd": 0, "sgd-momentum": 4}
#: Share of tokens that the masked-only head reads, when the request does not say.
MASKED = 0.15


@dataclass(frozen=True)
class MemoryEstimate:
    """Peak bytes by part, all at the one moment when their sum is largest."""

    weights: int
    gradients: int
    optimiser: int
    activations: int
    temporary: int

    @property
    def total(self) -> int:
        """Sum of all parts (bytes)."""
        return self.weights + self.gradients + self.optimiser + self.activations + self.temporary


def estimate(
    shape: ModelShape,
    seq_len: int,
    batch_size: int,
    *,
    checkpointing: bool,
    bf16: bool = True,
    attention: str = "blocked",
    device: str = "cuda",
    accumulating: bool = True,
    masked: float = MASKED,
    optimiser: str = "adamw",
    head: HeadShape | None = None,
) -> MemoryEstimate:
    """Return the peak memory of a training step of `batch_size` sequences of `seq_len` tokens (bytes).

    Weights and gradients are float32, with or without `bf16` autocast; `optimiser` is one of
    `OPTIMISER_BYTES` (trials train with AdamW; the others are there to compare).
    `attention`: "blocked" is the lean path where there is one, "eager" is Hugging Face's. `accumulating`: the gradients
    of an earlier micro-batch are already there (any but the first). `masked`: share of tokens with a label.
    `head`: the coreference head that stands in the place of the masked-LM head; sequences are windows then.
    """
    path = attention if shape.kind == LEAN else "eager" if shape.kind == "deberta" else "sdpa"
    step = _Step(shape, seq_len, batch_size, bf16, path, device, masked, head)
    kept, window = step.layer_kept(), step.window()
    whole = shape.layers if step.everywhere else shape.layers - 1
    outside = step.outside_layers()
    if checkpointing and shape.recomputes:
        at_head = shape.layers * step.boundary() + outside
        # the largest layer that is computed again: of those before it their inputs are there, of its own all that it keeps
        in_layer = (whole - 1) * step.boundary() + kept + window + outside
    else:
        in_layer = whole * kept + shape.windows * window + outside
        at_head = in_layer + step.last_layer_kept()
    parameters = (
        shape.parameters if head is None else shape.encoder_parameters + head.parameters(shape.hidden)
    )
    every = 4 * parameters
    table = 4 * shape.vocabulary * shape.width
    # held until the lookup's is there, when it is of the same table; else added to what is there at once
    head_gradient = table if head is None else 0 if accumulating else 4 * head.parameters(shape.hidden)
    # (gradients, activations, temporary) at the moments that can be the peak: the head; the backward pass of the last layer and
    # of the first, when those of the others have left their gradients; the end, when every gradient is there and no activation.
    before, of_layer = every if accumulating else 0, 4 * shape.layer_parameters
    # a gradient is added to what is there as soon as it is known
    known = 4 * shape.hidden * shape.intermediate if accumulating else of_layer
    passing = head_gradient + step.layer_temporary()
    moments = [
        # nothing is in the gradient before the first chunk's logits are complete
        (before, at_head, max(head_gradient, step.head_piece()) + step.head_temporary()),
        (before, in_layer, passing + known),
        (before or whole * of_layer, min(whole, 1) * (kept + window) + outside, passing),
        (every, outside, step.lookup_temporary(accumulating)),
    ]
    gradients, activations, temporary = max(moments, key=sum)
    if device == "cuda":
        temporary += OVERHEAD
    return MemoryEstimate(
        weights=every,
        gradients=gradients,
        optimiser=OPTIMISER_BYTES[optimiser] * parameters,
        activations=int(SLACK * activations),
        temporary=int(SLACK * temporary),
    )


@dataclass(frozen=True)
class _Step:
    """Bytes that one step keeps or holds for a moment."""

    shape: ModelShape
    length: int
    batch: int
    bf16: bool
    path: str
    device: str
    masked: float
    head: HeadShape | None

    @property
    def eager(self) -> bool:
        return self.path == "eager"

    @property
    def squares(self) -> bool:
        """Whether attention keeps (query, key) matrices: of dropout PyTorch's kernels on a CPU know nothing."""
        dropping = self.shape.drops_attention and self.device == "cpu" and self.head is None
        return self.eager or (self.path == "sdpa" and dropping)

    @property
    def tokens(self) -> int:
        return self.length * self.batch

    @property
    def square(self) -> int:
        """Numbers in the score matrices of one layer."""
        return self.batch * self.shape.heads * self.length * self.length

    @property
    def narrow(self) -> int:
        """Bytes of a number that a matrix product made."""
        return 2 if self.bf16 else 4

    @property
    def dropped(self) -> int:
        """Bytes that dropout keeps for each number: the scaled mask on a CPU, a boolean on a GPU."""
        return 1 if self.device == "cuda" else 4

    @property
    def mask(self) -> int:
        """Those of the encoder's dropout."""
        return self.dropped if self.shape.drops else 0

    @property
    def positions(self) -> int:
        """Tokens the head is computed for."""
        whole = self.eager and self.shape.kind == LEAN
        return self.tokens if whole else math.ceil(self.masked * self.tokens)

    def boundary(self) -> int:
        """The input of one layer, all that checkpointing keeps of it."""
        return 4 * self.tokens * self.shape.hidden

    def layer_kept(self) -> int:
        """What one layer keeps for its backward pass."""
        h, i, narrow = self.shape.hidden, self.shape.intermediate, self.narrow
        copies = 2 * narrow if self.bf16 else 0  # narrow copies of the two inputs of linear layers
        if self.shape.gated:
            # Input, after attention; the outputs of both normalisations; queries, keys and values, the first two again
            # after rotation; context; both projections, the activation, and its product with the gate.
            per_token = h * (2 * 4 + 2 * 4 + 2 * self.mask + 6 * narrow + copies) + 4 * i * narrow
        else:
            # Input, after attention; the inputs of both normalisations; both dropouts; queries, keys,
            # values and context; the inputs and outputs of the activation.
            per_token = h * (2 * 4 + 2 * 4 + 2 * self.mask + 4 * narrow + copies) + 2 * i * narrow
        rows = 2 * self.shape.position_buckets
        positions = rows * h * (self.mask + 4 + 2 * narrow)
        kept = self.tokens * per_token + positions
        if self.squares:
            # Probabilities, the dropout mask, the dropped probabilities.
            kept += self.square * (4 + self.mask + narrow)
        if self.eager:
            kept += 2 * 8 * self.length * self.length  # two index matrices
        return kept

    def window(self) -> int:
        """The mask in numbers that a layer keeps which sees a window only."""
        return self.narrow * self.batch * self.length * self.length if self.shape.windowed else 0

    @property
    def everywhere(self) -> bool:
        """Whether the last layer computes every token; on a CPU the lean one computes those asked for."""
        return self.path != "blocked" or self.device == "cuda" or self.head is not None

    def last_layer_kept(self) -> int:
        """What the last layer keeps beside the others, when it computes only the head's positions."""
        if self.everywhere:
            return 0
        rows = 2 * self.shape.position_buckets
        h, i, narrow = self.shape.hidden, self.shape.intermediate, self.narrow
        keys = self.tokens * h * (4 + 2 * narrow)
        queries = self.positions * (h * (2 * 4 + 2 * 4 + 2 * self.mask + 2 * narrow) + 2 * i * narrow)
        return keys + queries + rows * h * (self.mask + 4 + 2 * narrow)

    def outside_layers(self) -> int:
        """The embeddings' own activations, the table of relative positions after its norm, masks of windows."""
        h, width = self.shape.hidden, self.shape.width
        mask = self.batch * self.length * self.length if self.shape.windowed else 0
        tables = 2 * self.shape.position_buckets * h * 4
        # what is normalised, the dropout's mask, and what a projection widens
        widened = 4 if self.shape.embedding else 0
        return self.tokens * width * (4 + self.mask + widened) + tables + mask

    def head_temporary(self) -> int:
        """What the head keeps and holds at the moment of its loss, beside the gradient of its weights."""
        h, vocabulary = self.shape.hidden, self.shape.vocabulary
        if self.head is not None:
            # it has dropout of its own, whatever the encoder has
            return self.head.bytes(self.tokens, h, self.dropped, self.narrow)
        logits = 4 * self.positions * vocabulary
        if self.path != "blocked":
            # Logits, log-probabilities and the gradient of one of them.
            return (3 if self.eager or self.bf16 else 2) * logits + self.positions * h * 4 * 4
        narrow_table = 2 * vocabulary * h if self.bf16 else 0
        chunk = min(logits, HEAD_CHUNK_BYTES)
        # The chunk, its narrow copy, and the states before and after the head's transform.
        return chunk * (2 if self.bf16 else 1) + narrow_table + self.positions * h * 4 * 6

    def head_piece(self) -> int:
        """The logits of some words, before they are put into their chunk."""
        if self.path != "blocked" or self.device == "cuda" or self.bf16 or self.head is not None:
            return 0
        vocabulary = self.shape.vocabulary
        chunk = min(4 * self.positions * vocabulary, HEAD_CHUNK_BYTES)
        return chunk * min(HEAD_WORDS, vocabulary) // vocabulary

    def layer_temporary(self) -> int:
        """The larger of the backward passes of feed-forward and attention in one layer."""
        h, i, narrow = self.shape.hidden, self.shape.intermediate, self.narrow
        # The gradients of the activation's input and output live together, but what the product behind it kept is gone by then;
        # so are the input of the normalisation and the dropout's mask, which come first. A gate has its own gradient.
        if self.shape.gated:
            feed_forward = self.tokens * (2 * i * narrow + h * 4)
        else:
            feed_forward = self.tokens * (i * narrow + 2 * h * 4 - h * (4 + self.mask))
        # by the time of attention what the feed-forward part kept is gone
        gone = self.tokens * (4 if self.shape.gated else 2) * i * narrow
        attention = self.tokens * h * (5 * narrow + 4) - gone
        if self.eager:
            attention += 4 * self.square * 4 + gone
        elif self.squares:
            # so are inputs and masks of both normalisations, and context; of gradients there are those of the layer's input, of
            # context, values, and of the dropped probabilities
            attention = self.square * 4 + self.tokens * h * (4 + 2 * narrow) - gone
            attention -= self.tokens * h * (3 * 4 + 2 * self.mask + narrow)
        elif self.path == "blocked":
            products = 2 * self.length * 2 * self.shape.position_buckets * 4
            heads = 1 if self.device == "cpu" else self.shape.heads
            tile = min(TILE_ELEMENTS[self.device], heads * self.length * self.length)
            attention += products * heads + TILE_BUFFERS[self.device] * tile * 4
        return max(feed_forward, attention)

    def lookup_temporary(self, accumulating: bool) -> int:
        """The gradient of the word lookup, and its sum with the head's gradient of the same table."""
        table = 4 * self.shape.vocabulary * self.shape.width
        if self.head is not None:
            return table if accumulating else 0
        again = table if accumulating else 0  # the head's gradient, beside that of an earlier batch
        if self.path != "blocked":
            return 2 * table + again
        return self.tokens * (self.shape.hidden * 4 * 3 + 8) + again
