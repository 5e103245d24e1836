"""YAML that surprises and values that cannot be: all faults in one pass, each with its line, nothing started."""

import os
from pathlib import Path

import pytest

from tests.bad_input.conftest import CONFIG, Call


def faults(project: Path, call: Call, text: str | bytes, command: str = "plan") -> list[str]:
    """The faults of this config."""
    (project / "c.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    code, out, err = call(command, "c.yaml")
    assert (code, out) == (2, "")
    assert "\n  try: " in err
    assert not (project / "runs").exists()
    return [line.removeprefix("error: ") for line in err.splitlines() if line.startswith("error: ")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: &a t\nmanifest: *a\n", "c.yaml:1: &a: anchors are not allowed"),
        ("a: &a [x]\n" + "".join(f"b{n}: [*a,*a]\n" for n in range(99)), "c.yaml:1: &a: anchors"),
        (CONFIG + "qa: !!python/object/apply:os.mkdir [runs]\n", "c.yaml:6: qa: the tag"),
        ("!!python/object:os.x\nname: t\n", "c.yaml:1: the file: the tag"),
        (CONFIG + "qa:\n  <<: {judge: true}\n", "c.yaml:7: <<: merging is not allowed"),
        (CONFIG + "qa:\n\tjudge: true\n", "c.yaml:7: is not YAML"),
        (CONFIG + "name: u\n", "c.yaml:6: name stands here and on line 1; keep one"),
        (CONFIG + "no: 1\n", 'c.yaml:6: no: YAML does not read this key as text; write "no"'),
        (CONFIG.encode("utf-16"), "c.yaml: is not UTF-8 text (UTF-16; save it as UTF-8)"),
        (CONFIG + "seed: \0\n", "c.yaml: is not YAML: unacceptable character"),
        (CONFIG + "campaign: " + "[" * 5_000, "nested deeper than 20 levels"),
        (CONFIG.encode() + b"#" * 2_000_000, "c.yaml: is larger than 1000000 bytes"),
        ("just words\n", "c.yaml:1: must hold settings"),
        ("", "c.yaml: is empty"),
    ],
)
def test_yaml_with_a_surprise_is_refused_at_its_line(project: Path, call: Call, text: str | bytes, said: str) -> None:
    assert any(said in fault for fault in faults(project, call, text))


@pytest.mark.parametrize("kind", ["device", "fifo", "folder", "loop"])
def test_a_config_that_is_no_file_is_not_opened(project: Path, call: Call, kind: str) -> None:
    path = project / "odd.yaml"
    {
        "device": lambda: path.symlink_to("/dev/zero"),
        "fifo": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "loop": lambda: path.symlink_to("odd.yaml"),
    }[kind]()
    code, _, err = call("plan", "odd.yaml")
    assert code == 2
    assert "odd.yaml" in err


def test_a_file_of_100_mb_is_not_read(project: Path, call: Call) -> None:
    with (project / "big.yaml").open("wb") as stream:
        stream.truncate(100_000_000)
    code, _, err = call("plan", "big.yaml")
    assert code == 2
    assert "is larger than 1000000 bytes" in err


def test_all_values_that_cannot_be_are_listed_in_one_pass_by_line(project: Path, call: Call) -> None:
    found = faults(
        project,
        call,
        CONFIG
        + """\
seed: -1
campaign: 1.10
client: {concurrency_limit: 100000000}
plan: {max_startup_share: .nan}
qa: {temperature: .inf, chunk_size: 1000000000000000000000, max_tokens: 0777}
budget: {gpu_hours: -5}
slurm:
  mem: 10G0
  time: 12:30:45
  partition: "gpu\\nrm -rf x"
  account: "a b; rm"
  gres: "gpu:1 --uid=0"
  constraint: "`id`"
  setup: ["module load x\\n#SBATCH --mem=0", "#SBATCH --uid=0"]
  additional_parameters: {"job name": 1, wrap: "x\\n#SBATCH --uid=0"}
documents: {limits: {memory_gib: 1.0e+30, max_pages: 99999999999999999999}}
""",
    )
    named = [fault.split(": ")[1].split(" ")[0] for fault in found]
    assert {
        "seed", "campaign", "client.concurrency_limit", "plan.max_startup_share", "qa.temperature", "qa.chunk_size",
        "qa.max_tokens", "budget.gpu_hours", "slurm.mem", "slurm.time", "slurm.partition", "slurm.account",
        "slurm.gres", "slurm.constraint", "slurm.setup[0]", "slurm.setup[1]", "slurm.additional_parameters.job",
        "slurm.additional_parameters.wrap", "documents.limits.memory_gib", "documents.limits.max_pages",
    } <= set(named)  # fmt: skip
    lines = [int(fault.split(":")[1]) for fault in found if fault.split(":")[1].isdigit()]
    assert lines == sorted(lines)
    assert not any("\n" in fault for fault in found)


