"""The prompt templates: read, checked and hashed once, filled in for every request.

A template is text with `{{name}}` placeholders. Values are put in by one pass over the template, so braces in a
document mean nothing, and lose the model's control tokens on the way. What a chat template makes of the messages is
in `chat.py`.
"""

import difflib
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from hpc_qa import strict_yaml
from hpc_qa.documents.chunks import Chunk
from hpc_qa.errors import ConfigError
from hpc_qa.qa.control_tokens import neutralise

Message = dict[str, str]

BUILTIN = "builtin_prompts.yaml"
PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")


@dataclass(frozen=True, slots=True)
class Placeholders:
    """What one template must and may name."""

    required: frozenset[str]
    optional: frozenset[str] = frozenset()


TEMPLATES: Mapping[str, Placeholders] = {
    "system": Placeholders(frozenset()),
    "document": Placeholders(frozenset({"sentences"}), frozenset({"headings", "boundary"})),
    "abstractive": Placeholders(frozenset({"count"}), frozenset({"question_types"})),
    "extractive": Placeholders(frozenset({"sentence"}), frozenset({"number"})),
    "judge": Placeholders(frozenset({"question", "answer"}), frozenset({"evidence"})),
}


@dataclass(frozen=True, slots=True)
class Prompts:
    """One checked set of templates."""

    source: str  # the file they came from, as named to the user
    templates: Mapping[str, str]
    control_tokens: Sequence[str]  # broken up in every value that is put in
    sha256: str  # of the templates alone
    examples: frozenset[str]  # questions that the templates themselves show

    def fill(self, template: str, **values: str) -> str:
        """The template with its placeholders replaced."""
        clean = {name: neutralise(value, self.control_tokens) for name, value in values.items()}
        return PLACEHOLDER.sub(lambda match: clean[match.group(1)], self.templates[template])

    def document(self, chunk: Chunk) -> str:
        """The chunk as every request about it begins: its headings, its sentences numbered."""
        sentences = "\n".join(f"[{s.number}] {one_line(chunk.text[s.start : s.end])}" for s in chunk.sentences)
        headings = " > ".join(chunk.headings) or "-"
        return self.fill("document", sentences=sentences, headings=headings, boundary=boundary(chunk.text))

    def messages(self, document: str, instruction: str) -> tuple[Message, ...]:
        """One request: the rules, then one turn with the document first and the instruction last."""
        system = self.templates["system"]
        turns: list[Message] = [{"role": "system", "content": system}] if system.strip() else []
        parts = [part for part in (document, instruction) if part.strip()]
        return (*turns, {"role": "user", "content": "\n\n".join(parts)})


def one_line(text: str) -> str:
    """The text with every run of white space as one space."""
    return " ".join(text.split())


def boundary(text: str) -> str:
    """A word that marks where a document begins and ends, and that its author cannot have written into it."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def load(path: Path | None = None, *, control_tokens: Sequence[str] = ()) -> Prompts:
    """The built-in templates, or those of a file over them.

    Raises:
        ConfigError: the file cannot be used; all its faults at once.
    """
    templates = _builtin()
    if path is not None:
        templates |= _read(path)
    digest = hashlib.sha256(json.dumps(templates, sort_keys=True).encode()).hexdigest()
    return Prompts(str(path or "built-in"), templates, tuple(control_tokens), digest, _examples(templates))


def _builtin() -> dict[str, str]:
    with resources.as_file(resources.files("hpc_qa.qa") / BUILTIN) as path:
        return _read(path)


def _read(path: Path) -> dict[str, str]:
    file = strict_yaml.read(path)
    faults = [f"{path}{_at(fault.line)}: {fault.text}" for fault in file.faults]
    templates: dict[str, str] = {}
    for name, text in file.data.items():
        where = f"{path}{_at(file.lines.get((name,)))}: {name}"
        wrong = _faults(name, text)
        faults += [f"{where} {fault}" for fault in wrong]
        if isinstance(text, str) and not wrong:
            templates[name] = text
    if faults:
        raise ConfigError(*faults, hint="the built-in prompts show every template and its placeholders")
    return templates


def _at(line: int | None) -> str:
    return f":{line}" if line else ""


def _faults(name: str, text: object) -> list[str]:
    """What is wrong with one template, without its place."""
    if name not in TEMPLATES:
        return [f"is not a prompt{_near(name, TEMPLATES)}"]
    if not isinstance(text, str):
        return ["must be text"]
    known = TEMPLATES[name].required | TEMPLATES[name].optional
    used = set(PLACEHOLDER.findall(text))
    faults = [f"has an unknown placeholder {{{{{bad}}}}}{_near(bad, known)}" for bad in sorted(used - known)]
    faults += [f"lacks the placeholder {{{{{need}}}}}" for need in sorted(TEMPLATES[name].required - used)]
    return faults


def _near(word: str, known: Mapping[str, object] | frozenset[str]) -> str:
    near = difflib.get_close_matches(word, sorted(known), n=1)
    return f"; did you mean {near[0]}?" if near else f"; known: {', '.join(sorted(known)) or 'none'}"


def _examples(templates: Mapping[str, str]) -> frozenset[str]:
    """Questions in the templates: a small model likes to give them back."""
    found = re.findall(r"[^\n\"?:]{8,}\?", "\n".join(templates.values()))
    return frozenset(one_line(question).casefold() for question in found)
