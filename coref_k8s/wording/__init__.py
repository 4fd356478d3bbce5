"""Every word that a person reads, in English and in Korean: from a code and its values to a sentence.

The words stand in `catalogue/<topic>.toml`, both languages beside each other:

    [name-taken]
    en = "study {study} exists already; take another name, or go on with it: {resume}"
    ko = "스터디 {study:이/가} 이미 있습니다. 다른 이름을 쓰거나 이어서 실행하세요: {resume}"

The code of that text is `<topic>.name-taken`. A value in braces may carry a format (`formats.py`): `{span:duration}`,
`{n:count}`, `{n:trial|trials}` for a plural, `{study:이/가}` for the particle that fits the value's last syllable.
Behind every command in a sentence stands `{typed}` (`commands.py`): what names the place that the reader works in.
Codes and values travel through the controller, trials and the database (`Message`); words are made where they are shown.
"""

from coref_k8s.wording.catalogue import codes, document, has, say
from coref_k8s.wording.language import LANGUAGES, Lang, locale_lang
from coref_k8s.wording.message import NOTHING, Message

__all__ = ["LANGUAGES", "NOTHING", "Lang", "Message", "codes", "document", "has", "locale_lang", "say"]
