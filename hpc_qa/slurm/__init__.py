"""Slurm, through submitit: array tasks are handed over here, and the environment of one is read here.

`campaign` submits with it and `worker` asks it who it is. Nothing here knows vLLM, Ray or Parquet.
"""
