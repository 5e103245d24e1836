"""The dashboard in Debian's Chromium: four plots over runs that work, refreshed; failures are shown and end nothing."""

import random
import re
import time
from collections.abc import Iterator

import pytest

from hpc_qa.report.dashboard_history import History
from hpc_qa.report.dashboard_server import DashboardServer
from tests.made_live import document, half_an_hour, live_attempt, pair
from tests.made_runs import planned_run
from tests.real_browser.chromium import Chromium, install
from tests.served_dashboard import address_of, served

pytestmark = pytest.mark.timeout(600)  # Chromium may have to be installed
PLOTS = ("documents_per_hour", "quality_score_avg", "memory_used_gb", "gpu_utilization_percent")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    install()
    one = Chromium(tmp_path_factory.mktemp("chromium"))
    yield one
    one.close()


def opened(browser: Chromium, server: DashboardServer, size: tuple[int, int] = (1280, 900)) -> None:
    browser.resize(*size)
    browser.console.clear()
    browser.open(address_of(server))
    browser.wait("document.body && document.body.dataset.refreshed === '1'")


def outputs(browser: Chromium) -> list[str]:
    return [str(browser.evaluate(f"document.querySelector('#{key} output').textContent")) for key in PLOTS]


def drawn(browser: Chromium, shape: str) -> list[int]:
    """How many of these each plot has."""
    return [int(browser.evaluate(f"document.querySelectorAll('#{key} svg {shape}').length")) for key in PLOTS]


def a_day(server: DashboardServer) -> None:
    """History as a day of work would leave it, with a reading that failed."""
    draw, now = random.Random(1), time.time()
    for number in range(2880):
        at = now - 30 * (2880 - number)
        works = not 900 < number < 1100
        point = {
            "t": at,
            "documents_per_hour": 18 + 6 * draw.random() if works else None,
            "quality_score_avg": 0.72 + 0.04 * draw.random() if works else None,
            "memory_used_gb": (100 + 20 * number / 2880 + draw.random()) if works else None,
            "memory_allocated_gb": 128.0 if works else None,
            "gpu_utilization_percent": 40 + 40 * draw.random() if works else None,
            "error": "runs: cannot be listed" if number in (500, 505) else None,
        }
        server.history._points.append(point)


def test_the_four_plots_are_there_and_refresh_by_themselves(browser, tmp_path):
    run = planned_run(tmp_path, [["a"], ["b"]], hardware={"ram_gb": 64.0})
    half_an_hour(run, [pair(0.8), document(), document(), document("failed")], gpus=(70,))
    with served(tmp_path, history=History(tmp_path, every_s=1.0), polled=True) as server:
        opened(browser, server)
        assert outputs(browser) == ["6.0", "0.800", "8.0 GB", "70 %"]
        assert drawn(browser, "path.measured") == [1, 1, 1, 1]
        assert drawn(browser, "path.limit") == [2, 2, 2, 0]
        assert drawn(browser, "rect.band") == [0, 0, 0, 1]
        said = str(browser.evaluate("document.querySelector('main').textContent"))
        names = ["target 20", "critical 10", "baseline 0.742", "critical 0.69"]
        names += ["85 % of what is allocated: 54.4 GB", "95 % of what is allocated: 60.8 GB", "wanted 60 to 100 %"]
        assert [name for name in names if name not in said] == []
        inside = "[...document.querySelectorAll('svg text')].every((one) => one.getBBox().y >= 0)"
        assert browser.evaluate(inside)  # no label is cut off at the top
        half_an_hour(run, [pair(0.4), document(), document()], shard=1, gpus=(10,))
        browser.wait("document.querySelector('#documents_per_hour output').textContent === '10.0'")
        assert outputs(browser) == ["10.0", "0.600", "16.0 GB", "40 %"]
        assert browser.evaluate("document.getElementById('documents').textContent") == "5 of 8"
        assert browser.console == []


def test_what_is_not_measured_is_said_and_no_line_is_drawn_at_zero(browser, tmp_path):
    run = planned_run(tmp_path, [["a"]])
    _, live = live_attempt(run, resident_bytes=None)
    live.write()
    with served(tmp_path) as server:
        server.history.poll()
        opened(browser, server)
        assert outputs(browser) == ["not measured"] * 4
        assert drawn(browser, "path.measured, circle") == [0, 0, 0, 0]
        assert drawn(browser, "text.nothing") == [1, 1, 1, 1]
        assert browser.console == []


def test_a_day_is_drawn_with_its_gaps_and_the_readings_that_failed(browser, tmp_path):
    planned_run(tmp_path, [["a"]])
    with served(tmp_path) as server:
        a_day(server)
        began = time.monotonic()
        opened(browser, server)
        assert time.monotonic() - began < 20
        paths = [
            str(browser.evaluate(f"document.querySelector('#{key} path.measured').getAttribute('d')")) for key in PLOTS
        ]
        assert [len(re.findall("M", one)) for one in paths] == [2, 2, 2, 2]
        assert drawn(browser, "line.failed") == [2, 2, 2, 2]
        browser.screenshot(tmp_path / "day.png")
        for size in ((360, 740), (800, 1000), (1280, 900)):
            browser.resize(*size)
            assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth"), size
        assert browser.console == []


def test_a_server_that_has_gone_is_said_and_the_plots_stay(browser, tmp_path):
    run = planned_run(tmp_path, [["a"]])
    half_an_hour(run, [document()])
    with served(tmp_path, history=History(tmp_path, every_s=0.5), polled=True) as server:
        opened(browser, server)
    browser.wait("document.getElementById('message').textContent.includes('the server does not answer; asking again')")
    assert drawn(browser, "path.measured")[0] == 1
