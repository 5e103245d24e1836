"""The dataset card: README.md of a published dataset, with the YAML that `datasets.load_dataset` reads.

It says what the files say and nothing else, and no date: the same runs give the same card.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from hpc_qa.campaign.funnel import Funnel
from hpc_qa.store.dataset import FILES, REJECTED, TRAIN, VALIDATION

SOURCES_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Source:
    """One document, and how many of its pairs are in the dataset."""

    path: str
    sha256: str
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


def render(
    *, runs: Sequence[RunFacts], counts: Mapping[str, int], funnel: Funnel, sources: Sequence[Source], left: int,
    calibration: str | None = None,
) -> str:  # fmt: skip
    """The whole card; `calibration` is what the controls say of the judge, None where there was none."""
    name = runs[0].name
    parts = [
        "---\n" + yaml.safe_dump(_front_matter(name, runs, counts), sort_keys=False, allow_unicode=True) + "---",
        f"# {name}: questions and answers from {len(sources)} documents",
        *_warnings(counts, left),
        _summary(counts),
        "## Load it\n\n" + _loading(counts),
        "## Yield\n\n" + _yield(funnel),
        *(["## Judge calibration\n\n" + calibration] if calibration else []),
        "## How it was made\n\n" + _runs(runs),
        *(["## Read by people\n\n" + _reviews(runs)] if any(run.review for run in runs) else []),
        "## Sources\n\nThe documents keep their own licences.\n\n" + _sources(sources),
        "## Limits\n\n" + LIMITS.format(read="" if any(run.review for run in runs) else "; nobody has read them"),
    ]
    return "\n\n".join(parts) + "\n"


LIMITS = """\
Questions and answers were written by a language model and checked by rules and, where scores are given, by the same
model as a judge{read}. `evidence` is quoted from the source by construction; that an answer follows
from it is a judgement. Near-duplicates are found by their wording, not by their meaning."""


def _reviews(runs: Sequence[RunFacts]) -> str:
    return "\n".join(f"- {run.run_id}: {run.review or 'nobody rated any of its pairs'}" for run in runs)


def _front_matter(name: str, runs: Sequence[RunFacts], counts: Mapping[str, int]) -> dict[str, Any]:
    return {
        "pretty_name": name,
        "language": sorted({run.language for run in runs if run.language}) or ["und"],
        "size_categories": [_size_category(counts[TRAIN] + counts[VALIDATION])],
        "task_categories": ["question-answering", "text-generation"],
        "annotations_creators": ["machine-generated"],
        "source_datasets": ["original"],
        "tags": ["synthetic"],
        "configs": _configs(counts),
    }


def _configs(counts: Mapping[str, int]) -> list[dict[str, Any]]:
    """What `load_dataset` finds. Empty tables are left out: datasets 5.2 refuses a split without a row."""
    accepted = [{"split": split, "path": FILES[split]} for split in (TRAIN, VALIDATION) if counts[split]]
    rejected = [{"split": REJECTED, "path": FILES[REJECTED]}] if counts[REJECTED] else []
    configs = [("default", accepted), ("rejected", rejected)]
    return [{"config_name": name, "data_files": files} for name, files in configs if files]


def _size_category(rows: int) -> str:
    for limit, category in ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")):
        if rows < limit:
            return category
    return "n>1M"


def _warnings(counts: Mapping[str, int], left: int) -> list[str]:
    warnings = []
    if not counts[TRAIN] + counts[VALIDATION]:
        warnings.append(
            "> **No pair was accepted: this dataset is empty.** The table under Yield says where the pairs were lost, "
            "`rejected.parquet` holds them."
        )
    if left:
        warnings.append(f"> **Partial:** {left} documents of the runs were not finished when this was published.")
    return warnings


def _summary(counts: Mapping[str, int]) -> str:
    return (
        f"{counts[TRAIN]} pairs to train on, {counts[VALIDATION]} to validate (split by document, near-identical ones "
        "together), and "
        f"{counts[REJECTED]} rejected ones with their reasons, with evidence and the passage that each came from."
    )


def _loading(counts: Mapping[str, int]) -> str:
    calls = []
    if counts[TRAIN]:
        splits = "train" + (", validation" if counts[VALIDATION] else "; too few documents for a validation split")
        calls.append(f'pairs = load_dataset("PATH/TO/THIS/FOLDER")  # {splits}')
    if counts[REJECTED]:
        calls.append('rejected = load_dataset("PATH/TO/THIS/FOLDER", "rejected")')
    code = "\n".join(["from datasets import load_dataset", "", *calls])
    return (
        f"```python\n{code}\n```\n\n" if calls else "There is nothing to load.\n\n"
    ) + "`qa.jsonl` has the rows of all splits, `manifest.json` the SHA-256, rows and bytes of every file."


def _yield(funnel: Funnel) -> str:
    suspicion = funnel.of_documents.suspicion()
    lines = [
        f"Documents: {_counted(funnel.documents)}.",
        f"Chunks: {funnel.of_documents.words()}.",
        f"Chunks that were asked about: {_counted(funnel.chunks)}.",
        *([f"Suspicious: {suspicion}; they were asked about as text."] if suspicion else []),
        "",
        "| pairs | left | lost on the way |",
        "| --- | ---: | --- |",
    ]
    lines += [f"| {step.name} | {step.left} | {_counted(step.lost) if step.lost else ''} |" for step in funnel.steps()]
    if funnel.asked_again:
        lines += ["", f"{funnel.asked_again} of those asked for were asked for in place of rejected ones."]
    if funnel.unjudged:
        lines += ["", f"{funnel.unjudged} of the published pairs have no verdict of a judge, as the config allows."]
    return "\n".join(lines)


def _counted(counts: Mapping[str, int]) -> str:
    if not counts:
        return "none"
    return ", ".join(f"{count} {_cell(reason)}" for reason, count in sorted(counts.items(), key=lambda item: -item[1]))


def _runs(runs: Sequence[RunFacts]) -> str:
    lines = [
        "| run | model | revision | prompts (sha256) | seed | converter | cost |",
        "| --- | --- | --- | --- | ---: | --- | --- |",
    ]
    for run in runs:
        cells = [run.run_id, run.model, run.revision or "not given", run.prompt_sha256[:16], str(run.seed)]
        lines.append("| " + " | ".join(_cell(cell) for cell in [*cells, run.converter, run.cost]) + " |")
    return "\n".join(lines)


def _sources(sources: Sequence[Source]) -> str:
    lines = ["| document | sha256 | pairs |", "| --- | --- | ---: |"]
    lines += [
        f"| {_cell(source.path)} | `{source.sha256[:16]}` | {source.pairs} |" for source in sources[:SOURCES_SHOWN]
    ]
    if len(sources) > SOURCES_SHOWN:
        lines += [
            "",
            f"And {len(sources) - SOURCES_SHOWN} more; the columns `source_path` and `source_sha256` have all.",
        ]
    return "\n".join(lines)


def _cell(text: str) -> str:
    r"""Text of others in a table cell: no markup of theirs takes effect, and it stays on its line.

    >>> _cell("a|b <script>.md")
    'a\\|b \\<script\\>.md'
    """
    return re.sub(r"([\\`*\[\]<>|])", r"\\\1", " ".join(text.split()))
