"""What always holds of batches and of a manifest's lines."""

from hypothesis import given
from hypothesis import strategies as st

from hpc_qa import manifest
from hpc_qa.manifest import Entry, entry_from, entry_json
from hpc_qa.manifest.entry import slug

ENTRIES = st.lists(st.integers(0, 10**8), min_size=10, max_size=80).map(
    lambda sizes: [
        Entry(f"d{index}", f"d{index}.txt", ".", f"{index:064x}", size, "text/plain", None, "small")
        for index, size in enumerate(sizes)
    ]
)


@given(entries=ENTRIES, seed=st.integers(0, 2**32), first=st.integers(1, 5), second=st.integers(1, 5))
def test_cluster_batches_and_the_rest_hold_every_document_once(
    entries: list[Entry], seed: int, first: int, second: int
) -> None:
    cut = manifest.batches(entries, {"local_5": 5, "smoke": first, "batch": second}, seed)
    assert (len(cut["smoke"]), len(cut["batch"]), len(cut["local_5"])) == (first, second, 5)
    together = [entry.doc_id for name in ("smoke", "batch", "production") for entry in cut[name]]
    assert sorted(together) == sorted(entry.doc_id for entry in entries)
    assert all(entry.batch == name for name, batch in cut.items() for entry in batch)
    assert cut == manifest.batches(entries, {"local_5": 5, "smoke": first, "batch": second}, seed)


@given(path=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_any_name_gives_a_slug_that_is_safe_as_a_file_name(path: str) -> None:
    assert slug(path)
    assert set(slug(path)) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-")


@given(
    path=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0/."), min_size=1),
    size=st.integers(0),
    pages=st.none() | st.integers(0),
    tokens=st.none() | st.integers(0),
)
def test_an_entry_survives_its_line(path: str, size: int, pages: int | None, tokens: int | None) -> None:
    import json

    entry = Entry("d-1", path, "docs", "0" * 64, size, "text/plain", pages, "small", tokens, None)
    line = entry_json(entry)
    assert "\n" not in line
    assert entry_from(json.loads(line)) == entry
