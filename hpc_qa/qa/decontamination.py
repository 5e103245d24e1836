"""Which questions stand in a benchmark: shared runs of words.

A question that shares 13 words in a row with a question of a benchmark is taken to be from it; where either of them has
fewer than 13 words 8 in a row are enough, and where either has fewer than 8 they have to be the same. 13 words are the
n-gram of Brown et al., Language Models are Few-Shot Learners (2020), appendix C. Case and punctuation make no
difference. Paraphrases are not found: Yang et al., Rethinking Benchmark and Contamination (2023).
"""

from collections.abc import Iterator, Sequence

from hpc_qa.qa.words import words

LONG, SHORT = 13, 8  # words


class Benchmarks:
    """The questions that a dataset may not hold, by their runs of words."""

    def __init__(self) -> None:
        # A run leads to the first name that has it. Of questions of 13 words and more the runs of 8 count only for
        # short ones of ours, so they are kept apart.
        self._long: dict[int, int] = {}
        self._short: dict[int, int] = {}
        self._short_of_long: dict[int, int] = {}
        self._whole: dict[int, int] = {}
        self._names: list[str] = []

    def add(self, name: str, questions: Sequence[str]) -> None:
        """Take the questions of one benchmark."""
        number = len(self._names)
        self._names.append(name)
        for question in questions:
            text = words(question)
            if text:
                self._whole.setdefault(hash(tuple(text)), number)
            short = self._short if len(text) < LONG else self._short_of_long
            for run in _runs(text, SHORT):
                short.setdefault(run, number)
            for run in _runs(text, LONG):
                self._long.setdefault(run, number)

    def __bool__(self) -> bool:
        return bool(self._names)

    def match(self, question: str) -> str | None:
        """The name of the first benchmark that has this question, None when none has.

        >>> known = Benchmarks()
        >>> known.add("exam", ["Who pays for it?", "Which of the following forms has to be filed for a renewal?"])
        >>> known.match("who pays for it"), known.match("Say which of the following forms has to be filed yearly.")
        ('exam', 'exam')
        >>> known.match("Who pays for it at home?")
        """
        text = words(question)
        found = [self._whole.get(hash(tuple(text)))] if text else []
        kinds = [(self._short, SHORT), (self._long, LONG) if len(text) >= LONG else (self._short_of_long, SHORT)]
        for known, size in kinds:
            found += [known.get(run) for run in _runs(text, size)]
        first = min((number for number in found if number is not None), default=None)
        return None if first is None else self._names[first]


def _runs(text: Sequence[str], size: int) -> Iterator[int]:
    """Hashes of the runs of so many words; only compared within this process."""
    for first in range(len(text) - size + 1):
        yield hash(tuple(text[first : first + size]))
