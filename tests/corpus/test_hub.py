"""Loading from a hub, against a local one: what works, and how each way to fail is reported.

Each scenario runs in its own process: HF_ENDPOINT is read when huggingface_hub is imported.
"""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow
from local_hub import COMMIT, local_hub
from pyarrow import parquet

from coref_k8s.corpus.shipped import shipped_documents

PROGRAM = """
import dataclasses, json, sys
from pathlib import Path
from coref_k8s.corpus import hub
from coref_k8s.corpus.sources import Loaded, load_documents
from coref_k8s.errors import CorefError
from coref_k8s.study.spec import DataSpec

answers = []
for request in json.loads(sys.argv[1]):
    hub.STREAM_ABOVE = request.pop("stream_above", hub.STREAM_ABOVE)
    events, loaded, error, documents = [], Loaded(), None, []
    bus = type("Bus", (), {"emit": lambda self, section, **fields: events.append((section, fields["message"]))})()
    try:
        spec = DataSpec.model_validate(request)
        found = list(load_documents(spec, cache_dir=Path(sys.argv[2]) / "hub", bus=bus, loaded=loaded))
        documents = [[document.text, group] for document, group in found]
    except CorefError as failure:
        error = str(failure)
    skipped = [{"source": lost.source, "reason": lost.reason} for lost in loaded.skipped]
    answers.append({**dataclasses.asdict(loaded), "skipped": skipped, "texts": documents, "events": events, "error": error})
print(json.dumps(answers))
"""

TEXTS = [document.text for document in shipped_documents()]


def table(rows):
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


def configs(*subsets):
    lines = ["---", "configs:"]
    for subset in subsets:
        lines += [
            f"- config_name: '{subset}'",
            "  data_files:",
            "  - split: train",
            f"    path: {subset}/*.parquet",
        ]
    return "\n".join([*lines, "---", ""]).encode()


