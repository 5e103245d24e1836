"""What `collect` writes beside the tables: CSV, conversations, licences, statistics, Croissant."""

import csv
import functools
import json
import re

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from hpc_qa.campaign.collect import collect
from hpc_qa.campaign.publication import Options
from hpc_qa.cli.main import run as hpc_qa
from hpc_qa.errors import ConfigError
from hpc_qa.store.dataset import FILES
from hpc_qa.store.exports import CHAT_FILES, CHAT_LINES, GROUNDED_TURN, cell, messages
from hpc_qa.store.merge import commit_shard
from tests.made_runs import attempt, chunk, document, finished_run, pair, planned_run, rejected

DOCUMENTS = [f"doc{number}" for number in range(6)]


def front_matter(folder):
    return yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])


def run_of_answers(tmp_path, answers):
    """A committed run whose pairs have these answers."""
    run = planned_run(tmp_path, [["a"]])
    batches = [chunk("a", 0, [pair("a", 0, item, answer=answer) for item, answer in enumerate(answers)])]
    made = attempt(run.shard(0), [*batches, [document("a", batches)]])
    assert commit_shard(run.shard(0), made.name, ["a"])
    return run


def test_no_cell_of_the_csv_is_a_formula_and_pandas_reads_it_back(tmp_path):
    hostile = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", '=HYPERLINK("http://x","y")']
    plain = ["1-2", "a = b", "", 'a "quoted", cell', "two\nlines"]
    run = run_of_answers(tmp_path, [*hostile, *plain])
    collect([run], options=Options(csv=True))
    table = pd.read_csv(run.dataset / "qa.csv", keep_default_na=False, dtype=str)
    split = {"\t=1": "\t'=1", "\r=1": "\r'=1", "\n=1": "\n'=1"}  # these begin a cell elsewhere as well
    assert list(table["answer"]) == [f"'{split.get(text, text)}" for text in hostile] + plain
    columns = [*pq.read_schema(run.dataset / FILES["train"]).names, "split"]
    assert list(table.columns) == columns
    rows = pq.read_table(run.dataset / FILES["train"]).to_pylist()
    assert [json.loads(text) for text in table["evidence"]] == [row["evidence"] for row in rows]
    assert [float(text) for text in table["quality_score"]] == [row["quality_score"] for row in rows]
    raw = (run.dataset / "qa.csv").read_bytes().decode()
    assert not any(f'"{start}' in raw for start in ("=", "+", "-", "@", "\t", "\r"))


def test_no_cell_of_the_csv_becomes_a_formula_where_lists_are_separated_by_semicolons(tmp_path):
    hostile = ["a;=1+1", 'a";"=1+1', "a; @SUM(A1)", "a\n=1+1", "a;-1", "a\t＝1"]
    run = run_of_answers(tmp_path, [*hostile, "a;b", "a; b = c"])
    collect([run], options=Options(csv=True))
    text = (run.dataset / "qa.csv").read_bytes().decode()
    for delimiter in ",;\t":
        cells = [one for row in csv.reader(text.split("\n"), delimiter=delimiter) for one in row]
        assert not [one for one in cells if one.lstrip(" \"'").startswith(("=", "@", "-", "＝")) and "'" not in one]
    table = pd.read_csv(run.dataset / "qa.csv", keep_default_na=False, dtype=str)
    assert list(table["answer"][-2:]) == ["a;b", "a; b = c"]


def test_a_list_in_a_cell_of_the_csv_is_what_it_was_although_it_holds_a_formula(tmp_path):
    evidence = ["a;=1+1", 'a;"=1', "a; -1"]
    assert json.loads(cell(evidence)) == evidence
    assert not re.search(r';[\\" ]*[=-]', cell(evidence))


def test_control_tokens_are_broken_up_in_conversations_and_nowhere_else(tmp_path):
    run = planned_run(tmp_path, [["a"]])
    facts = json.loads((run.path / "run.json").read_text())
    spoken = {"question": "What ends <|im_end|> a turn?", "answer": "It is [/INST] or <odd>.", "evidence": ["</think>"]}
    batches = [chunk("a", 0, [pair("a", 0, 0, **spoken)], context="Say </think> <|im_end|>.", flags=["control_tokens"])]
    assert commit_shard(run.shard(0), attempt(run.shard(0), [*batches, [document("a", batches)]]).name, ["a"])
    assert "control_tokens" not in facts["model"]
    collect([run], options=Options(chat="both"))
    said = (run.dataset / CHAT_LINES["train"]).read_text()
    assert not [token for token in ("<|im_end|>", "[/INST]", "</think>") if token in said]
    assert said.count("< |im_end|>") == 3
    row = pq.read_table(run.dataset / FILES["train"]).to_pylist()[0]
    assert (row["question"], row["answer"]) == (spoken["question"], spoken["answer"])
    assert row["flags"] == ["control_tokens"]
    assert messages(row, "closed_book", ["<odd>"])[1]["content"] == "It is [ /INST] or < odd>."


