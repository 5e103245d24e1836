"""Converters of a site: a package that is installed beside ours reads a media type in place of us.

It says so with an entry point of the group `hpc_qa.converters`, whose name is the media type:

    [project.entry-points."hpc_qa.converters"]
    "application/pdf" = "our_engine.reader:convert"

`convert` gets the bytes of a document and gives its Markdown: one text, or a list with that of each page. It runs where
our own readers run, in a child with limits, an empty environment and no network. To refuse a document it raises
`hpc_qa.errors.DocumentError(reason, detail)`; whatever else it raises fails the document as `converter_failed`, but
for what the machine refused it (an OSError: no space, no memory, nobody listens), which is `interrupted` and tried
again. The version of its package is part of the cache key. Loading it must not start threads: children are forked
behind it. It gets a PDF without its hidden text, and what is hidden in its Markdown is taken out as well.
"""

import errno
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol

from hpc_qa.documents.extracted import Extracted
from hpc_qa.documents.hidden import shown_markdown
from hpc_qa.documents.suspicion import MAX_PLACES
from hpc_qa.documents.text import clean, squeezed, without_padding
from hpc_qa.errors import ConfigError, DocumentError

GROUP = "hpc_qa.converters"
FAILED = "converter_failed"
# errors of the system that come of what stands in a document; others are of the machine
OF_THE_DOCUMENT = frozenset({errno.ENOENT, errno.EINVAL, errno.EILSEQ, errno.ENAMETOOLONG, errno.EBADF})
MEDIA_TYPE = re.compile(r"[a-z]+/[a-z0-9.+-]+")
REASON = re.compile(r"[a-z][a-z_]{0,39}")


class Convert(Protocol):
    """What the entry point of a site names."""

    def __call__(self, data: bytes, /) -> str | Sequence[str]:
        """The Markdown of a document, or of each of its pages.

        Raises:
            DocumentError: the document cannot be used, with a short word for the reason.
        """


@dataclass(frozen=True, slots=True)
class SiteConverter:
    """One registered converter; nothing of it is loaded yet."""

    media_type: str
    reference: str  # "package.module:function"
    distribution: str
    version: str

    @property
    def name(self) -> str:
        """For people, for facts.json and for the cache key."""
        return f"{self.distribution} {self.version}"

    def load(self) -> Convert:
        """The function; whatever importing it raises comes through."""
        loaded: Convert = EntryPoint(self.media_type, self.reference, GROUP).load()
        return loaded


def registered() -> dict[str, SiteConverter]:
    """What is registered in this environment, by media type.

    Raises:
        ConfigError: a name is not a media type, or two packages register the same one.
    """
    found: dict[str, SiteConverter] = {}
    faults = []
    for point in sorted(entry_points(group=GROUP), key=lambda each: (each.name, each.value)):
        package = point.dist.name if point.dist else "unknown"
        version = point.dist.version if point.dist else "unknown"
        if not MEDIA_TYPE.fullmatch(point.name):
            faults.append(f"{package} registers a converter for {point.name!r}, which is no media type")
        elif (other := found.get(point.name)) is not None and other.distribution != package:
            faults.append(f"{other.distribution} and {package} both register a converter for {point.name}")
        else:
            found[point.name] = SiteConverter(point.name, point.value, package, version)
    if faults:
        raise ConfigError(*faults, hint="remove one of the packages from this environment")
    return found


def preload(converters: Iterable[SiteConverter]) -> None:
    """Load what can be loaded, so that children need not; what fails here fails again, and is told, in a child."""
    for converter in converters:
        with suppress(Exception):
            converter.load()


def read_with(converter: SiteConverter, data: bytes) -> Extracted:
    """A document as the converter of a site reads it.

    Raises:
        DocumentError: with the reason that it gave, `interrupted`, or `converter_failed`.
    """
    try:
        given = converter.load()(data)
    except DocumentError as exc:
        known = REASON.fullmatch(exc.reason) is not None
        raise DocumentError(exc.reason if known else FAILED, f"{converter.name}: {exc.detail}") from exc
    except MemoryError:
        raise
    except OSError as exc:  # most are of the machine: its disk, its memory, a service that is not there
        of_it = exc.errno is None or exc.errno in OF_THE_DOCUMENT
        raise DocumentError(FAILED if of_it else "interrupted", f"{converter.name}: {exc!r}") from exc
    except Exception as exc:  # the code of a site, which may raise anything; it becomes a reason
        raise DocumentError(FAILED, f"{converter.name}: {type(exc).__name__}: {exc}") from exc
    pages = [given] if isinstance(given, str) else given
    if not isinstance(pages, list | tuple) or not all(isinstance(page, str) for page in pages):
        raise DocumentError(FAILED, f"{converter.name}: it gave {type(given).__name__}, not Markdown")
    return _joined(pages, converter, has_pages=not isinstance(given, str))


def _joined(pages: Sequence[str], converter: SiteConverter, *, has_pages: bool) -> Extracted:
    parts: list[str] = []
    starts, position, removed, places = [], 0, 0, list[str]()
    hidden_words, hidden_text_places = 0, list[str]()
    for page in pages:
        shown = shown_markdown(page)
        hidden_words += shown.hidden_words
        hidden_text_places += shown.places
        cleaned, count, hidden = clean(shown.text)
        body = squeezed(without_padding(cleaned)) + "\n"
        removed += count
        places += hidden
        starts.append(position)
        if body.strip():
            parts.append(body)
            position += len(body)
    return Extracted(
        markdown="".join(parts).rstrip("\n") + "\n",
        engine=converter.name,
        page_starts=starts if has_pages else None,
        removed_characters=removed,
        suspicious_unicode=bool(places),
        hidden_places=places,
        hidden_words=hidden_words,
        hidden_text_places=hidden_text_places[:MAX_PLACES],
    )
