"""The requests: Ray actors send them, the dispatcher decides which, when and how often.

Used by `worker` alone. Importing it does not import Ray; opening a `RaySession` does.
"""
