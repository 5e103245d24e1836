"""A campaign as runs on a cluster leave it: a corpus, committed runs, their marks, and what sacct says of them."""

import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from hpc_qa.campaign.sync import Synced, sync_file
from hpc_qa.store.merge import commit_shard
from hpc_qa.store.run_directory import RunDirectory, attempt_name
from hpc_qa.store.segments import SegmentWriter
from hpc_qa.units import iso
from tests.made_runs import chunk, document, key, pair, planned_run

EPOCH = 1_795_319_000
HEADER = "JobIDRaw|JobID|State|ElapsedRaw|Submit|Start|End|AllocTRES\n"
LAUNCH_S, STARTUP_S, TEARDOWN_S = 4, 196, 20
SERVING_S_PER_TOKEN = 0.1
GPUS = 4


class Campaign:
    """A project whose runs are made one after the other."""

    def __init__(self, project: Path, documents: int = 40, *, budget: float | None = 100.0, seed: int = 1) -> None:
        self.project = project
        draw = random.Random(seed)
        self.tokens = {f"doc-{n:03}": round(draw.lognormvariate(9, 0.6)) for n in range(documents)}
        self.noise = {name: draw.lognormvariate(0, 0.1) for name in self.tokens}
        self.rows: list[str] = []
        self.now = EPOCH
        self.state = "ok"  # of the documents of attempts to come
        lines = [
            {"doc_id": name, "path": f"in/{name}.pdf", "root": ".", "sha256": key(name), "bytes": 20 * tokens,
             "media_type": "application/pdf", "tokens": tokens}
            for name, tokens in self.tokens.items()
        ]  # fmt: skip
        (project / "corpus.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        limit = f"  gpu_hours: {budget}\n" if budget else "  clusters: []\n"
        (project / "project.yaml").write_text(f"corpus: corpus.jsonl\nbudget:\n{limit}")

    def names(self, first: int, last: int) -> list[str]:
        """Documents of the corpus, by their place in it."""
        return list(self.tokens)[first:last]

    def run(
        self, shards: Sequence[Sequence[str]], *, name: str = "batch", nonce: str = "0001", batch: str | None = None
    ) -> RunDirectory:
        """A run of these shards that is submitted, and of which nothing is done yet."""
        job = str(100 + len(self.rows))
        run = planned_run(self.project, shards, name=name, nonce=nonce, executor="slurm", gpus=GPUS, batch=batch)
        tasks = [{"shard": index, "job_id": f"{job}_{index}"} for index in range(len(shards))]
        run.add_submission({"executor": "slurm", "job_id": job, "tasks": tasks})
        return run

    def work(self, run: RunDirectory, index: int, names: Sequence[str], *, commits: bool = True) -> float:
        """An attempt at a shard, to its end or killed while it serves; GPU-hours of serving."""
        (submission,) = run.list_submissions()
        job = str(submission["job_id"])
        shard = run.shard(index)
        serving = sum(SERVING_S_PER_TOKEN * self.tokens[name] * self.noise[name] for name in names)
        made = shard.new_attempt(attempt_name(job, index, len(shard.attempts())))
        marks = {"setup": 6.0, "model_load": STARTUP_S - 6.0}
        if commits:
            marks |= {"serving": serving, "teardown": 10.0}
        at = self.now + LAUNCH_S
        made.attempt_json.write_text(json.dumps({"job_id": job, "started_at": _iso(at), "host": "elsewhere"}))
        with made.stages.open("w") as stream:
            for stage, seconds in marks.items():
                stream.write(json.dumps({"stage": stage, "start": _iso(at), "end": _iso(at + seconds)}) + "\n")
                at += seconds
        writer = SegmentWriter(made.path)
        for name in names:
            pairs = [pair(name, 0, 0), pair(name, 0, 1)]
            batch = chunk(name, 0, pairs, prompt_tokens=self.tokens[name], cached_tokens=0)
            if self.state == "ok":
                writer.add(batch)
            writer.add([document(name, [batch] if self.state == "ok" else [], state=self.state)])
        writer.close()
        if commits:
            assert commit_shard(shard, made.name, names)
        elapsed = round(LAUNCH_S + STARTUP_S + serving + TEARDOWN_S)
        state, raw = ("COMPLETED" if commits else "NODE_FAIL"), 1000 + len(self.rows)
        times = f"{elapsed}|{self.now - 9}|{self.now}|{self.now + elapsed}"
        self.rows.append(f"{raw}|{job}_{index}|{state}|{times}|gres/gpu={GPUS}")
        self.now += elapsed
        return GPUS * serving / 3600

    def done(
        self, first: int, last: int, *, per_task: int = 4, name: str = "batch", nonce: str = "0001",
        batch: str | None = None,
    ) -> RunDirectory:  # fmt: skip
        """A run that did these documents of the corpus, one array task after the other."""
        names = self.names(first, last)
        shards = [names[at : at + per_task] for at in range(0, len(names), per_task)]
        run = self.run(shards, name=name, nonce=nonce, batch=batch)
        for index, those in enumerate(shards):
            self.work(run, index, those)
        return run

    def sync(self) -> Synced:
        """`ledger sync` of what accounting says by now."""
        path = self.project / "sacct.txt"
        path.write_text(HEADER + "".join(f"{row}\n" for row in self.rows))
        return sync_file(self.project, path)


def _iso(seconds: float) -> str:
    return iso(datetime.fromtimestamp(seconds, UTC))
