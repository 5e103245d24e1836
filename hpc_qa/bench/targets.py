"""What a run should reach: profiles of a target and a critical threshold for each metric, and a record against them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from pydantic import Field

from hpc_qa.bench.record import Record
from hpc_qa.bench.stage_list import SWITCH
from hpc_qa.config import Section
from hpc_qa.config_file import read_section
from hpc_qa.errors import ConfigError, ExitCode
from hpc_qa.strict_yaml import Fault, YamlFile, read

FILE = "configs/targets.yaml"
PACKAGED = "targets.yaml"  # the same, which a test holds equal
DEFAULT = "medicaid"
MET, MISSED, CRITICAL, NO_DATA = "met", "missed", "critical", "no data"


class Target(Section):
    """What is asked of one metric."""

    aim: float | None = Field(None, ge=0)  # what is hoped for: a line in plots, no verdict
    at_least: float | None = Field(None, ge=0)
    at_most: float | None = Field(None, ge=0)
    critical_below: float | None = Field(None, ge=0)
    critical_above: float | None = Field(None, ge=0)

    def verdict(self, value: float | None) -> str:
        """Met, missed, critical, or no data.

        >>> Target(at_least=20, critical_below=10).verdict(12)
        'missed'
        """
        if value is None:
            return NO_DATA
        if _outside(value, self.critical_below, self.critical_above):
            return CRITICAL
        return MISSED if _outside(value, self.at_least, self.at_most) else MET

    def describe(self) -> str:
        """For people.

        >>> Target(at_least=40, at_most=60, critical_below=20, critical_above=80).describe()
        'at least 40, at most 60; critical below 20 or above 80'
        """
        asked = [
            f"{word} {limit:g}"
            for word, limit in (("at least", self.at_least), ("at most", self.at_most))
            if limit is not None
        ]
        critical = [
            f"{word} {limit:g}"
            for word, limit in (("below", self.critical_below), ("above", self.critical_above))
            if limit is not None
        ]
        return ", ".join(asked) + (f"; critical {' or '.join(critical)}" if critical else "")


class TargetFile(Section):
    """All profiles."""

    profiles: dict[str, dict[str, Target]] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Reached:
    """One metric of a record against its target."""

    record: str
    metric: str
    value: float | None
    verdict: str
    target: str
    profile: str | None = None  # where the targets are from

    def to_json(self) -> dict[str, Any]:
        """As `bench targets --json` prints it."""
        return asdict(self)


def load_targets(project: Path, profile: str) -> dict[str, Target]:
    """A profile of the project, or of those that come with the package.

    Raises:
        ConfigError: with all faults of the file; or there is no such profile.
    """
    own = project / FILE
    if own.exists():
        profiles = read_section(own, TargetFile, _unknown).profiles
    else:
        with as_file(files("hpc_qa.bench") / PACKAGED) as path:
            profiles = read_section(path, TargetFile, _unknown).profiles
    if profile not in profiles:
        raise ConfigError(f"there is no profile {profile!r} of targets", hint=f"there is {', '.join(sorted(profiles))}")
    return profiles[profile]


def profile_of(record: Record, project: Path) -> str:
    """The profile that a record names; where it names none, as one that was written by hand, its config as it is now.

    The default where that cannot be read or names none either.
    """
    if record.targets or record.run or not record.config_file:
        return record.targets or DEFAULT
    named = read(project / record.config_file).data.get("targets")
    return named if isinstance(named, str) else DEFAULT


def held_against_their_own(
    records: Sequence[Record], project: Path, profile: str | None = None
) -> tuple[list[str], list["Reached"]]:
    """(the profiles, every metric of every record), each by the profile that it names, or all by one.

    Raises:
        ConfigError: with all faults of the file; or there is no such profile.
    """
    named = [profile or profile_of(record, project) for record in records]
    targets = {name: load_targets(project, name) for name in dict.fromkeys(named)}
    found = [one for record, name in zip(records, named, strict=True) for one in against([record], targets[name], name)]
    return list(targets), found


def against(records: Sequence[Record], targets: dict[str, Target], profile: str | None = None) -> list[Reached]:
    """Every metric of every record."""
    return [
        Reached(record.id, name, value := MEASURED[name](record), target.verdict(value), target.describe(), profile)
        for record in records
        for name, target in targets.items()
    ]


def exit_code(found: Sequence[Reached]) -> ExitCode:
    """4 when something is critical, 5 when nothing was measured, else 0."""
    said = {one.verdict for one in found}
    if CRITICAL in said:
        return ExitCode.NO
    return ExitCode.DONE if said - {NO_DATA} else ExitCode.UNDECIDED


def _percent(part: str, whole: str) -> Callable[[Record], float | None]:
    def measured(record: Record) -> float | None:
        top, bottom = record.value(part), record.value(whole)
        return 100 * top / bottom if top is not None and bottom else None

    return measured


def _at(key: str) -> Callable[[Record], float | None]:
    return lambda record: record.value(key)


def _stage(record: Record, name: str, key: str) -> float | None:
    return next((getattr(stage, key) for stage in record.stages if stage.name == name), None)


def _cpu_percent(record: Record) -> float | None:
    while_processing = _stage(record, "generation", "cpu_percent")
    return record.results.cpu_efficiency_percent if while_processing is None else while_processing


MEASURED: dict[str, Callable[[Record], float | None]] = {
    "throughput_pdfs_per_hour": _at("results.throughput_pdfs_per_hour"),
    "host_memory_percent": _percent("results.max_cpu_memory_gb", "hardware.ram_gb_allocated"),
    "gpu_memory_percent": _percent("results.max_gpu_memory_gb", "hardware.gpu_vram_gb"),
    "model_switch_s": lambda record: _stage(record, SWITCH, "duration_s"),
    "quality_score": _at("quality.quality_score"),
    "error_rate": _at("results.error_rate"),
    "cpu_utilization_percent": _cpu_percent,
    "cpu_over_95_percent_longest_s": _at("results.cpu_over_95_percent_longest_s"),
    "gpu_utilization_percent": _at("results.avg_gpu_utilization_percent"),
}


def _unknown(file: YamlFile) -> Iterator[Fault]:
    """Metrics that nobody measures."""
    profiles = file.data.get("profiles")
    for name, metrics in profiles.items() if isinstance(profiles, dict) else ():
        for metric in metrics if isinstance(metrics, dict) else ():
            if metric not in MEASURED:
                path = ("profiles", name, metric)
                said = f"profiles.{name}.{metric} is no metric; there is {', '.join(MEASURED)}"
                yield Fault(file.lines.get(path), path, said)


def _outside(value: float, low: float | None, high: float | None) -> bool:
    return (low is not None and value < low) or (high is not None and value > high)
