"""Near-duplicates among a million questions: time, memory, what is found of those that were planted, and false merges.

The questions are made: 40 shapes of sentences filled with words of policy manuals. Of some of them a second version is
planted: other case and punctuation, a phrase in front, one word swapped; and, as traps, another number, code or state.
Further traps are two versions of a question that differ in a code which is easily overlooked: 4(a) and 4(b), Part A and
Part I, -n and -N, -5 and 5, ½ and ¾, path and PATH, or in opposite words, units or identifiers. The detection is a
process of its own.
"""

import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.figure import ROOT, Figure
from hpc_qa.config import Checks
from hpc_qa.qa.places import US_STATES

QUESTIONS = int(os.environ.get("BENCH_QUESTIONS", "1000000"))
PLANTED = QUESTIONS // 50  # of each kind
MARKED = QUESTIONS // 200  # pairs of each kind of mark
LIMIT_S, LIMIT_GB = 300.0, 2.5
RECALL = {"case": 0.99, "prefix": 0.90, "one_word": 0.65}
TRAPS = ("number", "code", "name")
MARKS = {  # what is put behind a question, and the mark that its twin gets
    "paragraph": (
        ("under section 4(a)", "under section 4(b)"), ("under 42 CFR 435.916(a)(1)", "under 42 CFR 435.916(a)(2)"),
        ("under paragraph (i)", "under paragraph (v)"),
    ),
    "letter": (
        ("of Medicare Part A", "of Medicare Part I"), ("of medicare part b", "of medicare part d"),
        ("of Title XIX", "of Title XX"),
    ),
    "option": (("with sbatch -n", "with sbatch -N"), ("with squeue -a", "with squeue -A")),
    "sign": (("at -5 degrees", "at 5 degrees"),),
    "fraction": (("for ½ year", "for ¾ year"),),
    "capitals": (("from the path", "from the PATH"),),
    "opposite": (
        ("of the minimum amount", "of the maximum amount"), ("for inpatient care", "for outpatient care"),
        ("before the hearing", "after the hearing"), ("that is covered", "that is uncovered"),
        ("by the employer", "by the employee"), ("in each week", "in each month"),
    ),
    "identifier": (("with max_jobs", "with max_nodes"), ("in slurm.conf", "in cgroup.conf")),
}  # fmt: skip
HOW = "python -m benchmarks duplicates"

NOUNS = (
    "agency applicant assessment beneficiary claim copayment county coverage department determination disability "
    "documentation eligibility encounter enrollment evaluation facility guardian hearing household hospice income "
    "inpatient investigation manager medication network nursing office outpatient payment period pharmacy physician "
    "premium prescription program provider record redetermination referral reimbursement request resident resource "
    "review screening service specialist supervisor therapy transport treatment verification waiver"
).split()
KINDS = (
    "annual behavioral certified clinical dental designated eligible emergency electronic federal final financial "
    "formal general home initial institutional licensed maternal medical mental monthly optional pediatric periodic "
    "preliminary preventive primary private public qualified regional residential retroactive rural secondary social "
    "special surgical temporary urgent vocational written"
).split()
DEEDS = (
    "accept adjust appeal approve authorize bill calculate cancel certify collect confirm correct deny document "
    "extend file forward inspect issue maintain notify obtain postpone process publish recover reduce refund register "
    "reject release renew report request restore retain return schedule sign submit suspend terminate transfer update "
    "validate verify waive withdraw"
).split()
SHAPES = [
    f"{opening} {middle}?"
    for opening in (
        "What must the {k} {n} do to {d} a {k} {n}", "Which {k} {n} has to {d} the {n} of the {n}",
        "When does the {n} {d} the {k} {n} of a {n}", "Who may {d} a {k} {n} for the {n}",
        "How does a {k} {n} {d} the {n} and the {n}", "Under which condition is the {n} able to {d} a {k} {n}",
        "Why would the {k} {n} {d} a {n} without a {n}", "Where are the {k} {n} and the {n} kept that {d} the {n}",
    )
    for middle in (
        "after a {k} {n}", "before {i} days of {n} have passed", "in the {n} of {s}", "on form {c} with a {n}",
        "once the {k} {n} decides to {d} it",
    )
]  # fmt: skip
PHRASES = ("Can you tell me ", "Please explain ", "I would like to know ", "Quick question: ", "In short, ", "Also, ")


