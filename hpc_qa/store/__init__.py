"""Everything that must survive a kill: segments, commits, the run directory, published datasets.

Used by `worker` (which writes records) and `campaign` (which reads, verifies and publishes them). No locks, no shared
append, no database: a file has one writer, and a commit can be won by only one.
"""
