"""Where the time of a run went: stages, sizes, slow documents with the reason, and the resource that was short."""

from collections import Counter

import pytest

from hpc_qa.bench.anomalies import anomalies
from hpc_qa.bench.document_costs import DocumentCost, by_size_class, conversion_stages, document_costs, slowest
from hpc_qa.bench.stage_list import DOCUMENT_STAGES, stages_of
from hpc_qa.bench.stage_use import Use, UseByStage, bottleneck
from hpc_qa.campaign.figures import figures
from hpc_qa.documents.facts import Facts
from hpc_qa.documents.stage_record import Measured, StageRecord
from hpc_qa.documents.usage import Usage
from hpc_qa.ledger.samples import Device, Sample, to_line
from tests.made_runs import finished_run

SPENT = {"launch": 4_000, "model_load": 96_000, "serving": 90_000, "tail": 10_000, "teardown": 5_000}


def sample(at: float, stage: str, cpu_s: float, gpu: int | None, resident: int = 2_000_000_000) -> bytes:
    devices = () if gpu is None else (Device("GPU-a", gpu, 1, None, None), Device("GPU-b", gpu, 1, None, None))
    return to_line(Sample(at, stage, cpu_s, resident, devices))


def test_stages_of_documents_and_of_allocations_sum_to_all_of_their_kind():
    found = stages_of(SPENT, 0.25, {"conversion": {"duration_s": 50.0}}, UseByStage(), None)
    documents = {one.name: one for one in found if one.of == "documents"}
    allocation = {one.name: one for one in found if one.of == "allocation"}
    assert tuple(documents) == DOCUMENT_STAGES
    assert (documents["generation"].duration_s, documents["judging"].duration_s) == (75.0, 25.0)
    assert documents["fact_extraction"].duration_s is None
    assert sum(one.duration_s for one in allocation.values()) == sum(SPENT.values()) / 1000
    for kind in (documents, allocation):
        assert sum(one.share_percent or 0.0 for one in kind.values()) == pytest.approx(100)


def test_what_nobody_measured_is_null_and_has_no_share():
    found = {one.name: one for one in stages_of({}, None, {"conversion": {"duration_s": 3.0}}, UseByStage(), None)}
    assert found["conversion"].duration_s == 3.0
    assert {one.share_percent for one in found.values()} == {None}
    assert {one.bottleneck for one in found.values()} == {None}


def test_samples_give_each_stage_its_own_use_and_a_gap_gives_none():
    used = UseByStage()
    used.add_attempt(
        [sample(0, "model_load", 0, 0), sample(1, "model_load", 1, 0), sample(2, "serving", 2, 90, 3_000_000_000),
         sample(3, "serving", 2.5, 80), sample(60, "serving", 99, 0), b"torn"], cpus=4,
    )  # fmt: skip
    load, serving = used.stages["model_load"], used.stages["serving"]
    assert (load.cpu_percent, load.gpu_percent) == (25.0, 0.0)
    assert (serving.cpu_percent, serving.gpu_percent, serving.memory_gb_peak) == (12.5, pytest.approx(90.0), 3.0)


@pytest.mark.parametrize(
    ("stage", "use", "kv", "said"),
    [
        ("serving", Use(cpu_s=1, core_s=10, gpu_busy_s=9, gpu_s=10), None, "gpu"),
        ("serving", Use(cpu_s=8, core_s=10, gpu_busy_s=3, gpu_s=10), None, "cpu"),
        ("serving", Use(cpu_s=1, core_s=10, gpu_busy_s=3, gpu_s=10), 99.0, "gpu_memory"),
        ("serving", Use(cpu_s=1, core_s=10, gpu_busy_s=3, gpu_s=10), 40.0, "requests"),
        ("model_load", Use(cpu_s=1, core_s=10), None, "storage"),
        ("teardown", Use(cpu_s=1, core_s=10), None, None),
        ("serving", Use(), None, None),
    ],
)  # fmt: skip
def test_the_resource_that_was_short_is_named_where_it_is_known(stage, use, kv, said):
    assert bottleneck(stage, use, kv) == said


@pytest.mark.parametrize(
    ("busy", "longest"),
    [([4, 4, 4, 1, 4, 4], 3.0), ([1, 1], 0.0), ([3.8, 3.81, 3.9], 2.0), ([], None), ([None, None], None)],
)
def test_the_longest_time_with_busy_processors_has_no_break_in_it(busy, longest):
    seconds = [0.0]
    for one in busy:
        seconds.append(seconds[-1] + (one or 0.0))
    known = None not in busy
    lines = [to_line(Sample(at, "serving", spent if known else None, 1, ())) for at, spent in enumerate(seconds)]
    found = UseByStage()
    found.add_attempt(lines, 4)
    assert found.saturated_s == longest


