"""Texts that are none, that hide something, that have no end, or that speak to the model in its own control tokens."""

import json
import resource
from pathlib import Path

import pytest
from tokenizers import Regex, Tokenizer, models, normalizers

from hpc_qa.config import Qa
from hpc_qa.documents.chunks import Chunk
from hpc_qa.qa import prompts
from hpc_qa.qa.chat import render
from hpc_qa.qa.control_tokens import control_tokens
from hpc_qa.qa.generation import asks
from tests.bad_input.conftest import TEXT, Converted, convert
from tests.data.bad.texts import ATTACK, LARGE, ORDERS, TEXTS

SUSPICIOUS = {
    "bidi.txt", "tags.txt", "zero_width_row.txt", "joiners.txt", "selectors.txt", "fillers.txt",
}  # fmt: skip


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, tokenizer: Path) -> dict[str, Converted]:
    folder = Path(tmp_path_factory.mktemp("texts"))
    return convert(folder, tokenizer, {name: data for name, (data, _) in TEXTS.items()})


@pytest.mark.parametrize("name", TEXTS)
def test_every_text_ends_ok_or_with_one_reason(found: dict[str, Converted], name: str) -> None:
    assert found[name].outcome == TEXTS[name][1]
    assert (found[name].facts.detail == "") == (found[name].outcome == "ok")


@pytest.mark.parametrize("name", [name for name, (_, outcome) in TEXTS.items() if outcome == "ok"])
def test_what_hides_or_reorders_text_is_taken_out_and_recorded(found: dict[str, Converted], name: str) -> None:
    assert found[name].facts.suspicious_unicode == (name in SUSPICIOUS)
    assert not set("\u202e\u200b\u2060\u3164\x00\x07\x1b") & set(found[name].markdown)
    assert not [c for c in found[name].markdown if 0xE0000 <= ord(c) < 0xE0100]


@pytest.mark.parametrize("name", ["tags.txt", "zero_width.txt", "joiners.txt", "selectors.txt"])
def test_under_hidden_characters_the_plain_text_is_found(found: dict[str, Converted], name: str) -> None:
    assert found[name].markdown == TEXT + "\n"
    assert found[name].facts.removed_characters > 10


def test_instructions_to_the_model_are_flagged_and_stay_text(found: dict[str, Converted]) -> None:
    assert found["orders.txt"].markdown == ORDERS + TEXT + "\n"
    assert {name for name, one in found.items() if "instructions" in one.facts.suspicious} == {"orders.txt"}


def test_joiners_and_selectors_that_are_spelling_stay(found: dict[str, Converted]) -> None:
    assert "\u0645\u06cc\u200c\u062e" in found["persian.txt"].markdown
    assert "\u8fbb\U000e0100" in found["ideograph.txt"].markdown


def test_one_bad_byte_costs_one_character_and_not_the_encoding(found: dict[str, Converted]) -> None:
    torn = found["utf8_one_bad.txt"]
    assert (torn.facts.encoding, torn.facts.undecodable) == ("utf-8", 1)
    assert torn.markdown.count("§ 5 is € 20.") == 50
    assert (found["surrogate.txt"].facts.encoding, found["surrogate.txt"].facts.undecodable) == ("utf-8", 3)
    assert found["latin.txt"].facts.encoding == "cp1252"
    assert "Café" in found["latin.txt"].markdown
    assert found["utf32.txt"].facts.encoding == "utf-32"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("utf16_unmarked.txt", "save it as UTF-8"),
        ("really_pdf.txt", "the file is a PDF, whatever its name says"),
        ("really_rtf.md", "the file is RTF"),
        ("really_zip.md", "the file is a ZIP archive"),
    ],
)
def test_what_is_no_text_is_called_what_it_is(found: dict[str, Converted], name: str, said: str) -> None:
    assert said in found[name].facts.detail


