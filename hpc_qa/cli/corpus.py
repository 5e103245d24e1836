"""manifest build, batch and sets, convert and prompt show."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpc_qa.cli.options import common, load_config, manifest_option, print_json, print_table, say
from hpc_qa.errors import ConfigError, ExitCode
from hpc_qa.units import duration, plural

if TYPE_CHECKING:
    from hpc_qa.config import Config
    from hpc_qa.documents.convert import Conversion
    from hpc_qa.manifest import Entry

LINE_EVERY_S = 30.0


@click.group()
def manifest() -> None:
    """Build the list of documents, and cut it into batches.

    Example: hpc-qa manifest build documents/ -o manifests/corpus.jsonl
    """


@manifest.command("build")
@click.argument("sources", nargs=-1, required=True)
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False), help="The manifest to write.")
@click.option("--force", is_flag=True, help="Replace a manifest that is there and holds something else.")
@common
def manifest_build(sources: tuple[str, ...], output: str, force: bool, *, project: Path, as_json: bool) -> int:
    """Find documents in SOURCES (folders, ZIP archives, single files) and write one line each.

    A manifest that is there already is replaced with --force only: runs may have been made from it.

    Example: hpc-qa manifest build documents/ more.zip -o manifests/corpus.jsonl
    """
    from hpc_qa.manifest import build, write
    from hpc_qa.manifest.build import describe_rest

    if Path(output).suffix != ".jsonl":
        raise ConfigError(f"-o {output}: a manifest is a .jsonl file", hint=f"-o {Path(output).with_suffix('.jsonl')}")
    result = build([Path(source) for source in sources], project=project)
    write(Path(output), result.entries, replace=force)
    for path, reason in result.refused:
        say(f"refused: {path}: {reason}", err=True)
    for line in describe_rest(result):
        say(line, err=True)
    if as_json:
        print_json(
            {
                "manifest": output,
                "documents": len(result.entries),
                "bytes": sum(entry.bytes for entry in result.entries),
                "unsupported": dict(result.unsupported),
                "refused": [{"path": path, "reason": reason} for path, reason in result.refused],
            }
        )
    else:
        megabytes = sum(entry.bytes for entry in result.entries) / 1e6
        say(f"{output}: {plural(len(result.entries), 'document')}, {megabytes:,.1f} MB")
    return ExitCode.DONE


@manifest.command("batch")
@click.argument("source", type=click.Path(dir_okay=False))
@click.option("--sizes", required=True, help="local_5=5,local_20=20,smoke=1,50,200,500 (a number N is batch_N).")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed draws the same documents.")
@click.option("-o", "--output", required=True, type=click.Path(file_okay=False), help="Folder for the batches.")
@common
def manifest_batch(source: str, sizes: str, seed: int, output: str, *, project: Path, as_json: bool) -> int:
    """Cut the manifest SOURCE into batches, random within size classes, so that an early batch is a fair sample.

    What is left over becomes production.jsonl.

    Example: hpc-qa manifest batch manifests/corpus.jsonl --sizes local_5=5,smoke=1,50 --seed 7 -o manifests
    """
    from hpc_qa.manifest import batches, read, write

    drawn = batches(read(Path(source), project=project), parse_sizes(sizes), seed)
    rows = []
    for name, entries in drawn.items():
        path = Path(output) / f"{name}.jsonl"
        if path.exists():
            raise ConfigError(f"{path} is there already; a used manifest is never edited", hint="another -o FOLDER")
        rows.append({"batch": name, "documents": len(entries), "manifest": str(path)})
    for name, entries in drawn.items():
        write(Path(output) / f"{name}.jsonl", entries)
    if as_json:
        print_json(rows)
    else:
        print_table(rows, {"batch": "batch", "documents": "documents", "manifest": "manifest"})
    return ExitCode.DONE


@manifest.command("sets")
@click.argument("source", type=click.Path(dir_okay=False))
@click.option("--sets", default="small,medium,large", show_default=True, help="Which of them.")
@click.option("-o", "--output", required=True, type=click.Path(file_okay=False), help="Folder for the sets.")
@common
def manifest_sets(source: str, sets: str, output: str, *, project: Path, as_json: bool) -> int:
    """Document sets for sweeps: 100 documents around 250 KB, 25 around 3.5 MB, 5 around 25 MB (10 to 50).

    Of the manifest SOURCE those nearest to the size, the same ones every time. Too few of a size: nothing is written.

    Example: hpc-qa manifest sets manifests/ran.jsonl -o manifests/sets
    """
    from hpc_qa.manifest import read, write
    from hpc_qa.manifest.sets import SETS, document_sets

    names = list(dict.fromkeys(name.strip() for name in sets.split(",")))
    if unknown := [name for name in names if name not in SETS]:
        raise ConfigError(*(f"--sets: there is no set {name!r}" for name in unknown), hint=f"--sets {','.join(SETS)}")
    found = document_sets(read(Path(source), project=project), {name: SETS[name] for name in names})
    paths = {name: Path(output) / f"{name}.jsonl" for name in found}
    if there := [path for path in paths.values() if path.exists()]:
        faults = [f"{path} is there already; a used manifest is never edited" for path in there]
        raise ConfigError(*faults, hint="another -o FOLDER")
    rows = []
    for name, entries in found.items():
        write(paths[name], entries)
        sizes = [entry.bytes / 1e6 for entry in entries]
        rows.append({"set": name, "documents": len(entries), "mb_mean": sum(sizes) / len(sizes),
                     "mb_least": min(sizes), "mb_most": max(sizes), "manifest": str(paths[name])})  # fmt: skip
    if as_json:
        print_json(rows)
    else:
        print_table(rows, {"set": "set", "documents": "documents", "mb_mean": "MB, mean", "mb_least": "least",
                           "mb_most": "most", "manifest": "manifest"})  # fmt: skip
    return ExitCode.DONE


def parse_sizes(text: str) -> dict[str, int]:
    """Names and sizes of batches.

    Raises:
        ConfigError: a part is not NAME=N or N; all of them are named.

    >>> parse_sizes("local_5=5,smoke=1,50")
    {'local_5': 5, 'smoke': 1, 'batch_50': 50}
    """
    sizes: dict[str, int] = {}
    faults = []
    for part in text.split(","):
        name, equals, number = part.strip().rpartition("=")
        if not number.isascii() or not number.isdigit() or (equals and not name):
            faults.append(f"--sizes: {part!r} is not NAME=N or N")
        elif (name or f"batch_{int(number)}") in sizes:
            faults.append(f"--sizes: {part!r} names the same batch again")
        else:
            sizes[name or f"batch_{int(number)}"] = int(number)
    if faults:
        raise ConfigError(*faults, hint="--sizes local_5=5,smoke=1,50,200")
    return sizes


@contextmanager
def conversion_progress() -> "Iterator[Callable[[Conversion], None]]":
    """Says on stderr how conversion goes on; quiet while everything comes from the cache."""
    began = time.monotonic()
    counts = {"done": 0, "fresh": 0, "failed": 0}
    last = [began]

    def show(one: "Conversion") -> None:
        counts["done"] += 1
        counts["fresh"] += not one.cached
        counts["failed"] += one.status != "ok"
        now = time.monotonic()
        pause = 0.2 if sys.stderr.isatty() else LINE_EVERY_S
        if counts["fresh"] and now - last[0] >= pause:
            end = "\r" if sys.stderr.isatty() else "\n"
            click.echo(f"converting: {plural(counts['done'], 'document')}{end}", nl=False, err=True)
            last[0] = now

    yield show
    if counts["fresh"]:
        good, cached = counts["done"] - counts["failed"], counts["done"] - counts["fresh"]
        seconds = duration(time.monotonic() - began)
        say(f"documents: {good} ok, {counts['failed']} failed, {cached} from the cache; {seconds}", err=True)


@click.command()
@click.argument("config", type=click.Path(dir_okay=False))
@click.option("--manifest", help="Use this manifest and not the config's.")
@click.option("--limit", type=click.IntRange(1), help="Only the first N documents.")
@click.option("--executor", type=click.Choice(["slurm", "local"]), default="local", show_default=True,
              help="slurm: what is missing is converted by a CPU-only job array (slurm.convert).")  # fmt: skip
@click.option("--wait", is_flag=True, help="Wait until Slurm has ended every array task, and show what came of it.")
@common
def convert(
    config: str, manifest: str | None, limit: int | None, executor: str, wait: bool, *, project: Path, as_json: bool
) -> int:
    """Convert the documents of CONFIG to Markdown and chunks, on CPU, cached by content.

    Example: hpc-qa convert configs/demo_cpu.yaml
    """
    from hpc_qa.campaign.known import without_revoked
    from hpc_qa.campaign.places import place_faults
    from hpc_qa.cli.conversions import revoked_conversion, show_conversions
    from hpc_qa.documents.convert import convert_all
    from hpc_qa.documents.stage_record import StageRecord
    from hpc_qa.manifest import read

    settings = load_config(config, project, manifest=manifest_option(manifest))
    if faults := place_faults(settings, project):
        raise ConfigError(*faults, hint=f"hpc-qa doctor {config} looks at everything")
    entries, revoked = without_revoked(read(project / settings.manifest, project=project)[:limit], project)
    if executor == "slurm" and not _convert_on_cluster(settings, entries, project, wait=wait, as_json=as_json):
        return ExitCode.DONE
    record = StageRecord()
    with conversion_progress() as show:
        results = convert_all(entries, settings, project=project, on_done=show, record=record)
    show_conversions([*results, *map(revoked_conversion, revoked)], record, as_json=as_json)
    return ExitCode.DONE if any(result.status == "ok" for result in results) else ExitCode.OUTSIDE


def _convert_on_cluster(
    config: "Config", entries: "Sequence[Entry]", project: Path, *, wait: bool, as_json: bool
) -> bool:
    """Submit the conversion of what is missing; whether it has ended, so that the results can be shown."""
    from hpc_qa.campaign.convert import start
    from hpc_qa.campaign.convert import wait as wait_for

    started = start(config, entries, project=project)
    if started is None:
        say("everything is converted", err=True)
        return True
    if not wait:
        if as_json:
            print_json({"conversion": started.name, "path": str(started.directory.path), "job_ids": started.job_ids})
        else:
            for line in (f"conversion {started.name}", *(f"job {job}" for job in started.job_ids)):
                say(line)
        say(f"  next: hpc-qa convert {config._source or 'CONFIG'} shows the documents when the job has ended", err=True)
        return False
    say(f"job {', '.join(started.job_ids)}", err=True)
    last = wait_for(started, show=lambda now: say(now.describe(), err=True))
    if last.count("done") < len(last.tasks):
        say(f"  logs of the array tasks: {started.directory.logs}; what is left is converted here", err=True)
    return True


@click.group()
def prompt() -> None:
    """Look at what the model is sent.

    Example: hpc-qa prompt show configs/demo_cpu.yaml quickref
    """


@prompt.command("show")
@click.argument("config", type=click.Path(dir_okay=False))
@click.argument("doc")
@click.option("--manifest", help="Use this manifest and not the config's.")
@common
def prompt_show(config: str, doc: str, manifest: str | None, *, project: Path, as_json: bool) -> int:
    """The first fully rendered prompt of a document, with its token count. DOC is a doc_id or the beginning of one.

    Example: hpc-qa prompt show configs/demo_cpu.yaml quickref
    """
    from hpc_qa.campaign.prompt import first_prompt

    settings = load_config(config, project, manifest=manifest_option(manifest))
    shown = first_prompt(settings, doc, project=project)
    if as_json:
        print_json({"doc_id": shown.doc_id, "chunk_id": shown.chunk_id, "prompt": shown.text, "tokens": shown.tokens})
    else:
        for line in shown.text.split("\n"):
            say(line)
        say(f"{shown.tokens} tokens, document {shown.doc_id}, chunk {shown.chunk_id}", err=True)
    return ExitCode.DONE
