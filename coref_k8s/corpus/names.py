"""Invented names and the sentences that carry them: the material of the long-gap generator.

A name is one piece of the shipped tokeniser, made of two syllables that are rare in the prose. Of two pieces a small
model learns each by itself and pairs the halves of the two persons: the name is among its best five answers and
never the best. Which names a document's persons have is drawn anew for every document, from one list for all splits
(a piece that training never predicts is not predicted afterwards either), so a model can only know a name from
the context: guessing is right once in 85 times. All names end in a consonant other than ㄹ, so that no particle
gives a name away.
"""

from __future__ import annotations

from coref_k8s.text.korean import josa_class

_FIRST = "렌론벨빌칼켈쿤퀸탈툴펜폴핀헨뮌옌"
_SECOND = "룬벤칸킨탄탐톤툰틴혼훈륜센숀첸템"

#: The invented names: every third pairing of the syllables, so that each name has a syllable in common with
#: few others.
NAMES = tuple(
    first + second for i, first in enumerate(_FIRST) for j, second in enumerate(_SECOND) if (i + j) % 3 == 0
)

#: What an invented person does; it introduces the name at every mention, so the two persons of a text can
#: be told apart by the word before the gap.
ROLES = (
    "대장장이", "등대지기", "약초꾼", "우체부", "방앗간지기", "소금장수", "뱃사공", "시계공", "양봉가", "측량사",
    "사진사", "목수", "도예가", "재단사", "정원사", "통역관", "천문학자", "지도장이", "악기상", "산지기",
    "제빵사", "인쇄공", "광부", "역무원", "화가", "석공", "직조공", "보부상", "훈장", "조련사",
)  # fmt: skip

#: Sentences that bring a person in. {이} {은} {을} {과} take the form that the name asks for.
INTRODUCTIONS = (
    "그해 봄에 {R} {N}{이} 이 고을로 들어왔다.",
    "언덕 너머에는 {R} {N}{이} 혼자 살고 있었다.",
    "사람들은 새로 온 {R} {N}{을} 반갑게 맞았다.",
    "가을걷이가 끝날 무렵 {R} {N}{이} 길가에 작은 집을 지었다.",
    "먼 항구에서 온 {R} {N}{은} 짐이 거의 없었다.",
    "이 이야기는 {R} {N}{과} 함께 시작된다.",
    "장터에서는 {R} {N}{이} 온다는 소문이 돌았다.",
    "비가 그친 아침에 {R} {N}{이} 문을 두드렸다.",
)

#: Sentences that mention the person again.
MENTIONS = (
    "그날 저녁 {R} {N}{은} 말없이 불을 껐다.",
    "다시 돌아온 {R} {N}{은} 먼저 물을 찾았다.",
    "아이들이 {R} {N}{을} 따라 둑길을 걸었다.",
    "며칠 뒤 {R} {N}{이} 편지를 한 통 받았다.",
    "누구도 {R} {N}{을} 의심하지 않았다.",
    "모두가 {R} {N}{과} 인사를 나누었다.",
    "창가에 선 {R} {N}{은} 오래 바깥을 보았다.",
    "마침내 {R} {N}{이} 입을 열었다.",
    "사람들은 {R} {N}에게 까닭을 물었다.",
    "새벽이 되자 {R} {N}{은} 길을 떠났다.",
    "이번에도 {R} {N}의 말이 옳았다.",
    "그 소식은 {R} {N}에게도 닿았다.",
)

_PARTICLES = {"{이}": ("이", "가"), "{은}": ("은", "는"), "{을}": ("을", "를"), "{과}": ("과", "와")}


def write(template: str, role: str, name: str) -> tuple[str, int]:
    """Fill a template in; return the sentence and the character offset of the name in it."""
    sentence = template.replace("{R}", role)
    for slot, (closed, opened) in _PARTICLES.items():
        sentence = sentence.replace(slot, opened if josa_class(name) == "vowel" else closed)
    return sentence.replace("{N}", name), sentence.index("{N}")
