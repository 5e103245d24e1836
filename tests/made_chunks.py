"""Chunks made in a test: sentences joined by a space, numbered."""

from hpc_qa.documents.chunks import Chunk, Sentence


def made_chunk(*sentences: str, index: int = 0, headings: tuple[str, ...] = ("Guide",)) -> Chunk:
    """A chunk that holds exactly these sentences."""
    spans, text = [], ""
    for number, sentence in enumerate(sentences, 1):
        start = len(text)
        text += sentence
        spans.append(Sentence(number, start, len(text)))
        text += " "
    return Chunk(f"chunk{index}", index, text, headings, None, 0, len(text), len(text) // 4, tuple(spans))
