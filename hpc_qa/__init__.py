"""Question-answer datasets from documents on a Slurm cluster."""

__version__ = "0.1.0"
