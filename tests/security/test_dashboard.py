"""The dashboard and its API answer who has the token and nobody else, and start nothing that was not asked for well."""

import json
import signal
import socket
import stat
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from hpc_qa.cli.main import run as hpc_qa
from hpc_qa.report import local_server, pipeline_api
from hpc_qa.report.dashboard_server import DashboardServer
from hpc_qa.store.run_directory import RunDirectory
from tests.made_live import document, half_an_hour
from tests.made_runs import planned_run
from tests.projects import spawn, wait_for
from tests.served_dashboard import served

ROUTES = [("GET", "/api/v1/metrics"), ("GET", "/api/history"), ("GET", "/metrics"), ("GET", "/nothing")]
ROUTES += [("POST", "/api/v1/pipeline"), ("GET", "/api/v1/pipeline/made-20260102T030405-0001")]
ORDER = {"name": "mine", "input_path": "m.jsonl", "output_path": None, "model_strategy": "small", "batch_size": 5}


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "small.yaml").write_text("name: small\n")
    (tmp_path / "m.jsonl").write_text("")
    run = planned_run(tmp_path, [["a"]])
    half_an_hour(run, [document()])
    return run


@pytest.fixture
def server(run: RunDirectory, tmp_path: Path) -> Iterator[DashboardServer]:
    with served(tmp_path) as one:
        yield one


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The programs that would have been started."""
    calls: list[tuple[str, ...]] = []

    def call(_project: Path, *words: str) -> dict[str, str]:
        calls.append(words)
        return {"run": "made-20260102T030405-0001"}

    monkeypatch.setattr(pipeline_api, "call", call)
    return calls


def ask(
    server: DashboardServer, method: str, path: str, body: object = None, **headers: str
) -> tuple[int, bytes, dict]:
    """Status, body and headers; with the right token unless another one is given, a None leaves a header out."""
    assert server.port
    connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
    content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    wanted = {"Host": f"127.0.0.1:{server.port}", "Authorization": f"Bearer {server.token}"}
    wanted |= {"Content-Length": str(len(content))} | ({"Content-Type": "application/json"} if body is not None else {})
    wanted |= {name.replace("_", "-"): value for name, value in headers.items()}
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in wanted.items():
        if value is not None:
            connection.putheader(name, value)
    connection.endheaders(content)
    answer = connection.getresponse()
    found = answer.status, answer.read(), dict(answer.getheaders())
    connection.close()
    return found


def error(server: DashboardServer, method: str, path: str, body: object = None, **headers: str) -> tuple[int, str]:
    """Status and type of a refusal."""
    status, said, _ = ask(server, method, path, body, **headers)
    document = json.loads(said)
    assert document.keys() == {"error"}
    assert document["error"].keys() == {"type", "message"}
    assert document["error"]["message"]
    return status, document["error"]["type"]


def test_without_the_token_the_dashboard_answers_nothing_and_starts_nothing(server, run, started):
    for method, path in ROUTES:
        for said in (
            "",
            "Bearer",
            "Bearer ",
            "Bearer x",
            f"Bearer {server.token}x",
            f"Basic {server.token}",
            server.token,
            None,
        ):
            status, body, _ = ask(server, method, path, ORDER if method == "POST" else None, Authorization=said)
            assert (status, json.loads(body)["error"]["type"]) == (403, "wrong_token"), (path, said)
            assert run.run_id.encode() not in body
        in_address = f"{path}?token={server.token}"
        assert error(server, method, in_address, Authorization=None) == (403, "wrong_token")
    for wrong in ("/", "/?token=", "/?token=x", f"/?token={server.token}x"):
        assert error(server, "GET", wrong) == (403, "wrong_token")
    assert started == []


def test_another_host_or_origin_reads_nothing_of_the_dashboard_and_starts_nothing(server, started):
    for host in ("evil.example", "127.0.0.1.evil.example", "", None):
        assert error(server, "GET", "/api/v1/metrics", Host=host) == (400, "wrong_host"), host
    for origin in ("http://evil.example", "null", f"https://127.0.0.1:{server.port}", "http://127.0.0.1:1"):
        for method, path in ROUTES:
            assert error(server, method, path, ORDER, Origin=origin) == (403, "foreign_request")
            _, _, headers = ask(server, method, path, ORDER, Origin=origin)
            assert not [name for name in headers if name.lower().startswith("access-control")]
    for site in ("cross-site", "same-site", "none"):
        assert error(server, "POST", "/api/v1/pipeline", ORDER, Sec_Fetch_Site=site) == (403, "foreign_request")
    assert ask(server, "OPTIONS", "/api/v1/pipeline", Origin="http://evil.example")[0] == 501
    assert started == []


def test_the_dashboard_has_nothing_from_elsewhere_and_only_its_own_script_runs(server):
    _, body, headers = ask(server, "GET", f"/?token={server.token}", Sec_Fetch_Site="cross-site", Authorization=None)
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["trusted-types"] == policy["frame-ancestors"] == "'none'"
    assert policy["connect-src"] == "'self'"
    nonce = policy["script-src"].removeprefix("'nonce-").removesuffix("'")
    assert policy["style-src"] == policy["script-src"] == f"'nonce-{nonce}'"
    page = body.decode()
    assert page.count(f'nonce="{nonce}"') == page.count("<script") + page.count("<style") == 2
    assert server.token not in page
    words = ("https://", "src=", "innerHTML", "onclick", 'style="')
    assert [word for word in words if word in page] == []
    assert (
        page.count("http://") == page.count('"http://www.w3.org/2000/svg"') == 1
    )  # the name of a language, not asked for
    assert (headers["Referrer-Policy"], headers["Cache-Control"]) == ("no-referrer", "no-store")


def test_no_path_of_the_dashboard_leads_to_a_file(server, run):
    for path in (
        "/../run.json", "/%2e%2e/run.json", "//etc/passwd", "/api/v1/pipeline/", "/api/v1/pipeline/..",
        "/api/v1/pipeline/../../run.json", f"/api/v1/pipeline/{run.run_id}/", "/api/v1/pipeline/made",
        f"/api/v1/pipeline/../runs/{run.run_id}", "/api/v1/pipeline/latest", "/api/v1/pipeline/%2e%2e",
    ):  # fmt: skip
        status, kind = error(server, "GET", path)
        assert (status, kind) in ((404, "not_found"), (404, "no_such_pipeline")), path


def test_bodies_that_are_no_order_are_refused_with_their_type(server, started):
    path = "/api/v1/pipeline"
    for body in (b"{", b"", b"[]", b'"x"', b"\xff", b"[" * 60_000):
        assert error(server, "POST", path, body) == (400, "bad_json"), body[:20]
    assert error(server, "POST", path, b" " * (local_server.MOST_BODY_BYTES + 1)) == (413, "too_large")
    assert error(server, "POST", path, {}, Content_Length="9999999999") == (413, "too_large")
    assert error(server, "POST", path, {}, Content_Length=None) == (411, "length_required")
    assert error(server, "POST", path, {}, Content_Type="text/plain") == (415, "unsupported_media_type")
    for bad in (
        {}, {"name": "x"}, ORDER | {"over_budget": True}, ORDER | {"name": "../x"}, ORDER | {"name": 5},
        ORDER | {"name": "--over-budget"}, ORDER | {"model_strategy": "../configs/small"},
        ORDER | {"model_strategy": "large"}, ORDER | {"model_strategy": ["small"]}, ORDER | {"batch_size": 0},
        ORDER | {"limit": 0}, ORDER | {"batch_size": True}, ORDER | {"batch_size": 1.5}, ORDER | {"batch_size": "5"},
        ORDER | {"input_path": "missing.jsonl"}, ORDER | {"input_path": 7}, ORDER | {"input_path": "a\0b"},
        ORDER | {"output_path": "m.jsonl"}, ORDER | {"output_path": "runs/x"}, ORDER | {"output_path": "configs/x"},
    ):  # fmt: skip
        assert error(server, "POST", path, bad) == (400, "bad_request"), bad
    assert started == []


def test_everything_that_is_wrong_with_an_order_is_said_at_once(server):
    bad = ORDER | {"name": "", "model_strategy": "x", "batch_size": -1}
    _, said, _ = ask(server, "POST", "/api/v1/pipeline", bad)
    message = json.loads(said)["error"]["message"]
    assert [
        word
        for word in ("name:", "model_strategy: names a config; configs/ has small", "batch_size:")
        if word not in message
    ] == []


def test_paths_of_an_order_lead_nowhere_outside_of_the_project(server, tmp_path, tmp_path_factory, started):
    outside = tmp_path_factory.mktemp("outside")
    (outside / "m.jsonl").write_text("")
    (tmp_path / "link.jsonl").symlink_to(outside / "m.jsonl")
    (tmp_path / "folder").symlink_to(outside)
    for path in (
        f"../{outside.name}/m.jsonl",
        str(outside / "m.jsonl"),
        "link.jsonl",
        "folder/m.jsonl",
        "/etc/passwd",
        ".",
        "/",
    ):
        assert error(server, "POST", "/api/v1/pipeline", ORDER | {"input_path": path}) == (400, "outside_project"), path
    for path in ("../x", str(outside / "x"), "folder/x", ".", "sub/../../x"):
        assert error(server, "POST", "/api/v1/pipeline", ORDER | {"output_path": path}) == (400, "outside_project"), (
            path
        )
    assert started == []
    assert ask(server, "POST", "/api/v1/pipeline", ORDER)[0] == 201
    assert len(started) == 1


def test_one_pipeline_is_started_at_a_time_and_none_by_a_dashboard_that_only_reads(run, tmp_path, started):
    with served(tmp_path) as server:
        with server.starting:
            assert error(server, "POST", "/api/v1/pipeline", ORDER) == (409, "busy")
        assert ask(server, "POST", "/api/v1/pipeline", ORDER)[0] == 201
    with served(tmp_path, read_only=True) as server:
        assert error(server, "POST", "/api/v1/pipeline", ORDER) == (403, "read_only")
        assert ask(server, "GET", "/api/v1/metrics")[0] == 200
    assert len(started) == 1


def test_the_dashboard_listens_on_this_machine_alone_or_on_a_socket_of_its_owner(server, tmp_path):
    assert server.server_address[0] == "127.0.0.1"
    path = tmp_path / "d.sock"
    with served(tmp_path, path) as other, socket.socket(socket.AF_UNIX) as connection:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        connection.settimeout(10)
        connection.connect(str(path))
        head = f"GET /api/v1/metrics HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer {other.token}\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(65536).startswith(b"HTTP/1.0 200")
    assert not path.exists()


def test_a_project_whose_runs_others_can_write_gets_no_dashboard(run, tmp_path, capsys):
    run.path.parent.chmod(0o777)
    assert hpc_qa(["--project", str(tmp_path), "dashboard"]) == 2
    assert "runs code as you" in capsys.readouterr().err


def test_ctrl_c_ends_the_dashboard_cleanly_and_its_token_is_in_no_file(run, tmp_path, tmp_path_factory):
    out = tmp_path_factory.mktemp("said") / "out"
    with out.open("wb") as said, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        program = spawn(tmp_path, "dashboard", "--json", "--port", str(port), stdout=said, stderr=said)
    wait_for(lambda: program.poll() is not None or b"\n" in out.read_bytes(), 60)
    found = json.loads(out.read_text())
    assert found["page"] == f"http://127.0.0.1:{port}/?token={found['token']}"
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", "/api/v1/metrics", headers={"Authorization": f"Bearer {found['token']}"})
    assert json.loads(connection.getresponse().read()).keys() == {"timestamp", "pipeline", "system"}
    program.send_signal(signal.SIGINT)
    assert program.wait(30) == 0
    assert len(out.read_text().splitlines()) <= 2, "nothing but the document and the line of the ^C"
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in files if found["token"].encode() in path.read_bytes()] == []


def test_a_port_and_a_socket_are_two_ways_of_the_same(tmp_path, capsys):
    assert hpc_qa(["--project", str(tmp_path), "dashboard", "--port", "8701", "--socket", str(tmp_path / "s")]) == 2
    assert "leave one of them out" in capsys.readouterr().err


def test_requests_that_are_no_http_get_a_typed_word(server):
    for request in (b"GET / HTTP/9.9\r\n\r\n", b"<script> / HTTP/1.1\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            connection.sendall(request)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert b"<script>" not in answer
        assert server.token.encode() not in answer
