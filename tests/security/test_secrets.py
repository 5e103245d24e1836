"""Secrets in the shell, in the key file and in a document, looked for after a whole run in everything that it leaves.

The canaries are different for every run, so finding none is no accident; each search is shown to find something first.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.security.conftest import Held

pytestmark = pytest.mark.timeout(300)  # the first test waits for the run to stand


def files(*tops: Path) -> Iterator[Path]:
    for top in tops:
        yield from (path for path in top.rglob("*") if path.is_file() and not path.is_symlink())


def holding(text: str, *tops: Path) -> list[Path]:
    """Files with this text in them; a table is looked into as a table."""
    needle = text.encode()
    found = []
    for path in files(*tops):
        data = path.read_bytes()
        if path.suffix == ".parquet":
            data += json.dumps(pq.read_table(path).to_pylist()).encode()
        if needle in data:
            found.append(path)
    return found


def test_no_secret_stands_on_any_command_line(finished: Held) -> None:
    words = " ".join(finished.sampler.words)
    assert str(finished.run.path) in words  # we saw the worker
    assert "raylet" in words
    assert "gcs_server" in words
    assert [name for name, secret in finished.secrets.items() if secret in words] == []


def test_ray_and_its_actors_have_no_secret_of_the_shell_in_their_environment(finished: Held) -> None:
    environments = finished.sampler.environments
    workers = [value for name, value in environments.items() if "hpc_qa.worker" in name]
    assert any(finished.secrets["HF_TOKEN"].encode() in value for value in workers)  # where a secret is, we see it
    theirs = {name: value for name, value in environments.items() if f"{finished.scratch}/r" in name or "ray::" in name}
    assert len(theirs) >= 4
    for name, value in theirs.items():
        assert [key for key, secret in finished.secrets.items() if secret.encode() in value] == [], name


def test_documents_are_parsed_without_any_environment(finished: Held) -> None:
    environments = finished.sampler.environments
    parsers = {name: value for name, value in environments.items() if "hpc_qa.documents.sandbox" in name}
    assert parsers
    assert all(b"canary" not in value for value in parsers.values())


def test_no_secret_is_in_any_file_of_a_run(finished: Held) -> None:
    tops = (finished.project / "runs", finished.project / "cache", finished.base / "t")
    kinds = {path.suffix for path in files(*tops)}
    assert {".pkl", ".log", ".out", ".jsonl", ".json", ".parquet", ".md"} <= kinds
    found = {name: holding(secret, *tops) for name, secret in finished.secrets.items()}
    assert {name: paths for name, paths in found.items() if paths} == {}


def test_no_secret_is_printed_by_any_command(finished: Held) -> None:
    printed = "".join(finished.printed)
    assert finished.run.run_id in printed
    assert "requests in flight" in printed  # the logs were shown
    assert [name for name, secret in finished.secrets.items() if secret in printed] == []


def test_what_a_document_says_is_in_records_and_in_no_log(finished: Held) -> None:
    found = holding(finished.in_document, finished.project / "runs", finished.project / "cache")
    places = {path.name if path.suffix == ".parquet" else re.sub(r"\d+", "N", path.name) for path in found}
    assert {"chunks.jsonl", "document.md", "seg-N.jsonl", "qa.jsonl"} <= places
    assert [path for path in found if path.suffix in (".log", ".out", ".pkl", ".err")] == []
    assert {path.suffix for path in found} <= {".jsonl", ".parquet", ".md", ".json"}
    assert finished.in_document not in "".join(finished.printed)


def test_nothing_of_an_attempt_is_left_in_the_temporary_folder(finished: Held) -> None:
    assert [path.name for path in (finished.base / "t").iterdir() if not path.is_symlink()] == []
    assert list((finished.base / "trap").iterdir()) == []
