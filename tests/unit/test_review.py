"""What the review of a run says, in its JSON, in the figures of a benchmark record, and for people."""

import json
from pathlib import Path

import pytest

from hpc_qa.campaign.collect import collect
from hpc_qa.campaign.figures import figures
from hpc_qa.campaign.review import minima_of, review_of
from hpc_qa.campaign.review_ratings import RATED, SKIPPED, Rating, RatingsFile
from hpc_qa.campaign.review_sample import sample_of
from hpc_qa.cli.main import run as hpc_qa
from hpc_qa.config import Accept
from hpc_qa.qa.agreement import mean_score, share, weighted_kappa
from hpc_qa.store.merge import commit_shard
from hpc_qa.store.run_directory import RunDirectory
from tests.made_runs import attempt, chunk, document, pair, planned_run

AT = "2026-01-02T03:04:05.000Z"
HUMAN = [(5, 4, 4, 4), (5, 5, 5, 5), (3, 5, 4, 3), (4, 4, 4, 4)]  # clarity, accuracy, relevance, overall
JUDGE = [(5, 4, 4), (4, 5, 5), (4, 4, 4), (None, None, None)]
QUALITY = {
    "rated_by", "sample_size", "avg_clarity_score", "avg_accuracy_score", "avg_relevance_score", "avg_overall_score",
    "overall_acceptance_rate", "quality_score", "judge",
}  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """Four documents with one pair each; the judge gave no verdict on the last."""
    documents, batches = ["a", "b", "c", "d"], []
    made = planned_run(tmp_path, [documents])
    for doc_id, said in zip(documents, JUDGE, strict=True):
        verdict = dict(zip(("clarity", "accuracy", "relevance"), said, strict=True))
        quality = None if said[0] is None else sum(score - 1 for score in said) / 12
        accepted = said[0] is not None and doc_id != "c"
        chunks = [chunk(doc_id, 0, [pair(doc_id, 0, 0, **verdict, quality_score=quality, accepted=accepted)])]
        batches += [*chunks, [document(doc_id, chunks)]]
    assert commit_shard(made.shard(0), attempt(made.shard(0), batches).name, documents)
    sample_of(made)
    return made


def say(run: RunDirectory, reviewer: str, said: dict[str, tuple[int, ...] | None], comment: str | None = None) -> None:
    """The scores of a reviewer by document; None skips."""
    keys = {one.doc_id: one.key for one in sample_of(run).pairs}
    file = RatingsFile(run.review, reviewer)
    for doc_id, given in said.items():
        scores = (
            None if given is None else dict(zip(("clarity", "accuracy", "relevance", "overall"), given, strict=True))
        )
        file.add(Rating(keys[doc_id], RATED if scores else SKIPPED, AT, scores, comment))
    file.close()


