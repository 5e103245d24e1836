"""A whole run over manuals with a licence in each, a table of contents and a re-issue: every chunk is accounted for."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from hpc_qa.store.dataset import FILES
from tests.projects import build_manifest, call, document_named, echo_process, make_project, proof, records, submit

LICENCE = (
    "Permission is granted to copy and to distribute this manual, provided that this notice is preserved on all of the "
    "copies and that the copies are given to others under the very same terms as the ones that are stated in here, and "
    "nobody who has contributed to it gives any warranty for what it says or for what it leaves out, in any case."
)
CONTENTS = "\n".join(f"{number}.{part} Rules of part {part} {'.' * 6} {10 * number + part}"
                     for number in range(1, 4) for part in range(1, 4))  # fmt: skip


@pytest.mark.timeout(600)
def test_every_chunk_of_a_run_is_asked_about_or_left_out_for_a_reason(tmp_path: Path, model_folder: Path) -> None:
    with echo_process() as socket:
        project = make_project(
            tmp_path / "p", model=model_folder, socket=socket, key="echo-key", documents=6, rules_each=18,
            style="extractive",
        )  # fmt: skip
        folder = project / "documents"
        for path in folder.iterdir():
            path.write_text(f"{path.read_text()}\n## Licence\n\n{LICENCE}\n")
        first = folder / "manual-000.md"
        first.write_text(f"# Contents\n\n{CONTENTS}\n\n{first.read_text()}")
        (folder / "manual-900.md").write_text(first.read_text().replace(" office must ", " office shall ", 1))
        build_manifest(project)
        code, run = submit(project)
    assert code == 0

    plan = json.loads(run.plan.read_text())
    assert plan["chunk_choice"]["reissues"] == [[document_named(run, 0), document_named(run, 900)]]
    assert {"boilerplate", "duplicate"} <= plan["chunks"].keys()
    assert plan["chunks"].keys() & {"contents", "no_sentences"}  # a small chunk holds few lines of it
    documents = {record["doc_id"]: record for record in records(run) if record["kind"] == "document"}
    chunks = [record for record in records(run) if record["kind"] == "chunk"]
    for doc_id, document in documents.items():
        asked = sum(chunk["doc_id"] == doc_id for chunk in chunks)
        assert asked + sum(document["left_out"].values()) == document["all_chunks"]
    assert not any(LICENCE[:40] in evidence for record in records(run) if record["kind"] == "pair"
                   for evidence in record["evidence"])  # fmt: skip
    assert proof(project, run)["status"] == "proven"

    assert call(project, "collect", run.run_id) == 0
    found = json.loads((run.dataset / "manifest.json").read_text())["funnel"]["chunks_of_documents"]
    assert found["chunks"] == found["asked"] + sum(found["left_out"].values()) == plan["chunks"]["chunks"]
    rows = pq.read_table(run.dataset / FILES["rejected"]).to_pylist()  # the echo server asks no good questions
    assert {row["split_group"] for row in rows if row["doc_id"] == document_named(run, 900)} == {document_named(run, 0)}
