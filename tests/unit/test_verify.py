import json

import pytest

from hpc_qa.campaign.verify import verify
from hpc_qa.errors import ExitCode
from hpc_qa.store.commits import set_aside
from hpc_qa.store.merge import commit_shard
from tests.made_runs import attempt, chunk, document, finished_run, pair, planned_run, whole


def change(path, old, new, count=1):
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, count))


def segment_of(run, shard=0, number=0):
    return run.shard(shard).attempts()[number].segments()[0]


def test_a_finished_run_is_proven_and_a_failed_document_is_a_proven_state(tmp_path):
    run = planned_run(tmp_path, [["a"], ["b"]], settled=[{"doc_id": "c", "state": "skipped", "reason": "empty"}])
    for index, batches in enumerate([whole("a"), [[document("b", state="failed")]]]):
        made = attempt(run.shard(index), batches)
        commit_shard(run.shard(index), made.name, ["ab"[index]])
    proof = verify(run)
    assert (proof.exit_code, proof.damage, proof.doubles, proof.notes) == (ExitCode.DONE, [], [], [])
    assert proof.documents == {"ok": 1, "failed": 1, "skipped": 1}
    assert (proof.records, proof.pairs, proof.accepted) == (8, 4, 4)
    assert proof.lines()[-1].startswith("proven")
    assert json.loads(json.dumps(proof.to_json()))["status"] == "proven"


def test_a_document_without_a_terminal_state_makes_a_run_incomplete(tmp_path):
    run = planned_run(tmp_path, [["a", "b"], ["c"]])
    attempt(run.shard(0), [*whole("a"), whole("b")[0]])
    proof = verify(run)
    assert proof.exit_code == ExitCode.INCOMPLETE
    assert proof.left == ["b", "c"]
    assert "resume" in proof.lines()[-1]


def test_a_missing_commit_alone_makes_a_run_incomplete(tmp_path):
    run = planned_run(tmp_path, [["a"]])
    attempt(run.shard(0), whole("a"))
    proof = verify(run)
    assert (proof.exit_code, proof.left, proof.uncommitted) == (ExitCode.INCOMPLETE, [], [0])


def test_a_torn_tail_is_no_damage(tmp_path):
    run = planned_run(tmp_path, [["a"]])
    made = attempt(run.shard(0), whole("a"))
    path = made.segments()[0]
    path.write_bytes(path.read_bytes()[:-5])
    proof = verify(run)
    assert proof.exit_code == ExitCode.INCOMPLETE
    assert proof.torn_bytes > 0
    second = attempt(run.shard(0), [whole("a")[-1]], restart=1)
    commit_shard(run.shard(0), second.name, ["a"])
    assert verify(run).exit_code == ExitCode.DONE


def test_work_that_was_done_again_is_counted(tmp_path):
    run = planned_run(tmp_path, [["a"]])
    attempt(run.shard(0), whole("a"))
    second = attempt(run.shard(0), whole("a")[:1], restart=1)
    commit_shard(run.shard(0), second.name, ["a"])
    attempt(run.shard(0), whole("a"), restart=2)  # it was thought dead when the others committed
    proof = verify(run)
    assert (proof.exit_code, proof.recomputed) == (ExitCode.DONE, 3 + 7)


def flip(run):
    change(segment_of(run), b"Sentence 0", b"Sentence 9")


def cut(run):
    path = segment_of(run)
    path.write_bytes(path.read_bytes()[:-1])


def take_a_line(run):
    path = segment_of(run)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[1:]))


def repeat_a_line(run):
    path = segment_of(run)
    path.write_bytes(path.read_bytes() + path.read_bytes().splitlines(keepends=True)[-1])


def copy_the_segment(run):
    path = segment_of(run)
    path.with_name("seg-001.jsonl").write_bytes(path.read_bytes())


