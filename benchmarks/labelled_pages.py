"""Pages of which it is known whether anybody should ask about them: made here, with a seed, and labelled.

Left out should be tables of contents, indexes, forms and histories of revisions. Kept should be prose, tables,
definitions, steps and lists of what is covered, and what looks like the others and says something: a page about forms,
a table of rates by date, prose about what changed.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

SUBJECTS = (
    "Eligibility", "Enrollment", "Copayments", "Prior authorization", "Fair hearings", "Transport", "Home health",
    "Hospice care", "Dental benefits", "Vision benefits", "Claims", "Third party liability", "Pharmacy", "Newborns",
    "Spend down", "Managed care", "Outreach", "Program integrity", "Appeals", "Billing", "Ambulance", "Estate recovery",
    "Records", "Referrals", "Waivers", "X-ray", "Interpreters", "Nursing facilities", "Lead screening", "Guardians",
)  # fmt: skip
DEEDS = (
    "must send a written notice", "may ask for a review of the decision", "shall keep records of each service",
    "must not bill the member for the difference", "files the claim with the plan", "verifies income and resources",
)  # fmt: skip
WHO = ("The agency", "A provider", "The member", "The county office", "A hospital", "The plan")
CHANGES = (
    "Initial release", "Added rates for transport", "Updated codes", "Corrected the fee schedule", "Editorial changes",
    "Removed paper forms", "New chapter on waivers", "Revised the section on appeals and hearings",
    "Clarified billing limits",
)  # fmt: skip
AUTHORS = ("J. Smith", "K. Lee", "Policy unit", "M. Ortiz", "Office of rates")
FIELDS = (
    "Name of member",
    "Date of birth",
    "Member ID",
    "Address",
    "Telephone",
    "Name of provider",
    "Signature",
    "Date",
)
BOXES = ("Initial request", "Renewal", "Change of address", "New employment", "Household member left", "Other")


@dataclass(frozen=True, slots=True)
class LabelledPage:
    """One page as Markdown, and what it is."""

    name: str  # how it was made
    kind: str | None  # why it should be left out, of `worthiness.KINDS`; None: it should be asked about
    markdown: str


def pages(seed: int, of_each: int) -> Iterator[LabelledPage]:
    """So many pages of each kind, the same ones for a seed."""
    draw = random.Random(seed)
    for make, kind in MAKERS.items():
        for _ in range(of_each):
            yield LabelledPage(make.__name__.strip("_"), kind, make(draw))


def _date(draw: random.Random) -> str:
    year, month, day = draw.randint(2009, 2026), draw.randint(1, 12), draw.randint(1, 28)
    months = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
              "November", "December")  # fmt: skip
    return draw.choice(
        (f"{year}-{month:02}-{day:02}", f"{month:02}/{day:02}/{year}", f"{months[month - 1]} {day}, {year}",
         f"{day} {months[month - 1][:3]} {year}", f"{months[month - 1]} {year}")
    )  # fmt: skip


def _sentence(draw: random.Random) -> str:
    when = draw.choice(
        ("within {} days of the request", "no later than {} months after the service", "if {} rules apply")
    )
    return f"{draw.choice(WHO)} {draw.choice(DEEDS)} {when.format(draw.randint(2, 90))}."


def _prose(draw: random.Random, sentences: int = 6) -> str:
    return " ".join(_sentence(draw) for _ in range(sentences))


def _titles(draw: random.Random, count: int) -> list[str]:
    return [f"{subject} {draw.choice(('rules', 'limits', 'forms', 'notices', ''))}".strip()
            for subject in draw.choices(SUBJECTS, k=count)]  # fmt: skip


def _rising(draw: random.Random, count: int) -> list[int]:
    return sorted(draw.choices(range(1, 300), k=count))


def _contents_with_leaders(draw: random.Random) -> str:
    count = draw.randint(8, 30)
    leader = draw.choice((" . . . . . . . ", "..........", " ………… "))
    entries = zip(_titles(draw, count), _rising(draw, count), strict=True)
    lines = [f"{number}. {title}{leader}{page}" for number, (title, page) in enumerate(entries, start=1)]
    return "# Table of Contents\n\n" + draw.choice(("\n", "\n\n")).join(lines)


def _contents_without_leaders(draw: random.Random) -> str:
    count = draw.randint(8, 30)
    numbers = (f"{1 + place // 4}.{1 + place % 4}" for place in range(count))
    entries = zip(numbers, _titles(draw, count), _rising(draw, count), strict=True)
    return "## Contents\n\n" + "\n".join(f"{number} {title} {page}" for number, title, page in entries)


def _contents_as_a_list(draw: random.Random) -> str:
    count = draw.randint(9, 25)
    lines = [f"- {1 + place // 5}.{1 + place % 5}. {title}" for place, title in enumerate(_titles(draw, count))]
    return "## Contents\n\n" + "\n".join(lines)


def _index(draw: random.Random) -> str:
    terms = sorted(draw.sample(SUBJECTS, draw.randint(10, 28)))
    lines = []
    for term in terms:
        places = ", ".join(map(str, _rising(draw, draw.randint(1, 4))))
        lines.append(
            draw.choice((f"{term.lower()}, {places}", f"{term.lower()}, {places}", f"{term}, see {draw.choice(terms)}"))
        )
    return draw.choice(("## Index\n\n", "")) + "\n".join(lines)


def _form_of_blanks(draw: random.Random) -> str:
    blank = draw.choice(("______________", "____________________", "................"))
    fields = draw.sample(FIELDS, draw.randint(5, 8))
    return "# Request\n\n" + "\n".join(f"{name}: {blank}" for name in fields)


def _form_of_boxes(draw: random.Random) -> str:
    box = draw.choice(("[ ]", "☐", "□"))
    boxes = "\n".join(f"{box} {name}" for name in BOXES)
    return f"# Change report\n\n{boxes}\n\nSignature: ______________ Date: ________\nMember ID: ____________"


def _revisions_as_a_table(draw: random.Random) -> str:
    heads = (
        ("Version", "Date", "Author", "Description of change"), ("Revision", "Effective date", "Summary of changes"),
        ("Rev.", "Date", "Changes", "Approved by"), ("Date", "Version", "Section", "Reason"),
    )  # fmt: skip
    head = draw.choice(heads)
    rows = []
    for place in range(draw.randint(4, 14)):
        values = {
            "Version": f"1.{place}", "Revision": str(place), "Rev.": chr(65 + place), "Section": f"{place + 2}.1",
            "Date": _date(draw), "Effective date": _date(draw), "Author": draw.choice(AUTHORS),
            "Approved by": draw.choice(AUTHORS),
        }  # fmt: skip
        said = [values.get(name) or draw.choice(CHANGES) for name in head]
        rows.append(f"| {' | '.join(said)} |")
    title = draw.choice(("# Revision history\n\n", "## Document Control\n\n", "## Change log\n\n", ""))
    return title + "\n".join((f"| {' | '.join(head)} |", "|" + "---|" * len(head), *rows))


def _revisions_as_lines(draw: random.Random) -> str:
    lines = [
        draw.choice(
            (f"Version 2.{place}, {_date(draw)}: {draw.choice(CHANGES)}", f"{_date(draw)} - {draw.choice(CHANGES)}")
        )
        for place in range(draw.randint(4, 16))
    ]
    title = draw.choice(("Revision History", "Change History", "Record of changes", "Version history"))
    return f"# {title}\n\n" + draw.choice(("\n", "\n\n")).join(lines)


def _prose_of_a_manual(draw: random.Random) -> str:
    return "\n\n".join(f"## {title}\n\n{_prose(draw)}" for title in _titles(draw, 3))


def _table_of_rates(draw: random.Random) -> str:
    rows = "\n".join(
        f"| {subject} | T{draw.randint(1000, 9999)} | ${draw.randint(2, 90)}.50 |" for subject in SUBJECTS[:12]
    )
    return f"## Rates\n\n| Service | Code | Rate |\n|---|---|---|\n{rows}"


def _table_of_rates_by_date(draw: random.Random) -> str:
    rows = "\n".join(f"| {_date(draw)} | {title} | {draw.randint(10, 400)} |" for title in _titles(draw, 9))
    return f"## Limits\n\n| Effective date | Service | Limit in units |\n|---|---|---|\n{rows}"


def _table_of_versions_of_a_form(draw: random.Random) -> str:
    rows = "\n".join(
        f"| F-{draw.randint(10, 99)} | {title} | {draw.randint(1, 9)} days |" for title in _titles(draw, 9)
    )
    return f"## Forms\n\n| Form | Used for | Due within |\n|---|---|---|\n{rows}"


def _definitions(draw: random.Random) -> str:
    lines = [f"**{term}**: {draw.choice(WHO).lower()} that {draw.choice(DEEDS)}" for term in draw.sample(SUBJECTS, 10)]
    return "## Definitions\n\n" + draw.choice(("\n", "\n\n")).join(lines)


def _steps(draw: random.Random) -> str:
    lines = [f"{place}. {_sentence(draw)}" for place in range(1, draw.randint(6, 12))]
    return "## How to file a claim\n\n" + "\n".join(lines)


def _covered_services(draw: random.Random) -> str:
    return "## Covered services\n\n" + "\n".join(f"- {subject}" for subject in draw.sample(SUBJECTS, 12))


def _prose_about_forms(draw: random.Random) -> str:
    return f"## Forms\n\n{_prose(draw, 3)} The form has a box [ ] for a renewal. {_prose(draw, 3)}"


def _prose_about_changes(draw: random.Random) -> str:
    lines = [f"- On {_date(draw)} {_sentence(draw)[0].lower()}{_sentence(draw)[1:]}" for _ in range(5)]
    return f"## What changed\n\n{_prose(draw, 2)}\n\n" + "\n".join(lines)


def _duties_under_a_title_of_revisions(draw: random.Random) -> str:
    return f"# Change control\n\n{_prose(draw, 5)}"


def _prose_behind_contents(draw: random.Random) -> str:
    return f"## Contents\n\nThis part has three chapters.\n\n## {draw.choice(SUBJECTS)}\n\n{_prose(draw, 5)}"


MAKERS: dict[Callable[[random.Random], str], str | None] = {
    _contents_with_leaders: "contents",
    _contents_without_leaders: "contents",
    _contents_as_a_list: "contents",
    _index: "index",
    _form_of_blanks: "form",
    _form_of_boxes: "form",
    _revisions_as_a_table: "revisions",
    _revisions_as_lines: "revisions",
    _prose_of_a_manual: None,
    _table_of_rates: None,
    _table_of_rates_by_date: None,
    _table_of_versions_of_a_form: None,
    _definitions: None,
    _steps: None,
    _covered_services: None,
    _prose_about_forms: None,
    _prose_about_changes: None,
    _duties_under_a_title_of_revisions: None,
    _prose_behind_contents: None,
}
