"""plan, submit and resume: what starts a run, and what it says about that."""

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpc_qa.cli.admission import ask_for_admission, fits_again, print_admission, refuse, say_admission
from hpc_qa.cli.gate import gate_allows
from hpc_qa.cli.options import GpuHours, common, load_config, manifest_option, print_json, say
from hpc_qa.errors import ExitCode
from hpc_qa.units import duration, plural

if TYPE_CHECKING:
    from hpc_qa.budget.admission import Admission
    from hpc_qa.campaign.plan import RunPlan
    from hpc_qa.campaign.status import RunStatus
    from hpc_qa.config import Config
    from hpc_qa.store.run_directory import RunDirectory

CONFIG = click.argument("config", type=click.Path(dir_okay=False))
CONVERT = click.option(
    "--convert", "convert_first", is_flag=True,
    help="A CPU-only job array converts what is missing, and the run waits for it.",
)  # fmt: skip


BUDGET = click.option("--budget-gpu-hours", type=GpuHours(), help="Instead of the budget of project.yaml.")


def make_plan(config: "Config", project: Path, limit: int | None, *, convert_first: bool) -> "RunPlan":
    """The plan of this config; conversion that it needs is shown as it goes on."""
    from hpc_qa.campaign.plan import plan_run
    from hpc_qa.cli.corpus import conversion_progress

    with conversion_progress() as on_converted:
        return plan_run(config, project=project, limit=limit, convert_first=convert_first, on_converted=on_converted)


def print_plan(plan: "RunPlan") -> None:
    """The plan for people."""
    from hpc_qa.serving.memory_fit import lines_for_people

    facts = plan.to_json()
    reasons = ", ".join(f"{count} {reason}" for reason, count in facts["settled_by_reason"].items())
    gpus = facts["gpus_per_server"]
    hours, gpu_hours = facts["wall_hours"]["p50"], facts["gpu_hours"]["p50"]
    lines = {
        "documents": f"{facts['documents']:,}, {facts['documents_to_do']:,} to do" + (f" ({reasons})" * bool(reasons)),
        "model": f"{facts['model']} on "
        + ("a CPU" if gpus == 0 else f"{plural(gpus, 'GPU') if gpus else 'unknown GPUs'} per server"),
        "shards": f"{len(facts['shards']):,}, {facts['servers_at_once']:,} at once"
        + (f", {facts['waves']:,} waves" if facts["waves"] > 1 else ""),
        **_chunks(facts),
        "requests": f"{facts['requests']:,}, {facts['predicted_tokens']:,} tokens",
        "pairs": f"at most {facts['pairs_at_most']:,}; at most {facts['pairs_at_most_every_chunk']:,} "
        f"({facts['predicted_tokens_every_chunk']:,} tokens) if every chunk were asked",
        "time": "unknown until a run with this model was measured here" if hours is None else duration(hours * 3600),
        "GPU-hours": "unknown" if gpu_hours is None else f"{gpu_hours:.2f}",
        "start-up": _startup(facts),
        **(lines_for_people(plan.memory) if plan.memory else {}),
    }  # fmt: skip
    for name, text in lines.items():
        say(f"{name:<11}{text}")
    if waiting := facts["documents_not_converted"]:
        are = plural(waiting, "document is", "documents are")
        say(f"{'note':<11}{are} not converted: tokens are predicted")
    if plan.conversion:
        job, cut = plan.config.conversion_job, plan.conversion
        tasks = f"{plural(len(cut.tasks), 'array task')} x {job.cpus_per_task} CPUs x {job.time} at most"
        say(
            f"{'conversion':<11}{plural(cut.documents, 'document')}, {cut.megabytes:,.1f} MB in {tasks}; the "
            "run waits for it"
        )
    for note in facts["notes"]:
        say(f"{'note':<11}{note}")


