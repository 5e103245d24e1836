"""Whether this attempt should stop admitting work, and why.

A signal handler only sets a flag here; what is in flight is finished or dropped by whoever asks.
"""


class Stopping:
    """A request to stop, from a signal or from ourselves; the first reason is kept."""

    def __init__(self) -> None:
        self.reason: str | None = None

    def request(self, reason: str) -> None:
        """Ask to stop; asking again changes nothing."""
        if self.reason is None:
            self.reason = reason

    def requested(self) -> bool:
        """Whether anybody has asked."""
        return self.reason is not None
