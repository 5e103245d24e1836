"""A sweep as its file describes it: which settings take which values, how often, and what each cell is called.

A cell is one combination of values on top of the base config; it is called `Benchmark_` and its labels, in the order
of the grid. Every fault of the file, of the base config and of the cells comes in one `ConfigError`. Nothing is run
here, see `sweep.py`.
"""

import hashlib
import itertools
import json
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from hpc_qa.config import Clock, Config, Name, Section
from hpc_qa.config_file import load, read_section, setting_names
from hpc_qa.errors import ConfigError
from hpc_qa.strict_yaml import Fault, YamlFile

PREFIX = "Benchmark"
MODEL = "vllm.model"
MOST_CELLS = 10_000
NAMED = {MODEL: "model", "manifest": "document_set"}  # axes that records call otherwise than the config does
OPEN_SECTIONS = ("vllm.extra_args", "vllm.env")
OF_THE_CELL = ("name", "executor")  # a cell is named by its labels, and all cells run in one place
Value = str | int | float | bool
AxisName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$")]


class Axis(Section):
    """The values of one setting; a list in the file is short for `values`."""

    values: list[Value] = Field(min_length=1)
    labels: list[Value] | None = None  # what the values are called, one for each
    name: AxisName | None = None  # what the setting is called in records

    @model_validator(mode="before")
    @classmethod
    def _list_is_short(cls, data: Any) -> Any:
        return {"values": data} if isinstance(data, list) else data

    @model_validator(mode="after")
    def _labels_fit(self) -> "Axis":
        if self.labels is not None and len(self.labels) != len(self.values):
            raise ValueError(f"{len(self.labels)} labels for {len(self.values)} values; give one for each")
        shown = [label_text(label) for label in self.labels or self.values]
        if len(set(shown)) < len(shown):
            raise ValueError("two values have the same label; give labels that differ")
        return self


class Sweep(Section):
    """A sweep file."""

    name: Name
    config: str  # the base config, from the project folder
    grid: dict[str, Axis] = Field(min_length=1)
    settings: dict[str, Value] = Field(default_factory=dict)  # dotted keys that all cells have instead of the config's
    models: dict[str, str] = Field(default_factory=dict)  # name in the grid -> folder of the model
    repeats: int = Field(1, ge=1, le=100)
    seed: int = Field(0, ge=0, le=2**63 - 1)
    order: Literal["random"] = "random"
    warm_up: int = Field(8, ge=0, le=10_000)  # requests to a server of the sweep before each cell, not measured
    cell_timeout: Clock = "04:00:00"  # a cell that takes longer on this machine is ended and counts as failed

    @property
    def size(self) -> int:
        """How many cells the grid has."""
        count = 1
        for axis in self.grid.values():
            count *= len(axis.values)
        return count


@dataclass(frozen=True, slots=True)
class Cell:
    """One combination of values."""

    name: str
    settings: dict[str, Value]  # dotted setting -> value
    labels: dict[str, Value]  # what records call the axis -> label
    config: Config

    @property
    def server(self) -> str:
        """Cells with the same can share a server: what differs between them only its clients see."""
        seen = {"vllm": self.config.vllm.model_dump(), "servers": self.config.client.local_servers}
        return hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Measurement:
    """A cell, for the first, second, ... time."""

    cell: Cell
    repeat: int  # from 1

    @property
    def key(self) -> str:
        return f"{self.cell.name}#{self.repeat}"


def axis_name(setting: str, axis: Axis) -> str:
    """What records call the setting.

    >>> axis_name("client.concurrency_limit", Axis(values=[1])), axis_name("manifest", Axis(values=["a"]))
    ('concurrency_limit', 'document_set')
    """
    return axis.name or NAMED.get(setting) or setting.rpartition(".")[2]


def label_text(label: Value) -> str:
    """A label as part of a name.

    >>> label_text("manifests/sets/small.jsonl"), label_text(0.5), label_text("qwen3_7b")
    ('small', '0.5', 'qwen3_7b')
    """
    text = str(label)
    if "/" in text:
        text = re.sub(r"\.(jsonl|txt|yaml)$", "", text.rstrip("/").rpartition("/")[2])
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-") or "value"


