"""The benchmark document: filled from records and a campaign; what people wrote is kept, or it is refused."""

import json
import re
from datetime import date

import pytest

from hpc_qa.bench.record import Record
from hpc_qa.bench.record_file import keep
from hpc_qa.cli.main import run as hpc_qa
from hpc_qa.config_file import load_project
from hpc_qa.report.document.document import document
from hpc_qa.report.document.material import material
from hpc_qa.report.document.remarks import Remarks
from hpc_qa.report.document.usage import Documents
from tests.made_campaign import Campaign
from tests.unit.test_bench_records import SAMPLE


@pytest.fixture
def campaign(tmp_path) -> Campaign:
    """A smoke test and two batches on a cluster, of which one attempt was killed; and a record of a local test."""
    made = Campaign(tmp_path, 40, budget=30.0)
    made.done(0, 1, name="a", batch="smoke")
    run = made.run([made.names(1, 5), made.names(5, 9)], name="b", nonce="0002", batch="batch_50")
    made.work(run, 0, made.names(1, 5), commits=False)
    for index, names in enumerate((made.names(1, 5), made.names(5, 9))):
        made.work(run, index, names)
    made.done(9, 21, per_task=1, name="c", nonce="0003", batch="batch_200")
    made.sync()
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "local.yaml").write_text(
        SAMPLE.replace('environment: "local"', 'environment: "local"\n  batch: local_5')
    )
    return made


def filled(campaign: Campaign) -> str:
    found = material(campaign.project, load_project(campaign.project), today=date(2026, 2, 3))
    return document(found, Remarks())


def section(text: str, title: str) -> str:
    """What stands below a heading, to the next one of its level."""
    level = re.search(rf"^(#+) {re.escape(title)}$", text, re.MULTILINE)
    assert level, title
    rest = text[level.end() :]
    following = re.search(rf"^#{{1,{len(level[1])}}} ", rest, re.MULTILINE)
    return rest[: following.start()] if following else rest


CHAPTERS = [
    "Benchmark Targets", "Recording Guidelines", "Local Environment Benchmarks", "Campus Cluster Benchmarks",
    "Cumulative Totals (All Batches)", "Performance Comparison", "Optimization Insights", "GPU Hour Projections",
    "Cost Estimates", "Benchmark Templates", "Lessons Learned",
    "Quality-Performance Trade-offs", "Outstanding Questions", "Next Steps",
]  # fmt: skip


def test_the_document_has_every_chapter_in_its_order_and_a_link_to_each(campaign):
    text = filled(campaign)
    assert [title for title in re.findall(r"^## (.+)$", text, re.MULTILINE) if title in CHAPTERS] == CHAPTERS
    assert [title for title in re.findall(r"^- \[(.+)\]\(#", text, re.MULTILINE) if title in CHAPTERS] == CHAPTERS


def test_a_batch_with_a_record_is_filled_and_one_without_says_after_what_it_will_be(campaign):
    text = filled(campaign)
    batch = section(text, "Cluster test 2: batch 50")
    assert "| QA pairs generated | 16 | target: about 250 |" in batch
    assert "| GPU utilization (avg) | not known | target: at least 60; critical below 20 |" in batch
    assert "attempts that ended as NODE_FAIL: 1" in batch
    assert "| Question Clarity | 5.00 | 16 |" in batch
    assert "_To be filled after batch_500._" in section(text, "Cluster test 4: batch 500")
    local = section(text, "Local test 1: initial validation")
    assert "| Avg time per PDF | 8.70 minutes |" in local
    assert "accepted 95.0 % of a sample of 20 pairs (" in local
    assert "| QA pairs accepted | 16 | 100.0 % of those generated |" in batch
    assert "accepted 100.0 % of the 16 judged pairs, which had passed the checks (" in batch
    assert "| Success rate | 100.0 % | ended ok, of all documents, also those that were skipped |" in batch


