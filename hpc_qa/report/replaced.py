"""A file that a report is written to: whole or not at all, in place of the one that is there."""

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from hpc_qa.errors import StoreError
from hpc_qa.store.files import FILE_MODE, storage_error, write_all


def replace_file(path: Path, data: bytes, what: str, *, keep_rights: bool = False) -> None:
    """Write the file, a private one; one that is there is replaced, and may keep its rights. `what`: for messages.

    Raises:
        StoreError: it cannot be written there.
    """
    path = path.resolve()  # of a link what it leads to is replaced, and not the link
    if path.exists() and not path.is_file():
        raise StoreError(
            f"{path}: the {what} cannot be written: there is something that is no file",
            hint=f"name a file for the {what}; then the same command again",
        )
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        mode = stat.S_IMODE(path.stat().st_mode) if keep_rights and path.exists() else FILE_MODE
        write_all(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), [data])
        temporary.chmod(mode)
        os.replace(temporary, path)
    except OSError as exc:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise storage_error(path, f"the {what} cannot be written", exc) from exc
