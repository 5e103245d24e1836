from pathlib import Path

import pytest

from hpc_qa.config import Config
from hpc_qa.config_file import load, load_project
from hpc_qa.errors import ConfigError, ExitCode

LEAST = "name: a\nmanifest: m.jsonl\nvllm:\n  model: models/x\n"


def load_text(folder: Path, text: str, **overrides: object) -> Config:
    path = folder / "x.yaml"
    path.write_text(text)
    return load(path, project=folder, overrides={key.replace("__", "."): value for key, value in overrides.items()})


def faults(folder: Path, text: str, **overrides: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_text(folder, text, **overrides)
    assert caught.value.exit_code == ExitCode.USAGE
    return [fault.replace(f"{folder}/", "") for fault in caught.value.faults]


def test_a_run_needs_name_manifest_and_model_only(tmp_path):
    config = load_text(tmp_path, LEAST)
    assert (config.name, config.manifest, config.model) == ("a", "m.jsonl", "models/x")
    assert config.qa.chunk_size == 1500
    assert config._source == str(tmp_path / "x.yaml")


def test_a_key_that_is_none_says_which_was_meant(tmp_path):
    text = LEAST + "  tensor_parallel: 4\n"
    assert faults(tmp_path, text) == [
        "x.yaml:5: vllm.tensor_parallel is not a setting; did you mean tensor_parallel_size?"
    ]


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("executer: local", "did you mean executor?"),
        ("concurrency_limit: 3", "did you mean client.concurrency_limit?"),
        ("chunk_sise: 3", "did you mean qa.chunk_size?"),
        ("slurm: {nodelist: a}", "other options of sbatch go under slurm.additional_parameters"),
        ("qa: {accept: {min_clarty: 3}}", "did you mean min_clarity?"),
    ],
)
def test_a_key_in_the_wrong_place_says_where_it_belongs(tmp_path, line, meant):
    (fault,) = faults(tmp_path, LEAST + line + "\n")
    assert fault.startswith("x.yaml:5: ")
    assert fault.endswith(f"is not a setting; {meant}")


def test_a_key_like_no_other_is_said_to_be_none_and_no_more(tmp_path):
    assert faults(tmp_path, LEAST + "zzz: 3\n") == ["x.yaml:5: zzz is not a setting"]


def test_all_faults_of_a_file_come_in_one_pass_by_line(tmp_path):
    text = """\
name: "bad name"
manifest: m.jsonl
seed: -1
qa:
  chunk_size: "1500"
  answer_style: extractiv
  temperature: 1e-1
  judge: maybe
  accept: {min_clarity: 9}
vllm:
  max_model_len: 300
  gpu_memory_utilization: 1.5
  extra_args: {a: [1]}
  env: {X: 3}
slurm:
  time: 12:30:45
  mem: 10G0
  setup: module load
client: {request_timeout: ten}
plan: 5
"""
    found = faults(tmp_path, text, executor="locl")
    assert [fault.partition(": ")[0] for fault in found] == [
        *(f"x.yaml:{line}" for line in (1, 3, 5, 6, 7, 8, 9, 10, 12, 13, 14, 16, 17, 18, 19, 20)),
        "executor must be 'slurm' or 'local', not 'locl'; did you mean local? (given on the command line)",
        "x.yaml",
    ]
    assert found[7] == (
        "x.yaml:10: vllm: model is missing: the folder of the model (with attach: of the model that it serves)"
    )
    assert "qa.chunk_size 1500 + qa.max_tokens 1024 do not fit" in found[-1]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('seed: "3"', "seed must be a whole number, not '3'; write 3, without quotes"),
        ("seed: 3.5", "seed must be a whole number, not 3.5"),
        ("seed: null", "seed must be a whole number, not empty"),
        ("batch: 1.10", "batch must be text, not 1.1; write it in quotes"),
        ("plan: {max_startup_share: 0}", "plan.max_startup_share must be more than 0.0, not 0"),
        ("plan:", "plan must be a section with keys, not empty"),
        ("budget: {clusters: a}", "budget.clusters must be a list, one `- item` a line, not 'a'"),
        (
            'slurm: {mem: "10 GB"}',
            "slurm.mem must be a size as sbatch --mem takes it, \"64G\" for example, not '10 GB'",
        ),
        ('slurm: {time: "1:2:3:4"}', "slurm.time: '1:2:3:4' is not a time; write HH:MM:SS, as sbatch --time does"),
        ("qa: {judge: 1}", "qa.judge must be true or false, not 1"),
        ('name2: "x"', "name2 is not a setting; did you mean name?"),
    ],
)
def test_a_value_that_is_wrong_says_what_is_allowed(tmp_path, line, said):
    assert faults(tmp_path, LEAST + line + "\n") == [f"x.yaml:5: {said}"]


