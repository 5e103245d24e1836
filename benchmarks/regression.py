"""How often `bench check` is wrong: arms drawn by seed, of which it is known whether anything changed.

Five runs an arm. Throughput and quality of runs differ by a log-normal factor with the spread that is named, failed
documents by chance alone, or one run in ten loses a fifth of its documents at once. Between the arms nothing has
changed, or 20 % of the throughput is gone, or 8 points more of the documents of every run are lost.
"""

from collections import Counter

import numpy as np

from benchmarks.figure import Figure
from hpc_qa.bench.arm import Arm
from hpc_qa.bench.effect import REGRESSED, SUSPECT, wilson
from hpc_qa.bench.record import Dataset, Quality, Record, Results
from hpc_qa.bench.regression import check

HOW = "python -m benchmarks regression"
RUNS, DOCUMENTS, ERRORS, PAIRS_OF_ARMS, SEED = 5, 200, 0.01, 4_000, 20_261_123
NO_CHANGE = (0.03, 0.08, 0.15)  # spreads
WRONG, SEEN = 0.02, 0.95
MISHAP, LOST = 0.1, 0.2  # of the runs, and of the documents of such a run
MORE_ERRORS = 0.08


def run() -> list[Figure]:
    """The figures of this benchmark."""
    return [
        *(no_change(spread, everything=everything) for everything in (False, True) for spread in NO_CHANGE),
        *(a_loss(everything=everything) for everything in (False, True)),
        mishaps(),
        more_errors(),
    ]


def no_change(spread: float, *, everything: bool) -> Figure:
    """How often arms that are alike are said to have regressed."""
    verdicts = judged(spread, 1.0, everything=everything)
    share, bounds = verdicts[REGRESSED] / PAIRS_OF_ARMS, _bounds(verdicts[REGRESSED])
    return Figure(
        f"bench check of arms that are alike, spread {spread:.0%}, {_what(everything)}: regressed",
        f"at most {WRONG:.0%}", f"{share:.2%} ({bounds})", share <= WRONG, HOW, dict(verdicts),
    )  # fmt: skip


def a_loss(*, everything: bool) -> Figure:
    """How often a loss of a fifth is seen."""
    verdicts = judged(0.03, 0.8, everything=everything)
    seen = verdicts[REGRESSED] + verdicts[SUSPECT]
    share = seen / PAIRS_OF_ARMS
    return Figure(
        f"bench check of a loss of 20 %, spread 3 %, {_what(everything)}: at least suspect",
        f"at least {SEEN:.0%}", f"{share:.2%} ({_bounds(seen)}), regressed {verdicts[REGRESSED] / PAIRS_OF_ARMS:.1%}",
        share >= SEEN, HOW, dict(verdicts),
    )  # fmt: skip


def mishaps() -> Figure:
    """How often arms that are alike are said to have regressed, where a run now and then loses many documents."""
    verdicts = judged(0.03, 1.0, everything=True, mishap=MISHAP)
    share, bounds = verdicts[REGRESSED] / PAIRS_OF_ARMS, _bounds(verdicts[REGRESSED])
    return Figure(
        f"bench check of arms that are alike, of which {MISHAP:.0%} of the runs lose {LOST:.0%} of their documents: "
        "regressed",
        f"at most {WRONG:.0%}", f"{share:.2%} ({bounds})", share <= WRONG, HOW, dict(verdicts),
    )  # fmt: skip


def more_errors() -> Figure:
    """How often it is seen that every run loses more documents than before."""
    verdicts = judged(0.03, 1.0, everything=True, more_errors=MORE_ERRORS)
    seen = verdicts[REGRESSED] + verdicts[SUSPECT]
    share = seen / PAIRS_OF_ARMS
    return Figure(
        f"bench check of {100 * MORE_ERRORS:.0f} points more errors, {_what(everything=True)}: at least suspect",
        f"at least {SEEN:.0%}", f"{share:.2%} ({_bounds(seen)}), regressed {verdicts[REGRESSED] / PAIRS_OF_ARMS:.1%}",
        share >= SEEN, HOW, dict(verdicts),
    )  # fmt: skip


def judged(
    spread: float, factor: float, *, everything: bool, pairs: int = PAIRS_OF_ARMS, mishap: float = 0.0,
    more_errors: float = 0.0,
) -> Counter[str]:  # fmt: skip
    """The verdicts over pairs of arms; of throughput alone, or of everything that is compared."""
    drawn = np.random.default_rng(SEED)
    return Counter(
        check(
            made(drawn, 20.0, spread, everything=everything, mishap=mishap),
            made(drawn, 20.0 * factor, spread, everything=everything, mishap=mishap, errors=ERRORS + more_errors),
        ).verdict
        for _ in range(pairs)
    )


def made(
    drawn: np.random.Generator, throughput: float, spread: float, *, everything: bool, mishap: float = 0.0,
    errors: float = ERRORS,
) -> Arm:  # fmt: skip
    """An arm whose runs have these values in the middle; a mishap is how often one loses a fifth of its documents."""
    records = []
    for number in range(RUNS):
        results = {"throughput_pdfs_per_hour": throughput * float(np.exp(drawn.normal(0, spread)))}
        quality = None
        if everything:
            lost = LOST if mishap and drawn.random() < mishap else 0.0
            results["error_rate"] = lost + (1 - lost) * float(drawn.binomial(DOCUMENTS, errors)) / DOCUMENTS
            quality = min(1.0, 0.5 * float(np.exp(drawn.normal(0, spread))))
        records.append(
            Record(
                id=str(number), dataset=Dataset(pdfs_processed=DOCUMENTS), results=Results(**results),
                quality=Quality(quality_score=quality),
            )
        )  # fmt: skip
    return Arm("made", tuple(records), ())


def _what(everything: bool) -> str:
    return "three metrics" if everything else "throughput alone"


def _bounds(count: int) -> str:
    low, high = wilson(count / PAIRS_OF_ARMS, PAIRS_OF_ARMS, 1.96)
    return f"{low:.2%} to {high:.2%}, {PAIRS_OF_ARMS:,} pairs of arms"
