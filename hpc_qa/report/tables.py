"""The tables of the page, from the report as `budget --json` prints it: rows of cells that are safe and exact."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from hpc_qa.budget.charging import REASONS
from hpc_qa.budget.cost import QUANTITIES
from hpc_qa.budget.reconciliation import NAMES
from hpc_qa.report.cells import NOT_KNOWN, decimals, identifier, number, percent, text, total, visible
from hpc_qa.report.drawing import NO_ATTEMPT, Report
from hpc_qa.report.waterfall import STAGES
from hpc_qa.units import plural

Rows = Sequence[tuple[Markup, ...]]

MOST_ROWS = 100  # of runs and batches; a page with all of a large project could not be read
HOURS = "GPU-hours"
USED = ("attempts", HOURS)
GAVE = ("accepted pairs", "GPU-hours a pair", "kWh a pair")
UNKNOWN = Markup("<small>{} not known</small>")
GAP = Markup('<span class="gap">{}</span>')


@dataclass(frozen=True, slots=True)
class Table:
    """A table for the page; without rows it says what is missing."""

    name: str
    title: str
    headings: tuple[str, ...]
    rows: Rows
    missing: str
    about: str = ""
    words: frozenset[int] = frozenset({0})  # columns that are no numbers

    @property
    def columns(self) -> list[tuple[int, str, bool]]:
        """Place, heading, and whether it holds numbers."""
        return [(place, heading, place not in self.words) for place, heading in enumerate(self.headings)]


def all_tables(report: Report) -> list[Table]:
    """In the order in which they are read."""
    found = [_forecast(report), _remedies(report), _liens(report), _batches(report), _runs(report), _states(report),
             _stages(report), _three_numbers(report), _per_pair(report), _costs(report), _site(report)]  # fmt: skip
    return [table for table in found if table is not None]


def _forecast(report: Report) -> Table:
    found = report.get("forecast") or {}
    spread = {name: found.get(name) for name in ("p05", "p50", "p95")}
    quantities = (
        ("GPU-hours of the whole corpus", None if spread["p50"] is None else spread, None),
        ("wall hours with GPUs held", found.get("wall_hours"), None),
        ("accepted pairs", found.get("qa_pairs"), 0),
    )
    rows = [
        (text(name), *(number(values.get(place), digits=digits) for place in ("p05", "p50", "p95")))
        for name, values, digits in quantities
        if values
    ]
    done, of = found.get("documents_done"), found.get("documents_total")
    about = []
    if of:
        tasks = plural(found.get("tasks_done") or 0, "array task")
        about.append(f"Made from {done or 0:,} of {plural(of, 'document')} in {tasks}.")
    if found.get("naive") is not None:
        about.append(f"The plain rule, documents x mean x 1.10, says {found['naive']:,.1f} GPU-hours.")
    if (more := found.get("more_documents_to_decide")) is not None:
        about.append(f"About {plural(more, 'more document has', 'more documents have')} to be done to decide.")
    if found.get("method"):
        about.append(f"Method: {found['method']}.")
    return Table(
        "forecast", "Forecast", ("", "5th percentile", "expected", "95th percentile"), rows,
        found.get("reason")
        or "There is no forecast yet: it needs at least two documents that are done, and a corpus in project.yaml.",
        " ".join(about),
    )  # fmt: skip


def _remedies(report: Report) -> Table | None:
    found = report.get("remedies")
    if not found:
        return None
    rows = [
        (text(row["setting"]), number(row["gpu_hours"]), text("yes" if row["enough"] else "no"))
        for row in found.get("savings") or ()
    ]
    about = Markup("It is expected to be over by {}. An extension of {} would do with a probability of 95 %.").format(
        number(found.get("over_by_p50"), HOURS), number(found.get("extension"), HOURS)
    )
    return Table(
        "remedies", "What would make it fit", ("setting", "GPU-hours saved", "enough"), rows,
        "No setting is known that would save GPU-hours.", about, frozenset({0, 2}),
    )  # fmt: skip


def _liens(report: Report) -> Table | None:
    promised = report.get("committed") or {}
    rows = [(identifier(run),) for run in promised.get("runs") or ()]
    about = Markup("Up to {} in all, until their array tasks have ended.").format(
        number(promised.get("gpu_hours"), HOURS)
    )
    return Table("committed", "Promised to runs that wait or run", ("run",), rows, "", about) if rows else None


def _batches(report: Report) -> Table:
    found = report.get("batches") or ()
    digits = decimals(row.get("cumulative") for row in found)
    rows = [
        (text(row.get("batch") or "no batch"), text(_count(row.get("runs"))), number(row.get("attempts")),
         number(row.get("documents")),
         *(number(row.get(name), digits=digits) for name in ("gpu_hours", "cumulative", "remaining")))
        for row in found
    ]  # fmt: skip
    headings = ("batch", "runs", "attempts", "documents", HOURS, "cumulative", "remaining")
    missing = "No run of a batch has used GPU-hours yet: hpc-qa manifest batch makes batches."
    return Table("batches", "Batches", headings, rows[-MOST_ROWS:], missing, _cut(len(rows), "the latest"))


def _count(runs: object) -> str:
    return f"{len(runs):,}" if isinstance(runs, Sequence) else NOT_KNOWN


def _runs(report: Report) -> Table:
    found = sorted(report.get("runs") or (), key=lambda row: -(row.get("gpu_hours") or 0.0))
    digits = _digits(found)
    rows = [(identifier(row.get("run")), *_used(row, digits), *_gave(row)) for row in found[:MOST_ROWS]]
    if rest := found[MOST_ROWS:]:
        sums = {name: total(rest, name) for name in ("attempts", "gpu_hours", "attempts_unknown", "accepted")}
        rows.append((text(f"{len(rest):,} more"), *_used(sums, digits), *_gave(sums)))
    return Table("runs", "Runs", ("run", *USED, *GAVE), rows, NO_ATTEMPT, _cut(len(found), "the largest"))


def _gave(row: Report) -> tuple[Markup, ...]:
    """Accepted pairs, and what one took."""
    each = row.get("per_accepted_pair") or {}
    return number(row.get("accepted")), number(each.get("gpu_hours")), number(each.get("energy_kwh"))


def _used(row: Report, digits: int | None) -> tuple[Markup, ...]:
    """Attempts and GPU-hours, with the attempts that are not in the sum because it is not known what they held."""
    attempts, unknown, hours = (
        row.get("attempts"),
        row.get("attempts_unknown"),
        number(row.get("gpu_hours"), digits=digits),
    )
    if unknown:
        hours = text(None) if unknown == attempts else hours + UNKNOWN.format(number(unknown))
    return number(attempts), hours


def _digits(rows: Iterable[Report]) -> int | None:
    return decimals(row.get("gpu_hours") for row in rows)


def _cut(count: int, which: str) -> str:
    return f"Of {count:,}, {which} {MOST_ROWS}; budget --json has all." if count > MOST_ROWS else ""


def _states(report: Report) -> Table:
    measures = ("cpu_efficiency", "memory_efficiency", "gpu_utilization")
    digits = _digits(report.get("states") or ())
    rows = [
        (text(row.get("state")), *_used(row, digits), *(percent(row.get(name)) for name in measures))
        for row in report.get("states") or ()
    ]
    headings = ("state", *USED, "CPU efficiency", "memory efficiency", "GPU utilisation")
    return Table("states", "States in which attempts ended", headings, rows, NO_ATTEMPT)


def _stages(report: Report) -> Table:
    digits = _digits(report.get("stages") or ())
    rows = [
        (text(STAGES.get(str(row.get("stage")), row.get("stage"))), number(row.get("gpu_hours"), digits=digits),
         percent(row.get("share")))
        for row in report.get("stages") or ()
    ]  # fmt: skip
    if not (report.get("used") or {}).get("attempts"):
        rows = []
    return Table("stages", "Stages", ("stage", HOURS, "of what was allocated"), rows, NO_ATTEMPT)


def _three_numbers(report: Report) -> Table:
    found, rows = report.get("reconciliation") or {}, list[tuple[Markup, ...]]()
    allocated = found.get("gpu_hours_allocated")
    digits = decimals([allocated])
    for name in ("charged", "busy") if found else ():
        gaps = found.get(f"allocated_to_{name}") or {}
        if gaps or not rows:
            rows.append((text("allocated"), number(allocated, digits=digits)))
        rows += [
            (GAP.format(NAMES.get(gap, visible(gap))), number(hours, digits=digits)) for gap, hours in gaps.items()
        ]
        rows.append((text(name), number(found.get(f"gpu_hours_{name}"), digits=digits)))
    about = "What lies between them has names, and the gaps sum to the differences exactly."
    for why, count in found.get("charge_unknown", {}).items():
        about += f" Charge not known of {plural(count, 'attempt')}: {REASONS.get(why, why)}."
    return Table("three-numbers", "Allocated, charged and busy", ("", HOURS), rows,
                 "The three numbers are not known here.", about)  # fmt: skip


def _per_pair(report: Report) -> Table:
    found, rows = report.get("per_accepted_pair") or {}, []
    if not found.get("note"):
        words = {**QUANTITIES, "money": found.get("currency") or "money"}
        rows = [(text(words[name]), number(found[name])) for name in words if name in found]
    about = f"Of {found['pairs']:,} accepted pairs; failed attempts and start-ups included." if rows else ""
    return Table("per-pair", "For each accepted pair", ("", "each"), rows,
                 found.get("note") or "It is not known what an accepted pair took.", about)  # fmt: skip


def _costs(report: Report) -> Table:
    rows, found = [], report.get("costs") or ()
    whole = max((row.get("expected") or 0.0 for row in found), default=0.0) >= 100
    for row in found:
        amounts = [
            number(row.get(key), digits=0 if whole else None) for key in ("best", "expected", "worst", "savings")
        ]
        rate = number(row.get("per_gpu_hour"), row.get("currency") or "", 2)
        if row.get("per_gpu_hour") is None:  # it is known: nothing is charged
            rate, *amounts = [text("\u2013")] * 5
        rows.append((_place(row), rate, *amounts))
    about = (
        "What the whole corpus costs at the 5th percentile, the middle and the 95th of the forecast; saved is what the "
        "campus saves against it. A price is stale 90 days after it was read."
    )
    headings = ("where", "a GPU-hour", "best", "expected", "worst", "saved")
    return Table("costs", "Cost", headings, rows, "No prices were compared.", about)


def _place(row: Report) -> Markup:
    """Where something is rented; when and where its price was read, and what is not comparable."""
    name = text(" ".join(str(row[key]) for key in ("provider", "instance", "region") if row.get(key)))
    notes = [text(note) for note in row.get("notes") or () if not str(note).startswith("stale")]
    if row.get("observed_on"):
        notes.insert(0, Markup("read {}").format(text(row["observed_on"])))
    if row.get("stale"):
        notes.insert(0, Markup("<strong>stale</strong>"))
    if row.get("source"):
        notes.append(text(row["source"]))
    return Markup("{}<small>{}</small>").format(name, Markup("; ").join(notes)) if notes else name


def _site(report: Report) -> Table | None:
    found = report.get("site_limit")
    if not found:
        return None
    whose = f"account {found.get('account')}" + (f", user {found['user']}" if found.get("user") else "")
    names = ("limit", "used", "reserved", "left")
    row = (text(whose), *(number(found.get(f"{name}_gpu_hours")) for name in names))
    return Table("site", "The site\u2019s own limit", ("of", *names), [row], "", "GPU-hours, as Slurm counts them.")
