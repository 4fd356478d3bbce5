"""CoNLL-2012 (OntoNotes): the columns that a scorer reads, the others empty."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coref_k8s.coref.formats.words import Word, sentences_of

if TYPE_CHECKING:
    from coref_k8s.coref.resolved import ResolvedDocument


def to_conll(document: ResolvedDocument) -> str:
    """Return a document as one part of a CoNLL-2012 file."""
    name = "_".join(document.doc_id.split()).translate({ord("("): "_", ord(")"): "_"}) or "document"
    lines = [f"#begin document ({name}); part 000"]
    for words in sentences_of(document):
        for number, word in enumerate(words):
            form = document.text[word.start : word.end]
            empty = ["-", "-", "-", "-", "-", "-", "*"]
            lines.append(" ".join([name, "0", str(number), form, *empty, _brackets(word)]))
        lines.append("")
    lines += ["#end document", ""]
    return "\n".join(lines)


def _brackets(word: Word) -> str:
    parts = [f"({m.chain}" for m in word.opening]
    parts += [f"({m.chain})" for m in word.single]
    parts += [f"{m.chain})" for m in word.closing]
    return "|".join(parts) or "-"
