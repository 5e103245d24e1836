"""The page of a review answers its reviewer and nobody else, and nobody can hold it up."""

import json
import os
import socket
import stat
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from hpc_qa.campaign.review_ratings import read_ratings
from hpc_qa.campaign.review_sample import sample_of
from hpc_qa.cli.main import run as hpc_qa
from hpc_qa.errors import ConfigError
from hpc_qa.report import local_server
from hpc_qa.report.review_server import TOKEN_HEADER, ReviewServer
from hpc_qa.report.review_session import ReviewSession
from hpc_qa.store.run_directory import RunDirectory
from tests.made_runs import finished_run
from tests.projects import spawn
from tests.served_review import served

SCORES = dict.fromkeys(("clarity", "accuracy", "relevance", "overall"), 4)


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return finished_run(tmp_path, [["a", "b", "c"]])


@pytest.fixture
def server(run: RunDirectory) -> Iterator[ReviewServer]:
    with served(run) as one:
        yield one


def ask(server: ReviewServer, method: str, path: str, body: object = None, **headers: str) -> tuple[int, bytes, dict]:
    """Status, body and headers; with the right token unless another one is given, a None leaves a header out."""
    assert server.port
    connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
    wanted = {"Host": f"127.0.0.1:{server.port}", TOKEN_HEADER: server.token}
    if body is not None:
        wanted["Content-Type"] = "application/json"
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    content = b"" if body is None else json.dumps(body).encode()
    wanted |= {"Content-Length": str(len(content))}
    wanted |= {name.replace("_", "-"): value for name, value in headers.items()}
    for name, value in wanted.items():
        if value is not None:
            connection.putheader(name, value)
    connection.endheaders(content)
    answer = connection.getresponse()
    found = answer.status, answer.read(), dict(answer.getheaders())
    connection.close()
    return found


def raw(server: ReviewServer, request: bytes) -> bytes:
    """All that comes back on one connection."""
    with socket.create_connection(("127.0.0.1", server.port or 0), timeout=10) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


ROUTES = [("GET", "/api/state"), ("GET", "/api/pair?number=0"), ("GET", "/api/summary"), ("GET", "/nothing")]
ROUTES += [("POST", f"/api/{name}") for name in ("rate", "skip", "undo", "finish")]


def test_without_the_token_nothing_is_answered(server, run):
    for method, path in ROUTES:
        for token in ("", "x", "é", server.token[:-1], server.token + "x", None):
            status, body, _ = ask(server, method, path, {}, **{TOKEN_HEADER: token})
            assert (status, run.run_id.encode() in body) == (403, False), (path, token)
        # what is not the page wants it in the header, where no link can put it
        in_address = f"{path}{'&' if '?' in path else '?'}token={server.token}"
        assert ask(server, method, in_address, {}, **{TOKEN_HEADER: None})[0] == 403
    assert not server.finished


def test_the_page_asks_for_the_token_in_its_address(server):
    for wrong in ("/", "/?token=", "/?token=x", f"/?token={server.token[:-1]}", f"/?token={server.token}x"):
        assert ask(server, "GET", wrong)[0] == 403
    status, body, headers = ask(server, "GET", f"/?token={server.token}", Sec_Fetch_Site="cross-site")
    assert status == 200  # a link in a chat may lead here
    assert server.token.encode() not in body
    assert "Set-Cookie" not in headers


def test_a_request_that_names_another_host_is_refused(server):
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "127.0.0.2", "", "localhost.", "0", None):
        assert ask(server, "GET", "/api/state", Host=host)[0] == 400, host
    for host in ("localhost", "127.0.0.1:1", "localhost:8000", "[::1]:8000"):
        assert ask(server, "GET", "/api/state", Host=host)[0] == 200, host
    two = f"GET /api/state HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n{TOKEN_HEADER}: {server.token}\r\n\r\n"
    assert raw(server, two.encode()).startswith(b"HTTP/1.0 400")


def test_another_origin_is_refused_and_never_allowed(server, run):
    body = {"pair": sample_of(run).pairs[0].key, "scores": SCORES}
    for origin in ("http://evil.example", "null", f"https://127.0.0.1:{server.port}", "http://127.0.0.1:1"):
        status, _, headers = ask(server, "POST", "/api/rate", body, Origin=origin)
        assert status == 403, origin
        assert not [name for name in headers if name.lower().startswith("access-control")]
    for site in ("cross-site", "same-site", "none"):
        assert ask(server, "GET", "/api/state", Sec_Fetch_Site=site)[0] == 403
    assert ask(server, "OPTIONS", "/api/rate", Origin="http://evil.example")[0] == 501
    assert read_ratings(run.review).by_reviewer == {}
    own = f"http://127.0.0.1:{server.port}"
    assert ask(server, "POST", "/api/rate", body, Origin=own, Sec_Fetch_Site="same-origin")[0] == 200