def test_what_is_missing_is_named(tmp_path):
    assert faults(tmp_path, "seed: 3\n") == [
        "x.yaml: name is missing",
        "x.yaml: manifest is missing",
        "x.yaml: vllm is missing",
    ]


def test_an_unreadable_file_is_one_fault(tmp_path):
    assert faults(tmp_path, "a: b: c\n") == ["x.yaml:1: is not YAML: mapping values are not allowed in this context"]
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "none.yaml", project=tmp_path)


def test_a_value_with_a_yaml_fault_is_not_also_reported_as_missing(tmp_path):
    text = "name: yes\nmanifest: m.jsonl\nvllm: {model: x}\n"
    assert len(faults(tmp_path, text)) == 1


def test_the_command_line_replaces_what_the_file_says(tmp_path):
    config = load_text(tmp_path, LEAST, executor="local", budget__gpu_hours=5.0, manifest=None)
    assert (config.executor, config.budget.gpu_hours, config.manifest) == ("local", 5.0, "m.jsonl")


def test_times_are_text_with_and_without_quotes_where_yaml_agrees(tmp_path):
    config = load_text(tmp_path, LEAST + 'slurm:\n  time: "12:30:45"\nclient:\n  request_timeout: 00:01:00\n')
    assert (config.slurm.time, config.client.request_timeout) == ("12:30:45", "00:01:00")


def test_the_project_gives_what_the_run_does_not_say(tmp_path):
    (tmp_path / "project.yaml").write_text("budget: {gpu_hours: 1000, corpus_documents: 1100}\nsite: a.yaml\n")
    (tmp_path / "a.yaml").write_text("name: a\nslurm: {qos: long, partition: cpu}\n")
    config = load_text(tmp_path, LEAST + "budget: {gpu_hours: 7}\nslurm: {partition: gpu}\n")
    assert (config.budget.gpu_hours, config.budget.corpus_documents) == (7, 1100)
    assert (config.slurm.site, config.slurm.partition, config.slurm.qos) == ("a.yaml", "gpu", "long")


def test_faults_of_the_project_file_come_with_those_of_the_run(tmp_path):
    (tmp_path / "project.yaml").write_text("budget: {gpu_hour: 1000}\n")
    assert faults(tmp_path, LEAST + "seed: -1\n") == [
        "x.yaml:5: seed must be at least 0, not -1",
        "project.yaml:1: budget.gpu_hour is not a setting; did you mean gpu_hours?",
    ]


def test_a_project_without_a_file_or_with_comments_only_has_the_defaults(tmp_path):
    assert load_project(tmp_path).corpus is None
    (tmp_path / "project.yaml").write_text("# nothing yet\n")
    assert load_project(tmp_path).site is None
    (tmp_path / "project.yaml").write_text("corpus: manifests/corpus.jsonl\n")
    assert load_project(tmp_path).corpus == "manifests/corpus.jsonl"


def test_long_values_are_cut_in_messages(tmp_path):
    (fault,) = faults(tmp_path, f"{LEAST}executor: {'x' * 5000}\n")
    assert len(fault) < 200
