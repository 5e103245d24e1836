"""Conversions by content: a file is converted once per converter and kind, whatever it is called.

`<2 hex>/<sha256>/<key>-<kind>/` holds document.md, pages.json, chunks.jsonl, screening.jsonl and facts.json; the kind
is pdf, docx, html, markdown or text, as the same bytes can be read in two ways. The folder is renamed into place when
it is complete; of two that convert the same file the first wins. What is torn all the same counts as not there, and
gives way. Failures are kept as well, except those that may pass by themselves.
"""

import errno
import hashlib
import json
import os
import secrets
import shutil
import time
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from hpc_qa import ownership
from hpc_qa.config import Config
from hpc_qa.documents import chunks as chunk_json
from hpc_qa.documents import converters, ocr, screening
from hpc_qa.documents import facts as facts_json
from hpc_qa.documents.chunks import Chunk
from hpc_qa.documents.conversion import CHUNKS, FACTS, MARKDOWN, kind_of
from hpc_qa.documents.facts import MAX_JSON_BYTES, Facts
from hpc_qa.documents.screening import Screened
from hpc_qa.documents.tokens import file_sha256, tokenizer_file
from hpc_qa.errors import StoreError
from hpc_qa.units import plural

CONVERTER = "8"  # raise it whenever the same file would give other Markdown, chunks, sentences or kinds of chunks
ENGINES = ("liteparse", "pypdfium2", "pikepdf", "html-to-markdown", "mammoth", "tokenizers", "py3langid")
STAGING = "staging"
STALE_S = 24 * 3600
_OCCUPIED = frozenset({errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR})


