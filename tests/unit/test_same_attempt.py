"""An attempt that was captured with and without its cluster or its SLUID is one attempt."""

import itertools
import logging
from pathlib import Path

import pytest

from hpc_qa.campaign.sync import sync_file
from hpc_qa.ledger import same_attempt
from hpc_qa.ledger.attempts import as_rows, current
from hpc_qa.ledger.usage import usage

ROW = {"JobIDRaw": "9", "State": "COMPLETED", "ElapsedRaw": "3600", "Submit": "100", "Start": "200", "End": "3800",
       "AllocTRES": "gres/gpu=4"}  # fmt: skip


def capture(project: Path, *rows: dict[str, str]) -> None:
    """A text with these columns beside the usual ones, read into the ledger."""
    whole = [ROW | row for row in rows]
    lines = ["|".join(whole[0]), *("|".join(row.values()) for row in whole)]
    (project / "sacct.txt").write_text("\n".join(lines) + "\n")
    sync_file(project, project / "sacct.txt")


def names(project: Path) -> list[tuple[str | None, str]]:
    rows = as_rows(current(project).table)
    return sorted(((row["cluster"], row["attempt_id"]) for row in rows), key=str)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_captures_with_and_without_cluster_and_sluid_in_any_order_count_once(tmp_path, order):
    captures = [{}, {"Cluster": "a"}, {"SLUID": "sX"}, {"Cluster": "a", "SLUID": "sX"}]
    for place in order:
        capture(tmp_path, captures[place])
    assert names(tmp_path) == [("a", "sX")]
    assert usage(tmp_path).charged.gpu_hours == 4.0
    assert usage(tmp_path, ["a"]).charged.gpu_hours == 4.0
    assert usage(tmp_path, ["b"]).charged.gpu_hours == 0.0


def test_other_attempts_at_the_job_and_other_jobs_stay_attempts_of_their_own(tmp_path):
    capture(tmp_path, {}, {"Submit": "5000"}, {"JobIDRaw": "10"})
    capture(tmp_path, {"Cluster": "a"}, {"Cluster": "a", "Submit": "5000"})
    assert names(tmp_path) == [("a", "9:100"), ("a", "9:5000"), (None, "10:100")]


def test_the_newest_word_on_an_attempt_counts_under_whatever_name_it_came(tmp_path):
    capture(tmp_path, {"Cluster": "a", "SLUID": "sX", "State": "RUNNING", "End": "Unknown", "ElapsedRaw": "60"})
    capture(tmp_path, {})
    (row,) = as_rows(current(tmp_path).table)
    assert (row["cluster"], row["attempt_id"], row["state"], row["elapsed_s"]) == ("a", "sX", "COMPLETED", 3600)


@pytest.mark.parametrize(
    "known", [[{"Cluster": "a"}, {"Cluster": "b"}], [{"SLUID": "sX"}, {"SLUID": "sY", "ElapsedRaw": "60"}]]
)
def test_where_it_is_not_certain_which_is_meant_rows_stay_apart_and_that_is_said(tmp_path, caplog, known):
    same_attempt._say_once.cache_clear()
    capture(tmp_path, *known)
    capture(tmp_path, {})
    with caplog.at_level(logging.WARNING, "hpc_qa.ledger"):
        assert len(names(tmp_path)) == 3
    assert "1 jobs were captured with and without Cluster or SLUID" in caplog.text


def test_jobs_of_several_clusters_that_are_all_named_are_no_doubt(tmp_path, caplog):
    same_attempt._say_once.cache_clear()
    capture(tmp_path, {"Cluster": "a"}, {"Cluster": "b"})
    capture(tmp_path, {"JobIDRaw": "10"})
    with caplog.at_level(logging.WARNING, "hpc_qa.ledger"):
        assert len(names(tmp_path)) == 3
    assert not caplog.text
