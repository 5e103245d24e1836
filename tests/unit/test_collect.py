import functools
import hashlib
import json

import pyarrow.parquet as pq
import pytest
import yaml

from hpc_qa.campaign.collect import choose_validation, collect
from hpc_qa.campaign.funnel import Funnel
from hpc_qa.errors import ConfigError, ExitCode, StoreError
from hpc_qa.store.dataset import FILES, read_back
from hpc_qa.store.merge import commit_shard
from tests.made_runs import attempt, chunk, document, finished_run, pair, planned_run, rejected, whole

COLUMNS = [
    "id", "question", "answer", "evidence", "context",
    "table_header", "doc_id", "source_path", "source_sha256", "pages", "headings",
    "question_type", "difficulty", "clarity", "accuracy", "relevance", "grounded", "answerable", "self_contained",
    "quality_score", "round_trip_answer", "checks", "reject_reason", "model", "model_revision", "prompt_sha256", "seed",
    "converter", "run_id", "created_at", "contaminated_with", "duplicate_of", "split_group", "flags", "page_fidelity",
]  # fmt: skip
DOCUMENTS = [f"doc{number}" for number in range(6)]


def rows(folder, split):
    return pq.read_table(folder / FILES[split]).to_pylist()


def jsonl(folder):
    return [json.loads(line) for line in (folder / "qa.jsonl").read_text().splitlines()]


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def one_shard(tmp_path, batches, documents=("a",), **settings):
    """A committed run of one shard that holds these batches."""
    run = planned_run(tmp_path, [documents], **settings)
    made = attempt(run.shard(0), batches)
    commit_shard(run.shard(0), made.name, documents)
    return run


def test_the_dataset_has_the_promised_columns_and_every_accepted_pair_once(tmp_path):
    run = finished_run(tmp_path, [DOCUMENTS[:4], DOCUMENTS[4:]])
    result = collect([run])
    assert (result.exit_code, result.path) == (ExitCode.DONE, run.dataset)
    train, validation = rows(run.dataset, "train"), rows(run.dataset, "validation")
    assert list(train[0]) == COLUMNS
    assert len(train) + len(validation) == len({row["id"] for row in train + validation}) == 24
    assert {row["doc_id"] for row in train}.isdisjoint(row["doc_id"] for row in validation)
    assert len({row["doc_id"] for row in validation}) == 1
    assert all(quote in row["context"] for row in train for quote in row["evidence"])
    assert train[0]["source_path"] == f"in/{train[0]['doc_id']}.pdf"
    assert train[0]["checks"] == {"evidence_exists": True, "numbers_occur": True}
    assert all(row["reject_reason"] is None for row in train)


def test_a_row_has_the_headings_of_its_pair_and_without_them_those_of_the_chunk(tmp_path):
    pairs = [pair("a", 0, 0, headings=["Part II", "§ 9"]), pair("a", 0, 1)]
    run = one_shard(tmp_path, [batch := chunk("a", 0, pairs), [document("a", [batch])]])
    collect([run])
    assert [row["headings"] for row in rows(run.dataset, "train")] == [["Part II", "§ 9"], ["Part I", "§ 0"]]


def test_rows_are_in_the_order_of_documents_chunks_and_items_whatever_the_order_of_work(tmp_path):
    batches = [chunk("b", index, [pair("b", index, item) for item in (1, 0)]) for index in (10, 2)]
    run = one_shard(tmp_path, [*batches, [document("b", batches)], *whole("a")], ("b", "a"))
    collect([run])
    order = [(row["doc_id"], row["pages"][0] - 1, row["answer"]) for row in rows(run.dataset, "train")]
    assert order == sorted(order)
    assert order[-1][:2] == ("b", 10)


def test_json_lines_has_the_same_rows_with_their_split(tmp_path):
    run = finished_run(tmp_path, [DOCUMENTS])
    collect([run])
    for split in ("train", "validation"):
        assert [row | {"split": split} for row in rows(run.dataset, split)] == [
            row for row in jsonl(run.dataset) if row["split"] == split
        ]


def test_collecting_again_gives_the_same_bytes_and_replaces_what_was_there(tmp_path):
    run = finished_run(tmp_path, [DOCUMENTS])
    collect([run])
    before = content(run.dataset)
    (run.dataset / "stray").write_text("left from before")
    collect([run])
    assert content(run.dataset) == before
    assert [path.name for path in run.path.glob(".*")] == []


def test_the_manifest_names_every_file_with_its_checksum_rows_and_bytes(tmp_path):
    run = finished_run(tmp_path, [DOCUMENTS])
    collect([run])
    files = json.loads((run.dataset / "manifest.json").read_text())["files"]
    found = content(run.dataset)
    assert {file["path"] for file in files} == found.keys() - {"manifest.json"}
    for file in files:
        data = found[file["path"]]
        assert (file["sha256"], file["bytes"]) == (hashlib.sha256(data).hexdigest(), len(data))


def test_fewer_than_five_documents_have_no_validation_split(tmp_path):
    run = finished_run(tmp_path, [DOCUMENTS[:4]])
    result = collect([run])
    assert result.rows == {"train": 16, "validation": 0, "rejected": 0}
    assert not (run.dataset / FILES["validation"]).exists()


