"""What goes wrong with the machine is not kept as a fault of the document that it happened to."""

import errno
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from hpc_qa import manifest
from hpc_qa.documents import sandbox
from hpc_qa.documents.convert import convert_all
from hpc_qa.documents.sandbox import CPU_GRACE_S, EXIT_FAILED, EXIT_MEMORY, EXIT_STORAGE, STORAGE_ERRORS, Limits
from hpc_qa.errors import StoreError
from tests import made_documents as made

Does = Callable[[str], None]


@pytest.fixture
def entries(tmp_path: Path) -> list[manifest.Entry]:
    made.write_tokenizer(tmp_path / "model")
    (tmp_path / "a.md").write_text(made.SENTENCES)
    return manifest.build([tmp_path / "a.md"], project=tmp_path).entries


@pytest.fixture
def child_does(monkeypatch: pytest.MonkeyPatch) -> Does:
    """Every child does this in place of converting its document; "" converts again."""
    original, end = sandbox.BOOT, "; serve()"

    def does(what: str) -> None:
        patch = f"\nimport os\nimport hpc_qa.documents.sandbox as room\ndef instead(*_): {what}\n"
        patched = original.removesuffix(end) + patch + "room.convert_document = instead; serve()"
        monkeypatch.setattr(sandbox, "BOOT", patched if what else original)

    return does


def test_a_child_that_somebody_killed_is_interrupted_and_its_document_tried_again(
    tmp_path: Path, entries: list[manifest.Entry], child_does: Does
) -> None:
    child_does("os.kill(os.getpid(), 9)")
    [killed] = convert_all(entries, made.config(), project=tmp_path)
    assert (killed.status, killed.reason) == ("failed", "interrupted")
    assert "SIGKILL" in killed.detail
    assert "more memory" in killed.detail
    child_does("")
    [again] = convert_all(entries, made.config(), project=tmp_path)
    assert (again.status, again.cached) == ("ok", False)


def test_a_parser_that_crashes_stays_malformed(tmp_path: Path, entries: list[manifest.Entry], child_does: Does) -> None:
    child_does("os.kill(os.getpid(), 11)")
    [crashed] = convert_all(entries, made.config(), project=tmp_path)
    assert crashed.reason == "malformed"
    assert convert_all(entries, made.config(), project=tmp_path)[0].cached


def judge(code: int, said: str = "", cpu_s: float = 0.1, peak_kib: int = 1) -> str:
    """The outcome of a child that ended with this exit code, or by a signal where it is negative."""
    server = sandbox._Server(None, None, Limits(2**30, 10.0), None)  # type: ignore[arg-type] # it judges, nothing else
    child = sandbox._Child(1, 1, 0.0, 10.0, Path(os.devnull))
    usage = (cpu_s, 0.0, peak_kib, *[0] * 13)
    status = code << 8 if code >= 0 else -code
    return server._judge(child, status, resource.struct_rusage(usage))[0]


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (0, "done"), (EXIT_FAILED, "crashed"), (EXIT_MEMORY, "memory"), (-signal.SIGABRT, "crashed"),
        (-signal.SIGBUS, "crashed"), (-signal.SIGXCPU, "timeout"), (-signal.SIGKILL, "interrupted"),
        (-signal.SIGTERM, "interrupted"), (-signal.SIGHUP, "interrupted"), (1, "interrupted"), (3, "interrupted"),
        *((EXIT_STORAGE + number, "storage") for number in sorted(STORAGE_ERRORS)),
    ],
)  # fmt: skip
def test_every_end_of_a_child_has_one_meaning(code: int, outcome: str) -> None:
    assert judge(code) == outcome


def test_a_kill_is_the_kernels_where_the_cpu_time_was_used_up_and_not_the_limits_where_memory_was_held() -> None:
    assert judge(-signal.SIGKILL, cpu_s=10.0 + CPU_GRACE_S) == "timeout"
    assert judge(-signal.SIGKILL, peak_kib=2**20) == "interrupted"
    assert judge(-signal.SIGABRT, peak_kib=2**20) == "memory"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_disk_that_refuses_the_child_stops_the_call_and_nothing_is_kept(
    tmp_path: Path, entries: list[manifest.Entry], child_does: Does, number: int
) -> None:
    child_does(f"raise OSError({number}, 'no')")
    with pytest.raises(StoreError, match=os.strerror(number)) as caught:
        convert_all(entries, made.config(), project=tmp_path)
    assert "df, quota" in (caught.value.hint or "")
    assert list((tmp_path / "cache/documents/staging").iterdir()) == []
    child_does("")
    [again] = convert_all(entries, made.config(), project=tmp_path)
    assert (again.status, again.cached) == ("ok", False)
