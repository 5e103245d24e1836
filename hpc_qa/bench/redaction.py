"""Secrets taken out of a text line by line: what stands behind a name that sounds like one, and what looks like one.

A run writes none of its own; logs and settings may hold those of other people. Numbers are never taken for a secret,
and neither are counts of tokens.
"""

import re
from collections.abc import Iterable, Iterator

LEFT_OUT = b"[left out]"
_NAME = rb"[\w.-]*(?:TOKEN(?!S|IZ)|SECRET|PASSW(?:OR)?D|PASSPHRASE|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY)[\w.-]*"
_NOT_A_NUMBER = rb"(?![\d.]+(?:[\s\"',;)}\]]|$))"
SECRET = re.compile(
    rb"(?P<name>" + _NAME + rb"[\"']?\s*[:=]\s*(?:Bearer\s+)?[\"']?)" + _NOT_A_NUMBER + rb"[^\s\"',;)}\]]{6,}"
    rb"|(?P<bearer>\bBearer\s+)[^\s\"',;]{6,}"
    rb"|(?P<url>\w://[^/\s:@]+:)[^/\s@]+(?=@)"
    rb"|\b(?:hf_[A-Za-z0-9]{20,}|sk-[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{20,}|AKIA[0-9A-Z]{16})\b",
    re.IGNORECASE,
)  # fmt: skip


def redacted(lines: Iterable[bytes]) -> Iterator[tuple[bytes, int]]:
    r"""Each line without its secrets, and how many it had.

    >>> list(redacted([b"export HF_TOKEN=abcdefgh\n", b'"completion_tokens": 1234567\n', b"http://me:word@host/\n"]))
    [(b'export HF_TOKEN=[left out]\n', 1), (b'"completion_tokens": 1234567\n', 0), (b'http://me:[left out]@host/\n', 1)]
    """
    for line in lines:
        yield SECRET.subn(_kept, line)


def _kept(found: re.Match[bytes]) -> bytes:
    """The name of a secret, without the secret."""
    return (found["name"] or found["bearer"] or found["url"] or b"") + LEFT_OUT
