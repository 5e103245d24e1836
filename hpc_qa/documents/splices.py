"""Replace stretches of a text by others, in one pass."""

from collections.abc import Iterable

Edit = tuple[int, int, str]  # where the stretch begins and ends, and what takes its place


def spliced(text: str, edits: Iterable[Edit]) -> str:
    """The text after these edits, which are in order; one that begins inside of an earlier one is left out.

    >>> spliced("abcdef", [(1, 3, "X"), (2, 4, "Y"), (5, 5, "-")])
    'aXde-f'
    """
    parts, position = [], 0
    for start, end, replacement in edits:
        if start >= position:
            parts += [text[position:start], replacement]
            position = end
    return "".join([*parts, text[position:]])
