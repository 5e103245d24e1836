"""The folders of attempts, as the ledger needs them: whose they are, when they began, their stages and samples."""

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from hpc_qa.budget.waterfall import MARKED, Span
from hpc_qa.campaign.attempts import Attempt, attempts_of, read_view
from hpc_qa.errors import StoreError
from hpc_qa.ledger import samples
from hpc_qa.ledger.samples import Figures
from hpc_qa.store.run_directory import RunDirectory


@dataclass(frozen=True, slots=True)
class AttemptFolder:
    """One attempt at a shard, by the files that its worker left."""

    run_id: str
    executor: str
    shard: int
    gpus: int | None  # that it held
    attempt: Attempt
    committed: bool  # it was the last, and closed the shard
    spans: tuple[Span, ...]

    @property
    def name(self) -> str:
        return self.attempt.directory.name

    @property
    def task(self) -> tuple[str, int]:
        """(job array, index) that wrote it: its name begins with them."""
        job, index, _restarts, _nonce = self.name.rsplit("_", 3)
        return job, int(index)

    @property
    def began_ms(self) -> int | None:
        """Its first mark, in milliseconds since 1970."""
        at = self.attempt.identity.get("started_at")
        return _ms(at) if at else None

    @property
    def last_mark_ms(self) -> int | None:
        """Its last mark."""
        marks = [span.end_ms for span in self.spans]
        if at := self.attempt.progress.get("at"):
            marks.append(_ms(at))
        return max(marks, default=self.began_ms)

    @property
    def judge_token_share(self) -> float | None:
        """The judge's part of the tokens that were computed; None where they are not kept apart, or there are none."""
        said = self.attempt.progress
        prompt, cached, completion = (said.get(f"judge_{kind}_tokens") for kind in ("prompt", "cached", "completion"))
        whole = said.get("computed_tokens")
        if not whole or prompt is None or cached is None or completion is None:
            return None
        share = float((prompt - cached + completion) / whole)
        return share if 0 <= share <= 1 else None

    def figures(self) -> Figures | None:
        """What its samples say together: as the worker summed them up, else from their lines; None without any."""
        if found := samples.from_json(read_view(self.attempt.directory.samples_json)):
            return found
        with suppress(OSError), self.attempt.directory.gpu_samples.open("rb") as lines:
            return samples.sum_up(lines)
        return None


def attempt_folders(runs: Iterable[RunDirectory]) -> Iterator[AttemptFolder]:
    """Those of these runs; a run that cannot be read is left out."""
    for run in runs:
        try:
            facts, shards = run.facts(), run.frozen_plan()["shards"]
        except StoreError:  # unreadable: hpc-qa status says so
            continue
        for index in (int(shard["index"]) for shard in shards):
            directory = run.shard(index)
            attempts = attempts_of(directory)
            for attempt in attempts:
                yield AttemptFolder(
                    run_id=run.run_id,
                    executor=str(facts["executor"]),
                    shard=index,
                    gpus=facts.get("gpus_allocated", facts.get("gpus_per_server")),
                    attempt=attempt,
                    committed=attempt is attempts[-1] and directory.commit.exists(),
                    spans=tuple(read_spans(attempt.directory.stages)),
                )


def read_spans(path: Path) -> Iterator[Span]:
    """The stages that a worker noted; a line that a kill cut off is left out."""
    with suppress(OSError):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError, RecursionError, KeyError, TypeError):
                mark: dict[str, Any] = json.loads(line)
                if mark["stage"] in MARKED:
                    yield Span(str(mark["stage"]), _ms(mark["start"]), _ms(mark["end"]))


def _ms(at: str) -> int:
    return round(datetime.fromisoformat(at).timestamp() * 1000)
