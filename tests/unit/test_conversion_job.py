"""Conversion as a job array: how it is cut, what it asks for, and what a run is planned by until it has ended."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_qa.campaign import conversion
from hpc_qa.campaign.cluster import ClusterView
from hpc_qa.campaign.conversion import cut, plan_conversion, status_of
from hpc_qa.campaign.known import TokensPerByte
from hpc_qa.campaign.shards import Converted
from hpc_qa.campaign.submit import freeze
from hpc_qa.config import Config
from hpc_qa.documents.cache import DocumentCache
from hpc_qa.errors import ConfigError, StoreError
from hpc_qa.slurm.accounting import EndedTask
from hpc_qa.slurm.queue import QueuedTask
from hpc_qa.store.conversion_directory import ConversionDirectory
from hpc_qa.worker.settle import settle
from tests.unit.test_plan import config, entry, keep, plan, project  # noqa: F401 - project is a fixture

CONVERT = {"slurm": {"convert": {"tasks": 4}}}


@given(st.lists(st.integers(0, 50), max_size=60), st.integers(1, 12))
def test_every_line_with_work_is_in_exactly_one_range_and_no_range_is_empty(weights, tasks):
    ranges = cut(weights, tasks)
    covered = [line for first, end in ranges for line in range(first, end) if weights[line]]
    assert covered == [line for line, weight in enumerate(weights) if weight]
    assert len(ranges) <= tasks
    assert all(sum(weights[first:end]) for first, end in ranges)
    if ranges:  # none is longer than an even share by more than one document
        assert max(sum(weights[a:b]) for a, b in ranges) <= sum(weights) / min(tasks, len(ranges)) + max(weights)


def test_an_array_task_that_converts_asks_for_cpus_and_for_nothing_of_the_nodes_with_gpus():
    section = {"partition": "gpu", "qos": "gpu", "gres": "gpu:a100:2", "constraint": "a100", "account": "lab",
               "setup": ["module load x"], "convert": {"partition": "cpu", "cpus_per_task": 4}}  # fmt: skip
    settings = config(slurm=section)
    script = conversion.request_of(ConversionDirectory(Path("/p/x/conversion")), settings, range(3)).script()
    options = [line for line in script.splitlines() if line.startswith("#SBATCH")]
    assert {"#SBATCH --partition=cpu", "#SBATCH --account=lab", "#SBATCH --cpus-per-task=4", "#SBATCH --mem=10G",
            "#SBATCH --array=0-2%3", "#SBATCH --job-name=x.convert"} <= set(options)  # fmt: skip
    assert not any(word in line for line in options for word in ("gpu", "a100", "qos", "constraint"))
    assert "module load x" in script


def test_tokens_of_unconverted_documents_are_in_proportion_to_their_bytes_as_in_those_that_are_converted():
    ratios = TokensPerByte()
    assert ratios.tokens_of(entry(3, tokens=None)) == 0
    ratios.add(entry(1), Converted("ok", None, 4, 40_000))
    ratios.add(entry(2), Converted("failed", "empty", 0, 0))
    assert ratios.tokens_of(entry(3, tokens=None)) == 40_000
    assert ratios.tokens_of(replace(entry(3), bytes=1_000, media_type="application/pdf")) == 10  # as all together
    assert ratios.describe() == "0.01 tokens a byte of text/plain, as in the 1 that are converted"


def test_a_plan_that_converts_first_needs_something_to_compare_with_and_says_with_what(project):  # noqa: F811
    settings = config(**CONVERT)
    entries = [entry(number, tokens=None) for number in range(9)]
    with pytest.raises(ConfigError, match="tokens of 9 documents cannot be predicted"):
        plan(project, entries, settings, convert_first=True)
    keep(project, settings, entries[0], tokens=20_000, chunks=20)
    planned = plan(project, entries, settings, convert_first=True)
    assert planned.not_converted == 8
    assert planned.conversion.documents == 8
    assert planned.conversion.tasks[0][0] == 1
    assert planned.conversion.tasks[-1][1] == 9
    assert any("0.005 tokens a byte of text/plain, as in the 1 that are converted" in note for note in planned.notes)
    assert planned.demand.requests == 9 * 20


@pytest.mark.parametrize("changed", [{"executor": "local"}, {"documents": {"sample_chunks": 3}}])
def test_what_cannot_be_converted_first_is_refused(project, changed):  # noqa: F811
    with pytest.raises(ConfigError, match=r"--convert is for Slurm|sample_chunks draws from chunks"):
        plan(project, [entry(1)], config(**changed), convert_first=True)


def test_a_run_that_converts_first_holds_its_conversion_and_a_run_that_does_not_is_refused(project):  # noqa: F811
    entries = [entry(number) for number in range(5)]
    settings = config(**CONVERT)
    with pytest.raises(ConfigError, match="5 documents are not converted yet") as refused:
        freeze(plan(project, entries, settings), project=project)
    assert "--convert" in refused.value.hint
    run = freeze(plan(project, entries, settings, convert_first=True), project=project)
    facts = run.conversion.facts()
    assert facts["tasks"] == [[0, 2], [2, 3], [3, 4], [4, 5]]
    assert (run.conversion.path / facts["manifest"]).resolve() == run.manifest
    assert facts["converter_key"] == run.frozen_plan()["converter_key"]


@pytest.fixture
def of_four(tmp_path: Path) -> ConversionDirectory:
    directory = ConversionDirectory(tmp_path / "c")
    settings = Config.model_validate({"name": "x", "manifest": "m", "vllm": {"model": "m"}})
    directory.create()
    conversion.freeze(
        directory, plan_conversion([1, 1, 1, 1], 4), settings, project=tmp_path, converter_key="k",
        manifest=Path("m"), run_id=None,
    )  # fmt: skip
    tasks = [{"shard": task, "job_id": f"7_{task}"} for task in range(3)]
    directory.add_submission({"job_id": "7", "tasks": tasks})
    directory.add_outcome(0, {"documents": 3, "failed": {"a": "timeout"}})
    return directory


def test_where_a_conversion_is_follows_from_its_outcomes_and_from_slurm(of_four):
    view = ClusterView(
        {"7_1": QueuedTask("7_1", "RUNNING", None, "n1")}, {"7_2": EndedTask("7_2", "FAILED", "FAILED", "n2")}
    )
    now = status_of(of_four, view)
    assert [(one.state, one.detail) for one in now.tasks] == [
        ("done", None), ("running", "RUNNING on n1"), ("interrupted", "FAILED on n2"), ("pending", None),
    ]  # fmt: skip
    assert now.state == "running"
    assert conversion.open_jobs(of_four) == ["7"]
    assert now.describe().startswith("4 array tasks: 1 done, 1 running, 1 interrupted, 1 pending (FAILED on n2); 2 doc")


def test_a_document_is_settled_by_its_conversion_or_by_the_task_that_failed_on_it(tmp_path, of_four):
    cache = DocumentCache(tmp_path / "cache", "k")
    documents = [entry(number) for number in range(4)]
    outcomes = [("ok", None, 2), ("ok", None, 9), ("failed", "empty", 0)]
    for one, (status, reason, chunks) in zip(documents[:3], outcomes, strict=True):
        folder = cache.folder(one.sha256, one.media_type)
        folder.mkdir(parents=True)
        text = f'{{"status": "{status}", "sha256": "", "media_type": "", "size_bytes": 1, "chunks": {chunks}'
        (folder / "facts.json").write_text(text + (f', "reason": "{reason}"}}' if reason else "}"))
    of_four.add_outcome(1, {"documents": 1, "failed": {documents[3].doc_id: "not_found"}})
    left, settled = settle(documents, cache, of_four, max_chunks=8)
    assert left == documents[:1]
    assert [(one.state, one.reason) for one in settled] == [
        ("skipped", "too_many_chunks"), ("failed", "empty"), ("failed", "not_found"),
    ]  # fmt: skip
    with pytest.raises(StoreError, match="1 document is not converted: d007"):
        settle([entry(7)], cache, of_four, max_chunks=None)
