"""`revoke`: nothing of a document is left, everything else can still be proven, and what is interrupted is repeated."""

import json
import re
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from hpc_qa.campaign.collect import collect
from hpc_qa.campaign.publication import Options
from hpc_qa.campaign.review_ratings import RATED, SKIPPED, Rating, RatingsFile, read_ratings
from hpc_qa.campaign.review_sample import kept_sample, sample_of
from hpc_qa.campaign.revoke import Revoked, prospect, revoke
from hpc_qa.campaign.revoke_targets import find_targets
from hpc_qa.campaign.status import status
from hpc_qa.campaign.verify import verify
from hpc_qa.cli.main import run as hpc_qa
from hpc_qa.errors import ConfigError, ExitCode, StoreError
from hpc_qa.store import redaction
from hpc_qa.store.dataset import FILES
from hpc_qa.store.merge import commit_shard, merge_shard
from hpc_qa.store.run_directory import RunDirectory
from tests import made_documents
from tests.made_runs import attempt, chunk, document, key, leave_traces, pair, planned_run, submission

DOCUMENTS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta"]
SECRET = "Pomegranate"  # in every text that comes from beta
AT = "2026-01-02T03:04:05.000Z"


def texts(doc_id: str, index: int) -> list[dict]:
    """One batch of a document whose texts all hold a word of its own."""
    word = SECRET if doc_id == "beta" else doc_id.title()
    again = {"answer": f"{word} once more.", "token_f1": 0.5, "differs": []}
    pairs = [
        pair(doc_id, index, item, round_trip=again,
             question=f"What does {word} rule {item} of {key(doc_id, index)[:9]} ask for?",
             answer=f"{word} says so.", evidence=[f"{word} is the rule {item}."], judge={"reason": f"{word} is clear"})
        for item in range(2)
    ]  # fmt: skip
    shared = ("doc_id", "chunk_id", "chunk_index", "evidence_numbers", "clarity", "accuracy", "relevance", "created_at")
    control = {name: pairs[0][name] for name in (*shared, "question", "answer", "evidence", "quality_score", "judge")}
    control |= {
        "kind": "control",
        "key": key("control", doc_id, index),
        "item": 0,
        "control": "negation",
        "good": False,
    }
    control |= {"shown_chunk_id": f"{doc_id}-{index}", "accepted": False, "reject_reason": "grounded"}
    control |= dict.fromkeys(("grounded", "answerable", "self_contained"), False)
    context = " ".join(f"{word} is the rule {item}." for item in range(2))
    return [control, *chunk(doc_id, index, pairs, context=context, headings=[f"On {word}"], controls=1)]


def made_run(
    project: Path, nonce: str = "0001", documents: list[str] = DOCUMENTS, *, commits: bool = True
) -> RunDirectory:
    """A run of two shards, the first of which two attempts have worked on."""
    half = len(documents) // 2
    shards = [documents[:half], documents[half:]]
    run = planned_run(project, shards, nonce=nonce)
    for shard, names in enumerate(shards):
        work = [[texts(name, index) for index in range(2)] for name in names]
        batches = [
            batch for name, chunks in zip(names, work, strict=True) for batch in [*chunks, [document(name, chunks)]]
        ]
        if shard == 0:
            attempt(run.shard(0), batches[:4], restart=1)
        made = attempt(run.shard(shard), batches[3:] if shard == 0 else batches)
        if commits:
            assert commit_shard(run.shard(shard), made.name, names)
    return run


def revoked(project: Path, text: str, reason: str | None = None) -> Revoked:
    return revoke(project, prospect(project, find_targets(project, text)), reason=reason)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def holding(folder: Path, word: str = SECRET) -> list[str]:
    """The files that hold this word; Parquet is read."""
    found = []
    for name, content in bytes_of(folder).items():
        rows = repr(pq.read_table(folder / name).to_pylist()).encode() if name.endswith(".parquet") else b""
        if word.encode() in content + rows:
            found.append(name)
    return found


