"""The figures that we promise, each measured by one script of this folder.

`make bench` runs them all and prints asked and measured; `python -m benchmarks NAME...` runs some. Raw values, command
and commit are kept in `results/NAME.json`; a figure without that file counts as not measured.
"""
