"""What the report says, in English and in Korean."""

from __future__ import annotations

from typing import Literal

Lang = Literal["en", "ko"]

TEXT: dict[str, tuple[str, str]] = {
    # head
    "Pending": ("Pending", "대기"), "Preparing": ("Preparing data", "데이터 준비 중"), "Running": ("Running", "실행 중"),
    "Succeeded": ("Succeeded", "완료"), "Failed": ("Failed", "실패"), "Cancelled": ("Cancelled", "취소됨"),
    "made": ("made {when} UTC", "{when} UTC 작성"), "budget": ("Budget", "예산"),
    "of_gpu_hours": ("{used} of {most} GPU-hours in ended attempts", "끝난 실행에 GPU {most}시간 중 {used}시간"),
    "of_time": ("{used} of {most}", "{most} 중 {used}"),
    "patience": ("a length ends after {n} trials without a better one", "더 나은 시도가 {n}번 잇달아 없으면 그 길이를 끝냄"),
    "min_gain": ("a length ends when one more trial is expected to add less than {gain}", "시도 하나가 더해 줄 것으로 기대되는 점수가 {gain}보다 작으면 그 길이를 끝냄"),
    "took": ("ran {span}", "{span} 동안 실행"),
    "best_score": ("best score", "최고 점수"), "at": ("{length} tokens, trial {trial}", "{length} 토큰, 시도 {trial}"),
    "trials_done": ("trials done", "끝난 시도"),
    "by_state": ("{complete} complete, {pruned} pruned, {failed} failed", "완료\u00a0{complete}, 중단\u00a0{pruned}, 실패\u00a0{failed}"),
    "gpu_time": ("GPU time", "GPU 시간"), "gpu_seconds": ("GPU seconds", "GPU 초"), "wall_time": ("time of attempts", "실행 시간 합"),
    "no_result": ("{share} without a result", "결과 없이 쓴 시간 {share}"),
    "left": ("time left, estimated", "남은 시간(예상)"),
    "answer": ("Is the new model better?", "새 모델이 더 나은가"),
    "untested": ("not tested", "검증 전"), "uncompared": ("not compared", "비교하지 못함"),
    # sections
    "timeline": ("When trials ran", "시도가 실행된 때"), "finalists_run": ("run of a finalist", "결선 실행"),
    "warnings": ("Read this first", "먼저 읽을 것"), "results": ("Results", "결과"),
    "history": ("Optimisation history", "최적화 이력"), "curves": ("Learning curves", "학습 곡선"),
    "by_length": ("Score against length", "길이별 점수"), "importance": ("What mattered", "매개변수 중요도"),
    "slices": ("Score against each parameter", "매개변수마다 본 점수"), "parallel": ("Parameters and score", "매개변수와 점수"), "metrics": ("Metrics of the best trials", "최고 시도의 지표"),
    "founding": ("The founding document's numbers", "기준 문서의 수치"),
    "distance": ("By distance to the antecedent", "선행어까지의 거리별"),
    "params": ("Parameters of the best trials", "최고 시도의 매개변수"), "trials": ("Every trial", "모든 시도"),
    "cost": ("Cost", "비용"), "again": ("Do it again", "재현하기"),
    "finalists": ("On test documents", "test 문서에서"),
    # words
    "tokens": ("tokens", "토큰"), "length_tokens": ("{length} tokens", "{length} 토큰"), "trial": ("trial", "시도"),
    "score": ("score", "점수"), "evaluation": ("evaluation", "평가"), "best": ("best", "최고"),
    "best_so_far": ("best so far", "그때까지 최고"), "complete": ("complete", "완료"), "pruned": ("pruned", "중단"),
    "failed": ("failed", "실패"), "running": ("running", "실행 중"), "waiting": ("waiting", "대기"),
    "best_of_length": ("best, with 95 % interval", "최고 (95% 신뢰구간)"), "other": ("other trials", "다른 시도"),
    "metric": ("metric", "지표"), "value": ("value", "값"), "interval": ("95 % interval", "95% 신뢰구간"),
    "gain": ("gain by context", "문맥의 이득"), "guess": ("without a model", "모델 없이"),
    "length": ("length", "길이"), "parameter": ("parameter", "매개변수"), "range": ("searched", "탐색 범위"),
    "outcome": ("outcome", "결과"), "attempts": ("attempts", "실행"), "share": ("share", "비율"), "total": ("total", "합계"),
    "state": ("state", "상태"), "time": ("time", "시간"), "distance_range": ("distance (tokens)", "거리 (토큰)"),
    "items": ("items", "문항"), "too_small": ("n too small", "문항이 너무 적음"),
    "succeeded": ("succeeded", "성공"), "out_of_memory": ("out of memory", "메모리 부족"),
    "disrupted": ("disrupted", "선점·축출"), "stopped": ("stopped", "중지"),
    "software": ("software", "소프트웨어"), "version": ("version", "버전"), "revision": ("revision", "리비전"),
    "memory": ("memory", "메모리"), "predicted": ("predicted", "예측"), "speed": ("tokens/s", "초당 토큰"),
    # explanations
    "no_trials": ("No trial has a result yet.", "아직 결과가 있는 시도가 없습니다."),
    "history_about": ("Each point is a trial; the line is the best so far.", "점 하나가 시도 하나이고, 선은 그때까지의 최고 점수입니다."),
    "timeline_about": (
        "A bar is a trial from start to end; bars beside each other ran at the same time, gaps are waiting.",
        "막대 하나가 시도 하나의 시작과 끝입니다. 위아래로 놓인 막대는 함께 실행된 것이고, 빈 곳은 기다린 시간입니다.",
    ),
    "interval_about": (
        "Values are of the dev documents, which chose these trials. 95 % interval: documents drawn again 2,000 times. "
        "Gain by context: the value minus that of the same items without their antecedents (LAMBADA: with the last sentence only); without a gain a value proves nothing.",
        "값은 이 시도들을 고른 dev 문서에서 잰 것입니다. 95% 신뢰구간은 문서를 2,000번 다시 뽑아 구했습니다. "
        "문맥의 이득은 같은 문항에서 선행어를 가렸을 때(LAMBADA는 마지막 문장만 보였을 때)보다 얼마나 높은지이며, 이득이 없는 값은 아무것도 보여 주지 못합니다.",
    ),
    "tested_about": (
        "The differences are of the test documents, which neither the search nor this training has seen, with the paired bootstrap's 95 % interval "
        "over documents. Better is said only where it excludes 0.",
        "차이는 탐색에도 학습에도 쓰지 않은 test 문서에서 쟀고, 구간은 문서를 다시 뽑은 대응 부트스트랩의 95% 신뢰구간입니다. 구간이 0을 포함하지 않을 때만 낫다고 말합니다.",
    ),
    "curves_about": ("Score at each evaluation: the best trial in colour, dashed lines were pruned.", "평가할 때마다의 점수입니다. 최고 시도는 색으로, 중단된 시도는 점선으로 그렸습니다."),
    "lengths_about": ("The best trial of each length with its 95 % interval.", "길이마다 최고 시도와 그 95% 신뢰구간입니다."),
    "importance_about": (
        "PED-ANOVA: how much a parameter's values differ between the best trials and all of them. The mark is what 95 % of "
        "random orders of the same scores stay below: a bar that does not pass it may be chance; of a dozen parameters one often passes by chance alone.",
        "PED-ANOVA: 상위 시도의 값이 전체와 얼마나 다른지 잽니다. 세로선은 같은 점수를 무작위로 섞었을 때 95%가 넘지 못한 값이므로, "
        "막대가 세로선을 넘지 않으면 우연일 수 있습니다. 열 개가 넘는 매개변수 가운데 하나쯤은 우연히 넘기도 합니다.",
    ),
    "importance_rests": ("Rests on {n} complete trials: the best {top} against all.", "완료된 시도 {n}개: 상위 {top}개와 전체를 견줌."),
    "importance_few": (
        "{n} complete trials are too few to say what mattered; from {least} on this is computed.",
        "완료된 시도가 {n}개뿐이라 무엇이 중요했는지 말할 수 없습니다. {least}개부터 계산합니다.",
    ),
    "importance_flat": ("All complete trials have the same score: nothing can have mattered.", "완료된 시도의 점수가 모두 같아 중요도를 말할 수 없습니다."),
    "slices_about": (
        "Each point is a trial; rings were pruned, at their last score.", "점 하나가 시도 하나이고, 빈 고리는 중단된 시도의 마지막 점수입니다.",
    ),
    "chance": ("chance", "우연 수준"), "share_of": ("importance", "중요도"),
    "parallel_about": ("A line is a trial, the thick one the best. Touch a line to follow it.", "선 하나가 시도 하나이고, 굵은 선이 최고입니다. 선을 누르면 따라가 볼 수 있습니다."),
    "only_best": ("The best {shown} of {n} are drawn.", "{n}개 가운데 상위 {shown}개만 그렸습니다."),
    "founding_about": (
        "Computed as the founding document did, to compare with its figures; never optimised. One word contained in another counts as a hit, "
        "so a constant list of five frequent nouns scores as well: it stands beside each number.",
        "기준 문서와 비교할 수 있도록 그 방식대로 계산한 값으로, 최적화에는 쓰지 않습니다. 한쪽이 다른 쪽을 포함하기만 해도 정답으로 치기 때문에 "
        "늘 같은 다섯 명사만 대답해도 점수가 나옵니다. 그 점수를 옆에 적었습니다.",
    ),
    "founding_more": ("more than the list", "목록보다"),
    "distance_about": (
        "Tokens between the masked mention and its nearest antecedent. Below 30 items no number is given.",
        "가려진 언급과 가장 가까운 선행어 사이의 토큰 수입니다. 문항이 30개보다 적으면 값을 적지 않습니다.",
    ),
    "guess_about": (
        "Without a model: the best of three lists, of the most frequent or the nearest nouns of the window or of the commonest nouns of the training text.",
        "모델 없이: 창 안에서 가장 잦은 명사, 가장 가까운 명사, 학습 데이터에서 가장 흔한 명사의 세 목록 가운데 가장 나은 값입니다.",
    ),
    "score_about": ("Score = {formula}.", "점수 = {formula}."),
    "cost_about": ("Time of every ended attempt times its GPUs. Only what succeeded gave a result.", "끝난 실행의 시간에 GPU 수를 곱한 값입니다. 성공한 실행만 결과를 남겼습니다."),
    "cost_time": ("Time of every ended attempt; there was no GPU. Only what succeeded gave a result.", "끝난 실행의 시간입니다(GPU 없음). 성공한 실행만 결과를 남겼습니다."),
    "cost_none": ("No attempt has ended yet.", "아직 끝난 실행이 없습니다."),
    "params_about": ("The dot shows where in the searched range a value lies.", "점은 탐색 범위 안에서 값이 놓인 자리입니다."),
    "again_about": (
        "Put the request into request.yaml. Revisions are those that this study used. With parallelism 1 a study repeats exactly on the same kind of device and the same versions; "
        "with more, the order in which trials end changes what is tried next.",
        "아래 요청을 request.yaml로 저장하세요. 리비전은 이 연구가 실제로 쓴 것입니다. parallelism이 1이면 같은 장치와 같은 버전에서 그대로 되풀이되고, "
        "그보다 크면 시도가 끝나는 순서에 따라 다음에 고르는 값이 달라집니다.",
    ),
    "unknown": ("not recorded", "기록 없음"),
    "local_folder": ("a folder: no revision", "폴더: 리비전 없음"),
    # warnings
    "w_failed": ("{n} trials failed: {why}", "시도 {n}개 실패: {why}"),
    "w_source": ("source {source} was left out: {reason}", "데이터 {source} 제외됨: {reason}"),
    "w_versions": ("trials ran with different versions of {name}: {found}", "시도마다 {name} 버전이 다릅니다: {found}"),
    "w_unfinished": ("the study has not ended: {done} of {planned} trials are done", "연구가 아직 끝나지 않았습니다: 시도 {planned}개 중 {done}개"),
    "w_items": ("{length} tokens: {message}", "{length} 토큰: {message}"),
    "w_guess": (
        "{length} tokens: {name} {value} is below what a list of five nouns reaches without a model ({guess}); look at the gain by context",
        "{length} 토큰: {name} {value}은 모델 없이 명사 다섯 개 목록이 얻는 값({guess})보다 낮습니다. 문맥의 이득을 보세요",
    ),
    "w_gain": (
        "{length} tokens: no gain by context is shown, so what the model answers it need not have taken from the text before",
        "{length} 토큰: 문맥의 이득이 확인되지 않았습니다. 모델의 답이 앞의 글에서 나왔다고 볼 수 없습니다",
    ),
    "w_single": (
        "the best score is the best of many trials on the same items, so it is likely a little too high; re-run finalists with fresh seeds before claiming a winner",
        "최고 점수는 같은 문항으로 잰 여러 시도 중 가장 높은 값이라 조금 부풀려져 있기 쉽습니다. 승자를 정하기 전에 새 시드로 다시 돌려 보세요",
    ),
    "against": ("against", "비교 대상"), "winner": ("winner", "승자"), "rival": ("other", "상대"),
    "difference": ("difference", "차이"), "mean_dev": ("mean on dev", "dev 평균"), "runs": ("its runs", "각 실행"),
    "candidates": ("Finalists", "결선에 오른 시도"),
    "finalists_about": (
        "The best trials ran again with fresh seeds. Dev chose the winner; the differences are of the test documents, items "
        "averaged over the runs, with the paired bootstrap's 95 % interval over documents. Better is said only where it excludes 0.",
        "상위 시도를 새 시드로 다시 실행했습니다. 승자는 dev로 골랐고, 차이는 test 문서에서 실행별 문항 점수를 평균해 잰 값이며 구간은 "
        "문서를 다시 뽑은 대응 부트스트랩의 95% 신뢰구간입니다. 구간이 0을 포함하지 않을 때만 낫다고 말합니다.",
    ),
    "w_message": ("{message}", "{message}"),
}  # fmt: skip

#: Metrics in the order of the table, with their names.
METRICS = {
    "score": "score",
    "coref_f1": "Coref F1",
    "coref_top1": "Coref Top1",
    "coref_top5": "Coref Top5",
    "lbd_top1": "LAMBADA Top1",
}


def say(lang: Lang, key: str, **values: object) -> str:
    """Return a text with its values filled in; not escaped."""
    return TEXT[key][lang == "ko"].format(**values)


#: Short names of the sections, for the line of links.
LINKS = {
    "finalists": ("Test", "검증"), "timeline": ("Timeline", "실행 시간"), "metrics": ("Metrics", "지표"), "history": ("History", "이력"), "by_length": ("Lengths", "길이"),
    "distance": ("Distances", "거리"), "founding": ("Founding numbers", "기준 문서"), "params": ("Best", "최고"),
    "importance": ("Importance", "중요도"), "slices": ("Slices", "산점도"), "parallel": ("Coordinates", "좌표"), "curves": ("Curves", "곡선"),
    "trials": ("Trials", "시도"), "cost": ("Cost", "비용"), "again": ("Again", "재현"),
}  # fmt: skip
