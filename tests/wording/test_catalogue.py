"""The catalogue and the source agree: every code has words in both languages, every entry is said somewhere."""

from __future__ import annotations

import errno
import re
import string
from collections.abc import Iterator, Mapping

import pytest

from coref_k8s.cli.framework import HELP, codes_of
from coref_k8s.cli.main import COMMANDS
from coref_k8s.cli.spec_options import OPTIONS
from coref_k8s.wording import LANGUAGES, codes, say
from coref_k8s.wording.catalogue import entry
from tests.wording import source

CODES = set(codes())


def fields(text: str) -> set[str]:
    """The values that a text names."""
    return {name.split("!")[0] for _, name, _, _ in string.Formatter().parse(text) if name}


def helped() -> Iterator[str]:
    """Codes of the help of every command and parameter."""

    def walk(command: object, name: str) -> Iterator[str]:
        yield from (f"help.{name}", f"help.{name}-more")
        for parameter in command.params:  # type: ignore[attr-defined]
            yield from codes_of(parameter, name)
        for sub in getattr(command, "commands", {}).values():
            yield from walk(sub, f"{name}-{sub.name}")

    for verb in COMMANDS:
        yield from walk(verb.load(), verb.name)


def test_every_code_that_is_said_has_words() -> None:
    assert {(place, code) for place, code in source.codes_said() if code not in CODES} == set()


def test_every_made_up_code_can_have_words() -> None:
    topics = {code.partition(".")[0] for code in CODES}
    made = [one for one in source.patterns() if one.pattern.partition("\\.")[0] in topics]
    assert [one.pattern for one in made if not any(one.fullmatch(code) for code in CODES)] == []


def test_every_entry_is_said_somewhere() -> None:
    said = source.constants() | set(helped()) | source.named_by_rooms()
    closed = [one for one in source.patterns() if not one.pattern.endswith("\\..+")]
    unused = {code for code in CODES - said if not any(one.fullmatch(code) for one in closed)}
    known = {f"system.{name.lower()}" for name in errno.errorcode.values()}
    assert {code for code in unused - known if not code.startswith("fields.")} == set()


@pytest.mark.parametrize("code", sorted(CODES - {code for code in CODES if code.startswith("fields.")}))
def test_both_languages_say_the_same(code: str) -> None:
    texts: Mapping[str, str] = entry(code)
    assert set(texts) == set(LANGUAGES)
    assert fields(texts["en"]) == fields(texts["ko"])
    assert not any("(가)" in text or "(를)" in text or "(는)" in text for text in texts.values())
    fixed = re.compile(r"\{[^}/]+\}(은|는|이|가|을|를|과|와|으로|이라|이면)(?![가-힣])")
    assert not fixed.search(texts["ko"]), "the particle goes by the value: {value:은/는}"


def test_every_command_and_option_has_help_of_its_own() -> None:
    for verb in COMMANDS:
        for parameter in verb.load().params:
            known = parameter.name in HELP or any(code in CODES for code in codes_of(parameter, verb.name))
            assert known, f"{verb.name} {parameter.name}"


def test_every_field_has_its_option_told_in_korean() -> None:
    missing = [".".join(one.path) for one in OPTIONS if f"fields.{'.'.join(one.path)}" not in CODES]
    assert missing == []


def test_no_words_for_people_outside_of_the_catalogue() -> None:
    assert set(source.sentences("cli", "report", "ui")) == set()


def test_errors_carry_codes() -> None:
    assert set(source.worded_errors()) == set()


def test_commands_in_sentences_name_their_place() -> None:
    """Behind a command that takes `--data-dir` or `-n` stands what the reader has typed to name a place."""
    placed = {
        verb.name
        for verb in COMMANDS
        if verb.name not in ("data", "ui", "import")
        and {"data_dir", "namespace"} & {parameter.name for parameter in verb.load().params}
    }
    assert {"status", "submit", "prepare", "doctor"} <= placed
    command = re.compile(rf"coref-k8s (?:{'|'.join(placed)})(?![a-z])")
    said = {code for code in CODES if not code.startswith(("help.", "fields."))} - {"cli.init-head"}
    counted = {
        (code, lang): (len(command.findall(text)), text.count("{typed}"))
        for code in said
        for lang, text in entry(code).items()
    }
    assert {one for one, (commands, places) in counted.items() if commands != places} == set()


def test_korean_keeps_to_its_terms() -> None:
    """One word for one thing, as engineers say it."""
    others = (
        "매개변수", "선행어", "연구", "문턱", "멈춤", "시도 ", "결선", "언급", "쿠버네티스", "마스크드", "허브 id", "허브 이름",
    )  # fmt: skip
    found = {(code, word) for code in CODES for word in others if word in entry(code).get("ko", "")}
    assert found == set()


def test_a_list_of_messages_is_said_in_one_language() -> None:
    assert say("words.unknown-language", "ko", option="--lang", asked="fr", known=["en", "ko"]).endswith(
        "en, ko입니다"
    )
