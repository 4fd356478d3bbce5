"""The bus: lines that `jq` and `grep` read, from many processes at once."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from coref_k8s.telemetry.bus import Bus, Section, last_words, said
from coref_k8s.wording import Message

WHEN = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def evaluations(path: Path) -> None:
    with Bus(path) as bus:
        bus.emit(Section.STUDY_BEGIN, study="s")
        for seq_len in (512, 1024):
            for step, top5 in enumerate((0.25, 0.5, None)):
                bus.emit(
                    Section.EVAL_STREAM,
                    seq_len=seq_len,
                    trial=1,
                    step=step,
                    coref_top5=None if top5 is None else top5 + seq_len / 10_000,
                    score=0.5,
                )
        bus.emit(Section.TRIAL_END, seq_len=512, trial=1)


def shell(line: str, folder: Path) -> str:
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line], cwd=folder, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_line_has_time_section_and_fields(tmp_path: Path, capsys) -> None:
    path = tmp_path / "deep" / "bus.ndjson"
    with Bus(path, stdout=True, clock=lambda: WHEN) as bus:
        bus.emit("warning", text="한국어", values=[np.float32(0.5), np.int64(3)], bad=math.nan, path=tmp_path)
    expected = {
        "ts": "2026-01-02T03:04:05.678Z",
        "section": "warning",
        "text": "한국어",
        "values": [0.5, 3],
        "bad": None,
        "path": str(tmp_path),
    }
    assert lines(path) == [expected]
    assert "한국어" in path.read_text(encoding="utf-8")
    assert json.loads(capsys.readouterr().out) == expected


def test_without_a_file_only_standard_output_is_written(capsys) -> None:
    Bus(None, stdout=True).emit(Section.TRIAL_BEGIN, trial=1)
    assert json.loads(capsys.readouterr().out)["section"] == "trial_begin"
    Bus(None).emit(Section.TRIAL_BEGIN, trial=1)
    assert capsys.readouterr().out == ""


def test_a_bus_about_something_names_it_in_every_line(tmp_path: Path) -> None:
    with Bus(tmp_path / "bus", clock=lambda: WHEN) as bus, bus.about(study="s") as named:
        named.about(seq_len=512).emit(Section.WARNING, message="m")
        bus.emit(Section.WARNING, message="m")
    first, second = lines(tmp_path / "bus")
    assert (first["study"], first["seq_len"], first["message"]) == ("s", 512, "m")
    assert "study" not in second


def test_the_first_line_of_the_founding_document_works(tmp_path: Path) -> None:
    evaluations(tmp_path / "data" / "coref_automl_bus.ndjson")
    out = shell(
        """cat data/coref_automl_bus.ndjson | jq 'select(.section == "eval_stream")' | tail -10""", tmp_path
    )
    last = json.loads(out[out.rindex("{") :])
    assert (last["section"], last["seq_len"], last["step"]) == ("eval_stream", 1024, 2)
    assert "trial_end" not in out


def test_the_second_line_of_the_founding_document_works(tmp_path: Path) -> None:
    evaluations(tmp_path / "data" / "coref_automl_bus.ndjson")
    out = shell(
        """grep "eval_stream" data/coref_automl_bus.ndjson | jq -r 'select(.coref_top5) | """
        """"\\(.seq_len)t: \\(.coref_top5)"' | sort -n -r | head -5""",
        tmp_path,
    )
    assert out.splitlines() == ["1024t: 0.6024", "1024t: 0.3524", "512t: 0.5512", "512t: 0.3012"]


WRITER = """
import sys
from pathlib import Path
from coref_k8s.telemetry.bus import Bus
bus = Bus(Path(sys.argv[1]))
for i in range(300):
    bus.emit("train_step", writer=int(sys.argv[2]), i=i, text="가" * (i * 20))
"""


def test_lines_of_many_processes_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "bus.ndjson"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(w)]) for w in range(4)]
    assert [writer.wait(timeout=60) for writer in writers] == [0] * 4
    events = lines(path)
    assert len(events) == 1200
    for writer in range(4):
        assert [e["i"] for e in events if e["writer"] == writer] == list(range(300))


def test_a_disk_that_refuses_ends_no_trial(capsys) -> None:
    bus = Bus(Path("/dev/full"))
    bus.emit("warning")
    bus.emit("warning")
    assert capsys.readouterr().err.count("cannot be written") == 1


def test_what_a_program_said_last_is_told_in_the_readers_language() -> None:
    reason = Message.of("corpus.many-near-duplicates", n=14, of=15)
    told = {"event": "trial_failed", **said(reason)}
    log = f"error: {reason}\n{json.dumps(told)}\n"
    assert last_words(log).say("ko") == reason.say("ko") != reason.say("en")
    assert str(last_words(log + "Segmentation fault\n")) == "Segmentation fault"
    newer = json.dumps({**told, "code": "corpus.of-a-later-version"})
    assert last_words(newer).say("ko") == str(reason)
