"""PDF to Markdown: what the child, the gate and the cache cost beside the converter alone, and what they take.

Real manuals of 50 pages and more, `liteparse` alone and our path in turn. Seconds are CPU seconds of all processes, as
others may work on the machine: what a core of its own would take. The two processes are compared by the clock, so that
figure needs a quiet machine; the load is noted beside it.
"""

import itertools
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from benchmarks.figure import ROOT, Figure
from benchmarks.manuals import TWICE, fetch, pages
from benchmarks.memory import children, pss_mb
from hpc_qa.config import Config, Documents, Qa, Vllm
from hpc_qa.documents.cache import DocumentCache, converter_key
from hpc_qa.documents.convert import convert_all
from hpc_qa.documents.stage_record import StageRecord
from hpc_qa.manifest import Entry, build

HOW = "python -m benchmarks conversion"
MODEL = ROOT / "cache" / "models" / "SmolLM2-135M-Instruct"
MIN_PAGES = 50
LAPS = 3
BARE = 6  # documents, for the converter alone on two processes
SHARE, PAGES_A_SECOND, SPEEDUP, CHILD_MS, CHILD_MB = 0.6, 100, 1.8, 20, 1000
FEW, MANY = 20, 220  # documents, to tell what one costs from what the start costs
ALONE = """
import sys, time, liteparse
began = time.process_time()
for path in sys.argv[1:]:
    parser = liteparse.LiteParse(ocr_enabled=False, image_mode="off", extract_links=False, quiet=True, max_pages=10_000,
                                 num_workers=1, output_format="markdown")
    with open(path, "rb") as stream:
        result = parser.parse(stream.read())
    assert all(isinstance(page.markdown, str) for page in result.pages)
print(time.process_time() - began)
"""


def run() -> list[Figure]:
    """The figures of this benchmark."""
    with tempfile.TemporaryDirectory(prefix="hqc", dir="/tmp") as name:
        folder = Path(name)
        sizes = {path: count for path in fetch(folder, twice=True) if (count := pages(path)) >= MIN_PAGES}
        once = [path for path in sizes if path.name not in TWICE]
        largest = max(once, key=sizes.__getitem__)
        memory = peak(Project(folder / "largest", [largest]), sizes[largest])
        return [
            *speed(Project(folder / "once", once), sum(sizes[path] for path in once)),
            two_processes(Project(folder / "all", list(sizes)), sum(sizes.values())),
            each_child(folder),
            memory,
        ]


class Project:
    """A project folder with these documents, converted anew each time."""

    def __init__(self, folder: Path, sources: Sequence[Path]) -> None:
        self.folder = folder
        (folder / "documents").mkdir(parents=True)
        self.paths = [Path(shutil.copy(path, folder / "documents")) for path in sources]
        (folder / "model").symlink_to(MODEL)
        self.entries: list[Entry] = build([folder / "documents"], project=folder).entries

    def config(self, processes: int) -> Config:
        """The settings of a run with so many children at a time."""
        return Config(name="speed", manifest="m.jsonl", documents=Documents(processes=processes),
                      qa=Qa(chunk_size=1500), vllm=Vllm(model="model"))  # fmt: skip

    def converted(self, processes: int = 1) -> tuple[float, float, float]:
        """Seconds by the clock, CPU seconds, and CPU seconds of these for chunks, to convert all documents."""
        config = self.config(processes)
        cache = DocumentCache(self.folder / config.documents.cache, converter_key(config, self.folder))
        shutil.rmtree(cache.root, ignore_errors=True)
        began, cpu = time.perf_counter(), cpu_seconds()
        record = StageRecord()
        done = convert_all(self.entries, config, project=self.folder, record=record)
        taken, used = time.perf_counter() - began, cpu_seconds() - cpu
        if failed := [each for each in done if each.status != "ok"]:
            raise RuntimeError(f"{len(failed)} documents failed, {failed[0].doc_id}: {failed[0].detail}")
        return taken, used, sum(document.stages["preprocessing"].cpu_s or 0.0 for document in record.documents)


