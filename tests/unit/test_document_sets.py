import json

import pytest

from hpc_qa.errors import ManifestError
from hpc_qa.manifest.entry import make_entry
from hpc_qa.manifest.reader import write
from hpc_qa.manifest.sets import document_sets
from tests.projects import call


def entry(number, size_bytes):
    return make_entry(
        path=f"d{number:04}.pdf", root=".", sha256=f"{number:064x}", size_bytes=size_bytes, kind="application/pdf"
    )


def corpus():
    sizes = [1_000 * n for n in range(1, 401)] + [100_000 * n for n in range(10, 90)] + [10**7 * n for n in range(1, 9)]
    return [entry(number, size) for number, size in enumerate(sizes)]


def test_a_set_holds_the_documents_nearest_to_its_size():
    found = document_sets(corpus())
    assert {name: len(entries) for name, entries in found.items()} == {"small": 100, "medium": 25, "large": 5}
    assert all(200_000 <= one.bytes <= 310_000 for one in found["small"])
    assert all(2_000_000 <= one.bytes <= 5_000_000 for one in found["medium"])
    assert [one.bytes for one in found["large"]] == [10**7 * n for n in range(1, 6)]


def test_the_order_of_the_manifest_does_not_change_a_set():
    forwards, backwards = document_sets(corpus()), document_sets(corpus()[::-1])
    assert {n: {e.doc_id for e in es} for n, es in forwards.items()} == {
        n: {e.doc_id for e in es} for n, es in backwards.items()
    }


def test_too_few_documents_are_named_for_every_set_at_once():
    with pytest.raises(ManifestError) as caught:
        document_sets([entry(1, 250_000), entry(2, 60_000_000)])
    assert [fault.partition(" needs")[0] for fault in caught.value.faults] == ["small", "medium", "large"]
    assert "the manifest has 1 (250 KB to 250 KB)" in caught.value.faults[0]
    assert "1 small, 0 medium, 1 large" in caught.value.hint


def test_the_command_writes_one_manifest_for_each_set_and_nothing_when_one_is_too_small(tmp_path, capsys):
    write(tmp_path / "m.jsonl", corpus())
    asked = ("manifest", "sets", str(tmp_path / "m.jsonl"), "-o", str(tmp_path / "sets"))
    assert call(tmp_path, *asked, "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["set"], row["documents"]) for row in rows] == [("small", 100), ("medium", 25), ("large", 5)]
    assert call(tmp_path, *asked) == 2
    assert "is there already" in capsys.readouterr().err
    write(tmp_path / "few.jsonl", corpus()[:450])
    few = ("manifest", "sets", str(tmp_path / "few.jsonl"), "-o", str(tmp_path / "few"))
    assert call(tmp_path, *few) == 2
    assert not (tmp_path / "few").exists()
    assert call(tmp_path, *few, "--sets", "small,medium") == 0
