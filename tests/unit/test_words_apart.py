"""Which tokenizers cut at the space between words, so that the tokens of a chunk are the sum of its parts."""

from pathlib import Path

import pytest
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from hpc_qa.documents.tokens import token_counter
from tests.made_documents import SENTENCES, write_tokenizer, write_tokenizer_over_spaces

LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
PARTS = {
    "byte-level words (GPT-2)": (None, pre_tokenizers.ByteLevel(add_prefix_space=False), True),
    "words by a pattern (Llama 3)": (
        None,
        pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(LLAMA_3), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        ),
        True,
    ),
    "words and signs (BERT)": (normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer(), True),
    "marked spaces, cut there, line ends not (T5)": (None, pre_tokenizers.Metaspace(), False),
    "no words, marked spaces (Llama 2)": (
        normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]),
        None,
        False,
    ),
    "spaces that are marked before they are looked for (Gemma)": (
        normalizers.Replace(" ", "▁"),
        pre_tokenizers.Split(" ", "merged_with_previous"),
        False,
    ),
    "bytes without words": (None, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False), False),
    "lines": (None, pre_tokenizers.Split("\n", "isolated"), False),
}


@pytest.mark.parametrize("name", PARTS)
def test_a_tokenizer_is_asked_whether_it_keeps_words_apart(tmp_path: Path, name: str) -> None:
    normalizer, pre_tokenizer, apart = PARTS[name]
    tokenizer = Tokenizer(models.BPE())
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if pre_tokenizer is not None:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert token_counter(tmp_path / "tokenizer.json").words_apart is apart


def test_the_tokens_of_sentences_add_up_only_where_words_are_apart(tmp_path: Path) -> None:
    def missing(path: Path) -> int:
        """Tokens of two texts as one, beyond their own and those of the place where they meet."""
        texts = [f"{SENTENCES}\n\n{SENTENCES}", SENTENCES, "drug. \n\nThe", "drug. ", "The"]
        whole, part, meeting, last, first = token_counter(path)(texts)
        return whole - 2 * part - (meeting - last - first)

    assert missing(write_tokenizer(tmp_path / "apart")) == 0
    assert missing(write_tokenizer_over_spaces(tmp_path / "over_spaces")) != 0
