"""Word documents that are broken, hostile or something else: one reason each, and nothing in them is opened."""

from pathlib import Path

import pytest

from tests.bad_input.conftest import TEXT, Converted, convert
from tests.data.bad.word import WORD


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, tokenizer: Path) -> dict[str, Converted]:
    folder = Path(tmp_path_factory.mktemp("word"))
    return convert(folder, tokenizer, {name: data for name, (data, *_) in WORD.items()})


@pytest.mark.parametrize("name", WORD)
def test_every_word_document_ends_ok_or_with_one_reason(found: dict[str, Converted], name: str) -> None:
    _, reason, said = WORD[name]
    assert found[name].outcome == reason, found[name].facts.detail
    assert said in found[name].facts.detail
    assert found[name].markdown == (TEXT + "\n" if reason == "ok" else "")


def test_what_an_entity_or_a_link_names_is_not_read(found: dict[str, Converted]) -> None:
    assert not [name for name, one in found.items() if "root:" in one.markdown + one.facts.detail]
