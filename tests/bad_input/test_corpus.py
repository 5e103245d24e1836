"""The script that makes the bad documents leaves none of the inputs out that we said we survive."""

from pathlib import Path

import pytest

from tests.data.bad import make


@pytest.fixture(scope="module")
def names() -> list[str]:
    return [bad.name for bad in make.corpus()]


def test_every_input_of_the_list_is_a_file_with_an_outcome(names: list[str]) -> None:
    assert {name for files in make.INPUTS.values() for name in files} - set(names) == set()
    assert all(bad.outcome for bad in make.corpus())


def test_no_two_files_have_one_name(names: list[str]) -> None:
    assert len(set(names)) == len(names)


def test_the_script_writes_the_files_and_their_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = [bad for bad in make.corpus() if bad.name in ("encrypted.docx", "up.zip")]
    monkeypatch.setattr(make, "corpus", lambda: iter(few))
    assert make.write(tmp_path / "bad") == 2
    lines = (tmp_path / "bad" / "expected.tsv").read_text().splitlines()
    assert [line.split("\t") for line in lines] == [
        ["name", "outcome", "said"],
        ["encrypted.docx", "encrypted", "a password is needed"],
        ["up.zip", "refused", "leads out of the archive"],
    ]
