"""Over made and labelled pages, whole and in small chunks: few are missed, and none worth asking about is lost."""

from benchmarks.labelled_pages import pages
from benchmarks.preprocessing import LABELLED_SIZES, words_in_chunks
from hpc_qa.documents.worthiness import unworthy

OF_EACH = 8
MOST_MISSES = 0.05


def test_pages_that_are_worth_asking_about_are_kept_and_the_others_left_out() -> None:
    missed, lost, of = [], [], 0
    for page in pages(seed=2, of_each=OF_EACH):
        for size in LABELLED_SIZES:
            for chunk in words_in_chunks(page.markdown, size):
                kind = unworthy(chunk)
                of += page.kind is not None
                if page.kind is None and kind is not None:
                    lost.append((page.name, kind, chunk.text))
                if page.kind is not None and kind is None:
                    missed.append((page.name, chunk.text))
    assert lost == []
    assert len(missed) <= MOST_MISSES * of, missed


def test_the_same_seed_makes_the_same_pages() -> None:
    assert list(pages(seed=3, of_each=1)) == list(pages(seed=3, of_each=1)) != list(pages(seed=4, of_each=1))
