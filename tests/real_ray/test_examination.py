"""A whole run with round trip, repeats, regeneration and controls through Ray, killed in the middle and resumed."""

import json
import signal
from pathlib import Path

import psutil
import pytest

from hpc_qa.store.run_directory import RunDirectory
from tests.projects import call, echo_process, keys, make_project, proof, records, submit, wait_for

EVERYTHING = """\
  judge_repeats: 3
  round_trip: {enabled: true}
  regenerate: {attempts: 2, max_token_share: 2.0}
  controls: {share: 0.3}
vllm:
"""


def made(run: RunDirectory) -> dict[str, tuple[str, str]]:
    """Kind and question of every record, by its key."""
    return {one["key"]: (one["kind"], one.get("question", "")) for one in records(run) if one["kind"] != "document"}


@pytest.mark.long
@pytest.mark.covers("worker", "qa", "store", "campaign")
@pytest.mark.timeout(600)
def test_a_killed_run_with_every_step_switched_on_is_resumed_to_the_same_records(
    tmp_path: Path, model_folder: Path
) -> None:
    with echo_process(delay_s=0.05) as socket:
        project = make_project(
            tmp_path / "p", model=model_folder, socket=socket, key="echo-key", documents=12, rules_each=12
        )
        config = project / "config.yaml"
        config.write_text(
            config.read_text().replace("vllm:\n", EVERYTHING).replace("max_tokens: 64", "max_tokens: 400")
        )
        code, undisturbed = submit(project)
        assert code == 0
        code, run = submit(project, "--detach")
        assert code == 0
        shard = run.path / "shards" / "0000"
        wait_for(lambda: any(path.stat().st_size for path in shard.glob("*/seg-*.jsonl")), 120)
        attempt = json.loads(next(shard.glob("*/attempt.json")).read_text())
        worker = psutil.Process(attempt["pid"])
        family = worker.children(recursive=True)
        worker.send_signal(signal.SIGKILL)
        wait_for(lambda: not any(one.is_running() and one.status() != "zombie" for one in family), 60)
        assert call(project, "resume", run.run_id) == 0
    found = made(undisturbed)
    kinds = [kind for kind, _ in found.values()]
    assert kinds.count("control") > 0
    assert any(one.get("regeneration") for one in records(undisturbed))
    assert set(keys(undisturbed).values()) == {1}
    assert made(run) == found
    assert proof(project, run)["doubles"] == []
    assert call(project, "collect", run.run_id) == 0
    manifest = json.loads((run.dataset / "manifest.json").read_text())
    assert manifest["judge_calibration"]["sensitivity"]["value"] in (1.0, None)  # the echo always says yes
    assert manifest["judge_calibration"]["specificity"]["value"] in (0.0, None)
