"""What the live view and the tables of studies say, in Korean and in English."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from coref_k8s.cli.speech import lang

Lang = Literal["en", "ko"]
LangOption = Annotated[Lang | None, typer.Option("--lang", help="Language (default that of the locale).")]

_TEXT: dict[str, tuple[str, str]] = {
    "pending": ("Pending", "대기"),
    "preparing": ("Preparing data", "데이터 준비 중"),
    "running": ("Running", "실행 중"),
    "succeeded": ("Succeeded", "완료"),
    "failed": ("Failed", "실패"),
    "cancelled": ("Cancelled", "취소됨"),
    "elapsed": ("{span}", "{span} 경과"),
    "left": ("about {span} left", "약 {span} 남음"),
    "gpu_hours": ("{n} GPU-hours", "GPU {n}시간"),
    "tokens": ("{n} tokens", "{n} 토큰"),
    "of": ("{done} of {all} trials", "시도 {all}개 중 {done}개"),
    "of_short": ("{done}/{all}", "{done}/{all}"),
    "failed_of": ("{n} failed", "실패 {n}"),
    "more": ("… and {n} more running", "… 그 밖에 {n}개 실행 중"),
    "left_short": ("{span} left", "{span} 남음"),
    "best": ("best {score} (trial {trial})", "최고 {score} (시도 {trial})"),
    "no_best": ("no result yet", "아직 결과 없음"),
    "trial": ("trial {n}", "시도 {n}"),
    "starting": ("starting", "시작하는 중"),
    "waiting": ("waiting", "대기 중"),
    "suspended": ("suspended; its queue has not admitted it", "보류됨; 대기열이 아직 받아들이지 않음"),
    "loss": ("loss {loss}", "손실 {loss}"),
    "speed": ("{n} tokens/s", "초당 {n} 토큰"),
    "score": ("score {score}", "점수 {score}"),
    "stopping": (
        "Stopping: running trials write their checkpoints first (Ctrl-C again leaves at once)",
        "멈추는 중: 실행 중인 시도가 체크포인트를 먼저 저장합니다 (Ctrl-C를 다시 누르면 바로 끝납니다)",
    ),
    "events": ("Last events", "최근 기록"),
    "e_begin": ("{who} started", "{who} 시작"),
    "e_resumed": ("{who} goes on at step {step} of {steps}", "{who}: {steps}단계 중 {step}단계부터 계속"),
    "e_waits": ("{who} waits: {why}", "{who} 대기: {why}"),
    "e_goes_on": ("{who} runs", "{who} 실행"),
    "e_eval": ("{who} step {step}: score {score}", "{who} {step}단계: 점수 {score}"),
    "e_evaluated": (
        "{who} evaluation {number} of {of}: score {score}",
        "{who} 평가 {of}번 중 {number}번째: 점수 {score}",
    ),
    "evaluations": ("evaluation {done}/{of}", "평가 {done}/{of}"),
    "e_complete": ("{who} complete: score {score}", "{who} 완료: 점수 {score}"),
    "e_pruned": ("{who} pruned: score {score} is too low to go on", "{who} 중단: 점수 {score}, 가망이 없음"),
    "e_failed": ("{who} failed: {why}", "{who} 실패: {why}"),
    "e_interrupted": (
        "{who} interrupted; it will go on from its checkpoint",
        "{who} 중단됨; 체크포인트에서 이어짐",
    ),
    "e_data": ("data: {stage} {done}{total}", "데이터: {stage} {done}{total}"),
    "e_study": ("study {phase}", "연구 {phase}"),
    "e_warning": ("warning: {message}", "경고: {message}"),
    "who": ("{length} trial {trial}", "{length} 시도 {trial}"),
    "on": (" on {place}", "  {place}"),
    "this_machine": ("this machine", "이 컴퓨터"),
    "count_of": ("{done} of {all}", "{done} / {all}"),
    "more_trials": ("… and {n} more; --all shows them", "… 그 밖에 {n}개; --all로 모두 봄"),
    "s_complete": ("complete", "완료"),
    "s_running": ("running", "실행 중"),
    "s_waiting": ("waiting", "대기"),
    "s_pruned": ("pruned", "중단"),
    "s_failed": ("failed", "실패"),
    "r_untuned": ("untuned", "튜닝 전"),
    "r_defaults": ("defaults", "기본값"),
    "h_tokens": ("tokens", "토큰"),
    "h_progress": ("progress", "진행"),
    "h_best": ("best score", "최고 점수"),
    "h_trial": ("trial", "시도"),
    "h_for": ("for", "까닭"),
    "h_why": ("why", "까닭"),
    "h_finalists": ("finalists", "결선"),
    "h_gain": ("gain", "이득"),
    "h_time": ("time", "시간"),
    "h_state": ("state", "상태"),
    "h_run": ("run", "실행"),
    "h_of": ("of", "무엇"),
    "h_seed": ("seed", "시드"),
    "h_dev": ("score on dev", "dev 점수"),
    "no_complete": ("no complete trial yet", "아직 완료된 시도가 없음"),
    "h_score": ("score", "점수"),
    "h_files": ("files", "파일"),
    "h_test": ("test documents", "test 문서"),
    "h_model": ("model", "모델"),
    "h_trials": ("trials", "시도"),
    "h_against": ("against the best", "최고 모델 대비"),
    "h_interval": ("95 % interval", "95% 신뢰구간"),
    "h_metric": ("metric", "지표"),
    "h_value": ("value", "값"),
    "h_context": ("by context", "문맥의 이득"),
    "h_founding": ("founding way", "기준 문서식"),
    "h_parameter": ("parameter", "매개변수"),
    "who_finalist": ("{length} finalists' run {trial}", "{length} 결선 실행 {trial}"),
    "finalist": ("run {n}", "결선 {n}"),
    "next": ("Next: {steps}", "다음: {steps}"),
    "idle": (
        "Nobody works on it at the moment; {resume} goes on with it.",
        "지금은 아무도 실행하고 있지 않습니다. {resume} 명령으로 이어집니다.",
    ),
    "created": ("study {study} is created in {place}", "연구 {study}을(를) {place}에 만들었습니다"),
    "goes_on": ("study {study} goes on in {place}", "연구 {study}이(가) {place}에서 이어집니다"),
    "in_foreground": (
        "study {study}; Ctrl-C stops it, {resume} goes on",
        "연구 {study}: Ctrl-C로 멈추고, {resume} 명령으로 이어집니다",
    ),
    "left_running": (
        "study {study} goes on in {place}; {status} shows how far it is",
        "연구 {study}은(는) {place}에서 계속됩니다. {status} 명령으로 진행을 볼 수 있습니다",
    ),
    "left_stopped": (
        "study {study} is stopped; {resume} goes on with it",
        "연구 {study}을(를) 멈췄습니다. {resume} 명령으로 이어집니다",
    ),
    "no_studies": (
        "No studies here yet; start one: {submit}",
        "아직 연구가 없습니다. 이렇게 시작합니다: {submit}",
    ),
    "h_study": ("study", "연구"),
    "h_phase": ("phase", "상태"),
    "h_where": ("where", "장소"),
    "h_age": ("age", "경과"),
    "h_best_dev": ("best", "최고"),
    "h_on_test": ("test", "test"),
    "h_gpu_hours": ("GPU h", "GPU 시간"),
    "h_cost": ("cost", "비용"),
    "h_setting": ("setting", "설정"),
    "p_on_gpus": ("{model} on GPUs of {size} GB", "{model}, {size} GB GPU"),
    "p_on_cpus": ("{model} on CPUs", "{model}, CPU"),
    "h_batch": ("batch", "배치"),
    "h_accumulation": ("accum.", "누적"),
    "h_effective": ("effective", "유효 배치"),
    "h_gpu_memory": ("GPU memory", "GPU 메모리"),
    "h_checkpointing": ("ckpt", "ckpt"),
    "h_gpus": ("GPUs", "GPU"),
    "h_pod": ("pod", "파드"),
    "p_memory": ("{used} of {all} GB", "{all} GB 중 {used}"),
    "yes": ("yes", "예"),
    "no": ("no", "아니요"),
    "p_space": ("Search space", "탐색 공간"),
    "p_trials": (
        "{n} trials, at most {parallelism} at once; sampler {sampler}, pruner {pruner}.",
        "시도 {n}개, 동시에 최대 {parallelism}개; 샘플러 {sampler}, 프루너 {pruner}.",
    ),
    "p_trials_each": (
        "{n} trials ({each} × {lengths} lengths), at most {parallelism} at once; sampler {sampler}, pruner {pruner}.",
        "시도 {n}개(길이 {lengths}개 × {each}), 동시에 최대 {parallelism}개; 샘플러 {sampler}, 프루너 {pruner}.",
    ),
    "p_ladder": (
        "{first} tokens go first; once half of their trials have ended, {longer} start from the best.",
        "{first} 토큰을 먼저 실행하고, 그 시도의 절반이 끝나면 {longer} 토큰이 가장 좋은 결과에서 시작합니다.",
    ),
    "p_spared": (
        "Expected, not measured: warm start spares the {n} random trials that every longer length would begin with, "
        "about {share} of the trials' time if lengths resemble each other.",
        "예상이며 측정값이 아닙니다: 웜 스타트는 더 긴 길이마다 처음에 할 무작위 시도 {n}개를 덜어 주며, "
        "길이끼리 비슷하다면 시도 시간의 약 {share}입니다.",
    ),
    "p_pruning": (
        "What pruning spares is known when trials run; no trial is stopped before its own warm-up has ended.",
        "프루닝이 덜어 주는 양은 시도를 실행해 봐야 압니다. 워밍업이 끝나기 전에는 어떤 시도도 멈추지 않습니다.",
    ),
    "p_from": ("Starts from the results of study {study}.", "연구 {study}의 결과에서 시작합니다."),
    "p_finalists": (
        "Then the best {n} of each length and the defaults are run with {seeds} fresh seeds, and the untuned model is "
        "scored: {runs} more runs a length.",
        "그다음 길이마다 상위 {n}개와 기본값을 새 시드 {seeds}개로 다시 실행하고 튜닝 전 모델도 평가합니다: "
        "길이마다 {runs}번 더 실행합니다.",
    ),
    "p_data": ("Data: {sources}.", "데이터: {sources}."),
    "p_assumed": (
        "Memory is predicted for the shape of kf-deberta-base, since {model} is not on this machine.",
        "{model} 모델이 이 컴퓨터에 없어 kf-deberta-base의 크기로 메모리를 예측했습니다.",
    ),
    "and": (" and ", "과 "),
}


def locale_lang() -> Lang:
    """Return the language that this run speaks."""
    return lang()


def say(lang: Lang, key: str, **values: object) -> str:
    """Return a text of the table with its values filled in."""
    return _TEXT[key][lang == "ko"].format(**values)
