"""Questions and answers: what the model is asked, what its text means, and which pairs count.

Everything here is a function of a chunk, the settings and a reply: no server, no files of a run, no clock. May be used
by campaign, worker, store and report; uses documents, config and errors.
"""
