"""One HTML page that needs nothing else: the text with its chains, and the list of entities."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING

from coref_k8s.coref.formats.pieces import pieces
from coref_k8s.wording import Lang, say

if TYPE_CHECKING:
    from coref_k8s.coref.resolved import Mention, ResolvedDocument

#: Colours of the style sheet, and kinds of line that tell a second round of them from the first.
_COLOURS, _ROUNDS = 8, 4
#: Mentions of an entity that the list shows.
_LISTED = 200


def to_html(document: ResolvedDocument, lang: Lang = "en") -> str:
    """Return the page. Chains of two or more mentions have colours, the largest first; single mentions are faint."""
    looks = _looks(document)
    places = {id(mention): place for place, mention in enumerate(document.mentions)}
    entities = [number for number in looks if len(document.chains[number]) > 1]
    title = escape(document.doc_id)
    counts = say("coref.page-counts", lang, entities=len(entities), mentions=len(document.mentions))
    return f"""<!doctype html>
<html lang="ko">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{_file("page.css")}</style>
</head>
<body>
<header lang="{lang}"><h1>{title}</h1><p>{escape(counts)}</p><p class="hint">{escape(say("coref.page-hint", lang))}</p></header>
<main>{_text(document, looks, places, lang)}</main>
<aside aria-label="{escape(say("coref.page-entities", lang))}"><h2 lang="{lang}">{escape(say("coref.page-entities", lang))}</h2><ol>
{"".join(_entity(document, number, looks[number], places, lang) for number in entities)}</ol></aside>
<nav lang="{lang}" hidden aria-live="polite"><button aria-label="{escape(say("coref.page-previous", lang))}">‹</button><b lang="ko"></b><span></span><button aria-label="{escape(say("coref.page-next", lang))}">›</button><button aria-label="{escape(say("coref.page-close", lang))}">×</button></nav>
<script>
{_file("page.js")}</script>
</body>
</html>
"""


def to_notebook(document: ResolvedDocument) -> str:
    """Return the page in a frame of its own, so that its styles stay in it."""
    height = min(640, 240 + len(document.text) // 3)
    style = f"width:100%;height:{height}px;border:1px solid #8884;border-radius:4px"
    return f'<iframe style="{style}" srcdoc="{escape(to_html(document))}"></iframe>'


def _looks(document: ResolvedDocument) -> dict[int, str]:
    """Return the classes of each chain, the largest first."""
    order = sorted(range(len(document.chains)), key=lambda number: -len(document.chains[number]))
    looks = {}
    for rank, number in enumerate(order):
        alone = len(document.chains[number]) == 1
        looks[number] = "alone" if alone else f"k{rank % _COLOURS} r{rank // _COLOURS % _ROUNDS}"
    return looks


def _text(document: ResolvedDocument, looks: dict[int, str], places: dict[int, int], lang: Lang) -> str:
    parts = []
    for piece in pieces(document):
        mention = piece.mention
        if mention is None:
            parts.append(escape(piece.text))
        elif piece.kind == "close":
            parts.append(
                "" if piece.again or looks[mention.chain] == "alone" else f"<sub>{mention.chain + 1}</sub>"
            )
            parts.append("</span>")
        else:
            parts.append(_opened(mention, looks[mention.chain], places[id(mention)], piece.again, lang))
    return "".join(parts)


def _opened(mention: Mention, look: str, number: int, again: bool, lang: Lang) -> str:
    if look == "alone":
        return '<span class="m alone">'
    name = f'data-of="m{number}"' if again else f'id="m{number}" tabindex="0"'
    chances = say("coref.page-chances", lang, mention=mention.confidence, link=mention.link_confidence)
    return f'<span class="m {look}" {name} data-c="{mention.chain}" title="{escape(chances)}">'


def _entity(document: ResolvedDocument, number: int, look: str, places: dict[int, int], lang: Lang) -> str:
    chain = document.chains[number]
    links = "".join(
        f'<a href="#m{places[id(mention)]}">{escape(mention.text)}</a> ' for mention in chain[:_LISTED]
    )
    more = " …" if len(chain) > _LISTED else ""
    return (
        f'<li class="{look}" data-c="{number}"><details><summary><b>{escape(document.names[number])}</b>'
        f"<sub>{number + 1}</sub><span>{escape(say('coref.page-mentions', lang, n=len(chain)))}</span></summary><div>{links}{more}</div></details></li>\n"
    )


def _file(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
