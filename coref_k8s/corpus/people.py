"""Documents with real reference: persons come back by name, as "그 <role>" and by pronoun.

A person is brought in once with role and name; later "그 <role>" means the one who was brought in so, and a pronoun the
only one in the last sentence that is about anybody. So equal strings link a part of the mentions only and pronouns of
different persons wrongly, and everything that is needed to do better stands in the text. Chains are exact, mentions of
companions ("렌룬의 스승") hold others. The same arguments give the same documents.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from random import Random

from coref_k8s.corpus.generator import CHARS_PER_TOKEN, splits
from coref_k8s.corpus.names import NAMES, ROLES
from coref_k8s.corpus.people_words import ALONE, ARRIVALS, COMPANIONS, KIN, SCENERY, TOGETHER
from coref_k8s.text.document import Document, Split
from coref_k8s.wording.formats import with_particle

#: Persons of a document: the first two, and one more for so many characters, up to a dozen.
CHARS_PER_PERSON, MOST_PERSONS = 500, 12
#: How often a sentence is about nobody, about two, or brings a new person in while some are still to come.
SCENERY_SHARE, TOGETHER_SHARE, ARRIVAL_SHARE = 0.2, 0.2, 0.25
#: How often the topic is a pronoun; how often anybody else is a name, and not "그 <role>".
PRONOUN_SHARE, NAME_SHARE = 0.5, 0.83
#: How often the next sentence stays with the same person, and a person has a companion.
STAY_SHARE, COMPANION_SHARE = 0.45, 0.06
_SLOT = re.compile(r"\{(?P<who>[A-Z])(?::(?P<particle>[^}]+))?\}")


class _Person:
    def __init__(self, label: str, name: str, role: str, pronoun: str) -> None:
        self.label, self.name, self.role, self.pronoun = label, name, role, pronoun
        self.mentions = 0


class _Story:
    """The document being told."""

    def __init__(self, size: int, rng: Random) -> None:
        self.rng = rng
        self.size = size
        self.sentences: list[str] = []
        self.length = 0
        self.clusters: dict[str, list[tuple[int, int]]] = {}
        count = min(MOST_PERSONS, 2 + size // CHARS_PER_PERSON)
        names, roles = rng.sample(NAMES, count), rng.sample(ROLES, count)
        self.coming = [
            _Person(str(number), name, role, rng.choice(("그", "그녀")))
            for number, (name, role) in enumerate(zip(names, roles, strict=True), 1)
        ]
        self.here: list[_Person] = []
        self.topic: _Person | None = None  # the only one in the last sentence that is about anybody
        self.companion: tuple[_Person, str] | None = None

    def tell(self) -> None:
        """Write sentences until the document is as long as it should be, and everybody has come back once."""
        while self.length < self.size:
            self._next()
        for person in [one for one in self.here if one.mentions < 2]:
            self.topic = None
            self._about(person)

    def _next(self) -> None:
        late = self.length > 0.6 * self.size
        if len(self.here) < 2 or (self.coming and not late and self.rng.random() < ARRIVAL_SHARE):
            self._arrival()
        elif self.rng.random() < SCENERY_SHARE:
            self._add(self.rng.choice(SCENERY), {})
        elif self.rng.random() < TOGETHER_SHARE:
            self._together()
        elif self.topic and self.rng.random() < STAY_SHARE:
            self._about(self.topic)
        else:
            self._about(self.rng.choice(self.here))

    def _arrival(self) -> None:
        person = self.coming.pop()
        template = self.rng.choice(ARRIVALS).replace("{R}", person.role)
        self._add(template, {"A": (person.label, person.name)})
        self.here.append(person)
        person.mentions += 1
        self.topic = person

    def _about(self, person: _Person) -> None:
        form = self._form(person)
        self._add(self.rng.choice(ALONE), {"A": (person.label, form)})
        person.mentions += 1
        if self.companion is None and self.rng.random() < COMPANION_SHARE:
            self.companion = person, self.rng.choice(KIN)
            self._accompanied()
        elif self.companion and self.rng.random() < COMPANION_SHARE:
            self._accompanied()
        else:
            self.topic = person

    def _together(self) -> None:
        first, second = self.rng.sample(self.here, 2)
        forms = {"A": (first.label, self._form(first)), "B": (second.label, self._named(second))}
        self._add(self.rng.choice(TOGETHER), forms)
        first.mentions += 1
        second.mentions += 1
        self.topic = None

    def _accompanied(self) -> None:
        """A sentence of the companion, whose mention holds one of the person."""
        assert self.companion
        person, kin = self.companion
        name = f"{person.name}의 {kin}"
        start = self._add(self.rng.choice(COMPANIONS), {"K": (f"{person.label}-{kin}", name)})
        self.clusters[person.label].append((start, start + len(person.name)))
        person.mentions += 1
        self.topic = None

    def _form(self, person: _Person) -> str:
        if person is self.topic and self.rng.random() < PRONOUN_SHARE:
            return person.pronoun
        return self._named(person)

    def _named(self, person: _Person) -> str:
        return person.name if self.rng.random() < NAME_SHARE else f"그 {person.role}"

    def _add(self, template: str, forms: Mapping[str, tuple[str, str]]) -> int:
        """Add a sentence with its mentions (label, string) by slot; return where its last mention begins."""
        sentence, last, begins = "", 0, self.length
        for slot in _SLOT.finditer(template):
            sentence += template[last : slot.start()]
            label, string = forms[slot["who"]]
            begins = self.length + len(sentence)
            self.clusters.setdefault(label, []).append((begins, begins + len(string)))
            particle = slot["particle"] or ""
            sentence += with_particle(string, particle) if "/" in particle else string + particle
            last = slot.end()
        sentence += template[last:]
        self.sentences.append(sentence)
        self.length += len(sentence) + 1
        return begins


def generate_people(
    count: int,
    *,
    lengths: Sequence[int],
    dev_share: float = 0.1,
    test_share: float = 0.1,
    seed: int = 0,
) -> Iterator[Document]:
    """Yield `count` documents, test ones first, then dev, then train; their sizes go round `lengths` (tokens)."""
    for index, split in enumerate(splits(count, dev_share, test_share)):
        length = lengths[index % len(lengths)]
        yield _document(index, split, length, Random(f"people:{seed}:{index}:{length}"))


def _document(index: int, split: Split, length: int, rng: Random) -> Document:
    story = _Story(int(length * CHARS_PER_TOKEN), rng)
    story.tell()
    clusters = {label: sorted(spans) for label, spans in story.clusters.items()}
    return Document(
        doc_id=f"people-{index:06d}",
        text="\n".join(story.sentences),
        clusters={label: spans for label, spans in clusters.items() if len(spans) > 1},
        domain="people",
        source="people",
        split=split,
    )
