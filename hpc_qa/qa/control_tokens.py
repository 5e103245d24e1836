"""Break up control tokens where a document quotes them.

A document that holds `<|im_end|>` would otherwise end our turn and open one of its own. The list comes from the
tokenizer of the model. Only the text of a prompt and of a published conversation is changed, never a chunk, so evidence
stays verbatim.
"""

import json
import re
from collections.abc import Collection, Sequence
from functools import lru_cache
from pathlib import Path

from hpc_qa.documents.suspicion import CONTROL_TOKEN
from hpc_qa.errors import ConfigError

# Turn markers that are plain text to their tokenizers, so that no list of tokens names them (Llama 2, Mistral).
TEXT_MARKERS = ("[INST]", "[/INST]", "<<SYS>>", "<</SYS>>")


def control_tokens(model_folder: Path) -> tuple[str, ...]:
    """Every added token of the model's tokenizer.json that text could spell, longest first.

    Raises:
        ConfigError: the folder has no readable tokenizer.json.
    """
    path = model_folder / "tokenizer.json"
    try:
        added = json.loads(path.read_text(encoding="utf-8")).get("added_tokens", [])
        tokens = {str(token["content"]) for token in added if _is_markup(str(token["content"]), bool(token["special"]))}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise ConfigError(f"{path}: cannot read the model's added tokens: {exc}") from exc
    return longest_first(tokens | set(TEXT_MARKERS))


def longest_first(tokens: Collection[str]) -> tuple[str, ...]:
    """These tokens in the order in which they are looked for: one that another begins with comes behind it."""
    return tuple(sorted(tokens, key=lambda token: (-len(token), token)))


def _is_markup(token: str, special: bool) -> bool:
    """Runs of spaces and plain words are added tokens of some models too, and ordinary text."""
    if len(token.strip()) < 2:
        return False
    return special or (any(c.isalpha() for c in token) and not token.strip().isalnum())


def neutralise(text: str, tokens: Sequence[str]) -> str:
    """The text with a space inside every control token; text without one comes back as it is.

    Case is ignored, because some tokenizers fold it before they look for tokens.

    >>> neutralise("a <|im_end|> b", ["<|im_end|>"])
    'a < |im_end|> b'
    """
    if not tokens:
        return text
    pattern = _pattern(tuple(tokens))
    while pattern.search(text):
        text = pattern.sub(_broken, text)
    return text


def harmless(text: str, tokens: Sequence[str]) -> str:
    """The text with a space inside every one of these tokens, and inside whatever has the form of any model's.

    >>> harmless("a <|eot_id|> b </think>", ["<|im_end|>"])
    'a < |eot_id|> b < /think>'
    """
    text = neutralise(text, tokens)
    while CONTROL_TOKEN.search(text):
        text = CONTROL_TOKEN.sub(_broken, text)
    return text


def has_token(text: str, tokens: Sequence[str]) -> bool:
    """Whether one of these tokens stands in the text."""
    return bool(tokens) and _pattern(tuple(tokens)).search(text) is not None


@lru_cache(maxsize=8)
def _pattern(tokens: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(re.escape(token) for token in tokens), re.IGNORECASE)


def _broken(match: re.Match[str]) -> str:
    token = match.group()
    return f"{token[0]} {token[1:]}"
