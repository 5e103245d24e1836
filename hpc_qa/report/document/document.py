"""The benchmark document, chapter by chapter, and the file that it is written to."""

import re
from pathlib import Path

from hpc_qa.bench.templates import TEMPLATES
from hpc_qa.report.document.batches import EXPECTED, benchmarks
from hpc_qa.report.document.costs import costs
from hpc_qa.report.document.environments import comparison
from hpc_qa.report.document.goals import guidelines, targets
from hpc_qa.report.document.insights import insights
from hpc_qa.report.document.markdown import chapter, facts, words
from hpc_qa.report.document.material import CLUSTER, LOCAL, Material
from hpc_qa.report.document.projections import projections
from hpc_qa.report.document.remarks import Remarks, read_remarks, sealed
from hpc_qa.report.document.sweeps import sweeps
from hpc_qa.report.document.usage import cumulative
from hpc_qa.report.replaced import replace_file

TITLE = "Performance Benchmarks and Estimates"
KEPT = "Remarks Whose Place Went Away"


def fill(path: Path, material: Material) -> None:
    """Write the document, whole or not at all; what people wrote in its places stays as it is.

    Raises:
        ConfigError: what is there is no such document, or its marks are damaged; it is left as it is.
        StoreError: it cannot be written there.
    """
    replace_file(path, document(material, read_remarks(path)).encode(), "document", keep_rights=True)


def document(material: Material, remarks: Remarks) -> str:
    """The document as text: the same for the same material and remarks."""
    chapters = [
        targets(material, remarks),
        guidelines(material),
        benchmarks(material, remarks, LOCAL, "Local Environment Benchmarks"),
        benchmarks(material, remarks, CLUSTER, "Campus Cluster Benchmarks"),
        *filter(None, [benchmarks(material, remarks, None, "Benchmarks Whose Environment Is Not Said")]),
        chapter("Cumulative Totals (All Batches)", cumulative(material)),
        chapter("Performance Comparison", comparison(material), sweeps(material, remarks)),
        insights(material, remarks),
        projections(material),
        costs(material),
        _templates(),
        _by_hand(
            "Lessons Learned",
            "lessons",
            "1. **Finding**: _to be written by hand_; **impact**, with its figure; **recommendation**",
            remarks,
        ),
        _by_hand(
            "Quality-Performance Trade-offs",
            "trade-offs",
            "1. _To be written by hand: what was traded, what was chosen and why._",
            remarks,
        ),
        _by_hand("Outstanding Questions", "questions", "- [ ] _To be written by hand._", remarks),
        _by_hand("Next Steps", "next steps", "1. _To be written by hand._", remarks),
    ]
    kept = list(remarks.homeless())
    if kept:
        said = (
            "Their batch or sweep has no record any more. They move back when it has one; delete what is not wanted.\n"
        )
        chapters.append(chapter(KEPT, said, *kept))
    if material.notes:
        chapters.append(chapter("Notes", "".join(f"- {words(note)}\n" for note in material.notes)))
    head = f"# {TITLE}\n\n{_head(material)}\n{_contents(chapters)}\n"
    return sealed(head + "\n".join(chapters) + f"\n---\n\n{_foot(material)}\n")


def _by_hand(title: str, key: str, prompt: str, remarks: Remarks) -> str:
    return chapter(title, remarks.place(key, prompt))


def _templates() -> str:
    """The two short forms, for runs that this program did not make."""
    return chapter(
        "Benchmark Templates",
        "For runs that were made otherwise; `hpc-qa bench import FILE` reads them once they are filled in.\n",
        *(
            chapter(f"{kind.capitalize()}", f"```yaml\n{TEMPLATES[kind]()}```\n", level=3)
            for kind in ("quick", "detailed")
        ),
    )


def _head(material: Material) -> str:
    done = sum(bool(material.of_batch(one.batch)) for one in EXPECTED)
    newest = material.records[-1] if material.records else None
    status = f"{done} of {len(EXPECTED)} batches recorded, records: {len(material.records):,}"
    if newest is not None:
        status += f"; the newest is {words(newest.id)}"
    return (
        f"> **Last Updated**: {material.today.isoformat()}  \n> **Status**: {status}\n\n"
        "Filled by `hpc-qa report --markdown FILE` from the records of all runs, the ledger and the forecast.\n"
        "Write between the marks of a place for remarks: all else is written anew.\n"
    )


def _contents(chapters: list[str]) -> str:
    titles = [found[1] for text in chapters if (found := re.match(r"## (.+)\n", text))]
    return "## Contents\n\n" + "".join(f"- [{title}](#{_anchor(title)})\n" for title in titles)


def _anchor(title: str) -> str:
    """As GitHub makes it of a heading.

    >>> _anchor("Cumulative Totals (All Batches)")
    'cumulative-totals-all-batches'
    """
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _foot(material: Material) -> str:
    said = material.settings.report
    return facts(
        [
            ("Last Updated", material.today.isoformat()),
            ("Primary Contact", words(said.contact) if said.contact else "not said: report.contact in project.yaml"),
            (
                "Review Frequency",
                words(said.review_frequency)
                if said.review_frequency
                else "not said: report.review_frequency in project.yaml",
            ),
        ]
    )
