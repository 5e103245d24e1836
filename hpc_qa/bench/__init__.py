"""Benchmarks: records of runs, arms of them compared, and the targets that they are held against.

Pure but for reading and writing records. Nothing here runs a model or asks Slurm.
"""
