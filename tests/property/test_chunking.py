"""What always holds of chunks, whatever the document, with a real byte-level tokenizer."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpc_qa.documents.blocks import parse_blocks
from hpc_qa.documents.chunks import Chunk
from hpc_qa.documents.packing import NEARLY_FULL, chunk_blocks
from hpc_qa.documents.pieces import CountTokens
from hpc_qa.documents.tokens import token_counter
from tests.made_documents import SENTENCES, write_tokenizer, write_tokenizer_over_spaces

SIZE = 64
WORDS = st.sampled_from(
    ["agency", "42", "CFR", "431.10.", "the", "The", "é漢字。", "x" * 90, "U.S.", "|", "**a**", "-"]
)
LINES = st.lists(WORDS, max_size=40).map(" ".join)
LONG = st.lists(WORDS, min_size=60, max_size=400).map(" ".join)  # more than a chunk holds
BLOCKS = st.one_of(
    LONG,
    LONG.map(lambda row: f"| a | b |\n|---|---|\n| {row} | x |\n| y | z |"),
    LONG.map(lambda header: f"| {header} | b |\n|---|---|\n| x | y |"),
    LINES.map(lambda row: "| a | b |\n|---|---|\n" + f"| {row} | z |\n" * 30),
    LINES,
    LINES.map(lambda line: "# " + line),
    LINES.map(lambda line: "- " + line),
    st.lists(LINES, min_size=1, max_size=9).map(
        lambda rows: "| a | b |\n|---|---|\n" + "\n".join(f"| {r} |" for r in rows)
    ),
    LINES.map(lambda line: f"```\n{line}\n```"),
    st.sampled_from(["***", "~~~", "```", "Title\n=====", SENTENCES]),
    st.text(max_size=300),
)
DOCUMENTS = st.lists(BLOCKS, max_size=15).map("\n\n".join).filter(lambda text: "\r" not in text)


@pytest.fixture(scope="module")
def count(tmp_path_factory: pytest.TempPathFactory) -> CountTokens:
    return token_counter(write_tokenizer(Path(tmp_path_factory.mktemp("model"))))


@pytest.fixture(scope="module")
def count_over_spaces(tmp_path_factory: pytest.TempPathFactory) -> CountTokens:
    return token_counter(write_tokenizer_over_spaces(Path(tmp_path_factory.mktemp("model"))))


def chunked(text: str, count: CountTokens) -> list[Chunk]:
    packed = chunk_blocks(
        text, parse_blocks(text), document_sha256="0" * 64, page_starts=[0], chunk_size=SIZE, count=count
    )
    return list(packed)


@settings(deadline=None, max_examples=150)
@given(text=DOCUMENTS)
def test_chunks_are_verbatim_slices_in_order_and_within_the_size(text: str, count: CountTokens) -> None:
    end = 0
    for index, chunk in enumerate(chunked(text, count)):
        assert chunk.index == index
        assert chunk.text == text[chunk.char_start : chunk.char_end]
        assert chunk.char_start >= end
        assert chunk.tokens == count([chunk.text])[0] <= SIZE
        end = chunk.char_end


@settings(deadline=None, max_examples=100)
@given(text=DOCUMENTS, odd=st.integers(2, 200))
def test_no_chunk_is_over_its_size_where_tokens_do_not_quite_add_up(text: str, odd: int, count: CountTokens) -> None:
    class CountOddly:
        words_apart = True  # which is not quite so

        def __call__(self, texts: Sequence[str]) -> list[int]:
            more = (min(NEARLY_FULL - 1, len(text) // odd) for text in texts)
            return [tokens + odd_ones for tokens, odd_ones in zip(count(texts), more, strict=True)]

    count_oddly = CountOddly()
    for chunk in chunked(text, count_oddly):
        assert count_oddly([chunk.text])[0] <= SIZE or len(chunk.text) == 1


@settings(deadline=None, max_examples=150)
@given(text=DOCUMENTS)
def test_no_chunk_is_over_its_size_where_tokens_run_over_the_space_between_words(
    text: str, count_over_spaces: CountTokens
) -> None:
    for chunk in chunked(text, count_over_spaces):
        assert chunk.tokens == count_over_spaces([chunk.text])[0] <= SIZE or len(chunk.text) == 1


@settings(deadline=None, max_examples=100)
@given(text=DOCUMENTS, most=st.sampled_from([3, 40, 90]), seed=st.binary(max_size=2))
def test_no_chunk_is_over_its_size_whatever_a_tokenizer_makes_of_a_text(text: str, most: int, seed: bytes) -> None:
    def count_anyhow(texts: Sequence[str]) -> list[int]:
        """No rule between the tokens of a text and those of its parts: fewer as well as many more."""
        drawn = (hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=seed, digest_size=4) for text in texts)
        return [len(text) // 6 + int.from_bytes(one.digest()) % most for text, one in zip(texts, drawn, strict=True)]

    for chunk in chunked(text, count_anyhow):
        assert chunk.tokens == count_anyhow([chunk.text])[0]
        assert chunk.tokens <= SIZE or len(chunk.text) == 1


@settings(deadline=None, max_examples=150)
@given(text=DOCUMENTS)
def test_sentences_are_numbered_ordered_and_without_overlap(text: str, count: CountTokens) -> None:
    for chunk in chunked(text, count):
        end = 0
        for number, sentence in enumerate(chunk.sentences, start=1):
            assert sentence.number == number
            assert end <= sentence.start < sentence.end <= len(chunk.text)
            assert chunk.sentence(number) == chunk.sentence(number).strip()
            end = sentence.end


@settings(deadline=None, max_examples=150)
@given(text=DOCUMENTS)
def test_every_sentence_stands_under_the_headings_that_its_document_has_there(text: str, count: CountTokens) -> None:
    path: list[tuple[int, str]] = []
    above = {}  # by the end of each block
    for block in parse_blocks(text):
        if block.kind == "heading":
            path = [(level, title) for level, title in path if level < block.level] + [(block.level, block.title)]
        above[block.end] = tuple(title for _, title in path if title)
    for chunk in chunked(text, count):
        assert [section.start for section in chunk.sections] == sorted({section.start for section in chunk.sections})
        for sentence in chunk.sentences:
            place = chunk.char_start + sentence.start
            assert chunk.headings_of([sentence.number]) == above[min(end for end in above if end > place)]


@settings(deadline=None, max_examples=100)
@given(paragraphs=st.lists(st.integers(1, 12), min_size=1, max_size=12))
def test_no_word_and_no_heading_of_a_document_is_lost(paragraphs: list[int], count: CountTokens) -> None:
    text = "\n\n".join(f"## Part {index}\n\n{SENTENCES * size}" for index, size in enumerate(paragraphs))
    chunks = chunked(text, count)
    body = [word for chunk in chunks for line in chunk.text.splitlines() if line[:2] != "##" for word in line.split()]
    assert body == [word for size in paragraphs for word in (SENTENCES * size).split()]
    # A heading that does not fit beside what follows it stands in that chunk's path alone.
    for index in range(len(paragraphs)):
        assert any(f"## Part {index}" in chunk.text or f"Part {index}" in chunk.headings for chunk in chunks)
