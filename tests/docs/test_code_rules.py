"""The rules of pyproject.toml hold for the whole tree, and so do a few that no linter knows."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
SOURCES = sorted(
    path for folder in ("hpc_qa", "demo", "requirements", "benchmarks") for path in (ROOT / folder).rglob("*.py")
)
FORBIDDEN = {
    r"yaml\.(unsafe_|full_)?load\(": "settings are read with hpc_qa.strict_yaml",
    r"(pickle|shelve|marshal|torch|joblib|dill)\.(loads?|open)\b": "a pickle runs code",
    r"(?<![\w.])(eval|exec|compile|__import__)\(": "text is never run",
    r"os\.(system|popen)\(": "commands are lists",
    r"tempfile\.mktemp\(|(?<![\w.])mktemp\(": "a name that is only guessed to be free can be taken",
    r"verify=False|CERT_NONE|_create_unverified_context": "a connection is checked or not made",
    r"trust_env=True": "proxies of the shell are not for us",
    r"allow_pickle=True|weights_only=False": "a pickle runs code",
    r"shell=True": "commands are lists",
    r"\.extractall\(": "an archive says where its members go",
    r"0\.0\.0\.0": "nothing of ours listens on all interfaces",
    r"trust_remote_code\s*=\s*True": "code that comes with a model is never run",
    r"except (Base)?Exception(?!.*# \w)": "errors are caught by name; a broad except gives its reason beside it",
}


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "command",
    [("ruff", "check", "--quiet"), ("ruff", "format", "--check", "--quiet"), ("mypy",), ("lint-imports", "--no-cache")],
    ids=" ".join,
)
def test_the_tree_passes(command):
    done = subprocess.run([BIN / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


@pytest.mark.parametrize("pattern", FORBIDDEN, ids=str)
def test_nobody_writes_what_has_a_safer_form(pattern):
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in SOURCES
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(pattern, line)
    ]
    assert found == [], FORBIDDEN[pattern]


def test_every_module_says_what_it_does():
    assert [str(p.relative_to(ROOT)) for p in SOURCES if not p.read_text().startswith(('"""', 'r"""', "#"))] == []


def test_no_file_is_longer_than_a_newcomer_reads():
    assert {str(p.relative_to(ROOT)): n for p in SOURCES if (n := len(p.read_text().splitlines())) > 450} == {}


def test_every_exception_from_the_linter_has_its_reason():
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in SOURCES
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(r"#\s*(noqa|type: ignore)(:\s*[A-Z]+\d+(,\s*[A-Z]+\d+)*|\[[\w-]+\])?\s*$", line)
        and "type: ignore[no-untyped-call]" not in line
    ]
    assert found == []


def test_the_lock_files_pin_everything_with_a_hash_and_name_no_address():
    for path in (ROOT / "requirements").glob("*.txt"):
        for line in path.read_text().splitlines():
            if path.name == "torch-hashes.txt":
                assert re.fullmatch(r"[0-9a-f]{64}", line)
            elif not line.startswith("#"):
                assert re.fullmatch(r"[a-z0-9-]+==[\w.!+]+ --hash=sha256:[0-9a-f]{64}", line), line


def test_what_a_login_node_needs_is_part_of_the_full_environment():
    def pins(name: str) -> set[str]:
        return {line for line in (ROOT / "requirements" / name).read_text().splitlines() if not line.startswith("#")}

    assert pins("base.txt") <= pins("cpu.txt")
