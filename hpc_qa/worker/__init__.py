"""One array task: bring up the server, feed it, write records, take everything down.

Started as `python -m hpc_qa.worker RUN_DIR SHARD`; nobody imports from here. This is the place where Slurm's
environment, vLLM, Ray and the store meet.
"""
