"""The files of a finished run: who may open them, whatever the umask was, and whose modules were imported meanwhile."""

import json
import os
import stat

import pytest

from tests.security.conftest import PLANTED, Held
from tests.security.outsider import attempt, attempts, refused

pytestmark = pytest.mark.timeout(300)  # the first test waits for the run to stand


def test_every_file_is_private_although_the_umask_was_000(finished: Held) -> None:
    tops = (finished.project / "runs", finished.project / "cache")
    opened, seen = [], 0
    for top in tops:
        for parent, folders, names in os.walk(top):
            for name in (*folders, *names, "."):
                path = os.path.join(parent, name)
                seen += 1
                if stat.S_IMODE(os.lstat(path).st_mode) & 0o077 and name.removesuffix(".py") not in PLANTED:
                    opened.append(path)
    assert seen > 60
    assert opened == []


def test_a_manifest_that_is_built_under_umask_000_is_private(finished: Held) -> None:
    assert finished.call("manifest", "build", "documents", "-o", "again.jsonl", cwd=finished.project) == 0
    assert stat.S_IMODE((finished.project / "again.jsonl").stat().st_mode) == 0o600


def test_a_project_that_is_made_under_umask_000_is_private(finished: Held) -> None:
    assert finished.call("init", str(finished.base / "fresh")) == 0
    fresh = finished.base / "fresh"
    assert [str(path) for path in (fresh, *fresh.rglob("*")) if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


def test_a_dataset_is_private_until_its_owner_opens_it(finished: Held) -> None:
    out = finished.base / "published"
    assert finished.call("collect", "latest", "-o", str(out)) == 0
    assert refused(attempt("list", str(out)))
    for parent, _, names in os.walk(out):
        os.chmod(parent, 0o755)
        for name in names:
            os.chmod(os.path.join(parent, name), 0o644)
    opened = attempts(["read", str(out / "qa.jsonl")], ["write", str(out / "qa.jsonl")])
    assert opened[0] > 0
    assert refused(opened[1])


def test_modules_in_the_folder_where_one_works_are_never_imported(finished: Held) -> None:
    """The commands after the run were called inside the run directory, which has its own planted modules."""
    assert (finished.run.path / "json.py").is_file()
    assert (finished.project / "submitit.py").is_file()
    assert not (finished.base / "witness").exists()


def test_the_run_was_a_whole_one(finished: Held) -> None:
    rows = [json.loads(line) for line in (finished.run.dataset / "qa.jsonl").read_text().splitlines()]
    assert any(finished.in_document in row["question"] for row in rows)
    assert len({row["doc_id"] for row in rows}) > 5
