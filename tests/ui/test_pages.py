"""The pages over HTTP: what they say, what they refuse, and that no name of a study is ever markup."""

from __future__ import annotations

import html
import json
import re
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin

import pytest

from coref_k8s.client.local import LocalBackend
from coref_k8s.search.records import TrialState
from coref_k8s.settings import Settings
from coref_k8s.store import Phase
from tests.report.sample import study
from tests.ui.conftest import get, served, stored

TRIAL = "/studies/korean-long/trials/1024/4"
RUN = "/studies/korean-long/runs/1024/2"


def text_of(page: str) -> str:
    """What a reader sees."""
    kept = re.sub(r"<(script|style)[^>]*>.*?</\1>", " ", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", kept)))


def rows(page: str) -> list[int]:
    """The numbers of the trials in the table."""
    return [int(number) for number in re.findall(r'<tr data-t="\d+-(\d+)"', page)]


def problem(page: str) -> str:
    found = re.search(r'id="problem">(.*?)</p>', page)
    assert found, page
    return html.unescape(found[1])


@pytest.fixture(scope="module")
def fresh(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the studies, to be damaged."""
    folder = tmp_path_factory.mktemp("fresh") / "data"
    shutil.copytree(data_dir, folder)
    return folder


def test_every_link_of_every_page_leads_somewhere_and_nothing_leads_out(address: str) -> None:
    todo, seen = [TRIAL, "/"], set[str]()
    while todo:
        path = todo.pop()
        answer = get(address + path)
        assert answer.code == 200, path
        if not answer.headers["Content-Type"].startswith("text/html") or path.endswith("report.html"):
            continue
        assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
        assert not re.search(r"https?://", answer.text), path
        for one in re.findall(r"<table.*?</table>", answer.text, re.DOTALL):
            wide = {len(re.findall(r"<t[hd]\b", line)) for line in re.findall(r"<tr.*?</tr>", one, re.DOTALL)}
            assert len(wide) == 1, f"{path}: as many headings as cells: {one}"
        for found in re.findall(r'(?:href|src)="([^"]+)"', answer.text):
            target = urljoin(path, html.unescape(found)).split("#")[0]
            # one page of each kind: not all orders of the table, nor every trial
            kind = re.sub(
                r"sort=\w+|length=\d+|(?<=trials)/(1024|1536|2048|512)/\d+|(?<=runs)/(1536|2048)/\d+|way=\w+|page=\d+",
                "",
                target,
            )
            if not target.startswith("data:") and kind not in seen:
                seen.add(kind)
                todo.append(target)
    kinds = " ".join(seen)
    for known in (
        "/trials",
        "/runs/",
        "/charts",
        "/numbers",
        "/request",
        "/log",
        "/files/",
        "/report.html",
        "/static/",
    ):
        assert known in kinds, known


def test_the_overview_says_what_the_finalists_have_shown(address: str) -> None:
    said = text_of(get(f"{address}/studies/korean-long").text)
    for words in ("Is the new model better?", "better", "no difference shown", "best score", "72 / 72"):
        assert words in said, words
    chains = get(f"{address}/studies/chains").text
    assert re.search(r'<mark class="c\d">옌템<sub>1</sub></mark>', chains)


def test_a_trial_has_a_page_with_all_that_is_known_of_it(address: str) -> None:
    page = get(address + TRIAL).text
    said = text_of(page)
    for name in ("score", "loss", "learning-rate", "memory"):
        assert f'data-zoom="{name}"' in page, name
    for words in (
        "1024 tokens, trial 4",
        "learning_rate",
        "this trial",
        "result.json",
        "model/model.safetensors",
        "4.0 KiB",
    ):
        assert words in said, words
    assert "a library says <b>something</b>" in said
    assert "step 40 of 40" in said
    # the loss of every step, which the log does not have
    assert len(re.findall(r"[\d.]+,[\d.]+", page.split('data-zoom="loss"')[1].split("</svg>")[0])) >= 40
    log = get(f"{address}{TRIAL}/log")
    assert (log.code, log.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert json.loads(log.text.splitlines()[2])["section"] == "train_step"
    file = get(f"{address}{TRIAL}/files/result.json")
    assert json.loads(file.text)["remark"] == "한국어"
    held = get(f"{address}{TRIAL}/files/model/model.safetensors").headers["Content-Disposition"]
    assert held.startswith("attachment")
    # nothing was kept of another one; it says so
    assert "no log" in text_of(get(f"{address}/studies/korean-long/trials/1024/5").text)


def test_a_run_of_a_finalist_has_a_page_of_its_own(address: str, data_dir: Path) -> None:
    view = LocalBackend(Settings.from_env(data_dir=data_dir)).get("korean-long")
    run = next(one for one in view.runs if (one.seq_len, one.number) == (1024, 2))
    overview = get(f"{address}/studies/korean-long").text
    assert f'href="{RUN}"' in overview
    page = get(address + RUN).text
    said = text_of(page)
    for name in ("loss", "learning-rate", "memory"):
        assert f'data-zoom="{name}"' in page, name
    again, seed = f"trial {run.attrs['of_trial']} with a fresh seed", str(run.attrs["seed"])
    for words in (
        "1024 tokens, run 2",
        again,
        seed,
        "this run",
        "learning_rate",
        "model.safetensors",
        "step 40 of 40",
    ):
        assert words in said, words
    assert "finalist-2" in said  # its own folder, not that of trial 2
    assert json.loads(get(f"{address}{RUN}/log").text.splitlines()[2])["kind"] == "finalist"
    assert json.loads(get(f"{address}{RUN}/files/result.json").text)["remark"] == "한국어"
    untuned = text_of(get(f"{address}/studies/korean-long/runs/1024/0").text)
    assert "scored without training" in untuned
    missing = get(f"{address}/studies/korean-long/runs/1024/99")
    assert (missing.code, "has no run 99 of 1024 tokens" in problem(missing.text)) == (404, True)
    korean = text_of(get(f"{address}{RUN}?lang=ko").text)
    assert f"트라이얼 {run.attrs['of_trial']}" in korean
    assert "새 시드로 다시 실행했습니다" in korean


@pytest.mark.parametrize(
    "path",
    ["../../../../coref.db", "..%2f..%2f..%2f..%2fcoref.db", "model/../../5/x", "%00", "/etc/passwd", ""],
)
def test_only_files_of_the_trial_are_given_out(address: str, path: str) -> None:
    answer = get(f"{address}{TRIAL}/files/{path}")
    assert answer.code == 404
    assert "SQLite format" not in answer.text


def test_a_link_out_of_the_folder_is_not_followed(fresh: Path) -> None:
    (fresh / "studies/korean-long/1024/4/out.json").symlink_to(fresh / "coref.db")
    with served(fresh) as address:
        assert get(f"{address}{TRIAL}/files/out.json").code == 404


def test_trials_are_filtered_and_sorted_by_the_server(address: str) -> None:
    view = study()
    known = {t.number: t for t in view.trials if t.seq_len == 1536}
    table = f"{address}/studies/korean-long/trials?length=1536"
    found = rows(get(f"{table}&sort=learning_rate&way=down").text)
    assert found == sorted(known, key=lambda n: -known[n].params["learning_rate"])
    few = rows(get(f"{table}&q={quote('learning_rate<4e-5 score>0.3')}").text)
    fitting = {n for n, t in known.items() if t.params["learning_rate"] < 4e-5 and (t.value or 0) > 0.3}
    assert fitting
    assert set(few) == fitting
    failed = get(f"{table}&state=failed")
    assert set(rows(failed.text)) == {n for n, t in known.items() if t.state is TrialState.FAILED}
    assert f"{len(rows(failed.text))} of 24 trials" in text_of(failed.text)
    assert rows(get(f"{table}&q=clamp").text) == [
        t.number for t in view.lengths[1].ordered if t.params["position_range"] == "clamp"
    ]
    assert problem(get(f"{table}&q=speed>3").text).startswith(
        "a filter cannot name speed; known are trial, score"
    )
    assert problem(get(f"{table}&q=score>high").text) == "score is compared with a number, not with high"
    assert problem(get(f"{table}&q={quote('score >')}").text) == "score> lacks the value to compare with"
    assert rows(get(f"{table}&q={quote('learning_rate < 4e-5 score >0.3')}").text) == few
    assert "No trial fits this filter" in get(f"{table}&q=score>2").text


def test_a_part_of_a_chart_is_drawn_with_its_own_axes(address: str) -> None:
    page = get(f"{address}/studies/korean-long?z.history=2,8,0.4,0.45").text
    chart = page.split('data-zoom="history"')[1].split("</svg>")[0]
    assert 'data-ends="2,8,0.4,0.45"' in chart
    assert {"0.41", "0.43", "6"} <= set(re.findall(r">([\d.]+)</text>", chart))
    marks = re.findall(r'data-t="1024-(\d+)"', chart)
    assert set(map(int, marks)) <= set(range(2, 9))
    for nonsense in ("1", "a,b,c,d", "3,2,0,1", "nan,1,0,1", "0,inf,0,1"):
        whole = get(f"{address}/studies/korean-long?z.history={nonsense}").text
        assert "data-part" not in whole, nonsense


def test_studies_are_compared(address: str) -> None:
    said = text_of(get(f"{address}/compare?study=korean-long&study=chains&study=gone").text)
    for words in (
        "Best score so far",
        "Where their requests differ",
        "people:60",
        "no study 'gone'",
        "not of one kind",
    ):
        assert words in said, words
    assert "Choose two studies" in text_of(get(f"{address}/compare?study=chains").text)


def test_names_of_strangers_are_text(tmp_path: Path) -> None:
    evil = "</script><img src=x onerror=alert(1)><script>alert(2)</script>"
    view = study(4, (512,), task="coreference")
    sample: dict[str, Any] = {"doc_id": evil, "text": evil, "found": [[[0, 5]]], "gold": [[[1, 7]]]}
    trials = [
        replace(
            t,
            params={**t.params, "choice": evil},
            attrs={
                **t.attrs,
                "reason": evil,
                "evidence": {"counts": {}, "warnings": [evil], "buckets": [], "sample": sample},
            },
        )
        for t in view.trials
    ]
    spec = view.spec.model_copy(update={"model": f"/models/{evil}"})
    statistics = {"skipped_sources": [{"source": evil, "reason": evil}]}
    stored(view, tmp_path, name="evil", namespace="", spec=spec, trials=trials, statistics=statistics)
    with served(tmp_path) as address:
        one = "/studies/evil/trials/512/0"
        paths = [
            "/",
            "/studies/evil",
            "/studies/evil/charts",
            "/studies/evil/trials",
            "/studies/evil/request",
            one,
        ]
        paths += [
            f"/studies/{quote(evil, safe='')}",
            f"/{quote(evil)}",
            f"/studies/evil/trials?q={quote(evil)}&sort={quote(evil)}",
        ]
        paths += [
            f"/compare?study={quote(evil)}&study=evil",
            f"{one}/files/{quote(evil)}",
            f"/?token={quote(evil)}",
        ]
        for path in paths:
            page = get(address + path).text
            assert not re.search(r"<img|<script>", page), path
        assert "onerror" in html.unescape(get(f"{address}/studies/evil").text)  # it is there, as text


def test_a_study_that_went_away_or_cannot_be_read_is_one_sentence(fresh: Path) -> None:
    with served(fresh) as address:
        assert get(f"{address}/studies/chains").code == 200
        LocalBackend(Settings.from_env(data_dir=fresh)).delete("chains")
        with sqlite3.connect(fresh / "coref.db") as database:
            database.execute("update coref_study set spec_json = 'no request' where name = 'korean-long'")
    with served(fresh) as address:
        gone = get(f"{address}/studies/chains")
        assert (gone.code, "no study 'chains'" in problem(gone.text)) == (404, True)
        unreadable = get(f"{address}/studies/korean-long/trials")
        assert unreadable.code == 503
        assert "korean-long" in problem(unreadable.text)
        listed = get(address)
        assert (listed.code, "korean-long" in text_of(listed.text)) == (200, True)
        (fresh / "coref.db").write_bytes(b"no database at all")
    with served_damaged(fresh) as address:
        assert "coref.db" in text_of(get(address).text)


def served_damaged(folder: Path) -> Any:
    from coref_k8s.ui.reader import Reader
    from tests.ui.conftest import serving

    return serving(Reader([LocalBackend(Settings.from_env(data_dir=folder))]))


def test_what_does_not_exist_is_named(address: str) -> None:
    for path, words in (
        ("/nowhere", "there is no page /nowhere"),
        ("/studies/korean-lung", "did you mean 'korean-long'"),
        ("/studies/korean-long/trials/1024/99", "study korean-long has no trial 99 of 1024 tokens"),
        (f"{TRIAL}/files/none.json", "trial 4 of study korean-long has no file none.json"),
    ):
        answer = get(address + path)
        assert answer.code == 404
        assert words in problem(answer.text)


def test_the_language_is_that_of_the_address_then_of_the_reader(address: str, data_dir: Path) -> None:
    with served(data_dir, lang=None) as open_:
        assert "스터디" in get(open_, Accept_Language="ko-KR,ko;q=0.9,en;q=0.8").text
        assert "Studies" in get(open_, Accept_Language="en-GB,ko;q=0.5").text
        chosen = get(f"{open_}/?lang=ko", Accept_Language="en")
        assert "스터디" in chosen.text
        cookie = chosen.headers["Set-Cookie"].split(";")[0]
        assert "스터디" in get(open_, Accept_Language="en", Cookie=cookie).text
    assert "Studies" in get(address, Accept_Language="ko").text  # --lang en
    assert "트라이얼 4" in get(f"{address}{TRIAL}?lang=ko").text


def test_what_has_not_changed_is_not_sent_again(address: str) -> None:
    first = get(f"{address}/studies/chains/charts")
    again = get(f"{address}/studies/chains/charts", If_None_Match=first.headers["ETag"])
    assert (again.code, again.text) == (304, "")


def test_without_the_token_nothing_is_shown(data_dir: Path) -> None:
    with served(data_dir, token="geheim") as address:
        for path in ("/", "/studies/chains", f"{TRIAL}/log", "/?token=x", "/compare"):
            answer = get(address + path)
            assert answer.code == 401, path
            assert "korean-long" not in answer.text.replace(path, "")
        assert get(f"{address}/healthz").text == "ok\n"
        entered = get(f"{address}/studies/chains?token=geheim&lang=ko", follow=False)
        assert (entered.code, entered.headers["Location"]) == (303, "/studies/chains?lang=ko")
        assert "HttpOnly" in entered.headers["Set-Cookie"]
        assert get(address, Cookie=entered.headers["Set-Cookie"].split(";")[0]).code == 200
        assert get(address, Authorization="Bearer geheim").code == 200
        assert get(address, Authorization="Bearer geheim2").code == 401
        away = get(f"{address}//elsewhere.example/?token=geheim", follow=False)
        assert away.headers["Location"] == "/elsewhere.example/"


def test_a_foreign_name_for_this_machine_is_refused(address: str) -> None:
    port = address.rpartition(":")[2]
    assert get(address, Host=f"localhost:{port}").code == 200
    refused = get(address, Host="evil.example")
    assert (refused.code, "not as evil.example" in problem(refused.text)) == (403, True)


def test_only_reading_is_answered(address: str) -> None:
    import urllib.error
    import urllib.request

    for method in ("POST", "DELETE", "PUT"):
        request = urllib.request.Request(f"{address}/studies/chains", method=method)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=30)
        assert refused.value.code == 405
        refused.value.close()


def test_an_interrupted_study_says_how_to_go_on(tmp_path: Path) -> None:
    stored(study(3, (512,)), tmp_path, name="left", namespace="", phase=Phase.RUNNING, finished_at=None)
    with served(tmp_path) as address:
        assert "coref-k8s resume left" in text_of(get(f"{address}/studies/left").text)
        assert "interrupted" in text_of(get(address).text).lower()


def test_the_command_serves_until_it_is_told_to_stop(data_dir: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "coref_k8s",
        "ui",
        "--data-dir",
        str(data_dir),
        "--port",
        "0",
        "--lang",
        "en",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    try:
        assert "korean-long" in get(address).text
        taken = address.rstrip("/").rpartition(":")[2]
        second = subprocess.run(
            [*command[:-3], taken, *command[-2:]], capture_output=True, text=True, timeout=60, check=False
        )
        assert (second.returncode, second.stderr) == (
            2, f"coref-k8s: cannot listen on 127.0.0.1:{taken}: Address already in use; choose another one with --port\n",
        )  # fmt: skip
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=30)
    assert "Traceback" not in errors


def test_a_wrong_folder_is_named_at_once(coref: Any, tmp_path: Path) -> None:
    answer = coref("ui", "--data-dir", tmp_path / "nix", "--lang", "en")
    assert answer.code != 0
    assert f"{tmp_path}/nix holds no studies; name their folder with --data-dir" in answer.err
    assert answer.err.count("\n") == 1


def test_whoever_is_not_here_needs_a_token(
    coref: Any, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from coref_k8s.ui import server

    monkeypatch.setattr(server, "serve", lambda _app, listener: listener.close())
    answer = coref("ui", "--data-dir", data_dir, "--host", "0.0.0.0", "--port", "0")
    assert re.fullmatch(r"http://0\.0\.0\.0:\d+/\?token=[\w-]{20,}\n", answer.out)
    monkeypatch.setenv("COREF_UI_TOKEN", "from-a-secret")
    assert "secret" not in coref("ui", "--data-dir", data_dir, "--host", "0.0.0.0", "--port", "0").out
