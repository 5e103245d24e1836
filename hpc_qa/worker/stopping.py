"""Whether this attempt should stop admitting work, and why.

A stop is asked for by a signal, by the time limit, or by ourselves; here it is only noted. What is in flight is
finished or dropped by whoever asks.
"""

import signal
import threading
import time

from hpc_qa.slurm.environment import end_time_s, inside_slurm

TIME_LIMIT = "the time limit is near"
USR2 = signal.SIGUSR2.name  # what Slurm sends before the time limit, and on preemption where the site says so


class Stopping:
    """A request to stop; the first reason is kept."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self._in_job = inside_slurm()
        self._all = False

    def request(self, reason: str) -> None:
        """Ask to stop; asking again changes nothing."""
        if self.reason is None:
            self.reason = reason

    def requested(self) -> bool:
        """Whether anybody has asked."""
        return self.reason is not None

    def everything_ends(self) -> bool:
        """Whether server and actors were told to end as well: Slurm sends TERM to every process of a job step.

        What is in flight is lost then, and KILL follows soon.
        """
        return self._all

    def note_signal(self, number: int) -> None:
        """A signal has asked; safe in a signal handler."""
        self.request(signal.Signals(number).name)
        self._all = self._all or (number == signal.SIGTERM and self._in_job)


def stop_on_usr2(stopping: Stopping) -> None:
    """Let USR2 ask for a stop, and let nothing that we start see it.

    Slurm sends it to every process of a job step, and most programs die of it. A signal that is blocked stays blocked
    in everything that is started later, so it is blocked here and waited for in a thread.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})

    def wait() -> None:
        while True:
            signal.sigwait({signal.SIGUSR2})
            stopping.request(USR2)

    threading.Thread(target=wait, name="usr2", daemon=True).start()


def stop_before_end(stopping: Stopping, lead_s: float) -> None:
    """Ask for a stop so long before the time limit ends the job; Slurm's own signal can come late or be lost."""
    end_s = end_time_s()
    if end_s is None:
        return
    timer = threading.Timer(max(0.0, end_s - lead_s - time.time()), stopping.request, [TIME_LIMIT])
    timer.daemon = True
    timer.start()