def run() -> list[Figure]:
    """The figures of this benchmark."""
    with tempfile.TemporaryDirectory(prefix="hqd", dir="/tmp") as folder:
        path = Path(folder) / "questions.jsonl"
        with path.open("w") as stream:
            stream.writelines(json.dumps(item) + "\n" for item in made(random.Random(1)))
        seconds, cpu_s, gigabytes, dropped = detect(path, Checks().near_duplicate)
        wrong = false_merges(path, dropped)
    found = {kind: sum(key.startswith(kind) for key in dropped) / PLANTED for kind in (*RECALL, *TRAPS)}
    found |= {kind: sum(key.startswith(kind) for key in dropped) / (2 * MARKED) for kind in MARKS}
    traps = PLANTED * len(TRAPS) + 2 * MARKED * len(MARKS)
    repeated = sum(key.startswith("base") for key in dropped)
    raw = {"seconds": seconds, "cpu_s": cpu_s, "gigabytes": gigabytes, "found": found, "base_dropped": repeated,
           "planted": PLANTED, "marked_pairs": MARKED, "threshold": Checks().near_duplicate}  # fmt: skip
    measured = f"{seconds:.0f} s ({cpu_s:.0f} s of one core), {gigabytes:.2f} GB"
    recall = ", ".join(f"{kind.replace('_', ' ')} {found[kind]:.3f}" for kind in RECALL)
    bars = ", ".join(f"{kind.replace('_', ' ')} {bar}" for kind, bar in RECALL.items())
    return [
        Figure(
            f"near-duplicates among {QUESTIONS:,} questions", f"under {LIMIT_S:.0f} s and {LIMIT_GB} GB",
            measured, seconds < LIMIT_S and gigabytes < LIMIT_GB, HOW, raw,
        ),
        Figure(
            f"of {PLANTED:,} planted near-duplicates of each kind", f"recall of at least {bars}", recall,
            all(found[kind] >= bar for kind, bar in RECALL.items()), HOW, raw,
        ),
        Figure(
            f"merged although a number, code, mark or state differs, of {traps:,} planted and all others",
            "0", f"{wrong}", wrong == 0, HOW, raw,
        ),
    ]  # fmt: skip


def made(draw: random.Random) -> Iterator[tuple[str, str]]:
    """(key, question), the planted ones with their kind and the number of their original as a key."""
    changes: dict[str, Callable[[str, random.Random], str]] = {
        "case": other_case, "prefix": with_phrase, "one_word": other_word,
        "number": other_number, "code": other_code, "name": other_name,
    }  # fmt: skip
    for number in range(QUESTIONS - PLANTED * len(changes) - 2 * MARKED * len(MARKS)):
        question = filled(draw.choice(SHAPES), draw)
        yield f"base{number:07}", question
        for place, (kind, change) in enumerate(changes.items()):
            if number % 40 == place and number // 40 < PLANTED:
                yield f"{kind}{number:07}", change(question, draw)
        for place, (kind, pairs) in enumerate(MARKS.items(), len(changes)):
            if number % 40 == place and number // 40 < MARKED:
                question = filled(draw.choice(SHAPES), draw)  # of its own: it is near nothing but its twin
                for twin, mark in zip("ab", draw.choice(pairs), strict=True):
                    yield f"{kind}{number:07}{twin}", f"{question[:-1]} {mark}?"


def filled(shape: str, draw: random.Random) -> str:
    """A sentence with its gaps filled."""
    words = {"n": NOUNS, "k": KINDS, "d": DEEDS, "s": [state.title() for state in US_STATES]}
    return re.sub(r"\{(.)\}", lambda gap: _filling(gap[1], words, draw), shape)


