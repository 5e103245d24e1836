"""The funnel of a published dataset adds up, whatever the run was."""

import itertools
import tempfile
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from hpc_qa.campaign.collect import collect
from hpc_qa.campaign.publication import Options
from hpc_qa.store.dataset import FILES
from hpc_qa.store.merge import commit_shard
from tests.made_runs import attempt, chunk, document, pair, planned_run, rejected

SAME = "Which form has to be filed for a renewal of the provider agreement?"
BENCHMARK = "Who signs the yearly plan of the state agency?"
KINDS = ("published", "same", "benchmark", "unchecked", "unjudged", "low", "reasonless", "round_trip")
PAIRS = st.lists(st.sampled_from(KINDS), max_size=5)
DOCUMENT = st.tuples(st.sampled_from(["ok", "failed", "skipped", "unfinished"]), st.lists(PAIRS, max_size=3))


def made_pair(kind, doc_id, index, item):
    if kind == "same":
        return pair(doc_id, index, item, question=SAME)
    if kind == "benchmark":
        return pair(doc_id, index, item, question=BENCHMARK)
    if kind == "low":
        return pair(doc_id, index, item, clarity=1, accepted=False, reject_reason="clarity_below_4")
    if kind == "round_trip":
        return pair(doc_id, index, item, clarity=None, accepted=False, reject_reason="round_trip")
    if kind == "reasonless":
        return pair(doc_id, index, item, accepted=False)
    unjudged = dict.fromkeys(("clarity", "accuracy", "relevance", "quality_score", "judge"))
    if kind == "unjudged":
        return pair(doc_id, index, item, accepted=False, reject_reason="no_verdict", **unjudged)
    return rejected(doc_id, index, item) if kind == "unchecked" else pair(doc_id, index, item)


@settings(max_examples=40, deadline=None)
@given(st.lists(DOCUMENT, min_size=1, max_size=6), st.booleans(), st.integers(0, 2))
def test_every_step_is_the_one_before_less_its_losses_and_every_row_is_in_one(documents, compared, unaccounted):
    with tempfile.TemporaryDirectory() as folder:
        names = [f"d{number}" for number in range(len(documents))]
        run = planned_run(Path(folder), [names], settled=[{"doc_id": "s", "state": "skipped", "reason": "empty"}])
        batches = []
        for name, (state, chunks) in zip(names, documents, strict=True):
            mine = []
            for index, kinds in enumerate(chunks):
                pairs = [made_pair(kind, name, index, item) for item, kind in enumerate(kinds)]
                lost = {"shortfall": 5 - len(pairs)} if len(pairs) < 5 else {}
                mine.append(chunk(name, index, pairs, asked=5 + unaccounted, lost=lost))
            batches += [*mine, *([[document(name, mine, state=state)]] if state != "unfinished" else [])]
        made = attempt(run.shard(0), batches)
        if all(state != "unfinished" for state, _ in documents):
            assert commit_shard(run.shard(0), made.name, names)
        exam = Path(folder) / "exam.txt"
        exam.write_text(BENCHMARK)
        result = collect([run], partial=True, options=Options(decontaminate=(exam,) if compared else ()))
        funnel = result.funnel
        tables = {name: pq.read_table(run.dataset / path).to_pylist() for name, path in FILES.items()
                  if (run.dataset / path).exists()}  # fmt: skip
    for steps in (funnel.steps(), funnel.of_documents.steps(), funnel.of_chunks.steps()):
        for before, after in itertools.pairwise(steps):
            assert after.left == before.left - sum(after.lost.values())
            assert after.left >= 0
            assert all(count > 0 for count in after.lost.values())
    everything = [kinds for _, chunks in documents for kinds in chunks]
    steps = {step.name: step for step in funnel.steps()}
    assert funnel.steps()[0].left == (5 + unaccounted) * len(everything)
    assert steps["parsed"].left == sum(map(len, everything)) == sum(map(len, tables.values()))
    published = tables["train"] + tables.get("validation", [])
    assert funnel.steps()[-1].left == len(published) == funnel.published
    lost = Counter(row["reject_reason"] for row in tables["rejected"])
    after_parsing = funnel.steps()[2:]
    assert lost == sum((Counter(step.lost) for step in after_parsing), Counter())
    assert funnel.of_documents.steps()[0].left == len(documents) + 1 == funnel.documents.total()
    assert funnel.of_documents.steps()[-1].left == len({row["doc_id"] for row in published})
    assert funnel.of_chunks.steps()[0].left == len(everything)
    assert funnel.of_chunks.steps()[-1].left == len({(row["doc_id"], tuple(row["pages"])) for row in published})
