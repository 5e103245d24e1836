"""Memory over a corpus of 200 MB: the peaks of each kind of process, while documents become records.

Conversion, chunks, dispatch and store are real; the echo server of the tests answers, so that the model's own memory
and speed are out of it. The peak is PSS, the memory of a process with shared pages divided among those that share
them, read from smaps_rollup several times a second.
"""

import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.figure import ROOT, Figure
from hpc_qa.store.run_directory import list_runs

CORPUS_MB = int(os.environ.get("BENCH_CORPUS_MB", "200"))
SUBMITTING = "submitting process"
LIMITS_MB = {SUBMITTING: 300, "worker": 400, "actor": 200, "converter child": 1000}
HOW = "python -m benchmarks memory"
CONFIG = """
name: memory
manifest: m.jsonl
executor: local
qa: {{chunk_size: 1500, questions_per_chunk: 5, judge: false, max_tokens: 256}}
vllm: {{model: {model}, max_model_len: 8192, attach: {socket}, attach_key_file: {key}}}
client: {{concurrency_limit: 32}}
"""
WORDS = (
    "agency applicant benefit beneficiary care claim copayment coverage county department determination eligibility "
    "enrollment facility federal hearing home income medicaid month notice nursing office payment period physician "
    "plan policy premium program provider record redetermination request resource review rule section service state"
).split()


def run() -> list[Figure]:
    """The figures of this benchmark."""
    with tempfile.TemporaryDirectory(prefix="hqm", dir="/tmp") as folder, echo(Path(folder)) as socket:
        project = Path(folder) / "project"
        total = write_corpus(project / "documents", CORPUS_MB)
        key = Path(folder) / "key"
        key.touch(mode=0o600)
        key.write_text("echo-key")
        config = CONFIG.format(model=ROOT / "cache/models/SmolLM2-135M-Instruct", socket=socket, key=key)
        (project / "config.yaml").write_text(config)
        peaks: dict[str, float] = defaultdict(float)
        began = time.perf_counter()
        program(project, peaks, "manifest", "build", "documents", "-o", "m.jsonl")
        program(project, peaks, "convert", "config.yaml")
        converted = time.perf_counter()
        program(project, peaks, "submit", "config.yaml")
        program(project, peaks, "verify", "latest")
        program(project, peaks, "collect", "latest")
        seconds = {"convert": round(converted - began), "run": round(time.perf_counter() - converted)}
        run_id = list_runs(project)[-1].run_id
    raw = {"peaks_mb": {name: round(peak) for name, peak in sorted(peaks.items())}, "corpus_mb": round(total),
           "seconds": seconds, "run": run_id}  # fmt: skip
    return [figure(name, limit, peaks[name], total, raw) for name, limit in LIMITS_MB.items()]


def figure(name: str, limit_mb: int, peak_mb: float, corpus_mb: float, raw: dict[str, object]) -> Figure:
    """The peak of one kind of process against its limit."""
    measured = f"{peak_mb:.0f} MB over a corpus of {corpus_mb:.0f} MB"
    return Figure(
        f"memory of the {name} (PSS peak)", f"under {limit_mb} MB", measured, 0 < peak_mb < limit_mb, HOW, raw
    )


def program(project: Path, peaks: dict[str, float], *arguments: str) -> None:
    """One command of ours in the project, watched until everything that it started has ended."""
    command = [sys.executable, "-m", "hpc_qa", *arguments]
    process = subprocess.Popen(command, cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    watching = threading.Thread(target=watch, args=(process, f"hpc-qa {arguments[0]}", peaks))
    watching.start()
    said = process.communicate()[1]
    watching.join()
    if process.returncode:
        raise RuntimeError(f"hpc-qa {' '.join(arguments)}: exit code {process.returncode}\n{said.decode()[-2000:]}")


def watch(process: subprocess.Popen[bytes], command: str, peaks: dict[str, float]) -> None:
    """Keep the largest PSS of every kind until the command has ended; the command itself is the submitting process."""
    while process.poll() is None:
        for one in [process.pid, *(child.pid for child in children(process.pid))]:
            kind = kind_of(one, process.pid)
            for name in (kind, command) if kind == SUBMITTING else (kind,) if kind else ():
                peaks[name] = max(peaks[name], pss_mb(one))
        time.sleep(0.1)


def children(pid: int) -> list[psutil.Process]:
    """Everything below a process."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def kind_of(pid: int, submitting: int) -> str | None:
    """What a process is, by its command line."""
    if pid == submitting:
        return SUBMITTING
    try:
        words = psutil.Process(pid).cmdline()
    except psutil.Error:
        return None
    line = " ".join(words)
    if "ray::Sender" in line:
        return "actor"
    if "documents.sandbox" in line:
        return "converter child"
    return "worker" if "hpc_qa.worker" in words else None


def pss_mb(pid: int) -> float:
    """PSS of a process now, 0 when it is gone."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024 / 1e6
    except OSError:
        pass
    return 0.0


@contextmanager
def echo(folder: Path) -> Iterator[Path]:
    """The tests' echo server, a process of its own."""
    socket = folder / "e.sock"
    server = subprocess.Popen([sys.executable, str(ROOT / "tests" / "echo_server.py"), str(socket), "echo-key"])
    try:
        while not socket.is_socket():
            time.sleep(0.05)
        yield socket
    finally:
        server.kill()
        server.wait()


# -- the corpus


def write_corpus(folder: Path, megabytes: int) -> float:
    """Text, Markdown, HTML and PDF, from small to one file of a fifth of the whole; returns its size in MB."""
    folder.mkdir(parents=True)
    draw = random.Random(1)
    (folder / "one_large.txt").write_text(prose(draw, megabytes // 5))
    for number in range(max(1, megabytes // 10)):
        text = prose(draw, 2)
        (folder / f"manual-{number:02}.md").write_text("# Manual\n\n" + text)
        body = "".join(f"<p>{paragraph}</p>\n" for paragraph in text.split("\n\n"))
        (folder / f"page-{number:02}.html").write_text(f"<html><body><h1>Page {number}</h1>{body}</body></html>")
        (folder / f"copy-{number:02}.txt").write_text(prose(draw, 3))
        write_pdf(folder / f"paper-{number:02}.pdf", text[:600_000])
    return sum(path.stat().st_size for path in folder.iterdir()) / 1e6


def prose(draw: random.Random, megabytes: float) -> str:
    """So much text: a heading now and then, paragraphs of a few sentences."""
    parts: list[str] = []
    size = 0
    while size < megabytes * 1e6:
        sentences = (" ".join(draw.choices(WORDS, k=14)).capitalize() + "." for _ in range(6))
        paragraph = " ".join(sentences)
        if len(parts) % 40 == 0:
            paragraph = f"## Section {len(parts)}\n\n{paragraph}"
        parts.append(paragraph)
        size += len(paragraph) + 2
    return "\n\n".join(parts)


def write_pdf(path: Path, text: str) -> None:
    """The text on pages of A4, sixty lines each."""
    from reportlab.lib.pagesizes import A4
    from reportlab.pdfgen.canvas import Canvas

    canvas = Canvas(str(path), pagesize=A4, pageCompression=0)
    lines = [text[at : at + 90] for at in range(0, len(text), 90)]
    for first in range(0, len(lines), 60):
        block = canvas.beginText(50, A4[1] - 60)
        block.setFont("Helvetica", 9)
        block.textLines([line.replace("\n", " ") for line in lines[first : first + 60]])
        canvas.drawText(block)
        canvas.showPage()
    canvas.save()
