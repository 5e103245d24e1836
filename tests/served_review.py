"""The page of a review, served by a thread of the tests."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hpc_qa.campaign.review_sample import sample_of
from hpc_qa.report.review_server import ReviewServer
from hpc_qa.report.review_session import ReviewSession
from hpc_qa.store.run_directory import RunDirectory


@contextmanager
def served(run: RunDirectory, address: tuple[str, int] | Path = ("127.0.0.1", 0)) -> Iterator[ReviewServer]:
    """The server while it answers."""
    with ReviewServer(ReviewSession(run, sample_of(run), "ann"), address, idle_s=60) as server:
        thread = threading.Thread(target=server.serve)
        thread.start()
        try:
            yield server
        finally:
            server.finished = True
            thread.join()


def address_of(server: ReviewServer) -> str:
    """What a person would open."""
    return f"http://127.0.0.1:{server.port}/?token={server.token}"
