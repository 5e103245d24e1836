"""Why a vLLM server died early: its last log lines in, the likely cause and what to do out.

The table is ordered: a later line of a log often only reports that something before it failed. Settings and warnings
of a server that lives, and source lines of a traceback, name everything that could go wrong, so they are not read. An
unknown cause is said to be unknown, and the log lines speak for themselves.
"""

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cause:
    """What probably happened, what to do, and whether a second start, or another node, could do better."""

    what: str
    hint: str | None
    retryable: bool
    of_node: bool = False


_SMALLER = "a smaller vllm.max_model_len or vllm.max_num_seqs, a larger vllm.gpu_memory_utilization, or more GPUs"
_TABLE: tuple[tuple[str, Cause], ...] = (
    (
        r"No module named '?vllm",
        Cause(
            "vLLM is not installed in this environment",
            "install the `gpu` extra (or `cpu` for a trial)",
            False,
        ),
    ),
    (
        r"unrecognized arguments|invalid choice|expected one argument|argument --",
        Cause(
            "vLLM does not know one of its options",
            "look at vllm.extra_args; the log names the option",
            False,
        ),
    ),
    (
        r"current platform \w+ does not support ray",
        Cause("servers on several nodes need GPUs: vLLM lets Ray place nothing else", "slurm.nodes_per_task: 1", False),
    ),
    (
        r"must be divisible by tensor[ _]parallel|not divisible by.{0,40}(tensor|tp_size)|number of attention heads",
        Cause(
            "the model's attention heads cannot be divided among the GPUs",
            "a vllm.tensor_parallel_size that divides the number of heads",
            False,
        ),
    ),
    (
        (
            r"is larger than the available KV cache|larger than the maximum number of tokens that can be stored in KV"
            r"|No available memory for the cache blocks|KV cache is needed, which is larger"
        ),
        Cause(
            "the KV cache is too small for one request of vllm.max_model_len",
            _SMALLER,
            False,
        ),
    ),
    (
        r"on kv cache allocation is less than requested memory for kv",
        Cause(
            "out of memory for the KV cache", "a smaller VLLM_CPU_KVCACHE_SPACE in vllm.env, or more slurm.mem", False
        ),
    ),
    (
        r"User-specified max_model_len .* is greater than",
        Cause(
            "vllm.max_model_len is longer than the model's context",
            "a smaller vllm.max_model_len",
            False,
        ),
    ),
    (
        r"less than desired GPU memory utilization|Free memory on device",
        Cause(
            "the GPU is partly occupied: less memory is free than vllm.gpu_memory_utilization asks for",
            "see with nvidia-smi who holds it; another node, or a smaller vllm.gpu_memory_utilization",
            True,
            of_node=True,
        ),
    ),
    (
        r"CUDA out of memory|OutOfMemoryError|CUDA error: out of memory",
        Cause("out of GPU memory", _SMALLER, False),
    ),
    (
        (
            r"No CUDA GPUs are available|Found no NVIDIA driver|driver version is insufficient"
            r"|Failed to infer device type|Can't initialize NVML|no kernel image is available"
        ),
        Cause(
            "vLLM found no usable GPU, or the driver does not fit",
            "hpc-qa doctor; check slurm.gres and that vllm (not vllm-cpu) is installed for this driver",
            True,
            of_node=True,
        ),
    ),
    (
        r"Tensor parallel size .* (larger|exceeds)|device_count|not enough (GPUs|resources)|invalid device ordinal",
        Cause(
            "fewer GPUs are there than vllm.tensor_parallel_size asks for",
            "slurm.gres must give as many GPUs",
            False,
        ),
    ),
    (
        r"SafetensorError|MetadataIncompleteBuffer|HeaderTooLarge|InvalidHeader|incomplete metadata",
        Cause("a weight file is damaged", "copy the model again", False),
    ),
    (
        (
            r"does not recognize this architecture|are not supported for now|Cannot find model module"
            r"|has no vLLM implementation|Model architectures .* failed|should have a `model_type` key"
        ),
        Cause(
            "vLLM does not know this model's architecture",
            "another model, or a newer vLLM",
            False,
        ),
    ),
    (
        r"trust_remote_code=[T]rue|--trust-remote-code|contains custom code",
        Cause(
            "the model wants to run code of its own, which is never allowed",
            "a model that vLLM implements itself",
            False,
        ),
    ),
    (
        (
            r"Repo id must be|is not a local folder|not a valid model identifier|LocalEntryNotFound"
            r"|OfflineModeIsEnabled|couldn't connect to|Can't load the configuration|Can't load tokenizer"
            r"|RepositoryNotFound"
        ),
        Cause(
            "the model was not found",
            "vllm.model must be a folder that this node can read",
            False,
        ),
    ),
    (
        r"Address already in use",
        Cause(
            "the socket is taken",
            "nothing else may listen in the server's folder",
            True,
        ),
    ),
    (
        r"AF_UNIX path too long",
        Cause("the path of the socket is too long", "a shorter TMPDIR", False),
    ),
    (
        r"No space left on device|Disk quota exceeded",
        Cause("a file system is full", "free space in TMPDIR and /dev/shm", True),
    ),
    (r"Too many open files", Cause("too many open files", "raise `ulimit -n`", True)),
    (
        r"Permission ?denied|PermissionError",
        Cause("a file may not be read or written", "the log names it", False),
    ),
    (
        r"Cannot allocate memory|MemoryError|DefaultCPUAllocator",
        Cause("out of memory", "more slurm.mem, or a smaller KV cache", False),
    ),
    (
        r"NCCL (error|WARN)|ncclUnhandled|ncclSystemError",
        Cause("the GPUs could not talk to each other (NCCL)", None, True, of_node=True),
    ),
)
# of Python's own errors these come again with the same model and settings
_SAME_AGAIN = re.compile(r"\b(Assertion|Attribute|Import|Key|NotImplemented|Type|Validation|Value)Error\b")
_NOISE = re.compile(
    r"Engine core initialization failed|resource_tracker|leaked shared_memory|^\s*$"
    r"|\b(INFO|DEBUG|WARNING) \d\d-\d\d |^\s*File \"|^ {4,}"
)
_PREFIX = re.compile(r"^(\([\w:]+ pid=\d+\) ?)?(ERROR \d\d-\d\d \d\d:\d\d:\d\d \[[^\]]*\] ?)?")
_KILLED = re.compile(r"Failed core proc\(s\): \{[^}]*: -9\b|\bdied with exit code -9\b")


