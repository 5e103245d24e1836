"""What tests of bad input share: projects with a tokenizer, the program called in this process, and conversions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from hpc_qa import manifest
from hpc_qa.cli.main import run
from hpc_qa.config import DocumentLimits
from hpc_qa.documents.cache import DocumentCache, converter_key
from hpc_qa.documents.chunks import Chunk
from hpc_qa.documents.convert import Conversion, convert_all
from hpc_qa.documents.facts import Facts
from hpc_qa.documents.stage_record import StageRecord
from tests import made_documents as made

TEXT = made.PDF_LINE
CONFIG = "name: t\nmanifest: m.jsonl\nexecutor: local\nvllm:\n  model: model\n"
Call = Callable[..., tuple[int, str, str]]


@dataclass(frozen=True, slots=True)
class Converted:
    """One document after conversion; Markdown and chunks are empty where there are none."""

    facts: Facts
    markdown: str
    chunks: list[Chunk]

    @property
    def outcome(self) -> str:
        """`ok` or the reason."""
        return self.facts.reason or self.facts.status


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small tokenizer."""
    return made.write_tokenizer(Path(tmp_path_factory.mktemp("model"))).parent


@pytest.fixture
def project(tmp_path: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder, which is the current folder too, with one document and a config."""
    folder = tmp_path / "project"
    (folder / "docs").mkdir(parents=True)
    (folder / "docs" / "a.txt").write_text(TEXT)
    (folder / "model").symlink_to(tokenizer)
    (folder / "config.yaml").write_text(CONFIG)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Calls the program: exit code, stdout and stderr. A traceback would fail the test: nothing is caught here."""

    def called(*arguments: str | Path) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return called


def grown_bytes(work: Callable[[], object]) -> int:
    """By how much this process grows at most at this work, however large it was before."""
    Path("/proc/self/clear_refs").write_text("5")  # its peak begins anew, see proc_pid_clear_refs(5)
    before = psutil.Process().memory_info().rss
    work()
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024 - before


def convert(
    folder: Path, tokenizer: Path, files: Mapping[str, bytes], record: StageRecord | None = None, **limits: object
) -> dict[str, Converted]:
    """Every file as the real converters leave it, by name."""
    (folder / "docs").mkdir()
    (folder / "model").symlink_to(tokenizer)
    for name, data in files.items():
        (folder / "docs" / name).write_bytes(data)
    config = made.config(limits=DocumentLimits.model_validate({"timeout": "00:00:30", "memory_gib": 0.5} | limits))
    entries = manifest.build([folder / "docs"], project=folder).entries
    results = convert_all(entries, config, project=folder, record=record)
    cache = DocumentCache(folder / "cache" / "documents", converter_key(config, folder))
    return {entry.path: _found(cache, entry, result) for entry, result in zip(entries, results, strict=True)}


def _found(cache: DocumentCache, entry: manifest.Entry, result: Conversion) -> Converted:
    facts = cache.facts(entry.sha256, entry.media_type)
    if facts is None:  # what may be otherwise next time is not kept
        facts = Facts("failed", entry.sha256, entry.media_type, entry.bytes, result.reason, result.detail)
    if facts.status != "ok":
        return Converted(facts, "", [])
    key = entry.sha256, entry.media_type
    return Converted(facts, cache.markdown(*key), cache.chunks(*key))