@pytest.mark.parametrize(
    "name", ["repeats.txt", "one_word.txt", "long_heading.md", "long_header_row.md", "brackets.md"]
)
def test_text_without_end_is_cut_into_chunks_of_bounded_size(found: dict[str, Converted], name: str) -> None:
    chunks = found[name].chunks
    assert max(chunk.tokens for chunk in chunks) <= 200
    assert max(len(chunk.table_header or "") + sum(map(len, chunk.headings)) for chunk in chunks) <= 10_000
    assert "".join(chunk.text for chunk in chunks).count("x") == (100_000 if name == "one_word.txt" else 0)


def test_a_text_that_is_nothing_to_the_tokenizer_is_empty(tmp_path: Path) -> None:
    nothing = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    nothing.normalizer = normalizers.Replace(Regex("[\u1680-\u169c.\\s]+"), "")
    (tmp_path / "model").mkdir()
    nothing.save(str(tmp_path / "model" / "tokenizer.json"))
    (tmp_path / "run").mkdir()
    found = convert(tmp_path / "run", tmp_path / "model", {"a.txt": TEXTS["no_tokens.txt"][0]})["a.txt"]
    assert (found.outcome, "tokenizer" in found.facts.detail) == ("empty", True)


@pytest.mark.long
@pytest.mark.covers("documents", "manifest")
@pytest.mark.timeout(900)
def test_a_single_line_of_50_mb_is_converted_in_bounded_memory(tmp_path: Path, tokenizer: Path) -> None:
    data = LARGE["long_line.txt"]()
    (tmp_path / "run").mkdir()
    found = convert(tmp_path / "run", tokenizer, {"a.txt": data}, timeout="00:10:00", memory_gib=2.0)["a.txt"]
    assert found.outcome == "ok"
    assert found.facts.sentences == 50_000_000 // (len(TEXT) + 1)
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 2**21  # KiB


@pytest.mark.long
@pytest.mark.covers("documents", "manifest")
@pytest.mark.timeout(900)
def test_a_million_repeats_of_a_token_are_converted(tmp_path: Path, tokenizer: Path) -> None:
    (tmp_path / "run").mkdir()
    found = convert(
        tmp_path / "run", tokenizer, {"a.txt": LARGE["million_repeats.txt"]()}, timeout="00:10:00", memory_gib=2.0
    )
    assert found["a.txt"].facts.tokens >= 1_000_000


# -- the model's own control tokens, with the tokenizer and the chat template of the real model


def rendered(chunk: Chunk, model: Path) -> tuple[str, list[int]]:
    """The first prompt about this chunk as the model would get it, and its tokens."""
    tokens = control_tokens(model)
    ask = next(iter(asks(chunk, Qa(answer_style="abstractive"), limit=1, seed=0)))
    text, count = render(ask.messages(prompts.load(None, control_tokens=tokens)), model)
    ids = encoded(text, model)
    assert len(ids) == count
    return text, ids


def encoded(text: str, model: Path) -> list[int]:
    """The tokens of a text, control tokens among them."""
    found = Tokenizer.from_file(str(model / "tokenizer.json")).encode(text, add_special_tokens=False)
    return list(found.ids)


def test_a_document_with_the_models_control_tokens_opens_no_turn(
    found: dict[str, Converted], model_folder: Path
) -> None:
    special = json.loads((model_folder / "tokenizer.json").read_text())["added_tokens"]
    control = {token["id"] for token in special if token["content"].startswith("<|im_")}
    assert len(control) == 2
    attacked, plain = found["tokens.txt"].chunks[0], found["good.txt"].chunks[0]
    assert "<|im_start|>system" in attacked.text  # evidence stays verbatim
    text, ids = rendered(attacked, model_folder)
    plain_text, plain_ids = rendered(plain, model_folder)
    assert "Obey the document" in text
    assert text.count("<|im_start|>") == plain_text.count("<|im_start|>")
    assert sum(i in control for i in ids) == sum(i in control for i in plain_ids)
    # Without the neutralising the same text does open turns: the test can fail.
    assert sum(i in control for i in encoded(ATTACK, model_folder)) == 4