def test_what_a_record_says_stands_in_the_document(tmp_path):
    record = {
        "id": "r", "environment": "cluster", "batch": "batch_50", "commit_sha": "abc",
        "model": {"name": "m", "revision": "r1", "serving": "vllm 1", "tensor_parallel": 4},
        "dataset": {"pdfs_processed": 50, "markdown_size_mb": 45}, "hardware": {"gpu_count": 4, "cpu_cores": 8},
        "configuration": {"chunk_size": 1500, "temperature": 0.25},
        "results": {
            "total_time_minutes": 60, "gpu_hours": 4, "startup_s": 99, "tokens_per_s": 1234, "avg_cpu_memory_gb": 32,
            "gpu_hours_per_accepted_pair": 0.02, "max_gpu_memory_gb": 74,
        },
        "quality": {
            "rated_by": "human", "quality_score": 0.8, "quality_score_deviation": 0.05, "sample_size": 20,
            "judge": {"sample_size": 250, "quality_score": 0.75, "sensitivity": 0.9},
        },
    }  # fmt: skip
    keep(Record.model_validate(record), tmp_path / "records")
    (tmp_path / "project.yaml").write_text("budget: {gpu_hours: 1000, corpus_documents: 1100}\n")
    text = document(material(tmp_path, load_project(tmp_path)), Remarks())
    batch = section(text, "Cluster test 2: batch 50")
    for part in (
        "m, tensor parallel 4, revision r1, served by vllm 1", "50, 45.0 MB of Markdown", "temperature 0.25",
        "| Start-up | 99.0 s |", "| Tokens per second | 1,234.0 |", "| GPU-hours per accepted pair | 0.02 hours |",
        "quality score 0.800 ± 0.050 between documents",
        "The judge, of 250 pairs: quality score 0.750; sensitivity 0.900.",
    ):  # fmt: skip
        assert part in batch, part
    assert "| Memory usage (CPU) | GB | how much memory to ask for | no data | 32.0 on average |" in text
    assert "- [x] Memory usage: host 32.0 GB on average, of a GPU 74.0 GB" in text
    # of a run that the ledger does not know there is the plain rule alone
    assert "**Projected Total**: 96.8 GPU-hours for 1,100 PDFs, within the budget of 1,000.0." in text
    assert "hpc-qa bench import" in section(text, "Benchmark Templates")


def test_a_batch_is_held_against_the_one_before_and_the_gate_says_go_or_not(campaign):
    batch = section(filled(campaign), "Cluster test 3: batch 200")
    assert re.search(r"\| Time per PDF stable\? \| (yes|\*\*no\*\*) \| [+−-]", batch)
    assert re.search(r"\*\*Go / no-go: (go|no-go|undecided)\*\*", batch)
    assert "- [x] complete: go, 0; no document left" in batch
    assert "**Within budget**: " in batch


def test_totals_count_a_document_once_and_gpu_hours_as_often_as_they_were_used(campaign):
    again = campaign.run([campaign.names(1, 5)], name="d", nonce="0004", batch="batch_50")
    campaign.work(again, 0, campaign.names(1, 5))
    campaign.sync()
    found = material(campaign.project, load_project(campaign.project))
    text = section(document(found, Remarks()), "Cumulative Totals (All Batches)")
    assert "| Total PDFs Processed | 31 / 40 |" in text  # 21 of the corpus, and 10 of a record that the ledger lacks
    used = found.budget.usage.charged.gpu_hours
    assert f"| Total GPU-Hours Used | {used:.1f} / 30.0 |" in text
    usage = section(document(found, Remarks()), "Current Usage Summary")
    assert "| Local Test (not charged) | 10 | 2.90 | 0 | 30.0 |" in usage


HAND = """\
run_id: {id}
pdfs: 4
time_minutes: 30
gpu_hours: 1.5
environment: {environment}
"""


def test_a_record_written_by_hand_stands_in_the_chapter_of_its_environment_or_in_one_of_its_own(campaign):
    for name, environment in (("here", "local"), ("there", "cluster"), ("somewhere", "null")):
        text = HAND.format(id=name, environment=environment)
        (campaign.project / "records" / f"{name}.yaml").write_text(text)
    text = filled(campaign)
    chapters = ("Local Environment Benchmarks", "Campus Cluster Benchmarks", "Benchmarks Whose Environment Is Not Said")
    found = [re.findall(r"\*\*Record\*\*: (here|there|somewhere)", section(text, title)) for title in chapters]
    assert found == [["here"], ["there"], ["somewhere"]]


