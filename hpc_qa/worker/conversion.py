"""One array task of a conversion: lines of a manifest become Markdown and chunks in the document cache, on CPUs.

What `python -m hpc_qa.worker` does in the folder of a conversion. It holds no server and no Ray. It answers 0 (all its
documents have ended, well or not), 3 (stopped) or 1 (broke); what is in the cache by then is not converted again.
"""

import itertools
import json
import logging
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from types import FrameType

from hpc_qa.config import Config
from hpc_qa.documents.cache import converter_key
from hpc_qa.documents.convert import Conversion, convert_all
from hpc_qa.documents.stage_record import StageRecord
from hpc_qa.errors import ConfigError, ExitCode, HpcQaError
from hpc_qa.manifest import Entry, entry_from
from hpc_qa.slurm.environment import end_time_s
from hpc_qa.store.conversion_directory import ConversionDirectory
from hpc_qa.store.files import exists, storage_error
from hpc_qa.store.trust import check_conversion, check_project
from hpc_qa.units import iso, parse_clock, utc_now
from hpc_qa.worker.again import requeue_within
from hpc_qa.worker.parent import end_with_parent
from hpc_qa.worker.progress import ProgressFile
from hpc_qa.worker.stopping import TIME_LIMIT, Stopping

log = logging.getLogger("hpc_qa.worker")
STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2, signal.SIGALRM)
PROGRESS_EVERY_S = 5.0


class _Stopped(BaseException):
    """Raised by a signal wherever the main thread is, like KeyboardInterrupt; the reason is its text."""


def main(conversion: ConversionDirectory, task: int) -> int:
    """The exit code of one array task."""
    os.umask(0o077)
    _log_to_job()
    end_with_parent(Stopping())
    try:
        for number in STOPS:
            signal.signal(number, _stop)
        convert_task(conversion, task)
    except _Stopped as stop:
        log.warning("stopped (%s); what is converted stays", stop)
        facts = conversion.facts()
        requeue_within(int(facts["config"]["slurm"]["max_requeues"]), reason=str(stop), goes_on=_goes_on(facts))
        return ExitCode.INCOMPLETE
    except HpcQaError as error:
        for fault in error.faults:
            log.error("%s", fault)
        if error.hint:
            log.error("  try: %s", error.hint)
        return ExitCode.OUTSIDE
    return ExitCode.DONE


def _stop(number: int, _frame: FrameType | None) -> None:
    for each in STOPS:  # once is enough: it is cleaned up now
        signal.signal(each, signal.SIG_IGN)
    raise _Stopped(TIME_LIMIT if number == signal.SIGALRM else signal.Signals(number).name)


def convert_task(conversion: ConversionDirectory, task: int) -> None:
    """Convert the documents of one array task and write how they ended.

    Raises:
        HpcQaError: this node has other versions of the converters, or the cache cannot be written.
    """
    check_conversion(conversion)
    facts = conversion.facts()
    if exists(conversion.outcome(task)):
        log.info("task %d has ended before", task)
        return
    config, project = _config(facts), Path(facts["project"])
    check_project(project, project / config.documents.cache)
    if (key := converter_key(config, project)) != facts["converter_key"]:
        raise ConfigError(
            f"the converter here is {key}, and {facts['converter_key']} where this was submitted: other versions of "
            "its libraries, or another tokenizer",
            hint="use one environment on login node and compute nodes (slurm.python, slurm.setup), and submit again",
        )
    end_s, lead_s = end_time_s(), parse_clock(config.slurm.stop_before_end)
    if end_s is not None:
        signal.setitimer(signal.ITIMER_REAL, max(0.1, end_s - lead_s - time.time()))
    entries = _entries(conversion.path / facts["manifest"], *facts["tasks"][task])
    log.info("task %d: %d documents, %d at once", task, len(entries), config.documents.processes)
    counts, record = _Counts(conversion, task, len(entries)), StageRecord()
    results = convert_all(entries, config, project=project, on_done=counts, record=record)
    failed = {one.doc_id: one.reason or "conversion" for one in results if one.status != "ok"}
    conversion.add_outcome(
        task, {"documents": len(results), "failed": failed, "at": iso(utc_now()), "took": record.summary()}
    )
    for line in record.describe():
        log.info("task %d: %s", task, line)
    log.info("task %d: %d ok, %d failed", task, len(results) - len(failed), len(failed))


def _config(facts: dict[str, object]) -> Config:
    """The frozen config, with as many documents at once as the array task has CPUs."""
    config = Config.model_validate(facts["config"])
    at_once = config.documents.processes or config.slurm.convert.cpus_per_task
    return config.model_copy(update={"documents": config.documents.model_copy(update={"processes": at_once})})


def _entries(manifest: Path, first: int, end: int) -> list[Entry]:
    """The entries of these lines, counted from 0."""
    try:
        with manifest.open("rb") as lines:
            return [entry_from(json.loads(line)) for line in itertools.islice(lines, first, end)]
    except OSError as exc:
        raise storage_error(manifest, "cannot be read", exc) from exc


class _Counts:
    """Counts how documents end, and lets people see it."""

    def __init__(self, conversion: ConversionDirectory, task: int, documents: int) -> None:
        self._file = ProgressFile(conversion.progress(task), clock=time.monotonic, every_s=PROGRESS_EVERY_S)
        self._documents = documents
        self._ended: Counter[str] = Counter()

    def __call__(self, one: Conversion) -> None:
        self._ended[one.status] += 1
        if one.status != "ok" and not one.cached:
            log.info("%s: %s: %s", one.doc_id, one.reason, one.detail)
        self._file.write_if_due(lambda: {"documents": self._documents, **self._ended})


def _goes_on(facts: dict[str, object]) -> str:
    return f"hpc-qa resume {facts['run']} continues" if facts["run"] else "hpc-qa convert CONFIG continues"


def _log_to_job() -> None:
    """Our log goes to the output of the job."""
    formatter = logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter)
    root = logging.getLogger("hpc_qa")
    root.setLevel(logging.INFO)
    root.addHandler(handler)
