"""The copy of the manifest that a run keeps: its bytes, its hash, and what an array task reads of it."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from hpc_qa import manifest
from hpc_qa.campaign import submit
from hpc_qa.campaign.plan import RunPlan, plan_run
from hpc_qa.campaign.submit import freeze, refuse_double
from hpc_qa.config import Config
from hpc_qa.errors import ConfigError
from hpc_qa.manifest import Entry, entry_json
from hpc_qa.store.files import write_once
from hpc_qa.store.run_directory import RunDirectory
from hpc_qa.worker.task import _entries
from tests.made_documents import write_tokenizer

CONFIG = Config.model_validate({"name": "x", "manifest": "m.jsonl", "executor": "slurm", "vllm": {"model": "model"}})


def entry(number: int, path: str | None = None) -> Entry:
    """A document that nobody has."""
    return Entry(
        f"d{number}", path or f"d{number}.txt", ".", f"{number:064x}", 10, "text/plain", None, "small", 100 + number
    )


ENTRIES = [entry(1), entry(2, "Prüfung.txt"), entry(3, "a.zip!/b.txt"), entry(4)]
LINES = [f"{entry_json(one)}\n" for one in ENTRIES]
WRITTEN = "".join(LINES)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_tokenizer(tmp_path / "model")
    return tmp_path


def planned(project: Path, text: str, limit: int | None = None) -> RunPlan:
    """A plan of this manifest, as if its documents were converted."""
    (project / "m.jsonl").write_bytes(text.encode())
    return replace(plan_run(CONFIG, project=project, limit=limit), not_converted=0)


@pytest.mark.parametrize(
    "text",
    [
        WRITTEN,
        WRITTEN.replace("\n", "\r\n"),
        "\ufeff" + WRITTEN.strip(),
        WRITTEN.replace("\n", "\n\n"),
        "".join(json.dumps({"more": [1], "path": ""} | json.loads(line)) + "\n" for line in LINES),
        WRITTEN.replace("\\u00fc", "ü"),
    ],
    ids=["as written", "CRLF", "BOM and no last line end", "blank lines", "other order and more keys", "UTF-8"],
)  # fmt: skip
def test_the_frozen_manifest_is_what_we_write_whatever_it_was_made_from(project: Path, text: str) -> None:
    run = freeze(planned(project, text), project=project)
    assert run.manifest.read_text() == WRITTEN
    assert run.facts()["manifest_sha256"] == hashlib.sha256(WRITTEN.encode()).hexdigest()
    assert run.frozen_plan()["documents"] == 4  # and with that plan.json has its hash too
    assert manifest.read(run.manifest, project=project) == ENTRIES


def test_a_limit_freezes_the_first_documents_only(project: Path) -> None:
    run = freeze(planned(project, "\n" + WRITTEN, limit=2), project=project)
    assert manifest.read(run.manifest, project=project) == ENTRIES[:2]
    assert run.frozen_plan()["documents"] == 2


def test_the_same_manifest_in_another_layout_is_the_same_run(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submit, "status", lambda run: SimpleNamespace(goes_on=True, state="queued"))
    freeze(planned(project, WRITTEN), project=project)
    with pytest.raises(ConfigError, match="the same config and manifest are queued already"):
        refuse_double(planned(project, WRITTEN.replace("\n", "\r\n")), project)
    refuse_double(planned(project, WRITTEN, limit=3), project)
    refuse_double(planned(project, WRITTEN.replace("102", "103")), project)


def test_an_array_task_gets_its_entries_in_the_order_of_its_plan_and_parses_no_others(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    lines = WRITTEN.splitlines()
    lines[0] = '{"doc_id": "d1", of another shard, and damaged'
    lines[3] = json.dumps({"path": "d4.txt"} | json.loads(lines[3]))  # the doc_id is not in its place
    write_once(run.manifest, "".join(f"{line}\n" for line in lines).encode())
    assert _entries(run, ["d4", "d2"]) == [ENTRIES[3], ENTRIES[1]]
