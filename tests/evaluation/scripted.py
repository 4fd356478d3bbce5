"""Documents with planted names, a tokeniser, and scripted models that answer by rule."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import torch

from coref_k8s.evaluation.items import ItemSet
from coref_k8s.text.document import Document

SEQ_LEN = 256
# All end in a consonant, so 은 and 을 fit.
NAMES = ("한서윤", "도현석", "마리안", "백승진", "구자영", "오태림", "진하람", "표은결", "류가온", "신보람")
SENTENCES = (
    "바람이 골목 끝까지 불어와 낡은 간판을 흔들었다.",
    "시장에서는 생선 비린내와 갓 볶은 깨의 냄새가 뒤섞여 흘렀다.",
    "비가 그치자 아이들이 운동장으로 쏟아져 나왔다.",
    "늙은 시계는 하루에 두 번만 옳은 시각을 가리켰다.",
    "항구의 등대는 안개 속에서 느리게 깜박였다.",
    "도서관 창가에는 먼지 앉은 사전이 줄지어 서 있었다.",
    "저녁이면 굴뚝마다 연기가 올라 마을을 덮었다.",
    "기차는 정해진 시간보다 늘 조금 늦게 도착했다.",
    "우물가의 버드나무는 해마다 가장 먼저 물이 올랐다.",
    "편지는 이듬해 봄이 되어서야 주인을 찾아왔다.",
    "언덕 위 과수원에서는 사과가 붉게 익어 갔다.",
    "골짜기의 물소리는 밤이 깊을수록 또렷해졌다.",
)
ACTIONS = ("{}은 조용히 문을 열었다.", "사람들은 {}을 오래 기다렸다.", "그날 밤 {}은 길을 떠났다.")


def planted(number: int, gold: bool = True) -> Document:
    """A document in which two invented people come back after one to twenty sentences."""
    rng = random.Random(number)
    people = rng.sample(NAMES, 2)
    text, clusters = "", {name: [] for name in people}

    def add(sentence: str) -> None:
        # A number of its own, so that a scripted model can tell where it is.
        nonlocal text
        words, last = sentence.rsplit(" ", 1)
        text += f"{words} {number:02}{len(text):05} {last} "

    for _ in range(24):
        for sentence in rng.sample(SENTENCES, rng.randint(1, 3)):
            add(sentence)
        person = rng.choice(people)
        action = rng.choice(ACTIONS)
        at = len(text) + action.index("{")
        clusters[person].append((at, at + len(person)))
        add(action.format(person))
    chains = {name: spans for name, spans in clusters.items() if len(spans) > 1}
    return Document(f"planted-{number:02}", text.strip(), chains if gold else {})


def train_tokenizer(texts: Sequence[str], size: int) -> Any:
    """A WordPiece tokeniser like those of Korean BERT models."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(
        texts, trainers.WordPieceTrainer(vocab_size=size, special_tokens=special, show_progress=False)
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )


Logits = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def copier(tokenizer: Any, items: ItemSet) -> Logits:
    """A model that copies what stands where the antecedent stood, and knows nothing else.

    It finds its place by the tokens right of the masks; where it reads [MASK], the antecedent was removed.
    """
    places: dict[tuple[int, ...], tuple[int, int]] = {}
    for item in items.coref:
        ids = items.tables[item.document].ids
        length = item.target[1] - item.target[0]
        right = tuple(ids[item.target[1] : item.window[1]])
        places[right] = (item.target[0] - item.antecedent[0], length)
    for entry in items.lambada:
        ids = items.tables[entry.document].ids
        first, last = entry.target
        gold = ids[first:last]
        at = next((i for i in range(first - len(gold), -1, -1) if ids[i : i + len(gold)] == gold), first)
        places[tuple(ids[last : entry.passage[1]])] = (first - at, len(gold))

    def logits(input_ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        out = torch.zeros(len(positions), len(tokenizer))
        rows = positions[:, 0].tolist()
        for number, (row, column) in enumerate(positions.tolist()):
            first = positions[rows.index(row), 1].item()
            count = rows.count(row)
            line = input_ids[row, : int(mask[row].sum())].tolist()
            back, length = places.get(tuple(line[first + count : -1]), (0, 0))
            at = column - back
            if length == count and at >= 1 and line[at] != tokenizer.mask_token_id:
                out[number, line[at]] = 20.0
        return out

    return logits


def constant(tokenizer: Any, words: Sequence[str]) -> Logits:
    """A model that always says the same words, whatever stands around the mask."""
    row = torch.zeros(len(tokenizer))
    for rank, word in enumerate(words):
        for token in tokenizer(word, add_special_tokens=False)["input_ids"]:
            row[token] += 10.0 - rank

    def logits(input_ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        return row.repeat(len(positions), 1)

    return logits
