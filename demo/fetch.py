"""The demo's documents: chosen members of pinned archives, laid out under `cache/demo/corpus/` with their licences.

pip downloads and checks the archives, so proxies, mirrors and caches work as they do for any installation. Some
documents are turned into HTML or PDF here, as their publisher does for a web site; LICENCES.md says which. Nothing
is installed and nothing is written outside the given folder.
"""

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGES = HERE / "packages.txt"
STAMP = "made-from.sha256"
ZIP_TIME = (2026, 1, 1, 0, 0, 0)  # the same bytes on every machine

# archive member -> document in the corpus
AS_THEY_ARE = {
    "pypdf-6.6.0/resources/GeoBase_NHNC1_Data_Model_UML_EN.pdf": "hydro-network-data-model.pdf",
    "pypdf-6.6.0/resources/Seige_of_Vicksburg_Sample_OCR.pdf": "siege-of-vicksburg.pdf",
    "docutils-0.23/docs/user/rst/quickref.html": "quickref.html",
    "docutils-0.23/README.rst": "readme.txt",
    "docutils-0.23/docs/howto/security.rst": "security.txt",
    "docutils-0.23/docs/dev/testing.rst": "testing.txt",
}
AS_HTML = {
    "docutils-0.23/FAQ.rst": "faq.html",
    "docutils-0.23/docs/howto/rst-roles.rst": "creating-roles.html",
    "docutils-0.23/docs/peps/pep-0256.rst": "pep-0256.html",
    "docutils-0.23/docs/ref/rst/roles.rst": "roles.html",
}
AS_PDF = {
    "docutils-0.23/docs/dev/policies.rst": "project-policies.pdf",
    "docutils-0.23/docs/user/slide-shows.rst": "slide-shows.pdf",
    "docutils-0.23/docs/user/smartquotes.rst": "smart-quotes.pdf",
    "docutils-0.23/docs/ref/rst/definitions.rst": "standard-definitions.pdf",
}
IN_ZIP = {  # members of guides.zip
    "docutils-0.23/docs/howto/i18n.rst": "howto/i18n.html",
    "docutils-0.23/docs/user/mailing-lists.rst": "user/mailing-lists.txt",
    "docutils-0.23/docs/user/manpage.rst": "user/manpage.txt",
}
LICENCES = """# Where the demo's documents come from

| documents | package | licence | changed here |
| --- | --- | --- | --- |
| {as_they_are_docutils} and the `.txt` members of `guides.zip` | docutils 0.23 | public domain | no |
| {as_html} and the `.html` member of `guides.zip` | docutils 0.23 | public domain | rendered to HTML with docutils |
| {as_pdf} | docutils 0.23 | public domain | rendered to PDF with ReportLab |
| {as_they_are_pypdf} | pypdf 6.6.0 (`resources/`) | BSD-3-Clause | no |

The dedication of docutils and the licence of pypdf are in this folder.
"""
LICENCE_OF = {"docutils": "public domain", "pypdf": "BSD-3-Clause"}  # by package
SOURCE_LICENCES = "source-licences.yaml"  # beside the corpus; `collect --source-licenses` puts them into the dataset
NOTICES = {"docutils-0.23/COPYING.rst": "docutils-COPYING.txt", "pypdf-6.6.0/LICENSE": "pypdf-LICENSE.txt"}


def download(folder: Path) -> dict[str, Path]:
    """The archives by package name, downloaded where they are not there yet; pip checks the hashes either way."""
    folder.mkdir(parents=True, exist_ok=True)
    stamp = folder / STAMP
    if not stamp.exists() or stamp.read_text() != _sha256(PACKAGES):
        _pip_download(folder)
        stamp.write_text(_sha256(PACKAGES))
    return {path.name.split("-")[0].replace("_", "-"): path for path in folder.iterdir() if path.name != STAMP}


