"""A coreference model: encoder, head and tokeniser, and the folder that they are kept in.

config.json, model.safetensors, tokenizer.json …   the encoder, as `AutoModel.from_pretrained` opens it
coref_head.safetensors                             the head
coref.json                                         what both need to know of each other (`CorefConfig`)
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from coref_k8s.coref.encoded import Coverage
from coref_k8s.coref.encoder import SPECIALS, open_encoder, open_tokenizer
from coref_k8s.coref.head import CorefHead, HeadSizes
from coref_k8s.coref.windows import Window
from coref_k8s.errors import ModelError, NotFoundError
from coref_k8s.model.load import quiet
from coref_k8s.study.paths import COREF_FILE, MEMBERS_FILE

HEAD = "coref_head.safetensors"
#: Raised when a folder of an older version can no longer be read as it is.
FORMAT = 1
#: Windows are padded to multiples of so many tokens, so that short ones of several documents share a forward pass.
PADDED = 64


@dataclass(frozen=True)
class Thresholds:
    """Probabilities above which a span is taken for a mention: one that is linked to others, one that stays alone.

    A link is evidence, too (docs/decisions/114-who-is-who.md has the figures). What is here serves where none were found
    on development documents.
    """

    linked: float = 0.25
    alone: float = 0.6


@dataclass(frozen=True)
class CorefConfig:
    """What a saved model says of itself (`coref.json`)."""

    sizes: HeadSizes
    seq_len: int
    """Tokens of a window, special tokens among them."""
    trims: bool = True
    """Whether mentions end before particles and endings, as in the data that it was trained on."""
    singletons: bool = True
    """Whether entities with a single mention are entities, as in the data that it was trained on."""
    licences: tuple[str, ...] = ()
    """Licences of the data that it was trained on, in words."""
    thresholds: Thresholds = Thresholds()


class CorefModel(nn.Module):
    """An encoder with a coreference head."""

    def __init__(self, encoder: nn.Module, head: CorefHead, tokenizer: Any, config: CorefConfig) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.tokenizer = tokenizer
        self.config = config
        first = tokenizer.cls_token_id if tokenizer.cls_token_id is not None else tokenizer.bos_token_id
        last = tokenizer.sep_token_id if tokenizer.sep_token_id is not None else tokenizer.eos_token_id
        self._before: list[int] = [] if first is None else [first]
        self._after: list[int] = [] if last is None else [last]

    def adopt(self, coverage: Coverage) -> None:
        """Take over from the training data whether mentions hold particles and whether entities stand alone."""
        self.config = replace(self.config, trims=coverage.trims, singletons=coverage.singletons)

    def settle(self, thresholds: Mapping[str, float]) -> None:
        """Keep the thresholds that an evaluation found (`EvaluationResult.thresholds`)."""
        self.config = replace(self.config, thresholds=Thresholds(**thresholds))

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.head.parameters()).device

    @property
    def window(self) -> int:
        """Tokens of a window without special tokens."""
        return self.config.seq_len - SPECIALS

    @property
    def longest_sentence(self) -> int:
        """Tokens from which on a sentence is cut, so that overlapping windows hold each whole."""
        return self.window // 2

    def padded(self, window: Window) -> int:
        """Tokens that a window takes in a forward pass: of itself, special ones, and padding."""
        tokens = window.end - window.start + SPECIALS
        return min(-(-tokens // PADDED) * PADDED, self.config.seq_len)

    def encode(self, windows: Sequence[Window]) -> list[Tensor]:
        """Return the states of each window's tokens, (tokens, hidden) each; one forward pass for all of them."""
        rows = [
            [*self._before, *window.document.ids[window.start : window.end].tolist(), *self._after]
            for window in windows
        ]
        longest = max(map(self.padded, windows))
        pad = self.tokenizer.pad_token_id or 0
        ids = torch.tensor([row + [pad] * (longest - len(row)) for row in rows], device=self.device)
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows], device=self.device)
        states = self.encoder(input_ids=ids, attention_mask=mask)[0]
        skip = len(self._before)
        return [
            states[number, skip : skip + window.end - window.start] for number, window in enumerate(windows)
        ]

    def save(self, folder: Path) -> None:
        """Write the folder: encoder, tokeniser, head and `coref.json`."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        encoder: Any = self.encoder
        with quiet():
            encoder.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        weights = {name: value.detach().cpu().contiguous() for name, value in self.head.state_dict().items()}
        save_file(weights, folder / HEAD)
        record = {"format": FORMAT, **asdict(self.config)}
        (folder / COREF_FILE).write_text(
            json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )


def new_model(
    name: str,
    seq_len: int,
    *,
    trims: bool = True,
    singletons: bool = True,
    licences: Sequence[str] = (),
    dropout: float = 0.2,
    revision: str | None = None,
    **arguments: Any,
) -> CorefModel:
    """Return an encoder (folder or hub id; of a masked LM, too) with a head to train.

    The head of a coreference model is taken over; any other encoder gets one that has learnt nothing yet. `dropout` is
    the head's; the other arguments are those of `coref_k8s.model.load.load_encoder`. Raises ModelError when the encoder
    or its tokeniser cannot serve.
    """
    tokenizer = open_tokenizer(name, revision)
    encoder: Any = open_encoder(name, seq_len, revision=revision, **arguments)
    attend_to_all(encoder)
    head = CorefHead(HeadSizes(hidden=encoder.config.hidden_size), dropout)
    if is_coref_model(Path(name)):
        head = _open_head(Path(name), read_config(Path(name)), dropout)
    config = CorefConfig(head.sizes, seq_len, trims, singletons, tuple(licences))
    return CorefModel(encoder, head, tokenizer, config)


def attend_to_all(encoder: nn.Module) -> None:
    """Switch dropout of attention off: torch has no fast attention with it on a CPU, where it doubles a step's time."""
    for module in encoder.modules():
        dropout: Any = getattr(module, "dropout", None)
        if hasattr(module, "attention_head_size") and isinstance(dropout, nn.Dropout):
            dropout.p = 0.0


