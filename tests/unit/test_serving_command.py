from pathlib import Path

import pytest

from hpc_qa.config import Vllm
from hpc_qa.serving.command import serve_command, server_environment, setting_faults


def command(**settings):
    return serve_command(
        Vllm(model="m", **settings), model_path="/models/m", socket=Path("/s/v.sock"), served_model_name="run-s1"
    )


def environment(inherited=None, *, folder_model=True, **settings):
    return server_environment(
        Vllm(model="m", **settings),
        key="the-key",
        folder=Path("/f"),
        cache=Path("/c"),
        mark="HPC_QA_SERVER=1",
        model_is_folder=folder_model,
        inherited=inherited or {},
    )


def test_settings_become_options_of_the_server():
    words = command(max_model_len=4096, tensor_parallel_size=4, quantization="awq")
    for option, value in [("--max-model-len", "4096"), ("--tensor-parallel-size", "4"), ("--quantization", "awq")]:
        assert words[words.index(option) + 1] == value
    assert words[words.index("--uds") + 1] == "/s/v.sock"
    assert words[words.index("--served-model-name") + 1] == "run-s1"


def test_what_is_not_set_is_left_to_vllm():
    assert "--max-model-len" not in command()
    assert "--quantization" not in command()


def test_booleans_become_flags():
    words = command(enforce_eager=True, enable_prefix_caching=False, extra_args={"async_scheduling": True})
    assert "--enforce-eager" in words
    assert "--no-enable-prefix-caching" in words
    assert "--async-scheduling" in words


def test_json_answers_hold_no_white_space_unless_the_config_says_otherwise():
    assert '{"backend":"xgrammar","disable_any_whitespace":true}' in command()
    own = command(extra_args={"structured_outputs_config": "{}"})
    assert own.count("--structured-outputs-config") == 1
    assert own[own.index("--structured-outputs-config") + 1] == "{}"


def test_model_code_is_never_trusted_and_requests_are_never_logged():
    words = command()
    assert "--no-trust-remote-code" in words
    assert "--no-enable-log-requests" in words


def test_the_key_is_in_the_environment_and_not_on_the_command_line():
    assert environment()["VLLM_API_KEY"] == "the-key"
    assert not any("key" in word for word in command())


@pytest.mark.parametrize(
    "name", ["trust_remote_code", "trust-remote-code", "no_trust_remote_code", "api_key", "host", "uds"]
)
def test_what_would_break_the_seal_cannot_be_set(name):
    (fault,) = setting_faults(Vllm(model="m", extra_args={name: True}))
    assert name in fault


def test_python_optimize_cannot_be_set():
    assert setting_faults(Vllm(model="m", env={"PYTHONOPTIMIZE": "1"}))
    assert setting_faults(Vllm(model="m", attach_pid=7)) == [
        "vllm.attach_pid is the process of the server of vllm.attach, which is missing"
    ]


def test_ordinary_settings_have_no_faults():
    assert setting_faults(Vllm(model="m", extra_args={"swap_space": 4}, env={"VLLM_CPU_KVCACHE_SPACE": "2"})) == []


def test_the_server_sees_an_allow_list_of_our_environment():
    ours = {
        "PATH": "/bin",
        "OMP_NUM_THREADS": "4",
        "LC_ALL": "C",
        "HF_TOKEN": "s",
        "SLURM_JWT": "s",
        "RAY_ADDRESS": "x",
    }
    passed = environment({**ours, "VLLM_TRACE_FUNCTION": "1", "https_proxy": "p", "PYTHONPATH": "/evil"})
    assert passed.items() >= {"PATH": "/bin", "OMP_NUM_THREADS": "4", "LC_ALL": "C"}.items()
    assert not passed.keys() & {
        "HF_TOKEN",
        "SLURM_JWT",
        "RAY_ADDRESS",
        "VLLM_TRACE_FUNCTION",
        "https_proxy",
        "PYTHONPATH",
    }


def test_a_model_in_a_folder_means_no_network():
    assert environment()["HF_HUB_OFFLINE"] == "1"
    online = environment({"https_proxy": "p"}, folder_model=False)
    assert "HF_HUB_OFFLINE" not in online
    assert online["https_proxy"] == "p"


def test_telemetry_is_off_and_every_cache_is_private():
    passed = environment()
    assert passed["VLLM_NO_USAGE_STATS"] == passed["DO_NOT_TRACK"] == "1"
    for name in ("VLLM_CACHE_ROOT", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "XDG_CACHE_HOME"):
        assert passed[name].startswith("/c/")
    assert passed["TMPDIR"].startswith("/f/")


def test_the_config_has_the_last_word_on_the_environment_and_the_mark_stands_last():
    passed = environment({"OMP_NUM_THREADS": "4"}, env={"OMP_NUM_THREADS": "1", "VLLM_CPU_KVCACHE_SPACE": "2"})
    assert passed["OMP_NUM_THREADS"] == "1"
    assert list(passed.items())[-1] == ("HPC_QA_SERVER", "1")


def test_vllm_does_not_give_up_before_we_do():
    assert environment(startup_timeout="01:00:00")["VLLM_ENGINE_READY_TIMEOUT_S"] == "3600"
