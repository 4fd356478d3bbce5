"""Several coreference models as one: it answers with the mean of what they think likely."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from coref_k8s.coref.head import CorefHead, Pairs
from coref_k8s.coref.model import CorefModel, load_model
from coref_k8s.coref.windows import Window
from coref_k8s.study.paths import MEMBERS_FILE


class JoinedHead(CorefHead):
    """Heads side by side. States and mention vectors hold those of every member, one after the other."""

    def __init__(self, heads: Sequence[CorefHead]) -> None:
        nn.Module.__init__(self)
        first = heads[0].sizes
        self.sizes = replace(
            first, hidden=sum(one.sizes.hidden for one in heads), link=sum(one.sizes.link for one in heads)
        )
        self.heads = nn.ModuleList(heads)
        for share in ("mean_share", "size_share"):
            every = torch.stack([getattr(one, share).detach() for one in heads])
            setattr(self, share, nn.Parameter(every.mean(), requires_grad=False))

    def _each(self, together: Tensor, size: str) -> list[tuple[CorefHead, Tensor]]:
        parts = together.split([getattr(one.sizes, size) for one in self.heads], dim=-1)
        return list(zip(self.heads, parts, strict=True))  # type: ignore[arg-type]

    def start_logits(self, states: Tensor) -> Tensor:
        """See `CorefHead`: the logit of the mean probability."""
        return _mean([head.start_logits(own) for head, own in self._each(states, "hidden")])

    def end_logits(self, states: Tensor, starts: Tensor, ends: Tensor) -> Tensor:
        """See `CorefHead`: the logit of the mean probability."""
        return _mean([head.end_logits(own, starts, ends) for head, own in self._each(states, "hidden")])

    def vectors(self, states: Tensor, spans: Tensor) -> Tensor:
        """See `CorefHead`."""
        return torch.cat([head.vectors(own, spans) for head, own in self._each(states, "hidden")], dim=1)

    def link_scores(self, later: Tensor, earlier: Tensor, pairs: Pairs) -> Tensor:
        """See `CorefHead`: the mean of the scores."""
        sides = zip(self._each(later, "link"), self._each(earlier, "link"), strict=True)
        scores = [head.link_scores(one, other, pairs) for (head, one), (_, other) in sides]
        return torch.stack(scores).mean(0)


def _mean(logits: Sequence[Tensor]) -> Tensor:
    return torch.logit(torch.sigmoid(torch.stack(list(logits)).float()).mean(0), eps=1e-6)


class JoinedModel(CorefModel):
    """Coreference models of one tokeniser and window."""

    def __init__(self, members: Sequence[CorefModel]) -> None:
        head = JoinedHead([one.head for one in members])
        config = replace(members[0].config, sizes=head.sizes)
        super().__init__(members[0].encoder, head, members[0].tokenizer, config)
        self.members = nn.ModuleList(members)

    def encode(self, windows: Sequence[Window]) -> list[Tensor]:
        """See `CorefModel`: each token's states of every member, one after the other."""
        every = [one.encode(windows) for one in self.members]  # type: ignore[operator]
        return [torch.cat(states, dim=-1) for states in zip(*every, strict=True)]


def load_members(folder: Path, device: str | torch.device) -> JoinedModel:
    """Open a folder with `members.json` and a folder for each member. Raises what `load_model` raises."""
    record = json.loads((folder / MEMBERS_FILE).read_text(encoding="utf-8"))
    joined = JoinedModel([load_model(folder / name) for name in record["members"]])
    joined.settle(record["thresholds"])
    return joined.to(device).eval()