def converter_key(config: Config, project: Path) -> str:
    """Names everything that the result of a conversion depends on, beside the file itself.

    Raises:
        ConfigError: the tokenizer is missing, or the converters of the site are in each other's way.
    """
    parts = {
        "converter": CONVERTER,
        "versions": engine_versions(config),
        "chunk_size": config.qa.chunk_size,
        "min_word_coverage": config.documents.limits.min_word_coverage,
        "tokenizer": tokenizer_sha256(config, project),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def tokenizer_sha256(config: Config, project: Path) -> str:
    """SHA-256 of the served model's tokenizer.json.

    Raises:
        ConfigError: it is missing.
    """
    return file_sha256(tokenizer_file(config, project))


def engine_versions(config: Config) -> dict[str, str]:
    """What conversions go through, without importing it: libraries, converters of the site, OCR where it is wanted.

    Raises:
        ConfigError: the converters of the site are in each other's way.
    """
    versions = {name: version(name) for name in ENGINES}
    versions |= {media_type: each.name for media_type, each in converters.registered().items()}
    if config.documents.ocr == "auto":
        versions["tesseract"] = ocr.look_for(config.documents.ocr_language).description
    return versions


def key_without_ocr(config: Config, project: Path) -> str:
    """The key of the same conversion without OCR.

    Raises:
        ConfigError: as `converter_key`.
    """
    documents = config.documents.model_copy(update={"ocr": "off"})
    return converter_key(config.model_copy(update={"documents": documents}), project)


class DocumentCache:
    """The conversions of one converter."""

    def __init__(self, root: Path, key: str) -> None:
        self.root = root
        self.key = key

    def folder(self, sha256: str, media_type: str) -> Path:
        """Where a file's conversion is, or would be."""
        return self.root / sha256[:2] / sha256 / f"{self.key}-{kind_of(media_type)}"

    def facts(self, sha256: str, media_type: str) -> Facts | None:
        """What is known; None when the file was not converted, or what is there is torn."""
        folder = self.folder(sha256, media_type)
        try:
            facts = read_facts(folder / FACTS)
            whole = all((folder / name).stat().st_size == size for name, size in facts.files.items())
        except (OSError, ValueError):
            return None
        return facts if whole else None

    def chunks(self, sha256: str, media_type: str) -> list[Chunk]:
        """The chunks of a converted file.

        Raises:
            StoreError: it is not there, not what its facts say, or somebody else could have written it.
        """
        facts = self.facts(sha256, media_type)
        path = self.folder(sha256, media_type) / CHUNKS
        planted = ownership.faults(path.parent, path)
        if planted:
            raise StoreError(*planted, hint=f"rm -r {path.parent}, and it is converted again")
        try:
            with path.open(encoding="utf-8", newline="\n") as stream:
                found = [chunk_json.from_json(line) for line in stream]
        except (OSError, ValueError) as exc:
            raise StoreError(f"{path}: {exc}", hint="delete its folder and convert again") from exc
        if facts is None or len(found) != facts.chunks:
            raise StoreError(f"{path}: {plural(len(found), 'chunk')}, not as many as its facts say")
        return found

    def screening(self, sha256: str, media_type: str) -> list[Screened] | None:
        """What is known of each chunk of a converted file, in their order; None when it cannot be read."""
        try:
            return screening.read(self.folder(sha256, media_type) / screening.SCREENING)
        except (OSError, ValueError):
            return None

    def markdown(self, sha256: str, media_type: str) -> str:
        """The Markdown of a converted file.

        Raises:
            StoreError: it is not there.
        """
        path = self.folder(sha256, media_type) / MARKDOWN
        try:
            with path.open(encoding="utf-8", newline="") as stream:
                return stream.read()
        except (OSError, UnicodeDecodeError) as exc:
            raise StoreError(f"{path}: {exc}", hint="delete its folder and convert again") from exc

    def stage(self) -> Path:
        """A new private folder on the same file system, to be published or removed."""
        folder = self.root / STAGING / f"{os.getpid()}-{secrets.token_hex(6)}"
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir(mode=0o700)
        except OSError as exc:
            raise storage_fault(folder, exc) from exc
        return folder

    def publish(self, staged: Path, sha256: str, media_type: str, *, replace: bool = False) -> None:
        """Move a finished conversion into place. One that is there stays, unless it is torn or to be replaced.

        Raises:
            StoreError: the cache cannot be written.
        """
        target = self.folder(sha256, media_type)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if replace:
                self._take_away(target)
            try:
                staged.rename(target)
            except OSError as exc:
                if exc.errno not in _OCCUPIED:
                    raise
                if self.facts(sha256, media_type) is None:
                    self._take_away(target)
                    staged.rename(target)
        except OSError as exc:
            if self.facts(sha256, media_type) is None:  # nobody else was there first
                raise storage_fault(target, exc) from exc
        shutil.rmtree(staged, ignore_errors=True)

    def _take_away(self, target: Path) -> None:
        old = self.stage()
        with suppress(FileNotFoundError):  # it is not there, or another process is replacing it as well
            target.rename(old / "replaced")
        shutil.rmtree(old, ignore_errors=True)

    def take_over(self, earlier: "DocumentCache", sha256: str, media_type: str) -> Facts | None:
        """Copy what a converter without OCR made of a file, when OCR had nothing to read in it; what is known then.

        A document that is ok and has no page that is a picture comes out the same with OCR and without. Its facts.json
        goes on saying what made it: no Tesseract is among the versions.

        Raises:
            StoreError: the cache cannot be written.
        """
        source, facts = earlier.folder(sha256, media_type), earlier.facts(sha256, media_type)
        if facts is None or facts.status != "ok" or facts.scanned_pages:
            return None
        staged = self.stage()
        try:
            if ownership.faults(source, *source.iterdir()):  # somebody else could have written it: convert it ourselves
                return None
            shutil.copytree(source, staged / "out")
            self.publish(staged / "out", sha256, media_type)
        except OSError as exc:
            raise StoreError(f"{staged}: {exc.strerror or exc}", hint="is the file system of the cache full?") from exc
        finally:
            shutil.rmtree(staged, ignore_errors=True)
        return self.facts(sha256, media_type)

    def sweep(self) -> None:
        """Remove what killed conversions left a day ago or earlier."""
        staging = self.root / STAGING
        if staging.is_dir():
            for folder in staging.iterdir():
                with suppress(FileNotFoundError):  # another process has just published or removed it
                    if time.time() - folder.stat().st_mtime > STALE_S:
                        shutil.rmtree(folder, ignore_errors=True)


def storage_fault(path: Path, exc: OSError) -> StoreError:
    """Our error for what the operating system refused in a cache."""
    hint = (
        "look for a full disk, a quota, missing rights or a lost mount (df, quota, ls -ld); then the same command again"
    )
    return StoreError(f"{path}: {exc.strerror or exc}", hint=hint)


def read_facts(path: Path) -> Facts:
    """One facts.json, of bounded size.

    Raises:
        OSError, ValueError: it cannot be read.
    """
    with path.open("rb") as stream:
        data = stream.read(MAX_JSON_BYTES + 1)
    if len(data) > MAX_JSON_BYTES:
        raise ValueError("larger than any facts.json")
    return facts_json.from_json(data.decode())
