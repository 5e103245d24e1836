"""Which chunks are left out of a manifest, and which issue of a manual is asked about."""

from dataclasses import replace

from hpc_qa.campaign.chunk_choice import Choice, Document, choose
from hpc_qa.config import Documents
from hpc_qa.documents.reissues import sketch
from hpc_qa.documents.screening import Screened

MANUAL = sketch(" ".join(f"manual{word}" for word in range(80)))


def screened(digest: int = 0, *paragraphs: str, kind: str | None = None, language: str | None = "en") -> Screened:
    """A chunk of 100 characters, all of them in these paragraphs."""
    share = 100 // max(1, len(paragraphs))
    return Screened(kind, language, (), f"{digest:016x}", 100, tuple((name, share) for name in paragraphs))


def chosen(made: dict[str, list[Screened]], settings: Documents | None = None, language: str | None = "en") -> Choice:
    documents = {name: Document(f"{name}.pdf", None, None) for name in made}
    counts = {name: len(chunks) for name, chunks in made.items()}
    return choose(documents, counts, made.get, settings or Documents(), language)


def test_a_chunk_is_left_out_for_what_it_is_before_anything_else() -> None:
    found = chosen({"a": [screened(1, kind="contents", language="de"), screened(2, language="de"), screened(3)]})
    assert found.documents["a"].left_out == {"contents": [0], "language": [1]}
    assert found.documents["a"].asked == [2]


def test_the_language_counts_only_where_one_is_asked_for_and_it_is_known() -> None:
    made = {"a": [screened(1, language="de"), screened(2, language=None)]}
    assert chosen(made, language=None).documents["a"].left_out == {}
    assert chosen(made, language="gd").documents["a"].left_out == {}
    assert chosen(made).documents["a"].left_out == {"language": [0]}


def test_what_is_not_in_skip_is_asked_about() -> None:
    made = {"a": [screened(1, kind="form"), screened(2, language="de"), screened(3), screened(3)]}
    assert chosen(made, Documents(skip=[])).documents["a"].left_out == {}


def test_a_chunk_of_a_torn_page_is_left_out_when_so_set_and_one_of_raw_text_is_not() -> None:
    made = {"a": [replace(screened(1), page_fidelity="low"), replace(screened(2), page_fidelity="raw"), screened(3)]}
    assert chosen(made).documents["a"].left_out == {}
    assert chosen(made, Documents(low_pages="skip")).documents["a"].left_out == {"low_page": [0]}


def test_a_licence_in_every_document_is_boilerplate_and_a_chunk_with_little_of_it_is_kept() -> None:
    licence = "00000000deadbeef"
    made = {f"d{place}": [screened(10 * place, licence), screened(10 * place + 1, licence, "b" * 16, f"{place:016x}")]
            for place in range(6)}  # fmt: skip
    found = chosen(made)
    assert found.boilerplate == {licence, "b" * 16}
    assert all(one.left_out == {"boilerplate": [0]} for one in found.documents.values())


def test_below_five_documents_nothing_is_boilerplate() -> None:
    made = {f"d{place}": [screened(place, "a" * 16)] for place in range(4)}
    assert chosen(made).counts() == {"chunks": 4, "asked": 4}


def test_of_equal_chunks_that_of_the_first_document_is_asked_about() -> None:
    found = chosen({"b": [screened(1), screened(2)], "a": [screened(2), screened(3)]})
    assert found.documents["b"].left_out == {}
    assert found.documents["a"].left_out == {"duplicate": [0]}


def test_a_document_of_which_nothing_is_left_is_skipped_with_its_most_common_reason() -> None:
    found = chosen({"a": [screened(1, kind="form"), screened(2, kind="index"), screened(3, kind="form")]})
    assert [(one.state, one.reason) for one in found.settled] == [("skipped", "nothing_to_ask:form")]


def test_a_document_whose_screening_cannot_be_read_keeps_all_its_chunks() -> None:
    documents = {"a": Document("a.pdf", None, None)}
    assert choose(documents, {"a": 2}, lambda _: None, Documents(), "en").documents["a"].asked == [0, 1]


def test_only_the_newest_issue_is_asked_about_when_so_set() -> None:
    names = {"x": "manual-2024.pdf", "y": "manual-2025.pdf", "z": "manual-2019.pdf"}
    documents = {name: Document(path, None, MANUAL) for name, path in names.items()}
    made = {name: [screened(place)] for place, name in enumerate(names)}
    found = choose(documents, dict.fromkeys(names, 1), made.get, Documents(reissues="newest"), "en")
    assert found.groups == [["x", "y", "z"]]
    assert {one.doc_id: one.reason for one in found.settled} == {"x": "reissue_of:y", "z": "reissue_of:y"}
    assert found.counts() == {"chunks": 3, "asked": 1, "reissue_of": 2}


def newest_of(**documents: tuple[str, str | None]) -> Choice:
    """The choice among documents that are alike, each with its path and title."""
    made = {name: Document(path, title, MANUAL) for name, (path, title) in documents.items()}
    chunks = {name: [screened(place)] for place, name in enumerate(made)}
    return choose(made, dict.fromkeys(made, 1), chunks.get, Documents(reissues="newest"), "en")


def test_the_manuals_of_two_states_are_no_issues_of_one() -> None:
    found = newest_of(
        ohio=("ohio/rules.pdf", "Rules 2025"), iowa=("rules-2024.pdf", "Rules of Iowa"), utah=("UT_rules.pdf", None),
        older=("ohio/old.pdf", "Rules December 2024"), nowhere=("rules.pdf", "Rules 2026"),
    )  # fmt: skip
    assert {one.doc_id: one.reason for one in found.settled} == {"older": "reissue_of:ohio"}
    assert found.groups == [["ohio", "iowa", "utah", "older", "nowhere"]]  # they stay on one side of the split
    assert found.by_order == []


def test_an_issue_that_names_no_state_is_one_of_the_only_state_that_the_others_name() -> None:
    found = newest_of(ohio=("ohio/rules.pdf", "December 2025"), nowhere=("rules.pdf", "February 2025"))
    assert {one.doc_id: one.reason for one in found.settled} == {"nowhere": "reissue_of:ohio"}


def test_where_no_date_tells_the_newest_the_order_of_the_manifest_decides_and_is_said_to() -> None:
    found = newest_of(a=("one.pdf", "Rules"), b=("two.pdf", "Rules"), c=("three.pdf", "Rules"))
    assert {one.doc_id for one in found.settled} == {"a", "b"}
    assert found.by_order == found.to_json()["newest_by_order"] == ["c"]