@pytest.mark.parametrize("name", ["t\\n#SBATCH --uid=0", "../up", "-rf", "a b", "a/b", "$(id)", ""])
def test_a_job_name_that_could_be_more_than_a_name_is_refused(project: Path, call: Call, name: str) -> None:
    found = faults(project, call, CONFIG.replace("name: t", f'name: "{name}"'))
    assert any(fault.startswith("c.yaml:1: name") for fault in found)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("  env: {'A=B': x}\n", "the name of a variable"),
        ('  env: {X: "a\\nb"}\n', "holds a line break"),
        ("  extra_args: {'a b': 1}\n", "the name of an option"),
        ("  tensor_parallel_size: 5000\n", "must be at most 1024"),
        ("  max_model_len: 300\n", "do not fit into vllm.max_model_len 300"),
    ],
)
def test_an_option_of_the_server_that_cannot_be_is_refused(project: Path, call: Call, key: str, said: str) -> None:
    assert any(said in fault for fault in faults(project, call, CONFIG + key))


def test_the_model_the_places_and_the_prompts_are_looked_at_in_one_pass(
    project: Path, call: Call, model_folder: Path
) -> None:
    text = CONFIG.replace("model: model", f"model: {model_folder}") + (
        "  tensor_parallel_size: 2\n  max_model_len: 1000000\nqa: {prompts: none.yaml}\ndocuments: {cache: .}\n"
    )
    found = "\n".join(faults(project, call, text))
    for said in (
        "manifest: ", "documents.cache: ", "none.yaml", "tensor_parallel_size", "1000000",
    ):  # fmt: skip
        assert said in found


@pytest.mark.parametrize("cache", ["/", ".", "..", "docs/a.txt"])
def test_a_cache_that_holds_the_project_or_is_a_file_is_refused(project: Path, call: Call, cache: str) -> None:
    assert call("manifest", "build", "docs", "-o", "m.jsonl")[0] == 0
    for command in ("convert", "plan"):
        found = faults(project, call, CONFIG + f"documents: {{cache: {cache}}}\n", command)
        assert any(fault.startswith("documents.cache: ") for fault in found)


def test_a_home_folder_is_no_project(project: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(project))
    assert any("the home folder" in fault for fault in faults(project, call, CONFIG))


def test_the_root_is_no_project(project: Path, call: Call) -> None:
    code, _, err = call("--project", "/", "plan", "config.yaml")
    assert code == 2
    assert "the project folder is the root of the file system" in err


def test_a_command_in_the_wrong_folder_names_the_right_one(
    project: Path, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call("manifest", "build", "docs", "-o", "m.jsonl")[0] == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    code, _, err = call("plan", project / "config.yaml")
    assert code == 2
    assert f"did you mean --project {project}?" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["status", "--bogus"], "error: no such option '--bogus'"),
        (["convert"], "error: missing argument 'CONFIG'"),
        (["submit", "config.yaml", "--limit", "0"], "error: invalid value for '--limit'"),
        (["submit", "config.yaml", "--executor", "pbs"], "error: invalid value for '--executor'"),
        (["statsu"], "error: no command 'statsu'; did you mean status?"),
        (["manifest", "biuld"], "error: no such command 'biuld'"),
        (["status", "a", "b"], "error: got unexpected extra argument (b)"),
    ],
)
def test_wrong_usage_looks_like_every_error(call: Call, arguments: list[str], said: str) -> None:
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith(said)
    assert "\n  try: hpc-qa" in err


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("question_types: [factul]", "did you mean factual?"),
        ("question_types: []", "question_types is empty; leave it out for all types"),
        ("question_types: [factual, factual]", "question_types names one of them twice"),
        ("difficulty: [esy]", "did you mean easy?"),
        ("answer_style: extractive, difficulty: [easy]", "extractive asks for none; leave it empty"),
        ("answer_style: extractive, question_types: [scenario]", "extractive knows only definition, factual"),
        ("judge_repeats: 2", "judge_repeats 2 has no middle; use an odd number"),
        ("accept: {require: [groundd]}", "did you mean grounded?"),
        ("controls: {share: 0.9}", "qa.controls.share must be at most 0.5"),
        ("regenerate: {attempts: 9}", "qa.regenerate.attempts must be at most 5"),
        ("round_trip: true", "qa.round_trip must be a section with keys"),
    ],
)
def test_a_way_of_asking_that_cannot_be_is_refused(project: Path, call: Call, settings: str, said: str) -> None:
    (fault,) = faults(project, call, f"{CONFIG}qa: {{{settings}}}\n")
    assert fault.startswith("c.yaml:6: qa")
    assert said in fault