def test_nothing_that_came_from_the_document_is_left_and_the_rest_is_proven(tmp_path):
    run = made_run(tmp_path)
    collect([run], options=Options(csv=True, chat="both"))
    before = verify(run)
    assert holding(tmp_path)
    result = revoked(tmp_path, "beta", reason="withdrawn")
    assert (result.exit_code, result.segments, result.datasets) == (ExitCode.DONE, 2, [str(run.dataset)])
    assert holding(tmp_path) == []
    proof = verify(run)
    assert (proof.exit_code, proof.damage, proof.doubles) == (ExitCode.DONE, [], [])
    assert (before.documents, proof.documents) == ({"ok": 6}, {"ok": 5, "skipped": 1})
    assert proof.reasons == {"skipped: revoked": 1}
    assert [line.split(" by ")[0] for line in proof.revoked] == ["beta was revoked"]
    assert proof.revoked[0].endswith(": withdrawn")
    assert any("revoked" in line for line in proof.lines())
    rows = [row for name in FILES.values() for row in pq.read_table(run.dataset / name).to_pylist()]
    assert {row["doc_id"] for row in rows} == {*DOCUMENTS} - {"beta"}
    assert {path.name for path in run.dataset.iterdir()} >= {"qa.csv", "chat", "stats.json"}
    card = (run.dataset / "README.md").read_text()
    assert "> **Revoked:** 1 document was revoked" in card
    assert "| ended ok | 5 | 1 skipped: revoked |" in card
    assert "in/beta.pdf" not in card
    assert json.loads((run.dataset / "manifest.json").read_text())["revoked_documents"] == 1


@pytest.mark.parametrize("commits", [True, False])
def test_status_and_verify_count_the_same_before_and_after(tmp_path, commits):
    run = made_run(tmp_path, commits=commits)
    for revoke_it in (False, True):
        if revoke_it:
            revoked(tmp_path, "beta")
        now, proof = status(run), verify(run)
        assert {state: now.count(state) for state in ("ok", "failed", "skipped", "left")} == {
            "ok": proof.documents["ok"], "failed": 0, "skipped": proof.documents["skipped"], "left": len(proof.left),
        }  # fmt: skip
        assert (now.count("pairs"), now.count("accepted")) == (proof.pairs, proof.accepted)
    assert (proof.documents["skipped"], proof.pairs) == (1, 20)


