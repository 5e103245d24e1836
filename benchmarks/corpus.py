"""A larger real corpus, from archives to a dataset: manuals of Debian packages, PDF and HTML, over 1,000 pages.

The packages are downloaded by apt-get and repacked as ZIP archives, one each, without being installed. Everything
after that is `hpc-qa` as a user types it; the small model of the demo asks about a seeded sample of 300 chunks. Takes
about twenty minutes, and the network for the packages.
"""

import gzip
import itertools
import json
import os
import subprocess
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from benchmarks.figure import ROOT, Figure
from demo import model
from demo.__main__ import program
from hpc_qa.manifest import read

HOW = "python -m benchmarks corpus"
# GPL and permissive licences; downloaded where they are measured, never shipped
PACKAGES = ("debian-policy", "developers-reference", "debian-faq", "mpich-doc", "asn1c-doc", "gnuplot-doc", "r-doc-pdf")
KINDS = (".pdf", ".html")
SAMPLE, PAGES = 300, 1_000
CONFIG = "corpus.yaml"


def run() -> list[Figure]:
    """The figures of this benchmark."""
    with tempfile.TemporaryDirectory(prefix="hqcorpus", dir="/tmp") as name:
        project = Path(name) / "project"
        (project / "documents").mkdir(parents=True)
        for package in PACKAGES:
            repack(package, Path(name), project / "documents" / f"{package}.zip")
        hpc_qa(project, "manifest", "build", "documents", "-o", "m.jsonl")
        (project / CONFIG).write_text(config())
        return figures(project)


def repack(package: str, scratch: Path, archive: Path) -> None:
    """The documents of a Debian package as a ZIP archive, each once."""
    folder = scratch / package
    folder.mkdir()
    # apt's own user may not write below a private folder
    subprocess.run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", package], cwd=folder, check=True,
                   stdout=subprocess.DEVNULL)  # fmt: skip
    (deb,) = folder.glob("*.deb")
    subprocess.run(["dpkg-deb", "-x", str(deb), "files"], cwd=folder, check=True)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted((folder / "files").rglob("*")):
            packs = path.suffix == ".gz"  # as Debian does with what is large
            inner = (path.with_suffix("") if packs else path).relative_to(folder / "files")
            if inner.suffix in KINDS and path.is_file() and not path.is_symlink():
                with gzip.open(path) if packs else path.open("rb") as content:
                    packed.writestr(str(inner), content.read())


def config() -> str:
    """The demo's settings for these documents."""
    settings = yaml.safe_load((ROOT / "configs" / "demo_cpu.yaml").read_text())
    settings |= {"name": "corpus", "campaign": "corpus", "manifest": "m.jsonl"}
    settings["documents"]["sample_chunks"] = SAMPLE
    settings["vllm"]["model"] = str(ROOT / "cache" / "models" / model.NAME)
    return str(yaml.safe_dump(settings, sort_keys=False))


def figures(project: Path) -> list[Figure]:
    """Convert, convert again, run, verify, collect, and look at what came out."""
    first, first_s = converted(project)
    again, again_s = converted(project)
    pages = sum(one["pages"] or 0 for one in first if one["media_type"] == "application/pdf")
    ok = [one for one in first if one["status"] == "ok"]
    reasons = Counter(one["reason"] for one in first if one["status"] != "ok")
    began = time.perf_counter()
    run_id = json.loads(hpc_qa(project, "submit", CONFIG, "--json"))["run"]
    run_s = time.perf_counter() - began
    proof = json.loads(hpc_qa(project, "verify", run_id, "--json"))
    collected = json.loads(hpc_qa(project, "collect", run_id, "--json"))
    rows = [json.loads(line) for line in (Path(collected["path"]) / "qa.jsonl").read_text().splitlines()]
    html = sum(one["media_type"] == "text/html" for one in first)
    size_mb = sum(one.stat().st_size for one in (project / "documents").iterdir()) / 1e6
    return [
        Figure("pages of the larger corpus", f"over {PAGES:,}, of PDF and HTML",
               f"{pages:,} pages of PDF and {html:,} HTML "
               f"documents in {len(PACKAGES)} archives, {size_mb:.0f} MB",
               pages > PAGES and html > 0, HOW),
        Figure("its conversion", "printed, not judged",
               f"{len(ok)} of {len(first)} documents in {first_s:.0f} s; not converted: {dict(reasons) or 'none'}",
               True, HOW, {"reasons": dict(reasons)}),
        Figure("its conversion again", "converts nothing",
               f"{sum(one['cached'] for one in again)} of {len(again)} from the cache, {again_s:.1f} s",
               all(one["cached"] for one in again), HOW),
        Figure("its run", "every document in one terminal state, proven",
               f"{proof['documents']} in {run_s / 60:.1f} min, {proof['accepted']} accepted pairs",
               proof["exit_code"] == 0, HOW, {"verify": proof}),
        Figure("its yield funnel", "adds up exactly, and to the published rows", words_of(collected),
               adds_up(collected) and len(rows) == collected["rows"]["train"] + collected["rows"]["validation"],
               HOW, {"funnel": collected["funnel"]}),
    ]  # fmt: skip


def converted(project: Path) -> tuple[list[dict[str, Any]], float]:
    """What `convert` says of each document, with its media type, and seconds."""
    began = time.perf_counter()
    found = json.loads(hpc_qa(project, "convert", CONFIG, "--json"))
    taken = time.perf_counter() - began
    types = {entry.doc_id: entry.media_type for entry in read(project / "m.jsonl", project=project)}
    return [one | {"media_type": types[one["doc_id"]]} for one in found], taken


def adds_up(collected: Mapping[str, Any]) -> bool:
    """Whether each step is the one before less its losses, and the last one what was published."""
    steps = collected["funnel"]["pairs"]
    whole = all(one["left"] == before["left"] - sum(one["lost"].values()) for before, one in itertools.pairwise(steps))
    unaccounted = any("unaccounted" in one["lost"] for one in steps)
    return (
        whole
        and not unaccounted
        and steps[-1]["left"] == sum(collected["rows"][name] for name in ("train", "validation"))
    )


def words_of(collected: Mapping[str, Any]) -> str:
    """The steps with what was left after each."""
    return ", ".join(f"{one['left']:,} {one['step']}" for one in collected["funnel"]["pairs"])


def hpc_qa(project: Path, *arguments: str) -> str:
    """What a command prints."""
    command = program(["--project", str(project), *arguments])
    return subprocess.run(command, cwd=project, env=os.environ, check=True, stdout=subprocess.PIPE, text=True).stdout