def load_sweep(path: Path, project: Path) -> tuple[Sweep, list[Cell]]:
    """The sweep of a file, and its cells in the order of the grid.

    Raises:
        ConfigError: with all faults of the file, of the base config and of the cells.
    """
    sweep = read_section(path, Sweep, _grid_faults)
    base = project / sweep.config
    if not base.is_file():
        raise ConfigError(f"{path}: config: there is no file {sweep.config} in {project}")
    load(base, project=project)
    cells, faults = [], []
    for chosen in _combinations(sweep):
        try:
            cells.append(_cell(sweep, chosen, base, project))
        except ConfigError as error:
            faults += [f"{path}: grid: {_of_grid(fault)}" for fault in error.faults]
    twice = {cell.name for cell in cells if sum(other.name == cell.name for other in cells) > 1}
    faults += [f"{path}: grid: two cells are called {name}; give labels that are shorter or differ" for name in twice]
    if faults:
        raise ConfigError(*dict.fromkeys(faults))
    return sweep, cells


def schedule(sweep: Sweep, cells: Sequence[Cell]) -> list[Measurement]:
    """All repeats of all cells, drawn with the seed: each repeat is a pass over all of them in an order of its own.

    Within a pass the cells that share a server follow each other, servers and cells in random order.
    """
    order = []
    for repeat in range(1, sweep.repeats + 1):
        draw = random.Random(f"{sweep.seed}:{repeat}")
        servers = list(dict.fromkeys(cell.server for cell in cells))
        draw.shuffle(servers)
        for server in servers:
            those = [cell for cell in cells if cell.server == server]
            draw.shuffle(those)
            order += [Measurement(cell, repeat) for cell in those]
    return order


def _combinations(sweep: Sweep) -> Iterator[tuple[tuple[Value, Value], ...]]:
    """(value, label) of each axis, for each cell."""
    axes = [list(zip(axis.values, axis.labels or axis.values, strict=True)) for axis in sweep.grid.values()]
    return itertools.product(*axes)


def _cell(sweep: Sweep, chosen: Sequence[tuple[Value, Value]], base: Path, project: Path) -> Cell:
    settings = dict(zip(sweep.grid, (value for value, _ in chosen), strict=True))
    labels = {
        axis_name(setting, axis): label for (setting, axis), (_, label) in zip(sweep.grid.items(), chosen, strict=True)
    }
    name = "_".join([PREFIX, *(label_text(label) for _, label in chosen)])
    given: dict[str, object] = {**sweep.settings, **settings}
    if MODEL in given:
        given[MODEL] = sweep.models.get(str(given[MODEL]), given[MODEL])
    config = load(base, project=project, overrides=given | {"name": name[:64].rstrip("-")})
    return Cell(name, settings, labels, config)


def _grid_faults(file: YamlFile) -> Iterator[Fault]:
    """Settings that no config has, and a grid that nobody would wait for."""
    known = setting_names()
    for section in ("grid", "settings"):
        named = file.data.get(section)
        for setting in named if isinstance(named, dict) else ():
            line = file.lines.get((section, setting))
            if setting in OF_THE_CELL:
                said = f"{section}: {setting} is not for a sweep: the config says where all cells run, labels name them"
                yield Fault(line, (section, setting), said)
            elif setting not in known and setting.rpartition(".")[0] not in OPEN_SECTIONS:
                yield Fault(line, (section, setting), f"{section}: {setting} is not a setting{_near(setting, known)}")
    grid = file.data.get("grid")
    if not isinstance(grid, dict):
        return
    lists = [axis.get("values") if isinstance(axis, dict) else axis for axis in grid.values()]
    cells = 1
    for values in lists:
        cells *= len(values) if isinstance(values, list) else 1
    if cells > MOST_CELLS:
        yield Fault(file.lines.get(("grid",)), ("grid",), f"grid: {cells:,} cells; at most {MOST_CELLS:,}")


def _near(setting: str, known: Sequence[str]) -> str:
    import difflib

    near = difflib.get_close_matches(setting, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _of_grid(fault: str) -> str:
    return fault.replace("(given on the command line)", "").strip()
