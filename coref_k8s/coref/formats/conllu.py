"""CorefUD CoNLL-U (https://ufal.mff.cuni.cz/corefud): `Entity=` in MISC, `SpaceAfter=No`, `# newdoc`.

Syntax is not analysed: the first word is the root and the others depend on it. Heads of mentions are given by number,
the last word that is no sign, as Korean has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coref_k8s.coref.formats.words import Word, sentences_of

if TYPE_CHECKING:
    from coref_k8s.coref.resolved import Mention, ResolvedDocument


def to_conllu(document: ResolvedDocument, first: int = 1) -> str:
    """Return a document as a CoNLL-U file of its own; nothing for a text without a word, which the format cannot hold.

    `first` is the number of its first entity: no two documents of a file may share one.
    """
    # a slash would begin the name of a zone
    sentence = _one_line(document.doc_id).replace("/", "-")
    lines = [f"# newdoc id = {_one_line(document.doc_id)}", "# global.Entity = eid-etype-head-other"]
    text = document.text
    after = 0
    for number, words in enumerate(sentences_of(document), start=1):
        if number > 1 and "\n\n" in text[after : words[0].start]:
            lines.append("# newpar")
        lines.append(f"# sent_id = {sentence}-s{number}")
        forms = []
        rows = []
        for place, word in enumerate(words, start=1):
            form = text[word.start : word.end]
            glued = text[word.end : word.end + 1].strip() != ""
            # at the end of a sentence a blank follows in the text as in the file
            forms.append(form if glued and place < len(words) else f"{form} ")
            misc = [f"Entity={entity}"] if (entity := _brackets(word, words, first)) else []
            misc += ["SpaceAfter=No"] if glued else []
            head, relation = ("0", "root") if place == 1 else ("1", "dep")
            columns = [str(place), form, "_", "_", "_", "_", head, relation, "_", "|".join(misc) or "_"]
            rows.append("\t".join(columns))
        lines.append(f"# text = {''.join(forms).rstrip()}")
        lines += [*rows, ""]
        after = words[-1].end
    return "\n".join(lines) + "\n" if after else ""


def _brackets(word: Word, words: list[Word], first: int) -> str:
    inner = [m for m in word.single if any(m.start >= outer.start for outer in word.closing)]
    parts = [f"(e{m.chain + first}--1)" for m in inner]
    parts += [f"e{m.chain + first})" for m in word.closing]
    parts += [f"(e{m.chain + first}--{_head(m, words)}" for m in word.opening]
    parts += [f"(e{m.chain + first}--1)" for m in word.single if m not in inner]
    return "".join(parts)


def _head(mention: Mention, words: list[Word]) -> int:
    inside = [word for word in words if mention.start <= word.start and word.end <= mention.end]
    letters = [
        number
        for number, word in enumerate(inside, start=1)
        if mention.text[word.start - mention.start].isalnum()
    ]
    return letters[-1] if letters else len(inside)


def _one_line(text: str) -> str:
    return "_".join(text.split()) or "document"
