"""What the card of a dataset says: facts of its runs, sources, benchmarks and files.

The text is made in `card_sections.py`, the YAML in front of it in `card_front_matter.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from hpc_qa.campaign.funnel import Funnel
from hpc_qa.campaign.judge_scores import JudgeScores


@dataclass(frozen=True, slots=True)
class Source:
    """One document, and how many of its pairs are in the dataset."""

    path: str
    sha256: str
    license: str  # "unknown" where nobody said it
    pairs: int


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What the card says of one run."""

    run_id: str
    name: str
    model: str
    revision: str | None
    prompt_sha256: str
    seed: int
    converter: str
    language: str | None
    cost: str
    review: str | None = None  # what people said of a sample of its pairs; None: nobody rated any
    judge: bool = True
    answer_style: str = "abstractive"
    accepts: str = ""  # what a pair had to reach
    versions: Mapping[str, str] = field(default_factory=dict)
    commit: str | None = None
    license: str | None = None  # of the dataset, as its config says it
    prompts: Mapping[str, str] = field(default_factory=dict)  # templates by name


@dataclass(frozen=True, slots=True)
class Decontamination:
    """One benchmark file that pairs were compared with."""

    name: str
    sha256: str
    questions: int
    found: int  # accepted pairs that it has

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Card:
    """Everything that the card of a dataset says."""

    runs: Sequence[RunFacts]
    counts: Mapping[str, int]  # rows by split
    chat: Sequence[str]  # splits that are there as conversations
    variants: Sequence[str]  # of the conversations
    has_csv: bool
    funnel: Funnel
    scores: JudgeScores
    calibration: str | None  # what the controls say of the judge; None where there was none
    sources: Sequence[Source]
    license: str
    benchmarks: Sequence[Decontamination]
    revoked: int  # documents that were revoked
    left: int  # documents that were not finished
    command: str  # that publishes it again
