"""Whether a text is in the language that was asked for.

Fails a text only when another language or another script is plain: short questions full of names confuse every
identifier, and losing a good pair to a guess is worse than passing an odd one.
"""

import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

# Candidates beside the wanted language. Among all 97 of the identifier a technical English sentence is often Latin.
COMMON = ("ar", "de", "en", "es", "fr", "hi", "it", "ja", "ko", "nl", "pl", "pt", "ru", "tr", "uk", "vi", "zh")
CONFIDENT = 0.95
MIN_LETTERS = 24
FOREIGN_SHARE = 0.3

_SCRIPTS = {
    "ar": {"ARABIC"}, "fa": {"ARABIC"}, "ur": {"ARABIC"}, "he": {"HEBREW"}, "hi": {"DEVANAGARI"}, "mr": {"DEVANAGARI"},
    "el": {"GREEK"}, "th": {"THAI"}, "ko": {"HANGUL", "CJK"}, "ja": {"HIRAGANA", "KATAKANA", "CJK"}, "zh": {"CJK"},
    "ru": {"CYRILLIC"}, "uk": {"CYRILLIC"}, "bg": {"CYRILLIC"}, "mk": {"CYRILLIC"}, "sr": {"CYRILLIC", "LATIN"},
    "hy": {"ARMENIAN"}, "ka": {"GEORGIAN"}, "ta": {"TAMIL"}, "te": {"TELUGU"}, "bn": {"BENGALI"},
}  # fmt: skip


def is_language(text: str, language: str | None) -> bool:
    """False when the text is clearly in another language or script; always true for `None`."""
    if language is None:
        return True
    letters = [c for c in text if c.isalpha()]
    if not letters:
        return True
    if foreign_share(letters, _SCRIPTS.get(language, {"LATIN"})) > FOREIGN_SHARE:
        return False
    if len(letters) < MIN_LETTERS:
        return True
    identifier = _identifier(language)
    if identifier is None:
        return True
    found, confidence = identifier.classify(text)
    return str(found) == language or float(confidence) < CONFIDENT


def foreign_share(letters: list[str], scripts: set[str]) -> float:
    """Share of letters outside these scripts; Latin names and units are at home everywhere."""
    home = scripts | ({"LATIN"} if scripts != {"LATIN"} else set())
    foreign = sum(1 for c in letters if unicodedata.name(c, "?").split(" ", 1)[0].split("-")[0] not in home)
    return foreign / len(letters)


@lru_cache(maxsize=4)
def _identifier(language: str) -> "LanguageIdentifier | None":
    """An identifier that knows the language and the common ones; None when it does not know the language."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    if language not in identifier.labels:
        return None
    identifier.set_languages({language, *COMMON})
    return identifier
