"""Freeze a plan into a run directory; `start` starts it.

Config, manifest and plan are written once and never change; what is submitted later (`resume`) is one more file in
`submissions/`. Everything is private to the user: umask 077 before the first file.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from hpc_qa.campaign import conversion, provenance
from hpc_qa.campaign.cluster_faults import cluster_faults
from hpc_qa.campaign.doctor import MAX_SCRATCH_BYTES
from hpc_qa.campaign.places import place_faults
from hpc_qa.campaign.plan import RunPlan, gpus_per_server
from hpc_qa.campaign.status import status
from hpc_qa.config import Config
from hpc_qa.documents.tokens import file_sha256, tokenizer_file
from hpc_qa.errors import ConfigError, StoreError
from hpc_qa.qa import prompts
from hpc_qa.qa.control_tokens import control_tokens
from hpc_qa.serving.command import setting_faults
from hpc_qa.serving.preflight import model_faults
from hpc_qa.store.files import json_bytes, json_parts, write_once
from hpc_qa.store.run_directory import RunDirectory, create, list_runs
from hpc_qa.store.trust import check_project
from hpc_qa.units import iso, plural, utc_now


def freeze(
    plan: RunPlan, *, project: Path, limit: int | None = None, admission: Mapping[str, Any] | None = None,
    gate: Mapping[str, Any] | None = None, sweep: Mapping[str, Any] | None = None,
) -> RunDirectory:  # fmt: skip
    """Make the run directory of this plan; how it stood to the budget, to the gate and in its sweep is kept.

    Raises:
        ConfigError: documents are not converted yet, the prompts cannot be used, or others can write the project's runs
            or caches.
        StoreError: a file could not be written.
    """
    os.umask(0o077)
    config = plan.config
    if plan.not_converted and not plan.conversion:
        file = config._source or "CONFIG"
        raise ConfigError(
            f"{plural(plan.not_converted, 'document is', 'documents are')} not converted yet, planned by the "
            "tokens of the manifest",
            hint=f"hpc-qa convert {file}, or hpc-qa submit {file} --convert: a job array converts them first",
        )
    check_project(project, project / config.documents.cache)
    chosen = frozen_prompts(config, project)
    now = utc_now()
    run = create(project, config.name, now=now)
    write_once(run.manifest, plan.entries.lines())
    write_once(run.plan, json_parts(plan.to_json()))
    templates = json_bytes({"sha256": chosen.sha256, "templates": dict(chosen.templates)})
    write_once(run.prompts, templates)
    prompts_facts = {"source": chosen.source, "sha256": chosen.sha256, "file_sha256": _sha256([templates])}
    facts = _facts(plan, run, project, prompts_facts) | {
        "created_at": iso(now),
        "limit": limit,
        "admission": dict(admission) if admission else None,
        "gate": dict(gate) if gate else None,
        "sweep": dict(sweep) if sweep else None,
    }
    if plan.conversion:
        run.conversion.create()
        conversion.freeze(
            run.conversion, plan.conversion, config, project=project, converter_key=plan.converter_key,
            manifest=Path("..") / run.manifest.name, run_id=run.run_id,
        )  # fmt: skip
    run.freeze(facts)
    return run


def _facts(plan: RunPlan, run: RunDirectory, project: Path, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Where a run comes from: settings, hashes of what is frozen, versions, the machine."""
    config = plan.config
    return {
        "run": run.run_id,
        "project": str(project),
        "config_file": config._source,
        "config": config.model_dump(),
        "manifest_sha256": file_sha256(run.manifest),
        "plan_sha256": file_sha256(run.plan),
        "commit_sha": provenance.commit_sha(Path(__file__).parent),
        "versions": provenance.versions(),
        "hardware": provenance.hardware(),
        "model": {
            "name": config.model,
            "revision": config.vllm.revision,
            "tokenizer_sha256": file_sha256(tokenizer_file(config, project)),
            "control_tokens": control_tokens(tokenizer_file(config, project).parent),
        },
        "prompts": dict(asked),
        "executor": config.executor,
        "gpus_per_server": plan.gpus_per_server,
        "gpus_allocated": config.gpus_allocated if config.executor == "slurm" else plan.gpus_per_server,
    }


def check_startable(config: Config, project: Path) -> None:
    """What would fail for certain once a run is started is said before anything is.

    Raises:
        ConfigError: with all faults of the places, the prompts, the GPUs and the server at once.
    """
    check_project(project, project / config.documents.cache)
    faults = [*place_faults(config, project), *_said_by(lambda: frozen_prompts(config, project))]
    faults += _scratch_faults(config)
    faults += [*_said_by(lambda: gpus_per_server(config)), *setting_faults(config.vllm), *cluster_faults(config)]
    if config.vllm.attach is not None:
        if not (project / config.vllm.attach).is_socket():
            faults.append(f"vllm.attach: {config.vllm.attach} is not a socket; is the server running?")
    elif (project / config.model).is_dir():
        tokenizer = project / config.vllm.tokenizer if config.vllm.tokenizer else None
        found = model_faults(project / config.model, config.vllm, tokenizer=tokenizer)
        faults += [f"vllm.model: {fault}" for fault in found]
    if faults:
        raise ConfigError(*faults, hint=f"hpc-qa doctor {config._source or 'CONFIG'} looks at everything")


def _said_by(check: Callable[[], object]) -> list[str]:
    """The faults that a check raises; none when it passes."""
    try:
        check()
    except ConfigError as exc:
        return list(exc.faults)
    return []


def _scratch_faults(config: Config) -> list[str]:
    """A temporary folder of this machine, where the run would work, whose path leaves no room for sockets."""
    folder = tempfile.gettempdir()
    length = len(os.fsencode(folder))
    if config.executor != "local" or length <= MAX_SCRATCH_BYTES:
        return []
    why = f"too long a path for the sockets below it ({length} bytes, at most {MAX_SCRATCH_BYTES})"
    return [f"TMPDIR is {folder}: {why}; set TMPDIR to a short folder, /tmp for example"]


def frozen_prompts(config: Config, project: Path) -> prompts.Prompts:
    """The prompts that a run of this config freezes.

    Raises:
        ConfigError: the file cannot be used.
    """
    return prompts.load(project / config.qa.prompts if config.qa.prompts else None)


def refuse_double(plan: RunPlan, project: Path) -> None:
    """Notice that the same config and manifest wait or run already.

    Raises:
        ConfigError: they do.
    """
    ours: str | None = None  # a manifest of a million lines is not hashed in vain
    for run in reversed(list_runs(project)):
        try:
            facts = run.facts()
        except StoreError:  # unreadable: hpc-qa status says so
            continue
        if _without_budget(facts["config"]) != _without_budget(plan.config.model_dump()):
            continue
        ours = ours or _sha256(plan.entries.lines())
        if facts["manifest_sha256"] == ours and (now := status(run)).goes_on:
            raise ConfigError(
                f"the same config and manifest are {now.state} already: {run.run_id}, submitted {facts['created_at']}",
                hint="--again submits them once more",
            )


def _without_budget(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: section for name, section in config.items() if name != "budget"}


def _sha256(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