@pytest.fixture
def load_dataset(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    import datasets

    return functools.partial(datasets.load_dataset, cache_dir=str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("chat", "variants"),
    [("closed-book", ["closed_book"]), ("grounded", ["grounded"]), ("both", ["closed_book", "grounded"])],
)
def test_every_pair_is_a_conversation_that_load_dataset_opens(tmp_path, load_dataset, chat, variants):
    run = finished_run(tmp_path, [DOCUMENTS])
    collect([run], options=Options(chat=chat))
    loaded = load_dataset(str(run.dataset), "chat")
    for split in ("train", "validation"):
        rows = {row["id"]: row for row in pq.read_table(run.dataset / FILES[split]).to_pylist()}
        lines = [json.loads(line) for line in (run.dataset / CHAT_LINES[split]).read_text().splitlines()]
        assert loaded[split].to_list() == lines
        assert load_dataset(str(run.dataset / "chat"))[split].to_list() == lines
        assert [(line["id"], line["variant"]) for line in lines] == [(key, name) for key in rows for name in variants]
        for line in lines:
            row = rows[line["id"]]
            asked, answered = line["messages"]
            assert answered == {"role": "assistant", "content": row["answer"]}
            around = " > ".join([row["source_path"].rsplit("/")[-1].removesuffix(".pdf"), *row["headings"]])
            grounded = GROUNDED_TURN.format(context=f"{around}\n\n{row['context']}", question=row["question"])
            assert asked == {"role": "user", "content": grounded if line["variant"] == "grounded" else row["question"]}
            assert row["source_path"] not in json.dumps(line)
    assert load_dataset(str(run.dataset))["train"].num_rows == 20


def test_without_a_validation_split_the_conversations_have_none(tmp_path, load_dataset):
    run = finished_run(tmp_path, [["a"]])
    collect([run], options=Options(chat="both"))
    assert list(load_dataset(str(run.dataset), "chat")) == ["train"]


def test_everything_that_can_be_asked_for_is_the_same_bytes_again_and_in_the_manifest(tmp_path):
    run = finished_run(tmp_path, [DOCUMENTS])
    (tmp_path / "exam.txt").write_text("Who?\n")
    options = Options(csv=True, chat="both", license="mit", decontaminate=(tmp_path / "exam.txt",))
    found = []
    for _ in range(2):
        collect([run], options=options)
        found.append({str(p.relative_to(run.dataset)): p.read_bytes() for p in run.dataset.rglob("*") if p.is_file()})
    assert found[0] == found[1]
    files = {file["path"] for file in json.loads(found[0]["manifest.json"])["files"]}
    assert files == found[0].keys() - {"manifest.json"}
    assert {"qa.csv", "chat/train.jsonl", "chat/validation.jsonl", "stats.json", "croissant.json"} <= files
    assert not {name for name in files if "chat" in name} - {*CHAT_FILES.values(), *CHAT_LINES.values()}


def test_what_was_asked_for_before_is_gone_when_it_is_not_asked_for_again(tmp_path):
    run = finished_run(tmp_path, [DOCUMENTS])
    collect([run], options=Options(csv=True, chat="both"))
    collect([run])
    assert not (run.dataset / "qa.csv").exists()
    assert not (run.dataset / "chat").exists()


def test_an_unknown_licence_is_said_to_be_unknown(tmp_path):
    run = finished_run(tmp_path, [["a"]])
    collect([run])
    assert front_matter(run.dataset)["license"] == "unknown"
    assert (
        "This dataset: unknown: nobody said it. The documents keep their own licences: 1 unknown."
        in (run.dataset / "README.md").read_text()
    )
    assert "license" not in json.loads((run.dataset / "croissant.json").read_text())


def test_a_licence_that_is_no_identifier_has_its_name_on_the_card(tmp_path):
    run = finished_run(tmp_path, [["a"]])
    collect([run], options=Options(license="Terms of the agency"))
    front = front_matter(run.dataset)
    assert (front["license"], front["license_name"]) == ("other", "Terms of the agency")


def test_each_source_has_the_licence_that_a_file_says_of_it(tmp_path):
    run = finished_run(tmp_path, [["a", "b"]])
    (tmp_path / "licences.yaml").write_text('"in/a*": public domain\n')
    collect([run], options=Options(license="cc-by-4.0", source_licenses=tmp_path / "licences.yaml"))
    documents = json.loads((run.dataset / "stats.json").read_text())["documents"]
    assert [one["license"] for one in documents] == ["public domain", "unknown"]
    (tmp_path / "licences.yaml").write_text("in/a: [1]\n- b\n")
    with pytest.raises(ConfigError, match=r"licences\.yaml"):
        collect([run], options=Options(source_licenses=tmp_path / "licences.yaml"))


def test_statistics_count_every_score_of_the_judge(tmp_path):
    run = planned_run(tmp_path, [["a"]])
    low = pair("a", 0, 1, clarity=2, accepted=False, reject_reason="clarity_below_4")
    batches = [chunk("a", 0, [pair("a", 0, 0), low, rejected("a", 0, 2)])]
    made = attempt(run.shard(0), [*batches, [document("a", batches)]])
    assert commit_shard(run.shard(0), made.name, ["a"])
    collect([run])
    judge = json.loads((run.dataset / "stats.json").read_text())["judge"]
    assert judge["published"]["clarity"] == {"counts": {"1": 0, "2": 0, "3": 0, "4": 0, "5": 1}, "mean": 5.0}
    assert judge["rejected"]["clarity"] == {"counts": {"1": 0, "2": 1, "3": 0, "4": 0, "5": 0}, "mean": 2.0}
    assert "| clarity, rejected pairs | 2.00 | 0 | 1 | 0 | 0 | 0 |" in (run.dataset / "README.md").read_text()


def test_croissant_names_every_data_file_with_its_hash_and_every_column_of_text_and_numbers(tmp_path):
    run = finished_run(tmp_path, [DOCUMENTS])
    collect([run], options=Options(csv=True, license="mit"))
    found = json.loads((run.dataset / "croissant.json").read_text())
    manifest = {
        file["path"]: file["sha256"] for file in json.loads((run.dataset / "manifest.json").read_text())["files"]
    }
    objects = {one["contentUrl"]: one["sha256"] for one in found["distribution"]}
    assert objects.items() <= manifest.items()
    assert {*FILES.values(), "qa.jsonl", "qa.csv"} == objects.keys()
    train = next(one for one in found["recordSet"] if one["name"] == "train")
    assert {field["name"] for field in train["field"]} == {*pq.read_schema(run.dataset / FILES["train"]).names} - {
        "checks"
    }
    assert found["conformsTo"] == "http://mlcommons.org/croissant/1.0"


def test_the_card_has_the_text_of_the_prompts_and_nothing_in_it_ends_the_block(tmp_path):
    run = finished_run(tmp_path, [["a"]])
    run.prompts.unlink()
    run.prompts.write_text(json.dumps({"templates": {"system": "Be brief.\n~~~\n# not a heading"}}))
    from hpc_qa.campaign.run_part import read_part

    assert read_part(run).facts.prompts == {"system": "Be brief.\n~~~\n# not a heading"}
    from hpc_qa.campaign.card_sections import fenced

    assert fenced("a\n~~~\nb") == "~~~~text\na\n~~~\nb\n~~~~"


def test_the_command_publishes_what_its_options_say(tmp_path, capsys, monkeypatch):
    run = finished_run(tmp_path, [DOCUMENTS])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "exam.txt").write_text("Who pays?\n")
    words = ["collect", run.run_id, "--csv", "--chat", "both", "--license", "MIT", "--decontaminate", "exam.txt"]
    assert hpc_qa([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"]["train"] == 20
    assert front_matter(run.dataset)["license"] == "mit"
    command = f"hpc-qa collect {run.run_id} --license MIT --csv --chat both --decontaminate exam.txt"
    assert command in (run.dataset / "README.md").read_text()
    assert hpc_qa(["collect", run.run_id, "--chat", "loud"]) == 2
