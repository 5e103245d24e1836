"""Chunks that no question should be asked about, from real documents, and chunks that look like them and are good."""

import pytest

from hpc_qa.documents.blocks import parse_blocks
from hpc_qa.documents.chunks import Chunk
from hpc_qa.documents.packing import chunk_blocks
from hpc_qa.documents.worthiness import unworthy

UNWORTHY = {
    "contents": """\
# Table of Contents

1 Introduction . . . . . . . . . . . . . . . . . . . . . . . 1

1.1 Legalese . . . . . . . . . . . . . . . . . . . . . 1 1.2 Obtaining this document . . . . . . . . . . . . . . . 1 1.3
Citing this document . . . . . . . . . . . . . . . . . . 1 1.4 Notation . . . . . . . . . . . . . . . . . . . . . . . 2
2.1 What is R? . . . . . . . . . . . . . . . . . . . . 3 2.2 What machines does R run on? . . . . . . . . . . . . . . 3
""",
    "contents of a page": """\
## Contents

- 1.1. Scope
- 1.2. New versions of this document
- 1.3. Authors and Maintainers
- 1.4. Related documents
- 2.1. The Debian archive
- 2.2. Archive areas
- 2.2.1. The main archive area
- 2.2.2. The contrib archive area
- 2.3. Copyright considerations
""",
    "index": """\
## Index

abortion, coverage of, 112
administrative hearings, 14, 88-90
advance directives, 45
ambulance services, 61, 62
appeals, see hearings
audits, 102
behavioral health, 70-74
billing, 9, 31, 33
birth centers, 66
""",
    "index without a title": """\
abortion, coverage of, 112
administrative hearings, 14, 88-90
advance directives, 45
ambulance services, 61, 62
appeals, see hearings
audits, 102
behavioral health, 70-74
billing, 9, 31, 33
""",
    "contents without pages": """\
1.1 Scope of the manual
1.2 Authors
2.1 The agency
2.2 The plan
2.3 Providers
3.1 Members
3.2 Eligibility
4.1 Fees
""",
    "form of boxes alone": """\
☐ Yes ☐ No
☐ Male ☐ Female
☐ New ☐ Renewal
☐ Full ☐ Part
""",
    "bibliography": """\
# References

[1] A. Broder. On the resemblance and containment of documents. In Compression and Complexity, 1997.
[2] J. Smith and K. Lee. Payment systems. Oxford University Press, 2003.
[3] Centers for Medicare. State operations manual, 2019. https://example.org/manual
[4] P. Jones et al. Costs of care. Health Affairs, vol. 12, pp. 3-9, 2011.
""",
    "form": """\
Name of member: ______________________
Date of birth: ____________ Member ID: ______________
Address: ______________________________
[ ] Initial request
[ ] Renewal
[ ] Change of provider
Signature: ________________________ Date: __________
""",
    "navigation": """\
- Home
- About us
- Contact
- Search
- Programs
- Next
- Previous
- Site map
""",
    "numbers": "12.5 13.0 14.25 1,002 88 91 45.5\n\n17 18 19 20 21 22 23 24 25 26 27 28 29",
    "little_text": "Appendix, page 3\n",
}

