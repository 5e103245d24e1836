"""Ratings on disk: one file a session, nothing lost but a torn last line, the last word holds."""

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_qa.campaign.review_ratings import (
    RATED,
    SKIPPED,
    UNDONE,
    Rating,
    RatingsFile,
    Words,
    check_comment,
    check_reviewer,
    check_scores,
    read_ratings,
)
from hpc_qa.errors import ConfigError, StoreError

PAIRS = [f"{number:064x}" for number in range(5)]


def scores(score: int = 4) -> dict[str, int]:
    return dict.fromkeys(("clarity", "accuracy", "relevance", "overall"), score)


def rated(pair: str, at: str = "2026-01-02T03:04:05.000Z", score: int = 4, comment: str | None = None) -> Rating:
    return Rating(pair, RATED, at, scores(score), comment)


def written(folder: Path, reviewer: str, ratings: list[Rating]) -> Path:
    before = set(folder.glob("*"))
    file = RatingsFile(folder, reviewer)
    for one in ratings:
        file.add(one)
    file.close()
    (path,) = set(folder.glob("*")) - before
    return path


def test_a_rating_is_on_disk_when_it_is_acknowledged_in_a_private_file_of_the_session(tmp_path):
    file = RatingsFile(tmp_path / "review", "Zoë Ünal")
    file.add(rated(PAIRS[0], comment="half of a pair \ud83d, and <b>"))
    (path,) = (tmp_path / "review").iterdir()
    assert path.name.startswith("ratings-zoe-unal-")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    found = read_ratings(path.parent)
    assert found.by_reviewer["Zoë Ünal"].on(PAIRS[0]) == rated(PAIRS[0], comment="half of a pair \ud83d, and <b>")
    other = written(tmp_path / "review", "Zoë Ünal", [rated(PAIRS[0], "2026-01-02T04:00:00.000Z", 2)])
    assert other != path
    assert read_ratings(path.parent).rated("Zoë Ünal", PAIRS)[PAIRS[0]].scores == scores(2)


def test_a_file_that_is_torn_anywhere_loses_its_last_line_only(tmp_path):
    path = written(tmp_path, "a", [rated(pair) for pair in PAIRS[:3]])
    content = path.read_bytes()
    ends = [number + 1 for number, byte in enumerate(content) if byte == ord("\n")]
    for size in range(len(content) + 1):
        path.write_bytes(content[:size])
        found = read_ratings(tmp_path)
        assert len(found.rated("a", PAIRS)) == sum(end <= size for end in ends), size
        assert found.damaged == []


def test_a_line_that_was_changed_is_named_and_the_others_hold(tmp_path):
    path = written(tmp_path, "a", [rated(pair) for pair in PAIRS])
    content = path.read_bytes()
    start, end = content.index(b"\n") + 1, content.index(b"\n", content.index(b"\n") + 1)
    for place in range(start, end, 7):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        found = read_ratings(tmp_path)
        assert found.rated("a", PAIRS).keys() == {PAIRS[0], *PAIRS[2:]}
        assert [one.split(":")[1] for one in found.damaged] == ["2"]


def test_behind_a_write_that_failed_the_next_rating_gets_a_file_of_its_own(tmp_path):
    file = RatingsFile(tmp_path, "a")
    file.add(rated(PAIRS[0]))
    (path,) = tmp_path.iterdir()
    path.unlink()  # what is written now nobody would find
    with pytest.raises(StoreError, match="removed") as caught:
        file.add(rated(PAIRS[1]))
    assert "rate it again" in (caught.value.hint or "")
    file.add(rated(PAIRS[1]))
    assert read_ratings(tmp_path).rated("a", PAIRS).keys() == {PAIRS[1]}


@given(st.lists(st.tuples(st.sampled_from((RATED, SKIPPED, UNDONE)), st.sampled_from(PAIRS))))
def test_undoing_takes_back_the_last_word_and_what_was_said_before_holds_again(said):
    words, model = Words(), []
    for number, (action, pair) in enumerate(said):
        if action == UNDONE:
            last = words.last
            assert last == (model[-1].pair if model else None)
            if last is None:
                continue
            words.add(Rating(last, UNDONE, str(number)))
            model.pop()
        else:
            model.append(Rating(pair, action, str(number), scores() if action == RATED else None))
            words.add(model[-1])
    for pair in PAIRS:
        assert words.on(pair) == next((one for one in reversed(model) if one.pair == pair), None)


def test_sessions_are_ordered_by_time_and_a_clock_that_was_set_back_reorders_none(tmp_path):
    early, late = "2026-01-02T03:00:00.000Z", "2026-01-02T05:00:00.000Z"
    written(tmp_path, "a", [rated(PAIRS[0], late, 1), rated(PAIRS[0], early, 2), rated(PAIRS[1], early, 3)])
    written(tmp_path, "a", [rated(PAIRS[1], "2026-01-02T04:00:00.000Z", 5)])
    found = read_ratings(tmp_path).rated("a", PAIRS)
    assert (found[PAIRS[0]].scores, found[PAIRS[1]].scores) == (scores(2), scores(3))


def test_other_files_of_the_folder_are_not_read(tmp_path):
    (tmp_path / "sample.json").write_text("{}")
    (tmp_path / "ratings-a.jsonl~").write_text("x")
    os.symlink("/etc/passwd", tmp_path / "ratings-x")
    assert read_ratings(tmp_path).by_reviewer == {}
    assert read_ratings(tmp_path / "nowhere").by_reviewer == {}


@pytest.mark.parametrize(
    "wrong",
    [None, {}, scores() | {"overall": 6}, scores() | {"overall": 0}, scores() | {"overall": True}, scores() | {"x": 1},
     scores() | {"overall": 4.0}, {"clarity": 4}],
)  # fmt: skip
def test_scores_are_all_four_and_whole_numbers_from_1_to_5(wrong):
    with pytest.raises(ValueError, match=r"score|overall"):
        check_scores(wrong)


def test_a_comment_is_text_of_some_length():
    assert (check_comment(None), check_comment("  "), check_comment(" a ")) == (None, None, "a")
    for wrong in (5, "x" * 4001):
        with pytest.raises(ValueError, match="comment"):
            check_comment(wrong)


@pytest.mark.parametrize("wrong", ["", "  ", "a\x1b[2J", "a\u202eb", "x" * 65])
def test_a_reviewer_has_a_name_that_can_be_seen(wrong):
    with pytest.raises(ConfigError, match="reviewer"):
        check_reviewer(wrong)
    assert check_reviewer(" Zoë ") == "Zoë"
    assert check_reviewer(None)
