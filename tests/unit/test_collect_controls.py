"""Records of a worker with everything switched on, through merge, verify and collect: nothing is lost or double."""

import hashlib
import json
from typing import Any

import pyarrow.parquet as pq
import pytest

from hpc_qa.campaign.collect import collect
from hpc_qa.campaign.figures import figures
from hpc_qa.campaign.verify import verify
from hpc_qa.client.request import Reply, Request
from hpc_qa.errors import ExitCode
from hpc_qa.store.dataset import FILES
from hpc_qa.store.merge import commit_shard, merge_shard
from tests.made_runs import attempt, planned_run
from tests.scripted_pipeline import GOOD_PAIR, VERDICT, config, records_of, reply, run

DOCUMENTS = ("a", "b", "c")
EVERYTHING = config(
    difficulty=["easy", "hard"], judge_repeats=3, controls={"share": 0.5}, round_trip={"enabled": True},
    regenerate={"attempts": 2, "max_token_share": 3.0},
)  # fmt: skip


def moody(request: Request) -> Reply:
    """Answers by the hash of what it is asked, so that pairs end in every way."""
    mood = hashlib.sha256(f"{request.id}{request.doc_id}".encode()).digest()
    if request.kind == "round_trip":
        return reply(request, {"answer": "Within 45 days." if mood[0] % 4 else "Within 9 days."})
    if request.kind == "judge":
        return reply(request, VERDICT | {"clarity": 2 + mood[0] % 4, "grounded": mood[1] % 5 > 0})
    wrong = GOOD_PAIR | {"answer": "It must do so within 30 days of the application.", "difficulty": "hard"}
    return reply(request, {"items": [GOOD_PAIR | {"difficulty": "easy"}, wrong][mood[0] % 2 :][: 1 + mood[1] % 2]})


def batches_of(**changes: Any) -> list[list[dict[str, Any]]]:
    batches, _ = run(moody, EVERYTHING, chunks=8, documents=DOCUMENTS, **changes)
    for batch in batches:  # the helper gives every document the same chunks
        for record in batch:
            if "chunk_id" in record:
                record["chunk_id"] = f"{record['doc_id']}-{record['chunk_id']}"
    return batches


@pytest.fixture(scope="module")
def made() -> list[list[dict[str, Any]]]:
    return batches_of()


def test_the_funnel_adds_up_with_replaced_pairs_and_without_controls(tmp_path, made):
    run = planned_run(tmp_path, [DOCUMENTS])
    assert commit_shard(run.shard(0), attempt(run.shard(0), made).name, DOCUMENTS)
    proof = verify(run)
    assert proof.exit_code == ExitCode.DONE, proof.lines()
    pairs, controls = records_of(made, "pair"), records_of(made, "control")
    assert controls
    assert proof.pairs == len(pairs)
    result = collect([run])
    steps = {step["step"]: step for step in result.funnel.to_json()["pairs"]}
    assert steps["asked for"]["left"] == sum(chunk["asked"] for chunk in records_of(made, "chunk"))
    assert steps["parsed"]["left"] == len(pairs) == sum(result.rows.values())
    assert "unaccounted" not in steps["parsed"]["lost"]
    assert steps["answered the same again"]["lost"]
    assert list(steps.values())[-1]["left"] == result.rows["train"] + result.rows["validation"]
    assert result.funnel.asked_again == sum(chunk["asked_again"] for chunk in records_of(made, "chunk")) > 0


def test_a_control_is_in_no_file_of_the_dataset_and_the_card_says_what_they_tell(tmp_path, made):
    run = planned_run(tmp_path, [DOCUMENTS])
    commit_shard(run.shard(0), attempt(run.shard(0), made).name, DOCUMENTS)
    result = collect([run])
    keys = {control["key"] for control in records_of(made, "control")}
    rows = [row for name in ("train", "rejected") for row in pq.read_table(run.dataset / FILES[name]).to_pylist()]
    assert keys.isdisjoint(row["id"] for row in rows)
    assert {row["difficulty"] for row in rows} == {"easy", "hard"}
    assert {row["round_trip_answer"] for row in rows} >= {"Within 45 days.", None}
    card = (run.dataset / "README.md").read_text()
    assert "## Judge calibration" in card
    assert card.count("The judge is the model that wrote the pairs") == 1
    said = json.loads((run.dataset / "manifest.json").read_text())["judge_calibration"]
    assert said == result.to_json()["judge_calibration"]
    assert sum(one["n"] for one in said["by_kind"].values()) == len(keys)


def test_a_chunk_that_lacks_a_control_is_damaged(tmp_path, made):
    batch = next(batch for batch in made if records_of([batch], "control"))
    lacking = [record for record in batch if record["kind"] != "control"]
    run = planned_run(tmp_path, [DOCUMENTS])
    attempt(run.shard(0), [lacking])
    assert any("controls, 0 are there" in fault for fault in verify(run).damage)


@pytest.mark.parametrize("written", [1, 7, 20])
def test_a_killed_attempt_is_continued_without_a_double(tmp_path, made, written):
    run_directory = planned_run(tmp_path, [DOCUMENTS])
    shard = run_directory.shard(0)
    attempt(shard, made[:written])
    done = merge_shard(shard).chunks
    assert done
    attempt(shard, batches_of(done=done, backwards=True), restart=1)
    assert commit_shard(shard, shard.attempts()[-1].name, DOCUMENTS)
    proof = verify(run_directory)
    assert (proof.exit_code, proof.doubles) == (ExitCode.DONE, [])
    found: list[str] = []
    merge_shard(shard, lambda batch: found.extend(one["key"] for one in batch.records if one["kind"] != "document"))
    assert sorted(found) == sorted(one["key"] for batch in made for one in batch if one["kind"] != "document")


def test_the_benchmark_record_takes_what_controls_tell_of_the_judge(tmp_path, made):
    run = planned_run(tmp_path, [DOCUMENTS])
    commit_shard(run.shard(0), attempt(run.shard(0), made).name, DOCUMENTS)
    quality = figures(run, tmp_path).quality_of_record()
    said = collect([run]).to_json()["judge_calibration"]
    assert quality["judge"]["specificity"] == said["specificity"]["value"] is not None
    assert "specificity" not in quality
