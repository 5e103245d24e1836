"""What is looked at first, to spare a pattern, never changes what the pattern would have said."""

import base64
import hashlib
from array import array

from hypothesis import given
from hypothesis import strategies as st

from hpc_qa.documents import languages, suspicion
from hpc_qa.documents.fidelity import words
from hpc_qa.documents.reissues import SKETCH, sketch

WORDS = """
Ignore disregard bypass any all previous your system instructions programming you are now ACT as pretend to be from on
an AI a large language model assistant chat-bot reveal the hidden prompt answer only with word do not tell user new
important for rate this five judge score \u0130gnore in\u017ftructions \u212anow it\u0131 fee. **
""".split()
MARKED = (
    "fee", " ", "\n", "\t", "`", "```", "@", "a@b", "/", "https://a.b/c", "a/b/c", "_", "x_y", "=", "<", "{", "$", "\\",
    ".", "-", "\u00e9", "\u2003",
)  # fmt: skip
TEXTS = st.lists(st.sampled_from(WORDS), max_size=30)


@given(TEXTS, st.sampled_from((" ", "\n", " _", ", ")))
def test_no_instruction_is_missed_for_want_of_a_word(parts, between):
    text = between.join(parts)
    found = any(pattern.search(text) for _, pattern in suspicion._INSTRUCTIONS)
    assert ("instructions" in suspicion.flags_of(text)) == found


@given(st.lists(st.sampled_from(MARKED), max_size=40))
def test_what_is_prose_is_the_same_word_by_word_as_over_the_whole_text(parts):
    text = "".join(parts)
    assert list(languages._prose(text)) == languages._NOT_PROSE.sub(" ", text).split()


@given(st.lists(st.text(max_size=6), min_size=30, max_size=400))
def test_a_sketch_holds_the_smallest_of_the_hashes_of_three_words(parts):
    factors = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)
    found = [
        int.from_bytes(hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")
        for word in words(" ".join(parts))
    ]
    triples = zip(found, found[1:], found[2:], strict=False)
    hashes = sorted({sum(a * b for a, b in zip(three, factors, strict=True)) % 2**64 >> 32 for three in triples})
    text = sketch(" ".join(parts))
    assert (text is None) == (len(hashes) < 30)
    assert text is None or array("I", base64.b64decode(text)).tolist() == hashes[:SKETCH]
