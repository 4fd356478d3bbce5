"""Builds the small WordPiece tokeniser that is shipped; `python -m coref_k8s.corpus.tokenizer` rewrites it.

Trained on the train split of the shipped documents and on the long-gap generator's sentences, never on dev
or test text. Particles are cut off nouns before training, so pieces seldom run over the end of a noun
and a mention can be masked without its particle. All 2,350 syllables of KS X 1001 are in the vocabulary,
alone and as continuations: no Korean word becomes [UNK].
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from coref_k8s.corpus.names import INTRODUCTIONS, MENTIONS, NAMES, ROLES
from coref_k8s.corpus.shipped import shipped_documents, shipped_tokenizer

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
#: Pieces of more than one syllable (count); with syllables and signs the vocabulary has about 8,000.
MERGED = 3000
_WORD = re.compile(r"\w+")
_SIGNS = [chr(code) for code in range(33, 127)] + list("·…‘’“”《》〈〉「」『』—~℃㎞㎡■□●○◆◇★☆▶→←↑↓…")


def build() -> Any:
    """Return the trained `tokenizers.Tokenizer`; the same text and library versions give the same one."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    heads, tails = _word_parts()
    trained = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    trained.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.WordPieceTrainer(
        vocab_size=20_000, min_frequency=2, show_progress=False, continuing_subword_prefix="##"
    )
    repeated = (word for word, count in sorted(heads.items()) for _ in range(count))
    trained.train_from_iterator(repeated, trainer)

    syllables = _syllables()
    pieces = [*SPECIAL, *_SIGNS, *syllables, *(f"##{char}" for char in [*syllables, *_SIGNS])]
    pieces += [f"##{tail}" for tail, n in sorted(tails.items()) if n >= 3 and len(tail) > 1]
    # the generator's names are single pieces, and so are its cue words: a name's cue is the one piece before it
    pieces += [*ROLES, *NAMES]
    merged = sorted(trained.get_vocab().items(), key=lambda item: item[1])
    longer = [piece for piece, _ in merged if len(piece.removeprefix("##")) > 1]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces + longer[:MERGED]))}

    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")],
    )
    tokenizer.add_special_tokens(list(SPECIAL))
    return tokenizer


def save(tokenizer: Any, folder: Path) -> None:
    """Write a folder that `AutoTokenizer.from_pretrained` loads."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    names = dict(zip(("pad", "unk", "cls", "sep", "mask"), SPECIAL, strict=True))
    config: dict[str, Any] = {f"{role}_token": token for role, token in names.items()}
    # no limit of its own: a study's sequence length decides
    config |= {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 1_000_000}
    config["model_input_names"] = ["input_ids", "token_type_ids", "attention_mask"]
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def _texts() -> Iterator[tuple[str, set[int]]]:
    """Yield the training texts with the ends of their gold mentions."""
    for document in shipped_documents():
        if document.split == "train":
            yield document.text, {end for _, end, _ in document.mentions()}
    # the generator's own words; {N} is left out, names are put in whole
    sentences = [re.sub(r"\{.\}", " ", template) for template in (*INTRODUCTIONS, *MENTIONS)]
    yield " ".join([*sentences * 3, *ROLES * 3]), set()


def _word_parts() -> tuple[Counter[str], Counter[str]]:
    """Count the words (nouns without their particles) and what was cut off them."""
    from coref_k8s.text.korean import analyse

    heads: Counter[str] = Counter()
    tails: Counter[str] = Counter()
    for text, gold_ends in _texts():
        analysis = analyse(text)
        ends = sorted({span.end for span in [*analysis.noun_runs, *analysis.pronouns]} | gold_ends)
        for word in _WORD.finditer(text):
            inside = [end for end in ends if word.start() < end < word.end()]
            if inside:
                heads[text[word.start() : inside[-1]]] += 1
                tails[text[inside[-1] : word.end()]] += 1
            else:
                heads[word.group()] += 1
    return heads, tails


def _syllables() -> list[str]:
    """The 2,350 syllables of KS X 1001."""
    found = []
    for code in range(ord("가"), ord("힣") + 1):
        # others are spelt out in eight bytes by this codec
        if len(chr(code).encode("euc_kr")) == 2:
            found.append(chr(code))
    return found


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else shipped_tokenizer()
    save(build(), target)
    print(f"wrote {target}")
