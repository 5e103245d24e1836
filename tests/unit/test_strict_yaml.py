import pytest

from hpc_qa.strict_yaml import MAX_BYTES, parse, plain, read


def only_fault(text: str) -> tuple[int | None, str]:
    faults = parse(text).faults
    assert len(faults) == 1, faults
    return faults[0].line, faults[0].text


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("False", False), ("null", None), ("~", None), ("", None), ("7", 7), ("-3", -3), ("1_000", 1000),
     ("0.25", 0.25), ("1.5e+3", 1500.0), ("04:00:00", "04:00:00"), ("1-12:00:00", "1-12:00:00"),
     ("gpu:a100:4", "gpu:a100:4"),
     ("0x10", 16), ("1e5", "1e5"), ("v1.2.3", "v1.2.3"), ("=", "=")],
)  # fmt: skip
def test_a_plain_value_is_what_people_mean(text, value):
    assert plain(text) == value
    assert type(plain(text)) is type(value)


@pytest.mark.parametrize("text", ["yes", "No", "on", "OFF", "Yes"])
def test_a_word_that_yaml_takes_for_true_or_false_is_refused(text):
    line, fault = only_fault(f"a: 1\nb: {text}\n")
    assert line == 2
    assert f'"{text}" in quotes' in fault


@pytest.mark.parametrize(
    "text", ["12:30:45", "1:30.5", "0777", "00", "2025-11-04", "2025-11-04 10:00:00", ".nan", "-.inf", "9" * 50]
)
def test_a_number_that_is_none_is_refused(text):
    line, _ = only_fault(f"a: 1\nb: {text}\n")
    assert line == 2


@pytest.mark.parametrize("text", ["yes", "12:30:45", "0777", "2025-11-04", ".nan", "null"])
def test_in_quotes_everything_is_text(text):
    found = parse(f"a: \"{text}\"\nb: '{text}'\n")
    assert found.faults == []
    assert found.data == {"a": text, "b": text}


def test_the_second_of_two_equal_keys_is_a_fault_that_names_the_first():
    line, fault = only_fault("a: 1\nb:\n  c: 2\n  c: 3\n")
    assert (line, fault) == (4, "b.c stands here and on line 3; keep one")


def test_aliases_anchors_merges_and_tags_are_refused():
    assert "anchors" in only_fault("a: &x 1\n")[1]
    assert "aliases" in only_fault("a: *x\n")[1]
    assert "merging" in only_fault("a:\n  <<: {b: 1}\n")[1]
    assert "tag" in only_fault("a: !!python/object:os.system {}\n")[1]
    assert "tag" in only_fault("a: !!int '3'\n")[1]


def test_a_bomb_of_aliases_is_refused_at_its_first_anchor():
    bomb = "a: &a [x,x]\n" + "\n".join(f"{b}: &{b} [*{a},*{a}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    assert only_fault(bomb)[0] == 1


def test_a_key_that_yaml_does_not_read_as_text_is_a_fault():
    assert only_fault("no: 3\n") == (1, 'no: YAML does not read this key as text; write "no"')
    assert only_fault("1: 3\n")[0] == 1
    assert parse('"no": 3\n').data == {"no": 3}


@pytest.mark.parametrize("text", ["a: " + "[" * 40, "a: " + "{b: " * 40, "[" * 100_000, "a: " + "[" * 100_000])
def test_deep_nesting_is_a_fault_and_no_crash(text):
    assert parse(text).faults


def test_what_is_not_yaml_is_one_fault_with_its_line():
    assert only_fault("a: 1\nb: c: d\n")[0] == 2
    line, fault = only_fault("a:\n\t- b\n")
    assert line == 2
    assert "tabs" in fault


@pytest.mark.parametrize("text", ["", "# only a comment\n", "- a\n", "just words\n", "a: 1\n---\nb: 2\n", "a: \x00\n"])
def test_a_file_that_is_no_mapping_is_a_fault(text):
    assert parse(text).faults


def test_every_fault_is_found_in_one_pass():
    found = parse("a: yes\nb: 12:30:45\nc: 1\nc: 2\nd: 5\n")
    assert [fault.line for fault in found.faults] == [1, 2, 4]
    assert found.data == {"c": 1, "d": 5}


def test_a_list_with_a_fault_is_left_out_so_that_no_item_moves():
    found = parse("a: [1, yes, 3]\nb: 2\n")
    assert found.data == {"b": 2}


def test_lines_are_remembered_for_keys_and_items():
    lines = parse("a:\n  b:\n    - 1\n    - 2\nc: 3\n").lines
    assert lines == {("a",): 1, ("a", "b"): 2, ("a", "b", 0): 3, ("a", "b", 1): 4, ("c",): 5}


def test_files_that_cannot_be_read_are_faults(tmp_path):
    assert "No such file" in read(tmp_path / "none.yaml").faults[0].text
    assert "directory" in read(tmp_path).faults[0].text
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9\n")
    assert "UTF-8" in read(tmp_path / "latin.yaml").faults[0].text
    (tmp_path / "big.yaml").write_bytes(b"#" * (MAX_BYTES + 1))
    assert "larger" in read(tmp_path / "big.yaml").faults[0].text


def test_a_byte_order_mark_and_windows_lines_are_accepted(tmp_path):
    (tmp_path / "bom.yaml").write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    assert read(tmp_path / "bom.yaml").data == {"a": 1, "b": 2}
