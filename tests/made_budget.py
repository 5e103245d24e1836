"""A budget as a campaign of 200 documents leaves it in its middle: batches, failures, samples, prices, remedies."""

import random
from datetime import date
from pathlib import Path
from typing import Any

from hpc_qa.budget.cost import cost_table, per_accepted_pair
from hpc_qa.budget.prices import load_prices
from hpc_qa.campaign.sync import sync_file
from hpc_qa.config_file import load_project
from hpc_qa.ledger.history import History, history
from hpc_qa.ledger.samples import Device, Sample, sum_up, to_line
from hpc_qa.report.budget import budget_report
from hpc_qa.store.files import write_json_once
from tests.made_campaign import GPUS, Campaign

BATCHES = {"smoke": (0, 4), "batch_20": (4, 20), "batch_50": (20, 60)}
HEADER = "JobIDRaw|JobID|State|ElapsedRaw|Submit|Start|End|AllocTRES|TotalCPU|MaxRSS\n"


def made_budget(project: Path, *, budget: float | None = 300.0, seed: int = 3) -> tuple[dict[str, Any], History]:
    """The report of a campaign in its middle, and its history."""
    made = Campaign(project, 200, budget=budget, seed=seed)
    draw = random.Random(seed)
    for number, (name, (first, last)) in enumerate(BATCHES.items()):
        names = made.names(first, last)
        shards = [names[at : at + 4] for at in range(0, len(names), 4)]
        run = made.run(shards, name=name, nonce=f"{number:04}")
        for index, those in enumerate(shards):
            if draw.random() < 0.3:
                made.work(run, index, those, commits=False)
                made.now += 600
            made.work(run, index, those)
        made.now += 20_000
        for shard in map(run.shard, range(len(shards))):
            for attempt in shard.attempts():
                _sample(attempt.path, draw)
    path = project / "sacct.txt"
    path.write_text(HEADER + "".join(_with_efficiency(row, draw) for row in made.rows))
    sync_file(project, path)
    settings = load_project(project)
    return budget_report(project, settings).to_json(), history(project, settings.budget.clusters)


def with_everything(project: Path, report: dict[str, Any]) -> dict[str, Any]:
    """The report with what only some campaigns know: energy, money, stale prices."""
    used = report["used"]["gpu_hours"]
    pairs = per_accepted_pair(gpu_hours=used, energy_kwh=12.5, money=used * 0.55, wall_hours=used / GPUS,
                              core_hours=used * 8, tokens=2.4e6, pairs=120)  # fmt: skip
    costs = cost_table(report["forecast"], None, load_prices(project), date(2027, 4, 1), gpus_per_task=GPUS)
    known = {"energy_kwh": 12.5, "per_accepted_pair": pairs.to_json(), "costs": [row.to_json() for row in costs]}
    return report | known


def _sample(attempt: Path, draw: random.Random) -> None:
    """What the worker of an attempt saw of its GPUs: an hour, busier than not."""
    began = 0
    mean = draw.uniform(45, 95)
    lines = [
        to_line(Sample(began + at, "serving", at * 2.0, 8_000_000_000, tuple(
            Device(f"GPU-{gpu}", round(min(100, max(0, draw.gauss(mean, 12)))), 70_000_000_000, 280.0, None)
            for gpu in range(GPUS))))
        for at in range(0, 600, 5)
    ]  # fmt: skip
    found = sum_up(lines)
    assert found is not None
    write_json_once(attempt / "samples.json", found.to_json())


def _with_efficiency(row: str, draw: random.Random) -> str:
    """A row of sacct with CPU time, and the row of its step with memory."""
    raw, job, state, elapsed, *times, tres = row.split("|")
    share = draw.betavariate(6, 3) if state == "COMPLETED" else draw.betavariate(1, 6)
    cpus, peak = 32, f"{draw.uniform(60, 230):.2f}G"
    seconds = round(share * cpus * int(elapsed))
    cpu = f"{seconds // 86400}-{seconds // 3600 % 24:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    whole = f"cpu={cpus},mem=256G,{tres}"
    step = f"{raw}.batch|{job}.batch|{state}|{elapsed}|{'|'.join(times)}|cpu={cpus},mem=256G|{cpu}|{peak}\n"
    return f"{raw}|{job}|{state}|{elapsed}|{'|'.join(times)}|{whole}|{cpu}|\n{step}"
