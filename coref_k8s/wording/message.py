"""`Message`: what the program has to say, before it is put into words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from coref_k8s.wording.catalogue import has, say
from coref_k8s.wording.language import Lang

#: Code of a message that is words already: an exception of a library, a log line, what an older version stored.
VERBATIM = "verbatim"


@dataclass(frozen=True)
class Message:
    """A code of the catalogue and the values that its text names (numbers, strings, lists, further messages)."""

    code: str
    values: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, code: str, **values: Any) -> Message:
        """Return the message of a code."""
        return cls(code, values)

    @classmethod
    def verbatim(cls, text: str) -> Message:
        """Return a message that is said as it stands, in every language."""
        return cls(VERBATIM, {"text": text})

    def say(self, lang: Lang = "en") -> str:
        """Return the words; of a code that this version does not know, the code and its values."""
        if self.code == VERBATIM:
            return str(self.values["text"])
        if not has(self.code):
            shown = ", ".join(f"{name}: {value}" for name, value in self.values.items())
            return f"{self.code} ({shown})" if shown else self.code
        return say(self.code, lang, **self.values)

    def __str__(self) -> str:
        return self.say()

    def __bool__(self) -> bool:
        return self.code != VERBATIM or bool(self.values["text"])

    def dump(self) -> dict[str, Any] | str:
        """Return it as JSON has it: `{"code": …, value: …}`, or the bare text of words."""
        if self.code == VERBATIM:
            return str(self.values["text"])
        return {"code": self.code, **{name: _dump(value) for name, value in self.values.items()}}

    @classmethod
    def load(cls, data: Any) -> Message:
        """Return the message that `dump` or `to_text` wrote; any other text is taken as words, a message as it is."""
        if isinstance(data, Message):
            return data
        if isinstance(data, str) and data.startswith('{"code": '):
            try:
                data = json.loads(data)
            except ValueError:
                return cls.verbatim(data)
        if isinstance(data, Mapping) and isinstance(data.get("code"), str):
            return cls(data["code"], {name: _load(value) for name, value in data.items() if name != "code"})
        return cls.verbatim("" if data is None else str(data))

    def to_text(self) -> str:
        """Return it as one line that `load` reads: for a column of text in a database."""
        dumped = self.dump()
        return dumped if isinstance(dumped, str) else json.dumps(dumped, ensure_ascii=False, default=str)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Let pydantic read and write it as `load` and `dump` do; with the context `{"words": True}` as English text."""
        from pydantic_core import core_schema

        def written(message: Message, info: Any) -> Any:
            return str(message) if (info.context or {}).get("words") else message.dump()

        as_json = core_schema.plain_serializer_function_ser_schema(written, info_arg=True)
        return core_schema.no_info_plain_validator_function(cls.load, serialization=as_json)


#: Says nothing.
NOTHING = Message.verbatim("")


def _dump(value: Any) -> Any:
    if isinstance(value, Message):
        return value.dump() if value.code != VERBATIM else {"code": VERBATIM, "text": value.values["text"]}
    if isinstance(value, list | tuple):
        return [_dump(one) for one in value]
    return value


def _load(value: Any) -> Any:
    if isinstance(value, Mapping) and "code" in value:
        return Message.load(value)
    return [_load(one) for one in value] if isinstance(value, list) else value
