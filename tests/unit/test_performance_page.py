"""`report --html` and `--plots`: the records beside what is asked of them, sound, small, in a real browser."""

import json
import re
import struct
from datetime import date
from xml.etree import ElementTree as ET

import pytest

from hpc_qa.bench.record import Record
from hpc_qa.bench.record_file import keep
from hpc_qa.cli.main import run as hpc_qa
from hpc_qa.config_file import load_project
from hpc_qa.ledger.samples import Device, Sample
from hpc_qa.report.document.material import Material, material
from hpc_qa.report.performance.files import DASHBOARD, charts, dashboard
from hpc_qa.report.performance.moments import MOST_POINTS, moments
from hpc_qa.report.performance.page import page
from hpc_qa.report.performance.settings import concurrency
from tests import browser
from tests.made_campaign import Campaign
from tests.made_records import years_of_records
from tests.made_runs import leave_traces
from tests.unit.test_budget_page import HOSTILE, read

RUNS = 500


@pytest.fixture(scope="module")
def years(tmp_path_factory) -> Material:
    project = tmp_path_factory.mktemp("years")
    years_of_records(project, RUNS)
    return material(project, load_project(project), today=date(2026, 12, 31))


@pytest.fixture(scope="module")
def document(years) -> str:
    return page(years)


def test_the_page_of_500_runs_is_sound_and_under_3_mb(document):
    found = read(document)
    assert len(document.encode()) < 3_000_000
    assert "Runs on record: 500" in found.text
    assert "The latest 100; hpc-qa report --json has the 400 before them." in found.text


def test_every_chart_has_the_lines_of_its_target(years):
    shown = {chart.name: str(chart.plot().wide) for chart in charts(years) if chart.draw}
    assert {"target 20", "critical 10"} <= set(re.findall(r">([a-z, ]+ \d[\d.]*)<", shown["throughput"]))
    assert {"aim 0.742", "target 0.692", "critical 0.69"} <= set(re.findall(r">([a-z, ]+ \d[\d.]*)<", shown["quality"]))
    assert {"target 217.6", "critical 243.2"} <= set(re.findall(r">([a-z, ]+ \d[\d.]*)<", shown["memory"]))
    assert {"target 60", "critical 20"} <= set(re.findall(r">([a-z, ]+ \d[\d.]*)<", shown["gpu_utilization"]))
    assert "target 20" in shown["concurrency"]


def test_what_no_run_has_is_said_and_not_drawn(tmp_path):
    keep(Record(id="bare"), tmp_path / "records")
    found = material(tmp_path, load_project(tmp_path))
    assert page(found) == page(found)
    assert [chart.name for chart in charts(found) if chart.draw is not None] == []
    assert "of no run it is known" in read(page(found)).text
    empty = material(tmp_path / "none", load_project(tmp_path))
    assert "No run is recorded yet" in read(page(empty)).text


def test_throughput_is_averaged_for_each_concurrency_limit(tmp_path):
    for number, (limit, throughput) in enumerate([(10, 4.0), (10, 6.0), (20, 9.0)]):
        record = {"id": f"r{number}", "configuration": {"concurrency_limit": limit},
                  "results": {"throughput_pdfs_per_hour": throughput}}  # fmt: skip
        keep(Record.model_validate(record), tmp_path / "records")
    said = concurrency(material(tmp_path, load_project(tmp_path))).said
    assert "10.0: 5.00 documents an hour; 20.0: 9.00 documents an hour" in said


def test_the_samples_of_the_newest_run_are_drawn_over_its_time(tmp_path):
    campaign = Campaign(tmp_path, 8)
    (attempt,) = campaign.done(0, 4).shard(0).attempts()
    attempt.attempt_json.unlink()
    attempt.stages.unlink()
    leave_traces(attempt)
    campaign.sync()
    found = material(tmp_path, load_project(tmp_path))
    (chart,) = [one for one in charts(found) if one.name == "utilisation"]
    assert attempt.name in chart.about
    assert "% busy" in str(chart.plot().wide)


def test_many_samples_become_few_points_and_nothing_is_said_of_what_is_not_known():
    device = Device("GPU-a", 50, 7_000_000_000, None, None)
    samples = [Sample(float(at), "serving", 2.0 * at, 3_000_000_000, (device,)) for at in range(5000)]
    found = moments(samples, cpus=4)
    assert len(found) <= MOST_POINTS
    assert {(one.cpu_percent, one.gpu_percent, one.memory_gb, one.gpu_memory_gb) for one in found} == {(50, 50, 3, 7)}
    bare = moments([Sample(float(at), None, None, None, ()) for at in range(3)], cpus=None)
    assert {one[1:] for one in bare} == {(None, None, None, None)}
    assert moments([Sample(0.0, None, 1.0, 1, ()), Sample(60.0, None, 1.0, 1, ())], cpus=1) == []


def test_plots_are_an_svg_each_and_a_dashboard_of_15_by_10_inches(tmp_path, capsys):
    years_of_records(tmp_path, 5)
    folder = tmp_path / "plots"
    assert hpc_qa(["--project", str(tmp_path), "report", "--plots", str(folder), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["records"]) == 5
    names = {path.name for path in folder.iterdir()}
    drawn = ("throughput", "quality", "memory", "gpu_utilization", "concurrency", "stages")
    assert names == {DASHBOARD, *(f"{name}.svg" for name in drawn)}
    picture = (folder / DASHBOARD).read_bytes()
    assert struct.unpack(">II", picture[16:24]) == (15 * 150, 10 * 150)
    for name in drawn:
        assert ET.parse(folder / f"{name}.svg").getroot().tag == "{http://www.w3.org/2000/svg}svg"
    assert dashboard(material(tmp_path, load_project(tmp_path))) == picture


def test_names_of_other_people_run_nothing_on_the_page(tmp_path):
    record = {"id": "r\x1b<b>", "batch": "<script>", "date": "<i>", "model": {"name": HOSTILE[:-1]},
              "results": {"throughput_pdfs_per_hour": 3.0}}  # fmt: skip
    keep(Record.model_validate(record), tmp_path / "records")
    assert "<script>" in read(page(material(tmp_path, load_project(tmp_path)))).text


def test_a_place_that_cannot_be_written_is_said(tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    assert hpc_qa(["--project", str(tmp_path), "report", "--plots", str(tmp_path / "file" / "plots")]) == 1
    assert hpc_qa(["--project", str(tmp_path), "report", "--html", str(tmp_path / "none" / "r.html")]) == 1
    assert "the page cannot be written" in capsys.readouterr().err


@pytest.mark.timeout(400)  # with the installation of the browser
@pytest.mark.parametrize("width", [1280, 360])
def test_in_a_browser_nothing_overflows_and_the_console_is_silent(tmp_path, document, width):
    browser.install()
    path = tmp_path / "r.html"
    path.write_text(document)
    assert browser.screenshot(path, tmp_path / "page.png", width, 900) == []
    shown, scrolls, reach = browser.widths(path, tmp_path, width)
    assert (shown, scrolls) == (width, width)
    assert reach <= width
