"""Reports for people: what the ledger, the forecast and the runs say together, on a terminal, as JSON, as a page.

Nothing is measured or decided here. A report is put together once, and every form of it shows the same figures.
"""
