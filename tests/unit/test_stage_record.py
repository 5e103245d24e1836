"""What a conversion took, stage by stage, is measured where it is done, kept, and found again."""

import json
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from hpc_qa import manifest
from hpc_qa.config import DocumentLimits
from hpc_qa.documents.cache import converter_key
from hpc_qa.documents.convert import convert_all
from hpc_qa.documents.stage_record import Measured, StageRecord, records, stages_of, summed
from hpc_qa.documents.usage import STAGES, Meter, Usage, read_usages, together
from tests import made_documents as made

CACHE = Path("cache/documents")
EARLIER = "2000-01-01T00:00:00.000Z"
LIMITS = DocumentLimits(timeout="00:01:40", memory_gib=0.5)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(tmp_path_factory.mktemp("project"))
    made.write_tokenizer(folder / "model")
    (folder / "docs").mkdir()
    good = made.manual(8)
    (folder / "docs" / "a.pdf").write_bytes(good)
    (folder / "docs" / "b.md").write_text("# Top\n\n" + made.SENTENCES * 3_000)
    (folder / "docs" / "same.pdf").write_bytes(good)
    (folder / "docs" / "encrypted.pdf").write_bytes(made.encrypted())
    (folder / "docs" / "bomb.pdf").write_bytes(made.form_bomb())
    return folder


@pytest.fixture(scope="module")
def entries(project: Path) -> list[manifest.Entry]:
    return manifest.build([project / "docs"], project=project).entries


@pytest.fixture(scope="module")
def record(project: Path, entries: list[manifest.Entry]) -> StageRecord:
    record = StageRecord()
    convert_all(entries, made.config(limits=LIMITS), project=project, record=record)
    return record


def test_every_document_has_its_stages_and_what_the_cache_had_has_none(record: StageRecord) -> None:
    found = {one.doc_id.rpartition("-")[0]: one for one in record.documents}
    assert set(found["a"].stages) == set(STAGES)
    assert (found["same"].cached, found["same"].stages) == (True, {})
    assert (found["encrypted"].reason, set(found["encrypted"].stages)) == ("encrypted", {"raw_input", "conversion"})
    for one in record.fresh:
        for usage in one.stages.values():
            assert usage.duration_s >= 0
    preprocessing = found["b"].stages["preprocessing"]
    assert preprocessing.cpu_s is not None
    assert 0 < preprocessing.cpu_s <= 1.5 * preprocessing.duration_s + 0.1
    assert preprocessing.memory_peak_bytes is not None
    assert 2**24 < preprocessing.memory_peak_bytes < 2**31
    assert preprocessing.io_write_bytes is not None
    assert preprocessing.io_write_bytes > found["b"].size_bytes  # the text, and the chunks
    raw = found["b"].stages["raw_input"]
    assert raw.io_read_bytes is not None
    assert raw.io_read_bytes >= 2 * found["b"].size_bytes  # here, and in the child


def test_of_a_document_that_was_killed_the_system_says_what_it_took(record: StageRecord) -> None:
    [bomb] = [one for one in record.documents if one.reason == "memory"]
    killed = bomb.stages["conversion"]
    assert killed.duration_s > 0
    assert killed.cpu_s is not None
    assert killed.memory_peak_bytes is not None
    assert killed.memory_peak_bytes > 2**26
    assert killed.io_read_bytes is None


def test_the_file_holds_totals_by_stage_and_size_class_and_a_line_per_document(record: StageRecord) -> None:
    assert record.path is not None
    summary, *rows = map(json.loads, record.path.read_text().splitlines())
    assert (summary["documents"], summary["cached"], len(rows)) == (5, 1, 5)
    assert [stage["name"] for stage in summary["stages"]] == list(STAGES)
    assert sum(stage["share_percent"] for stage in summary["stages"]) == pytest.approx(100, abs=0.2)
    assert all(stage["bottleneck"] in ("cpu", "io", "memory") for stage in summary["stages"])
    assert [(one["size_class"], one["documents"], one["cached"]) for one in summary["by_size_class"]] == [
        ("small", 4, 1), ("medium", 1, 0),
    ]  # fmt: skip
    assert summary["wall_s"] > 0
    assert not list(record.path.parent.glob("*.tmp"))


def test_a_second_call_shows_hits_and_the_stages_of_the_first_are_found(
    project: Path, entries: list[manifest.Entry], record: StageRecord
) -> None:
    config, again = made.config(limits=LIMITS), StageRecord()
    convert_all(entries, config, project=project, record=again)
    assert (again.fresh, again.summary()["stages"], again.summary()["cached"]) == ([], [], 5)
    key = converter_key(config, project)
    wanted = {(one.sha256, one.kind) for one in record.documents if one.doc_id.startswith("b-")}
    [_, conversion, _] = found = stages_of(project / CACHE, wanted, key, EARLIER)
    assert [stage["documents"] for stage in found] == [1, 1, 1]
    [b] = [one for one in record.documents if one.doc_id.startswith("b-")]
    assert conversion["duration_s"] == pytest.approx(b.stages["conversion"].duration_s, abs=1e-3)
    assert {stage["cached"] for stage in found} == {0}
    after = stages_of(project / CACHE, wanted, key, "9999-01-01T00:00:00.000Z")
    assert {stage["cached"] for stage in after} == {1}
    assert stages_of(project / CACHE, wanted, "another", EARLIER) == []
    assert stages_of(project / CACHE, set(), key, EARLIER) == []


