"""A manual of a Medicaid agency with all that is hard to read back from a PDF, and its truth.

Sixty headings in three levels; tables that are ruled, borderless, with wrapped cells, with a merged header, and of
seventy rows over page ends; a running header and a footer that counts pages. `printed_manual` makes PDFs of it.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Style = Literal["ruled", "borderless", "wrapped", "merged", "long"]

HEADER = "Nowhere State Medicaid Provider Manual"
FOOTER = "Revised January 2026, supersedes all earlier editions"
CHAPTERS, SECTIONS = 10, 2  # sections in each chapter; the first has one topic, the second two
STYLES: tuple[Style, ...] = ("ruled", "borderless", "wrapped", "merged")
LONG_ROWS = 70
LONG_IN = (3, 7)  # chapters that end in a long table

_SUBJECTS = (
    "Eligibility", "Enrollment", "Redetermination", "Copayments", "Prior Authorization", "Fair Hearings", "Transport",
    "Home Health", "Hospice Care", "Dental Benefits", "Vision Benefits", "Claims", "Third Party Liability", "Pharmacy",
    "Long Term Care", "Estate Recovery", "Spend Down", "Managed Care", "Outreach", "Program Integrity",
)  # fmt: skip
_ASPECTS = (
    "Requirements", "Limits", "Exceptions", "Forms", "Deadlines", "Notices", "Records", "Payment Rates", "Definitions",
    "Verification", "Referrals", "Covered Groups", "Appeals",
)  # fmt: skip
_PEOPLE = (
    "The agency",
    "A provider",
    "The beneficiary",
    "The county office",
    "A hospital",
    "The applicant",
    "The plan",
)
_DEEDS = (
    "must send a written notice", "may ask for a review of the decision", "shall keep records of each service",
    "has to verify income and resources", "must not bill the beneficiary for the difference", "files the claim",
    "shall determine the level of care", "is responsible for the premium",
)  # fmt: skip
_WHEN = (
    "within {n} days of the request", "no later than {n} months after the date of service", "at least every {n} months",
    "if the amount is above ${n}.00", "under 42 CFR 435.{n}", "before day {n} of the following month",
)  # fmt: skip
_COUNTIES = (
    "Adams", "Baker", "Clark", "Dade", "Elmore", "Franklin", "Grant", "Hale", "Iron", "Jackson", "Knox", "Lake",
    "Mason", "Noble", "Otter", "Pike", "Quitman", "Ross", "Stone", "Todd", "Union", "Vance", "Wayne", "Young",
)  # fmt: skip
_NOTES = (
    "Covered in full after prior authorization by the state agency, renewed each year on the anniversary date",
    "Limited to members under age 21 who were referred by a physician of the plan within the last six months",
    "Not covered when another payer is liable for the same service on the same day",
    "Needs a plan of care that is signed by the physician and reviewed by the county nurse every sixty days",
)


@dataclass(frozen=True, slots=True)
class Heading:
    """A title and its level, from 1."""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Some sentences."""

    text: str


@dataclass(frozen=True, slots=True)
class MadeTable:
    """A table; in the first row of a merged one each cell but the first stands over two columns."""

    style: Style
    rows: tuple[tuple[str, ...], ...]

    @property
    def header_rows(self) -> int:
        """How many rows are repeated on each page that the table runs over."""
        return 2 if self.style == "merged" else 1


Part = Heading | Paragraph | MadeTable


def manual(seed: int = 1) -> list[Part]:
    """The parts in order; every heading and every row of a table is there once."""
    draw = random.Random(seed)
    subjects = draw.sample(_SUBJECTS, k=len(_SUBJECTS))
    parts: list[Part] = []
    tables = 0
    for chapter in range(1, CHAPTERS + 1):
        parts.append(Heading(1, f"Chapter {chapter}: {subjects[chapter - 1]}"))
        parts.append(_paragraph(draw))
        aspects = iter(draw.sample(_ASPECTS, k=5))
        for section in range(1, SECTIONS + 1):
            parts += (Heading(2, f"{chapter}.{section} {subjects[-chapter]} {next(aspects)}"), _paragraph(draw))
            for topic in range(1, section + 1):
                parts.append(Heading(3, f"{chapter}.{section}.{topic} {next(aspects)} of {subjects[chapter % 20]}"))
                parts += (_paragraph(draw) for _ in range(2))
            parts += (_table(draw, STYLES[tables % len(STYLES)]), _paragraph(draw))
            tables += 1
        if chapter in LONG_IN:
            parts.append(_table(draw, "long"))
        if chapter % 5 == 0:
            parts.append(_table(draw, "wrapped"))
    return parts


def headings(parts: list[Part]) -> list[Heading]:
    """The headings of a manual."""
    return [part for part in parts if isinstance(part, Heading)]


def rows(parts: list[Part]) -> list[tuple[Style, tuple[str, ...]]]:
    """Every table row with the style of its table."""
    return [(part.style, row) for part in parts if isinstance(part, MadeTable) for row in part.rows]


def _paragraph(draw: random.Random) -> Paragraph:
    return Paragraph(" ".join(_sentences(draw, draw.randint(2, 5))))


def _sentences(draw: random.Random, count: int) -> Iterator[str]:
    for _ in range(count):
        when = draw.choice(_WHEN).format(n=draw.randint(2, 99))
        yield f"{draw.choice(_PEOPLE)} {draw.choice(_DEEDS)} {when}, and {draw.choice(_DEEDS).lower()}."


def _table(draw: random.Random, style: Style) -> MadeTable:
    code = draw.randint(100, 899) * 100  # of the first row; each row has a code of its own
    if style == "merged":
        head = (f"Group {code}", "Adults", "Children"), (f"Name {code}", "Limit", "Copay", "Maximum", "Share")
        body = [(f"{county} {code + index}", *_amounts(draw, 4)) for index, county in enumerate(_counties(draw, 7))]
        return MadeTable(style, (*head, *body))
    if style == "wrapped":
        head_row = (f"Code {code}", "Service", "Coverage and limits")
        body = [
            (f"T{code + index}", f"{draw.choice(_SUBJECTS)} visit, level {index + 1}", draw.choice(_NOTES))
            for index in range(5)
        ]
        return MadeTable(style, (head_row, *body))
    names = _counties(draw, LONG_ROWS if style == "long" else 8)
    head_row = (f"County {code}", "Code", "Monthly limit", "Effective")
    body = [
        (name, f"{code + index}", _amounts(draw, 1)[0], f"{draw.randint(1, 12):02}/01/20{draw.randint(20, 26)}")
        for index, name in enumerate(names)
    ]
    return MadeTable(style, (head_row, *body))


def _counties(draw: random.Random, count: int) -> list[str]:
    return [f"{draw.choice(_COUNTIES)} County" for _ in range(count)]


def _amounts(draw: random.Random, count: int) -> list[str]:
    return [f"${draw.randint(1, 9)},{draw.randint(100, 999)}.{draw.randint(10, 99)}" for _ in range(count)]
