"""A passage as the page shows it: nothing is lost but layout, the evidence is marked, nothing hides."""

from hypothesis import example, given
from hypothesis import strategies as st

from hpc_qa.report.passage import evidence_spans, passage, pieces

TEXT = """# Fees

The fee is
4 dollars. It falls due in May, on the first working day of the week.

- one item
- another

| size | limit |
|------|------:|
| 1 | 2,510 |
| a \\| b | 3,407 |

1 High Street
Anytown

```
code  stays
```
"""


def shown(context: str, *evidence: str) -> list[dict[str, object]]:
    spans, missing = evidence_spans(context, evidence)
    assert missing == []
    return passage(context, spans)


def test_blocks_are_headings_items_tables_lines_and_text():
    blocks = shown(TEXT, "The fee is\n4 dollars.", "| 1 | 2,510 |")
    assert [block["kind"] for block in blocks] == ["heading", "text", "item", "item", "table", "lines", "fence"]
    assert blocks[0]["pieces"] == [["text", "Fees"]]
    assert blocks[1]["pieces"] == [
        ["evidence", "The fee is\n4 dollars."],
        ["text", " It falls due in May, on the first working day of the week."],
    ]
    assert (blocks[2]["marker"], blocks[2]["pieces"]) == ([["text", "-"]], [["text", "one item"]])
    assert blocks[4]["head"] is True
    assert blocks[4]["rows"] == [
        [[["text", "size"]], [["text", "limit"]]],
        [[["evidence", "1"]], [["evidence", "2,510"]]],
        [[["text", "a \\| b"]], [["text", "3,407"]]],
    ]


def test_evidence_that_overlaps_is_one_and_what_stands_nowhere_is_named():
    assert evidence_spans("abcdef", ["bcd", "cde", "a", "x", ""]) == ([(0, 1), (1, 5)], ["x"])


def test_what_cannot_be_seen_is_named():
    assert pieces("a\u202eb\x1b\u200d \xa0\n\t\ud83d\U000e0041") == [
        ["text", "a"], ["hidden", "U+202E"], ["text", "b"], ["hidden", "U+001B"], ["hidden", "U+200D"],
        ["text", " \xa0\n\t"], ["hidden", "U+D83D"], ["hidden", "U+E0041"],
    ]  # fmt: skip


@given(st.text(alphabet="ab #|-`\n\t\u202e\\1.*", max_size=60), st.data())
@example("| |", None)
def test_every_word_of_the_context_is_shown_once_and_in_order(context, data):
    marks = []
    if data is not None and context:
        start = data.draw(st.integers(0, len(context) - 1))
        marks = [(start, data.draw(st.integers(start + 1, len(context))))]
    said = []
    for block in passage(context, marks):
        cells = [cell for row in block["rows"] for cell in row] if "rows" in block else [block["pieces"]]
        said += [text for cell in cells for _, text in cell]
    letters = [text for text in "".join(said).replace("U+202E", "") if text in "ab"]
    assert letters == [letter for letter in context if letter in "ab"]


def test_a_large_passage_is_shown_whole():
    context = "word " * 50_000 + "| a " * 5_000
    assert sum(len(text) for block in passage(context, [(10, 200_000)]) for _, text in block["pieces"]) > 250_000