def results(capsys: pytest.CaptureFixture[str], run: RunDirectory) -> dict[str, object]:
    assert hpc_qa(["review", str(run.path), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_every_figure_follows_from_the_ratings(capsys, run):
    say(run, "ann", dict(zip("abcd", HUMAN, strict=True)), comment="hm")
    found = results(capsys, run)
    assert found["rated"] == 4
    assert found["means"]["accuracy"] == mean_score([4, 5, 5, 4]).to_json()
    assert found["means"]["overall"]["value"] == 4
    assert found["quality_score"] == pytest.approx((10 / 12 + 1 + 9 / 12 + 9 / 12) / 4)
    minima = {"clarity": 4, "accuracy": 4, "relevance": 4}
    assert found["acceptance"] == {"minima": minima} | share(3, 4).to_json()
    assert found["judge"]["pairs"] == 3
    assert found["judge"]["kappa"].keys() == {"clarity", "accuracy", "relevance"}
    assert found["judge"]["kappa"]["clarity"] == pytest.approx(weighted_kappa([5, 5, 3], [5, 4, 4]).to_json())
    (ann,) = found["reviewers"]
    assert (ann["reviewer"], ann["rated"], ann["skipped"], len(ann["comments"])) == ("ann", 4, 0, 4)
    assert found["agreement"] == []


def test_a_pair_that_several_rated_counts_once_with_the_lower_median(capsys, run):
    say(run, "ann", {"a": (5, 5, 5, 5), "b": (4, 4, 4, 4)})
    say(run, "bob", {"a": (4, 5, 3, 2), "b": (4, 4, 4, 5), "c": (1, 1, 1, 1), "d": None})
    found = results(capsys, run)
    assert found["rated"] == 3
    assert found["means"]["clarity"]["value"] == pytest.approx((4 + 4 + 1) / 3)
    assert found["acceptance"]["value"] == pytest.approx(1 / 3)
    (between,) = found["agreement"]
    assert (between["reviewers"], between["pairs"]) == (["ann", "bob"], 2)
    assert between["kappa"]["overall"] == pytest.approx(weighted_kappa([5, 4], [2, 5]).to_json())
    assert [one["skipped"] for one in found["reviewers"]] == [0, 1]


def test_a_record_takes_the_humans_figures_once_the_sample_is_through_and_keeps_the_judges_beside(tmp_path, run):
    judge = figures(run, tmp_path).quality_of_record()
    assert judge.keys() == QUALITY
    assert (judge["rated_by"], judge["sample_size"], judge["avg_overall_score"]) == ("judge", 3, None)
    assert judge["overall_acceptance_rate"] == pytest.approx(2 / 3)
    say(run, "ann", dict(zip("abc", HUMAN[:3], strict=True)))
    assert figures(run, tmp_path).quality_of_record()["rated_by"] == "judge"  # one of four is left
    say(run, "ann", {"d": None})
    found = figures(run, tmp_path)
    human = found.quality_of_record()
    assert human.keys() == QUALITY
    assert (human["rated_by"], human["sample_size"], human["avg_overall_score"]) == ("human", 3, 4)
    assert human["quality_score"] == pytest.approx((10 + 12 + 9) / 36)
    assert human["overall_acceptance_rate"] == pytest.approx(2 / 3)
    assert human["judge"] == judge["judge"] == {name: judge[name] for name in QUALITY - {"rated_by", "judge"}}
    assert found.to_json()["review"] == {name: human[name] for name in QUALITY - {"judge"}}


def test_quality_that_nobody_judged_is_null(tmp_path):
    empty = planned_run(tmp_path, [["a"]])
    assert figures(empty, tmp_path).quality_of_record() == dict.fromkeys(QUALITY)
    assert figures(empty, tmp_path).review is None


def test_where_the_config_asks_for_no_minimum_an_overall_score_of_4_is_asked():
    def asked(**accept: int | None) -> dict[str, int]:
        return minima_of({"qa": {"accept": Accept(**accept).model_dump()}})

    assert asked(min_clarity=None, min_accuracy=3) == {"accuracy": 3, "relevance": 4}
    assert asked(min_clarity=None, min_accuracy=None, min_relevance=None) == {"overall": 4}


def test_people_are_told_intervals_and_never_a_bare_percentage(capsys, run):
    say(run, "ann", dict(zip("abcd", HUMAN, strict=True)))
    say(run, "bob", {"a": (1, 1, 1, 1), "b": (5, 5, 5, 5)})
    assert hpc_qa(["review", str(run.path), "--export"]) == 0
    out = capsys.readouterr().out
    assert "rated      4 of 4 sampled pairs, seed 7" in out
    assert "good enough 50 % (15 to 85 %, n = 4): clarity >= 4, accuracy >= 4, relevance >= 4" in out
    assert "kappa with the judge" in out
    assert "agreement  ann and bob over 2 pairs" in out
    assert all("to" in line for line in out.splitlines() if "%" in line and "95 %" not in line and "show" not in line)


def test_a_run_that_nobody_reviewed_has_no_results_and_is_not_touched(capsys, tmp_path):
    run = planned_run(tmp_path, [["a"]])
    before = sorted(run.path.rglob("*"))
    assert results(capsys, run) == {"run": run.run_id, "sample": None, "rated": 0}
    assert hpc_qa(["review", str(run.path), "--export"]) == 0
    assert "no sample was drawn yet" in capsys.readouterr().err
    assert sorted(run.path.rglob("*")) == before
    assert review_of(run) is None


def test_a_damaged_line_is_named_and_left_out(capsys, run):
    say(run, "ann", dict(zip("abcd", HUMAN, strict=True)))
    (path,) = run.review.glob("ratings-*")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1].replace(b"rated", b"bated") + b"".join(lines[2:]))
    found = results(capsys, run)
    assert (found["rated"], len(found["damaged"])) == (3, 1)
    assert found["damaged"][0].startswith(f"{path.name}:2: ")