def speed(project: Project, page_count: int) -> list[Figure]:
    """The converter alone and our path in turn."""
    alone, markdown, whole = [], [], []
    for _ in range(LAPS):
        alone.append(converter_alone(project.paths))
        _, used, chunking = project.converted()
        markdown.append(used - chunking)
        whole.append(used)
    share = statistics.median(a / m for a, m in zip(alone, markdown, strict=True))
    with_chunks = statistics.median(a / w for a, w in zip(alone, whole, strict=True))
    rate = page_count / statistics.median(markdown)
    raw = {"pages": page_count, "alone_cpu_s": alone, "markdown_cpu_s": markdown, "with_chunks_cpu_s": whole}
    what = f"{page_count:,} pages of {len(project.paths)} manuals, median of {LAPS}"
    return [
        Figure(
            "PDF to Markdown beside the converter alone", f"at least {SHARE}",
            f"{share:.2f} ({what}); {with_chunks:.2f} with chunks and sentences", share >= SHARE, HOW, raw,
        ),
        Figure(
            "PDF to Markdown on one core", f"over {PAGES_A_SECOND} pages/s",
            f"{rate:.0f} pages per CPU second; {page_count / statistics.median(whole):.0f} with chunks and sentences, "
            f"{page_count / statistics.median(alone):.0f} the converter alone", rate > PAGES_A_SECOND, HOW, raw,
        ),
    ]  # fmt: skip


def two_processes(project: Project, page_count: int) -> Figure:
    """One and two children at a time, in turn; the least of each counts, as others only add.

    The converter alone on two processes stands beside it: what this machine's cores lose to one another is in both.
    """
    load = os.getloadavg()[0]
    one, two, cpu = [], [], []
    for _ in range(LAPS):
        one.append(project.converted(1)[0])
        taken, used, _ = project.converted(2)
        two.append(taken)
        cpu.append(used / taken)
    speedup, bare = min(one) / min(two), two_alone(project.paths[:BARE])
    raw = {"one_s": one, "two_s": two, "cores_used_by_two": cpu, "two_alone_times": bare, "load_before": load}
    measured = (
        f"{speedup:.2f} times ({page_count:,} pages of {len(project.paths)} manuals); {max(cpu):.2f} cores in use, "
        f"load {load:.1f} on {os.cpu_count()} cores before; two processes of the converter alone gain {bare:.2f}"
    )
    return Figure(
        "PDF to Markdown on two processes", f"at least {SPEEDUP} times", measured, speedup >= SPEEDUP, HOW, raw
    )


def two_alone(paths: Sequence[Path]) -> float:
    """How much more two converters side by side do in the same CPU time than one; 2 where they share nothing."""
    alone = min(converter_alone(paths) for _ in range(LAPS))
    with ThreadPoolExecutor(2) as pool:
        beside = min(max(pool.map(converter_alone, [paths, paths])) for _ in range(LAPS))
    return 2 * alone / beside


def each_child(folder: Path) -> Figure:
    """What one document more costs, when there is hardly anything in it."""
    projects = []
    for count in (FEW, MANY):
        source = folder / f"small-{count}"
        source.mkdir()
        for number in range(count):
            (source / f"{number:03}.txt").write_text(f"The agency must decide within {number} days.\n")
        projects.append(Project(folder / f"children-{count}", sorted(source.iterdir())))
    laps = [[project.converted() for project in projects] for _ in range(LAPS)]
    wall_ms, cpu_ms = (
        statistics.median(many[column] - few[column] for few, many in laps) / (MANY - FEW) * 1000 for column in (0, 1)
    )
    measured = (
        f"{cpu_ms:.1f} ms of CPU, {wall_ms:.1f} ms by the clock at load {os.getloadavg()[0]:.1f} "
        f"({MANY} documents of one sentence beside {FEW}, median of {LAPS})"
    )
    return Figure("cost of a child for each document", f"under {CHILD_MS} ms", measured, cpu_ms < CHILD_MS, HOW,
                  {"few_and_many": laps})  # fmt: skip


def peak(project: Project, page_count: int) -> Figure:
    """The largest memory of any child while the largest document is converted."""
    rss = pss = 0.0
    work = threading.Thread(target=project.converted)
    work.start()
    while work.is_alive():
        for child in children(os.getpid()):
            try:
                rss = max(rss, child.memory_info().rss / 1e6)
            except psutil.Error:
                continue
            pss = max(pss, pss_mb(child.pid))
        time.sleep(0.05)
    measured = f"RSS {rss:.0f} MB, PSS {pss:.0f} MB for {page_count:,} pages"
    return Figure("memory of the child for a document of 2,400 pages", f"under {CHILD_MB} MB", measured,
                  0 < rss < CHILD_MB, HOW, {"rss_mb": rss, "pss_mb": pss, "pages": page_count})  # fmt: skip


def converter_alone(paths: Sequence[Path]) -> float:
    """CPU seconds of the converter in a process of its own, without its start."""
    done = subprocess.run([sys.executable, "-c", ALONE, *map(str, paths)], check=True, capture_output=True, text=True)
    return float(done.stdout)


def cpu_seconds() -> float:
    """Of this process and of those that it has waited for."""
    usage = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(itertools.chain.from_iterable((each.ru_utime, each.ru_stime) for each in usage))