def _filling(gap: str, words: dict[str, list[str]], draw: random.Random) -> str:
    if gap == "i":
        return str(draw.randint(2, 400))
    return f"CMS-{draw.randint(10, 4000)}" if gap == "c" else draw.choice(words[gap])


def other_case(question: str, draw: random.Random) -> str:
    """The same letters and digits."""
    text = draw.choice((str.lower, str.upper))(question)
    return draw.choice((text.rstrip("?"), text.replace(" the ", "  the "), f"“{text}”"))


def with_phrase(question: str, draw: random.Random) -> str:
    """A phrase in front."""
    return draw.choice(PHRASES) + question[0].lower() + question[1:]


def other_word(question: str, draw: random.Random) -> str:
    """One noun, adjective or verb swapped for another one."""
    places = [match for match in re.finditer(r"[a-z]{4,}", question) if match[0] in {*NOUNS, *KINDS, *DEEDS}]
    place = draw.choice(places)
    pool = next(pool for pool in (NOUNS, KINDS, DEEDS) if place[0] in pool)
    other = draw.choice([word for word in pool if word != place[0]])
    return question[: place.start()] + other + question[place.end() :]


def other_number(question: str, draw: random.Random) -> str:
    """A number where there was another or none."""
    changed = re.sub(r"\b\d+ days", f"{draw.randint(401, 900)} days", question)
    return changed if changed != question else question.replace("?", f" within {draw.randint(2, 90)} days?")


def other_code(question: str, draw: random.Random) -> str:
    """Another form."""
    changed = re.sub(r"CMS-\d+", f"CMS-{draw.randint(4001, 9000)}", question)
    return changed if changed != question else question.replace("?", " by CMS-64?")


def other_name(question: str, draw: random.Random) -> str:
    """Another state."""
    here = [state for state in US_STATES if f" of {state.title()}?" in question]
    there = draw.choice([state for state in US_STATES if state not in here]).title()
    return question.replace(f" of {here[0].title()}?", f" of {there}?") if here else question[:-1] + f" of {there}?"


def facts(question: str) -> tuple[list[str], list[str], list[str]]:
    """Digits, codes, states and marks of a question, found without the program's own rules."""
    low = question.casefold()
    states = sorted(state for state in US_STATES if re.search(rf"\bof {state}\b", low)) if " of " in low else []
    marks = [mark for pairs in MARKS.values() for pair in pairs for mark in pair if question.endswith(f" {mark}?")]
    marks = [mark for mark in marks if mark != "from the path"]  # words like others, until it is PATH
    return re.findall(r"(?:cms-)?\d+", low), states, marks


def false_merges(path: Path, dropped: dict[str, str]) -> int:
    """How many were dropped for one with other facts."""
    wanted = dropped.keys() | dropped.values()
    with path.open() as lines:
        questions = {key: question for key, question in map(json.loads, lines) if key in wanted}
    return sum(facts(questions[key]) != facts(questions[kept]) for key, kept in dropped.items())


def detect(path: Path, threshold: float) -> tuple[float, float, float, dict[str, str]]:
    """(seconds, seconds of CPU, GB at most, dropped) of the detection in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.duplicates", str(path), str(threshold)], stdout=subprocess.PIPE, cwd=ROOT
    )
    said = process.stdout.read() if process.stdout else b""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    found = json.loads(said)
    return found["seconds"], found["cpu_s"], used.ru_maxrss * 1024 / 1e9, found["dropped"]


def main(path: str, threshold: str) -> None:
    """Detect and print, with the seconds that it took beside reading the file."""
    from hpc_qa.qa.duplicates import near_duplicates

    with open(path) as lines:
        items = [(key, question) for key, question in map(json.loads, lines)]
    began, cpu_began = time.perf_counter(), time.process_time()
    dropped = near_duplicates(items, float(threshold))
    took = {"seconds": time.perf_counter() - began, "cpu_s": time.process_time() - cpu_began}
    json.dump(took | {"dropped": dropped}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