def test_one_document_in_ten_is_for_validation_and_none_below_five():
    sizes = {count: len(choose_validation(f"d{n}" for n in range(count))) for count in (0, 4, 5, 14, 16, 100)}
    assert sizes == {0: 0, 4: 0, 5: 1, 14: 1, 16: 2, 100: 10}


def test_without_a_judge_the_funnel_has_no_step_for_it():
    assert "judged" in [step.name for step in Funnel().steps()]
    assert "judged" not in [step.name for step in Funnel(judge=False).steps()]


def test_rejected_pairs_are_kept_with_their_reason_and_every_loss_is_in_the_funnel(tmp_path):
    low = {"clarity": 2, "accepted": False, "reject_reason": "clarity_below_4"}
    unjudged = {"accepted": False, "reject_reason": "no_verdict", "clarity": None, "quality_score": None}
    same = "Which form has to be filed for a renewal of the provider agreement?"
    batches = [
        chunk("a", 0, [pair("a", 0, 0, question=same), rejected("a", 0, 1), pair("a", 0, 2, **low)]),
        chunk("a", 1, [pair("a", 1, 0, question=same), rejected("a", 1, 1, "no_verdict", **unjudged)]),
        chunk("a", 2, [], outcome="timeout", lost={"timeout": 5}),
    ]
    failed = chunk("b", 0, [pair("b", 0, 0)])
    everything = [*batches, [document("a", batches)], failed, [document("b", [failed], state="failed")]]
    run = one_shard(tmp_path, everything, ("a", "b"))
    result = collect([run])
    assert [(step.left, step.lost) for step in result.funnel.steps()] == [
        (20, {}),
        (6, {"shortfall": 9, "timeout": 5}),
        (5, {"numbers_occur": 1}),
        (4, {"no_verdict": 1}),
        (3, {"clarity_below_4": 1}),
        (2, {"document_failed": 1}),
        (1, {"near_duplicate": 1}),
    ]
    reasons = sorted(row["reject_reason"] for row in rows(run.dataset, "rejected"))
    assert reasons == ["clarity_below_4", "document_failed", "near_duplicate", "no_verdict", "numbers_occur"]
    assert result.rows == {"train": 1, "validation": 0, "rejected": 5}
    card = (run.dataset / "README.md").read_text()
    assert "| published, no near-duplicates | 1 | 1 near_duplicate |" in card
    assert "1 ok" in card
    assert "1 failed: poison" in card


def test_a_question_that_is_answered_differently_elsewhere_is_told_from_a_repetition(tmp_path):
    same = "How long does the agency have to decide about a renewal?"
    answers = {"a": "It has 45 days.", "b": "It has forty-five days.", "c": "It has 90 days."}
    batches = {name: chunk(name, 0, [pair(name, 0, 0, question=same, answer=answers[name])]) for name in answers}
    everything = [part for name, batch in batches.items() for part in (batch, [document(name, [batch])])]
    run = one_shard(tmp_path, everything, tuple(answers))
    result = collect([run])
    [stays] = rows(run.dataset, "train")
    gone = {row["doc_id"]: row for row in rows(run.dataset, "rejected")}
    conflicting = {name for name in gone if (name == "c") != (stays["doc_id"] == "c")}
    assert {name: row["reject_reason"] for name, row in gone.items()} == {
        name: "conflicting_answer" if name in conflicting else "near_duplicate" for name in gone
    }
    assert {row["duplicate_of"] for row in gone.values()} == {stays["id"]}
    assert stays["duplicate_of"] is None
    assert sum(result.funnel.steps()[-1].lost.values()) == 2


def test_an_incomplete_run_is_published_only_when_that_is_asked_for(tmp_path):
    run = planned_run(tmp_path, [["a", "b"]])
    attempt(run.shard(0), [*whole("a"), whole("b")[0]])
    result = collect([run])
    assert (result.exit_code, result.path) == (ExitCode.INCOMPLETE, None)
    assert not run.dataset.exists()
    result = collect([run], partial=True)
    assert (result.exit_code, result.rows["train"], result.rows["rejected"]) == (ExitCode.DONE, 4, 2)
    assert "Partial" in (run.dataset / "README.md").read_text()
    assert {row["reject_reason"] for row in rows(run.dataset, "rejected")} == {"document_unfinished"}


def test_a_damaged_run_is_not_published(tmp_path):
    run = finished_run(tmp_path, [["a"]])
    run.shard(0).attempts()[0].segments()[0].unlink()
    with pytest.raises(StoreError, match="is missing"):
        collect([run], partial=True)
    assert not run.dataset.exists()


def test_several_runs_are_published_together_and_the_same_pair_counts_once(tmp_path):
    first = finished_run(tmp_path, [["a", "b"]], nonce="0001")
    second = finished_run(tmp_path, [["b", "c"]], nonce="0002")
    with pytest.raises(ConfigError, match="several runs"):
        collect([first, second])
    result = collect([second, first, first], out=tmp_path / "together")
    train = rows(tmp_path / "together", "train")
    assert [row["doc_id"] for row in train] == ["a"] * 4 + ["b"] * 4 + ["c"] * 4
    assert {row["run_id"] for row in train if row["doc_id"] == "b"} == {first.run_id}
    assert result.funnel.steps()[-1].left == len(train) == result.funnel.parsed
    assert result.funnel.documents == {"ok": 3}


