"""Parquet tables of what was used: append-only files, each written by one process and never changed.

What is true now is computed by views over them. Who knows Slurm, and who knows runs, hands rows in.
"""