def _pip_download(folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    # pip reads the metadata of a source archive with its build backend; ours is in the lock file
    command += ["--no-build-isolation", "--dest", str(folder)]
    for requirement in requirements():
        name, *options = requirement.split()
        with tempfile.NamedTemporaryFile("w", suffix=".txt", prefix="demo-") as file:
            file.write(" ".join([name, *(o for o in options if o.startswith("--hash"))]))
            file.flush()
            extra = [o for o in options if not o.startswith("--hash")]
            subprocess.run([*command, *extra, "--require-hashes", "-r", file.name], check=True)


def requirements() -> list[str]:
    """The lines of packages.txt."""
    return [line for line in PACKAGES.read_text().splitlines() if line and not line.startswith("#")]


def build_corpus(archives: Sequence[Path], target: Path) -> int:
    """Lay the documents out under `target`, all of them or none; how many there are."""
    made_from = "".join(_sha256(path) for path in (PACKAGES, HERE / "fetch.py", HERE / "render.py"))
    stamp = target.parent / f"{target.name}.{STAMP}"
    if not (target.is_dir() and stamp.exists() and stamp.read_text() == made_from):
        stamp.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory(prefix=".corpus-", dir=target.parent) as name:
            scratch = Path(name)
            _unpack(archives, scratch / "sources")
            _lay_out(scratch / "sources", scratch / "corpus", target.parent)
            shutil.rmtree(target, ignore_errors=True)
            (scratch / "corpus").rename(target)
        stamp.write_text(made_from)
    return len(AS_THEY_ARE) + len(AS_HTML) + len(AS_PDF) + len(IN_ZIP)


def _lay_out(sources: Path, corpus: Path, notices: Path) -> None:
    from demo import render

    corpus.mkdir()
    for member, name in AS_THEY_ARE.items():
        shutil.copyfile(sources / member, corpus / name)
    docutils = sources / "docutils-0.23"
    for member, name in AS_HTML.items():
        (corpus / name).write_bytes(render.html(sources / member, docutils))
    for member, name in AS_PDF.items():
        (corpus / name).write_bytes(render.pdf(sources / member, docutils))
    with zipfile.ZipFile(corpus / "guides.zip", "w", zipfile.ZIP_DEFLATED) as guides:
        for member, name in IN_ZIP.items():
            source = sources / member
            data = render.html(source, docutils) if name.endswith(".html") else source.read_bytes()
            guides.writestr(zipfile.ZipInfo(name, ZIP_TIME), data)
    for member, name in NOTICES.items():
        shutil.copyfile(sources / member, notices / name)
    (notices / "LICENCES.md").write_text(_licences())
    (notices / SOURCE_LICENCES).write_text(_source_licences())


def _source_licences() -> str:
    """A line for each document: its path in the manifest, and the licence of the package that it is from."""
    inside = {member: f"guides.zip!/{name}" for member, name in IN_ZIP.items()}
    documents = AS_THEY_ARE | AS_HTML | AS_PDF | inside
    lines = sorted((name, LICENCE_OF[member.partition("-")[0]]) for member, name in documents.items())
    return "".join(f'"{name}": {licence}\n' for name, licence in lines)


def _licences() -> str:
    def listed(names: Iterator[str]) -> str:
        return ", ".join(f"`{name}`" for name in names)

    return LICENCES.format(
        as_they_are_docutils=listed(name for member, name in AS_THEY_ARE.items() if member.startswith("docutils")),
        as_they_are_pypdf=listed(name for member, name in AS_THEY_ARE.items() if member.startswith("pypdf")),
        as_html=listed(iter(AS_HTML.values())),
        as_pdf=listed(iter(AS_PDF.values())),
    )


def _unpack(archives: Sequence[Path], target: Path) -> None:
    """The members that we use: chosen documents, and docutils itself with its shared text, to render with."""
    wanted = {*AS_THEY_ARE, *AS_HTML, *AS_PDF, *IN_ZIP, *NOTICES}
    for archive in archives:
        with tarfile.open(archive) as tar:
            for member in tar:
                helper = member.name.startswith(("docutils-0.23/docutils/", "docutils-0.23/docs/header"))
                if member.isfile() and (member.name in wanted or helper) and ".." not in member.name:
                    source = tar.extractfile(member)
                    path = target / member.name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(source.read() if source else b"")
    missing = [name for name in wanted if not (target / name).exists()]
    if missing:
        raise SystemExit(f"error: not in the downloaded archives: {', '.join(sorted(missing))}")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
