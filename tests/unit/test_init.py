import pytest

from hpc_qa.campaign.init import init
from hpc_qa.config_file import load, load_project
from hpc_qa.errors import ConfigError


def test_a_new_project_has_a_config_that_loads(tmp_path):
    init(tmp_path / "p")
    assert load(tmp_path / "p" / "configs" / "example.yaml", project=tmp_path / "p").name == "example"
    assert load_project(tmp_path / "p").corpus is None


def test_the_settings_that_a_project_file_suggests_are_settings(tmp_path):
    init(tmp_path)
    lines = (tmp_path / "project.yaml").read_text().splitlines()
    suggested = [line.removeprefix("# ") for line in lines[2:]]
    (tmp_path / "project.yaml").write_text("\n".join(suggested))
    assert load_project(tmp_path).budget.gpu_hours == 1000


def test_the_profile_of_a_new_project_decides_everything_about_its_cluster(tmp_path):
    init(tmp_path)
    project = tmp_path / "project.yaml"
    project.write_text(project.read_text().replace("# site:", "site:"))
    site = tmp_path / "slurm" / "generic.yaml"
    text = site.read_text().replace("  partition: null # sinfo -s", '  partition: long\n  time: "24:00:00"')
    site.write_text(text.replace("    partition: null", "    partition: cpus"))
    slurm = load(tmp_path / "configs" / "example.yaml", project=tmp_path).slurm
    assert (slurm.partition, slurm.time, slurm.convert.partition) == ("long", "24:00:00", "cpus")


def test_what_is_there_is_not_touched(tmp_path):
    written = init(tmp_path)
    (tmp_path / "project.yaml").write_text("corpus: mine.jsonl\n")
    assert len(written) == 6
    assert init(tmp_path) == []
    assert (tmp_path / "project.yaml").read_text() == "corpus: mine.jsonl\n"


def test_what_the_program_writes_by_itself_is_ignored_by_git(tmp_path):
    init(tmp_path)
    ignored = {"/runs/", "/ledger/", "/sweeps/", "/cache/", "/models/"}
    assert set((tmp_path / ".gitignore").read_text().split()) == ignored


def test_a_folder_that_is_a_file_is_a_fault(tmp_path):
    (tmp_path / "p").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        init(tmp_path / "p")


def test_the_budget_of_a_new_project_counts_for_its_config(tmp_path):
    init(tmp_path)
    (tmp_path / "project.yaml").write_text("budget: {gpu_hours: 12}\n")
    assert load(tmp_path / "configs" / "example.yaml", project=tmp_path).budget.gpu_hours == 12
