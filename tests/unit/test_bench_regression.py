"""Whether one arm is worse than another: worked examples, and what the command says and returns."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from scipy import stats

from benchmarks.regression import judged
from hpc_qa.bench.effect import of_shares, ratio
from hpc_qa.bench.regression import check
from hpc_qa.cli.main import run
from hpc_qa.errors import ConfigError, ExitCode
from tests.made_campaign import Campaign
from tests.made_records import arm

STEADY = (20.0, 20.2, 19.8, 20.1, 19.9)


@pytest.fixture
def campaign(tmp_path) -> Campaign:
    """Two runs on a cluster."""
    made = Campaign(tmp_path, 8)
    made.done(0, 4)
    made.done(4, 8, nonce="0002")
    made.sync()
    return made


def by(factor: float) -> list[float]:
    return [value * factor for value in STEADY]


def throughput(found):
    return found.metrics[0]


@pytest.mark.parametrize(
    ("factor", "verdict", "code"),
    [(1.0, "no regression", 0), (1.3, "no regression", 0), (0.95, "no regression", 0), (0.8, "regressed", 4)],
)
def test_a_steady_throughput_is_decided(factor, verdict, code):
    found = check(arm(throughput=STEADY), arm(throughput=by(factor)))
    assert (found.verdict, found.exit_code()) == (verdict, code)
    assert throughput(found).effect == pytest.approx(factor - 1)
    assert throughput(found).runs_needed == 0


def test_the_interval_is_that_of_welch_on_logarithms():
    before, after = [20, 24, 18, 22, 19], [17, 15, 19, 16, 18, 14]
    one = throughput(check(arm(throughput=before), arm(throughput=after)))
    logs = [[math.log(value) for value in values] for values in (after, before)]
    expected = stats.ttest_ind(*logs, equal_var=False).confidence_interval(0.90)
    assert (math.log1p(one.low), math.log1p(one.high)) == pytest.approx(tuple(expected))
    assert (one.n_baseline, one.n_current, one.verdict) == (5, 6, "suspect")


def test_the_interval_of_error_rates_is_newcombe_s():
    effect = of_shares([(0.5, 40), (0.7, 40)], [(56 / 70, 70)])
    assert effect.bounds is not None
    assert effect.bounds(0.025, 0) == pytest.approx((0.0524, 0.3339), abs=5e-5)  # Newcombe 1998, example a, method 10


def test_much_variation_is_inconclusive_and_says_how_many_runs_would_decide():
    before, after = [20, 26, 15, 22, 18], [19, 24, 16, 21, 15]
    found = check(arm(throughput=before), arm(throughput=after))
    assert (found.verdict, found.exit_code()) == ("inconclusive", 5)
    needed = throughput(found).runs_needed
    assert needed
    more = check(arm(throughput=before * (1 + needed)), arm(throughput=after * (1 + needed)))
    assert more.verdict == "no regression"


def test_what_is_beyond_the_margin_and_not_certainly_is_suspect():
    found = check(arm(throughput=[20, 22, 18, 21, 19]), arm(throughput=[17, 18.5, 15.5, 17.5, 16.5]))
    assert (found.verdict, found.exit_code()) == ("suspect", 5)


@pytest.mark.parametrize("runs", [1, 2])
def test_fewer_than_three_runs_decide_nothing(runs):
    found = check(arm(throughput=STEADY), arm(throughput=by(0.5)[:runs]))
    assert (found.verdict, found.exit_code()) == ("inconclusive", 5)
    assert (throughput(found).low, throughput(found).runs_needed) == (None, 3 - runs)
    assert any("3 runs" in note for note in found.notes)


@pytest.mark.parametrize(
    ("current", "verdict"),
    [(18.1, "no regression"), (18.0, "regressed"), (17.9, "regressed"), (20, "no regression")],
)
def test_arms_without_any_variation_are_compared_by_their_values(current, verdict):
    assert check(arm(throughput=(20,) * 3), arm(throughput=(current,) * 3)).verdict == verdict


def test_error_rates_without_any_variation_are_compared_by_their_values_too():
    same = {"throughput": (20,) * 3, "quality": (0.75,) * 3}
    assert check(arm(errors=(0,) * 3, **same), arm(errors=(0.01,) * 3, **same)).verdict == "no regression"
    assert check(arm(errors=(0,) * 3, **same), arm(errors=(0.03,) * 3, **same)).verdict == "regressed"


def test_the_verdict_is_that_of_the_worst_metric():
    good = {"throughput": STEADY, "quality": (0.75, 0.76, 0.74, 0.75, 0.75), "errors": (0.01, 0.0, 0.01, 0.01, 0.0)}
    found = check(arm(documents=500, **good), arm(documents=500, **good | {"errors": (0.08, 0.09, 0.08, 0.1, 0.08)}))
    assert [one.verdict for one in found.metrics] == ["no regression", "no regression", "regressed"]
    assert found.exit_code() == ExitCode.NO
    assert found.metrics[2].effect == pytest.approx(0.08)


def test_the_level_is_divided_among_the_metrics_and_one_that_regressed_leaves_more_to_the_others():
    good = {"throughput": STEADY, "quality": (0.75, 0.76, 0.74, 0.75, 0.75), "errors": (0.01, 0.0, 0.01, 0.01, 0.0)}
    levels = [one.level for one in check(arm(**good), arm(**good)).metrics]
    assert levels == pytest.approx([0.05 / 3] * 3)
    worse = check(arm(**good), arm(**good | {"throughput": by(0.5)}))
    assert [one.level for one in worse.metrics] == pytest.approx([0.05 / 3, 0.05 / 2, 0.05 / 2])


def test_a_metric_that_neither_arm_has_is_no_data_and_does_not_count():
    found = check(arm(throughput=STEADY), arm(throughput=STEADY))
    assert [one.verdict for one in found.metrics] == ["no regression", "no data", "no data"]
    assert found.verdict == "no regression"


@pytest.mark.parametrize("lacks", ["baseline", "current"])
def test_a_metric_that_one_arm_lacks_is_no_data_and_never_a_pass(lacks):
    full, part = arm(throughput=STEADY, quality=(0.7,) * 5), arm(throughput=STEADY)
    found = check(*((part, full) if lacks == "baseline" else (full, part)))
    assert (found.verdict, found.exit_code()) == ("no data", 5)


def test_arms_of_which_nothing_was_measured_are_no_data_by_either_rule():
    found = check(arm(runs=5), arm(runs=5))
    assert (found.verdict, found.plain["overall_assessment"]) == ("no data", "NO DATA")
    assert (found.exit_code(), found.exit_code(plain=True)) == (5, 5)


def test_runs_that_made_nothing_at_all_are_a_regression_and_no_crash():
    assert check(arm(throughput=STEADY), arm(throughput=(0,) * 5)).verdict == "regressed"
    assert check(arm(throughput=(0,) * 5), arm(throughput=(0,) * 5)).verdict == "no regression"


def test_error_rates_of_unknown_documents_are_compared_by_run():
    found = check(arm(documents=None, errors=(0.01, 0.02, 0.0)), arm(documents=None, errors=(0.3, 0.31, 0.32)))
    assert found.verdict == "regressed"


def test_an_arm_in_which_single_runs_lost_many_documents_is_not_called_worse():
    one_mishap = arm(documents=200, errors=(0.01, 0.2, 0.0, 0.21, 0.01))
    found = check(arm(documents=200, errors=(0.01, 0.0, 0.01, 0.0, 0.02)), one_mishap)
    assert found.verdict not in ("regressed", "no regression")
    alike = judged(0.03, 1.0, everything=True, pairs=300, mishap=0.1)
    assert alike["regressed"] <= 6


def test_unlike_arms_are_refused_with_all_that_differs_unless_it_is_allowed():
    other = {"model": {"name": "n", "tensor_parallel": 4}, "configuration": {"chunk_size": 3000, "batch_size": 5}}
    with pytest.raises(ConfigError) as caught:
        check(arm(throughput=STEADY), arm(throughput=STEADY, **other))
    assert list(caught.value.faults) == [
        "the arms differ in model.name: m against n",
        "the arms differ in configuration.chunk_size: 1500 against 3000",
    ]
    found = check(
        arm(throughput=STEADY), arm(throughput=STEADY, **other), allow=["model.name", "configuration.chunk_size"]
    )
    assert [one.key for one in found.differs] == ["model.name", "configuration.chunk_size"]
    (note,) = (note for note in found.notes if "alike" in note)
    assert "model.tensor_parallel of 5 of 10 runs" in note
    assert "configuration.batch_size of 5 of 10 runs" in note


def test_an_arm_that_is_unlike_in_itself_is_refused_as_well():
    mixed = arm(throughput=STEADY)
    records = (*mixed.records[:4], arm(throughput=STEADY, model={"name": "n"}).records[4])
    with pytest.raises(ConfigError, match="m, n against m"):
        check(type(mixed)("mixed", records, ()), arm(throughput=STEADY))


def test_a_key_that_is_allowed_and_is_none_is_refused():
    with pytest.raises(ConfigError, match=r"model\.nmae is no key"):
        check(arm(throughput=STEADY), arm(throughput=STEADY), allow=["model.nmae"])


def test_the_plain_rule_looks_at_means_alone():
    plain = check(arm(throughput=(20, 10, 30)), arm(throughput=(17.9, 8, 27))).plain
    assert plain["throughput_regression"] == {
        "baseline_avg": 20, "current_avg": pytest.approx(17.6333, abs=1e-4),
        "change_percent": pytest.approx(-11.833, abs=1e-3), "status": "FAIL",
    }  # fmt: skip
    assert (plain["quality_regression"]["status"], plain["overall_assessment"]) == ("NO DATA", "FAIL")
    assert set(plain) >= {"throughput_regression", "quality_regression", "memory_regression", "overall_assessment"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"quality": (0.7,) * 3}, {"quality": (0.7,) * 3}),
        ({"throughput": (20,) * 3}, {"throughput": (20,) * 3}),
        ({"throughput": (0,) * 3, "quality": (0.7,) * 3}, {"throughput": (20,) * 3, "quality": (0.7,) * 3}),
    ],
)
def test_the_plain_rule_passes_nothing_that_could_not_be_compared(before, after):
    found = check(arm(**before), arm(**after))
    assert (found.plain["overall_assessment"], found.exit_code(plain=True)) == ("NO DATA", ExitCode.UNDECIDED)
    both = {"throughput": (20,) * 3, "quality": (0.7,) * 3}
    assert check(arm(**both), arm(**both)).plain["overall_assessment"] == "PASS"


def test_a_ratio_to_nearly_nothing_is_finite():
    assert math.isfinite(ratio([1, 1], [0, 0]).worse)


def test_arms_that_are_alike_are_hardly_ever_called_regressed_and_a_loss_of_a_fifth_is_seen():
    alike = judged(0.15, 1.0, everything=False, pairs=300)
    assert alike["regressed"] <= 6
    lost = judged(0.03, 0.8, everything=True, pairs=100)
    assert lost["regressed"] + lost["suspect"] >= 95


def write_arm(folder: Path, values: list[float], more: str = "") -> str:
    folder.mkdir(parents=True)
    for number, value in enumerate(values):
        text = f"benchmark_run: {{id: {folder.name}-{number}, results: {{throughput_pdfs_per_hour: {value}}}{more}}}\n"
        (folder / f"{folder.name}-{number}.yaml").write_text(text)
    return str(folder)


def test_the_command_returns_what_scripts_rely_on(tmp_path, capsys):
    before = write_arm(tmp_path / "records", list(STEADY))
    after = write_arm(tmp_path / "after", by(0.7))
    command = ["--project", str(tmp_path), "bench", "check"]
    assert run([*command, before, after, "--json"]) == 4
    said = json.loads(capsys.readouterr().out)
    assert said["verdict"] == "regressed"
    assert {"name", "baseline", "current", "n_baseline", "n_current", "effect", "low", "high", "verdict",
            "runs_needed"} <= set(said["metrics"][0])  # fmt: skip
    assert (said["differs"], said["overall_assessment"]) == ([], "FAIL")
    ids = ",".join(f"records-{number}" for number in range(5))
    assert run([*command, ids, before, "--json"]) == 0
    assert run([*command, before, ",".join(f"unknown-{number}" for number in range(500))]) == 2
    assert run([*command, before, str(tmp_path / "after" / "after-0.yaml"), "--plain"]) == 4
    assert "regressed" not in capsys.readouterr().out.partition("plain rule")[2]


def test_records_that_cannot_be_used_are_named_and_the_others_compared(tmp_path, capsys):
    before = write_arm(tmp_path / "a", list(STEADY))
    (tmp_path / "a" / "bad.yaml").write_text("benchmark_run: {id: bad, results: {gpu_hours: -1}}\n")
    assert run(["bench", "check", before, before]) == 0
    assert "left out" in capsys.readouterr().err


def test_a_run_that_is_named_several_times_is_one_run(campaign, capsys):
    first, second = sorted(path.name for path in (campaign.project / "runs").iterdir())
    command = ["--project", str(campaign.project), "bench"]
    assert run([*command, "record", first]) == 0
    (kept,) = (path.stem for path in (campaign.project / "records").iterdir())
    capsys.readouterr()
    assert run([*command, "check", f"{first},{kept},{first}", f"{second},{second},{second}", "--json"]) == 5
    said = json.loads(capsys.readouterr().out)
    assert (said["verdict"], said["metrics"][0]["n_baseline"], said["metrics"][0]["n_current"]) == (
        "inconclusive",
        1,
        1,
    )
    assert said["notes"].count(f"left out: {second} is named twice") == 2


@pytest.mark.parametrize("larger", ["baseline", "current"])
def test_a_run_in_both_arms_is_left_out_of_the_larger_one(larger):
    one, more = arm(throughput=STEADY), arm(throughput=by(0.5))
    both = replace(one, records=(*one.records, *more.records))
    arms = (both, one) if larger == "baseline" else (one, both)
    found = check(*arms)
    assert {found.metrics[0].n_baseline, found.metrics[0].n_current} == {5}
    assert found.metrics[0].effect == pytest.approx(1.0 if larger == "baseline" else -0.5)
    assert sum("is in both arms" in note for note in found.notes) == 5


def test_an_arm_held_against_itself_is_no_regression_and_a_note():
    one = arm(throughput=STEADY)
    found = check(one, one)
    assert found.verdict == "no regression"
    assert "both arms are the same 5 runs: nothing is held against anything else" in found.notes


@pytest.mark.parametrize("wrong", ["nowhere", "records", ","])
def test_what_names_no_record_is_said(tmp_path, capsys, wrong):
    (tmp_path / "records").mkdir()
    good = write_arm(tmp_path / "good", list(STEADY))
    name = str(tmp_path / "records") if wrong == "records" else wrong
    assert run(["--project", str(tmp_path), "bench", "check", good, name]) == 2
    assert "record" in capsys.readouterr().err


def test_compare_shows_unlike_arms_and_marks_what_differs(tmp_path, capsys):
    first = write_arm(tmp_path / "a", list(STEADY), ", model: {name: m}")
    second = write_arm(tmp_path / "b", by(2.0), ", model: {name: n}")
    assert run(["bench", "compare", first, second, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [row["key"] for row in said["keys"] if row["differs"]] == ["model.name"]
    assert said["differs"] == [{"key": "model.name", "baseline": ["m"], "current": ["n"]}]
    assert (said["throughput_regression"]["status"], said["overall_assessment"]) == ("PASS", "NO DATA")
    (row,) = said["results"]
    assert (row["name"], row["change_percent"]) == ("throughput_pdfs_per_hour", pytest.approx(100))
    assert run(["bench", "compare", first, second]) == 0
    text = capsys.readouterr().out
    assert text.startswith("differs    model.name: m against n\nalike      in all else that is known of both\n")
    assert "means alone: NO DATA (throughput +100.0 % PASS, quality NO DATA, memory NO DATA)" in text


def test_runs_of_two_configurations_are_refused_with_what_differs_and_the_plain_shape_beside_it(tmp_path, capsys):
    settings = ", configuration: {{chunk_size: {}, concurrency_limit: {}, judge: {}}}"
    first = write_arm(tmp_path / "a", list(STEADY), settings.format(1500, 20, "true"))
    second = write_arm(tmp_path / "b", by(0.8), settings.format(3000, 50, "true"))
    assert run(["bench", "check", first, second, "--json"]) == 2
    told = capsys.readouterr()
    said = json.loads(told.out)
    assert (said["verdict"], said["error"]["exit_code"]) == (None, 2)
    assert said["differs"] == [
        {"key": "configuration.chunk_size", "baseline": [1500], "current": [3000]},
        {"key": "configuration.concurrency_limit", "baseline": [20], "current": [50]},
    ]
    assert said["throughput_regression"]["change_percent"] == pytest.approx(-20)
    assert (said["quality_regression"]["status"], said["overall_assessment"]) == ("NO DATA", "FAIL")
    assert "error: the arms differ in configuration.chunk_size: 1500 against 3000" in told.err
    allowed = said["error"]["hint"].partition(",")[0].split()
    assert allowed == ["--allow", "configuration.chunk_size", "--allow", "configuration.concurrency_limit"]
    assert run(["bench", "check", first, second, *allowed]) == 4
    text = capsys.readouterr().out
    assert text.startswith("differs    configuration.chunk_size: 1500 against 3000\n")
    assert "by the plain rule: FAIL (throughput -20.0 % FAIL, quality NO DATA, memory NO DATA)" in text
