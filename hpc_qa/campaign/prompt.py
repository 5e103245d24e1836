"""The first prompt of a document, exactly as the model would get it: to look at before spending anything."""

from dataclasses import dataclass, replace
from pathlib import Path

from hpc_qa.campaign.known import without_revoked
from hpc_qa.config import Config
from hpc_qa.documents.cache import DocumentCache, converter_key
from hpc_qa.documents.convert import convert_all
from hpc_qa.documents.facts import title_of
from hpc_qa.errors import ConfigError
from hpc_qa.manifest import Entry, read
from hpc_qa.qa import judge, prompts
from hpc_qa.qa.chat import render
from hpc_qa.qa.control_tokens import control_tokens
from hpc_qa.qa.generation import asks, choose_chunks
from hpc_qa.units import plural


@dataclass(frozen=True, slots=True)
class ShownPrompt:
    """A rendered prompt and what it is about."""

    doc_id: str
    chunk_id: str
    text: str
    tokens: int


def first_prompt(config: Config, doc: str, *, project: Path) -> ShownPrompt:
    """The first generation request of this document, with the model's chat template around it.

    Raises:
        ConfigError: no document, or several, begin like this; it could not be converted; it has nothing to ask about.
    """
    entry = _find(without_revoked(read(project / config.manifest, project=project), project)[0], doc)
    [converted] = convert_all([entry], config, project=project)
    if converted.status != "ok":
        raise ConfigError(f"{entry.doc_id}: {converted.reason}: {converted.detail}", hint="hpc-qa convert shows all")
    cache = DocumentCache(project / config.documents.cache, converter_key(config, project))
    title = title_of(entry.path, cache.facts(entry.sha256, entry.media_type))
    chunks = [replace(chunk, title=title) for chunk in cache.chunks(entry.sha256, entry.media_type)]
    screened = cache.screening(entry.sha256, entry.media_type)
    if screened is not None:  # what other documents hold is not looked at
        by_chunk = zip(chunks, screened, strict=True)
        chunks = [chunk for chunk, one in by_chunk if one.reason(config.documents, config.qa.language) is None]
    chosen = choose_chunks(chunks, config.qa, seed=config.seed, doc_id=entry.doc_id)
    model = project / (config.vllm.tokenizer or config.model)
    templates = prompts.load(
        project / config.qa.prompts if config.qa.prompts else None, control_tokens=control_tokens(model)
    )
    for chunk, limit in chosen:
        for ask in asks(chunk, config.qa, limit=limit, seed=config.seed):
            text, tokens = render(ask.messages(templates), model)
            return ShownPrompt(entry.doc_id, chunk.chunk_id, text, tokens)
    raise ConfigError(f"{entry.doc_id}: no sentence of it is fit to be asked about", hint="another document")


def unasked(config: Config, *, project: Path) -> list[str]:
    """What a prompt set of the user's own leaves unasked although it is required: for people.

    Raises:
        ConfigError: the prompts cannot be used.
    """
    if config.qa.prompts is None or not config.qa.judge:
        return []
    asked = judge.asked(prompts.load(project / config.qa.prompts))
    lacking = ", ".join(name for name in config.qa.accept.require if name not in asked)
    said = f"the judge prompt of {config.qa.prompts} does not ask for {lacking}: nothing is rejected for want of it"
    return [said] if lacking else []


def _find(entries: list[Entry], doc: str) -> Entry:
    hits = [e for e in entries if e.doc_id == doc] or [e for e in entries if e.doc_id.startswith(doc)]
    hits = hits or [e for e in entries if doc in e.doc_id]
    if len(hits) == 1:
        return hits[0]
    near = ", ".join(entry.doc_id for entry in (hits or entries)[:5])
    count = plural(len(hits), "document") if hits else "no document"
    raise ConfigError(f"{count} of the manifest called {doc!r}", hint=f"there is {near}")
