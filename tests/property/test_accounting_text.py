"""Whatever stands in a captured text, it becomes rows or one clear error."""

import contextlib
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from hpc_qa.campaign.sync import Held, attempt_table
from hpc_qa.errors import SlurmError
from hpc_qa.slurm.allocation import allocations
from hpc_qa.slurm.attempts import COLUMNS
from hpc_qa.slurm.sacct_text import read_rows

NUMBERS = st.integers(0, 10**20).map(str)
FIELDS = st.one_of(
    NUMBERS, st.text(max_size=12), st.sampled_from(("", "Unknown", "9_1", "7.batch", "1-02:03:04", "99:99", "RUNNING")),
    st.builds("gres/gpu={},mem={}E".format, NUMBERS, NUMBERS), st.builds("{}T00:00:00+{}:00".format, NUMBERS, NUMBERS),
)  # fmt: skip
# the first column is a JobID, which Slurm makes: the end of a line in it would be a line that continues nothing
ROWS = st.lists(FIELDS, min_size=len(COLUMNS), max_size=len(COLUMNS)).map(
    lambda fields: ["".join(fields[0].splitlines()), *fields[1:]]
)
NEEDED = ("JobID", "State", "ElapsedRaw")


def tabled(data: bytes) -> int:
    found = allocations(read_rows(data))
    return attempt_table([Held(one, "sacct") for one in found], observed_at=datetime(2026, 1, 1, tzinfo=UTC)).num_rows


@given(st.lists(ROWS, max_size=5))
def test_rows_of_anything_are_rows_of_the_ledger_and_no_more_than_there_were(rows):
    text = "\n".join("\x1f".join(fields) for fields in [list(COLUMNS), *rows])
    assert tabled(text.encode("utf-8", errors="surrogatepass")) <= len(rows)


@given(st.binary(max_size=400))
def test_any_bytes_behind_a_header_are_rows_or_nothing(data):
    tabled("|".join((*NEEDED, "JobName")).encode() + b"\n" + data)


@given(st.binary(max_size=200))
def test_any_bytes_at_all_are_refused_in_words(data):
    with contextlib.suppress(SlurmError):
        tabled(data)
