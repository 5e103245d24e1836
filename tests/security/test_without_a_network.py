"""A whole run needs nothing but this machine: it succeeds where there is no network at all."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.projects import echo_process, make_project
from tests.security import alone
from tests.security.conftest import PROGRAM


@pytest.mark.timeout(200)
def test_a_run_succeeds_where_there_is_no_network(tmp_path: Path, model_folder: Path) -> None:
    with echo_process() as socket:
        project = make_project(tmp_path, model=model_folder, socket=socket, key="echo-key", documents=3)

        def call(*words: str) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, alone.__file__, PROGRAM, *words, "--project", str(project)]
            return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")

        submitted = call("submit", str(project / "config.yaml"))
        assert submitted.returncode == 0, submitted.stderr
        proved = call("verify", "latest", "--json")
        assert json.loads(proved.stdout)["documents"]["ok"] == 3
        assert call("collect", "latest").returncode == 0


def test_the_namespace_is_another_one() -> None:
    command = [sys.executable, alone.__file__, "readlink", "/proc/self/ns/net"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() not in ("", os.readlink("/proc/self/ns/net"))