def test_the_page_has_nothing_from_elsewhere_and_its_policy_lets_only_its_own_script_run(server):
    nonces = set()
    for _ in range(2):
        _, body, headers = ask(server, "GET", f"/?token={server.token}")
        policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
        assert policy["default-src"] == policy["trusted-types"] == policy["base-uri"] == "'none'"
        assert policy["frame-ancestors"] == policy["form-action"] == "'none'"
        assert policy["connect-src"] == "'self'"
        nonce = policy["script-src"].removeprefix("'nonce-").removesuffix("'")
        assert policy["style-src"] == policy["script-src"] == f"'nonce-{nonce}'"
        nonces.add(nonce)
        page = body.decode()
        assert page.count(f'nonce="{nonce}"') == page.count("<script") + page.count("<style") == 2
        assert not any(word in page for word in ("http://", "https://", "src=", "innerHTML", "onclick", 'style="'))
        assert (headers["Referrer-Policy"], headers["X-Content-Type-Options"]) == ("no-referrer", "nosniff")
        assert (headers["Cache-Control"], headers["X-Frame-Options"]) == ("no-store", "DENY")
    assert len(nonces) == 2


def test_neither_page_nor_json_says_what_the_judge_thought(server, run):
    pairs = sample_of(run).pairs
    said = [ask(server, "GET", f"/?token={server.token}")[1]]
    said += [ask(server, "GET", f"/api/pair?number={number}")[1] for number in range(len(pairs))]
    said += [ask(server, "POST", "/api/rate", {"pair": one.key, "scores": SCORES})[1] for one in pairs]
    said += [ask(server, "GET", f"/api/{name}")[1] for name in ("state", "summary")]
    said += [ask(server, "POST", f"/api/{name}", {})[1] for name in ("undo", "finish")]
    for text in said:
        words = (b"judge", b"accept", b"reject", b"quality_score", b"checks", b"0.83", b'"fine"', b"verdict")
        assert not [word for word in words if word in text.lower()]
    assert json.loads(said[1]).keys() == {
        "number", "pair", "question", "answer", "document", "pages", "headings", "passage", "missing", "given",
    }  # fmt: skip


def test_no_path_leads_to_a_file(server, run):
    for path in (
        "/../run.json", "/%2e%2e/run.json", "/..%2frun.json", "//etc/passwd", "/review.js.j2", "/api/../../run.json",
        "/api/pair?number=../0", "/api/pair?number=-1", "/api/pair?number=99", "/api/pair?number=\u0661", "/api/pair",
        "http://evil.example/api/state/", "/api/state/", "/favicon.ico",
    ):  # fmt: skip
        request = f"GET {path} HTTP/1.0\r\nHost: localhost\r\n{TOKEN_HEADER}: {server.token}\r\n\r\n".encode()
        answer = raw(server, request)
        assert answer.split(b" ")[1] in (b"404", b"400"), path
        assert b"root:" not in answer
        assert run.run_id.encode() not in answer


def test_a_body_that_is_too_large_or_of_another_kind_is_refused_unread(server):
    for status, headers in (
        (413, {"Content_Length": "9999999999"}),
        (413, {"Content_Length": str(local_server.MOST_BODY_BYTES + 1)}),
        (411, {"Content_Length": "-1"}),
        (411, {"Content_Length": None}),
        (411, {"Transfer_Encoding": "chunked"}),
        (415, {"Content_Type": "text/plain"}),
        (415, {"Content_Type": None}),
    ):
        assert ask(server, "POST", "/api/undo", {}, **headers)[0] == status, headers


def test_a_body_that_is_no_rating_is_refused_with_a_reason(server, run):
    key = sample_of(run).pairs[0].key
    for body in (
        [], "x", {"pair": "x"}, {"pair": 5, "scores": SCORES}, {"scores": SCORES}, {"pair": key, "scores": {}},
        {"pair": key, "scores": SCORES | {"overall": 6}}, {"pair": key, "scores": SCORES, "comment": "x" * 5000},
    ):  # fmt: skip
        status, said, _ = ask(server, "POST", "/api/rate", body)
        assert (status, list(json.loads(said))) == (400, ["error"]), body
    deep = f"POST /api/rate HTTP/1.0\r\nHost: localhost\r\n{TOKEN_HEADER}: {server.token}\r\n"
    deep += "Content-Type: application/json\r\nContent-Length: 60000\r\n\r\n"
    assert raw(server, deep.encode() + b"[" * 60000).startswith(b"HTTP/1.0 400")
    assert read_ratings(run.review).by_reviewer == {}


def test_requests_that_are_no_http_get_a_word_and_no_page(server):
    for request in (b"\x16\x03\x01\x02\x00\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /" + b"a" * 70_000, b"\r\n\r\n",
                    b"<script> / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n"):  # fmt: skip
        answer = raw(server, request)
        assert b"<" not in answer
        assert server.token.encode() not in answer
    assert ask(server, "GET", "/api/state")[0] == 200