def _chunks(facts: dict[str, Any]) -> dict[str, str]:
    """Chunks that are asked about and left out, and re-issues, as far as they are known before the run."""
    if facts["chunks"] is None:
        return {}
    reasons = {name: count for name, count in facts["chunks"].items() if name not in ("chunks", "asked")}
    left_out = ", ".join(f"{count:,} {name}" for name, count in sorted(reasons.items(), key=lambda one: -one[1]))
    text = f"{facts['chunks']['chunks']:,}, {facts['chunks']['asked']:,} to ask about"
    lines = {"chunks": text + (f" (left out: {left_out})" if left_out else "")}
    if groups := facts["reissue_groups"]:
        lines["re-issues"] = (
            f"{plural(groups, 'group')} of near-identical documents, {facts['documents_in_reissue_groups']:,} in all"
        )
    if undated := facts.get("newest_by_order"):
        lines["re-issues"] += (
            f"; of {len(undated):,} the last in the manifest is taken for the newest, because no date tells: "
            + ", ".join(undated[:3])
            + (", ..." if undated[3:] else "")
        )
    return lines


def _startup(facts: dict[str, Any]) -> str:
    if facts["startup_share"] is None:
        return "unknown"
    known = "as measured here" if facts["pace_source"] == "measured" else "as the config says"
    return f"{100 * facts['startup_share']:.1f} % of the time, {duration(facts['startup_s'])} a server, {known}"


@click.command()
@CONFIG
@click.option("--manifest", help="Use this manifest and not the config's.")
@click.option("--limit", type=click.IntRange(1), help="Only the first N documents.")
@click.option("--executor", type=click.Choice(["slurm", "local"]), help="Where it would run.")
@CONVERT
@BUDGET
@common
def plan(
    config: str, manifest: str | None, limit: int | None, executor: str | None, convert_first: bool,
    budget_gpu_hours: float | None, *, project: Path, as_json: bool,
) -> int:  # fmt: skip
    """What a run of CONFIG would be: documents, shards, tokens, pairs, hours. Starts nothing.

    Exit code 4: it would not fit into the budget, as far as the ledger knows.

    Example: hpc-qa plan configs/demo_cpu.yaml
    """
    from hpc_qa.campaign.submit import check_startable

    given = {"manifest": manifest_option(manifest), "executor": executor, "budget.gpu_hours": budget_gpu_hours}
    settings = load_config(config, project, **given)
    check_startable(settings, project)
    planned = make_plan(settings, project, limit, convert_first=convert_first)
    admission = ask_for_admission(planned, project, fresh=False)
    if as_json:
        print_json(planned.to_json() | {"admission": admission.to_json() if admission else None})
    else:
        print_plan(planned)
        if admission:
            print_admission(admission, planned, project)
    return ExitCode.NO if admission and admission.refused else ExitCode.DONE


@click.command()
@CONFIG
@click.option("--executor", type=click.Choice(["slurm", "local"]), help="Instead of the config's.")
@click.option("--manifest", help="Use this manifest and not the config's.")
@click.option("--name", help="Instead of the config's; the run's id begins with it.")
@click.option("--concurrency-limit", type=click.IntRange(1), help="Instead of the config's client.concurrency_limit.")
@click.option("--limit", type=click.IntRange(1), help="Only the first N documents.")
@click.option("--detach", is_flag=True, help="Return at once; hpc-qa status shows how it goes.")
@click.option("--wait", is_flag=True, help="Wait until Slurm has ended every array task.")
@click.option("--again", is_flag=True, help="Although the same is queued or running already.")
@click.option("--dry-run", is_flag=True, help="Print the plan and start nothing.")
@click.option("--over-budget", is_flag=True, help="Although it does not fit into the budget; that is written down.")
@click.option("--despite-gate", is_flag=True, help="Although the batch before was a no-go; that is written down.")
@CONVERT
@BUDGET
@common
def submit(  # noqa: PLR0913, PLR0917 - one for each option
    config: str, executor: str | None, manifest: str | None, name: str | None, limit: int | None, detach: bool,
    wait: bool, again: bool, dry_run: bool, over_budget: bool, despite_gate: bool, convert_first: bool,
    budget_gpu_hours: float | None, concurrency_limit: int | None, *, project: Path, as_json: bool,
) -> int:  # fmt: skip
    """Plan a run of CONFIG, freeze it into a run directory, and submit it to Slurm as one job array.

    With --executor local it runs here in the foreground, with progress. Exit 3 when something is left to do, 4 when
    the run does not fit into the budget, or the gate of the batch before it says no.

    Example: hpc-qa submit configs/demo_cpu.yaml --executor local
    """
    from hpc_qa.campaign.start import start_new
    from hpc_qa.campaign.submit import check_startable, freeze, refuse_double

    given = {"manifest": manifest_option(manifest), "executor": executor, "budget.gpu_hours": budget_gpu_hours}
    given |= {"name": name, "client.concurrency_limit": concurrency_limit}
    settings = load_config(config, project, **given)
    check_startable(settings, project)
    planned = make_plan(settings, project, limit, convert_first=convert_first)
    admission = ask_for_admission(planned, project, fresh=True)
    refused = admission is not None and admission.refused and not over_budget
    if dry_run:
        _show(planned, project, admission, as_json=as_json)
        return ExitCode.NO if refused else ExitCode.DONE
    if not again:
        refuse_double(planned, project)
    if admission and refused:
        return refuse(admission, planned, project, as_json=as_json)
    if admission:
        say_admission(admission, over_budget=over_budget)
    passed = gate_allows(settings, project, despite_gate=despite_gate, as_json=as_json)
    if passed is None:
        return ExitCode.NO
    granted = admission.to_json() | {"over_budget": over_budget} if admission else None
    run = freeze(planned, project=project, limit=limit, admission=granted, gate=passed.to_json())
    shards = [shard.index for shard in planned.shards]
    if settings.executor == "slurm":
        return _submit_and_wait(run, lambda: start_new(run, settings, shards), wait=wait, as_json=as_json)
    return _start_and_follow(run, settings, shards, detach=detach, as_json=as_json)


