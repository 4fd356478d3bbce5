"""The language of a run, and what becomes of an error that nobody expected."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors import SafetensorError

from coref_k8s.cli import mistakes, speech
from coref_k8s.wording import locale_lang


@pytest.mark.parametrize(
    ("variables", "lang"),
    [
        ({"LANG": "ko_KR.UTF-8"}, "ko"),
        ({"LANG": "ko_KR", "LC_ALL": "C"}, "en"),
        ({"LANG": "de_DE.UTF-8", "LC_MESSAGES": "ko_KR.UTF-8"}, "ko"),
        ({}, "en"),
    ],
)
def test_the_language_is_the_locales(variables: dict[str, str], lang: str) -> None:
    assert locale_lang(variables) == lang


@pytest.mark.parametrize(
    "arguments",
    [["--lang", "ko", "best"], ["best", "--lang", "ko"], ["--lang=ko", "best"], ["best", "--lang=ko"]],
)
def test_lang_stands_before_or_after_the_command(coref: Any, arguments: list[str]) -> None:
    answer = coref(*arguments)
    assert answer.code == 2
    assert answer.err == "coref-k8s: 인자 'NAME'이 빠졌습니다; coref-k8s best --help를 참고하세요\n"


@pytest.mark.parametrize("arguments", [["--lang", "fr", "list"], ["list", "--lang=fr"]])
def test_a_language_that_is_not_spoken_is_one_sentence(coref: Any, arguments: list[str]) -> None:
    answer = coref(*arguments)
    assert answer.code == 2
    assert answer.err.endswith("--lang fr: the languages are en and ko\n")


def test_a_language_or_a_command_that_is_left_out(coref: Any) -> None:
    assert coref("list", "--lang").err == "coref-k8s: --lang needs a value\n"
    assert "명령이 빠졌습니다" in coref("--lang", "ko", "--").err


@pytest.mark.parametrize(
    ("arguments", "english", "korean"),
    [
        (["sumbit"], "Did you mean 'submit'?", "'sumbit' 명령이 없습니다. 'submit'인가요?"),
        (["data", "shwo"], "Did you mean 'show'?", "'shwo' 명령이 없습니다. 'show'인가요?"),
        (["best", "x", "--blub"], "No such option: --blub", "--blub 옵션이 없습니다"),
        (["best", "x", "y"], "Unexpected arguments: y", "필요 없는 인자입니다: y"),
        (["evaluate", "m", "--items", "many"], "'many' is not a whole number", "'many'는 정수가 아닙니다"),
        (["evaluate", "m", "--items", "0"], "0 is less than 1", "0은 1보다 작습니다"),
        (["evaluate", "m", "--split", "all"], "'all' is not one of dev, test", "쓸 수 있는 값: dev, test"),
        (["delete", "x", "--yes=1"], "--yes takes no value", "--yes에는 값을 줄 수 없습니다"),
        (["evaluate", "m", "--data-dir"], "--data-dir needs a value", "--data-dir에는 값이 필요합니다"),
    ],
)
def test_mistakes_are_told_in_both_languages(
    coref: Any, arguments: list[str], english: str, korean: str
) -> None:
    for lang, said in (("en", english), ("ko", korean)):
        answer = coref(*arguments, "--lang", lang)
        assert answer.code == 2
        assert answer.err.count("\n") == 1
        assert said in answer.err


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("results", "NAME..."),
        ("init", "[PATH|HUB_ID]..."),
        ("resolve", "MODEL [FILE...|-]"),
        ("best", "NAME"),
    ],
)
def test_the_usage_line_names_arguments_once(coref: Any, command: str, arguments: str) -> None:
    assert coref(command, "--help").out.splitlines()[0] == f"Usage: coref-k8s {command} [OPTIONS] {arguments}"


def test_help_is_korean_throughout(coref: Any) -> None:
    text = coref("--lang", "ko", "evaluate", "--help").out
    for word in (
        "사용법: coref-k8s evaluate",
        "인자",
        "옵션",
        "(기본값 200)",
        "이 도움말을 보여 주고",
    ):
        assert word in text
    for word in ("Usage", "Options", "Arguments", "Show this", "default:"):
        assert word not in text


def test_a_terminal_without_korean_is_spoken_to_in_english(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    speech.speak("ko")
    assert speech.lang() == "en"
    print("0.450 … 0.550 ▃█░ −0.1")
    out.flush()
    assert out.buffer.getvalue() == b"0.450 ... 0.550 ##. -0.1\n"  # type: ignore[attr-defined]


def test_an_unexpected_error_is_one_sentence_and_its_traceback_is_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, coref: Any
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def broken() -> None:
        raise ZeroDivisionError("nobody thought of it\nsecond line")

    monkeypatch.setattr("coref_k8s.cli.system.version", broken)
    answer = coref("version")
    [kept] = tmp_path.iterdir()
    assert answer.code == 1
    assert answer.err == (
        "coref-k8s: unexpected error, ZeroDivisionError: nobody thought of it; "
        f"the details are in {kept}, please report it with that file\n"
    )
    assert 'raise ZeroDivisionError("nobody thought of it' in kept.read_text()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            OSError(28, "No space left on device", "/data/coref.db"),
            "no space is left on the device of /data/coref.db",
        ),
        (OSError(27, "File too large"), "or a limit on files (quota, ulimit -f) is reached"),
        (
            SafetensorError("I/O error: No space left on device (os error 28)"),
            "no space is left on the device",
        ),
        (
            PermissionError(13, "Permission denied", "x.html"),
            "x.html: Permission denied; give this user the right to it, or choose another place",
        ),
        (MemoryError(), "not enough memory on this machine"),
        (KeyboardInterrupt(), "stopped; nothing was changed"),
    ],
)
def test_errors_of_the_machine_name_the_place(
    capsys: pytest.CaptureFixture[str], error: BaseException, said: str
) -> None:
    speech.speak("en")
    assert mistakes.answer(error) == 1
    assert said in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_error() -> None:
    program = [sys.executable, "-m", "coref_k8s", "submit", "--help"]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(program, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert done.stderr == ""


def test_names_are_never_read_as_markup(coref: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a [x].json", "d[/b].json"):
        answer = coref("compare", name, name)
        assert answer.code == 1
        assert name in answer.err
