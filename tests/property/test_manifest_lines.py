"""Lines of a manifest that one pattern reads: it takes none that the parser and its checks would read otherwise."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hpc_qa import manifest
from hpc_qa.errors import ManifestError
from hpc_qa.manifest import Entry, entry_json, jsonl
from hpc_qa.manifest.entry import entry_from, plain_entry

PLAIN = st.text(
    st.characters(codec="ascii", categories=["L", "N", "P", "S", "Zs"], exclude_characters='"\\'), min_size=1
)
ANY = st.text(min_size=1)
NUMBER = st.integers(0, 10**17)
HUGE = st.integers(0, 10**45)


def entries_of(text: st.SearchStrategy[str], number: st.SearchStrategy[int]) -> st.SearchStrategy[Entry]:
    return st.builds(
        Entry,
        doc_id=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,30}", fullmatch=True),
        path=text,
        root=text,
        sha256=st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
        bytes=number,
        media_type=text,
        pages=st.none() | number,
        size_class=text,
        tokens=st.none() | number,
        batch=st.none() | text,
    )


ODD = st.sampled_from(
    [
        '"', "\\", "\\u00e9", "\\ud800", '\\"', "{", "}", "[", ",", ":", " ", "\t", "\r", "\n", "\0", "\x7f",
        "é", "\ufeff", "/", "..", "!/", ".zip!/", "0", "-", "1e3", "1.0", ".", "NaN", "Infinity", "true", "null",
        "9" * 50, '"doc_id": ', '"tokens": 1, ', '"path": "a", ', ', "batch": "b"', ', "more": [{"path": 1}]',
        '"pages": ', '""',
    ]
)  # fmt: skip


@st.composite
def changed_lines(draw: st.DrawFn) -> str:
    """The line of an entry, with things put into it or cut out of it at some places."""
    line = entry_json(draw(entries_of(PLAIN, NUMBER)))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(
            st.integers(0, len(line)) | st.sampled_from([at for at, one in enumerate(line) if one in '{",:}'] or [0])
        )
        line = line[:place] + draw(ODD | st.just("")) + line[place + draw(st.integers(0, 3)) :]
    return line


@st.composite
def written_otherwise(draw: st.DrawFn) -> str:
    """An entry as other programs may write it, with fields that cannot be right now and then."""
    entry = draw(entries_of(PLAIN | ANY, NUMBER | HUGE))
    pairs = list(json.loads(entry_json(entry)).items())
    wrong = st.none() | st.booleans() | st.floats() | HUGE | ANY | st.just("") | st.just([]) | st.integers(-9, 9)
    for at in draw(st.lists(st.integers(0, len(pairs) - 1), max_size=2)):
        pairs[at] = (pairs[at][0], draw(wrong))
    pairs += draw(st.lists(st.sampled_from(pairs) | st.tuples(ANY, wrong), max_size=2))
    order = draw(st.just(pairs) | st.permutations(pairs))
    comma, colon = draw(st.sampled_from([(", ", ": "), (",", ":"), (" ,", " : ")]))
    ascii_only = draw(st.booleans())
    texts = [
        f"{json.dumps(k, ensure_ascii=ascii_only)}{colon}{json.dumps(v, ensure_ascii=ascii_only)}" for k, v in order
    ]
    return "{" + comma.join(texts) + "}"


LINES = changed_lines() | written_otherwise()


@given(line=LINES)
@example(line="")
def test_what_the_pattern_takes_the_parser_and_the_checks_take_as_the_same_entry(line: str) -> None:
    entry = plain_entry(f"{line}\n")
    if entry is not None:
        assert entry == jsonl._parsed(line)
        assert entry_json(entry) == line


@given(entry=entries_of(PLAIN, NUMBER))
def test_the_pattern_takes_every_line_that_we_write_with_plain_names_inside_their_root(entry: Entry) -> None:
    line = entry_json(entry)
    found = plain_entry(f"{line}\n")
    if found is None:
        assert entry.path.startswith("/") or ".." in line or "!/" in line
    else:
        assert found == entry


@settings(suppress_health_check=[HealthCheck.too_slow])  # many kinds of lines, and a machine that does other things
@given(
    lines=st.lists(LINES | st.sampled_from(["", " ", "[]", "nonsense", "# a,b,c"]), max_size=6),
    end=st.sampled_from(["\n", "\r\n", "\n\n"]),
    start=st.sampled_from(["", "\ufeff"]),
    last=st.booleans(),
)
def test_a_file_gives_the_same_entries_and_faults_with_and_without_the_pattern(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], end: str, start: str, last: bool
) -> None:
    path = tmp_path_factory.mktemp("manifest") / "m.jsonl"
    path.write_bytes((start + end.join(lines) + end * last).encode(errors="surrogatepass"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jsonl, "plain_entry", lambda line: None)
        carefully = outcome(path)
    assert outcome(path) == carefully


def outcome(path: Path) -> list[Entry] | tuple[str, ...]:
    """What reading gives: entries or faults. Read twice and written, the entries stay what they are."""
    found = manifest.Manifest(path, project=path.parent)
    try:
        entries = list(found)
    except ManifestError as error:
        return error.faults
    assert list(found) == entries
    assert b"".join(found.lines()) == "".join(f"{entry_json(entry)}\n" for entry in entries).encode()
    assert found.count == len(entries)
    return entries


@given(entry=entries_of(ANY, HUGE))
def test_an_entry_is_written_as_the_json_module_would(entry: Entry) -> None:
    fields = {name: getattr(entry, name) for name in Entry.__slots__}
    kept = {name: value for name, value in fields.items() if value is not None or name == "pages"}
    assert entry_json(entry) == json.dumps(kept)


def test_entry_from_still_says_all_faults_of_a_line() -> None:
    with pytest.raises(ValueError, match="path is missing; bytes is not a whole number from 0; sha256 is not 64"):
        entry_from({"doc_id": "a", "sha256": "x", "bytes": -1, "media_type": "text/plain"})
