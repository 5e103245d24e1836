"""The language that a chunk or a document is written in, as far as its prose shows it.

py3langid decides among languages with many written documents; among all 149 that it knows, a technical English text is
often Latin or Limburgish. Code, tables of figures and short texts have no language: None, and nothing is made of it.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

LANGUAGES = frozenset(
    "ar bg bn bs ca cs da de el en es et fa fi fr he hi hr hu hy id is it ja ka ko lt lv mk ms nl no pl pt ro ru sk sl "
    "sq sr sv ta te th tr uk ur vi zh".split()
)
CONFIDENT = 0.95
MIN_LETTERS = 120
READ = 1_000  # characters of prose of a chunk; more of them change nothing

_NOT_PROSE = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+|\S+@\S+|[^\s/]*(?:/[^\s/]+){2,}|\b[\w.]*[_=<>{}$\\][\w.]*", re.DOTALL
)
_MARK = re.compile(r"[@/_=<>{}$\\]")  # what the pattern matches has one of these in it, or begins with a backquote


def language_of(text: str) -> str | None:
    """Two letters; None where the text is too short, too little of it is prose, or it is not plain."""
    prose = " ".join(_prose(text[: 2 * READ]))[:READ]
    if sum(map(str.isalpha, prose)) < MIN_LETTERS:
        return None
    found, confidence = identifier().classify(prose)
    return str(found) if float(confidence) >= CONFIDENT else None


def _prose(text: str) -> Iterator[str]:
    """The words of a text that are prose.

    Up to the first backquote, which may quote several words, the pattern is asked about single words with a mark in
    them: over a whole text it tries every place, and takes longer than to tell the language.
    """
    quoted = text.find("`")
    end = len(text) if quoted < 0 else max(text.rfind(" ", 0, quoted), text.rfind("\n", 0, quoted)) + 1
    for word in text[:end].split():
        if _MARK.search(word):
            yield from _NOT_PROSE.sub(" ", word).split()
        else:
            yield word
    yield from _NOT_PROSE.sub(" ", text[end:]).split()


def dominant(languages: Iterable[tuple[str | None, int]]) -> str | None:
    """Of (language, tokens) of chunks, the language that most of the tokens are in; None where that is unknown.

    >>> dominant([("en", 900), ("de", 80), (None, 20)]), dominant([(None, 10)])
    ('en', None)
    """
    tokens: Counter[str] = Counter()
    for language, count in languages:
        if language is not None:
            tokens[language] += count
    return max(sorted(tokens), key=tokens.__getitem__) if tokens else None


@cache
def identifier() -> "LanguageIdentifier":
    """The identifier; it takes half a second to load, so the process that converts loads it before it forks."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    loaded = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    loaded.set_languages(sorted(LANGUAGES.intersection(loaded.labels)))
    return loaded
