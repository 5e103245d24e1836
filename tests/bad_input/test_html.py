"""Pages without end, without order and with a way out: their text is taken, nothing is fetched, nothing takes long."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bad_input.conftest import TEXT, Converted, convert
from tests.data.bad.pages import PAGES, remote


@pytest.fixture(scope="module")
def asked() -> Iterator[tuple[str, list[str]]]:
    """A server on this machine, its address, and the paths that it was asked for."""
    paths: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", paths
        server.shutdown()


@pytest.fixture(scope="module")
def found(
    tmp_path_factory: pytest.TempPathFactory, tokenizer: Path, asked: tuple[str, list[str]]
) -> dict[str, Converted]:
    pages = {f"{name}.html": page.encode() for name, page in (PAGES | {"remote": remote(asked[0])}).items()}
    both = convert(Path(tmp_path_factory.mktemp("html")), tokenizer, pages, memory_gib=2.0)
    return {name.removesuffix(".html"): one for name, one in both.items()}


@pytest.mark.parametrize("name", PAGES)
def test_the_text_of_every_page_is_found(found: dict[str, Converted], name: str) -> None:
    assert found[name].outcome == "ok", found[name].facts.detail
    assert TEXT in found[name].markdown.replace("\\", "")


def test_nothing_is_fetched(found: dict[str, Converted], asked: tuple[str, list[str]]) -> None:
    assert found["remote"].outcome == "ok"
    assert asked[1] == []


def test_scripts_styles_and_entities_are_no_text(found: dict[str, Converted]) -> None:
    assert found["script"].markdown == TEXT + "\n"
    assert "root:" not in found["outside"].markdown
    assert "haha" not in found["entities"].markdown
    assert "<script" not in found["utf7"].markdown
    assert "AAAA" not in found["picture"].markdown
    assert "\u202e" not in found["odd_references"].markdown


@pytest.mark.parametrize("name", ["utf7", "escapes", "unknown"])
def test_an_encoding_that_no_browser_knows_is_not_used(found: dict[str, Converted], name: str) -> None:
    assert found[name].facts.encoding == "utf-8"
