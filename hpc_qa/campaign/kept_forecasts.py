"""Forecasts that were made, kept with what they were made of, so that they can be scored when the truth is known.

projections/forecast-TIME.json   the forecast, and how its inputs were found
projections/costs-TIME.csv       every document with its size, array task and cost, for `budget forecast --costs`
"""

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

from hpc_qa.budget.costs import costs_csv
from hpc_qa.campaign.projection import Projection
from hpc_qa.store.files import make_folder_if_missing, write_once
from hpc_qa.units import iso, stamp, utc_now

FOLDER = "projections"


class Kept(NamedTuple):
    """A forecast that was kept."""

    path: Path
    content: dict[str, Any]  # of its file

    @property
    def costs(self) -> Path:
        """The table that it was made of."""
        return self.path.with_name(self.path.name.replace("forecast-", "costs-", 1)).with_suffix(".csv")


def keep(project: Path, made: Projection) -> Path | None:
    """Keep a forecast that says something, unless the newest one says the same; where it is.

    Raises:
        StoreError: the folder cannot be written.
    """
    if made.forecast.p50 is None:
        return None
    table = costs_csv(made.costs)
    content = json.loads(json.dumps(made.to_json() | {"costs_sha256": hashlib.sha256(table).hexdigest()}))
    newest: Kept | None = next(reversed(kept(project)), None)
    if newest is not None and {name: newest.content.get(name) for name in content} == content:
        return newest.path
    now = utc_now()
    path = project / FOLDER / f"forecast-{stamp(now)}.json"
    make_folder_if_missing(path.parent)
    write_once(Kept(path, content).costs, table)
    write_once(path, json.dumps({"made_at": iso(now)} | content, indent=2).encode() + b"\n")
    return path


def kept(project: Path) -> list[Kept]:
    """The forecasts that were kept, oldest first; a file that cannot be read is none of them."""
    found = []
    for path in sorted((project / FOLDER).glob("forecast-*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            continue
        if isinstance(content, dict) and "made_at" in content:
            found.append(Kept(path, content))
    return found
