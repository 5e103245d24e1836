"""The requests: Ray actors send them, the dispatcher decides which, when, how often, and whether the server is to blame.

Used by `worker` alone. Importing it does not import Ray; opening a `RaySession` does.
"""
