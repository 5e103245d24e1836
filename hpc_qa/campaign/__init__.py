"""The login node: plan a run, submit it, watch it, resume it, verify it, collect it.

Entered from `cli`. What runs inside an array task is `worker`'s affair; the two meet only in the run directory.
"""