def test_gpu_hours_that_the_budget_does_not_count_are_named_with_the_reason(campaign, capsys):
    (campaign.project / "records" / "there.yaml").write_text(HAND.format(id="there", environment="cluster"))
    local = "2.90 GPU-hours on this machine: recorded, and never charged"
    by_hand = "1.50 GPU-hours of records whose runs the ledger does not know"
    text = filled(campaign)
    for title in ("Cumulative Totals (All Batches)", "Current Usage Summary"):
        assert f"- {local}\n- {by_hand}" in section(text, title)
    assert hpc_qa(["--project", str(campaign.project), "report"]) == 0
    said = capsys.readouterr().out
    assert f"local      {local}\nby hand    {by_hand}" in said


def test_local_and_cluster_stand_side_by_side_with_the_factor_and_what_differs(campaign):
    text = section(filled(campaign), "Local vs. Cluster Performance")
    assert re.search(r"\| Avg Time per PDF \| 8.70 min \| [\d.]+ min \| [\d.]+x slower \|", text)
    assert "model (meta-llama/Llama-3.1-70B-Instruct against models/small)" in text
    assert "0 (owned)" in text


def test_the_projection_shows_the_plain_rule_and_the_measured_one(campaign):
    text = section(filled(campaign), "GPU Hour Projections")
    assert "Overhead, plain rule  = 10 % of it" in text
    assert re.search(r"Overhead, measured    = [\d.]+ GPU-hours, [\d.]+ % of", text)
    assert re.search(r"\| Measured rule, 40 PDFs \| [\d.,]+ \| [\d.,]+ to [\d.,]+ \|", text)
    assert "Extension to ask for" in text or "**within**" in text or "**undecided**" in text


def test_prices_elsewhere_stand_with_their_day_and_what_is_not_comparable(campaign):
    text = section(filled(campaign), "Cost Estimates")
    assert "not charged directly" in text
    assert re.search(r"\| aws p4d", text)
    assert "stale" in text


def test_stages_bottlenecks_and_slow_documents_are_named_with_the_resource(campaign):
    text = section(filled(campaign), "Optimization Insights")
    assert "| model_load |" in text
    assert re.search(r"\*\*Start-up\*\* \(cluster_batch_200", text)
    assert re.search(r"\*\*Impact\*\*: [\d.]+ % \([\d.]+ GPU-hours of [\d.]+\)", text)
    assert re.search(r"\| generation \| doc-\d+ \| 1.50 \| [\d,]+ tokens in chunks: 1", text)


def cell(number: str, concurrency: int, minutes: float, accepted: int, score: float) -> Record:
    return Record.model_validate(
        {
            "id": f"cell_{number}", "sweep": "concurrency", "environment": "cluster",
            "model": {"name": "m"}, "configuration": {"concurrency_limit": concurrency},
            "dataset": {"pdfs_processed": 10},
            "results": {"total_time_minutes": minutes, "qa_pairs_accepted": accepted, "gpu_hours": minutes / 60},
            "quality": {"quality_score": score},
        }
    )  # fmt: skip


def test_the_optimal_setting_of_a_sweep_is_the_cheapest_with_the_quality_held_and_failures_are_listed(tmp_path):
    for number, figures in enumerate(
        [(10, 30, 50, 0.8), (20, 20, 50, 0.8), (50, 19.9, 50, 0.79), (100, 10, 50, 0.5)], 1
    ):
        for repeat in "ab":
            keep(cell(f"{number}{repeat}", *figures), tmp_path / "records")
    failed = cell("5a", 200, 3, 1, 0.1).model_copy(update={"failure": "out of memory: 96 GB | of 80"})
    keep(failed, tmp_path / "records")
    text = document(material(tmp_path, load_project(tmp_path)), Remarks())
    found = section(text, "Experiment: concurrency")
    assert "**Optimal Setting**: concurrency_limit 50" in found
    assert "A tie, within 2 %: concurrency_limit 20" in found
    assert "as quality is lower or not known: concurrency_limit 100" in found
    assert re.search(r"\| 10 \| .* \| 2 \|  \| baseline \|", found)
    assert re.search(r"\| 200 \| not known \| .* \| 0 \| 1 \|", found)
    assert r"- failed: concurrency_limit 200: out of memory: 96 GB \| of 80" in found
    tuned = section(text, "Concurrency Tuning")
    assert "**Initial**: concurrency_limit 10 (cell_1a, cell_1b)" in tuned