def test_half_requests_hold_up_nobody_and_are_cut_off(server, monkeypatch):
    halves = []
    for _ in range(local_server.MOST_CONNECTIONS - 4):
        one = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        one.sendall(b"POST /api/rate HTTP/1.1\r\nHost: loc")
        halves.append(one)
    assert ask(server, "GET", "/api/state")[0] == 200
    monkeypatch.setattr(server, "_open", dict.fromkeys(server._open, 0.0))
    for one in halves:
        assert one.recv(65536) == b""  # it has ended, without an answer
        one.close()


def test_more_connections_than_there_is_room_for_are_closed_and_room_comes_back(server):
    crowd = [socket.create_connection(("127.0.0.1", server.port), timeout=10) for _ in range(80)]
    until = time.monotonic() + 10
    while len(server._open) < local_server.MOST_CONNECTIONS:
        assert time.monotonic() < until
        time.sleep(0.01)
    assert len(server._open) == local_server.MOST_CONNECTIONS
    for one in crowd:
        one.close()
    while server._open:
        assert time.monotonic() < until
        time.sleep(0.01)
    assert ask(server, "GET", "/api/state")[0] == 200


def test_the_server_listens_on_this_machine_alone(server):
    assert server.server_address[0] == "127.0.0.1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; says which address we have
            ours = probe.getsockname()[0]
        except OSError:
            ours = "127.0.0.2"
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((ours, server.port), timeout=5)


def test_a_unix_socket_is_for_its_owner_and_a_dead_one_is_replaced(tmp_path, run):
    path = tmp_path / "page.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with served(run, path) as server:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(str(path))
            connection.sendall(
                f"GET /api/state HTTP/1.0\r\nHost: localhost:8741\r\n{TOKEN_HEADER}: {server.token}\r\n\r\n".encode()
            )
            assert connection.recv(65536).startswith(b"HTTP/1.0 200")
        session = server.session
        with pytest.raises(ConfigError, match="another program listens"):
            ReviewServer(session, path, idle_s=1)
    assert not path.exists()
    path.write_text("a file of the user's")
    with pytest.raises(ConfigError, match="no socket"):
        ReviewServer(session, path, idle_s=1)
    assert path.read_text()
    with pytest.raises(ConfigError, match="cannot listen"):
        ReviewServer(session, tmp_path / ("x" * 200), idle_s=1)


def test_a_port_that_is_taken_is_an_error_that_says_so(server):
    with pytest.raises(ConfigError, match=f"port {server.port}: cannot listen"):
        ReviewServer(server.session, ("127.0.0.1", server.port), idle_s=1)


def test_it_ends_when_nobody_who_knows_the_token_asks_any_more(run):
    now = [0.0]
    with ReviewServer(
        ReviewSession(run, sample_of(run), "ann"), ("127.0.0.1", 0), idle_s=3600, clock=lambda: now[0]
    ) as server:
        thread = threading.Thread(target=server.serve)
        thread.start()
        now[0] = 3000
        assert ask(server, "GET", "/api/state")[0] == 200
        now[0] = 6000
        assert ask(server, "GET", "/api/state", **{TOKEN_HEADER: "x"})[0] == 403
        assert thread.is_alive()
        now[0] = 6700  # a stranger's request does not count
        thread.join(10)
        assert not thread.is_alive()


def test_ctrl_c_ends_it_cleanly_with_what_was_said_and_the_token_is_in_no_file(tmp_path, run, capsys):
    with (tmp_path / "out").open("wb") as out:
        program = spawn(tmp_path, "review", run.run_id, "--reviewer", "ann", stdout=out, stderr=out)
    until = time.monotonic() + 30
    while b"ends  " not in (tmp_path / "out").read_bytes():
        assert time.monotonic() < until
        assert program.poll() is None
        time.sleep(0.05)
    said = (tmp_path / "out").read_text()
    address = next(line for line in said.splitlines() if line.startswith("page")).split()[1]
    port, token = int(address.split(":")[2].split("/")[0]), address.partition("token=")[2]
    assert f"ssh -N -L {port}:127.0.0.1:{port} " in said
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    body = json.dumps({"pair": sample_of(run).pairs[0].key, "scores": SCORES})
    headers = {TOKEN_HEADER: token, "Content-Type": "application/json"}
    connection.request("POST", "/api/rate", body, headers)
    assert connection.getresponse().status == 200
    os.kill(program.pid, 2)
    assert program.wait(20) == 0
    assert "rated      1 of 6 sampled pairs" in (tmp_path / "out").read_text()
    files = [path for path in run.path.rglob("*") if path.is_file()]
    assert not [path for path in files if token.encode() in path.read_bytes()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files if path.parent == run.review} == {0o600}
    assert stat.S_IMODE(run.review.stat().st_mode) == 0o700
    assert hpc_qa(["--project", str(tmp_path), "review", run.run_id, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rated"] == 1
