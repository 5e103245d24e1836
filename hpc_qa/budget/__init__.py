"""What a corpus costs: costs of what is done, and a forecast for the rest. Pure: numbers in, numbers out.

Nothing here asks Slurm, reads the ledger or knows of runs; who calls brings the figures.
"""