def likely_cause(lines: Sequence[str], status: int | None = None) -> Cause:
    """The likely cause of an early death from the log's lines and the exit status."""
    said = [_PREFIX.sub("", line) for line in lines]
    text = "\n".join(line for line in said if not _NOISE.search(line))
    for pattern, cause in _TABLE:
        if re.search(pattern, text):
            return cause
    if status in (128 + signal.SIGKILL, -signal.SIGKILL) or any(_KILLED.search(line) for line in lines):
        return Cause(
            "it was killed from outside, probably for memory",
            "more slurm.mem; sacct shows OUT_OF_MEMORY",
            True,
        )
    if _SAME_AGAIN.search(text):
        return Cause("vLLM refused this model or these settings", "the log says which", False)
    return Cause("the cause is not known", "the server's log says more", True)


def telling_lines(lines: Sequence[str], *, limit: int = 12) -> list[str]:
    """The lines to show: the first error and the end, without talk and source lines; else the last ones."""
    kept = [line.rstrip() for line in lines if line.strip()]
    telling = [line for line in kept if not _NOISE.search(_PREFIX.sub("", line))]
    first = next((number for number, line in enumerate(telling) if re.search(r"Error\b", line)), None)
    if first is None:
        return kept[-limit:]
    end = max(first + 3, len(telling) - (limit - 3))
    return telling[first : first + 3] + telling[end:]
