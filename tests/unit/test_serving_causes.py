import pytest

from hpc_qa.serving.causes import likely_cause, telling_lines

LOGS = [
    ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.", "out of GPU memory", False),
    (
        "Free memory on device cuda:0 (20.1/79.2 GiB) on startup is less than desired GPU memory utilization",
        "partly occupied",
        True,
    ),
    (
        "(16.0 GiB KV cache is needed, which is larger than the available KV cache memory (3.1 GiB).",
        "KV cache is too small",
        False,
    ),
    ("ValueError: No available memory for the cache blocks.", "KV cache is too small", False),
    (
        "Value error, Total number of attention heads (9) must be divisible by tensor parallel size (2).",
        "attention heads",
        False,
    ),
    ("safetensors_rust.SafetensorError: Error while deserializing header: MetadataIncompleteBuffer", "damaged", False),
    (
        "The checkpoint has model type `foo` but Transformers does not recognize this architecture",
        "architecture",
        False,
    ),
    ("ValueError: Model architectures ['Foo'] are not supported for now.", "architecture", False),
    ("No module named vllm.entrypoints", "not installed", False),
    ("RuntimeError: No CUDA GPUs are available", "no usable GPU", True),
    ("api_server.py: error: unrecognized arguments: --max-model-length 12", "options", False),
    ("OSError: [Errno 98] Address already in use", "socket is taken", True),
    ("OSError: [Errno 28] No space left on device", "file system is full", True),
    ("PermissionError: [Errno 13] Permission denied: '/models/x/config.json'", "may not be read", False),
    ("contains custom code which must be executed; set trust_remote_code=True", "code of its own", False),
]


@pytest.mark.parametrize(("line", "cause", "retryable"), LOGS)
def test_the_likely_cause_is_named_in_spite_of_what_follows_in_the_log(line, cause, retryable):
    lines = ["INFO starting", line, "RuntimeError: Engine core initialization failed. See root cause above."]
    found = likely_cause(lines, 1)
    assert cause in found.what
    assert found.retryable is retryable


def test_a_kill_from_outside_is_named():
    assert "killed" in likely_cause(["INFO loading"], 137).what


def test_an_unknown_cause_is_said_to_be_unknown_and_may_be_tried_again():
    found = likely_cause(["something odd"], 3)
    assert "not known" in found.what
    assert found.retryable


def test_the_lines_shown_hold_the_first_error_and_the_end():
    lines = (
        [f"INFO {n}" for n in range(50)]
        + ["ValueError: the reason"]
        + [f"  frame {n}" for n in range(50)]
        + ["the end"]
    )
    shown = telling_lines(lines)
    assert "ValueError: the reason" in shown
    assert shown[-1] == "the end"
    assert len(shown) <= 12


def test_a_log_without_an_error_shows_its_end():
    assert telling_lines([f"line {n}" for n in range(50)])[-1] == "line 49"
    assert telling_lines([]) == []