def is_coref_model(folder: Path) -> bool:
    """Return whether a folder holds what `CorefModel.save` writes."""
    return (Path(folder) / COREF_FILE).is_file()


def load_model(folder: str | Path, device: str | torch.device = "cpu", *, dropout: float = 0.0) -> CorefModel:
    """Open a folder that `CorefModel.save` wrote, ready to resolve; `dropout` is for training it further.

    Raises NotFoundError or ModelError, in one sentence.
    """
    path = Path(folder)
    if not path.is_dir():
        raise NotFoundError("coref.no-model", folder=str(folder))
    if (path / MEMBERS_FILE).is_file():
        from coref_k8s.coref.joined import load_members

        return load_members(path, device)
    if not is_coref_model(path):
        raise ModelError("coref.no-head", folder=str(folder))
    config = read_config(path)
    head = _open_head(path, config, dropout)
    encoder: Any = open_encoder(str(path), config.seq_len)
    if encoder.config.hidden_size != config.sizes.hidden:
        raise ModelError(
            "coref.other-width",
            folder=str(folder),
            encoder=encoder.config.hidden_size,
            head=config.sizes.hidden,
        )
    model = CorefModel(encoder, head, open_tokenizer(path), config)
    return model.to(device).eval()


def _open_head(path: Path, config: CorefConfig, dropout: float) -> CorefHead:
    from safetensors.torch import load_file

    head = CorefHead(config.sizes, dropout)
    try:
        head.load_state_dict(load_file(path / HEAD))
    except Exception as error:  # safetensors raises an exception of its own, torch RuntimeError
        reason = str(error).strip().split("\n", 1)[0]
        raise ModelError("coref.head-unreadable", file=str(path / HEAD), why=reason) from error
    return head


def read_config(path: Path) -> CorefConfig:
    """Read a folder's `coref.json`. Raises ModelError."""
    try:
        record = json.loads((path / COREF_FILE).read_text(encoding="utf-8"))
        if record["format"] > FORMAT:
            raise ModelError("coref.newer-format", folder=str(path), format=record["format"], known=FORMAT)
        known = {field.name for field in fields(CorefConfig)}
        values = {name: value for name, value in record.items() if name in known}
        values["sizes"] = HeadSizes(**values["sizes"])
        values["licences"] = tuple(values.get("licences", ()))
        values["thresholds"] = Thresholds(**values.get("thresholds", {}))
        return CorefConfig(**values)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError("coref.config-unreadable", file=str(path / COREF_FILE), why=str(error)) from error
