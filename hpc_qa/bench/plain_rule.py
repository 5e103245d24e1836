"""The plain rule: means against each other, without asking how much runs differ. It stands beside the verdict.

Throughput may be down by less than 10 %, quality by less than 5 %; for memory there is no rule.
"""

import math
from typing import Any

from hpc_qa.bench.arm import Arm, change_percent

PASS, FAIL, NO_DATA, NO_RULE = "PASS", "FAIL", "NO DATA", "NO RULE"
MEMORY = ("results.max_cpu_memory_gb", "results.avg_cpu_memory_gb", "results.max_gpu_memory_gb")  # what both arms have


def plain_rule(baseline: Arm, current: Arm) -> dict[str, Any]:
    """The three comparisons, and PASS or FAIL of throughput and quality together.

    One of them that cannot be compared, for want of a value or of a baseline above zero, never passes: the assessment
    is FAIL where the other fails, else NO DATA.
    """
    memory = next((key for key in MEMORY if baseline.known(key) and current.known(key)), MEMORY[0])
    found = {
        "throughput_regression": _compared("results.throughput_pdfs_per_hour", baseline, current, -10),
        "quality_regression": _compared("quality.quality_score", baseline, current, -5),
        "memory_regression": _compared(memory, baseline, current, None),
    }
    said = {found[name]["status"] for name in ("throughput_regression", "quality_regression")}
    return found | {"overall_assessment": next(word for word in (FAIL, NO_DATA, PASS) if word in said)}


def in_words(found: dict[str, Any]) -> str:
    """The assessment and the changes behind it, in one line.

    >>> change = {"baseline_avg": 20.0, "current_avg": 17.0, "change_percent": -15.0, "status": "FAIL"}
    >>> in_words({"throughput_regression": change, "overall_assessment": "FAIL"})
    'FAIL (throughput -15.0 % FAIL)'
    """
    changes = {name.partition("_")[0]: one for name, one in found.items() if isinstance(one, dict)}
    said = [
        f"{name} " + (NO_DATA if one["change_percent"] is None else f"{one['change_percent']:+.1f} % {one['status']}")
        for name, one in changes.items()
    ]
    return f"{found['overall_assessment']} ({', '.join(said)})"


def _compared(key: str, baseline: Arm, current: Arm, limit_percent: float | None) -> dict[str, Any]:
    before, after = (_mean(arm.known(key)) for arm in (baseline, current))
    change = change_percent(before, after)
    if change is None:
        status = NO_DATA
    elif limit_percent is None:
        status = NO_RULE
    else:
        status = PASS if change > limit_percent else FAIL
    return {"baseline_avg": before, "current_avg": after, "change_percent": change, "status": status}


def _mean(values: list[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
