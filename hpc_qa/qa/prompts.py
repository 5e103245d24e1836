"""The prompt templates: read, checked and hashed once, filled in for every request.

A template is text with `{{name}}` placeholders. Values are put in by one pass over the template, so braces in a
document mean nothing, and lose the model's control tokens on the way. What a chat template makes of the messages is
in `chat.py`.
"""

import difflib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from hpc_qa import strict_yaml
from hpc_qa.documents.chunks import Chunk
from hpc_qa.errors import ConfigError
from hpc_qa.qa.control_tokens import neutralise

Message = dict[str, str]

BUILTIN = "builtin_prompts.yaml"
MAX_TITLE = 200  # characters
PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")


@dataclass(frozen=True, slots=True)
class Placeholders:
    """What one template must and may name."""

    required: frozenset[str]
    optional: frozenset[str] = frozenset()


TEMPLATES: Mapping[str, Placeholders] = {
    "system": Placeholders(frozenset()),
    "document": Placeholders(frozenset({"sentences"}), frozenset({"title", "headings", "boundary"})),
    "reply": Placeholders(frozenset()),
    "abstractive": Placeholders(frozenset({"count"}), frozenset({"question_types"})),
    "difficulty": Placeholders(frozenset({"levels"})),
    "extractive": Placeholders(frozenset({"sentence"}), frozenset({"number"})),
    "examples": Placeholders(frozenset()),
    "again": Placeholders(frozenset({"rejected"})),
    "round_trip": Placeholders(frozenset({"question"})),
    "judge": Placeholders(frozenset({"question", "answer"}), frozenset({"evidence"})),
}


@dataclass(frozen=True, slots=True)
class Prompts:
    """One checked set of templates."""

    source: str  # the file they came from, as named to the user
    templates: Mapping[str, str]
    control_tokens: Sequence[str]  # broken up in every value that is put in
    sha256: str  # of the templates alone
    examples: frozenset[str]  # the questions of the examples, in lower case

    def fill(self, template: str, **values: str) -> str:
        """The template with its placeholders replaced."""
        clean = {name: neutralise(value, self.control_tokens) for name, value in values.items()}
        return PLACEHOLDER.sub(lambda match: clean[match.group(1)], self.templates[template])

    def document(self, chunk: Chunk) -> str:
        """The chunk as every request about it begins: its document, its headings, its sentences numbered.

        Later headings stand between the sentences. A chunk that begins in the middle of a table begins with its head.
        """
        path = chunk.headings_at(chunk.sentences[0].start) if chunk.sentences else chunk.headings
        headings = " > ".join(path) or "-"
        sentences = "\n".join(_numbered(chunk, path))
        if chunk.table_header:
            sentences = f"{one_line(chunk.table_header)}\n{sentences}"
        title = one_line(chunk.title or "-")[:MAX_TITLE]
        return self.fill("document", title=title, sentences=sentences, headings=headings, boundary=boundary(chunk.text))

    def messages(
        self, document: str, instruction: str, examples: Sequence[tuple[str, str]] = ()
    ) -> tuple[Message, ...]:
        """One request: the rules, the document, examples as turns of their own, and the instruction last."""
        turns = [_turn("system", self.templates["system"]), _turn("user", document)]
        turns.append(_turn("assistant", self.templates["reply"]))
        for asked, answered in examples:
            turns += [_turn("user", asked), _turn("assistant", answered)]
        turns.append(_turn("user", instruction))
        return _alternating([turn for turn in turns if turn["content"].strip()])

    def extractive_examples(self) -> tuple[tuple[str, str], ...]:
        """What is asked and answered in the turns that show the extractive style."""
        return tuple(
            (self.fill("extractive", sentence=sentence, number="1"), json.dumps({"question": question}))
            for sentence, question in _pairs(self.templates["examples"])
        )


def _numbered(chunk: Chunk, path: tuple[str, ...]) -> Iterator[str]:
    """The lines of its sentences, and before those of another section its headings: "## Appeals" of two levels."""
    for sentence in chunk.sentences:
        here = chunk.headings_at(sentence.start)
        same = next((level for level, (old, new) in enumerate(zip(path, here, strict=False)) if old != new), len(path))
        yield from (f"{'#' * (level + 1)} {here[level]}" for level in range(same, len(here)))
        yield f"[{sentence.number}] {one_line(chunk.text[sentence.start : sentence.end])}"
        path = here


def _turn(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def _alternating(turns: Sequence[Message]) -> tuple[Message, ...]:
    """Neighbouring turns of one role as one, because chat templates want roles to alternate."""
    merged: list[Message] = []
    for turn in turns:
        if merged and merged[-1]["role"] == turn["role"]:
            merged[-1] = _turn(turn["role"], f"{merged[-1]['content']}\n\n{turn['content']}")
        else:
            merged.append(turn)
    return tuple(merged)


def _pairs(examples: str) -> list[tuple[str, str]]:
    """Every other line is a sentence, the line after it its question; empty lines do not count."""
    lines = [line.strip() for line in examples.splitlines() if line.strip()]
    return list(zip(lines[::2], lines[1::2], strict=False))


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
    return of(templates, source=str(path or "built-in"), control_tokens=control_tokens)


def of(templates: Mapping[str, str], *, source: str, control_tokens: Sequence[str] = ()) -> Prompts:
    """The set of these templates, which were checked before: those that a run has frozen, for example."""
    digest = hashlib.sha256(json.dumps(dict(templates), sort_keys=True).encode()).hexdigest()
    return Prompts(source, templates, tuple(control_tokens), digest, _examples(templates))


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
    if name == "examples" and len([line for line in text.splitlines() if line.strip()]) % 2:
        return ["has a sentence without a question: the lines are a sentence and its question by turns"]
    known = TEMPLATES[name].required | TEMPLATES[name].optional
    used = set(PLACEHOLDER.findall(text))
    faults = [f"has an unknown placeholder {{{{{bad}}}}}{_near(bad, known)}" for bad in sorted(used - known)]
    faults += [f"lacks the placeholder {{{{{need}}}}}" for need in sorted(TEMPLATES[name].required - used)]
    return faults


def _near(word: str, known: Mapping[str, object] | frozenset[str]) -> str:
    near = difflib.get_close_matches(word, sorted(known), n=1)
    return f"; did you mean {near[0]}?" if near else f"; known: {', '.join(sorted(known)) or 'none'}"


def _examples(templates: Mapping[str, str]) -> frozenset[str]:
    """The example questions, folded: a small model likes to give them back."""
    return frozenset(one_line(question).casefold() for _, question in _pairs(templates.get("examples", "")))