def test_a_document_that_failed_in_one_run_and_ended_ok_in_another_is_published(tmp_path):
    batches = whole("a")
    failed = one_shard(tmp_path, [batches[0], [document("a", batches[:1], state="failed")]], nonce="0001")
    good = finished_run(tmp_path, [["a"]], nonce="0002")
    result = collect([failed, good], out=tmp_path / "together")
    assert result.rows == {"train": 4, "validation": 0, "rejected": 0}


def test_a_folder_that_holds_something_else_is_never_replaced(tmp_path):
    run = finished_run(tmp_path, [["a"]])
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
    with pytest.raises(StoreError, match="something else"):
        collect([run], out=tmp_path / "thesis")
    assert content(tmp_path / "thesis") == {"chapter.tex": b"years of work"}


def test_what_a_model_wrote_that_no_file_can_hold_is_replaced(tmp_path):
    batches = [chunk("a", 0, [pair("a", 0, 0, answer="half a \ud800 character")])]
    run = one_shard(tmp_path, [*batches, [document("a", batches)]])
    collect([run])
    assert rows(run.dataset, "train")[0]["answer"] == "half a ? character"


def test_the_card_survives_hostile_names_and_says_what_loads_it(tmp_path):
    name = "x|y<script>`z`"
    run = finished_run(tmp_path, [[name]])
    collect([run])
    card = (run.dataset / "README.md").read_text()
    front = yaml.safe_load(card.split("---\n")[1])
    assert front["configs"][0]["data_files"] == [{"split": "train", "path": FILES["train"]}]
    assert "<script>" not in card.replace("\\<script\\>", "")


@pytest.fixture
def load_dataset(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    import datasets

    return functools.partial(datasets.load_dataset, cache_dir=str(tmp_path / "cache"))


def test_load_dataset_opens_it(tmp_path, load_dataset):
    batches = [chunk("z", 0, [rejected("z", 0, 0)])]
    documents = [*DOCUMENTS, "z"]
    run = one_shard(
        tmp_path, [*(b for name in DOCUMENTS for b in whole(name)), *batches, [document("z", batches)]], documents
    )
    collect([run])
    loaded = load_dataset(str(run.dataset))
    assert {split: loaded[split].num_rows for split in loaded} == {"train": 20, "validation": 4}
    assert loaded["train"].column_names == COLUMNS
    assert loaded["train"].to_list() == rows(run.dataset, "train")
    assert load_dataset(str(run.dataset), "rejected")["rejected"].num_rows == 1


def test_a_run_without_an_accepted_pair_says_so_aloud_and_its_rejected_pairs_can_be_loaded(tmp_path, load_dataset):
    batches = [chunk("a", 0, [rejected("a", 0, 0)])]
    run = one_shard(tmp_path, [*batches, [document("a", batches)]])
    result = collect([run])
    assert any(line.startswith("WARNING") for line in result.lines())
    assert "No pair was accepted" in (run.dataset / "README.md").read_text()
    assert pq.read_table(run.dataset / FILES["train"]).column_names == COLUMNS
    assert load_dataset(str(run.dataset))["rejected"].num_rows == 1


def test_a_run_without_any_pair_is_published_as_valid_files(tmp_path):
    run = one_shard(tmp_path, [[document("a", state="failed")]])
    result = collect([run])
    assert result.rows == {"train": 0, "validation": 0, "rejected": 0}
    assert jsonl(run.dataset) == rows(run.dataset, "train") == rows(run.dataset, "rejected") == []


def test_a_published_dataset_is_read_back_and_anything_else_is_not(tmp_path):
    run = finished_run(tmp_path, [DOCUMENTS])
    collect([run])
    found = read_back(run.dataset)
    assert found == {"train": 20, "validation": 4, "rejected": 0}
    with pytest.raises(StoreError, match="cannot be opened"):
        read_back(tmp_path)
    manifest = json.loads((run.dataset / "manifest.json").read_text())
    lines = (run.dataset / "qa.jsonl").read_bytes().splitlines(keepends=True)
    (run.dataset / "qa.jsonl").write_bytes(b"".join(lines[1:]))
    with pytest.raises(StoreError, match=r"qa\.jsonl: is not as it was published"):
        read_back(run.dataset)
    for file in manifest["files"]:
        file["sha256"] = hashlib.sha256((run.dataset / file["path"]).read_bytes()).hexdigest()
    (run.dataset / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(StoreError, match="its rows are not those of the Parquet files"):
        read_back(run.dataset)
    pq.write_table(pq.read_table(run.dataset / FILES["train"]).drop_columns(["answer"]), run.dataset / FILES["train"])
    manifest["files"] = []
    (run.dataset / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(StoreError, match="its columns are not those of a dataset"):
        read_back(run.dataset)
