"""Turns a Hugging Face DeBERTa-v2, in place, into the lean one: same parameters, same names.

Only the classes of its encoder and attention modules change, so `state_dict`, `save_pretrained` and
the configuration stay Hugging Face's own.
"""

import math
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.deberta_v2.modeling_deberta_v2 import (
    DebertaV2Encoder,
    DebertaV2ForMaskedLM,
    DebertaV2Model,
    DisentangledSelfAttention,
)

from coref_k8s.errors import ModelError

from .attention import blocked_attention
from .buckets import BucketTable, bucket_table
from .dropout import draw_seed
from .layout import Layout, layout_of
from .positions import encoder_of
from .products import FastLinear
from .tiling import Terms


class BlockedSelfAttention(DisentangledSelfAttention):
    """`DisentangledSelfAttention` whose scores are computed in tiles (`attention.py`)."""

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Layout,
        output_attentions: bool = False,
        query_states: Tensor | None = None,
        relative_pos: BucketTable | None = None,
        rel_embeddings: Tensor | None = None,
    ) -> tuple[Tensor, None]:
        """Context (batch, length, hidden); `attention_mask` is a `Layout`, `relative_pos` a table.

        With `query_states` (count, hidden), the states at the layout's positions: (count, hidden).
        """
        if output_attentions or (query_states is not None and attention_mask.positions is None):
            raise ModelError("model.no-attention-matrix")
        asking = hidden_states if query_states is None else query_states[None]
        query = self._heads(self.query_proj(asking))
        key = self._heads(self.key_proj(hidden_states))
        value = self._heads(self.value_proj(hidden_states))
        pos_key, pos_query = self._position_projections(rel_embeddings)
        factor = 1 + ("c2p" in self.pos_att_type) + ("p2c" in self.pos_att_type)
        rate = self.dropout.p if self.training else 0.0
        terms = Terms(
            scale=math.sqrt(self.attention_head_size * factor),
            table=relative_pos if self.relative_attention else None,
            dropout=rate,
        )
        seed = draw_seed() if rate else 0
        context = blocked_attention(query, key, value, pos_key, pos_query, terms, attention_mask, seed)
        context = context.transpose(1, 2).flatten(2)
        return context if query_states is None else context[0], None

    def _heads(self, states: Tensor) -> Tensor:
        """(batch, length, hidden) to (batch, heads, length, size), a view."""
        return states.unflatten(-1, (self.num_attention_heads, -1)).transpose(1, 2)

    def _position_projections(self, rel_embeddings: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        """The keys and queries of the relative positions, (heads, 2·span, size) each."""
        if not self.relative_attention or rel_embeddings is None:
            return None, None
        embeddings = self.pos_dropout(rel_embeddings)[None, : 2 * self.pos_ebd_size]
        share = self.share_att_key
        pos_key = pos_query = None
        if "c2p" in self.pos_att_type:
            pos_key = self._heads((self.key_proj if share else self.pos_key_proj)(embeddings))[0]
        if "p2c" in self.pos_att_type:
            pos_query = self._heads((self.query_proj if share else self.pos_query_proj)(embeddings))[0]
        return pos_key, pos_query


class LeanEncoder(DebertaV2Encoder):
    """`DebertaV2Encoder` without its L×L mask and L×L table of buckets."""

    def layout(self, segments: Tensor | None, states: Tensor) -> Layout:
        """Who attends to whom, once a batch."""
        return layout_of(segments, states.shape[0], states.shape[1])

    def bucket_table(self, states: Tensor) -> BucketTable | None:
        """The bucket of every distance in `states` (batch, length, hidden), kept between calls."""
        if not self.relative_attention:
            return None
        length = states.shape[1]
        key = (self.position_buckets, self.max_relative_positions, states.device)
        cached = self.__dict__.get("_table")
        if cached is None or cached[0] != key or cached[1].length < length:
            cached = (key, bucket_table(length, *key))
            self.__dict__["_table"] = cached
        return cached[1]

    def at(self, hidden_states: Tensor, segments: Tensor | None, positions: Tensor) -> Tensor:
        """The last layer's output at `positions` (count; flat, ascending): (count, hidden).

        On the host the last layer computes queries and feed-forward for these alone: nobody reads the
        others. On a GPU, counting them in each row would make the host wait.
        """
        states = hidden_states
        everywhere = states.device.type != "cpu" or (self.conv is not None and len(self.layer) == 1)
        for output in self.run(hidden_states, segments, self.layer if everywhere else self.layer[:-1]):
            states = output
        if everywhere:
            return states.flatten(0, 1)[positions]
        layout = self.layout(segments, states).only(positions, states.shape[1])
        output, _ = self.layer[-1](
            states,
            layout,
            query_states=states.flatten(0, 1)[positions],
            relative_pos=self.bucket_table(states),
            rel_embeddings=self.get_rel_embedding(),
        )
        result: Tensor = output
        return result

    def run(
        self, hidden_states: Tensor, segments: Tensor | None, layers: Iterable[nn.Module]
    ) -> Iterator[Tensor]:
        """The output of each of `layers` in turn; `segments` (batch, length), 0 at padding."""
        layout = self.layout(segments, hidden_states)
        table = self.bucket_table(hidden_states)
        embeddings = self.get_rel_embedding()
        states = hidden_states
        for number, layer in enumerate(layers):
            output, _ = layer(states, layout, relative_pos=table, rel_embeddings=embeddings)
            if number == 0 and self.conv is not None:
                real = torch.ones_like(hidden_states[..., 0]) if segments is None else segments > 0
                output = self.conv(hidden_states, output, real.to(torch.long))
            states = output
            yield states

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor,
        output_hidden_states: bool = True,
        output_attentions: bool = False,
        query_states: Tensor | None = None,
        relative_pos: Tensor | None = None,
        return_dict: bool = True,
    ) -> Any:
        """Hugging Face's call, for `model(input_ids, attention_mask)` with a (batch, length) mask."""
        if attention_mask.dim() != 2 or output_attentions or query_states is not None:
            raise ModelError("model.no-attention-matrix")
        segments: Tensor | None = attention_mask > 0
        if attention_mask.device.type == "cpu" and bool(attention_mask.all()):
            segments = None
        states = (hidden_states, *self.run(hidden_states, segments, self.layer))
        if return_dict:
            return BaseModelOutput(last_hidden_state=states[-1], hidden_states=states)
        return states[-1], states


def convert(model: nn.Module) -> None:
    """Makes a DeBERTa-v2, masked LM or bare, lean in place. Raises ModelError for any other architecture."""
    if not isinstance(model, DebertaV2ForMaskedLM | DebertaV2Model):
        raise ModelError("model.not-lean", kind=type(model).__name__)
    encoder = encoder_of(model)
    encoder.__class__ = LeanEncoder
    for layer in encoder.layer:
        layer.attention.self.__class__ = BlockedSelfAttention
        for module in layer.modules():
            if type(module) is nn.Linear:
                module.__class__ = FastLinear


def is_lean(model: nn.Module) -> bool:
    """Whether `convert` has been here."""
    return isinstance(model, DebertaV2ForMaskedLM) and isinstance(model.deberta.encoder, LeanEncoder)
