"""No setting, variable or spelling opens the server to others, runs foreign code in it, or lets it talk to anybody."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from hpc_qa.config import Vllm
from hpc_qa.errors import ServerError
from hpc_qa.serving.command import serve_command, server_environment, setting_faults
from hpc_qa.serving.server import VllmServer
from tests.echo_server import EchoServer
from tests.projects import CONFIG, build_manifest, call, write_documents

SPELLINGS = (
    "trust_remote_code", "trust-remote-code", "--trust-remote-code", "Trust_Remote_Code", "TRUST-REMOTE-CODE",
    "trust_remote-code", "no_trust_remote_code", "no-trust-remote-code", "trust-remote", "trust_remote_cod", "trust",
    "trust_remote_code=true", "trust_remote_code.x", "_trust_remote_code",
)  # fmt: skip
CODE = (
    "middleware", "tool-parser-plugin", "reasoning_parser_plugin", "io_processor_plugin", "logits_processors",
    "worker_cls", "worker-extension-cls", "scheduler_cls", "model_class_overrides", "log_config_file", "config",
    "logging_config", "code_revision",
)  # fmt: skip
DOORS = (
    "host", "port", "uds", "grpc", "grpc_port", "headless", "api_key", "hf_token", "ssl_keyfile", "nnodes",
    "master_addr",
    "data_parallel_address", "kv_events_config", "otlp_traces_endpoint", "tool_server", "allowed_local_media_path",
    "allowed-media-domains", "enable_log_requests", "enable-log-outputs", "served_model_name",
)  # fmt: skip
VARIABLES = (
    "PYTHONOPTIMIZE", "PYTHONPATH", "PYTHONSTARTUP", "VLLM_API_KEY", "VLLM_ALLOW_INSECURE_SERIALIZATION",
    "VLLM_SERVER_DEV_MODE", "VLLM_ALLOW_RUNTIME_LORA_UPDATING", "VLLM_DEBUG_LOG_API_SERVER_RESPONSE",
    "VLLM_LOGGING_CONFIG_PATH", "VLLM_NO_USAGE_STATS", "DO_NOT_TRACK", "VLLM_DO_NOT_TRACK", "HF_HUB_DISABLE_TELEMETRY",
    "HF_TOKEN", "VLLM_CACHE_ROOT", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "XDG_CACHE_HOME", "TMPDIR",
    "VLLM_RPC_BASE_PATH", "pythonoptimize",
)  # fmt: skip
SHELL = {
    "PATH": "/bin", "HOME": "/home/me", "OMP_NUM_THREADS": "4", "LD_PRELOAD": "/tmp/evil.so", "PYTHONPATH": "/tmp/evil",
    "PYTHONOPTIMIZE": "2", "PYTHONSTARTUP": "/tmp/evil.py", "HF_TOKEN": "secret", "OPENAI_API_KEY": "secret",
    "AWS_SECRET_ACCESS_KEY": "secret", "SLURM_JWT": "secret", "VLLM_API_KEY": "secret", "VLLM_PLUGINS": "evil",
    "RAY_ADDRESS": "10.0.0.1:6379", "VLLM_USAGE_STATS_SERVER": "http://evil", "HF_HUB_ENABLE_HF_TRANSFER": "1",
}  # fmt: skip
PROXY = {"http_proxy": "http://user:secret@proxy:1", "HTTPS_PROXY": "http://user:secret@proxy:1"}


def environment(tmp_path: Path, *, inherited: dict[str, str], **settings: object) -> dict[str, str]:
    return server_environment(
        Vllm(model="m", **settings), key="the-key", folder=tmp_path / "v", cache=tmp_path / "c", mark="HPC_QA_SERVER=1",
        model_is_folder=True, inherited=inherited,
    )  # fmt: skip


def refusals(**settings: Any) -> list[str]:
    """What stands against these settings: some are no settings at all, the others are sealed."""
    try:
        return setting_faults(Vllm(model="m", **settings))
    except ValidationError as error:
        return [f"cannot be set: {one['loc']}" for one in error.errors()]


@pytest.mark.parametrize("name", SPELLINGS)
def test_model_code_cannot_be_trusted_in_any_spelling(name):
    assert refusals(extra_args={name: True}) != []


@pytest.mark.parametrize("name", [*CODE, *DOORS])
def test_no_option_brings_foreign_code_or_opens_a_door(name):
    for spelled in (name, name.replace("_", "-"), name.upper(), f"--{name}", f"{name}.x"):
        (fault,) = refusals(extra_args={spelled: "x"})
        assert "cannot be set: " in fault


@pytest.mark.parametrize("name", VARIABLES)
def test_no_variable_undoes_what_is_sealed(name):
    assert refusals(env={name: "0"}) != []


def test_an_option_cannot_hide_in_the_value_of_another():
    for sneaky in ({"extra_args": {"generation_config": "--host=::"}}, {"revision": "-x"}, {"tokenizer": "--uds"}):
        (fault,) = refusals(**sneaky)
        assert "does not begin with a dash" in fault
    assert refusals(dtype="--trust-remote-code") != []
    assert setting_faults(Vllm(model="m", extra_args={"kv_offloading_size": "-1.5"})) == []


@pytest.mark.parametrize("name", ["reasoning_parser", "block_size", "enable_chunked_prefill", "seed", "hf_overrides"])
def test_what_harms_nobody_can_be_set(name):
    assert setting_faults(Vllm(model="m", extra_args={name: "x"})) == []


@pytest.mark.parametrize("value", ["pt", "npcache", "auto", "hf"])
def test_pickled_weights_are_never_loaded(value):
    assert setting_faults(Vllm(model="m", extra_args={"load-format": value})) != []
    words = serve_command(Vllm(model="m"), model_path="o/m", socket=Path("/s"), served_model_name="n")
    assert words[words.index("--load-format") + 1] == "safetensors"


def test_submit_and_plan_refuse_before_anything_is_made(tmp_path, model_folder, capsys):
    write_documents(tmp_path / "documents", 1)
    build_manifest(tmp_path)
    config = CONFIG.format(style="extractive", model=model_folder, socket="s", key="k", limit=1)
    unattached = "\n".join(line for line in config.splitlines() if "attach" not in line)
    evil = unattached.replace(
        "client:", "  extra_args: {trust-remote-code: true}\n  env: {PYTHONOPTIMIZE: '1'}\nclient:"
    )
    (tmp_path / "config.yaml").write_text(evil)
    for command in ("plan", "submit"):
        assert call(tmp_path, command, str(tmp_path / "config.yaml")) == 2
        said = capsys.readouterr().err
        assert "trust-remote-code" in said
        assert "PYTHONOPTIMIZE" in said
    assert not (tmp_path / "runs").exists()


def test_the_server_gets_nothing_of_the_shell_that_could_hurt(tmp_path):
    found = environment(tmp_path, inherited=SHELL | PROXY)
    assert "secret" not in " ".join(found.values())
    assert "evil" not in " ".join(found.values())
    assert {"PATH", "HOME", "OMP_NUM_THREADS"} <= set(found)
    assert found["VLLM_API_KEY"] == "the-key"


def test_the_server_reports_to_nobody_and_fetches_nothing(tmp_path):
    found = environment(tmp_path, inherited={})
    switches = ("VLLM_NO_USAGE_STATS", "VLLM_DO_NOT_TRACK", "DO_NOT_TRACK", "HF_HUB_DISABLE_TELEMETRY")
    assert {name: found[name] for name in switches} == dict.fromkeys(switches, "1")
    assert (found["HF_HUB_OFFLINE"], found["TRANSFORMERS_OFFLINE"]) == ("1", "1")


def test_two_projects_share_no_cache(tmp_path):
    one, other = (environment(tmp_path / name, inherited={}) for name in ("one", "other"))
    folders = [name for name, value in one.items() if value.startswith(str(tmp_path))]
    assert {"VLLM_CACHE_ROOT", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "TMPDIR", "XDG_CACHE_HOME"} <= set(
        folders
    )
    for name in folders:
        assert Path(one[name]).is_relative_to(tmp_path / "one")
        assert Path(other[name]).is_relative_to(tmp_path / "other")


def test_a_server_that_answers_under_another_name_is_not_used(tmp_path, model_folder):
    """Whoever takes over the socket between two starts does not know what the new one is called."""
    with tempfile.TemporaryDirectory(prefix="hqe-", dir="/tmp") as folder:
        server = VllmServer(
            Vllm(model=str(model_folder), max_restarts=0), model_path=model_folder, folder=Path(folder) / "v",
            log=tmp_path / "log", served_model_name="mine",
        )  # fmt: skip
        server.socket.parent.mkdir(parents=True)
        with EchoServer(server.socket, key=server.key), pytest.raises(ServerError, match="answers as echo"):
            server.wait_ready(10)