def test_the_time_of_a_run_is_divided_among_sizes_by_their_tokens():
    costs = [
        DocumentCost("a", size="small", tokens=1_000, judged=2, score=1.5),
        DocumentCost("b", size="small", tokens=1_000),
        DocumentCost("c", size="large", tokens=6_000, judged=1, score=0.5),
        DocumentCost("d", size=None, tokens=2_000),
    ]
    small, large = by_size_class(costs, 60.0)
    assert (small.size_class, small.docs, small.docs_per_hour, small.quality_score) == ("small", 2, 10.0, 0.75)
    assert (large.size_class, large.docs, large.memory_gb_peak) == ("large", 1, None)
    assert large.docs_per_hour == pytest.approx(1 / 0.6)
    assert by_size_class(costs, None)[0].docs_per_hour is None


def test_slow_documents_come_with_what_was_unusual_about_them():
    usual = [DocumentCost(f"u{n}", seconds=1.0, tokens=100, chunks=1, facts=facts(n, 0.1)) for n in range(6)]
    long = DocumentCost("long", seconds=9.0, tokens=900, chunks=9, facts=facts(9, 5.0, pages=12, tables=3, scanned=[4]))
    stuck = DocumentCost("stuck", seconds=8.0, tokens=100, chunks=2, lost=Counter(timeout=1))
    found = {(one.stage, one.doc_id): one.why for one in slowest([*usual, long, stuck])}
    assert found["generation", "long"] == "900 tokens in chunks: 9; 9.0 times the median of the run"
    assert found["generation", "stuck"] == "100 tokens in chunks: 2; chunks that ended as timeout: 1"
    assert found["conversion", "long"].startswith("1 MB, 12 pages; 1 scanned pages; 3 tables; 50.0 times the usual")
    assert "shared the server" in found["generation", "u0"]


def facts(number: int, seconds: float, *, pages: int | None = None, tables: int = 0, scanned: tuple = ()) -> Facts:
    return Facts("ok", f"{number}", "application/pdf", 1_000_000, seconds=seconds, pages=pages, tables=tables,
                 scanned_pages=list(scanned))  # fmt: skip


def test_conversion_is_what_it_took_whenever_that_was_and_null_where_a_part_is_not_known(tmp_path):
    run = finished_run(tmp_path, [["a", "b"]])
    costs = document_costs(run, tmp_path)
    for cost in costs:
        cost.content = f"sha-{cost.doc_id}", "pdf"
    usage = Usage(2.0, cpu_s=1.5, memory_peak_bytes=10**8, io_read_bytes=3 * 10**6, io_write_bytes=10**6)
    stages = dict.fromkeys(("raw_input", "conversion", "preprocessing"), usage)
    assert conversion_stages(run, tmp_path, costs) == {}
    for name in ("a", "b"):
        assert conversion_stages(run, tmp_path, costs) == {}
        record = StageRecord(converter_key="c0ffee")
        record.documents.append(Measured(name, f"sha-{name}", "pdf", 100, cached=False, reason=None, stages=stages))
        record.write(tmp_path / "cache" / "documents")
    found = {one.name: one for one in stages_of({}, None, conversion_stages(run, tmp_path, costs), UseByStage(), None)}
    raw = found["raw_input"]
    assert (raw.duration_s, raw.cpu_percent, raw.io_read_mb, raw.bottleneck) == (4.0, 75.0, 6.0, "cpu")
    assert found["preprocessing"].io_write_mb == 2.0


def test_what_the_tool_saw_becomes_an_issue_with_its_severity(tmp_path):
    run = finished_run(tmp_path, [["a", "b"]])
    found, costs = figures(run, tmp_path), document_costs(run, tmp_path)
    assert anomalies(found, costs, [], []) == []
    costs[0].facts = Facts("ok", "x", "text/plain", 10, undecodable=3, repaired=True)
    costs[1].lost = Counter(timeout=2)
    rows = [{"data_quality": ["no_elapsed"], "gpu_samples_share": 0.5, "gpu_count": 1}]
    said = {one.text: one.severity for one in anomalies(found, costs, rows, [{"server_restarts": 1}])}
    assert said == dict.fromkeys(
        ["attempts of which accounting says no_elapsed: 1", "attempts whose GPUs were not sampled all the time: 1",
         "the server died and was started again: 1", "chunks that ended as timeout: 2",
         "documents with characters that could not be decoded: 1 of 2", "documents that had to be repaired: 1 of 2"],
        "minor",
    )  # fmt: skip


@pytest.mark.parametrize(("gpus", "share", "said"), [(4, None, 1), (4, 0.5, 1), (4, 0.95, 0), (0, None, 0)])
def test_gpus_that_nobody_sampled_are_an_issue(tmp_path, gpus, share, said):
    run = finished_run(tmp_path, [["a"]])
    rows = [{"data_quality": [], "gpu_samples_share": share, "gpu_count": gpus}]
    assert len(anomalies(figures(run, tmp_path), document_costs(run, tmp_path), rows, [])) == said