def test_it_is_written_down_who_revoked_what_when_and_why(tmp_path):
    made_run(tmp_path)
    revoked(tmp_path, "beta", reason="withdrawn")
    (path,) = (tmp_path / "revoked").iterdir()
    written = json.loads(path.read_text())
    assert (path.name, written["doc_ids"], written["paths"]) == (f"{key('beta')}.json", ["beta"], ["in/beta.pdf"])
    assert written["reason"] == "withdrawn"
    assert written["by"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", written["at"])


def test_a_second_call_changes_no_byte_and_says_so(tmp_path):
    run = made_run(tmp_path)
    collect([run])
    revoked(tmp_path, "beta")
    before = bytes_of(tmp_path)
    again = revoked(tmp_path, "beta", reason="another reason")
    assert (again.segments, again.caches, again.ratings, again.datasets) == (0, 0, 0, [])
    assert "nothing: it was done before" in again.lines()[-1]
    assert bytes_of(tmp_path) == before


def test_records_of_others_stand_where_they_stood_and_a_change_of_them_still_shows(tmp_path):
    run = made_run(tmp_path)
    paths = [path for one in run.shard(0).attempts() for path in one.segments()]
    before = [path.read_bytes() for path in paths]
    revoked(tmp_path, "beta")
    for path, old in zip(paths, before, strict=True):
        new = path.read_bytes()
        assert len(new) == len(old)
        for line, was in zip(new.splitlines(), old.splitlines(), strict=True):
            assert line == was or b'"doc_id":"beta"' in was
    assert run.shard(0).commit.read_bytes()
    content = paths[1].read_bytes()
    paths[1].write_bytes(content.replace(b"Gamma says so", b"Gamma says no"))
    assert verify(run).exit_code == ExitCode.OUTSIDE
    paths[1].write_bytes(content)
    assert verify(run).exit_code == ExitCode.DONE
    paths[1].write_bytes(before[1])  # a backup brings the text back
    proof = verify(run)
    assert any("beta was revoked and its text is still there; hpc-qa revoke beta" in line for line in proof.damage)
    revoked(tmp_path, "beta")
    assert (verify(run).exit_code, holding(tmp_path)) == (ExitCode.DONE, [])


@pytest.mark.parametrize("replaced", [0, 1])
def test_what_is_interrupted_hides_the_document_at_once_and_is_repeated(tmp_path, monkeypatch, replaced):
    run = made_run(tmp_path)
    collect([run])
    left = [replaced]

    def killed(*arguments):
        if not left[0]:
            raise StoreError("killed")
        left[0] -= 1
        replace_file(*arguments)

    replace_file = redaction.replace_file
    monkeypatch.setattr(redaction, "replace_file", killed)
    with pytest.raises(StoreError, match="killed"):
        revoked(tmp_path, "beta")
    assert any("its text is still there" in line for line in verify(run).damage)
    with pytest.raises(StoreError, match="its text is still there"):
        collect([run])
    shown = []
    merge_shard(run.shard(0), lambda batch: shown.extend(record["doc_id"] for record in batch.records))
    assert set(shown) == {"alpha", "gamma"}
    monkeypatch.undo()
    assert revoked(tmp_path, "beta").exit_code == ExitCode.DONE
    assert (holding(tmp_path), verify(run).exit_code) == ([], ExitCode.DONE)


def test_two_revocations_of_one_shard_the_first_of_which_was_interrupted_are_both_proven(tmp_path, monkeypatch):
    run = made_run(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(redaction, "replace_file", lambda *_: (_ for _ in ()).throw(StoreError("killed")))
        with pytest.raises(StoreError):
            revoked(tmp_path, "beta")
    revoked(tmp_path, "alpha")
    revoked(tmp_path, "beta")
    assert (holding(tmp_path), holding(tmp_path, "Alpha")) == ([], [])
    proof = verify(run)
    assert (proof.exit_code, proof.documents["skipped"]) == (ExitCode.DONE, 2)


def test_in_an_open_shard_a_revoked_document_needs_no_more_work(tmp_path):
    run = planned_run(tmp_path, [["alpha", "beta"]])
    begun = texts("beta", 0)
    made = attempt(run.shard(0), [texts("alpha", 0), begun, [document("alpha", [texts("alpha", 0)])]])
    revoked(tmp_path, "beta")
    assert holding(tmp_path) == []
    merged = merge_shard(run.shard(0))
    assert merged.done == {"alpha": "ok", "beta": "skipped"}
    assert commit_shard(run.shard(0), made.name, ["alpha", "beta"])
    proof = verify(run)
    assert (proof.exit_code, proof.documents) == (ExitCode.DONE, {"ok": 1, "skipped": 1})
    assert collect([run]).rows == {"train": 2, "validation": 0, "rejected": 0}


def test_torn_and_damaged_lines_of_the_shard_are_blanked_as_nobody_can_tell_whose_they_are(tmp_path):
    run = planned_run(tmp_path, [["beta"]])
    batches = [texts("beta", 0), [document("beta", [texts("beta", 0)])]]
    made = attempt(run.shard(0), batches)
    path = made.segments()[0]
    path.write_bytes(path.read_bytes() + f'{{"crc32":"00000000","bytes":9,"{SECRET}'.encode())
    revoked(tmp_path, "beta")
    assert holding(tmp_path) == []
    assert verify(run).damage == []


def test_what_people_said_of_its_pairs_is_removed_and_the_rest_of_the_review_stays(tmp_path):
    run = made_run(tmp_path)
    places = {one.doc_id: one for one in sample_of(run, size=6).pairs}
    file = RatingsFile(run.review, "ann")
    scores = dict.fromkeys(("clarity", "accuracy", "relevance", "overall"), 4)
    for doc_id in ("alpha", "beta"):
        file.add(Rating(places[doc_id].key, RATED, AT, scores, f"as {SECRET if doc_id == 'beta' else doc_id} has it"))
    file.add(Rating(places["beta"].key, SKIPPED, AT, None, f"{SECRET} again"))
    file.close()
    result = revoked(tmp_path, "beta")
    assert (result.ratings, holding(tmp_path)) == (1, [])
    words = read_ratings(run.review)
    assert words.damaged == []
    assert words.by_reviewer["ann"].on(places["beta"].key) is None
    assert words.by_reviewer["ann"].on(places["alpha"].key).comment == "as alpha has it"
    assert {one.doc_id for one in kept_sample(run).pairs} == {*places} - {"beta"}


def test_conversions_of_the_content_are_deleted_and_no_other(tmp_path):
    made_run(tmp_path)
    caches = [tmp_path / "cache" / name for name in ("documents", "others")]
    (tmp_path / "other.yaml").write_text("name: x\ndocuments:\n  cache: cache/others # of another config\n")
    for cache in caches:
        for sha256 in (key("beta"), key("alpha")):
            folder = cache / sha256[:2] / sha256 / "c0ffee-pdf"
            folder.mkdir(parents=True)
            (folder / "document.md").write_text(SECRET if sha256 == key("beta") else "other")
    assert revoked(tmp_path, "beta").caches == 2
    assert holding(tmp_path) == []
    assert [len(list(cache.glob("*/*/c0ffee-pdf"))) for cache in caches] == [1, 1]


def test_a_dataset_of_several_runs_anywhere_is_found_and_published_as_it_was_asked_for(tmp_path):
    first, second = made_run(tmp_path, "0001", DOCUMENTS[:4]), made_run(tmp_path, "0002", DOCUMENTS[1:])
    out = tmp_path / "elsewhere" / "together"
    out.parent.mkdir()
    collect([first, second], out=out, options=Options(license="mit", chat="grounded"))
    collect([second])
    left = out.parent / ".together.0123abcd.tmp"
    left.mkdir()
    (left / "qa.jsonl").write_text(SECRET)
    result = revoked(tmp_path, "beta")
    assert result.datasets == sorted(map(str, (out, second.dataset)))
    assert holding(tmp_path) == []
    assert "license: mit" in (out / "README.md").read_text()
    assert (out / "chat" / "train.jsonl").exists()
    assert not (second.dataset / "chat").exists()


def test_a_dataset_that_cannot_be_published_anew_is_named_and_the_command_fails(tmp_path):
    run = made_run(tmp_path)
    exam = tmp_path / "exam.txt"
    exam.write_text("Who?")
    collect([run], options=Options(decontaminate=(exam,)))
    exam.unlink()
    result = revoked(tmp_path, "beta")
    assert result.exit_code == ExitCode.OUTSIDE
    assert "still has it" in result.failed[0]
    assert "exam.txt" in result.failed[0]
    exam.write_text("Who?")
    assert revoked(tmp_path, "beta").datasets == [str(run.dataset)]
    assert holding(tmp_path) == []


def test_a_source_is_found_by_its_path_and_not_converted_again(tmp_path, capsys, monkeypatch):
    made_documents.write_tokenizer(tmp_path / "model")
    (tmp_path / "in").mkdir()
    for name, word in (("beta.txt", SECRET), ("alpha.txt", "Alpha")):
        (tmp_path / "in" / name).write_text(f"# Rules\n\n{word} is the rule that a provider must keep.\n" * 9)
    (tmp_path / "c.yaml").write_text(
        "name: x\nmanifest: m.jsonl\nexecutor: local\nvllm: {model: model}\nqa: {chunk_size: 200}\n"
    )
    monkeypatch.chdir(tmp_path)
    assert hpc_qa(["manifest", "build", "in", "-o", "manifests/m.jsonl"]) == 0
    (tmp_path / "m.jsonl").write_bytes((tmp_path / "manifests" / "m.jsonl").read_bytes())
    assert hpc_qa(["convert", "c.yaml"]) == 0
    assert len(holding(tmp_path / "cache")) > 0
    assert hpc_qa(["revoke", "in/beta.txt", "--yes"]) == 0
    assert holding(tmp_path) == ["in/beta.txt"]  # the source is the user's own
    capsys.readouterr()
    assert hpc_qa(["convert", "c.yaml", "--json"]) == 0
    rows = {row["doc_id"].partition("-")[0]: row for row in json.loads(capsys.readouterr().out)}
    assert (rows["beta"]["status"], rows["beta"]["reason"]) == ("skipped", "revoked")
    assert rows["alpha"].keys() == rows["beta"].keys()
    assert hpc_qa(["prompt", "show", "c.yaml", "beta"]) == 2
    assert holding(tmp_path) == ["in/beta.txt"]


def test_what_was_revoked_before_is_not_asked_about_again_unless_a_dataset_has_it(tmp_path, capsys):
    run = made_run(tmp_path)
    collect([run])
    old = bytes_of(run.dataset)
    command = ["--project", str(tmp_path), "revoke", "beta"]
    assert hpc_qa([*command, "--yes"]) == 0
    capsys.readouterr()
    assert hpc_qa(command) == 0
    said = capsys.readouterr()
    assert "removed      nothing: it was done before" in said.out
    assert said.err == ""
    for name, content in old.items():  # a copy from before is put back
        (run.dataset / name).write_bytes(content)
    assert hpc_qa(command) == 2
    assert "nobody is there to ask" in capsys.readouterr().err


def manifest_of(project: Path, name: str, lines: list[dict]) -> None:
    (project / "manifests").mkdir(exist_ok=True)
    (project / "manifests" / name).write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_a_path_means_every_content_that_was_there_and_a_doc_id_only_its_own(tmp_path):
    old, new, copy = ("a" * 64, "b" * 64, "a" * 64)
    manifest_of(tmp_path, "2025.jsonl", [{"doc_id": "plan-aaaa", "path": "in/plan.pdf", "root": ".", "sha256": old}])
    manifest_of(
        tmp_path, "2026.jsonl",
        [{"doc_id": "plan-bbbb", "path": "in/plan.pdf", "root": ".", "sha256": new},
         {"doc_id": "copy-aaaa", "path": "in/copy.pdf", "root": ".", "sha256": copy}],
    )  # fmt: skip
    assert set(find_targets(tmp_path, "in/plan.pdf").contents) == {old, new}
    assert set(find_targets(tmp_path, str(tmp_path / "in" / "plan.pdf")).contents) == {old, new}
    (one,) = find_targets(tmp_path, "plan-a").contents.values()
    assert (one.sha256, one.doc_ids, one.paths) == (old, {"plan-aaaa", "copy-aaaa"}, {"in/plan.pdf", "in/copy.pdf"})
    with pytest.raises(ConfigError, match="is the beginning of 2 documents: plan-aaaa, plan-bbbb"):
        find_targets(tmp_path, "plan-")
    with pytest.raises(ConfigError, match="no document is called"):
        find_targets(tmp_path, "other")


def test_a_run_that_goes_on_is_not_touched(tmp_path):
    run = made_run(tmp_path, commits=False)
    leave_traces(run.shard(0).attempts()[-1])
    me = psutil.Process()
    task = {"shard": 1, "job_id": "4471", "pid": me.pid, "process_start_s": me.create_time()}
    run.add_submission(submission([0]) | {"tasks": [task]})
    before = bytes_of(tmp_path)
    with pytest.raises(ConfigError, match="goes on, and has the document"):
        revoked(tmp_path, "beta")
    assert bytes_of(tmp_path) == before


def test_without_anybody_to_ask_nothing_is_removed(tmp_path, capsys, monkeypatch):
    run = made_run(tmp_path)
    collect([run])
    before = bytes_of(tmp_path)
    assert hpc_qa(["--project", str(tmp_path), "revoke", "beta"]) == 2
    said = capsys.readouterr().err
    assert "nobody is there to ask; nothing was removed" in said
    assert "in/beta.pdf" in said
    assert bytes_of(tmp_path) == before
    assert hpc_qa(["--project", str(tmp_path), "revoke", "beta", "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["revoked"][0]["doc_ids"] == ["beta"]
    assert holding(tmp_path) == []
