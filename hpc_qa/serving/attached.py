"""A vLLM server that somebody else runs: used and watched like one of ours, never started or stopped."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

from hpc_qa.config import Vllm
from hpc_qa.errors import ConfigError, ServerError
from hpc_qa.serving.probe import accepts, served_names
from hpc_qa.serving.surface import Server


class AttachedServer(Server):
    """A server that somebody else runs: used over its socket, watched, never stopped.

    Raises:
        ConfigError: there is no such socket, or the key file is readable by others.
    """

    def __init__(self, settings: Vllm, *, socket: Path, key_file: Path | None = None) -> None:
        super().__init__(settings, key="" if key_file is None else read_key(key_file))
        self._socket = socket
        self._served_model_name = ""
        if not socket.is_socket():
            raise ConfigError(f"vllm.attach: {socket} is not a socket", hint="is the server running?")

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self._socket

    @property
    def served_model_name(self) -> str:
        """The name that it gave; empty before `wait_ready`."""
        return self._served_model_name

    def start(self) -> None:
        """Nothing to start."""

    def wait_ready(
        self,
        timeout_s: float | None = None,  # noqa: ARG002 - the surface of VllmServer
        *,
        stop: Callable[[], bool] = lambda: False,  # noqa: ARG002 - it answers at once
    ) -> bool:
        """Ask the server for its name.

        Raises:
            ServerError: it does not answer, refuses the key, or serves more than one model.
        """
        names = served_names(self.socket, self.key)
        if len(names) != 1:
            raise ServerError(
                f"{self.socket}: serves {', '.join(names) or 'no model'}; one model is needed",
                retryable=False,
            )
        self._served_model_name = names[0]
        return True

    def death(self) -> str | None:
        """Why it is dead, or None while something listens on its socket."""
        return None if accepts(self.socket) else f"nobody listens on {self.socket} any more"

    def restart(self, reason: str) -> None:
        """Always an error: it is not ours to restart."""
        raise ServerError(
            f"the attached server died: {reason}",
            hint="start it again, then `hpc-qa resume`",
        )

    def stop(self) -> None:
        """Nothing: it is not ours to stop."""


def read_key(path: Path) -> str:
    """The key in a file that only we can read.

    Raises:
        ConfigError: the file is missing, empty, not ours, or others may read it.
    """
    try:
        found = path.stat()
        key = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"vllm.attach_key_file: {path}: cannot be read ({exc})") from exc
    if found.st_uid != os.geteuid():
        raise ConfigError(f"vllm.attach_key_file: {path}: belongs to somebody else")
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise ConfigError(
            f"vllm.attach_key_file: {path}: others can read it",
            hint=f"chmod 600 {path}",
        )
    if not key:
        raise ConfigError(f"vllm.attach_key_file: {path}: empty")
    return key
