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
    (
        "Available memory on node 0 (2.33/3.54 GiB) on kv cache allocation is less than requested memory for kv (9 G)",
        "out of memory for the KV cache",
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


# what a server prints while it lives names everything that can go wrong
TALK = [
    "(APIServer pid=7) INFO 11-22 08:20:18 [utils.py:233] non-default args: {'trust_remote_code=True': '--x'}",
    "(EngineCore pid=9) INFO 11-22 08:20:19 [core.py:1] Initializing a V1 LLM engine, device_count 1, No CUDA GPUs are",
    "(APIServer pid=7) WARNING 11-22 08:20:18 [x.py:1] Errors like `OSError: [Errno 24] Too many open files`",
    '(APIServer pid=7)   File "/usr/lib/vllm/config.py", line 1, in f_CUDA_out_of_memory',
    "(APIServer pid=7)     raise ValueError('trust_remote_code=True') from NCCL error",
    "(EngineCore pid=9) ERROR 11-22 08:20:19 [core.py:1]     assert x, 'CUDA out of memory'",
]


def test_settings_and_source_lines_are_not_taken_for_a_cause():
    assert "not known" in likely_cause(TALK, 1).what


def test_an_engine_that_was_killed_from_outside_is_named_and_tried_again():
    end = "(APIServer pid=7) RuntimeError: Engine core initialization failed. See root cause above. "
    found = likely_cause([*TALK, end + "Failed core proc(s): {'EngineCore': -9}"], 1)
    assert "killed from outside" in found.what
    assert found.retryable
    assert "not known" in likely_cause([*TALK, end + "Failed core proc(s): {'EngineCore': 1}"], 1).what


def test_an_error_of_python_itself_would_come_again():
    found = likely_cause([*TALK, "(EngineCore pid=9) ERROR 11-22 08:20:19 [core.py:1] KeyError: 'layers.0.w'"], 1)
    assert "refused" in found.what
    assert not found.retryable


def test_the_lines_shown_leave_out_talk_and_source_lines():
    lines = [*TALK, "pydantic_core.ValidationError: 1 validation error", "  Value error, no_such", *TALK]
    assert telling_lines(lines) == ["pydantic_core.ValidationError: 1 validation error", "  Value error, no_such"]
