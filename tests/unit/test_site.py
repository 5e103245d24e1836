"""Site profiles: what a cluster is like is said once, and a config's own words go before it."""

from pathlib import Path

import pytest

from hpc_qa.campaign.submit import check_startable
from hpc_qa.config_file import load
from hpc_qa.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
name: site
manifest: m.jsonl
vllm: {model: models/m, tensor_parallel_size: 4}
slurm: {site: cluster.yaml, qos: high}
"""
SITE = """
name: here
gpu: {memory_gib: 80.0, per_node: 4}
gres: "gpu:a100:{gpus}"
cpus_per_gpu: 8
memory_per_gpu_gib: 60
slurm: {partition: gpu, qos: normal, setup: ["module load cuda"]}
"""


def config_of(folder: Path, config: str = CONFIG, site: str = SITE):
    (folder / "cluster.yaml").write_text(site)
    (folder / "config.yaml").write_text(config)
    return load(folder / "config.yaml", project=folder)


def test_a_config_gets_what_its_site_says(tmp_path):
    slurm = config_of(tmp_path).slurm
    assert (slurm.partition, slurm.setup, slurm.gres) == ("gpu", ["module load cuda"], "gpu:a100:4")
    assert (slurm.cpus_per_task, slurm.mem) == (32, "240G")


def test_its_own_words_go_before_those_of_the_site(tmp_path):
    assert config_of(tmp_path).slurm.qos == "high"
    own = CONFIG.replace("qos: high", "gres: 'gpu:h100:4', mem: 10G")
    slurm = config_of(tmp_path, own).slurm
    assert (slurm.gres, slurm.mem, slurm.cpus_per_task) == ("gpu:h100:4", "10G", 32)


def test_what_is_null_or_empty_says_nothing_and_a_part_of_a_section_leaves_the_rest(tmp_path):
    own = CONFIG.replace("qos: high", "partition: null, setup: [], convert: {tasks: 3, partition: null}")
    slurm = config_of(tmp_path, own, SITE.replace("qos: normal", "convert: {partition: cpu, cpus_per_task: 2}")).slurm
    assert (slurm.partition, slurm.setup) == ("gpu", ["module load cuda"])
    assert (slurm.convert.partition, slurm.convert.cpus_per_task, slurm.convert.tasks) == ("cpu", 2, 3)


def test_a_server_on_two_nodes_asks_each_for_its_part(tmp_path):
    two = CONFIG.replace("tensor_parallel_size: 4", "tensor_parallel_size: 4, pipeline_parallel_size: 2")
    slurm = config_of(tmp_path, two.replace("qos: high", "nodes_per_task: 2")).slurm
    assert (slurm.gres, slurm.cpus_per_task) == ("gpu:a100:4", 32)


def test_project_yaml_can_name_the_site(tmp_path):
    (tmp_path / "project.yaml").write_text("site: cluster.yaml\n")
    assert config_of(tmp_path, CONFIG.replace("site: cluster.yaml, ", "")).slurm.partition == "gpu"


def test_a_site_of_null_leaves_the_choice_to_project_yaml(tmp_path):
    (tmp_path / "project.yaml").write_text("site: cluster.yaml\n")
    assert config_of(tmp_path, CONFIG.replace("site: cluster.yaml", "site: null")).slurm.partition == "gpu"


def test_a_section_that_contradicts_itself_is_one_fault(tmp_path):
    with pytest.raises(ConfigError) as caught:
        config_of(tmp_path, CONFIG.replace("qos: high", 'time: "00:02:00"'))
    assert len(caught.value.faults) == 1
    assert "stop_before_end" in caught.value.faults[0]


def test_faults_of_the_site_are_told_with_its_file_and_line(tmp_path):
    with pytest.raises(ConfigError) as caught:
        config_of(tmp_path, site=SITE.replace("partition: gpu", "partitoin: gpu"))
    assert any("cluster.yaml:7" in fault and "did you mean partition?" in fault for fault in caught.value.faults)


def test_a_site_that_is_not_there_is_a_fault_of_the_config(tmp_path):
    (tmp_path / "config.yaml").write_text(CONFIG)
    with pytest.raises(ConfigError, match=r"there is no file cluster\.yaml"):
        load(tmp_path / "config.yaml", project=tmp_path)


@pytest.mark.parametrize("path", sorted((ROOT / "slurm").glob("*.yaml")), ids=lambda path: path.name)
def test_the_profiles_that_we_ship_can_be_loaded(tmp_path, path):
    config = config_of(tmp_path, site=path.read_text())
    assert config._site.name == path.stem


def test_a_server_that_needs_more_gpus_than_a_node_of_the_site_has_is_refused(tmp_path):
    eight = config_of(tmp_path, CONFIG.replace("tensor_parallel_size: 4", "tensor_parallel_size: 8"))
    with pytest.raises(ConfigError, match="needs 8 GPUs on a node, nodes of here have 4"):
        check_startable(eight, tmp_path)