def repositories():
    context = [{"title": f"제목{n // 2}", "context": TEXTS[10 + n // 2], "question": "?"} for n in range(8)]
    return {
        "wikimedia/wikipedia": {
            "README.md": configs("20231101.ko", "20231101.en"),
            "20231101.ko/train-00000-of-00001.parquet": table(
                [{"id": str(n), "title": f"글{n}", "text": text} for n, text in enumerate(TEXTS[:8])]
            ),
            "20231101.en/train-00000-of-00001.parquet": table([{"id": "1", "title": "x", "text": "x"}]),
        },
        "klue/klue": {
            "README.md": configs("mrc", "ynat"),
            "mrc/train.parquet": table(context),
            "ynat/train.parquet": table([{"title": f"제목 {text[:40]}"} for text in TEXTS[20:30]]),
        },
        "KorQuAD/squad_kor_v1": {"data/train.parquet": table(context[:2])},
        "dev7halo/naver-news-summarization-ko-with-gen": {
            "data/train.parquet": table([{"document": TEXTS[30]}])
        },
        "some/changed": {"data/train.parquet": table([{"body_text": "가" * 300}])},
        "some/empty": {"README.md": b"---\n---\n"},
        "some/gated": (403, {"data/train.parquet": table([{"text": TEXTS[31]}])}),
        "some/private": (401, {"data/train.parquet": table([{"text": TEXTS[31]}])}),
    }


def run(tmp_path, *requests, endpoint, token=""):
    """Load each request's documents, one after the other, in one process."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(tmp_path / "home"),
        "HF_TOKEN": token,
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(requests), str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_default_sources_load_and_what_fails_is_left_out_by_name(tmp_path):
    sources = [
        {"source": "wikimedia/wikipedia", "subset": "20231101.ko"},
        {"source": "klue", "subset": "mrc"},
        {"source": "klue/klue", "subset": "ynat", "minLength": 20},
        {"source": "squad_kor_v1"},
        {"source": "dev7halo/naver-news-summarization-ko-with-gen"},
        {"source": "some/changed"},
        {"source": "some/empty"},
        {"source": "some/gated"},
        {"source": "some/private"},
        {"source": "some/missing"},
    ]
    with local_hub(repositories(), token="secret") as (endpoint, requests):
        again = {"sources": sources[:1]}
        answer, second = run(tmp_path, {"sources": sources}, again, endpoint=endpoint)
    assert answer["documents"] == {
        "wikimedia/wikipedia:20231101.ko": 8,
        "klue:mrc": 8,
        "klue/klue:ynat": 10,
        "squad_kor_v1": 2,
        "dev7halo/naver-news-summarization-ko-with-gen": 1,
        **dict.fromkeys(["some/changed", "some/empty", "some/gated", "some/private", "some/missing"], 0),
    }
    assert answer["texts"][:8] == [[text, ""] for text in TEXTS[:8]]
    # questions about one article stay in one split
    assert answer["texts"][8:11] == [[TEXTS[10], "제목0"], [TEXTS[10], "제목0"], [TEXTS[11], "제목1"]]
    assert set(answer["revisions"].values()) == {COMMIT}
    reasons = {lost["source"]: lost["reason"] for lost in answer["skipped"]}
    assert set(reasons) == {"some/changed", "some/empty", "some/gated", "some/private", "some/missing"}
    assert "none of the columns" in reasons["some/changed"]
    assert "body_text" in reasons["some/changed"]
    assert reasons["some/gated"] == "some/gated is gated: accept its terms on the hub and set HF_TOKEN"
    assert "no data set some/private, or it is private" in reasons["some/private"]
    assert "no data set some/missing" in reasons["some/missing"]
    assert all("\n" not in reason for reason in reasons.values())
    assert [section for section, _ in answer["events"]] == ["warning"] * 5
    # a download is kept: reading it again fetches nothing
    assert second["texts"] == answer["texts"][:8]
    wiki = [path for method, path in requests if method == "GET" and path.endswith("00001.parquet")]
    assert len(wiki) == 1


def test_large_sources_stream_tokens_open_gates_and_revisions_are_pinned(tmp_path):
    sources = [
        {"source": "wikimedia/wikipedia", "subset": "20231101.ko", "revision": COMMIT},
        {"source": "some/gated"},
    ]
    with local_hub(repositories(), token="secret") as (endpoint, requests):
        (answer,) = run(tmp_path, {"sources": sources, "stream_above": 0}, endpoint=endpoint, token="secret")
    assert answer["documents"] == {"wikimedia/wikipedia:20231101.ko": 8, "some/gated": 1}
    assert answer["skipped"] == []
    assert sorted(text for text, _ in answer["texts"][:8]) == sorted(TEXTS[:8])
    assert ("GET", f"/api/datasets/wikimedia/wikipedia/revision/{COMMIT}") in requests
    # streamed: nothing of the texts is kept
    assert not (tmp_path / "hub").exists()


def test_without_network_local_sources_go_on(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text(TEXTS[0], encoding="utf-8")
    with local_hub({}) as (endpoint, _):
        pass  # the port is closed again: nobody answers
    both = {"sources": [{"source": "wikimedia/wikipedia"}, {"source": str(text)}]}
    answer, nothing = run(tmp_path, both, {"sources": [{"source": "some/thing"}]}, endpoint=endpoint)
    assert answer["documents"] == {"wikimedia/wikipedia": 0, str(text): 1}
    assert len(answer["events"]) == 1
    assert "could not be loaded" in answer["events"][0][1]
    assert nothing["error"].startswith("no source gave a document (some/thing could not be loaded")


LOSS = """
import json, os, sys
from pathlib import Path
from transformers import AutoTokenizer
from coref_k8s.corpus import hub
from coref_k8s.corpus.prepare import prepare
from coref_k8s.corpus.shipped import shipped_tokenizer
from coref_k8s.study.spec import DataSpec, StudySpec

hub.STREAM_ABOVE, hub._SHUFFLE_BUFFER = 0, 1  # what is read is given on at once
tokenizer = AutoTokenizer.from_pretrained(shipped_tokenizer())
data = DataSpec.model_validate({"sources": json.loads(sys.argv[1])})
for token in json.loads(sys.argv[3]):
    os.environ["HF_TOKEN"] = token
    events = []
    bus = type("Bus", (), {"emit": lambda self, section, **fields: events.append((section, fields.get("message")))})()
    done = prepare(StudySpec(seq_lengths=(512,), data=data), Path(sys.argv[2]), tokenizer, bus=bus)
    assert done.path.name == done.hash == done.statistics["hash"]
    warnings = [message for section, message in events if section == "warning"]
    fields = ("read", "skipped_sources")
    print(json.dumps([done.hash, *(done.statistics[name] for name in fields), warnings]), flush=True)
    sys.stdin.readline()
"""


def losing(tmp_path, sources, endpoint, tokens, between):
    """Prepare once for each token; `between` is called after each. Return (hash, read, skipped, warnings) each."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    command = [sys.executable, "-c", LOSS, json.dumps(sources), str(tmp_path), json.dumps(tokens)]
    answers = []
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        for number in range(len(tokens)):
            line = process.stdout.readline()
            assert line, "the preparation failed"
            answers.append(json.loads(line))
            between(number)
            process.stdin.write("\n")
            process.stdin.flush()
    assert process.returncode == 0
    return answers


def test_a_source_lost_on_the_way_is_tried_again_by_the_next_study(tmp_path):
    text = tmp_path / "text.jsonl"
    text.write_text("".join(json.dumps({"text": one}) + "\n" for one in TEXTS[20:30]), encoding="utf-8")
    sound = table([{"text": one} for one in TEXTS[4:8]])
    files = {
        "README.md": b"---\n---\n",
        "data/train-00000-of-00002.parquet": table([{"text": one} for one in TEXTS[:4]]),
        "data/train-00001-of-00002.parquet": bytes(len(sound)),  # damaged on its way
    }
    sources = [{"source": "some/large", "minLength": 0}, {"source": str(text), "minLength": 0}]

    def mend(number):
        if number == 1:
            files["data/train-00001-of-00002.parquet"] = sound

    with local_hub({"some/large": files}) as (endpoint, _):
        first, again, whole, found = losing(tmp_path, sources, endpoint, [""] * 4, mend)
    assert first[1]["some/large"] < 8
    assert first[1][str(text)] == 10
    assert [lost["source"] for lost in first[2]] == ["some/large"]
    assert len(first[3]) == 1
    assert "source some/large is left out" in first[3][0]
    assert again[0] == first[0], "the same loss gives the same data"
    assert len(again[3]) == 1, "it was tried again"
    assert whole[0] != first[0]
    assert whole[1] == {"some/large": 8, str(text): 10}
    assert whole[2] == whole[3] == []
    assert found == whole, "what is whole is found again"


def test_a_gate_that_a_token_opens_is_tried_again_and_a_hub_that_is_away_is_not(tmp_path):
    text = tmp_path / "text.jsonl"
    text.write_text("".join(json.dumps({"text": one}) + "\n" for one in TEXTS[20:30]), encoding="utf-8")
    sources = [{"source": "some/gated", "minLength": 0}, {"source": str(text), "minLength": 0}]
    with local_hub(repositories(), token="secret") as (endpoint, _):
        closed, opened = losing(tmp_path, sources, endpoint, ["", "secret"], lambda _: None)
    assert closed[1]["some/gated"] == 0
    assert "set HF_TOKEN" in closed[2][0]["reason"]
    assert opened[0] != closed[0]
    assert opened[1]["some/gated"] == 1
    away, still = losing(tmp_path, sources, endpoint, ["", ""], lambda _: None)
    assert away[0] == still[0] != closed[0]
    assert len(away[3]) == 1
    assert still[3] == [], "a request that never saw the source finds its data again"


def test_a_token_that_cannot_be_sent_is_not_shown(tmp_path):
    with local_hub(repositories(), token="secret") as (endpoint, _):
        (answer,) = run(
            tmp_path, {"sources": [{"source": "some/private"}]}, endpoint=endpoint, token="hidden\nword"
        )
    assert "hidden" not in str(answer)
    assert "set it again" in str(answer)
