"""The command line: parse options, call one function, print its result.

Nobody imports from here. Modules of this folder are loaded one command at a time, so that `--help` stays quick.
"""
