"""How many tokens one request takes, prompt and completion together, so that as many are sent as the KV cache holds.

A made-up chunk of full size is put into the frozen prompts, rendered with the model's own chat template and counted
with its own tokenizer: the rules, the numbers of the sentences, headings, examples and the template itself are in it.
"""

from pathlib import Path

from hpc_qa.config import Qa
from hpc_qa.documents.chunks import Chunk, Sentence
from hpc_qa.errors import ConfigError
from hpc_qa.qa import chat, judge
from hpc_qa.qa.answers import Draft
from hpc_qa.qa.generation import asks
from hpc_qa.qa.prompts import Prompts

SENTENCE = "The state agency must determine eligibility within 45 days of the application."
HEADINGS = ("Part 4 of the manual of the program", "Eligibility of households", "Dates and notices")
WITHOUT_TOKENIZER = 600  # around a chunk, where the model's folder cannot be read here; measured: 450 to 600


def tokens_per_request(prompts: Prompts, qa: Qa, model_folder: Path) -> int:
    """Tokens of the larger of a generation and a judgement, with a completion of full length."""
    try:
        return max(_generation(prompts, qa, model_folder), _judgement(prompts, qa, model_folder) if qa.judge else 0)
    except ConfigError:  # a model that is served by its name: its tokenizer is not on this disk
        return qa.chunk_size + WITHOUT_TOKENIZER + qa.max_tokens


def _generation(prompts: Prompts, qa: Qa, model_folder: Path) -> int:
    sizes = [chat.render(ask.messages(prompts), model_folder)[1] for ask in asks(_chunk(qa, model_folder), qa)]
    return max(sizes) + qa.max_tokens


def _judgement(prompts: Prompts, qa: Qa, model_folder: Path) -> int:
    ask = asks(_chunk(qa, model_folder), qa)[0]
    draft = Draft("", "", (1,), (SENTENCE,), "other")
    # question and answer are a completion of the generation: at most so many tokens again
    return chat.render(judge.messages(prompts, ask, draft), model_folder)[1] + qa.max_tokens + judge.MAX_TOKENS


def _chunk(qa: Qa, model_folder: Path) -> Chunk:
    """A chunk of full size, of sentences of ordinary length."""
    count = max(1, round(qa.chunk_size / max(1, chat.count_tokens(f"{SENTENCE}\n", model_folder))))
    text = "\n".join([SENTENCE] * count)
    step = len(SENTENCE) + 1
    sentences = tuple(Sentence(n + 1, n * step, n * step + len(SENTENCE)) for n in range(count))
    return Chunk("c" * 16, 0, text, HEADINGS, (1,), 0, len(text), qa.chunk_size, sentences)
