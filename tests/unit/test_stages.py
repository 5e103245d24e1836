"""GPU-hours by stage, with serving divided where the judge's share of the tokens is known."""

import pyarrow as pa
import pytest

from hpc_qa.ledger import stages
from hpc_qa.ledger.schema import ATTEMPT

HOUR_MS = 3_600_000


def table(*rows: tuple[int | None, dict[str, int] | None, float | None]) -> pa.Table:
    marks = [None if spent is None else list(spent.items()) for _, spent, _ in rows]
    columns = {"gpu_count": [row[0] for row in rows], "stages_ms": marks, "judge_token_share": [row[2] for row in rows]}
    return pa.table({name: pa.array(values, ATTEMPT.field(name).type) for name, values in columns.items()})


def test_serving_is_divided_by_the_tokens_of_the_judge_and_stays_whole_where_they_are_not_known():
    found = stages.by_stage(
        table(
            (4, {"setup": HOUR_MS, "serving": 2 * HOUR_MS}, 0.25),
            (2, {"serving": HOUR_MS}, None),
            (4, None, 0.5),
            (None, {"serving": HOUR_MS}, 0.5),
        )
    )
    assert {name: hours for name, hours in found.items() if hours} == {
        "setup": 4.0, "serving": 2.0, "generation": 6.0, "judging": 2.0,
    }  # fmt: skip


def test_the_order_is_that_in_which_time_passes_and_nothing_gives_zeros():
    found = stages.by_stage(table())
    assert tuple(found) == stages.ORDER
    assert set(found.values()) == {0.0}


def test_parts_of_a_table_give_the_same_as_the_whole(monkeypatch):
    rows = [(number % 5, {"setup": number, "serving": 3 * number}, 0.1 if number % 2 else None) for number in range(50)]
    whole = stages.by_stage(table(*rows))
    monkeypatch.setattr(stages, "ROWS_AT_ONCE", 7)
    assert stages.by_stage(table(*rows).slice(0)) == pytest.approx(whole)