FAULTS = {
    "a changed character": (flip, "checksum"),
    "a segment cut short": (cut, "committed"),
    "a line taken out": (take_a_line, "line of batch"),
    "a line repeated": (repeat_a_line, "changed after its own commit"),
    "a segment copied": (copy_the_segment, "changed after its own commit"),
    "a segment removed": (lambda run: segment_of(run).unlink(), "is missing"),
    "a changed commit": (
        lambda run: change(run.shard(0).commit, b'"pairs": 4', b'"pairs": 5'),
        "not as it was written",
    ),
    "a changed manifest": (lambda run: change(run.manifest, b"in/a.pdf", b"in/z.pdf"), "SHA-256"),
    "a removed manifest": (lambda run: run.manifest.unlink(), "cannot be read"),
    "a changed prompt": (lambda run: run.prompts.write_bytes(b"{ }"), "SHA-256"),
    "removed prompts": (lambda run: run.prompts.unlink(), "cannot be read"),
    "a changed plan": (lambda run: change(run.plan, b'["a"]', b'["x"]'), "not in the manifest"),
    "a torn plan": (lambda run: change(run.plan, b"}", b""), "not JSON"),
    "a plan without shards": (lambda run: change(run.plan, b'"shards"', b'"sharts"'), "missing"),
    "a removed run.json": (lambda run: run.run_json.unlink(), "is missing"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_any_change_of_a_finished_run_is_found(tmp_path, fault):
    run = finished_run(tmp_path, [["a"], ["b"]])
    harm, why = FAULTS[fault]
    harm(run)
    proof = verify(run)
    assert proof.exit_code == ExitCode.OUTSIDE
    assert any(why in line for line in (*proof.damage, *proof.doubles))
    assert proof.lines()[-1].startswith("damaged")
    assert ("resume" in proof.lines()[-1]) == (proof.damaged_shards == [0])


def test_damage_is_named_with_file_and_line(tmp_path):
    run = finished_run(tmp_path, [["a"]])
    change(segment_of(run), b"Sentence 0", b"Sentence 9")
    name = run.shard(0).attempts()[0].name
    assert f"shards/0000/{name}/seg-000.jsonl:1: does not have its checksum" in verify(run).damage
    assert verify(run).damaged_shards == [0]


@pytest.mark.parametrize("committed", [True, False])
def test_damage_that_was_computed_again_is_a_note(tmp_path, committed):
    run = finished_run(tmp_path, [["a", "b"]]) if committed else planned_run(tmp_path, [["a", "b"]])
    shard = run.shard(0)
    if not committed:
        attempt(shard, [*whole("a"), *whole("b")])
    change(segment_of(run), b"Sentence 0", b"Sentence 9")
    assert verify(run).exit_code == ExitCode.OUTSIDE
    set_aside(shard)
    second = attempt(shard, whole("a")[:1], restart=1)
    assert commit_shard(shard, second.name, ["a", "b"])
    proof = verify(run)
    assert proof.exit_code == ExitCode.DONE
    assert "recomputed when the shard was committed" in proof.notes[0]


def test_a_document_with_two_terminal_states_is_double_until_a_commit_settles_it(tmp_path):
    run = planned_run(tmp_path, [["a"]])
    attempt(run.shard(0), [[document("a", state="failed")]])
    second = attempt(run.shard(0), [[document("a", state="skipped")]], restart=1)
    proof = verify(run)
    assert (proof.exit_code, len(proof.doubles)) == (ExitCode.OUTSIDE, 1)
    commit_shard(run.shard(0), second.name, ["a"])
    proof = verify(run)
    assert (proof.exit_code, proof.documents) == (ExitCode.DONE, {"failed": 1})
    assert "settled" in proof.notes[0]


WRONG_RECORDS = {
    "evidence that is not in the chunk": (chunk("a", 0, [pair("a", 0, 0, evidence=["Invented."])]), "not verbatim"),
    "a document of another shard": (chunk("z", 0, []), "not a document of this shard"),
    "a pair of another document": (
        chunk("a", 0, [pair("a", 0, 0) | {"doc_id": "b"}]),
        "another document than its chunk",
    ),
    "fewer pairs than the chunk says": (chunk("a", 0, [pair("a", 0, 0)], parsed=2), "says 2 pairs, 1 are there"),
    "a record of another program": ([{"kind": "chunk", "key": "x"}], "lacks"),
}


@pytest.mark.parametrize("what", WRONG_RECORDS)
def test_a_whole_record_that_says_what_cannot_be_is_found(tmp_path, what):
    run = planned_run(tmp_path, [["a", "b"]])
    batch, why = WRONG_RECORDS[what]
    attempt(run.shard(0), [batch])
    proof = verify(run)
    assert proof.exit_code == ExitCode.OUTSIDE
    assert any(why in line for line in proof.damage)


def test_a_document_with_two_places_or_none_is_found(tmp_path):
    double = planned_run(tmp_path, [["a", "b"], ["a"]])
    assert any("2 places" in line for line in verify(double).doubles)
    run = planned_run(tmp_path, [["a"]], nonce="0002")
    with run.manifest.open("a") as manifest:
        manifest.write('{"doc_id": "lost", "path": "lost.pdf", "sha256": ""}\n')
    assert "plan.json: lost has no place" in verify(run).damage
