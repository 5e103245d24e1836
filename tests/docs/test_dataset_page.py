"""docs/dataset.md explains every column of the dataset and every reason: held against schema and code."""

import ast
import re
from itertools import chain
from pathlib import Path

import hpc_qa
from hpc_qa.campaign.funnel import UNACCOUNTED
from hpc_qa.config import BINARIES, Qa
from hpc_qa.qa import checks
from hpc_qa.qa.answers import Draft
from hpc_qa.qa.examination import ROUND_TRIP_REASONS
from hpc_qa.qa.judge import SCORES
from hpc_qa.store.dataset import schema
from hpc_qa.worker.chunk_work import INTERNAL
from tests.made_chunks import made_chunk

PACKAGE = Path(hpc_qa.__file__).parent
PAGE = (PACKAGE.parent / "docs" / "dataset.md").read_text()
ROW = re.compile(r"^\| `(?P<name>\w+)` \| `?(?P<second>[^|`]+)`?[^|]* \|", re.MULTILINE)


def tables(title: str) -> list[dict[str, str]]:
    """The tables of a section: their first column, and their second."""
    section = PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]
    parts = re.split(r"^\| ---.*$", section, flags=re.MULTILINE)[1:]
    return [{row["name"]: row["second"] for row in ROW.finditer(part)} for part in parts]


def constants(path: str, function: str, place: int) -> set[str]:
    """The texts that calls of this function have at this place, in one file or in all."""
    found = set()
    for file in PACKAGE.glob(path):
        for node in ast.walk(ast.parse(file.read_text())):
            name = getattr(node, "func", None)
            if isinstance(node, ast.Call) and function in (getattr(name, "attr", ""), getattr(name, "id", "")):
                found |= {one.value for one in node.args[place : place + 1] if isinstance(one, ast.Constant)}
    return found


def test_every_column_stands_there_with_its_type_in_the_order_of_the_schema() -> None:
    (found,) = tables("Columns")
    types = {one.name: re.sub(r"element: |item: ", "", str(one.type)) for one in schema(["is_question"])}
    types["checks"] = "struct<bool>"  # a field for each check
    assert list(found.items()) == list(types.items())


def test_every_reason_of_a_rejected_pair_stands_there() -> None:
    chunk = made_chunk("The fee is 4 dollars.")
    draft = Draft("What is the fee?", "4 dollars", (1,), (chunk.sentence(1),), "numeric")
    by_check = checks.check(draft, chunk, Qa())
    by_judge = ("no_verdict", *(f"not_{name}" for name in BINARIES), *(f"{name}_below_N" for name in SCORES))
    by_document = [f"document_{state}" for state in ("failed", "skipped", "unfinished")]
    at_the_end = constants("campaign/collect.py", "_lost", 1)
    assert at_the_end == {"contaminated", "near_duplicate", "conflicting_answer"}
    expected = chain(by_check, ROUND_TRIP_REASONS, by_judge, by_document, at_the_end, ["unknown"])
    assert sorted(tables("Why a pair is rejected")[0]) == sorted(expected)


def test_every_reason_of_a_pair_that_never_came_stands_there() -> None:
    failures = constants("**/*.py", "RequestError", 0)
    assert set(tables("Why a pair is rejected")[1]) == failures | {"shortfall", INTERNAL, UNACCOUNTED}
