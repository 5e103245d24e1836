"""One real cluster for all tests of this folder, and an echo server behind its array tasks where no model is needed.

When a test fails, what the cluster saw of it is printed.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.projects import echo_process, make_project
from tests.real_slurm import packages
from tests.real_slurm.cluster import Cluster, running_cluster
from tests.real_slurm.runs import use_test_cluster

SECTION = """
slurm:
  site: slurm/test_cluster.yaml
  stop_before_end: "00:00:25"
  mem: 2G
  cpus_per_task: 1
"""


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Three nodes with four pretended GPUs each."""
    packages.install()
    with running_cluster() as one:
        yield one


@pytest.fixture(autouse=True)
def on_the_cluster(cluster: Cluster, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[None]:
    """Slurm's programs reach this cluster; a test that fails says what the cluster saw."""
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
    before = request.session.testsfailed
    yield
    if request.session.testsfailed > before:
        print(cluster.describe())  # noqa: T201 - pytest shows it with the failure


@pytest.fixture
def echo_delay_s() -> float:
    """Seconds that the echo server takes for an answer; a test that interrupts wants more."""
    return 0.0


@pytest.fixture
def echo(echo_delay_s: float) -> Iterator[Path]:
    """The socket of an echo server; its key is "echo-key"."""
    with echo_process(delay_s=echo_delay_s) as socket:
        yield socket


@pytest.fixture
def project(tmp_path: Path, model_folder: Path, echo: Path) -> Callable[..., Path]:
    """Makes projects whose runs go to the cluster and ask the echo server."""

    def make(*, documents: int = 6, slurm: str = "", name: str = "p", **options: object) -> Path:
        folder = make_project(
            tmp_path / name, model=model_folder, socket=echo, key="echo-key", documents=documents, **options
        )
        use_test_cluster(folder)
        config = folder / "config.yaml"
        config.write_text(config.read_text().replace("executor: local", "executor: slurm") + SECTION + slurm)
        return folder

    return make
