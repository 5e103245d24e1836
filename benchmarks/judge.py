"""What the controls say of judges whose errors are known: scripted ones, through the worker's own pipeline.

Made documents of rules like "The Bakor office must answer every letter within 17 days." give pairs, of which one in
five says something that its rule does not. The judge is a function of its prompt alone, like a model, so that a control
that is not what it is said to be would show.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.figure import Figure
from hpc_qa.campaign.calibration import Calibration
from hpc_qa.client.request import Reply, Request
from hpc_qa.config import BINARIES, Config
from hpc_qa.documents.chunks import Chunk, Sentence
from hpc_qa.manifest import Entry
from hpc_qa.qa import prompts
from hpc_qa.qa.judge import SCORES
from hpc_qa.qa.words import content_words
from hpc_qa.worker.pipeline import Pipeline
from hpc_qa.worker.records import RecordMaker

HOW = "python -m benchmarks judge"
DOCUMENTS, CHUNKS, PAIRS = 40, 10, 5
SHARE = 0.1  # of controls
BAD = 5  # one pair in so many
ABOUT_CHANCE = 0.1  # a half, more or less
DUTIES = (
    (
        "answer every letter",
        "keep every receipt",
        "return each deposit",
        "repair broken windows",
        "sweep all corridors",
    ),
    (
        "publish yearly figures",
        "inspect new kitchens",
        "translate foreign forms",
        "replace worn tyres",
        "hire more staff",
    ),
)
RULE = re.compile(r"The (\w+) office must (.+) within (\d+) days\.")
PAIR = re.compile(r"Question: (.*)\n\s*Answer: (.*)\Z")

Judge = Callable[[str, bool], bool]  # of a text and whether the pair in it is good: whether it accepts


def run() -> list[Figure]:
    """The figures of this benchmark."""
    perfect, coin, yes, lenient = (calibration_of(judge) for judge in (_perfect, _coin, _yes, _lenient))
    truth = 1 - 1 / BAD
    corrected = lenient.corrected
    held = corrected.low is not None and corrected.high is not None and corrected.low <= truth <= corrected.high
    return [
        _figure("a perfect judge on the controls", "sensitivity and specificity 1.0", perfect, both=lambda x: x == 1),
        _figure("a coin on the controls", "both about chance", coin, both=lambda x: abs(x - 0.5) <= ABOUT_CHANCE),
        _figure("a judge that always says yes", "specificity 0", yes, specificity=lambda x: x == 0),
        Figure(
            "the corrected rate of a judge that accepts one bad pair in three", f"its interval holds {truth:.2f}",
            f"{_said(corrected)}; accepted {_said(lenient.acceptance)}", held, HOW, lenient.to_json(),
        ),
    ]  # fmt: skip


def _figure(
    name: str, asked: str, found: Calibration, *, both: Callable[[float], bool] | None = None,
    specificity: Callable[[float], bool] | None = None,
) -> Figure:  # fmt: skip
    sensitive, specific = found.sensitivity, found.specificity
    measured = f"sensitivity {_said(sensitive)} of {sensitive.n}, specificity {_said(specific)} of {specific.n}"
    asked_of = [(sensitive, both), (specific, both), (specific, specificity)]
    met = all(one.value is not None and wanted(one.value) for one, wanted in asked_of if wanted)
    return Figure(name, asked, measured, met, HOW, found.to_json())


def _said(one: Any) -> str:
    return "unknown" if one.value is None else f"{one.value:.2f} ({one.low:.2f} to {one.high:.2f})"


def _perfect(_text: str, good: bool) -> bool:
    return good


def _coin(text: str, _good: bool) -> bool:
    return hashlib.sha256(text.encode()).digest()[0] % 2 == 0


def _yes(_text: str, _good: bool) -> bool:
    return True


def _lenient(text: str, good: bool) -> bool:
    return good or hashlib.sha256(text.encode()).digest()[1] % 3 == 0


def calibration_of(judge: Judge) -> Calibration:
    """What a run with this judge says of it."""
    found = Calibration()

    def write(records: list[dict[str, Any]]) -> None:
        for chunk in records:
            if chunk["kind"] == "chunk":
                found.add(chunk, records)

    qa = {"questions_per_chunk": PAIRS, "controls": {"share": SHARE}}
    config = Config.model_validate({"name": "judge", "manifest": "m", "qa": qa, "vllm": {"model": "m"}})
    pipeline = Pipeline(
        config, [Entry(f"d{n}", f"d{n}.txt", ".", "0" * 64, 1, "text/plain", None, "small") for n in range(DOCUMENTS)],
        chunks_of=_chunks, done_chunks={}, prompts=prompts.load(), write=write, request_timeout_s=1.0,
        make=RecordMaker("m", None, "p", {}, seed=0), clock=lambda: 0.0,
    )  # fmt: skip
    for first in pipeline.requests():
        waiting = [first]
        while waiting:
            request = waiting.pop()
            content = _pairs(request) if request.kind == "generate" else _verdict(request, judge)
            reply = Reply(request.id, json.dumps(content), "stop", 1_000, 900, 100, 0.0, 1, 1)
            waiting += pipeline.on_done(request, reply)
    return found


def _chunks(entry: Entry) -> list[Chunk]:
    chunks = []
    for index in range(CHUNKS):
        rules = [_rule(int(entry.doc_id[1:]), index, item) for item in range(PAIRS)]
        starts = [sum(len(rule) + 1 for rule in rules[:item]) for item in range(PAIRS)]
        sentences = tuple(Sentence(i + 1, starts[i], starts[i] + len(rule)) for i, rule in enumerate(rules))
        text = "\n".join(rules)
        chunks.append(Chunk(f"{entry.doc_id}-{index}", index, text, ("Offices",), None, 0, len(text), 100, sentences))
    return chunks


def _rule(document: int, chunk: int, item: int) -> str:
    number = (document * CHUNKS + chunk) * PAIRS + item
    name = "".join(letters[number // step % len(letters)] for letters, step in _SYLLABLES)
    return f"The {name} office must {DUTIES[chunk % 2][item]} within {number % 80 + 10} days."


_SYLLABLES = (("BDFGKLMNPRST", 1), ("aeiou", 12), ("bdfgklmnprst", 60), ("aeiou", 720), ("rnls", 3_600))


def _pairs(request: Request) -> dict[str, Any]:
    """A pair of every rule, one in five with a statement that the rule does not make."""
    items = []
    for number, (name, duty, days) in enumerate(RULE.findall(request.messages[1]["content"]), 1):
        bad = number % BAD == 0
        more = f", and the {name} office pays for all of it" if bad else ""
        items.append({
            "evidence": [number], "question_type": "numeric",
            "question": f"Within how many days must the {name} office {duty}?",
            "answer": f"The {name} office must {duty} within {days} days{more}.",
        })  # fmt: skip
    return {"items": items}


def _verdict(request: Request, judge: Judge) -> Mapping[str, Any]:
    document, text = request.messages[1]["content"], request.messages[-1]["content"]
    accepts = judge(text, _is_good(document, *PAIR.findall(text)[0]))
    scores = dict.fromkeys(SCORES, 5 if accepts else 2)
    return {"reason": "as scripted", **scores, **dict.fromkeys(BINARIES, accepts)}


def _is_good(document: str, question: str, answer: str) -> bool:
    """The answer is a rule of the document, and the question is about what it says."""
    about = content_words(question) - {"days"}
    return bool(RULE.fullmatch(answer)) and answer in document and about <= content_words(answer)