def _show(planned: "RunPlan", project: Path, admission: "Admission | None", *, as_json: bool) -> None:
    """What `submit` would do: the plan, and for Slurm the price at most and the batch script."""
    from hpc_qa.campaign.start import script_of

    facts = planned.to_json()
    script = script_of(planned, project) if planned.config.executor == "slurm" else None
    if as_json:
        scripts = {"batch_script": script.text, "conversion_script": script.conversion} if script else {}
        price = {"gpu_hours_at_most": script.gpu_hours} if script else {}
        print_json(facts | scripts | price | {"admission": admission.to_json() if admission else None})
    else:
        print_plan(planned)
        if admission:
            print_admission(admission, planned, project)
        if script:
            say(f"{'at most':<11}{script.gpu_hours:,.1f} GPU-hours ({script.price}), more if array tasks are requeued")
            for text in filter(None, (script.conversion, script.text)):
                say("")
                for line in text.splitlines():
                    say(line)
    say("nothing submitted (--dry-run)" if script else "nothing started (--dry-run)", err=True)


def _print_jobs(run: "RunDirectory", jobs: list[str], *, as_json: bool) -> None:
    if as_json:
        print_json({"run": run.run_id, "path": str(run.path), "job_ids": jobs})
    else:
        for line in (f"run {run.run_id}", *(f"job {job}" for job in jobs)):
            say(line)
    sys.stdout.flush()


def _submit_and_wait(run: "RunDirectory", submit_it: Callable[[], list[str]], *, wait: bool, as_json: bool) -> int:
    from hpc_qa.campaign.follow import printer
    from hpc_qa.campaign.follow import wait as wait_for

    _print_jobs(run, submit_it(), as_json=as_json)
    if not wait:
        say(f"  next: hpc-qa status {run.run_id}; hpc-qa resume {run.run_id} when something is left", err=True)
        return ExitCode.DONE
    with printer() as show:
        last = wait_for(run, show)
    _print_end(run, last)
    return _exit_code(run, last)


def _exit_code(run: "RunDirectory", last: "RunStatus") -> int:
    """3 says that `resume` continues; where it would only fail again, something has to be mended first."""
    from hpc_qa.campaign.control import fails_again

    if last.state == "complete":
        return ExitCode.DONE
    left = [one.shard for one in last.shards if one.state != "done"]
    hopeless = bool(left) and all(fails_again(run, shard) for shard in left)
    return ExitCode.OUTSIDE if hopeless else ExitCode.INCOMPLETE