def test_strategies_compare_the_two_runs_that_the_project_names(campaign):
    ids = [record.id for record in material(campaign.project, load_project(campaign.project)).records][-2:]
    project = campaign.project / "project.yaml"
    project.write_text(
        project.read_text() + "report:\n  contact: Ada\n  strategies:\n    batch_sizing: [none_such, RUN]\n"
    )
    assert "names none_such, which is no record" in section(filled(campaign), "Batch Sizing")
    project.write_text(project.read_text().replace("none_such", ids[0]).replace("RUN", ids[1]))
    text = filled(campaign)
    assert "% faster" in section(text, "Batch Sizing")
    assert "**Primary Contact**: Ada" in text


def test_an_empty_project_gives_a_document_that_says_what_is_missing(tmp_path, capsys):
    assert hpc_qa(["--project", str(tmp_path), "report", "--markdown", str(tmp_path / "B.md")]) == 0
    assert "no run is recorded yet" in capsys.readouterr().out
    text = (tmp_path / "B.md").read_text()
    assert text.count("_To be filled after") > 10
    assert "**no data**" in text or "| no data |" in text


def test_the_short_form_and_json_say_what_the_document_says(campaign, capsys):
    project = ["--project", str(campaign.project), "report"]
    assert hpc_qa(project) == 0
    said = capsys.readouterr().out
    assert "to be done local_20, batch_500, production" in said
    assert "cluster_batch_200_2026-01-02_001" in said
    assert hpc_qa([*project, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [record["id"] for record in found["records"]][-1] == "cluster_batch_200_2026-01-02_001"
    assert {batch["batch"]: batch["records"] for batch in found["batches"]}["batch_50"] == 1


def test_names_of_other_people_become_no_markup_and_no_mark(tmp_path):
    name = "<!-- end of remarks: lessons -->|[x](http://y)`"
    keep(Record(id="r", batch=name, config_file=name, environment="local"), tmp_path / "records")
    path = tmp_path / "B.md"
    command = ["--project", str(tmp_path), "report", "--markdown", str(path)]
    assert hpc_qa(command) == 0
    assert "\n<!-- end of remarks: lessons -->|" not in path.read_text()
    assert hpc_qa(command) == 0


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("<!-- end of remarks: lessons -->", "", "begins, and does not end"),
        ("<!-- remarks: lessons -->\n", "", "ends, and did not begin"),
        ("<!-- remarks: lessons -->", "<!-- remarks lessons -->", "a mark is damaged"),
        ("remarks: lessons -->", "remarks: lesons -->", "is no place; did you mean lessons?"),
        ("remarks: lessons -->", "remarks: questions -->", "is there twice"),
        ("## Next Steps", "## Our Next Steps", "was changed outside of the places"),
    ],
)  # fmt: skip
def test_a_document_with_damaged_marks_is_refused_and_left_as_it_is(tmp_path, capsys, old, new, said):
    path = tmp_path / "B.md"
    command = ["--project", str(tmp_path), "report", "--markdown", str(path)]
    assert hpc_qa(command) == 0
    path.write_text(path.read_text().replace(old, new))
    before = path.read_bytes()
    assert hpc_qa(command) == 2
    assert said in capsys.readouterr().err
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"# My notes\n", b"\xff\xfe\n"])
def test_a_file_that_is_no_such_document_is_never_replaced(tmp_path, content):
    path = tmp_path / "B.md"
    path.write_bytes(content)
    assert hpc_qa(["--project", str(tmp_path), "report", "--markdown", str(path)]) == 2
    assert path.read_bytes() == content


def test_the_document_keeps_its_rights_and_line_ends_of_windows_are_no_change(tmp_path):
    path = tmp_path / "B.md"
    command = ["--project", str(tmp_path), "report", "--markdown", str(path)]
    assert hpc_qa(command) == 0
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert hpc_qa(command) == 0
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_record_that_says_nothing_of_failures_leaves_the_success_rate_unknown():
    found = Documents({"sha": {"state": "ok", "pairs": 3}}, 5, 25, 4.5)
    assert found.success_rate == pytest.approx(5.5 / 6)
    found.add(Documents({}, 10, 50, None))
    assert (found.total, found.total_pairs, found.success_rate) == (16, 78, None)
