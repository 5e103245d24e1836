"""Whatever is asked twice, however it is answered: each pair ends in one place for one reason, and sums hold."""

import tempfile
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from hpc_qa.campaign.collect import collect
from hpc_qa.qa.conflicts import answers_conflict, ask_otherwise
from hpc_qa.store.dataset import FILES
from hpc_qa.store.merge import commit_shard
from tests.made_runs import attempt, chunk, document, pair, planned_run

QUESTIONS = [
    "How long does the agency have to decide about a renewal?",
    "How long does the agency have to decide about a renewal of it?",
    "How long does the agency have to decide about a transfer?",
    "Which form has to be filed for an appeal against the decision?",
]
ANSWERS = ["It has 45 days.", "It has forty-five days.", "It has 90 days.", "Form CMS-64.", "None is needed."]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(QUESTIONS), st.sampled_from(ANSWERS)), min_size=1, max_size=8))
def test_every_pair_that_goes_has_one_reason_and_the_funnel_adds_up(asked: list[tuple[str, str]]) -> None:
    names = [f"d{number}" for number in range(len(asked))]
    batches = {
        name: chunk(name, 0, [pair(name, 0, 0, question=question, answer=answer)])
        for name, (question, answer) in zip(names, asked, strict=True)
    }
    with tempfile.TemporaryDirectory() as folder:
        run = planned_run(Path(folder), [names])
        everything = [part for name, batch in batches.items() for part in (batch, [document(name, [batch])])]
        made = attempt(run.shard(0), everything)
        commit_shard(run.shard(0), made.name, names)
        result = collect([run])
        files = {name: run.dataset / place for name, place in FILES.items()}  # there is none of no row
        rows = {name: pq.read_table(path).to_pylist() if path.exists() else [] for name, path in files.items()}
    published = {row["id"]: row for name in ("train", "validation") for row in rows[name]}
    gone = rows["rejected"]
    assert len(published) + len(gone) == len(asked)
    assert result.funnel.steps()[-1].left == len(published)
    assert result.funnel.steps()[-1].lost == Counter(row["reject_reason"] for row in gone)
    for row in gone:
        conflict = answers_conflict(row["answer"], published[row["duplicate_of"]]["answer"])
        assert row["reject_reason"] == ("conflicting_answer" if conflict else "near_duplicate")
        assert not (conflict and ask_otherwise(row["question"], published[row["duplicate_of"]]["question"]))
