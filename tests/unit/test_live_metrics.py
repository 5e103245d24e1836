"""What array tasks say of themselves while they run, from the worker's records to one Prometheus text."""

import json
import os
import re
import stat
import threading
import time
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, Summary, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from hpc_qa.campaign.live_metrics import FRESH_S, LiveTasks
from hpc_qa.cli.main import run as hpc_qa
from hpc_qa.errors import ServerError
from hpc_qa.store.exposition import labelled, merged, parse, to_text, value
from hpc_qa.store.merge import commit_shard
from hpc_qa.store.run_directory import RunDirectory
from hpc_qa.worker.live import BUCKETS_MS, Pace
from tests.made_live import chunk, document, half_an_hour, identity, live_attempt, pair
from tests.made_runs import attempt, planned_run, whole

RECORDS = [
    pair(0.9), pair(0.7, accepted=False), pair(None, accepted=False), chunk(), document(seconds=1.5),
    document("failed", seconds=70.0), document("skipped", seconds=0.0), document(seconds=0.04),
]  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return planned_run(tmp_path, [["a", "b"], ["c"]], executor="slurm")


def exported(project: Path, *words: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert hpc_qa(["--project", str(project), "metrics", *words]) == 0
    out, err = capsys.readouterr()
    assert err.partition("\n")[0] == ("" if out else "no array task runs now")
    return out


def check_format(text: str) -> dict[str, str]:
    """What promtool checks: every family once and with its type, its samples together, no sample twice; the types."""
    types = re.findall(r"^# TYPE (\S+) (\w+)$", text, re.MULTILINE)
    assert len({name for name, _ in types}) == len(types)
    owners = [re.match(r"(# (?:HELP|TYPE) )?([\w:]+)", line) for line in text.splitlines()]
    families = []
    for line, found in zip(text.splitlines(), owners, strict=True):
        assert found, line
        if line.startswith("# HELP"):
            families.append(found[2])
        base = re.sub(r"_(bucket|sum|count)$", "", found[2])
        assert families, line
        assert families[-1] in (found[2], base), line
    samples = [line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")]
    assert len(set(samples)) == len(samples)
    assert sum(len(family.samples) for family in text_string_to_metric_families(text)) == len(samples)
    return dict(types)


def test_the_records_of_an_attempt_become_prometheus_text(run, tmp_path, capsys):
    half_an_hour(run, RECORDS, gpus=(50, 70))
    text = exported(tmp_path, capsys=capsys)
    types = check_format(text)
    assert types["hpc_qa_documents_processed_total"] == "counter"
    assert types["hpc_qa_processing_time_ms"] == "histogram"
    assert types["hpc_qa_quality_score"] == types["hpc_qa_documents_per_hour"] == "gauge"
    found = parse(text)
    assert {state: value(found, "hpc_qa_documents_processed_total", state=state) for state in ("ok", "failed")} == {
        "ok": 2, "failed": 1,
    }  # fmt: skip
    assert value(found, "hpc_qa_processing_time_ms_count") == 3  # nothing was asked about the skipped one
    assert value(found, "hpc_qa_processing_time_ms_sum") == pytest.approx(71_540)
    assert value(found, "hpc_qa_processing_time_ms_bucket", le="100.0") == 1
    assert value(found, "hpc_qa_processing_time_ms_bucket", le="2500.0") == 2
    assert value(found, "hpc_qa_processing_time_ms_bucket", le="+Inf") == 3
    assert value(found, "hpc_qa_quality_score") == pytest.approx(0.8)
    assert value(found, "hpc_qa_error_rate") == 0.25
    assert value(found, "hpc_qa_documents_per_hour") == 8
    assert [value(found, f"hpc_qa_pairs{which}_total") for which in ("", "_accepted", "_judged")] == [3, 1, 2]
    assert value(found, "hpc_qa_tokens_total", kind="completion") == 50
    assert value(found, "hpc_qa_gpu_utilization_percent") == 60
    assert value(found, "hpc_qa_memory_used_bytes") == 8e9
    ours = {"run": run.run_id, "shard": "0", "attempt": "1"}
    for family in text_string_to_metric_families(text):
        assert all(ours.items() <= sample.labels.items() for sample in family.samples)


def test_what_the_server_says_is_there_under_its_own_names(run, tmp_path, capsys):
    half_an_hour(run, [])
    text = exported(tmp_path, capsys=capsys)
    assert check_format(text)["vllm:generation_tokens_total"] == "counter"
    assert value(parse(text), "vllm:num_requests_running", run=run.run_id, shard="0") == 3
    assert "python_gc" not in text
    assert "_created" not in text


def test_what_is_not_known_is_left_out_and_never_zero(run, tmp_path, capsys):
    directory, live = live_attempt(run, server=None, resident_bytes=None)
    live.write()
    text = exported(tmp_path, capsys=capsys)
    absent = ("quality_score", "error_rate", "documents_per_hour", "gpu_utilization_percent", "memory_used_bytes")
    assert [name for name in absent if f"hpc_qa_{name}" in text] == []
    assert not directory.server_metrics.exists()
    found = LiveTasks(tmp_path).read().to_json()
    assert found["pipeline"]["documents_processed"] == 0
    nothing = ("documents_per_hour", "error_rate", "quality_score_avg")
    assert [found["pipeline"][name] for name in nothing] == [None, None, None]
    assert set(found["system"].values()) == {None}


def test_without_a_running_task_the_text_is_empty_and_the_sums_are_null(tmp_path, capsys):
    assert exported(tmp_path, capsys=capsys) == ""
    found = json.loads(exported(tmp_path, "--json", capsys=capsys))
    assert (found["pipeline"].pop("runs"), found["pipeline"].pop("tasks_running")) == ([], 0)
    assert set(found["pipeline"].pop("tokens").values()) == {None}
    assert set((found["pipeline"] | found["system"]).values()) == {None}


def test_tasks_are_one_text_and_summed_up(run, tmp_path, capsys):
    half_an_hour(run, [pair(0.9), pair(0.9), pair(0.9), document()], gpus=(40,))
    half_an_hour(run, [pair(0.5), document("failed"), document()], shard=1, gpus=(80,))
    check_format(exported(tmp_path, run.run_id, capsys=capsys))
    found = LiveTasks(tmp_path).read().to_json()
    pipeline, system = found["pipeline"], found["system"]
    assert (pipeline["tasks_running"], pipeline["runs"], pipeline["documents_processed"]) == (2, [run.run_id], 3)
    assert pipeline["quality_score_avg"] == pytest.approx(0.8)  # every judged pair counts once
    assert pipeline["error_rate"] == pytest.approx(1 / 3)
    assert pipeline["documents_per_hour"] == 6
    assert (system["memory_used_gb"], system["gpu_utilization_percent"], system["gpus"]) == (16, 60, 2)
    assert system["memory_allocated_gb"] is None  # the config asks Slurm for no memory


def test_a_task_that_has_ended_is_left_out_unless_it_is_asked_for(run, tmp_path, capsys):
    _, live = live_attempt(run)
    with live.kept():
        live.take([document()])
    assert exported(tmp_path, capsys=capsys) == ""
    found = parse(exported(tmp_path, "--ended", capsys=capsys))
    assert value(found, "hpc_qa_task_running") == 0
    assert value(found, "hpc_qa_documents_processed_total", state="ok") == 1


@pytest.mark.parametrize(
    ("who", "old_s", "runs"),
    [({}, 0, True), ({}, FRESH_S + 5, False), ({"pid": 999_999_999}, 0, False), ({"host": "another"}, 0, True),
     ({"host": "another"}, FRESH_S + 5, False)],
    ids=["lives", "writes no more", "its process is gone", "elsewhere", "elsewhere and silent"],
)  # fmt: skip
def test_a_task_runs_while_it_says_so_and_was_heard_lately(run, tmp_path, monkeypatch, who, old_s, runs):
    now = time.time()
    with monkeypatch.context() as patched:
        patched.setattr(time, "time", lambda: now - old_s)
        _, live = live_attempt(run, who=identity(**who))
        live.write()
    assert len(LiveTasks(tmp_path).read().tasks) == runs
    assert [one.running for one in LiveTasks(tmp_path).read(ended=True).tasks] == [runs]


def test_a_committed_shard_is_not_looked_at_again(tmp_path):
    run = planned_run(tmp_path, [["a"]])
    tasks = LiveTasks(tmp_path)
    made = attempt(run.shard(0), whole("a"))
    assert commit_shard(run.shard(0), made.name, ["a"])
    assert tasks.read().tasks == ()
    assert tasks._committed == {run.shard(0).path}


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe", b"hpc_qa_task_running{", b'hpc_qa_task_running{run="a"} one', b"{} 1\n", b'hpc_qa_x{a="\n',
     b"x" * 5_000_000],
    ids=["not text", "cut off", "no number", "no name", "open quote", "huge"],
)  # fmt: skip
def test_a_damaged_file_is_named_and_the_other_tasks_are_there(run, tmp_path, capsys, content):
    directory, _ = live_attempt(run)
    directory.metrics.write_bytes(content)
    half_an_hour(run, [document()], shard=1)
    assert hpc_qa(["--project", str(tmp_path), "metrics"]) == 0
    out, err = capsys.readouterr()
    assert str(directory.metrics) in err
    assert value(parse(out), "hpc_qa_documents_processed_total", shard="1", state="ok") == 1


def test_a_hostile_file_cannot_break_the_format_nor_speak_for_another_task(run, tmp_path, capsys):
    directory, live = live_attempt(run)
    half_an_hour(run, [document()], shard=1)
    live.write()
    with directory.metrics.open("a") as file:
        file.write(
            "hpc_qa_processing_time_ms_count 7\nhpc_qa_memory_used_bytes NaN\n"
            'hpc_qa_task_documents{note="a,run=\\"x\\"",run="x"} 3\n'
            f'hpc_qa_pairs_total{{run="{run.run_id}",shard="1",attempt="1"}} 900\n'
            "node_load1 3\n"
        )
    os.mkfifo(directory.server_metrics)
    text = exported(tmp_path, capsys=capsys)
    check_format(text)
    assert "node_load1" not in text
    assert value(parse(text), "hpc_qa_pairs_total", shard="1") == 0
    assert f'{{run="{run.run_id}",shard="0",attempt="1",note="a,run=\\"x\\""}} 3.0' in text
    LiveTasks(tmp_path).read().to_json()


def test_a_family_of_two_types_keeps_the_first():
    one = parse("# TYPE hpc_qa_x gauge\nhpc_qa_x 1\n")
    other = parse('# TYPE hpc_qa_x counter\nhpc_qa_x{a="b"} 3\n')
    assert to_text(merged([one, other])) == "# HELP hpc_qa_x \n# TYPE hpc_qa_x gauge\nhpc_qa_x 1.0\n"


def test_what_prometheus_client_writes_is_read_as_it_reads_it():
    registry = CollectorRegistry()
    Gauge("hpc_qa_g", 'of "x"\n\\', ["a"], registry=registry).labels('q"\\\n,b="c"}').set(float("-inf"))
    Histogram("vllm:h", "x", ["e"], registry=registry).labels("0").observe(0.3)
    Summary("vllm:s", "x", registry=registry).observe(2)
    Info("vllm:cache_config", "x", registry=registry).info({"block_size": "16"})
    Counter("hpc_qa_c", "x", registry=registry).inc(1e18)
    text = generate_latest(registry).decode()

    def samples(said: str) -> set[tuple[str, frozenset[tuple[str, str]], float]]:
        families = text_string_to_metric_families(said)
        found = {(s.name, frozenset(s.labels.items()), s.value) for family in families for s in family.samples}
        return {one for one in found if not one[0].endswith("_created")}

    ours = to_text(merged([parse(text)]))
    check_format(ours)
    assert samples(ours) == samples(text)
    again = to_text(labelled(parse(ours), {"a": "z"}))
    assert ("hpc_qa_g", frozenset({("a", "z")}), float("-inf")) in samples(again)


def test_the_files_are_private_and_replaced_whole(run):
    os.umask(0o077)
    directory, live = live_attempt(run)
    live.write()
    live.write_server()
    for path in (directory.metrics, directory.server_metrics):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = directory.metrics.open()
    live.take([document()])
    live.write()
    assert 'state="ok"} 0.0' in before.read().replace(f',run="{run.run_id}",shard="0"', "")  # the old one, whole
    assert [path.name for path in directory.path.iterdir() if path.suffix == ".tmp"] == []


def test_a_document_is_in_the_file_within_seconds(run):
    directory, live = live_attempt(run)
    with live.kept():
        live.take([document()])
        until = time.monotonic() + 20
        while value(parse(directory.metrics.read_text() if directory.metrics.exists() else ""),
                    "hpc_qa_documents_processed_total", state="ok") != 1:  # fmt: skip
            assert time.monotonic() < until
            time.sleep(0.05)
    assert not [thread for thread in threading.enumerate() if thread.name == "live-metrics"]


def test_whatever_happens_to_the_figures_the_attempt_goes_on_and_it_is_said_once(run, caplog):
    directory, live = live_attempt(run)
    live.take([{"kind": "document"}, {"kind": "pair"}])  # of a pipeline that writes other records
    directory.path.rename(directory.path.with_name("moved"))
    for _ in range(3):
        live.write()
        live.write_server()
    assert [record.message for record in caplog.records] == ["live metrics are lost, and the attempt goes on"]


def test_a_server_that_is_busy_leaves_what_it_said_before(run, caplog):
    directory, live = live_attempt(run)
    live.write_server()
    said = directory.server_metrics.read_text()

    def silent() -> str:
        raise ServerError("it does not answer")

    live.server = silent
    live.write_server()
    live.server = lambda: "<html>not metrics"
    live.write_server()
    assert directory.server_metrics.read_text() == said
    assert len(caplog.records) == 1


def test_the_pace_is_that_of_the_last_half_hour_and_unknown_at_first():
    pace = Pace()
    assert pace.per_hour(5) is None
    pace.note(True, 100)
    pace.add(110)
    assert pace.per_hour(159) is None
    assert pace.per_hour(160) == 60
    assert pace.per_hour(100 + 1800) == 2
    assert pace.per_hour(110 + 1801) == 0  # measured: none in half an hour


def test_the_buckets_of_the_histogram_are_sorted_and_end_in_an_hour():
    assert list(BUCKETS_MS) == sorted(set(BUCKETS_MS))
    assert BUCKETS_MS[-1] == 3_600_000
