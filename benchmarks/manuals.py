"""Real manuals from Debian packages, fetched for a benchmark into its own folder; nothing is installed or kept."""

import gzip
import subprocess
from pathlib import Path

from tests.real_slurm.packages import apt_get

PACKAGES = ("debian-policy", "developers-reference", "r-doc-pdf", "mpich-doc", "asn1c-doc")
TWICE = ("refman.pdf",)  # nearly the same as fullrefman.pdf, which has 2,415 pages


def fetch(folder: Path, *, twice: bool = False) -> list[Path]:
    """The PDFs of these packages, unpacked; by name. `twice`: also what is nearly the same as another.

    Raises:
        RuntimeError: apt-get cannot get them.
    """
    pool, tree = folder / "packages", folder / "manuals"
    pool.mkdir()
    tree.mkdir()
    apt_get("download", "-q", *PACKAGES, folder=pool)
    for package in pool.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", package, folder / "unpacked"], check=True)
    for path in (folder / "unpacked").rglob("*.pdf*"):
        data = path.read_bytes() if not path.is_symlink() else b""
        data = gzip.decompress(data) if path.suffix == ".gz" else data
        if data and (twice or path.name not in TWICE):
            (tree / path.name.removesuffix(".gz")).write_bytes(data)
    return sorted(tree.iterdir())


def pages(path: Path) -> int:
    """How many pages a PDF has."""
    import pypdfium2

    with pypdfium2.PdfDocument(path) as document:
        return len(document)
