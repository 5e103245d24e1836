"""Whatever a manifest holds and whatever is set, every chunk is asked about or left out for exactly one reason."""

import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from hpc_qa.campaign.asked import asked_of
from hpc_qa.campaign.chunk_choice import Document, choose
from hpc_qa.campaign.chunk_funnel import plan_faults
from hpc_qa.campaign.schedule import Pile
from hpc_qa.campaign.shards import Converted, number
from hpc_qa.config import Config
from hpc_qa.documents.reissues import sketch
from hpc_qa.documents.screening import Screened
from hpc_qa.documents.worthiness import KINDS
from hpc_qa.manifest import Entry

RULES = (*KINDS, "language", "boilerplate", "duplicate")
PARAGRAPHS = [f"{number:016x}" for number in range(6)]
SKETCHES = [sketch(" ".join(f"{seed}-{word}" for word in range(60))) for seed in range(3)]

screened = st.builds(
    Screened,
    kind=st.sampled_from([None, None, *KINDS]),
    language=st.sampled_from([None, "en", "en", "de"]),
    flags=st.just(()),
    digest=st.sampled_from([f"{number:016x}" for number in range(8)]),
    chars=st.integers(1, 100),
    paragraphs=st.lists(st.tuples(st.sampled_from(PARAGRAPHS), st.integers(1, 100)), max_size=3).map(tuple),
)
document = st.fixed_dictionaries(
    {
        "chunks": st.lists(screened, max_size=6),
        "state": st.sampled_from(["ok", "ok", "ok", "failed"]),
        "sha256": st.sampled_from([f"{number:064x}" for number in range(12)]),
        "sketch": st.sampled_from([None, *SKETCHES]),
        "screened": st.booleans(),
    }
)


def config(**documents: object) -> Config:
    return Config.model_validate(
        {"name": "x", "manifest": "m.jsonl", "vllm": {"model": "m"}, "documents": documents, "qa": {"language": "en"}}
    )


@settings(deadline=None)  # the first example loads rensa
@given(
    documents=st.lists(document, max_size=8),
    skip=st.lists(st.sampled_from(RULES), unique=True),
    reissues=st.sampled_from(["keep", "newest"]),
    sample_chunks=st.one_of(st.none(), st.integers(1, 12)),
    max_chunks=st.one_of(st.none(), st.integers(1, 6)),
    min_documents=st.integers(2, 4),
)
def test_the_funnel_of_chunks_adds_up(documents, skip, reissues, sample_chunks, max_chunks, min_documents):
    settings_ = config(
        skip=skip, reissues=reissues, sample_chunks=sample_chunks, max_chunks=max_chunks,
        boilerplate={"min_documents": min_documents, "min_share": 0.0, "chunk_share": 0.5},
    )  # fmt: skip
    made = {f"d{place}": one for place, one in enumerate(documents)}
    entries = [
        Entry(name, f"{name}.txt", ".", one["sha256"], 1, "text/plain", None, "small") for name, one in made.items()
    ]

    def converted(entry: Entry) -> Converted:
        one = made[entry.doc_id]
        if one["state"] == "failed":
            return Converted("failed", "malformed", 0, 0)
        return Converted("ok", None, len(one["chunks"]), 10 * len(one["chunks"]))

    def chooser(kept, chunks):
        return choose(
            {name: Document(f"{name}.txt", None, made[name]["sketch"]) for name in kept}, chunks,
            lambda name: made[name]["chunks"] if made[name]["screened"] else None, settings_.documents, "en",
        )  # fmt: skip

    asked = asked_of(entries, converted, settings_, chooser)
    choice = asked.choice
    assert choice is not None
    settled = {one.doc_id for one in asked.settled}
    assert set(choice.documents) == set(made)
    assert settled.isdisjoint(asked.tokens)
    assert settled | set(asked.tokens) == set(made)

    counts = choice.counts()
    assert counts["chunks"] == sum(len(one["chunks"]) for one in made.values() if one["state"] == "ok")
    assert sum(counts.values()) == 2 * counts["chunks"]
    for name, chosen in choice.documents.items():
        places = [index for indices in chosen.left_out.values() for index in indices] + chosen.asked
        assert sorted(places) == list(range(chosen.chunks))
        assert (chosen.asked == []) == (name in settled)
    if sample_chunks is not None:
        assert counts["asked"] <= sample_chunks

    shards = number([Pile([name], 1) for name in asked.tokens], asked.some_chunks)
    plan = {"shards": [shard.to_json() for shard in shards], "chunk_choice": choice.to_json()}
    assert plan_faults(plan) == []


@given(documents=st.lists(document, min_size=1, max_size=8))
def test_equal_chunks_are_asked_about_once(documents):
    settings_ = config(skip=["duplicate"])
    made = {f"d{place}": one["chunks"] for place, one in enumerate(documents)}
    known = {name: Document(name, None, None) for name in made}
    choice = choose(known, {name: len(chunks) for name, chunks in made.items()}, made.get, settings_.documents, None)
    asked = Counter(made[name][index].digest for name, chosen in choice.documents.items() for index in chosen.asked)
    assert set(asked.values()) <= {1}
    assert set(asked) == {one.digest for chunks in made.values() for one in chunks}


@settings(deadline=None)
@given(seed=st.integers(0, 99))
def test_no_boilerplate_is_found_among_re_issues_of_one_document(seed):
    draw = random.Random(seed)
    chunk = Screened(None, "en", (), f"{draw.getrandbits(64):016x}", 10, ((PARAGRAPHS[0], 10),))
    made = {f"d{place}": Document(f"d{place}", None, SKETCHES[0]) for place in range(9)}
    settings_ = config(skip=["boilerplate"], boilerplate={"min_documents": 2, "min_share": 0.0})
    choice = choose(made, dict.fromkeys(made, 1), lambda _: [chunk], settings_.documents, "en")
    assert choice.boilerplate == frozenset()
    assert len(choice.groups) == 1
