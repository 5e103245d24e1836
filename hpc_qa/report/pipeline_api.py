"""What `POST /api/v1/pipeline` asks for, and the programs that do it.

A pipeline is a run: `hpc-qa submit` starts it, in a process of its own, so that the same checks, the same admission to
the budget and the same gate hold as for everybody who types it. `model_strategy` names a config, `configs/NAME.yaml`;
`batch_size` is how many documents are worked on together, `--concurrency-limit`, and `limit` how many are taken,
`--limit`. Paths lead nowhere outside of the project.
"""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from hpc_qa.errors import ExitCode
from hpc_qa.report.local_server import Refused
from hpc_qa.units import stamp, utc_now

KEYS = ("name", "input_path", "output_path", "model_strategy", "batch_size", "limit")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
SUBMIT_S = 600.0  # documents are converted meanwhile where the config has that done on submit
MANIFESTS = (".jsonl", ".txt")
MOST_DOCUMENTS = 10**9
COUNTS = {
    "batch_size": "how many documents are worked on together, a whole number from 1, or null for the config's",
    "limit": "how many documents are taken at most, a whole number from 1, or null for all",
}
NOT_FOR_DATASETS = ("runs", "ledger", "cache", "configs", "manifests", "projections", "records")
STATUS_OF: dict[int, tuple[HTTPStatus, str]] = {  # of the program's exit code
    ExitCode.USAGE: (HTTPStatus.UNPROCESSABLE_ENTITY, "refused"),
    ExitCode.NO: (HTTPStatus.CONFLICT, "limit"),
    ExitCode.OUTSIDE: (HTTPStatus.BAD_GATEWAY, "outside"),
}


@dataclass(frozen=True, slots=True)
class Order:
    """A pipeline that was asked for, checked as far as that goes without doing anything."""

    name: str
    config: Path
    source: Path  # a manifest, or documents
    output: Path | None  # None: the run's own folder
    together: int | None  # documents that are worked on at once; None: as the config says
    limit: int | None  # documents that are taken, at most


def order_of(asked: Mapping[str, Any], project: Path) -> Order:
    """The order in a request.

    Raises:
        Refused: it is none, with everything that is wrong.
    """
    faults = [f"{key} is no key; keys are {', '.join(KEYS)}" for key in asked if key not in KEYS]
    faults += [f"{key} is missing" for key in ("name", "input_path", "model_strategy") if asked.get(key) is None]
    if faults:
        raise _bad(*faults)
    name, strategy = asked["name"], asked["model_strategy"]
    if not (isinstance(name, str) and NAME.fullmatch(name)):
        faults.append("name: up to 64 letters, digits and . _ -, a letter or digit first")
    known = sorted(path.stem for path in (project / "configs").glob("*.yaml"))
    if not (isinstance(strategy, str) and NAME.fullmatch(strategy) and strategy in known):
        faults.append(f"model_strategy: names a config; configs/ has {', '.join(known) or 'none'}")
    for key, what in COUNTS.items():
        count = asked.get(key)
        if count is not None and not (type(count) is int and 1 <= count <= MOST_DOCUMENTS):
            faults.append(f"{key}: {what}")
    source = _inside(asked["input_path"], project, "input_path", faults)
    if source is not None and not (source.is_file() or source.is_dir()):
        faults.append("input_path: there is no such file or folder in the project")
    output = None
    if asked.get("output_path") is not None:
        output = _inside(asked["output_path"], project, "output_path", faults)
    if output is not None and (output.exists() or output.relative_to(project).parts[0] in NOT_FOR_DATASETS):
        faults.append(f"output_path: a new folder, and none below {', '.join(NOT_FOR_DATASETS)}")
    if faults or source is None:
        raise _bad(*faults)
    config = project / "configs" / f"{strategy}.yaml"
    return Order(name, config, source, output, asked.get("batch_size"), asked.get("limit"))


def _bad(*faults: str) -> Refused:
    return Refused(HTTPStatus.BAD_REQUEST, "bad_request", "; ".join(faults))


def _inside(said: object, project: Path, key: str, faults: list[str]) -> Path | None:
    """Where a path leads, links followed, if that is below the project."""
    if not isinstance(said, str) or not said or "\0" in said:
        faults.append(f"{key}: a path in the project")
        return None
    try:
        path = Path(os.path.realpath(project / said))
    except (OSError, ValueError):
        faults.append(f"{key}: this is no path")
        return None
    if project not in path.parents:
        raise Refused(HTTPStatus.BAD_REQUEST, "outside_project", f"{key}: leads out of the project")
    return path


def start(order: Order, project: Path) -> str:
    """Start what was ordered; gives the id of its run.

    Raises:
        Refused: it was not started, in the words of the program.
    """
    manifest = order.source
    if manifest.suffix not in MANIFESTS:
        manifest = project / "manifests" / f"{order.name}-{stamp(utc_now())}.jsonl"
        manifest.parent.mkdir(exist_ok=True)
        call(project, "manifest", "build", str(order.source), "-o", str(manifest))
    options = {"--concurrency-limit": order.together, "--limit": order.limit}
    counts = [word for name, count in options.items() if count is not None for word in (name, str(count))]
    submit = ("submit", str(order.config), "--name", order.name, "--manifest", str(manifest), *counts, "--detach")
    return str(call(project, *submit)["run"])


def call(project: Path, *words: str) -> dict[str, Any]:
    """What `hpc-qa` says to these words, with `--json`.

    Raises:
        Refused: it refused, could not, or took too long.
    """
    command = [sys.executable, "-P", "-m", "hpc_qa", "--project", str(project), *words, "--json"]
    # a session of its own: what it starts goes on when this program is ended from its terminal
    program = subprocess.Popen(
        command, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        out, _ = program.communicate(timeout=SUBMIT_S)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)
        program.communicate()
        why = f"{words[0]} took longer than {SUBMIT_S:.0f} s; what was converted stays, ask again"
        raise Refused(HTTPStatus.GATEWAY_TIMEOUT, "timeout", why) from None
    said = _document(out)
    if program.returncode == ExitCode.DONE and said:
        return said
    status, kind = STATUS_OF.get(program.returncode, (HTTPStatus.INTERNAL_SERVER_ERROR, "broke"))
    error = said.get("error") or {}
    why = "; ".join([*error.get("faults", ()), *filter(None, [error.get("hint")])])
    raise Refused(status, kind, why or f"hpc-qa {words[0]} ended with exit code {program.returncode}")


def _document(out: bytes) -> dict[str, Any]:
    try:
        said = json.loads(out)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
