"""Documents of committed shards, as the ledger keeps them: their ends, pairs, and the tokens that they took."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from hpc_qa.errors import StoreError
from hpc_qa.store.commits import read_commit
from hpc_qa.store.files import read_jsonl
from hpc_qa.store.merge import merge_shard
from hpc_qa.store.run_directory import RunDirectory, ShardDirectory
from hpc_qa.store.segments import Batch
from hpc_qa.units import utc_now

Row = dict[str, Any]


def committed_documents(
    runs: Iterable[RunDirectory], known: Collection[tuple[str, int, str]], notes: list[str]
) -> Iterator[Row]:
    """A row for each document of the shards whose commit is not among the `known`.

    What cannot be read is left out, and said in `notes`; `hpc-qa verify` says what is wrong with it.
    """
    for run in runs:
        try:
            shards = [run.shard(int(one["index"])) for one in run.frozen_plan()["shards"]]
            commits = [(shard, commit.attempt) for shard in shards if (commit := read_commit(shard)) is not None]
            fresh = [(shard, by) for shard, by in commits if (run.run_id, shard.index, by) not in known]
            if fresh:
                files = {str(line["doc_id"]): str(line["sha256"]) for line in read_jsonl(run.manifest)}
            for shard, by in fresh:
                for row in _documents(shard):
                    row |= {"run_id": run.run_id, "shard": shard.index, "committed_by": by, "observed_at": utc_now()}
                    yield row | {"doc_sha256": files.get(row["doc_id"])}
        except (StoreError, KeyError) as error:
            notes.append(f"{run.run_id}: its documents cannot be counted: {error}; hpc-qa verify {run.run_id}")


def _documents(shard: ShardDirectory) -> list[Row]:
    tokens: Counter[str] = Counter()
    pairs: dict[str, Counter[str]] = defaultdict(Counter)

    def visit(batch: Batch) -> None:
        for record in batch.records:
            if record["kind"] == "chunk":
                cached = record["cached_tokens"] or 0
                tokens[record["doc_id"]] += record["prompt_tokens"] - cached + record["completion_tokens"]
                pairs[record["doc_id"]]["chunks"] += 1
            elif record["kind"] == "pair":
                pairs[record["doc_id"]]["pairs"] += 1
                pairs[record["doc_id"]]["accepted"] += bool(record["accepted"])

    merged = merge_shard(shard, visit)
    return [
        {"doc_id": doc_id, "state": merged.done.get(doc_id, record["state"]), "reason": merged.reason_of(doc_id)}
        | {"computed_tokens": tokens[doc_id]}
        | {name: pairs[doc_id][name] for name in ("chunks", "pairs", "accepted")}
        for doc_id, record in merged.documents.items()
    ]
