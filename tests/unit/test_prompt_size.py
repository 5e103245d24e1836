"""The size of a request, against prompts that are made and counted here."""

from pathlib import Path

import pytest

from hpc_qa.config import Config
from hpc_qa.qa import chat, prompts
from hpc_qa.qa.generation import asks
from hpc_qa.worker.prompt_size import WITHOUT_TOKENIZER, tokens_per_request
from tests.made_chunks import made_chunk
from tests.projects import rules


def qa_of(**changes: object) -> Config:
    qa = {"answer_style": "abstractive", "chunk_size": 512, "max_tokens": 256, **changes}
    return Config.model_validate({"name": "t", "manifest": "m", "qa": qa, "vllm": {"model": "m"}})


@pytest.mark.parametrize("style", ["abstractive", "extractive"])
def test_a_real_request_fits_into_the_size_that_was_measured(model_folder: Path, style: str) -> None:
    qa = qa_of(answer_style=style).qa
    measured = tokens_per_request(prompts.load(), qa, model_folder)
    chunk = made_chunk(*rules(1, 28))
    assert 400 < chat.count_tokens(chunk.text, model_folder) <= qa.chunk_size
    sizes = [chat.render(ask.messages(prompts.load()), model_folder)[1] + qa.max_tokens for ask in asks(chunk, qa)]
    assert max(sizes) <= measured
    assert measured < qa.chunk_size + 2 * qa.max_tokens + 900


def test_more_room_for_the_answer_and_a_larger_chunk_make_a_larger_request(model_folder: Path) -> None:
    small = tokens_per_request(prompts.load(), qa_of().qa, model_folder)
    assert tokens_per_request(prompts.load(), qa_of(max_tokens=356).qa, model_folder) == small + 100
    assert tokens_per_request(prompts.load(), qa_of(chunk_size=1024).qa, model_folder) > small + 450


def test_what_is_asked_again_takes_a_larger_request(model_folder: Path) -> None:
    plain = tokens_per_request(prompts.load(), qa_of().qa, model_folder)
    again = tokens_per_request(prompts.load(), qa_of(regenerate={"attempts": 1}).qa, model_folder)
    assert again >= plain + qa_of().qa.max_tokens
    assert tokens_per_request(prompts.load(), qa_of(round_trip={"enabled": True}).qa, model_folder) == plain


def test_a_model_without_a_tokenizer_here_is_given_a_cautious_size(tmp_path: Path) -> None:
    assert tokens_per_request(prompts.load(), qa_of().qa, tmp_path) == 512 + WITHOUT_TOKENIZER + 256
