"""What the system has written down in English, said in Korean.

The controller and the trials do not know who will read, so studies, trials and events hold English sentences. Those that
a reader meets are here, whole or as parts joined with semicolons; what is not known (an exception's own words, say) stays.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from coref_k8s.wording import Lang, Message

_PARTS: tuple[tuple[str, str], ...] = (
    # how studies end
    (r"cancelled on request", "요청에 따라 취소됨"),
    (r"no trial is complete", "완료된 시도가 없음"),
    (r"no trial of length (.+) is complete", "길이 {0}에서 완료된 시도가 없음"),
    (r"(\d+) trials failed, limits\.maxFailedTrials bears (\d+)", "시도 {0}개가 실패함(limits.maxFailedTrials는 {1}개까지 허용)"),
    (r"the last one: (.+)", "마지막 실패: {0}"),
    (r"stopped after (.+) s, as limits\.maxDuration says", "limits.maxDuration에 따라 {0}초 뒤에 멈춤"),
    (r"stopped after (.+) GPU-hours, as limits\.maxGpuHours says", "limits.maxGpuHours에 따라 GPU {0}시간을 쓰고 멈춤"),
    (r"(.+) before a trial was complete", "{0}(완료된 시도 없이)"),
    (
        r"length (\d+) ended after (\d+) of (\d+) trials, (\d+) in a row without a better one \(search\.patience\)",
        "길이 {0}은 {3}번 잇달아 더 나은 시도가 없어 {2}개 중 {1}개에서 끝남(search.patience)",
    ),
    (
        r"length (\d+) ended after (\d+) of (\d+) trials, one more is expected to add less than (.+) \(search\.minGain\)",
        "길이 {0}은 시도 하나가 더해 줄 것으로 기대되는 점수가 {3}보다 작아 {2}개 중 {1}개에서 끝남(search.minGain)",
    ),
    (
        r"every finalist of length (\d+) failed, so its best single run stands",
        "길이 {0}의 결선이 모두 실패해 단일 실행의 최고 점수를 그대로 둠",
    ),
    (r"the finalists of length (\d+) could not be compared: (.+)", "길이 {0}의 결선을 비교하지 못함: {1}"),
    (r"(\d+) of the finalists' runs of length (\d+) failed", "길이 {1}의 결선 실행 중 {0}회 실패"),
    (r"no finalist of length (.+) was run, so its best single run stands", "길이 {0}의 결선을 실행하지 못해 단일 실행의 최고 점수를 그대로 둠"),
    (r"not all finalists of length (.+) were run", "길이 {0}의 결선을 다 실행하지 못함"),
    (r"comparing the finalists", "결선을 비교하는 중"),
    (r"waiting for running jobs to end", "실행 중인 작업이 끝나기를 기다리는 중"),
    (r"preparation failed: (.+)", "데이터 준비 실패: {0}"),
    # why trials failed or were pruned
    (r"Crashed \((.+)\)", "비정상 종료 ({0})"),
    (r"Crashed \((.+?)\): (.+)", "비정상 종료 ({0}): {1}"),
    (r"Crashed: (.+)", "비정상 종료: {0}"),
    (r"Invalid \((.+)\)", "잘못된 요청 ({0})"),
    (r"Invalid \((.+?)\): (.+)", "잘못된 요청 ({0}): {1}"),
    (r"Invalid: (.+)", "잘못된 요청: {0}"),
    (r"exit code (\d+)", "종료 코드 {0}"),
    (r"exit code (\d+), (\d+) starts", "종료 코드 {0}, {1}번 시작"),
    (r"(GpuOutOfMemory.*), also with more memory \((\d+) times\)", "{0}, 메모리를 {1}번 늘려도 마찬가지"),
    (r"(HostOutOfMemory.*), also with more memory \((\d+) times\)", "{0}, 메모리를 {1}번 늘려도 마찬가지"),
    (r"GpuOutOfMemory(.*)", "GPU 메모리 부족{0}"),
    (r"HostOutOfMemory(.*)", "호스트 메모리 부족{0}"),
    (r"disrupted (\d+) times, limits\.maxDisruptions bears (\d+)", "{0}번 중단됨(limits.maxDisruptions는 {1}번까지 허용)"),
    (r"it ended without an error and without a result", "오류도 결과도 없이 끝남"),
    (r"diverged: the loss is (.+) at step (\d+)", "발산: {1}단계에서 손실이 {0}"),
    (
        r"diverged: the smoothed loss rose to (.+) at step (\d+), from (.+) at its best",
        "발산: 손실의 이동 평균이 가장 낮을 때 {2}에서 {1}단계에 {0}까지 오름",
    ),
    # warnings
    (r"no (\w+) items in these documents: (.+) are 0", "이 문서들에는 {0} 문항이 없어 {1}는 0"),
    (r"custom metric (.+) gave (.+), counted as 0", "사용자 지표 {0}의 값 {1}을 0으로 셈"),
    (r"the threshold of Coref F1 \(tau\) was found on this text itself", "Coref F1의 문턱값(tau)을 이 글 자체에서 찾음"),
    (r"source (.+) is left out: (.+)", "데이터 {0} 제외됨: {1}"),
    (
        r"out of GPU memory at step (\d+); going on with batch (\d+) x accumulation (\d+)",
        "{0}단계에서 GPU 메모리 부족; 배치 {1} × 누적 {2}로 계속",
    ),
    (r"checkpoint (.+) is damaged \((.+)\); going on from the one before it", "체크포인트 {0} 손상({1}); 그 앞의 것에서 계속"),
    # comparisons of a final training or an ensemble
    (
        r"this model is (better|worse) than (.+): (\w+) (\S+) against (\S+) \(difference (\S+), 95 % interval (\S+) to (\S+); "
        r"(\d+) items of (\d+) documents\)\.",
        "이 모델이 {1}보다 {0}: {2} {3} 대 {4} (차이 {5}, 95% 신뢰구간 {6} … {7}; 문서 {9}개의 문항 {8}개).",
    ),
    (
        r"No difference shown between this model and (.+): (\w+) (\S+) against (\S+) \(difference (\S+), 95 % interval (\S+) to (\S+); "
        r"(\d+) items of (\d+) documents(; too few documents for a claim)?\)\.",
        "이 모델과 {0}의 차이가 확인되지 않음: {1} {2} 대 {3} (차이 {4}, 95% 신뢰구간 {5} … {6}; 문서 {8}개의 문항 {7}개{9}).",
    ),
    (r"; too few documents for a claim", "; 문서가 너무 적어 주장할 수 없음"),
    (r"better", "나음"),
    (r"worse", "못함"),
    (r"score", "점수"),
    (r"no difference shown", "차이가 확인되지 않음"),
    (r"the untuned model", "튜닝 전 모델"),
    (r"trial (\d+) of (.+), whose parameters were taken \(chosen on these documents\)", "{1}의 시도 {0}(매개변수를 가져온 시도, 이 문서들로 골랐음)"),
    (r"trial (\d+) of (.+), the best single model \(chosen on these documents\)", "{1}의 시도 {0}(가장 나은 단일 모델, 이 문서들로 골랐음)"),
    (r"trial (\d+) of (.+), the best single model", "{1}의 시도 {0}(가장 나은 단일 모델)"),
    (r"kept", "채택"),
    (r"not kept: (.+)", "채택하지 않음: {0}"),
    (r"source (.+) will be left out: (.+)", "데이터 {0} 제외 예정: {1}"),
    # why a source of text is left out
    (r"no such file or folder", "그런 파일이나 폴더가 없음"),
    (r"it does not exist", "허브에 없음"),
    (r"it does not exist or needs HF_TOKEN", "허브에 없거나 HF_TOKEN이 필요함"),
    (r"(.+) does not exist", "{0} 없음"),
    (r"it holds no documents", "문서가 없음"),
    (r"(.+) is gated: accept its terms on the hub and set HF_TOKEN", "{0}은(는) 승인이 필요함: 허브에서 이용 약관에 동의하고 HF_TOKEN을 설정하세요"),
    (
        r"the hub has no data set (.+), or it is private: check the name, or set HF_TOKEN",
        "허브에 {0} 데이터가 없거나 비공개임: 이름을 확인하거나 HF_TOKEN을 설정하세요",
    ),
    (r"HF_HUB_OFFLINE forbids to ask", "HF_HUB_OFFLINE이 허브 접속을 막음"),
    (r"(.+) is on the hub, and HF_HUB_OFFLINE forbids to ask it", "{0}은(는) 허브에 있고 HF_HUB_OFFLINE이 허브 접속을 막음"),
    (r"(.+) could not be loaded \((.+)\)", "{0}을(를) 읽지 못함({1})"),
    (r"line (\d+): (.+)", "{0}번째 줄: {1}"),
    (r"row (\d+): (.+)", "{0}번째 행: {1}"),
    (r"not JSON \((.+)\)", "JSON이 아님({0})"),
    # stages of preparation, and what they count
    (r"documents", "문서"),
    (r"read", "읽기"),
    (r"analyse", "형태소 분석"),
    (r"deduplicate", "중복 제거"),
    (r"encode", "토큰화"),
)  # fmt: skip
_KNOWN = tuple((re.compile(pattern, re.DOTALL), korean) for pattern, korean in _PARTS)


def told(message: Message | Mapping[str, Any] | str, lang: Lang) -> str:
    """Return a stored message in the reader's language, as far as it is known."""
    text = (message if isinstance(message, Message) else Message.load(message)).say(lang)
    if lang == "en" or not text:
        return text
    return _whole(text) or "; ".join(_whole(part) or part for part in text.split("; "))


def _whole(message: str) -> str | None:
    for pattern, korean in _KNOWN:
        if (found := pattern.fullmatch(message)) is not None:
            return korean.format(*(_whole(part) or part for part in found.groups(default="")))
    return None
