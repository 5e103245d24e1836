"""The page of a review in Debian's Chromium: rated by keyboard alone, reloaded, finished; nothing hostile runs."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpc_qa.campaign.review_ratings import read_ratings
from hpc_qa.campaign.review_sample import kept_sample
from hpc_qa.cli.main import run as hpc_qa
from hpc_qa.store.merge import commit_shard
from hpc_qa.store.run_directory import RunDirectory
from tests.made_runs import attempt, chunk, document, finished_run, pair, planned_run
from tests.projects import spawn
from tests.real_browser.chromium import Chromium, install
from tests.served_review import address_of, served

pytestmark = pytest.mark.timeout(600)  # Chromium may have to be installed
NARROW, WIDE = (360, 740), (1280, 800)
HOSTILE = [
    "<script>document.title='owned'</script>",
    "</textarea></script><img src=x onerror=\"document.title='owned'\">",
    "</style><svg onload=alert(1)>",
    "javascript:alert(1) [link](javascript:alert(1)) ![](http://evil.example/x.png)",
    "{{ 7*7 }} {% raw %} ${7*7} \\u003cscript\\u003e",
    "right \u202eto left\u202c \x00\x1b[2J\u200b zero \ud83d",
    "| <b>bold</b> | cell\\| |\n|---|---|\n| <iframe src=//evil.example> | two |",
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    install()
    one = Chromium(tmp_path_factory.mktemp("chromium"))
    yield one
    one.close()


class Program:
    """`hpc-qa review` as a process, and the address that it printed."""

    def __init__(self, project: Path, run: RunDirectory) -> None:
        self._said = project / "said"
        with self._said.open("wb") as said:
            self.process = spawn(project, "review", run.run_id, "--reviewer", "ann", stdout=said, stderr=said)
        until = time.monotonic() + 30
        while not (found := re.search(r"http://\S+", self.said)):
            assert self.process.poll() is None, self.said
            assert time.monotonic() < until
            time.sleep(0.05)
        self.address = found[0]

    @property
    def said(self) -> str:
        return self._said.read_text()


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return finished_run(tmp_path, [["a", "b"]])


@pytest.fixture
def program(tmp_path: Path, run: RunDirectory) -> Iterator[Program]:
    one = Program(tmp_path, run)
    yield one
    one.process.terminate()
    one.process.wait(20)


def opened(browser: Chromium, address: str, size: tuple[int, int] = WIDE) -> None:
    """The page at its first pair, with nothing said on the console so far."""
    browser.resize(*size)
    browser.console.clear()
    browser.open(address)
    browser.wait("location.search && !document.getElementById('rating').hidden && document.querySelector('fieldset')")


def text(browser: Chromium, name: str) -> str:
    return str(browser.evaluate(f"document.getElementById('{name}').textContent"))


def done(browser: Chromium, count: int) -> None:
    """Until so many pairs are done."""
    browser.wait(f"document.getElementById('count').textContent.startsWith('{count} of ')")


def test_a_sample_is_rated_by_keyboard_taken_back_reloaded_and_finished(browser, tmp_path, run, program, capsys):
    opened(browser, program.address)
    first = text(browser, "question")
    browser.press("4", "Tab", "5", "Tab", "3", "Tab", "4", "Enter")
    done(browser, 1)
    second = text(browser, "question")
    assert second != first
    browser.press("1", "ArrowDown", "2", "ArrowDown", "3", "ArrowDown", "4", "c")
    browser.type("reads like <b>that</b>")
    browser.press("Enter")
    done(browser, 2)
    browser.press("5", "Tab", "5", "Tab", "5", "Tab", "5", "Enter")  # all at once: nothing is lost while it is saved
    done(browser, 3)
    browser.press("u")
    done(browser, 2)
    assert (
        browser.evaluate("[...document.querySelectorAll('input:checked')].map((one) => one.value).join()") == "5,5,5,5"
    )
    third = text(browser, "question")
    browser.reload()
    browser.wait("!document.getElementById('rating').hidden && document.querySelector('fieldset')")
    done(browser, 2)
    assert text(browser, "question") == third
    browser.press("2", "Enter")
    browser.wait("document.getElementById('message').textContent.includes('accuracy, relevance, overall')")
    browser.press("3", "Tab", "3", "Tab", "3", "s")  # three of four, then another mind: skipped
    done(browser, 3)
    browser.press("?")
    browser.wait("document.getElementById('help').open")
    browser.press("1", "Escape")
    browser.press("4", "Tab", "4", "Tab", "4", "Tab", "4", "Enter")
    browser.wait("!document.getElementById('summary').hidden")
    assert text(browser, "summary-title") == "All pairs are done"
    browser.press("Enter")  # the button that ends it has the focus
    browser.wait("document.getElementById('summary-title').textContent === 'The review has ended'")
    assert program.process.wait(20) == 0
    assert "rated      3 of 4 sampled pairs" in program.said
    assert browser.console == []

    sample = kept_sample(run)
    assert sample
    words = read_ratings(run.review).by_reviewer["ann"]
    found = [words.on(one.key) for one in sample.pairs]
    assert [one and one.scores and list(one.scores.values()) for one in found] == [
        [4, 5, 3, 4], [1, 2, 3, 4], None, [4, 4, 4, 4],
    ]  # fmt: skip
    assert found[1]
    assert found[1].comment == "reads like <b>that</b>"
    assert hpc_qa(["--project", str(tmp_path), "review", run.run_id, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["rated"], said["means"]["accuracy"]["value"]) == (3, pytest.approx((5 + 2 + 4) / 3))


def test_text_of_hostile_documents_is_shown_and_never_runs(browser, tmp_path):
    run = planned_run(tmp_path, [["d"]])
    context = "\n\n".join(HOSTILE)
    chunks = [
        chunk("d", number, [pair("d", number, 0, question=bad, answer=bad, evidence=[HOSTILE[0], bad])],
              context=context, headings=[bad, "x"])
        for number, bad in enumerate(HOSTILE)
    ]  # fmt: skip
    made = attempt(run.shard(0), [*chunks, [document("d", chunks)]])
    assert commit_shard(run.shard(0), made.name, ["d"])
    with served(run) as server:
        opened(browser, address_of(server))
        seen = []
        for number in range(len(HOSTILE)):
            seen.append(text(browser, "question"))
            assert browser.evaluate("document.title").startswith(f"{number}/{len(HOSTILE)} ")
            allowed = "html, head, meta, title, link, style, body, header, h1, span, div, progress, nav, button, main"
            allowed += (
                ", section, p, bdi, mark, pre, table, tbody, thead, tr, td, th, form, fieldset, label, input, kbd"
            )
            allowed += ", textarea, h2, dialog, dl, dt, dd, q, script[nonce]"
            assert browser.evaluate(f"document.querySelectorAll('*:not({allowed})').length") == 0
            assert browser.evaluate("document.querySelectorAll('script').length") == 1
            assert browser.evaluate("document.querySelectorAll('mark').length") >= 1
            assert "U+202E" in text(browser, "passage")
            assert "\u202e" not in text(browser, "passage")
            browser.press("s")
            if number + 1 < len(HOSTILE):
                done(browser, number + 1)
        browser.wait("!document.getElementById('summary').hidden")
        assert {one for one in HOSTILE if "\u202e" not in one} <= set(seen)
        assert (browser.console, browser.dialogs) == ([], [])


def test_markup_from_text_and_scripts_from_elsewhere_are_refused_by_the_policy(browser, run):
    with served(run) as server:
        opened(browser, address_of(server))
    refused = browser.evaluate(
        "(() => { try { document.body.innerHTML = '<b>x</b>'; } catch (e) { return e.name; } })()"
    )
    assert refused == "TypeError"
    browser.evaluate(
        "new Promise((done) => { addEventListener('securitypolicyviolation', done);"
        "document.body.append(Object.assign(document.createElement('img'), { src: 'http://127.0.0.1:9/x.png' })); })"
    )
    assert any("Content Security Policy" in one for one in browser.console)


def test_the_page_fits_its_window(browser, run):
    with served(run) as server:
        for size in (WIDE, NARROW, (800, 1000), (1920, 1080)):
            opened(browser, address_of(server), size)
            assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth"), size
            boxes = [
                browser.evaluate(f"document.getElementById('{name}').getBoundingClientRect().toJSON()")
                for name in ("comment", "undo", "skip", "save")
            ]
            assert all(box["left"] >= 0 and box["right"] <= size[0] for box in boxes), size
            assert size[0] < 1000 or boxes[-1]["bottom"] <= size[1]  # side by side everything is in sight at once
            smallest = "Math.min(...[...document.querySelectorAll('.choices span')].map((one) => one.offsetHeight))"
            assert browser.evaluate(smallest) >= 40  # for fingers


def test_a_server_that_has_gone_is_said_and_the_scores_stay(browser, run):
    with served(run) as server:
        opened(browser, address_of(server))
    browser.press("4", "Tab", "4", "Tab", "4", "Tab", "4", "Enter")
    browser.wait("document.getElementById('message').textContent.includes('The server does not answer')")
    assert browser.evaluate("document.querySelectorAll('input:checked').length") == 4
