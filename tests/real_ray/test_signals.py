"""Whole runs that are told to stop: storms of signals, `cancel` at every stage, Ctrl-C; each of them goes on later."""

import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from hpc_qa.campaign.attempts import read_view
from hpc_qa.store.run_directory import AttemptDirectory
from hpc_qa.worker.intents import NAME
from tests.kills import Chain, Trigger, family, left_of, new_chain, stage_lines, stage_of
from tests.projects import wait_for

STAGES = {"setup": 0.2, "model_load": 5.0, "warm_up": 1.0, "serving": 4.0, "teardown": 1.0}
STORM = (signal.SIGUSR2, signal.SIGTERM, signal.SIGINT)


def last_attempt(chain: Chain) -> AttemptDirectory:
    return chain.found.shard(0).attempts()[-1]


def storm(chain: Chain, seconds: float) -> int:
    """Send all kinds of stop to the worker, again and again; how many it got."""
    pid, sent = read_view(last_attempt(chain).attempt_json)["pid"], 0
    until = time.monotonic() + seconds
    with suppress(ProcessLookupError):
        while time.monotonic() < until:
            os.kill(pid, STORM[sent % len(STORM)])
            sent += 1
            time.sleep(0.003)
    return sent


def start_and_wait_for(chain: Chain, moment: str, draw: random.Random) -> str:
    """Start or go on, wait for a moment; what the files say that is going on then."""
    run = chain.run
    before = {one.name for one in run.shard(0).attempts()} if run else set()
    what = ("resume", run.run_id) if run else ("submit", str(chain.project / "config.yaml"))
    assert chain.call(*what, "--detach") == 0
    trigger = Trigger(chain, draw, STAGES, before)
    trigger.wait(moment, lambda: False)
    return stage_of(chain, trigger.attempt())


def job_output(chain: Chain) -> str:
    """What the last job printed."""
    job = chain.found.list_submissions()[-1]["tasks"][0]["job_id"]
    return "".join(path.read_text() for path in chain.found.submit.glob(f"{job}_*_log.out"))


def in_good_order(attempt: AttemptDirectory) -> bool:
    """It ended by itself: all stages are closed, and no document is left under suspicion."""
    ended = [line["stage"] for line in stage_lines(attempt.path)]
    return "." in (attempt.path / NAME).read_text().splitlines() and bool(ended)


@pytest.mark.long
@pytest.mark.covers("worker", "client", "campaign", "slurm", "processes.py")
@pytest.mark.timeout(900)
def test_a_storm_of_signals_stops_a_run_once_and_in_good_order(tmp_path: Path, model_folder: Path) -> None:
    draw, struck = random.Random(5), []
    with new_chain(tmp_path / "p", model_folder, delay_s=0.15) as chain:
        for moment in ("start_known", "generation", "flush"):
            if moment == "start_known":
                start_and_wait_for(chain, "launch", draw)
                wait_for(lambda: chain.run and chain.run.shard(0).attempts() and _named(chain), 240)
                struck.append(stage_of(chain, last_attempt(chain).path))
            else:
                struck.append(start_and_wait_for(chain, moment, draw))
            known = family(chain)
            assert storm(chain, 1.0) > 20
            wait_for(lambda known=known: not left_of(chain, known, set()), 60)
            log = last_attempt(chain).worker_log.read_text()
            # while Ray shuts down, a signal ends the worker at once: by then everything is on disk
            assert log.count("WARNING stopped (") == 1 or "SIGTERM ended the worker" in job_output(chain)
            assert "Traceback" not in log
            assert in_good_order(last_attempt(chain))
        assert struck[1:] == ["serving", "serving"]
        assert chain.said("verify", chain.found.run_id)[0] == 3
        assert chain.call("resume", chain.found.run_id) == 0
        code, said = chain.said("verify", chain.found.run_id)
        assert (code, said["recomputed"], said["documents"]["ok"]) == (0, 0, 16)


def _named(chain: Chain) -> bool:
    return "pid" in read_view(last_attempt(chain).attempt_json)


@pytest.mark.long
@pytest.mark.covers("worker", "client", "campaign", "slurm", "processes.py")
@pytest.mark.timeout(900)
def test_cancel_works_at_every_stage_and_resume_goes_on(tmp_path: Path, model_folder: Path) -> None:
    draw, struck = random.Random(6), []
    with new_chain(tmp_path / "p", model_folder, delay_s=0.05) as chain:
        for moment in ("launch", "start", "warm_up", "generation", "teardown"):
            struck.append(start_and_wait_for(chain, moment, draw))
            known = family(chain)
            assert chain.call("cancel", chain.found.run_id) == 0
            wait_for(lambda known=known: not left_of(chain, known, set()), 10)
            if chain.complete:
                break
            assert chain.said("verify", chain.found.run_id)[0] == 3
        assert struck[0] == "launch"
        assert {"warm_up", "serving"} <= set(struck)
        assert chain.call("resume", chain.found.run_id) == 0
        code, said = chain.said("verify", chain.found.run_id)
        assert (code, said["recomputed"]) == (0, 0)  # what was in flight was finished or dropped, never written twice


@pytest.mark.timeout(900)
def test_ctrl_c_of_a_submit_in_the_foreground_lets_the_worker_finish_what_it_has(
    tmp_path: Path, model_folder: Path
) -> None:
    with new_chain(tmp_path / "p", model_folder, delay_s=0.1) as chain:
        program = chain.start("submit", str(chain.project / "config.yaml"))
        wait_for(lambda: chain.run and any(chain.shard.glob("*/seg-*.jsonl")), 300)
        known = family(chain)
        os.killpg(program.pid, signal.SIGINT)  # as a terminal does: to everything in the foreground
        assert program.wait(200) == 3
        wait_for(lambda: not left_of(chain, known, set()), 10)
        attempt = last_attempt(chain)
        assert in_good_order(attempt)
        assert "stopped (SIGINT)" in attempt.worker_log.read_text()
        said = (chain.project / "calls.log").read_text()
        assert f"stopped; hpc-qa resume {chain.found.run_id} continues" in said
        assert "Traceback" not in said
        assert chain.call("resume", chain.found.run_id) == 0
        assert chain.said("verify", chain.found.run_id)[1]["recomputed"] == 0