def test_a_stage_that_came_near_the_limit_of_its_call_is_held_up_by_memory(tmp_path: Path) -> None:
    for limit_bytes, sha256 in ((1000, "near"), (4000, "far"), (None, "unknown")):
        record = StageRecord(memory_limit_bytes=limit_bytes, converter_key="key")
        usage = Usage(2.0, 1.8, 950, 10, 20)
        record.documents.append(Measured("a", sha256, "pdf", 5, False, None, {"conversion": usage}))
        record.write(tmp_path / sha256)
    found = {name: stages_of(tmp_path / name, {(name, "pdf")}, "key", EARLIER) for name in ("near", "far", "unknown")}
    assert {name: stage["bottleneck"] for name, [stage] in found.items()} == {
        "near": "memory", "far": "cpu", "unknown": "cpu",
    }  # fmt: skip


def test_a_call_that_nobody_asks_about_leaves_a_record_only_of_work(
    project: Path, entries: list[manifest.Entry]
) -> None:
    config = made.config(limits=LIMITS)
    kept = [entry for entry in entries if entry.path == "b.md"]
    convert_all(kept, config, project=project)
    before = len(list(records(project / CACHE)))
    convert_all(kept, config, project=project)
    assert len(list(records(project / CACHE))) == before


def test_a_record_that_is_torn_is_left_out(project: Path, record: StageRecord) -> None:
    before = len(list(records(project / CACHE)))
    (project / CACHE / "records" / "torn.jsonl").write_text('{"documents": 1')
    (project / CACHE / "records" / "odd.jsonl").write_text("[]\n")
    assert len(list(records(project / CACHE))) == before


def test_stages_are_sums_and_what_is_not_known_stays_so() -> None:
    one = Measured("a", "s", "pdf", 5, False, None, {"conversion": Usage(2.0, 1.8, 900, 10, 20)})
    other = Measured("b", "t", "pdf", 5, False, None, {"conversion": Usage(2.0, None, 500, 10, None)})
    [both] = summed([one, other], 1000)
    assert both == {
        "name": "conversion", "documents": 2, "duration_s": 4.0, "cpu_percent": None, "memory_gb_peak": 0.0,
        "io_read_mb": 0.0, "io_write_mb": None, "share_percent": 100.0, "bottleneck": "memory",
    }  # fmt: skip
    assert summed([one], 10_000)[0]["bottleneck"] == "cpu"
    assert summed([other], 10_000)[0]["bottleneck"] is None


def test_a_program_that_a_stage_starts_is_part_of_it_and_of_no_other() -> None:
    code = """if True:
        import json, subprocess, sys
        from dataclasses import asdict
        from hpc_qa.documents.usage import Meter
        meter = Meter()
        with meter.stage("conversion"):
            subprocess.run([sys.executable, "-c", "x = bytearray(400_000_000); sum(range(3_000_000))"], check=True)
        with meter.stage("preprocessing"):
            pass
        print(json.dumps({name: asdict(usage) for name, usage in meter.stages.items()}))
    """  # in a process of its own: the one of the tests has grown by whatever ran before
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    conversion, preprocessing = map(json.loads(done.stdout).get, ("conversion", "preprocessing"))
    assert conversion["memory_peak_bytes"] > 400_000_000 > preprocessing["memory_peak_bytes"]
    assert conversion["cpu_s"] > 0.05 > preprocessing["cpu_s"]


def test_a_meter_tells_computing_from_waiting(tmp_path: Path) -> None:
    meter = Meter()
    with meter.stage("raw_input"):
        time.sleep(0.3)
    with meter.stage("conversion"), suppress(ZeroDivisionError):
        len(bytearray(64_000_000)) / 0
    meter.write(tmp_path / "usages.json")
    found = read_usages(tmp_path / "usages.json")
    assert found == meter.stages
    assert found["raw_input"].duration_s >= 0.3
    assert (found["raw_input"].cpu_s or 0) < 0.2
    assert found["conversion"].memory_peak_bytes is not None
    assert found["raw_input"].memory_peak_bytes is not None
    assert found["conversion"].memory_peak_bytes - found["raw_input"].memory_peak_bytes > 50_000_000
    assert together(found, found)["raw_input"].duration_s == 2 * found["raw_input"].duration_s
    (tmp_path / "torn.json").write_text('{"raw_input": {"duration_s": 1, "x": 2}}')
    assert read_usages(tmp_path / "torn.json") == read_usages(tmp_path / "none.json") == {}
