"""The text of a dataset card, which becomes README.md: one function per section; an empty text leaves it out.

It says what the files say and nothing else, and no date: the same runs give the same card.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from hpc_qa.campaign.card import Card
from hpc_qa.campaign.card_front_matter import front_matter
from hpc_qa.campaign.funnel import Step
from hpc_qa.campaign.judge_scores import SCALE, mean
from hpc_qa.campaign.licenses import UNKNOWN
from hpc_qa.qa.decontamination import LONG, SHORT
from hpc_qa.store.dataset import REJECTED, TRAIN, VALIDATION
from hpc_qa.store.exports import CSV_FILE
from hpc_qa.units import plural

SOURCES_SHOWN = 200
LICENSES_SHOWN = 20


def render(card: Card) -> str:
    """The whole card."""
    title = f"# {card.runs[0].name}: questions and answers from {plural(len(card.sources), 'document')}"
    parts = [front_matter(card), title, *warnings(card), _summary(card.counts)]
    parts += [f"## {name}\n\n{text}" for name, section in SECTIONS if (text := section(card))]
    return "\n\n".join(parts) + "\n"


def _summary(counts: Mapping[str, int]) -> str:
    return (
        f"{plural(counts[TRAIN], 'pair')} to train on, {counts[VALIDATION]} to validate (split by "
        f"document, near-identical ones together), and {counts[REJECTED]} rejected ones with their reasons, with "
        "evidence and the passage that each came from."
    )


def warnings(card: Card) -> list[str]:
    """What a reader has to know before anything else."""
    found = []
    if not card.counts[TRAIN] + card.counts[VALIDATION]:
        found.append(
            "> **No pair was accepted: this dataset is empty.** The table under Yield says where the pairs were lost, "
            "`rejected.parquet` holds them."
        )
    if card.left:
        found.append(
            f"> **Partial:** {plural(card.left, 'document was', 'documents were')} not finished when this "
            "was published."
        )
    if card.revoked:
        what = plural(card.revoked, "document was", "documents were")
        found.append(f"> **Revoked:** {what} revoked; nothing that came from there is in here.")
    return found


def loading(card: Card) -> str:
    """How each table is opened."""
    counts, calls = card.counts, []
    if counts[TRAIN]:
        splits = "train" + (", validation" if counts[VALIDATION] else "; too few documents for a validation split")
        calls.append(f'pairs = load_dataset("PATH/TO/THIS/FOLDER")  # {splits}')
    if card.chat:
        calls.append(f'chat = load_dataset("PATH/TO/THIS/FOLDER", "chat")  # {", ".join(card.variants)}')
    if counts[REJECTED]:
        calls.append('rejected = load_dataset("PATH/TO/THIS/FOLDER", "rejected")')
    code = "\n".join(["from datasets import load_dataset", "", *calls])
    shown = f"```python\n{code}\n```\n\n" if calls else "There is nothing to load.\n\n"
    csv = f" `{CSV_FILE}` has the same rows for spreadsheets: what looks like a formula begins with an apostrophe."
    return (
        f"{shown}`qa.jsonl` has the rows of all splits, `manifest.json` the SHA-256, rows and bytes of every file."
        + (csv if card.has_csv else "")
    )


def yields(card: Card) -> str:
    """Every step from the documents to the published pairs."""
    funnel, suspicion = card.funnel, card.funnel.accounted.suspicion()
    fidelity = funnel.accounted.fidelity()
    lines = [
        f"Documents: {counted(funnel.documents)}.",
        f"Chunks: {funnel.accounted.words()}.",
        f"Chunks that were asked about: {counted(funnel.chunks)}.",
        *(["", f"Suspicious: {suspicion}; they were asked about as text."] if suspicion else []),
        *(["", f"Fidelity: {fidelity} (column `page_fidelity`)."] if fidelity else []),
        "",
        *_steps("pairs", funnel.steps()),
        "",
        *_steps("documents", funnel.of_documents.steps()),
        "",
        *_steps("chunks", funnel.of_chunks.steps()),
    ]
    if funnel.asked_again:
        lines += ["", f"{funnel.asked_again} of those asked for were asked for in place of rejected ones."]
    if funnel.unjudged:
        lines += ["", f"{funnel.unjudged} of the published pairs have no verdict of a judge, as the config allows."]
    return "\n".join(lines)


def _steps(what: str, steps: Sequence[Step]) -> list[str]:
    head = [f"| {what} | left | lost on the way |", "| --- | ---: | --- |"]
    return head + [f"| {step.name} | {step.left} | {counted(step.lost) if step.lost else ''} |" for step in steps]


def judged(card: Card) -> str:
    """How the judge scored."""
    if not card.scores:
        return ""
    lines = [
        f"| score | mean | {' | '.join(map(str, SCALE))} |",
        "| --- | ---: |" + " ---: |" * len(SCALE),
    ]
    for side, found in (("published", card.scores.published), ("rejected", card.scores.rejected)):
        for name, counts in found.items():
            value = mean(counts)
            if value is not None:
                cells = " | ".join(str(counts[score]) for score in SCALE)
                lines.append(f"| {name}, {side} pairs | {value:.2f} | {cells} |")
    return "\n".join(lines)


def calibrated(card: Card) -> str:
    """What the controls say of the judge."""
    return card.calibration or ""


def made(card: Card) -> str:
    """Models, prompts, converters, versions, costs of the runs."""
    lines = [
        "| run | model | revision | prompts (sha256) | seed | converter | cost |",
        "| --- | --- | --- | --- | ---: | --- | --- |",
    ]
    for run in card.runs:
        cells = [run.run_id, run.model, run.revision or "not given", run.prompt_sha256[:16], str(run.seed)]
        lines.append("| " + " | ".join(cell(text) for text in [*cells, run.converter, run.cost]) + " |")
    for run in card.runs:
        if run.accepts:
            lines += [
                "",
                f"{run.run_id}: answers are {run.answer_style}; accepted was what passed {cell(run.accepts)}.",
            ]
        if run.versions:
            said = ", ".join(f"{cell(name)} {cell(number)}" for name, number in sorted(run.versions.items()))
            lines += ["", f"{run.run_id}: commit {cell(run.commit or 'unknown')}; {said}."]
    return "\n".join(lines)


def prompts(card: Card) -> str:
    """The text of every prompt, once."""
    parts, seen = [], set()
    for run in card.runs:
        if run.prompt_sha256 in seen or not run.prompts:
            continue
        seen.add(run.prompt_sha256)
        parts.append(f"SHA-256 `{run.prompt_sha256}`:")
        parts += [f"{cell(name)}\n\n{fenced(text)}" for name, text in run.prompts.items() if text.strip()]
    return "\n\n".join(parts)


def reviews(card: Card) -> str:
    """What people said of samples."""
    if not any(run.review for run in card.runs):
        return ""
    return "\n".join(f"- {run.run_id}: {run.review or 'nobody rated any of its pairs'}" for run in card.runs)


def split(card: Card) -> str:
    """How the validation pairs were chosen."""
    if not card.counts[VALIDATION]:
        return "Every document is for training: fewer than five have a pair."
    return (
        "By document: one in ten of the documents with a published pair is for validation, chosen by the hash of its "
        "id. No document is in both."
    )


def decontamination(card: Card) -> str:
    """Which benchmarks the pairs were compared with."""
    if not card.benchmarks:
        return "The pairs were not compared with any benchmark."
    lines = ["| benchmark | sha256 | questions | pairs that it has |", "| --- | --- | ---: | ---: |"]
    lines += [f"| {cell(one.name)} | `{one.sha256[:16]}` | {one.questions} | {one.found} |" for one in card.benchmarks]
    rule = (
        f"A pair was removed (`contaminated` in `rejected.parquet`) when its question shares {LONG} words in a row "
        f"with one of theirs, {SHORT} where either has fewer than {LONG}, all where either has fewer than {SHORT}. "
        "Paraphrases are not found."
    )
    return "\n".join([*lines, "", rule])


def licences(card: Card) -> str:
    """Of the dataset, and of its sources."""
    known = Counter(source.license for source in card.sources)
    said = "unknown: nobody said it" if card.license == UNKNOWN else cell(card.license)
    shown = dict(known.most_common(LICENSES_SHOWN))
    more = f", and {len(known) - len(shown)} more" if len(known) > len(shown) else ""
    return f"This dataset: {said}. The documents keep their own licences: {counted(shown)}{more}."


def sources(card: Card) -> str:
    """The documents."""
    lines = ["| document | sha256 | licence | pairs |", "| --- | --- | --- | ---: |"]
    lines += [
        f"| {cell(source.path)} | `{source.sha256[:16]}` | {cell(source.license)} | {source.pairs} |"
        for source in card.sources[:SOURCES_SHOWN]
    ]
    if len(card.sources) > SOURCES_SHOWN:
        more = len(card.sources) - SOURCES_SHOWN
        lines += ["", f"And {more} more; the columns `source_path` and `source_sha256` have all."]
    return "\n".join(lines)


def limits(card: Card) -> str:
    """What nobody should take this dataset for."""
    read = "" if any(run.review for run in card.runs) else "; nobody has read them"
    written = "Questions" if {run.answer_style for run in card.runs} == {"extractive"} else "Questions and answers"
    quoted = ", answers are sentences of the sources," if written == "Questions" else ""
    return (
        f"{written} were written by a language model{quoted} and checked by rules and, where scores are given, by "
        f"the same\nmodel as a judge{read}. `evidence` is quoted from the source by construction; that an answer "
        "follows\nfrom it is a judgement. Near-duplicates are found by their wording, not by their meaning."
    )


def again(card: Card) -> str:
    """How the dataset is made again."""
    seeds = ", ".join(f"{run.run_id} with seed {run.seed}" for run in card.runs)
    return (
        f"```sh\n{card.command}\n```\n\ngives the same bytes from the same finished runs ({cell(seeds)}), where the "
        "files that it names are at hand.\nA run itself is asked again with its frozen config, manifest and prompts; a "
        "model that samples may then say something\nelse."
    )


SECTIONS: tuple[tuple[str, Callable[[Card], str]], ...] = (
    ("Load it", loading),
    ("Yield", yields),
    ("How it was made", made),
    ("Judge", judged),
    ("Judge calibration", calibrated),
    ("Read by people", reviews),
    ("Split", split),
    ("Decontamination", decontamination),
    ("Licences", licences),
    ("Sources", sources),
    ("Limits", limits),
    ("Make it again", again),
    ("Prompts", prompts),
)


def counted(counts: Mapping[str, int]) -> str:
    """Counts by reason in one line, the largest first."""
    if not counts:
        return "none"
    return ", ".join(f"{count} {cell(reason)}" for reason, count in sorted(counts.items(), key=lambda item: -item[1]))


def cell(text: str) -> str:
    r"""Text of others in a table cell: no markup of theirs takes effect, and it stays on its line.

    >>> cell("a|b <script>.md")
    'a\\|b \\<script\\>.md'
    """
    return re.sub(r"([\\`*\[\]<>|])", r"\\\1", " ".join(text.split()))


def fenced(text: str) -> str:
    """Text of others as a code block that nothing in it ends."""
    longest = max((len(run) for run in re.findall(r"~+", text)), default=0)
    fence = "~" * max(3, longest + 1)
    return f"{fence}text\n{text.rstrip()}\n{fence}"
