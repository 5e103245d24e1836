"""The columns of the ledger's tables. `docs/ledger.md` explains them for people.

Columns are added, never renamed, and new ones may be null; a file says which version wrote it. Times are UTC, units
stand in the names. Unknown is null, never zero.
"""

import pyarrow as pa

VERSION = 1
VERSION_KEY = b"hpc_qa_ledger_version"

_TIME = pa.timestamp("ms", tz="UTC")
ATTEMPT = pa.schema(
    [
        ("attempt_id", pa.string()),  # SLUID, else JobIDRaw:submit epoch
        ("cluster", pa.string()),
        ("source", pa.string()),  # sacct | local
        ("observed_at", _TIME),  # when this row was written
        ("is_final", pa.bool_()),
        ("run_id", pa.string()),  # of ours; null for other people's jobs
        ("shard", pa.int64()),
        ("job_id", pa.string()),
        ("job_id_raw", pa.int64()),
        ("array_job_id", pa.int64()),
        ("array_task_id", pa.int64()),
        ("component", pa.int64()),
        ("restarts", pa.int64()),
        ("state", pa.string()),
        ("state_detail", pa.string()),
        ("exit_code", pa.int64()),
        ("exit_signal", pa.int64()),
        ("job_name", pa.string()),
        ("user", pa.string()),
        ("account", pa.string()),
        ("partition", pa.string()),
        ("qos", pa.string()),
        ("node_list", pa.string()),
        ("nodes", pa.int64()),
        ("submit", _TIME),
        ("eligible", _TIME),
        ("start", _TIME),
        ("end", _TIME),
        ("elapsed_s", pa.int64()),
        ("suspended_s", pa.int64()),
        ("timelimit_s", pa.int64()),
        ("cpus", pa.int64()),
        ("gpu_count", pa.int64()),
        ("gpu_type", pa.string()),
        ("gpus_asked", pa.int64()),  # of an attempt that accounting has no GPUs of, and that asked for some
        ("memory_bytes", pa.int64()),
        ("billing", pa.float64()),
        ("cpu_s", pa.float64()),
        ("memory_peak_bytes", pa.int64()),
        ("mem_basis", pa.string()),
        ("gpu_hours_allocated", pa.float64()),
        ("cpu_efficiency", pa.float64()),
        ("memory_efficiency", pa.float64()),
        ("seff_cpu_efficiency", pa.float64()),
        ("seff_memory_efficiency", pa.float64()),
        ("seff_asked_at", _TIME),  # null: not yet
        ("data_quality", pa.list_(pa.string())),
        ("folder", pa.string()),  # of the attempt, below the shard of its run
        ("stages_ms", pa.map_(pa.string(), pa.int64())),  # milliseconds of each; they sum to the elapsed time
        ("sampled_gpus", pa.int64()),  # from here on: by samples of the worker, of its own node
        ("gpu_samples_share", pa.float64()),  # of the allocated GPU-seconds
        ("gpu_busy_s", pa.float64()),  # GPU-seconds
        ("gpu_utilization", pa.float64()),  # mean share while sampled
        ("gpu_memory_peak_bytes", pa.int64()),  # of one GPU
        ("gpu_energy_j", pa.float64()),
        ("energy_basis", pa.string()),  # counter | power
        ("gpu_power_mean_w", pa.float64()),  # of one GPU
        ("host_cpu_s", pa.float64()),
        ("host_memory_peak_bytes", pa.int64()),
        ("host_memory_mean_bytes", pa.int64()),
        ("busy_ms", pa.map_(pa.string(), pa.int64())),  # GPU-milliseconds by stage
        ("judge_token_share", pa.float64()),  # of the tokens that were computed
        ("raw", pa.list_(pa.string())),  # its row and those of its steps, as sacct printed them
        ("row_sha256", pa.string()),  # of what was found out: the same is not written twice
    ]
)
DOCUMENT = pa.schema(
    [
        ("run_id", pa.string()),
        ("shard", pa.int64()),
        ("committed_by", pa.string()),  # the folder of the attempt that closed the shard
        ("observed_at", _TIME),
        ("doc_id", pa.string()),
        ("doc_sha256", pa.string()),  # of its file
        ("state", pa.string()),  # ok | failed | skipped
        ("reason", pa.string()),
        ("chunks", pa.int64()),
        ("pairs", pa.int64()),
        ("accepted", pa.int64()),
        ("computed_tokens", pa.int64()),  # prompt tokens less cache hits, and completion tokens, of what counts
    ]
)
TABLES = {"attempt": ATTEMPT, "document": DOCUMENT}
