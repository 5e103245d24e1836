"""GPU-hours by stage: where the time of allocations went, in sums that are exact.

Serving is divided into generation and judging by their shares of the tokens that were computed, where these are known.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hpc_qa.budget.waterfall import STAGES

COLUMNS = ("gpu_count", "stages_ms", "judge_token_share")
SERVING, GENERATION, JUDGING = "serving", "generation", "judging"
MS_PER_HOUR = 3_600_000
ORDER = tuple(name for stage in STAGES for name in ((SERVING, GENERATION, JUDGING) if stage == SERVING else (stage,)))


def by_stage(table: pa.Table) -> dict[str, float]:
    """GPU-hours of each stage, by the columns `COLUMNS`; attempts without marks are in none."""
    kind = table.schema.field("stages_ms").type
    stages = pa.concat_arrays(table.column("stages_ms").chunks or [pa.nulls(0, kind)])
    names = stages.keys.dictionary_encode()
    places, lengths = names.indices.to_numpy(), np.diff(stages.offsets.to_numpy())
    gpus = pc.fill_null(table.column("gpu_count"), 0).to_numpy()
    weights = stages.items.to_numpy() * np.repeat(gpus, lengths)
    sums = np.bincount(places, weights, minlength=len(names.dictionary)) / MS_PER_HOUR
    found = dict.fromkeys(ORDER, 0.0) | dict(zip(names.dictionary.to_pylist(), sums.tolist(), strict=True))
    shares = table.column("judge_token_share")
    if shares.null_count == len(shares) or SERVING not in names.dictionary.to_pylist():
        return found
    of_judge = np.repeat(pc.cast(shares, pa.float64()).to_numpy(), lengths)  # NaN where it is not known
    is_serving = (places == names.dictionary.to_pylist().index(SERVING)) & ~np.isnan(of_judge)
    known = float(weights[is_serving].sum()) / MS_PER_HOUR
    found[JUDGING] = float((weights[is_serving] * of_judge[is_serving]).sum()) / MS_PER_HOUR
    found[GENERATION] = known - found[JUDGING]
    found[SERVING] = max(0.0, found[SERVING] - known)
    return found