def _start_and_follow(run: "RunDirectory", config: "Config", shards: list[int], *, detach: bool, as_json: bool) -> int:
    from hpc_qa.campaign.control import running_beside
    from hpc_qa.campaign.follow import follow, printer, starters
    from hpc_qa.campaign.start import start

    beside = running_beside(Path(run.facts()["project"]), run)
    if len(beside) >= config.client.local_servers and config.vllm.attach is None:
        allowed = config.client.local_servers
        say(f"note: {', '.join(beside)} runs on this machine too, so that more than client.local_servers ({allowed}) "
            "servers share it", err=True)  # fmt: skip
    _print_jobs(run, start(run, config, shards), as_json=as_json)
    if detach:
        return ExitCode.DONE
    try:
        with printer() as show:
            last = follow(run, starters(run), show)
    except KeyboardInterrupt:
        return _interrupted(run)
    _print_end(run, last)
    return _exit_code(run, last)


def _interrupted(run: "RunDirectory") -> int:
    from hpc_qa.campaign.control import cancel

    say("stopping: what is in flight is finished or dropped, what is written stays", err=True)
    cancel(run)
    say(f"stopped; hpc-qa resume {run.run_id} continues", err=True)
    return ExitCode.INCOMPLETE


def _print_end(run: "RunDirectory", last: "RunStatus") -> None:
    from hpc_qa.campaign.cluster import remedies
    from hpc_qa.campaign.control import fails_again, last_words
    from hpc_qa.campaign.follow import describe

    say(f"{last.state}: {describe(last)}", err=True)
    if last.state == "complete":
        say(f"  next: hpc-qa verify {last.run}; hpc-qa collect {last.run}", err=True)
        return
    left = [one for one in last.shards if one.state != "done"]
    for one in left:
        for line in [*filter(None, [one.detail]), *last_words(run, one.shard)]:
            say(f"  shard {one.shard} | {line}", err=True)
    for advice in remedies(last.run, (one.detail for one in left)):
        say(f"  try: {advice}", err=True)
    if any(fails_again(run, one.shard) for one in left):
        say("  try: first what stands above; as things are, the next attempt would end the same way.", err=True)
        say(
            "       A changed config takes a new hpc-qa submit: a run keeps the one that it was started with;", err=True
        )
        say(f"       hpc-qa resume {last.run} goes on when the fault was outside the config", err=True)
        return
    shown = left[0].shard if left else 0
    say(f"  try: hpc-qa resume {last.run}; everything that was said is in hpc-qa logs {last.run} {shown}", err=True)


@click.command()
@click.argument("run")
@click.option("--detach", is_flag=True, help="Return at once.")
@click.option("--wait", is_flag=True, help="Wait until Slurm has ended every array task.")
@click.option("--mem", help="Memory of the array tasks that this starts, instead of slurm.mem: 120G.")
@click.option("--over-budget", is_flag=True, help="Although it does not fit into the budget; that is written down.")
@common
def resume(
    run: str, detach: bool, wait: bool, mem: str | None, over_budget: bool, *, project: Path, as_json: bool
) -> int:
    """Start exactly what is missing of RUN: shards that are neither committed nor waiting nor running. Safe to repeat.

    Exit code 4: on Slurm, what is missing does not fit into the budget.

    Example: hpc-qa resume latest
    """
    from hpc_qa.campaign.control import bad_nodes, missing_shards, repair, with_memory
    from hpc_qa.campaign.start import start
    from hpc_qa.config import Config
    from hpc_qa.store.run_directory import find
    from hpc_qa.store.trust import check_run

    directory = find(project, run)
    check_run(directory)
    config = with_memory(Config.model_validate(directory.facts()["config"]), mem)
    for shard in repair(directory):
        say(f"shard {shard} is damaged: what is not whole is computed again", err=True)
    missing = missing_shards(directory)
    if not missing:
        if as_json:
            print_json({"run": directory.run_id, "path": str(directory.path), "job_ids": []})
        say(f"{directory.run_id}: nothing is missing, or it waits or runs", err=True)
        return ExitCode.DONE
    if config.executor == "slurm":
        if not fits_again(directory, missing, project, over_budget=over_budget, as_json=as_json):
            return ExitCode.NO
        bad = bad_nodes(directory, missing)
        for node in bad:
            say(f"not on {node}: a server could not start there, see hpc-qa logs {directory.run_id} SHARD", err=True)
        submit_it = functools.partial(start, directory, config, missing, exclude=bad)
        return _submit_and_wait(directory, submit_it, wait=wait, as_json=as_json)
    return _start_and_follow(directory, config, missing, detach=detach, as_json=as_json)
