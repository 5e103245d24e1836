"""Every error that hpc_qa raises on purpose, and the exit code it becomes.

HpcQaError
├── UsageError      the command line is wrong; nothing was done            exit 2
├── ConfigError     a setting is wrong; nothing was started                exit 2
├── ManifestError   an input is missing or no longer has its SHA-256       exit 2
├── SlurmError      sbatch or sacct refused, or answered unreadably        exit 1
├── ServerError     vLLM never became healthy, or died                     exit 1
├── ClientError     Ray did not start, its actors keep dying, or a request was lost   exit 1
├── RequestError    one completion failed; .retryable says what to do      becomes a record, not an exit
├── SandboxError    the process that converts documents died               exit 1
├── DocumentError   one document cannot be used: encrypted, malformed...   becomes a record, not an exit
└── StoreError      a segment, commit or dataset could not be written      exit 1

Foreign exceptions are turned into these at the border of the package that owns the outside system. "Incomplete",
"over budget" and "undecided" are results, not errors: see `ExitCode`.
"""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from types import MappingProxyType


class ExitCode(IntEnum):
    """What the program returns to the shell; the same meaning for every command."""

    DONE = 0
    OUTSIDE = 1  # something outside refused or broke, or `verify` found damage
    USAGE = 2  # wrong usage, config or manifest: nothing was started
    INCOMPLETE = 3  # `hpc-qa resume RUN` continues
    NO = 4  # a limit says no
    UNDECIDED = 5  # not enough data


class HpcQaError(Exception):
    """Base of all our errors.

    `faults` are the lines shown to the user, one per fault; `hint` is what to do next; `facts` is what stands beside
    them with --json.
    """

    exit_code = ExitCode.OUTSIDE
    facts: Mapping[str, object] = MappingProxyType({})

    def __init__(self, *faults: str, hint: str | None = None) -> None:
        super().__init__("; ".join(faults))
        self.faults: Sequence[str] = faults
        self.hint = hint


class UsageError(HpcQaError):
    """The command line is wrong; nothing was done."""

    exit_code = ExitCode.USAGE


class ConfigError(HpcQaError):
    """A setting is wrong; nothing was started. All faults of a file come in one error."""

    exit_code = ExitCode.USAGE


class ManifestError(HpcQaError):
    """An input list or a document named in it cannot be used; nothing was started."""

    exit_code = ExitCode.USAGE


class SlurmError(HpcQaError):
    """sbatch, sacct or the local executor refused or broke.

    `certain` is false when Slurm may have done what it was asked for, but its answer was lost.
    """

    def __init__(self, *faults: str, hint: str | None = None, certain: bool = True) -> None:
        super().__init__(*faults, hint=hint)
        self.certain = certain


class ServerError(HpcQaError):
    """vLLM never became healthy, or died.

    `log_tail` holds the last lines of its log; `retryable` is false when a second start would fail the same way;
    `of_node` is true when the node is to blame, so that another one may do better.
    """

    def __init__(
        self,
        *faults: str,
        hint: str | None = None,
        log_tail: Sequence[str] = (),
        retryable: bool = True,
        of_node: bool = False,
    ) -> None:
        super().__init__(*faults, hint=hint)
        self.log_tail = tuple(log_tail)
        self.retryable = retryable
        self.of_node = of_node


class ClientError(HpcQaError):
    """Ray did not start, its actors keep dying, or the dispatcher lost count of its requests."""


class RequestError(HpcQaError):
    """One completion failed.

    `reason` is a short stable word (`timeout`, `truncated`, `bad_output`, `refused`, `server_error`, `poison`, ...)
    that ends up in records. It crosses process borders, hence `__reduce__`.
    """

    def __init__(self, reason: str, detail: str = "", *, retryable: bool = False) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.retryable = retryable

    def __reduce__(self) -> tuple[object, ...]:
        return (_request_error, (self.reason, self.detail, self.retryable))


def _request_error(reason: str, detail: str, retryable: bool) -> RequestError:
    return RequestError(reason, detail, retryable=retryable)


class SandboxError(HpcQaError):
    """The process that converts documents did not start, or died; no document is to blame."""


class DocumentError(HpcQaError):
    """One document cannot be used; `reason` is a short word: `encrypted`, `malformed`, `empty`, `timeout`, ...

    Where its pages could be counted all the same, `pages` and the numbers of those that are pictures come along.
    """

    def __init__(
        self, reason: str, detail: str = "", *, pages: int | None = None, scanned_pages: Sequence[int] = ()
    ) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.pages = pages
        self.scanned_pages = scanned_pages


class StoreError(HpcQaError):
    """A segment, commit or dataset could not be written, or what is there is damaged."""
