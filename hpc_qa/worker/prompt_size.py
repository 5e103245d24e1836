"""How many tokens one request takes, prompt and completion together, so that as many are sent as the KV cache holds.

A made-up chunk of full size is put into the frozen prompts, rendered with the model's own chat template and counted
with its own tokenizer: the rules, the numbers of the sentences, headings, examples and the template itself are in it.
"""

from dataclasses import replace
from pathlib import Path

from hpc_qa.config import Qa
from hpc_qa.documents.chunks import Chunk, Sentence
from hpc_qa.errors import ConfigError
from hpc_qa.qa import chat, judge, round_trip
from hpc_qa.qa.answers import Draft
from hpc_qa.qa.generation import Rejected, asks
from hpc_qa.qa.prompts import Prompts
from hpc_qa.qa.regeneration import LONGEST_REASON

SENTENCE = "The state agency must determine eligibility within 45 days of the application."
HEADINGS = ("Part 4 of the manual of the program", "Eligibility of households", "Dates and notices")
WITHOUT_TOKENIZER = 600  # around a chunk, where the model's folder cannot be read here; measured: 450 to 600


def tokens_per_request(prompts: Prompts, qa: Qa, model_folder: Path) -> int:
    """Tokens of the largest of a generation, a round trip and a judgement, with a completion of full length."""
    try:
        return max(
            _generation(prompts, qa, model_folder),
            _round_trip(prompts, qa, model_folder) if qa.round_trip.enabled else 0,
            _judgement(prompts, qa, model_folder) if qa.judge else 0,
        )
    except ConfigError:  # a model that is served by its name: its tokenizer is not on this disk
        return qa.chunk_size + WITHOUT_TOKENIZER + qa.max_tokens


def _generation(prompts: Prompts, qa: Qa, model_folder: Path) -> int:
    made = asks(_chunk(qa, model_folder), qa)
    again = 0
    if qa.regenerate.attempts:  # what was rejected comes back in the prompt: a completion once more, and the reasons
        made = [replace(ask, rejected=(Rejected("", "", LONGEST_REASON),) * ask.count) for ask in made]
        again = qa.max_tokens
    sizes = [chat.render(ask.messages(prompts), model_folder)[1] for ask in made]
    return max(sizes) + qa.max_tokens + again


def _round_trip(prompts: Prompts, qa: Qa, model_folder: Path) -> int:
    ask = asks(_chunk(qa, model_folder), qa)[0]
    asked = round_trip.messages(prompts, ask, Draft("", "", (), (), None))
    return chat.render(asked, model_folder)[1] + qa.max_tokens + round_trip.MAX_TOKENS


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
