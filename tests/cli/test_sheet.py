"""Tables fit the terminal: by leaving out whole columns, and never by cutting off what stands in a cell."""

import fcntl
import io
import itertools
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from coref_k8s.cli.sheet import Sheet
from coref_k8s.cli.speech import speak

WIDTHS = (60, 80, 120)
#: Figures, words and signs that wrapping may break at no other place than between two of them.
CELL = st.one_of(
    st.floats(-1, 1).map(lambda v: f"{v:+.3f}"),
    st.floats(1e-9, 1e-3).map(lambda v: f"{v:.3g}"),
    st.sampled_from(
        ["complete", "0.301 … 0.455", "", "–", "비정상 종료", "1 h 20 min", "kakaobank/kf-deberta-base"]
    ),
)


def drawn(sheet: Sheet, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(sheet)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@given(
    st.lists(st.tuples(st.sampled_from(["number", "name", "prose"]), st.booleans()), min_size=1, max_size=14),
    st.data(),
    st.sampled_from([24, *WIDTHS]),
)
def test_every_cell_of_a_shown_column_is_whole(
    columns: list[tuple[str, bool]], data: Any, width: int
) -> None:
    speak("en")
    sheet = Sheet()
    for place, (kind, spare) in enumerate(columns):
        sheet.column(
            f"c{place}", left=kind != "number", wrapped=kind == "prose", spare=place if spare else None
        )
    rows = data.draw(
        st.lists(st.lists(CELL, min_size=len(columns), max_size=len(columns)), min_size=1, max_size=4)
    )
    for row in rows:
        sheet.row(*row)
    text = drawn(sheet, width)
    assert max(map(cell_len, text.splitlines())) <= width
    shown = set(re.findall(r"\bc\d+\b", text.partition("left out")[0]))
    told = set(re.findall(r"\bc\d+\b", text.partition("left out")[2]))
    assert shown | told == {f"c{n}" for n in range(len(columns))}
    assert not shown & told
    assert all(columns[int(one[1:])][1] for one in told), "only what is spare is left out"
    for row, (n, (kind, _)) in itertools.product(rows, enumerate(columns)):
        if f"c{n}" in shown and kind == "number" and width > 24:
            assert row[n] in text
    kept = "".join(text.partition("left out")[0].split())
    for row, n in itertools.product(rows, range(len(columns))):
        if f"c{n}" in shown:
            assert all(part in kept for part in re.findall(r"[0-9.+-]+", row[n])) or columns[n][0] != "number"


def test_what_has_no_room_in_any_way_becomes_a_list() -> None:
    speak("en")
    sheet = Sheet("all numbers")
    for n in range(12):
        sheet.column(f"figure {n}")
    sheet.row(*(f"{n}.12345678" for n in range(12)))
    lines = drawn(sheet, 60).splitlines()
    assert lines[0] == "all numbers"
    assert [line.split() for line in lines[1:]] == [["figure", str(n), f"{n}.12345678"] for n in range(12)]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize(
    "command",
    ["list", "status sample", "results sample", "results sample --params", "results sample sample-2", "best sample",
     "plan --seq-lengths 512 1024 2048 --gpus 1"],
)  # fmt: skip
def test_commands_fit_the_terminal(
    coref: Any, study: str, monkeypatch: pytest.MonkeyPatch, command: str, lang: str, width: int
) -> None:
    from coref_k8s.cli import console

    if "sample-2" in command:
        coref("export", study, "-o", "one.study")
        coref("import", "one.study", "--name", "sample-2")
    wide = coref(*command.split(), "--lang", lang, "--wide").out
    for screen in (console.out, console.err):
        monkeypatch.setattr(screen, "width", width)
    answer = coref(*command.split(), "--lang", lang)
    assert answer.code == 0
    assert not re.search(r"\S…|…\S", answer.out), (
        "an interval's dots stand between blanks; others cut something off"
    )
    tables = [
        line for line in answer.out.splitlines() if "from_pretrained" not in line and "pipeline" not in line
    ]
    assert max(map(cell_len, tables)) <= width
    figures = set(re.findall(r"[+−]?\d+\.\d+(?:e-\d+)?", answer.out))
    assert figures <= set(re.findall(r"[+−]?\d+\.\d+(?:e-\d+)?", wide)), "a figure is whole or not there"
    assert "--wide" not in wide


def test_what_is_left_out_is_named_and_wide_shows_it(
    coref: Any, study: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from coref_k8s.cli import console

    monkeypatch.setattr(console.out, "width", 60)
    narrow = coref("results", study).out
    assert "LAMBADA" not in narrow.partition("left out for lack of room")[0]
    assert re.search(r"left out for lack of room: .*LAMBADA", narrow)
    wide = coref("results", study, "--wide").out
    assert "LAMBADA" in wide.splitlines()[1]
    assert "left out" not in wide


def on_a_terminal(code: str, size: tuple[int, int], term: str) -> str:
    """Return what a program writes on a terminal of so many lines and columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    environ = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    try:
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**environ, "TERM": term},
            timeout=60,
        )
        return os.read(ours, 10_000).decode()
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize(("size", "width"), [((20, 60), 60), ((0, 0), 80)])
def test_a_dumb_terminal_has_the_width_that_it_has(size: tuple[int, int], width: int) -> None:
    code = "from coref_k8s.cli.console import err, out; print(out.width, err.width)"
    assert on_a_terminal(code, size, "dumb").split() == [str(width)] * 2


@pytest.mark.parametrize(
    "sentence", ["a remark that is longer than the line", "문서 여섯 개를 읽고 네 개를 남겼습니다"]
)
def test_lines_of_a_remark_end_between_words_and_a_command_is_whole(sentence: str) -> None:
    code = f"from coref_k8s.cli.console import note; note({sentence!r}); note('type: coref-k8s resume my-study --local')"
    *lines, command = on_a_terminal(code, (20, 24), "xterm").splitlines()
    assert len(lines) > 1
    assert all(cell_len(line) <= 24 for line in lines)
    assert " ".join(line.strip() for line in lines) == sentence
    assert command == "type: coref-k8s resume my-study --local"
