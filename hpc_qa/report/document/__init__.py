"""The benchmark document: filled from all records, the ledger and the forecast; what people wrote in it stays.

One module for each chapter, which takes the material and gives Markdown. Nothing is measured here.
"""
