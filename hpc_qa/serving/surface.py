"""What a server of ours and one of somebody else's have in common for those who use it.

How it comes to life and what happens when it dies is different: `server.py`, `attached.py`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from hpc_qa.config import Vllm
from hpc_qa.serving.metrics import ServerMetrics, scrape
from hpc_qa.serving.phases import Phase


class Server(ABC):
    """A server that can be asked while the `with` block is open; leaving it stops what is ours to stop."""

    def __init__(self, settings: Vllm, *, key: str) -> None:
        self.settings = settings
        self.key = key
        self.restarts = 0
        self.phases: list[Phase] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    @abstractmethod
    def socket(self) -> Path:
        """Where it listens."""

    @property
    @abstractmethod
    def served_model_name(self) -> str:
        """The name that requests must ask for."""

    @property
    def startup_s(self) -> float | None:
        """Seconds from its start until it was ready; None while it is not, or when it is not ours."""
        return None

    @abstractmethod
    def start(self) -> None:
        """Start it, if it is ours."""

    @abstractmethod
    def wait_ready(self, timeout_s: float | None = None, *, stop: Callable[[], bool] = lambda: False) -> bool:
        """Wait until it answers; False once `stop` says so."""

    @abstractmethod
    def death(self) -> str | None:
        """Why it is dead, or None while it is not; whether it works is for `ServerWatch` to say."""

    @abstractmethod
    def restart(self, reason: str) -> None:
        """Bring it back."""

    @abstractmethod
    def stop(self) -> None:
        """Take it down for good, if it is ours."""

    def alive(self) -> bool:
        """True while nothing says that it is dead."""
        return self.death() is None

    def metrics(self, *, timeout_s: float = 5.0) -> ServerMetrics:
        """Its metrics now."""
        return scrape(self.socket, self.key, timeout_s=timeout_s)
