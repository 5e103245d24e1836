"""Names, paths, comments and options that Slurm, a shell or submitit would take for more than they are."""

from collections.abc import Callable, Iterator

import pytest

from tests.projects import call
from tests.real_slurm.cluster import Cluster
from tests.real_slurm.runs import (
    assert_same_as_quiet,
    finish,
    job_of,
    submitted,
)

SIZE = {"documents": 6, "rules_each": 12}
ODD = 'it\'s a "50%" of $HOME %%x %5 `id` ümlaut 項目 #1; & (x) * packjob'

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(900)]


@pytest.mark.long
@pytest.mark.covers("worker", "client", "store", "campaign", "slurm", "config_cluster.py", "config_values.py")
def test_a_project_in_a_folder_with_an_odd_path_runs_and_its_logs_lie_in_the_run(project, cluster, model_folder):
    folder = project(name=ODD, **SIZE)
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace(str(folder / "key"), "key"))  # YAML would take it for more as well
    run = submitted(folder)
    finish(folder, run, resumes=0)
    assert sorted(path.name for path in run.logs.iterdir()) == [f"{job_of(run)}_{shard}.log" for shard in range(3)]
    assert all("committed" in path.read_text() for path in run.logs.iterdir())
    assert sorted(path.name for path in folder.parent.iterdir()) == [ODD]
    assert_same_as_quiet(run, model_folder, **SIZE)


@pytest.mark.parametrize("name", ["p%j", "p%A", "50%tests", "a\\b", "a\nb"])
def test_a_project_whose_path_would_not_reach_the_array_tasks_as_it_is_is_refused(
    project, cluster, capsys, name, tmp_path
):
    folder = project(documents=1)
    refused = folder.rename(tmp_path / name)
    assert call(refused, "submit", str(refused / "config.yaml")) == 2
    said = capsys.readouterr().err
    assert said.count("rename the folder") == 1
    assert not (refused / "runs").exists()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_options_that_are_the_runs_own_and_setup_lines_that_bash_does_not_read_are_refused(project, cluster, capsys):
    options = "array: 0-99, output: /dev/null, chdir: /, comment: mine, job-name: x, mem: 1G"
    folder = project(documents=1, slurm=f"  additional_parameters: {{{options}}}\n")
    assert call(folder, "submit", str(folder / "config.yaml")) == 2
    said = capsys.readouterr().err
    assert [f"slurm.additional_parameters.{name}: " in said for name in ("array", "output", "chdir", "comment")] == [
        True
    ] * 4
    assert "slurm.additional_parameters.mem: this option has a key of its own: slurm.mem" in said
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace(f"{{{options}}}", "{}") + '  setup: ["echo it\'s"]\n')
    assert call(folder, "submit", str(config)) == 2
    assert "slurm.setup: line 1: unexpected EOF" in capsys.readouterr().err
    assert not (folder / "runs").exists()


@pytest.mark.long
@pytest.mark.covers("worker", "client", "store", "campaign", "slurm", "config_cluster.py", "config_values.py")
def test_the_longest_name_and_setup_lines_with_quotes_arrive_as_they_are(project, cluster, model_folder, tmp_path):
    name, said = "n" * 64, tmp_path / "said"
    line = f"""printf '%s|%s\\n' "it's \\"50%\\" $((6*7))" "$SLURM_JOB_NAME" >> {said}; cd /"""
    quoted = line.replace("'", "''")
    folder = project(slurm=f"  setup: ['{quoted}']\n  additional_parameters: {{nice: 7, exclude: node2}}\n", **SIZE)
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace("name: made", f"name: {name}"))
    run = submitted(folder)
    assert run.run_id.startswith(f"{name}-")
    finish(folder, run, resumes=0)
    assert said.read_text() == f"""it's "50%" 42|{run.run_id}\n""" * 3
    rows = cluster.run("sacct", "-n", "-P", "-X", f"--jobs={job_of(run)}", "-o", "JobName,NodeList").splitlines()
    assert {row.partition("|")[0] for row in rows} == {run.run_id}
    assert not any("node2" in row for row in rows)
    assert_same_as_quiet(run, model_folder, **SIZE)


@pytest.fixture
def strangers(cluster: Cluster) -> Iterator[list[str]]:
    """Job ids of other jobs of the same user; they are cancelled at the end."""
    jobs: list[str] = []
    yield jobs
    cluster.run("scancel", *jobs)


@pytest.fixture
def closed(cluster: Cluster) -> Iterator[Callable[[], str]]:
    """Nothing starts on the cluster until this is called."""

    def open_again() -> str:
        return cluster.run("scontrol", "update", "PartitionName=main", "State=UP")

    cluster.run("scontrol", "update", "PartitionName=main", "State=DOWN")
    yield open_again
    open_again()


@pytest.mark.long
@pytest.mark.covers("worker", "client", "store", "campaign", "slurm", "config_cluster.py", "config_values.py")
def test_jobs_of_the_same_user_with_the_name_of_a_run_are_neither_adopted_nor_cancelled(
    project, cluster, model_folder, closed, strangers, tmp_path
):
    folder = project(**SIZE)
    run = submitted(folder)
    job, ours = job_of(run), "hpc_qa, first shard "
    for name, place, *more in (
        (run.run_id, tmp_path),
        (run.run_id, tmp_path, f"--comment=a|b\n{job}|0|{ours}0\n77\x1f0\x1f{run.path}\x1f{ours}x"),
        (run.run_id, tmp_path, f"--comment={ours}0", "--array=0-2"),
        (run.run_id, run.path, "--array=0-2"),
        (run.run_id, run.path, f"--comment={ours}99999999999999999999", "--array=0-2"),
        (run.run_id, run.path, f"--comment={ours}3", "--array=0-2"),
        (f"{run.run_id}|x", run.path, f"--comment={ours}0", "--array=0-2"),
        (f'a|b\n{job}|"c', run.path, f"--comment={ours}0"),
    ):
        command = ["sbatch", "--parsable", f"--job-name={name}", f"--chdir={place}", "--output=/dev/null", "--mem=50M"]
        strangers.append(cluster.run(*command, *more, "--wrap", "sleep 3600").strip())

    def living() -> list[str]:
        return [one for one in strangers if cluster.run("squeue", "-h", "-j", one, "-t", "PD,R,CF")]

    assert living() == strangers
    for act in ("resume", "cancel"):
        (run.submissions / "001.json").unlink()  # as a kill right after sbatch leaves it
        assert call(folder, act, run.run_id) == 0
        (found,) = run.list_submissions()
        assert (found["job_id"], [task["shard"] for task in found["tasks"]]) == (job, [0, 1, 2])
    assert not cluster.run("squeue", "-h", "-j", job, "-t", "PD,R,CF")
    closed()
    finish(folder, run)
    assert len(run.list_submissions()) == 2
    assert living() == strangers
    assert_same_as_quiet(run, model_folder, **SIZE)