WORTHY = {
    "a table with content": """\
| Service | Code | Rate |
|---|---|---|
| Adult day care, half day | S5101 | $32.50 |
| Adult day care, full day | S5102 | $61.00 |
| Respite care, in home | T1005 | $5.25 |
| Personal emergency response | S5161 | $30.00 |
""",
    "numbered steps": """\
# Filing a claim

1. Open the portal and log in with the number of the provider.
2. Choose the member, then the date of the service.
3. Enter the code and the units, and attach the plan of care.
4. Submit the claim within 365 days of the service.
5. Keep the confirmation for six years.
""",
    "a list of covered services": """\
## Covered services

- Dental care
- Eye exams and glasses
- Hearing aids
- Home health
- Hospice
- Laboratory and x-ray
- Prescription drugs
- Transportation
- Home modifications
""",
    "a checklist of duties": """\
## Before the visit

- [ ] The provider must verify that the member is eligible on the date of the service.
- [ ] The provider must obtain a signed consent from the member or the legal guardian.
- [ ] The plan of care must name the hours that were authorized for the month.
- [ ] A supervisor must review the plan of care every 90 days.
- [ ] The agency must report changes within five days of the visit.
""",
    "a table of forms with their revision dates": """\
| Form | Revision date | Description |
|---|---|---|
| CMS-64 | 01/15/2024 | Quarterly report of spending |
| CMS-37 | 03/01/2023 | Estimate of the next quarter |
| CMS-21 | 10/01/2022 | Report of the children's program |
| CMS-416 | 06/30/2024 | Report of screenings |
""",
    "numbered steps of one chapter": """\
# How to enroll

4.1 Pay the fee of the enrollment
4.2 Sign the agreement with the agency
4.3 Send the licence of each site
4.4 Name the owners and managers
4.5 Pass the visit of the site
4.6 Attend the training in the portal
4.7 Register the bank account
4.8 Confirm the date of the start
""",
    "an alphabetical list of fees": """\
## Fees in dollars

- Ambulance 45
- Anesthesia 120
- Cast 60
- Dental exam 35
- Ear wash 20
- Eye exam 55
- Hearing test 40
- Injection 15
- X-ray 70
""",
    "an alphabetical list of fees with cents": """\
Ambulance $45.50
Anesthesia $120.00
Cast $60.00
Dental exam $35.25
Ear wash $20.00
Eye exam $55.10
Hearing test $40.00
Injection $15.00
""",
    "what to bring": """\
## Bring to the interview

☐ Proof of income of the last month
☐ Proof of the address
☐ Social security card of each member
☐ Birth certificate of each child
☐ Letter of the employer
☐ Statement of the bank
""",
    "a short rule": "The fee is 25 dollars a month.\n",
    "prose that mentions an index": """\
# Index

The index of the manual was withdrawn in 2019. Providers look up services in the fee schedule, which is published four
times in a year and lists every code with its rate and its limits.
""",
    "references to law": """\
# References

Providers must comply with 42 CFR 441.301, which requires that a plan of care is reviewed at least every 12 months. The
department may deny payment for services that were furnished without a current plan of care.
""",
    "years in a table of contents style": """\
| Year | Members | Cost a member |
|---|---|---|
| 2019 | 12,402 | 8,100 |
| 2020 | 12,977 | 8,350 |
| 2021 | 13,544 | 8,612 |
""",
    "definitions": """\
**Abuse**: harm that is done on purpose
**Agency**: the department of health
**Appeal**: a request to review a decision
**Caregiver**: a person who helps a member at home
**Copay**: what a member pays for a visit
**Denial**: a decision not to pay
**Eligible**: able to have benefits
**Grievance**: a complaint about care
""",
}


def chunk(markdown: str) -> Chunk:
    [found] = chunk_blocks(
        markdown, parse_blocks(markdown), document_sha256="0" * 64, page_starts=None, chunk_size=10_000,
        count=lambda texts: [len(text.split()) for text in texts],
    )  # fmt: skip
    return found


@pytest.mark.parametrize("name", UNWORTHY)
def test_a_chunk_that_nothing_should_be_asked_about_is_named(name: str) -> None:
    assert unworthy(chunk(UNWORTHY[name])) == name.partition(" ")[0]


@pytest.mark.parametrize("name", WORTHY)
def test_a_chunk_with_content_is_worth_asking_about_whatever_it_looks_like(name: str) -> None:
    assert unworthy(chunk(WORTHY[name])) is None


def test_a_chunk_of_code_alone_has_no_sentences() -> None:
    assert unworthy(chunk("# Example\n\n```\nmake install\n```\n")) == "no_sentences"
