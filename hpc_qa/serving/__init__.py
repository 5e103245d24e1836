"""vLLM: its command line, its life, its metrics, what fits into its memory.

Used by `worker` and, for checks before anything is started, by `campaign`. Knows nothing of Ray, Slurm or records.
"""
