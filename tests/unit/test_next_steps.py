"""Every reason why a document cannot be used says what to do next, on the terminal and in the docs."""

import ast
import re
from pathlib import Path

import hpc_qa
from hpc_qa import manifest
from hpc_qa.cli.conversions import show_conversions
from hpc_qa.documents.convert import convert_all
from hpc_qa.documents.next_steps import NEXT_STEPS, SAID, advice
from hpc_qa.documents.stage_record import StageRecord
from tests import made_documents as made

PACKAGE = Path(hpc_qa.__file__).parent
OF_THE_SANDBOX = {"timeout", "memory", "converter_failed"}


def raised() -> set[str]:
    """The reasons that stand in the code."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "DocumentError":
                found |= {one.value for one in node.args[:1] if isinstance(one, ast.Constant)}
    return found | OF_THE_SANDBOX


def test_every_reason_has_a_next_step() -> None:
    assert raised() == NEXT_STEPS.keys() | SAID


def test_the_page_lists_every_reason() -> None:
    page = (PACKAGE.parent / "docs" / "documents.md").read_text()
    table = page.partition("## Documents that cannot be used")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == raised()


def test_a_reason_is_told_once_with_how_many_documents_it_holds_for() -> None:
    assert list(advice(["encrypted", None, "needs_ocr", "encrypted"])) == [
        f"encrypted (2 documents): {NEXT_STEPS['encrypted']}"
    ]


def test_convert_says_what_to_do_about_a_broken_and_an_empty_file(tmp_path, capsys) -> None:
    made.write_tokenizer(tmp_path / "model")
    (tmp_path / "broken.pdf").write_bytes(b"not a PDF at all")
    (tmp_path / "empty.txt").write_text(" ")
    entries = manifest.build([tmp_path / name for name in ("broken.pdf", "empty.txt")], project=tmp_path).entries
    show_conversions(convert_all(entries, made.config(), project=tmp_path), StageRecord(), as_json=False)
    said = capsys.readouterr().err
    assert "  try: malformed (1 document): open it in the program that made it" in said
    assert "  try: empty (1 document): open it: a file without text" in said
