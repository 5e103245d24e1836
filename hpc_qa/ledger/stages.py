"""GPU-hours by stage: where the time of allocations went, in sums that are exact.

Serving is divided into generation and judging by their shares of the tokens that were computed, where these are known.
"""

from collections import Counter

import numpy as np
import pyarrow as pa

from hpc_qa.budget.waterfall import STAGES

COLUMNS = ("gpu_count", "stages_ms", "judge_token_share")
SERVING, GENERATION, JUDGING = "serving", "generation", "judging"
MS_PER_HOUR = 3_600_000
ORDER = tuple(name for stage in STAGES for name in ((SERVING, GENERATION, JUDGING) if stage == SERVING else (stage,)))
ROWS_AT_ONCE = 65_536  # less memory is less time


def by_stage(table: pa.Table) -> dict[str, float]:
    """GPU-hours of each stage, by the columns `COLUMNS`; attempts without marks are in none."""
    sums: Counter[str] = Counter()
    wanted = table.select(list(COLUMNS))
    for first in range(0, table.num_rows, ROWS_AT_ONCE):
        for rows in wanted.slice(first, ROWS_AT_ONCE).combine_chunks().to_batches():  # of many files: few steps
            sums.update(_by_stage(rows))
    return dict.fromkeys(ORDER, 0.0) | {name: hours / MS_PER_HOUR for name, hours in sums.items()}


def _by_stage(rows: pa.RecordBatch) -> dict[str, float]:
    """GPU-milliseconds."""
    stages = rows.column("stages_ms")
    ends = stages.offsets.to_numpy()
    names = stages.keys[ends[0] : ends[-1]].dictionary_encode()
    known, places, lengths = names.dictionary.to_pylist(), names.indices.to_numpy(), np.diff(ends)
    gpus = np.repeat(_numbers(rows, "gpu_count"), lengths)
    weights = stages.items[ends[0] : ends[-1]].to_numpy() * np.nan_to_num(gpus)
    found = dict(zip(known, np.bincount(places, weights, minlength=len(known)).tolist(), strict=True))
    if rows.column("judge_token_share").null_count == len(rows) or SERVING not in known:
        return found
    of_judge = np.repeat(_numbers(rows, "judge_token_share"), lengths)
    divided = (places == known.index(SERVING)) & ~np.isnan(of_judge)
    whole = float(weights[divided].sum())
    judging = float((weights[divided] * of_judge[divided]).sum())
    return found | {SERVING: found[SERVING] - whole, GENERATION: whole - judging, JUDGING: judging}


def _numbers(rows: pa.RecordBatch, name: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """A column; NaN where it is not known."""
    return np.asarray(rows.column(name).cast(pa.float64()).to_numpy(zero_copy_only=False))
