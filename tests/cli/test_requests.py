"""Options and study files become the request that was meant, or one sentence with exit code 2."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

LR = "search.space.learning_rate"


def lengths(answer: Any) -> list[int]:
    assert answer.code == 0, answer.err
    return [one["seqLen"] for one in json.loads(answer.out)["lengths"]]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--seq-lengths", "1024", "2048"],
        ["--seq-lengths", "1024", "--seq-lengths", "2048"],
        ["--seq-lengths", "1024,2048"],
        ["--seq-lengths=1024,2048"],
        ["--seq-lengths=1024", "2048"],
        ["--seq-lengths", "1024,", "2048"],
        ["--seq-lengths", "2048", "1024", "1024"],
    ],
)
def test_several_lengths_in_every_spelling(coref: Any, arguments: list[str]) -> None:
    assert lengths(coref("plan", *arguments, "-o", "json")) == [1024, 2048]


def test_what_follows_the_values_is_not_swallowed(coref: Any) -> None:
    answer = coref("plan", "--seq-lengths", "1024", "2048", "--trials", "7", "--output", "json")
    assert json.loads(answer.out)["trialsPerLength"] == 7
    answer = coref("plan", "--seq-lengths", "1024", "2048", "leftover")
    assert answer.code == 2
    assert "leftover" in answer.err


def test_the_founding_documents_options(coref: Any) -> None:
    answer = coref(
        "plan", "--seq-lengths", "512", "--model", "some/model", "--trials", "3", "--train-limit", "none",
        "--epoch-choices", "1", "2.5", "--dataset-choice", "a", "--dataset-choice", "b,c", "--output", "yaml",
    )  # fmt: skip
    plan = yaml.safe_load(answer.out)
    assert plan["model"] == "some/model"
    assert plan["trialsInAll"] == 3
    assert plan["lengths"][0]["space"]["epochs"] == {"choices": [1.0, 2.5]}
    assert plan["lengths"][0]["space"]["dataset"] == {"choices": ["a", "b", "c"]}


def test_options_win_over_the_file(coref: Any, tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text("seqLengths: [1024]\ntrials: 5\nsearch: {startupTrials: 3, sampler: random}\n")
    answer = coref("plan", "-f", file, "--seq-lengths", "512", "--sampler", "gp", "-o", "json")
    assert lengths(answer) == [512]
    assert json.loads(answer.out)["trialsPerLength"] == 5


def test_set_reaches_every_field(coref: Any) -> None:
    answer = coref(
        "plan", "--seq-lengths", "512", "--set", f"{LR}={{low: 1e-4, high: 5e-3, log: true}}", "-o", "json"
    )
    assert json.loads(answer.out)["lengths"][0]["space"]["learning_rate"] == {
        "low": 1e-4,
        "high": 5e-3,
        "log": True,
    }
    # a number without a dot in its mantissa is a number, in a list of choices too
    answer = coref("plan", "--seq-lengths", "512", "--set", f"{LR}={{choices: [1e-4, 5e-3]}}", "-o", "json")
    assert json.loads(answer.out)["lengths"][0]["space"]["learning_rate"] == {"choices": [1e-4, 5e-3]}
    answer = coref("plan", "--set", "search.warm_start=false", "--set", "gpuMemoryGb=80", "-o", "json")
    assert json.loads(answer.out)["warmStart"] is False
    # of 20 trials the 5 random ones of the two longer lengths, by tokens: 5 x 3584 of 20 x 4608
    assert json.loads(answer.out)["warmStartSparesShare"] is None
    assert json.loads(answer.out)["gpuMemoryGb"] == 80
    answer = coref("plan", "--allocation", "even", "-o", "json")
    assert json.loads(answer.out)["warmStartSparesShare"] == pytest.approx(0.19444, abs=1e-4)
    assert "about 19 % of the trials' time" in " ".join(coref("plan", "--allocation", "even").out.split())


def test_what_finalists_can_show_is_said_before_they_are_paid_for(coref: Any) -> None:
    asked = ("plan", "--seq-lengths", "512", "--finalists", "3")
    found = json.loads(coref(*asked, "-o", "json").out)["finalists"]
    assert found["basis"] == "assumed"
    assert found["finalistSeeds"] == 3
    assert 0.05 < found["minimumDifferenceAdvised"] < found["minimumDifference"] < 0.2
    text = " ".join(coref(*asked).out.split())
    assert f"show a difference of {found['minimumDifference']:.3f} or more, in 80 % of cases" in text
    assert "Assumed, not measured: scores of runs with other seeds differ by 0.024" in text
    assert f"Advised: --finalist-seeds {found['advisedFinalistSeeds']}" in text
    advised = ("--finalist-seeds", str(found["advisedFinalistSeeds"]))
    assert "Advised" not in coref(*asked, *advised).out
    assert "권장: --finalist-seeds" in coref(*asked, "--lang", "ko").out
    assert "models apart, not settings" in " ".join(coref(*asked, "--finalist-seeds", "1").out.split())
    assert "finalists" not in json.loads(coref("plan", "-o", "json").out)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--seq-lengths", "1000"], "^coref-k8s: sequence length 1000 is not one of 512, .*did you mean 1024"),
        (["--seq-lengths", "1000", "--any-length"], "1000 is not a positive multiple of 64; did you mean 1024"),
        (["--seq-lengths", "abc"], "--seq-lengths must be a whole number, not 'abc'"),
        (["--seq-lengths", "512.5"], "--seq-lengths must be a whole number, not 512.5"),
        (["--seq-lengths", "--trials", "4"], "--seq-lengths needs a value"),
        (["--seq-lengths"], "--seq-lengths needs a value"),
        (["--seq-lengths", ","], "--seq-lengths must name at least 1"),
        (["--trials", "0"], "--trials must be at least 1, not 0"),
        (["--trials", "-3"], "--trials must be at least 1, not -3"),
        (["--trials", "many"], "--trials must be a whole number, not 'many'"),
        (["--trials", "3.5"], "--trials must be a whole number, not 3.5"),
        (["--pruner", "asa"], "--pruner must be one of 'asha', .*, 'none', not 'asa'; did you mean 'asha'"),
        (["--max-gpu-hours", "inf"], "--max-gpu-hours must be a number, not 'inf'"),
        (["--max-gpu-hours", ".inf"], "--max-gpu-hours must be a finite number, not .inf"),
        (["--trials", "1_0"], "--trials must be a whole number, not '1_0'"),
        (["--set", "gpuMemoryGb=.inf"], "--set gpuMemoryGb must be a finite number"),
        (["--set", "objective.weights={coref_f1: .nan}"], "objective.weights.coref_f1 must be a finite number, not .nan"),
        (["--set", "seqLengths={{ x }}"], "has a list or a mapping as a key"),
        (["--set", "training.epochChoices=[0]"], "training.epochChoices must be at least 0.001, not 0"),
        (["--set", "search.space.accumulation={choices: ['2', '4']}"], "must be a whole number from 1 to 1024, without quotes, not '2'"),
        (["--set", "search.space.accumulation={choices: [0]}"], "must be a whole number from 1 to 1024.*, not 0"),
        (["--set", "search.space.accumulation={choices: [2.5]}"], "must be a whole number from 1 to 1024.*, not 2.5"),
        (["--set", "search.space.accumulation={low: 1, high: 4}"], r"takes choices, not low and high; write for example {choices: \[1, 2, 4\]}"),
        (["--set", f"{LR}={{low: -1, high: -0.5}}"], f"{LR}.low must be a number from 1e-09 to 1, not -1"),
        (["--set", f"{LR}={{low: 0.1, high: 2}}"], f"{LR}.high must be a number from 1e-09 to 1, not 2"),
        (["--set", f"{LR}={{choices: ['1e-5', a]}}"], f"{LR}.choices must be a number from 1e-09 to 1, not '1e-5'"),
        (["--set", f"{LR}={{choices: [.inf]}}"], f"{LR}.choices must be text or a finite number, not .inf"),
        (["--set", "search.space.position_range={choices: [none of these]}"], "must be one of clamp, rescale, grow, not 'none of these'"),
        (["--set", "search.space.dataset={choices: [1, 2]}"], "must be the name of a folder, as text, not 1"),
        (["--set", "search.space.mask_low={low: 0.1, high: 0.9}"], "mask_low goes up to 0.9, above mask_high, which begins at 0.15"),
        (["--set", "search.spaceByLength={2048: {mask_high: {choices: [0.1]}}}"], "at 2048 tokens mask_low goes up to 0.18"),
        (["--max-duration", "1h"], "--max-duration must be a number, not '1h'"),
        (["--min-gain", "0"], "--min-gain must be above 0"),
        (["--finalists", "21"], "21 finalists cannot be chosen of 20 trials; give more trials"),
        (["--no-warm-start", "--warm-start-from", "x"], "--no-warm-start and --warm-start-from contradict each other"),
        (["--train-limit", "0"], "--train-limit must be at least 1, not 0"),
        (["--parallelism", "0"], "--parallelism must be at least 1"),
        (["--gpu-memory-gb", "-1"], "--gpu-memory-gb must be above 0"),
        (["--gpu-memory-gb", "2"], "a GPU of 2 GB does not hold one sequence"),
        (["--epoch-choices", "x"], "--epoch-choices must be a number, not 'x'"),
        (["--sampler", "tpy"], "--sampler must be one of 'gp', 'tpe', 'random', not 'tpy'; did you mean 'tpe'"),
        (["--set", f"{LR}={{low: 1e-3, high: 1e-5}}"], "range is empty: low 0.001 is above high 1e-05"),
        (["--set", f"{LR}={{choices: []}}"], "choices is empty"),
        (["--set", "search.space.lr={low: 1, high: 2}"], "'lr' is not a tuned parameter; known are learning_rate,"),
        (["--set", "search.space.learning_rte={low: 1, high: 2}"], "; did you mean 'learning_rate'?"),
        (["--set", "trails=3"], "unknown key 'trails'; did you mean 'trials'"),
        (["--set", "trials"], "--set 'trials' is not a setting"),
        (["--set", "trials=[1"], "--set trials: is not valid YAML"),
        (["--trials", "3", "--trials", "4"], "--trials is given twice"),
        (["--warm-start", "--no-warm-start"], "--warm-start and --no-warm-start contradict each other"),
        (["--max-steps", "5", "--epoch-choices", "1"], "--max-steps and --epoch-choices contradict each other"),
        (["--no-warm-start", "--warm-start-from", "x"], "--no-warm-start and --warm-start-from contradict"),
        (["--seq-length", "512"], "--seq-lengths"),
        (["--trials", "2", "--finalists", "3"], "3 finalists cannot be chosen of 2 trials"),
        (["--no-such-option"], "No such option: --no-such-option"),
        (["-f", "no-such-file.yaml"], "no-such-file.yaml: cannot be read"),
        (["-f", "."], "cannot be read"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", ["plan", "submit"])
def test_a_bad_request_is_one_sentence(coref: Any, command: str, arguments: list[str], sentence: str) -> None:
    refused(coref(command, *arguments), sentence)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("trails: 3", "study.yaml: unknown key 'trails'; did you mean 'trials'"),
        ("data: {trainLimt: 3}", "study.yaml: unknown key 'data.trainLimt'; did you mean 'trainLimit'"),
        ("seq_lengths: [512]", "unknown key 'seq_lengths'; did you mean 'seqLengths'"),
        ("trials: 0", "study.yaml: trials must be at least 1, not 0"),
        ("trials: '3'", "study.yaml: trials must be a whole number, not '3'"),
        ("trials: [3]\n  x: 1", "study.yaml: is not valid YAML at line 2"),
        ("trials: 3\ntrials: 4", "the key 'trials' stands twice"),
        ("just words", "holds no study"),
        ("", "holds no study"),
        ("kind: Deployment\napiVersion: apps/v1", "not corefk8s.dev/v1alpha1 CorefStudy"),
        ("name: Not_A_Label", "is not a DNS label"),
    ],
)
def test_a_bad_file_is_one_sentence_that_names_it(
    coref: Any, tmp_path: Path, text: str, sentence: str
) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(text)
    refused(coref("submit", "-f", file), sentence)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("Bad_Name", "not a DNS label"), ("-x", "not a DNS label"), ("a" * 41, "has 41 characters.*leave room for 40"), ("", "not a DNS label")],
)  # fmt: skip
def test_a_bad_name_is_refused(coref: Any, name: str, sentence: str) -> None:
    refused(coref("submit", f"--name={name}"), sentence)


def refused(answer: Any, sentence: str) -> None:
    assert answer.code == 2, answer
    assert not answer.out
    assert answer.err.count("\n") == 1, answer.err
    assert re.search(sentence, answer.err), answer.err


def test_a_metric_that_nobody_computes_is_refused_before_anything_is_prepared(
    coref: Any, tmp_path: Path
) -> None:
    answer = coref(
        "submit", "--local", "--data-dir", tmp_path, "--seq-lengths", "512", "--set", "objective.weights={coref_f2: 1}"
    )  # fmt: skip
    refused(answer, "the objective weighs 'coref_f2', which is not a metric; did you mean coref_f1")


def test_an_unknown_output_is_refused(coref: Any) -> None:
    refused(coref("plan", "--output", "xml"), "'xml' is not one of table, yaml, json")


def test_a_model_that_is_not_here_is_planned_for_with_a_remark(coref: Any) -> None:
    for model in ("./none", "/volume/models/mine", "some/model"):
        answer = coref("plan", "--model", model)
        assert answer.code == 0
        # a narrow terminal breaks the line
        assert f"since {model} is not on this machine" in " ".join(answer.out.split())
    answer = coref("plan", "--model", "no model")
    assert answer.code == 1
    assert "'no model' is neither a folder here nor the id of a hub model" in answer.err


def test_the_table_says_what_matters(coref: Any) -> None:
    answer = coref("plan", "--seq-lengths", "512", "2048", "--trials", "4")
    assert answer.code == 0
    for words in (
        "512",
        "2048",
        "× 8",
        "= 32",
        "1e-6–0.0001 log",
        "8 trials (4 × 512 and 4 × 2048 tokens)",
        "512 tokens explore first",
    ):
        assert words in answer.out


def test_the_plan_says_what_each_length_gets_and_what_it_costs(coref: Any) -> None:
    def amounts(*arguments: str) -> tuple[list[tuple[int, int]], float, float]:
        found = json.loads(
            coref("plan", "--seq-lengths", "512", "1024", "2048", *arguments, "-o", "json").out
        )
        return (
            [(one["trials"], one["trialsAtMost"]) for one in found["lengths"]],
            found["cost"],
            found["costAtMost"],
        )

    # 20 trials of a quarter, then 6 of a half and 6 whole ones; 10 of a half where nothing carries over
    assert amounts("--trials", "20") == ([(20, 20), (6, 10), (6, 6)], 14.0, 16.0)
    assert amounts("--trials", "20", "--allocation", "even") == ([(20, 20)] * 3, 35.0, 35.0)
    counts, cost, most = amounts("--budget", "20")
    assert 18 < cost <= most == 20
    assert counts[0][0] > 20 > counts[2][0]
    told = coref("plan", "--seq-lengths", "512", "1024", "2048", "--trials", "20").out
    assert "6–10" in told
    assert "cost as much as 14 trials of 2048 tokens" in " ".join(told.split())
    assert "--budget must be above 0, not 0" in coref("plan", "--budget", "0").err


def test_the_plan_is_told_in_korean(coref: Any) -> None:
    answer = coref("plan", "--seq-lengths", "512", "2048", "--finalists", "2", "--lang", "ko")
    assert answer.code == 0
    text = " ".join(answer.out.split())  # a narrow terminal breaks the lines
    for words in (
        "유효 배치",
        "탐색 공간",
        "트라이얼 26개(20 × 512, 6 × 2048 토큰)",
        "512 토큰에서 먼저",
        "새 시드 3개",
        "데이터: wikimedia",
    ):
        assert words in text
    assert not re.search(r"\b(trials|lengths|tokens|fresh|expected)\b", text, re.IGNORECASE)


def test_a_study_of_coreference_is_planned_with_what_it_tunes(coref: Any) -> None:
    answer = coref("plan", "--task", "coreference", "--seq-lengths", "512", "1024")
    text = " ".join(answer.out.split())
    for words in (
        "head_learning_rate 5e-5–0.001 log",
        "head_dropout 0–0.5",
        "whole documents (head_epochs: 8)",
        "Data: Elda-AI/elda-coref-ko-v2.",
    ):
        assert words in text
    assert "mask_low" not in text
    fixed = coref("plan", "--task", "coreference", "--set", "search.space.head_epochs={choices: [2, 4]}")
    assert "head_epochs 2 | 4" in " ".join(fixed.out.split())
    assert "(head_epochs: 2 | 4)" in " ".join(fixed.out.split())
    korean = coref("plan", "--task", "coreference", "--lang", "ko")
    assert "헤드만 학습하며" in korean.out
    data = json.loads(coref("plan", "--task", "coreference", "--output", "json").out)
    assert data["task"] == "coreference"
    assert "head_learning_rate" in data["lengths"][0]["space"]


def test_a_fixed_accumulation_is_what_is_planned(coref: Any) -> None:
    answer = coref(
        "plan", "--seq-lengths", "512", "--gpus", "0", "--batch-size", "4", "--set", "search.space.accumulation={choices: [2]}"
    )  # fmt: skip
    assert "= 8" in answer.out
    assert "on CPUs" in answer.out


def test_help_shows_every_field_with_its_default(coref: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from coref_k8s.cli.spec_options import OPTIONS

    monkeypatch.setenv("COLUMNS", "400")  # no text is broken over two lines
    text = coref("submit", "--help-all").out
    for option in OPTIONS:
        flag, _, negative = option.flags.partition("/")
        assert (flag.replace("--", "--[no-]") if negative else flag) in text
    assert "(default 1024 1536 2048)" in text
    assert "(default kakaobank/kf-deberta-base)" in text
