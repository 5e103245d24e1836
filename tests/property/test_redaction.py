"""A record without its text takes the place of the record, to the byte."""

from hypothesis import given
from hypothesis import strategies as st

from hpc_qa.store.redaction import emptied, redacted
from hpc_qa.store.segments import decode_line, encode_line

VALUES = st.text(max_size=30) | st.integers() | st.none() | st.booleans() | st.lists(st.text(max_size=9))
TEXTS = st.dictionaries(st.text(max_size=8), VALUES | st.dictionaries(st.text(max_size=5), VALUES), max_size=6)


@given(TEXTS, st.integers(0, 999))
def test_a_redacted_line_is_as_long_as_before_and_holds_no_text_of_the_record(texts, batch):
    record = {"kind": "pair", "key": "k", "doc_id": "d"} | {f"text_{name}": value for name, value in texts.items()}
    line = encode_line(batch, 1, 2, record)
    clean = redacted(line, {"d"})
    assert len(clean) == len(line)
    assert decode_line(clean) == (batch, 1, 2, emptied(record))
    assert not any(value for name, value in emptied(record).items()
                   if name.startswith("text_") and isinstance(value, str | list | dict))  # fmt: skip
    assert redacted(clean, {"d"}) == clean
    assert redacted(line, {"e"}) == line


@given(st.binary(max_size=80))
def test_what_is_no_record_is_blanked_and_keeps_its_length_and_its_lines(junk):
    clean = redacted(junk, {"d"})
    assert len(clean) == len(junk)
    assert clean.count(b"\n") == junk.count(b"\n")
    assert set(clean) <= set(b"#\n")
