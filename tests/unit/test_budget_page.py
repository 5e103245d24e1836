"""`budget --html`: one page that says what the JSON says, whatever the names in it, in a real browser as well."""

import json
import os
import re
import stat
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import pytest

from hpc_qa.cli.forecast import ANSWERS
from hpc_qa.cli.main import run
from hpc_qa.errors import StoreError
from hpc_qa.ledger.history import History
from hpc_qa.report.burn_down import outlook
from hpc_qa.report.page import STATUS, page, write_page
from tests import browser
from tests.made_budget import made_budget, with_everything

VOID = {"meta", "link", "br", "img", "hr"}
HOSTILE = "<script>alert(1)</script>&\"' $\\frac{x$ \x1b[2J\u202e\udcff"
NOTHING = History(datetime(2026, 1, 2, 3, 4, tzinfo=UTC), None, (), (), 0.0, {})


class Reader(HTMLParser):
    """Every number and every piece of text, and what is wrong with the tags."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.faults: list[str] = []
        self.ids: list[str] = []
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.numbers: set[float] = set()
        self.text = ""
        self.feed(document)
        self.close()
        self.faults += [f"<{tag}> is not closed" for tag in self.open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.add(tag)
        if len(found) < len(attrs):
            self.faults.append(f"<{tag}> has an attribute twice")
        if "id" in found:
            self.ids.append(str(found["id"]))
        self.addresses += [str(found[name]) for name in ("href", "src", "xlink:href") if name in found]
        self.faults += [f"<{tag} {name}>" for name in found if name.startswith("on")]
        if tag == "data":
            self.numbers.add(float(str(found["value"])))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> at {self.getpos()}")

    def handle_data(self, data: str) -> None:
        self.text += data


def read(document: str) -> Reader:
    """The page, which must be sound: tags in order, no id twice, nothing that runs or is loaded from elsewhere."""
    found = Reader(document)
    assert found.faults == []
    assert len(found.ids) == len(set(found.ids))
    assert not found.tags & {"script", "iframe", "object", "embed", "img", "base", "form"}
    assert [one for one in found.addresses if not one.startswith("#") and one != "data:,"] == []
    assert not re.search(r"@import|url\((?!#)", document)
    assert {place[1:] for place in found.addresses if place.startswith("#")} <= set(found.ids)
    assert {*re.findall(r"url\(#([^)]+)\)", document)} <= set(found.ids)
    assert len(document.encode()) < 1_000_000
    return found


def numbers_of(document: Any) -> set[float]:
    """Every number in a JSON document."""
    if isinstance(document, dict | list):
        return set().union(*map(numbers_of, document.values() if isinstance(document, dict) else document))
    return {float(document)} if isinstance(document, int | float) and not isinstance(document, bool) else set()


@pytest.fixture(scope="module")
def campaign(tmp_path_factory) -> tuple[dict[str, Any], History]:
    project = tmp_path_factory.mktemp("campaign")
    report, found = made_budget(project, budget=250.0)
    return with_everything(project, report), found


@pytest.fixture(scope="module")
def whole_page(campaign) -> str:
    return page(*campaign)


def test_every_number_of_the_page_is_one_of_the_json_and_those_that_matter_are_all_there(campaign, whole_page):
    report, _ = campaign
    said = read(whole_page)
    assert said.numbers <= numbers_of(report)
    forecast = report["forecast"]
    matter = [report["used"]["gpu_hours"], report["left"], report["committed"]["gpu_hours"], report["energy_kwh"],
              forecast["p05"], forecast["p50"], forecast["p95"], forecast["p_within"], *forecast["wall_hours"].values(),
              *report["reconciliation"]["allocated_to_busy"].values(), report["remedies"]["extension"]]  # fmt: skip
    for rows, names in (
        ("runs", ("attempts", "gpu_hours")),
        ("batches", ("documents", "gpu_hours", "cumulative", "remaining")),
        ("states", ("gpu_hours", "cpu_efficiency", "memory_efficiency", "gpu_utilization")),
        ("stages", ("gpu_hours", "share")),
    ):
        matter += [row[name] for row in report[rows] for name in names]
    matter += [row[name] for row in report["costs"][1:] for name in ("per_gpu_hour", "best", "expected", "worst")]
    assert set(map(float, matter)) <= said.numbers


def test_over_the_budget_it_says_by_how_much_what_helps_and_how_the_command_ends(campaign, whole_page):
    said = read(whole_page)
    text = " ".join(said.text.split())
    assert "Over the budget 104.6 of 250.0 GPU-hours are used" in text
    assert "That is 73.6 too many. An extension of 127.2 GPU-hours would do" in text
    assert "ends with exit code 4: the corpus does not fit" in text
    assert re.search(r"qa\.judge: false\s*[\d.]+\s*no", text)
    assert text.count("stale; read 202") == len([row for row in campaign[0]["costs"] if row["stale"]]) > 3


def test_the_same_figures_give_the_same_page(campaign, whole_page):
    assert page(*campaign) == whole_page


def test_names_and_notes_of_other_people_are_text_and_nothing_else(campaign):
    report, found = campaign
    hostile = json.loads(json.dumps(report))
    for rows, name in (("runs", "run"), ("batches", "batch"), ("states", "state"), ("stages", "stage")):
        hostile[rows][0][name] = HOSTILE
    hostile |= {"notes": [HOSTILE], "drift": {"words": HOSTILE}, "committed": {"gpu_hours": 1.5, "runs": [HOSTILE]}}
    hostile["costs"][1] |= {"provider": HOSTILE, "source": HOSTILE, "notes": [HOSTILE]}
    states = {HOSTILE: found.efficiencies["cpu_efficiency"]["COMPLETED"]}
    said = read(page(hostile, replace(found, efficiencies={"cpu_efficiency": states})))
    assert said.text.count("<script>alert(1)</script>&\"' $\\frac{x$ \\x1b[2J\\u202e\\udcff") >= 8
    assert "\x1b" not in said.text


@pytest.mark.parametrize(
    ("report", "title"),
    [({"used": {"attempts": 0, "gpu_hours": 0.0, "attempts_unknown": 0}}, "Nothing was used yet"), ({}, "Undecided")],
)
def test_of_an_empty_ledger_every_plot_says_what_is_missing_and_what_is_not_known_is_no_zero(report, title):
    said = read(page(report, NOTHING))
    assert "svg" not in said.tags
    assert said.text.count("No attempt is in the ledger yet: hpc-qa ledger sync") > 5
    assert title in said.text
    assert said.numbers == numbers_of(report)
    assert said.text.count("not known") > 5


def test_null_is_shown_as_not_known(campaign):
    report, found = campaign
    less = report | {
        "states": [row | {"cpu_efficiency": None} for row in report["states"]],
        "runs": [{"run": "a", "attempts": 2, "gpu_hours": 0.0, "attempts_unknown": 2}],
        "energy_kwh": None,
    }
    said = read(page(less, found))
    assert re.search(r"Energy\s*not known", said.text)
    assert re.search(r"a\s*2\s*not known\s*", said.text)
    assert re.search(r"COMPLETED\s*15\s*71\.90\s*not known", said.text)


def test_without_a_budget_it_shows_what_was_used_and_that_none_is_set(campaign):
    report, found = campaign
    none = report | {"budget_gpu_hours": None, "left": None, "status": "undecided", "remedies": None}
    none["batches"] = [row | {"remaining": None} for row in report["batches"]]
    said = read(page(none, found))
    assert "No budget is set: budget.gpu_hours in project.yaml" in said.text
    assert "GPU-hours used over time" in said.text
    assert "budget used up" not in said.text
    assert "exit code 5" in said.text


def test_without_a_forecast_there_is_no_fan_and_it_says_what_one_needs(campaign):
    report, found = campaign
    nothing = report["forecast"] | dict.fromkeys(("p05", "p50", "p95", "p_within", "wall_hours", "qa_pairs", "naive"))
    said = read(page(report | {"forecast": nothing, "remedies": None, "status": "undecided"}, found))
    assert "There is no forecast yet: it needs documents that are done" in said.text
    assert "p95" not in said.text


def test_what_the_fan_takes_is_what_the_forecast_has_left_of_its_wall_hours():
    wall = {"p05": 30.0, "p50": 40.0, "p95": 60.0}  # 4 GPUs at once, 20 hours so far
    forecast = {"p05": 100.0, "p50": 140.0, "p95": 220.0, "spent_gpu_hours": 60.0, "wall_hours": wall}
    found = outlook({"forecast": forecast})
    assert found is not None
    assert found.hours == 20.0
    unknown = outlook({"forecast": forecast | {"wall_hours": None}})
    assert unknown is not None
    assert unknown.hours is None


def test_a_forecast_as_wide_as_it_can_be_leaves_a_plot_that_can_be_read(campaign):
    report, found = campaign
    wide = report["forecast"] | {"p95": 1e11, "wall_hours": {"p05": 1.0, "p50": 1e9, "p95": 1e12}}
    assert "p95 \u221299,999,999,750" in read(page(report | {"forecast": wide}, found)).text


def test_every_status_says_the_exit_code_of_the_command():
    assert {status: code for status, (_, _, code) in STATUS.items()} == ANSWERS


def test_a_page_is_replaced_as_a_whole_is_private_and_a_folder_that_cannot_take_it_is_named(tmp_path):
    path = tmp_path / "budget.html"
    path.write_text("old")
    write_page(path, {}, NOTHING)
    assert path.read_text() == page({}, NOTHING)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["budget.html"]
    (tmp_path / "taken").mkdir()
    for place in (tmp_path / "nowhere" / "b.html", tmp_path / "taken"):
        with pytest.raises(StoreError, match="the page cannot be written") as caught:
            write_page(place, {}, NOTHING)
        assert "the same command again" in str(caught.value.hint)
    assert sorted(os.listdir(tmp_path)) == ["budget.html", "taken"]


def test_the_command_writes_the_page_beside_what_it_prints(tmp_path, capsys):
    (tmp_path / "project.yaml").write_text("budget:\n  gpu_hours: 20\n")
    path = tmp_path / "b.html"
    assert run(["--project", str(tmp_path), "budget", "--html", str(path), "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["budget_gpu_hours"] == 20
    assert f"page       {path}" in captured.err
    assert "Nothing was used yet" in read(path.read_text()).text
    assert run(["--project", str(tmp_path), "budget", "--html", str(tmp_path / "no" / "b.html"), "--json"]) == 1
    assert "cannot be written" in json.loads(capsys.readouterr().out)["error"]["faults"][0]
    assert run(["--project", str(tmp_path), "budget", "--html", str(path), "forecast"]) == 2


def test_budget_without_a_page_loads_no_matplotlib(tmp_path):
    program = "import sys; from hpc_qa.cli.main import run; run(sys.argv[1:]); sys.exit('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program, "--project", str(tmp_path), "budget"], check=False)
    assert done.returncode == 0


@pytest.fixture(scope="module")
def chromium() -> None:
    browser.install()


@pytest.mark.timeout(400)  # with the installation of the browser
@pytest.mark.parametrize("width", [1280, 360])
def test_in_a_browser_nothing_overflows_and_the_console_is_silent(tmp_path, campaign, chromium, width):
    report, found = campaign
    report = report | {"runs": [{"run": "x" * 200, "attempts": 1, "gpu_hours": 1.0}], "notes": ["/" + "long" * 100]}
    path, picture = tmp_path / "budget.html", tmp_path / "page.png"
    write_page(path, report, found)
    assert browser.screenshot(path, picture, width, 900) == []
    shown, scrolls, reach = browser.widths(path, tmp_path, width)
    assert shown == width
    assert max(scrolls, reach) <= width
    assert picture.stat().st_size > 20_000  # an empty page of this size has 5 kB
