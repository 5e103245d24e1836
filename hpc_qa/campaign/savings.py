"""What would make a corpus fit that does not: settings that ask for less, and how large an extension would have to be.

What a setting saves is the work that the documents left would not be asked for, by what such work has cost so far. What
it does to the dataset is not known here.
"""

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hpc_qa.budget.forecast import Forecast
from hpc_qa.campaign.corpus import sizes_of
from hpc_qa.campaign.measured import Measured
from hpc_qa.campaign.projection import Projection
from hpc_qa.config import Config, Qa
from hpc_qa.manifest import Manifest

CAPS = (50, 20, 5)  # of pairs per document


@dataclass(frozen=True, slots=True)
class Saving:
    """A setting, and the GPU-hours that it would save of what is left."""

    setting: str
    gpu_hours: float
    enough: bool  # whether the corpus would then fit, with a probability of 95 %


@dataclass(frozen=True, slots=True)
class Remedies:
    """What to do about a corpus that does not fit."""

    over_by_p50: float  # GPU-hours, of what is expected
    extension: float  # with which it would fit with a probability of 95 %
    savings: tuple[Saving, ...]  # the largest first

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"savings": [asdict(one) for one in self.savings]}


def remedies(made: Projection, project: Path) -> Remedies | None:
    """What would help; None where the corpus fits, or nothing is known.

    Raises:
        ManifestError: the manifest of the corpus cannot be read.
    """
    found = made.forecast
    limit = found.budget_gpu_hours
    if found.status not in ("over", "close") or limit is None or found.p50 is None or found.p95 is None:
        return None
    if found.p95 <= limit:
        return None
    savings: list[Saving] = []
    seen, manifest = made.seen, made.manifest
    if seen is not None and manifest is not None and made.inputs.get("sizes_by") == "tokens":
        savings = _savings(made, found, seen, Manifest(manifest, project=project), project)
    return Remedies(found.p50 - limit, max(0.0, found.p95 - limit), tuple(savings))


def _savings(made: Projection, found: Forecast, seen: Measured, entries: Manifest, project: Path) -> list[Saving]:
    done = [one for one in made.costs if one.gpu_hours is not None]
    left = {one.doc_id for one in made.costs if one.gpu_hours is None}
    rate = sum(one.gpu_hours or 0.0 for one in done) / sum(one.size for one in done)
    now = _tokens(entries, seen.config, seen, left, project)
    over = (found.p95 or 0.0) - (found.budget_gpu_hours or 0.0)
    savings = []
    for setting, changed in _smaller(seen.config.qa):
        config = seen.config.model_copy(update={"qa": changed})
        saved = rate * (now - _tokens(entries, config, seen, left, project))
        if saved > 0:
            savings.append(Saving(setting, saved, saved >= over))
    return sorted(savings, key=lambda one: one.gpu_hours, reverse=True)


def _tokens(entries: Manifest, config: Config, seen: Measured, left: Collection[str], project: Path) -> float:
    sizes, _, _ = sizes_of(entries, config, seen.converter_key, project)
    return float(sum(size for doc_id, size in sizes.items() if doc_id in left))


def _smaller(qa: Qa) -> list[tuple[str, Qa]]:
    """Settings that ask for less."""
    changes: list[tuple[str, object]] = [("judge", False)] if qa.judge else []
    if qa.questions_per_chunk > 1:
        changes.append(("questions_per_chunk", qa.questions_per_chunk // 2))
    caps = [cap for cap in CAPS if qa.max_pairs_per_document is None or cap < qa.max_pairs_per_document]
    changes += [("max_pairs_per_document", cap) for cap in caps]
    return [(f"qa.{name}: {json.dumps(value)}", qa.model_copy(update={name: value})) for name, value in changes]
