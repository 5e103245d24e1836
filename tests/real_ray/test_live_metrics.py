"""A real worker says how it is while it works."""

from pathlib import Path

import pytest

from hpc_qa.campaign.live_metrics import LiveTasks
from hpc_qa.store.exposition import parse, value
from hpc_qa.store.run_directory import list_runs
from tests.projects import echo_process, make_project, records, spawn, wait_for


@pytest.mark.timeout(600)
def test_a_run_is_seen_while_it_works_and_what_it_said_last_is_what_its_records_hold(
    tmp_path: Path, model_folder: Path
) -> None:
    with echo_process(delay_s=0.3) as socket:
        project = make_project(tmp_path / "p", model=model_folder, socket=socket, key="echo-key", documents=4, limit=2)
        program = spawn(project, "submit", str(project / "config.yaml"), "--executor", "local")
        tasks = LiveTasks(project)

        def seen() -> bool:
            found = tasks.read(servers=True)
            assert found.notes == ()
            said = found.to_json()
            return bool(
                said["pipeline"]["documents_processed"] and said["system"]["memory_used_gb"] and "vllm:" in found.text()
            )

        wait_for(lambda: program.poll() is not None or seen())
        assert program.poll() is None, "it was over before anything was seen"
        assert program.wait(120) == 0
    assert tasks.read().tasks == ()
    (run,) = list_runs(project)
    (attempt,) = run.shard(0).attempts()
    last = parse(attempt.metrics.read_text())
    written = records(run)
    assert value(last, "hpc_qa_task_running") == 0
    assert value(last, "hpc_qa_documents_processed_total", state="ok") == 4
    assert value(last, "hpc_qa_pairs_total") == sum(record["kind"] == "pair" for record in written)
    tokens = sum(record["completion_tokens"] for record in written if record["kind"] == "chunk")
    assert value(last, "hpc_qa_tokens_total", kind="completion") == tokens
