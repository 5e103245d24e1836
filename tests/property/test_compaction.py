"""Whatever is written, compacted and deleted in whatever order, readers see the same rows."""

import os
import tempfile
import time
from pathlib import Path

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from hpc_qa.ledger import compaction
from hpc_qa.ledger.attempts import as_rows, current
from hpc_qa.ledger.latest import latest
from tests.made_ledger import add_attempts, all_rows

WRITE = st.tuples(
    st.lists(st.integers(1, 6), min_size=1, max_size=4, unique=True), st.sampled_from(["RUNNING", "COMPLETED"])
)
STEPS = st.lists(WRITE | st.sampled_from(["compact", "a day passes"]), min_size=1, max_size=12)


@settings(max_examples=30, deadline=None)
@given(steps=STEPS, most_rows=st.sampled_from([3, 6, 1000]))
def test_rows_and_view_are_the_same_as_without_compaction(steps, most_rows):
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        compacted, plain = Path(first), Path(second)
        for at, step in enumerate(steps):
            if isinstance(step, tuple):
                for project in (compacted, plain):
                    add_attempts(project, *step[0], at=at, state=step[1])
            elif step == "compact":
                compaction.MOST_ROWS, kept = most_rows, compaction.MOST_ROWS
                compaction.compact(compacted, "attempt")
                compaction.MOST_ROWS = kept
            else:
                for path in (compacted / "ledger" / "attempt").glob("*"):
                    os.utime(path, (time.time() - 2 * 86_400,) * 2)
            assert all_rows(compacted) == all_rows(plain)
            assert as_rows(current(compacted).table) == as_rows(current(plain).table)


ROWS = st.lists(
    st.tuples(st.sampled_from(["a", "b", None]), st.sampled_from(["x", "y"]), st.integers(0, 3) | st.none()),
    max_size=12,
)  # fmt: skip


@given(rows=ROWS)
def test_of_rows_with_the_same_key_the_latest_counts_and_of_equals_the_last(rows):
    expected: dict[tuple[str | None, str], tuple[float, int]] = {}
    for place, (first, second, when) in enumerate(rows):
        rank = (float("inf") if when is None else when, place)
        expected[first, second] = max(expected.get((first, second), rank), rank)
    names = ("first", "second", "when")
    columns = [
        pa.array([row[i] for row in rows], kind) for i, kind in enumerate((pa.string(), pa.string(), pa.int64()))
    ]
    table = pa.table([*columns, pa.array(range(len(rows)))], names=[*names, "place"])
    found = latest(table, ("first", "second"), ("when",)).column("place").to_pylist()
    assert sorted(found) == sorted(place for _, place in expected.values())
