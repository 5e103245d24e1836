"""The budget as one HTML file: status in words, figures, plots, tables, notes. No script, no network, no other file.

The page shows what `budget --json` prints, number for number: `<data value>` holds each as it is there.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from markupsafe import Markup

import hpc_qa
from hpc_qa.errors import ExitCode
from hpc_qa.ledger.history import History
from hpc_qa.report.cells import interval, number, percent, text, total, visible
from hpc_qa.report.drawing import NO_ATTEMPT, Report
from hpc_qa.report.plots import all_plots
from hpc_qa.report.replaced import replace_file
from hpc_qa.report.tables import all_tables
from hpc_qa.units import plural

TEMPLATE = "page.html.j2"
HOURS = "GPU-hours"
# what each status says, and what `budget` returns to the shell
STATUS = {
    "within": ("Within the budget", "the corpus fits", ExitCode.DONE),
    "close": ("Close to the budget", "the corpus may fit, and may not", ExitCode.DONE),
    "over": ("Over the budget", "the corpus does not fit", ExitCode.NO),
    "undecided": ("Undecided", "there is not enough to say whether the corpus fits", ExitCode.UNDECIDED),
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One of the numbers that stand first."""

    name: str
    value: Markup
    about: Markup


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the bar of the budget, in percent of its length."""

    name: str
    begin: float
    length: float


def write_page(path: Path, report: Report, history: History) -> None:
    """Write the page, whole or not at all; a page that is there is replaced.

    Raises:
        StoreError: it cannot be written there.
    """
    replace_file(path, page(report, history).encode(), "page")


def page(report: Report, history: History) -> str:
    """The page as text: the same for the same report and history."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("hpc_qa", "report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    title, meaning, code = STATUS.get(str(report.get("status")), STATUS["undecided"])
    attempts = total([report.get(name) or {} for name in ("used", "local")], "attempts")
    if attempts == 0:
        title, meaning, code = "Nothing was used yet", "there is nothing to judge", ExitCode.DONE
    return environment.get_template(TEMPLATE).render(
        title=title,
        meaning=meaning,
        code=int(code),
        summary=_summary(report),
        bar=_bar(report),
        figures=_figures(report),
        plots=all_plots(report, history),
        tables=all_tables(report),
        notes=[visible(note) for note in _notes(report)],
        read_at=_minute(history.read_at),
        captured_at=history.captured_at and _minute(history.captured_at),
        attempts=attempts,
        version=hpc_qa.__version__,
    )


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _used(report: Report) -> float | None:
    return (report.get("used") or {}).get("gpu_hours")


def _committed(report: Report) -> float | None:
    return (report.get("committed") or {}).get("gpu_hours")


def _summary(report: Report) -> list[Markup]:
    """What is to be known first, in sentences."""
    budget, found = report.get("budget_gpu_hours"), report.get("forecast") or {}
    used = number(_used(report), HOURS)
    if budget is None:
        first = Markup("{} are used. No budget is set: budget.gpu_hours in project.yaml.").format(used)
    else:
        first = Markup("{} of {} are used, {} are promised to runs that wait or run, and {} are left.").format(
            number(_used(report)), number(budget, HOURS), number(_committed(report)), number(report.get("left"))
        )
    if found.get("p50") is None:
        why = f": {found['reason']}" if found.get("reason") else " yet"
        second = text(f"What the whole corpus will take is not known{why}.")
    else:
        second = Markup("The whole corpus is expected to take {}, and in nine of ten cases {}.").format(
            number(found["p50"], HOURS), interval(found)
        )
    over = report.get("remedies")
    if not over or over.get("over_by_p50", 0.0) <= 0:
        return [first, second]
    third = Markup("That is {} too many. An extension of {} would do with a probability of 95 %.").format(
        number(over.get("over_by_p50")), number(over.get("extension"), HOURS)
    )
    return [first, second, third]


def _figures(report: Report) -> list[Figure]:
    budget, found = report.get("budget_gpu_hours"), report.get("forecast") or {}
    pairs, each = found.get("qa_pairs"), report.get("per_accepted_pair") or {}
    of = text(HOURS) if budget is None else Markup("of {}").format(number(budget, HOURS))
    return [
        Figure("Used", number(_used(report)), of),
        Figure("Promised", number(_committed(report)), text("GPU-hours, to runs that wait or run")),
        Figure("Left", number(report.get("left")), text("GPU-hours, neither used nor promised")),
        Figure("Forecast", number(found.get("p50")), Markup("GPU-hours; 90 % interval {}").format(interval(found))),
        Figure("Fits", percent(found.get("p_within")), text("probability of the forecast")),
        Figure("Accepted pairs", number(pairs and pairs.get("p50"), digits=0),
               Markup("expected of the corpus; so far {}").format(number(each.get("pairs")))),
        Figure("Energy", number(report.get("energy_kwh")), text("kWh, of the GPUs that were sampled")),
    ]  # fmt: skip


def _bar(report: Report) -> list[Part]:
    """Used and promised of the budget, and where the forecast ends; nothing where they are not known."""
    budget, used = report.get("budget_gpu_hours"), _used(report)
    if not budget or used is None:
        return []
    found, promised = report.get("forecast") or {}, _committed(report) or 0.0
    scale = 100 / max(budget, used + promised, min(found.get("p95") or 0.0, 2 * budget))
    parts = [Part("used", 0.0, used * scale), Part("committed", used * scale, promised * scale)]
    if found.get("p50") is not None:
        low, high = (min(found[name] * scale, 100.0) for name in ("p05", "p95"))
        parts.append(Part("forecast", low, max(high - low, 0.4)))
    return [*parts, Part("limit", budget * scale, 0.0)]


def _notes(report: Report) -> list[str]:
    drift = (report.get("drift") or {}).get("words")
    notes = [str(note) for note in report.get("notes") or ()]
    if not (report.get("used") or {}).get("attempts"):
        notes.insert(0, NO_ATTEMPT)
    unknown = sum((report.get(name) or {}).get("attempts_unknown") or 0 for name in ("used", "local"))
    if unknown:
        notes.append(f"What was held is not known of {plural(unknown, 'attempt')}; they are in no sum.")
    local = report.get("local") or {}
    if local.get("attempts"):
        notes.append(
            f"{local['gpu_hours']:,.2f} GPU-hours in {plural(local['attempts'], 'attempt')} on this machine, "
            "not charged."
        )
    return [str(drift), *notes] if drift else notes
