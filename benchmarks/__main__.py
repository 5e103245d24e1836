"""`python -m benchmarks [NAME...]`: run the benchmarks, keep their results, print asked and measured."""

import importlib
import sys

from benchmarks.figure import ROOT, read_all, write
from hpc_qa.campaign.provenance import commit_sha

BENCHES = (
    "command_line",
    "demo",
    "throughput",
    "memory",
    "planner",
    "submit",
    "slurm",
    "forecast",
    "ledger",
    "regression",
    "conversion",
    "fidelity",
    "chunking",
    "live",
    "corpus",
    "document",
    "judge",
    "preprocessing",
    "duplicates",
    "report",
    "publishing",
)


def main(names: list[str]) -> int:
    """Exit code 1 when a figure is not met."""
    unknown = set(names) - set(BENCHES)
    if unknown:
        print(f"no benchmark called {', '.join(sorted(unknown))}; there is {', '.join(BENCHES)}", file=sys.stderr)
        return 2
    for name in names or BENCHES:
        print(f"running {name}", file=sys.stderr, flush=True)
        commit = commit_sha(ROOT)  # what is measured, whatever is committed meanwhile
        write(name, importlib.import_module(f"benchmarks.{name}").run(), commit)
    met = True
    for document in read_all():
        for figure in document["figures"]:
            met &= figure["met"]
            print(f"{'met ' if figure['met'] else 'MISS'}  {figure['name']}")
            print(
                f"      asked    {figure['asked']}\n      measured {figure['measured']}\n      by       {figure['how']}"
            )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
