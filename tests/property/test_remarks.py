"""The benchmark document, filled again and again: what people wrote in it stays byte for byte, or it is refused."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpc_qa.bench.record import Record
from hpc_qa.config_file import Project
from hpc_qa.errors import ConfigError
from hpc_qa.report.document.document import KEPT, document
from hpc_qa.report.document.material import Material, material
from hpc_qa.report.document.remarks import FIXED, key_of, read_remarks

BATCHES = ("local_5", "batch_50", "mine", "a-->b|c", "batch_7")
# anything but what looks like a mark; a line feed at the end, as an editor leaves it
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200).filter(
    lambda text: "remarks" not in text.lower()
)
records = st.lists(
    st.builds(
        lambda number, batch, sweep, minutes: Record.model_validate(
            {"id": f"r{number}", "batch": batch, "sweep": sweep, "environment": "local",
             "results": {"total_time_minutes": minutes}}
        ),
        st.integers(0, 5), st.sampled_from([*BATCHES, None]), st.sampled_from([None, None, "sweep <!-- x"]),
        st.floats(0, 1e6) | st.none(),
    ),
    unique_by=lambda record: record.id, max_size=5,
)  # fmt: skip


@pytest.fixture(scope="module")
def empty(tmp_path_factory) -> Material:
    return material(tmp_path_factory.mktemp("p"), Project())


def marked(key: str, text: str) -> bytes:
    return f"<!-- remarks: {key} -->\n{text}\n<!-- end of remarks: {key} -->\n".encode()


@given(first=records, second=records, third=records, said=st.dictionaries(st.sampled_from(FIXED), texts, max_size=4),
       lesson=texts.filter(str.strip))  # fmt: skip
@settings(deadline=None, max_examples=30)
def test_remarks_stay_byte_for_byte_whatever_is_recorded_later(empty, first, second, third, said, lesson):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "B.md"
        fill(path, replace(empty, records=(*first, Record(id="x", batch="batch_7", environment="local"))))
        said[key_of("batch", "batch_7")] = lesson
        for key, text in said.items():
            write(path, key, text)
        for data in (second, third, second):
            fill(path, replace(empty, records=tuple(data)))
            found = path.read_bytes()
            for key, text in said.items():
                assert marked(key, text) in found, key
            there = any(record.batch == "batch_7" and record.sweep is None for record in data)
            assert (f"## {KEPT}".encode() in found) is not there


@given(texts)
@settings(deadline=None)
def test_text_outside_of_the_places_is_never_lost_unseen(empty, text):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "B.md"
        fill(path, empty)
        changed = path.read_bytes().replace(b"## Contents\n", b"## Contents\n" + text.encode() + b"\n")
        path.write_bytes(changed)
        with pytest.raises(ConfigError):
            fill(path, empty)
        assert path.read_bytes() == changed


def fill(path: Path, found: Material) -> None:
    """As `report.document.fill`, without its fsync."""
    path.write_bytes(document(found, read_remarks(path)).encode())


def write(path: Path, key: str, text: str) -> None:
    """As an editor does: between the marks of a place."""
    whole = path.read_bytes()
    begin, end = f"<!-- remarks: {key} -->\n".encode(), f"<!-- end of remarks: {key} -->".encode()
    path.write_bytes(whole[: whole.index(begin)] + begin + text.encode() + b"\n" + whole[whole.index(end) :])
