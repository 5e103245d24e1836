"""Plots of the benchmark records, as files and on one page: what runs gave and used, beside what is asked of them.

Each chart takes the material of the benchmark document. What is not known is never drawn as zero.
"""