def test_port_and_socket_together_are_refused_and_so_is_a_run_of_others(capsys, run):
    assert hpc_qa(["review", str(run.path), "--port", "9999", "--socket", "x"]) == 2
    run.review.chmod(0o777)
    assert hpc_qa(["review", str(run.path)]) == 2
    assert "others can write it" in capsys.readouterr().err


def test_the_card_of_the_dataset_says_what_people_said_or_that_nobody_read(run, tmp_path):
    collect([run], out=tmp_path / "before")
    assert "nobody has read them" in (tmp_path / "before" / "README.md").read_text()
    say(run, "ann", dict(zip("abcd", HUMAN, strict=True)))
    collect([run], out=tmp_path / "after")
    card = (tmp_path / "after" / "README.md").read_text()
    assert "nobody has read them" not in card
    rated = "4 pairs that passed the checks were rated: clarity 4.2, accuracy 4.5, relevance 4.2, overall 4.0 of 5"
    assert f"- {run.run_id}: {rated}; 75 % good enough (30 to 95 %)" in card


def test_the_share_among_accepted_rejected_and_published_pairs_is_said_apart(capsys, run):
    say(run, "ann", {"a": (5, 5, 5, 5), "b": (5, 5, 5, 5), "c": (1, 1, 1, 1), "d": (5, 5, 5, 5)})
    found = results(capsys, run)
    assert found["acceptance"]["value"] == 0.75
    assert {name: (one["value"], one["n"]) for name, one in found["acceptance_by_outcome"].items()} == {
        "accepted": (1.0, 2),
        "rejected": (0.5, 2),
    }
    assert (found["effective_n"], found["sample"]["equal_chances"]) == (4, True)
    collect([run])
    card = (run.dataset / "README.md").read_text()
    assert "75 % good enough (30 to 95 %); of the 2 that are published here 100 % (34 to 100 %)" in card


def test_figures_of_a_sample_with_unequal_chances_are_weighted(capsys, tmp_path):
    run, names = planned_run(tmp_path, [["a", "b"]]), ["a", "b"]
    low = {"accepted": False, "reject_reason": "clarity_below_4"}
    large = [chunk("a", 0, [pair("a", 0, item) for item in range(5)])]
    small = [chunk("b", 0, [pair("b", 0, 0, **low)])]
    batches = [*large, [document("a", large)], *small, [document("b", small)]]
    assert commit_shard(run.shard(0), attempt(run.shard(0), batches).name, names)
    say(run, "ann", {"a": (5, 5, 5, 5), "b": (1, 1, 1, 1)})
    found = results(capsys, run)
    assert found["acceptance"]["value"] == pytest.approx(5 / 6)
    assert found["means"]["overall"]["value"] == pytest.approx((5 * 5 + 1) / 6)
    assert not found["sample"]["equal_chances"]
    assert found["effective_n"] == pytest.approx(36 / 26, abs=0.01)
    assert hpc_qa(["review", str(run.path), "--export"]) == 0
    assert "weighted   by their chances to be drawn" in capsys.readouterr().out
