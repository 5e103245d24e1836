"""A wrong record among good ones: every command that reads records names it with file and key, and does the rest."""

import json

import pytest

from hpc_qa.cli.main import run as hpc_qa
from tests.made_campaign import Campaign

GOOD = "benchmark_run: {{id: {id}, results: {{throughput_pdfs_per_hour: {pace}, total_time_minutes: 10}}}}\n"
WRONG = {  # what a file holds, and what is said of it
    "negative.yaml": ("benchmark_run: {id: x, results: {gpu_hours: -3}}", "results.gpu_hours must be at least 0"),
    "text.yaml": ("benchmark_run: {id: x, results: {gpu_hours: many}}", "results.gpu_hours must be a number"),
    "unit.yaml": ("benchmark_run: {id: x, results: {gpu_hours: 3 h}}", "results.gpu_hours must be a number"),
    "quoted.yaml": ('benchmark_run: {id: x, results: {gpu_hours: "3"}}', "write 3.0, without quotes"),
    "nan.yaml": ("benchmark_run: {id: x, results: {gpu_hours: .nan}}", "results.gpu_hours: .nan is not a number"),
    "nan.json": ('{"benchmark_run": {"id": "x", "results": {"gpu_hours": NaN}}}', "results.gpu_hours must be a number"),
    "huge.yaml": ("benchmark_run: {id: x, results: {gpu_hours: 1.0e+300}}", "results.gpu_hours must be at most"),
    "share.yaml": ("benchmark_run: {id: x, results: {error_rate: 5}}", "results.error_rate must be at most 1"),
    "sha.yaml": ("benchmark_run: {id: x, commit_sha: 12345678}", "commit_sha must be text, not 12345678"),
    "double.yaml": ("benchmark_run: {id: good_1}", "id: good_1 is that of a record in"),
    "twice.yaml": ("benchmark_run:\n  id: x\n  id: y", "benchmark_run.id stands here and on line 2"),
    "version.yaml": ("schema_version: 9\nbenchmark_run: {id: newer}", "schema_version is no key of a record"),
    "empty.yaml": ("", "is empty"),
    "other.yaml": ("color: red", "is no benchmark record"),
    "list.json": ('[{"color": "red"}]', "[0] is no cell of a sweep"),
    "cell.json": ('[{"model": "m", "batch_size": -1}]', "[0]: batch_size must be a whole number from 1, not -1"),
    "long.json": (f'[{{"model": "m", "duration_seconds": {"9" * 400}}}]', "duration_seconds must be at least 0 and"),
    "true.json": ('[{"model": "m", "duration_seconds": true}]', "duration_seconds must be a number, not True"),
}  # fmt: skip


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "records"
    folder.mkdir()
    for number in (1, 2, 3):
        (folder / f"a_good_{number}.yaml").write_text(GOOD.format(id=f"good_{number}", pace=20 + number / 10))
    for name, (content, _) in WRONG.items():
        (folder / name).write_text(content + "\n" if content else "")
    return tmp_path


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("report", 0),
        ("report --markdown B.md", 0),
        ("bench check records records", 0),
        ("bench compare records records", 0),
        ("bench targets records", 0),
        ("bench import records -o kept", 2),
    ],
)
def test_each_wrong_record_is_named_with_file_and_key_and_the_rest_is_done(project, capsys, monkeypatch, command, code):
    monkeypatch.chdir(project)
    assert hpc_qa(command.split()) == code
    told = capsys.readouterr().err.splitlines()
    for name, (_, said) in WRONG.items():
        assert any(name in line and said in line for line in told), name
    assert hpc_qa([*command.split(), "--json"]) == code
    json.loads(capsys.readouterr().out)
    if "kept" in command:
        assert {path.stem for path in (project / "kept").iterdir()} == {"good_1", "good_2", "good_3", "newer"}
    if "B.md" in command:
        notes = (project / "B.md").read_text().partition("## Notes")[2]
        assert all(name in notes for name in WRONG)


def test_nothing_measured_is_no_data_and_never_a_pass(tmp_path, capsys):
    (tmp_path / "records").mkdir()
    for number in (1, 2, 3):
        (tmp_path / "records" / f"{number}.yaml").write_text(f"benchmark_run: {{id: r{number}, environment: local}}\n")
    records = str(tmp_path / "records")
    project = ["--project", str(tmp_path)]
    assert hpc_qa([*project, "bench", "targets", records, "--json"]) == 5
    assert {one["verdict"] for one in json.loads(capsys.readouterr().out)["targets"]} == {"no data"}
    assert hpc_qa([*project, "bench", "check", records, records, "--json"]) == 5
    found = json.loads(capsys.readouterr().out)
    assert (found["verdict"], found["overall_assessment"]) == ("no data", "NO DATA")
    assert hpc_qa([*project, "bench", "check", records, records, "--plain"]) == 5
    capsys.readouterr()
    assert hpc_qa([*project, "bench", "compare", records, records, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["results"] == []


def test_figures_that_overflow_are_not_known_and_every_command_stays_json(tmp_path, capsys):
    (tmp_path / "records").mkdir()
    for name, minutes in (("tiny", "1.0e-310"), ("some", "10")):
        text = (
            f"benchmark_run: {{id: {name}, environment: local, dataset: {{pdfs_processed: 1000000}},"
            f" results: {{total_time_minutes: {minutes}, gpu_hours: {minutes}}}}}\n"
        )
        (tmp_path / "records" / f"{name}.yaml").write_text(text)
    tiny, some = (str(tmp_path / "records" / f"{name}.yaml") for name in ("tiny", "some"))
    for command in (("bench", "compare", tiny, some), ("bench", "check", tiny, some), ("bench", "targets", tiny),
                    ("report",)):  # fmt: skip
        assert hpc_qa(["--project", str(tmp_path), *command, "--json"]) in (0, 4, 5)
        json.loads(capsys.readouterr().out)


def test_an_archive_says_which_record_it_cannot_use_and_makes_it_anew(tmp_path, capsys):
    campaign = Campaign(tmp_path, 3, budget=10.0)
    run = campaign.done(0, 2, name="a", batch="smoke")
    campaign.sync()
    assert hpc_qa(["--project", str(tmp_path), "bench", "record", run.run_id]) == 0
    (kept,) = (tmp_path / "records").iterdir()
    kept.write_text("benchmark_run: {id: x, results: {gpu_hours: -3}}\n")
    capsys.readouterr()
    made = str(tmp_path / "a.tar.zst")
    assert hpc_qa(["--project", str(tmp_path), "bench", "archive", run.run_id, "-o", made]) == 0
    assert f"{kept.name}:1: results.gpu_hours must be at least 0" in capsys.readouterr().err
