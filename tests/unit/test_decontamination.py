"""Pairs that a benchmark has are removed, and what is no benchmark file is refused."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hpc_qa.campaign.collect import collect
from hpc_qa.campaign.publication import Options
from hpc_qa.errors import ConfigError
from hpc_qa.qa.decontamination import Benchmarks
from hpc_qa.store.benchmark_questions import read_benchmarks
from hpc_qa.store.dataset import FILES
from hpc_qa.store.merge import commit_shard
from tests.made_runs import attempt, chunk, document, pair, planned_run

LONG = "Which of the forms that a provider files each year has to reach the agency before the first of May?"
SHORT = "Who signs the yearly plan of the state agency?"
OTHER = "When does a member have to report a change of income?"


def known(*questions: str) -> Benchmarks:
    found = Benchmarks()
    found.add("exam", questions)
    return found


def test_thirteen_words_in_a_row_are_the_benchmark_s():
    words = LONG.rstrip("?").split()
    assert known(LONG).match(f"In Ohio, {' '.join(words[2:15]).upper()} or later in the year?") == "exam"
    assert known(LONG).match(f"In Ohio, {' '.join(words[2:14])} or at some later time in the year?") is None


def test_eight_words_are_enough_where_either_question_is_short():
    eight = " ".join(LONG.split()[3:11])
    assert known(LONG).match(f"{eight}?") == "exam"
    assert known(SHORT).match(f"Tell me in one sentence and without any doubt: {SHORT}") == "exam"
    assert known(LONG).match(" ".join(LONG.split()[3:10])) is None


def test_a_question_of_fewer_than_eight_words_has_to_be_the_same():
    assert known("Who signs the plan?").match("who signs the plan") == "exam"
    assert known("Who signs the plan?").match("Who signs the plan of Ohio?") is None
    assert known("", "?").match("?") is None


def test_the_first_benchmark_that_has_it_is_named():
    found = known(SHORT)
    found.add("another", [SHORT, OTHER])
    assert (found.match(SHORT), found.match(OTHER), found.match("Who?")) == ("exam", "another", None)


def made_files(folder):
    """The same two questions as each kind of file."""
    rows = [{"id": 1, "Question": SHORT}, {"id": 2, "Question": OTHER}]
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "b.json").write_text(
        json.dumps({f"question {n}": {"question": row["Question"]} for n, row in enumerate(rows)})
    )
    (folder / "c.csv").write_text("id,Question\n" + "".join(f'{row["id"]},"{row["Question"]}"\n' for row in rows))
    pq.write_table(pa.Table.from_pylist(rows), folder / "d.parquet")
    (folder / "e.txt").write_text(f"\ufeff{SHORT}\n\n{OTHER}\n")
    (folder / "f.json").write_text(json.dumps([SHORT, OTHER]))
    return sorted(folder.iterdir())


def test_every_kind_of_file_gives_its_questions(tmp_path):
    for found in read_benchmarks(made_files(tmp_path)):
        assert [question.strip() for question in found.questions] == [SHORT, OTHER]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("gone.jsonl", None, "No such file"),
        ("exam.docx", b"x", "is none of .jsonl"),
        ("torn.jsonl", b'{"question": "Who?"}\n{"quest', "line 2: "),
        ("numbers.jsonl", b'{"question": 7}\n', "line 1: its question is no text"),
        ("other.jsonl", b'{"answer": "x"}\n', "line 1: has no column question"),
        ("list.jsonl", b"[1]\n", "line 1: is neither a text nor an object"),
        ("other.csv", b"a,b\n1,2\n", "it has a, b"),
        ("open.csv", b'question\n"Who', "unexpected end of data"),
        ("empty.txt", b"\n \n", "holds no question"),
        ("latin.txt", b"\xe9t\xe9\n", "codec can't decode"),
        ("torn.parquet", b"PAR1xxxx", "cannot be read as benchmark questions"),
        ("broken.json", b"[", "cannot be read as benchmark questions"),
    ],
)  # fmt: skip
def test_a_broken_benchmark_file_is_refused_and_says_why(tmp_path, name, content, said):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_benchmarks([tmp_path / name])
    assert str(caught.value).startswith(f"{tmp_path / name}: cannot be read as benchmark questions: ")
    assert said in str(caught.value)


def test_the_faults_of_all_files_come_at_once_and_nothing_is_published(tmp_path):
    run = planned_run(tmp_path, [["a"]])
    with pytest.raises(ConfigError) as caught:
        collect([run], options=Options(decontaminate=(tmp_path / "x.csv", tmp_path / "y.txt")))
    assert len(caught.value.faults) == 2
    assert not run.dataset.exists()


def test_contaminated_pairs_are_rejected_flagged_counted_and_on_the_card(tmp_path):
    run = planned_run(tmp_path, [["a"]])
    pairs = [pair("a", 0, 0, question=SHORT), pair("a", 0, 1, question=OTHER), pair("a", 0, 2)]
    batches = [chunk("a", 0, pairs)]
    made = attempt(run.shard(0), [*batches, [document("a", batches)]])
    assert commit_shard(run.shard(0), made.name, ["a"])
    (tmp_path / "exam.txt").write_text(SHORT)
    (tmp_path / "quiz.txt").write_text("Who knows?")
    result = collect([run], options=Options(decontaminate=(tmp_path / "quiz.txt", tmp_path / "exam.txt")))
    assert result.rows == {"train": 2, "validation": 0, "rejected": 1}
    row = pq.read_table(run.dataset / FILES["rejected"]).to_pylist()[0]
    assert (row["reject_reason"], row["contaminated_with"]) == ("contaminated", "exam.txt")
    assert [(step.name, step.lost) for step in result.funnel.steps()][-2] == ("not in a benchmark", {"contaminated": 1})
    listed = json.loads((run.dataset / "manifest.json").read_text())["decontaminated"]
    assert [(one["name"], one["questions"], one["found"]) for one in listed] == [("exam.txt", 1, 1), ("quiz.txt", 1, 0)]
    card = (run.dataset / "README.md").read_text()
    assert f"| exam.txt | `{listed[0]['sha256'][:16]}` | 1 | 1 |" in card
    collect([run])
    assert "The pairs were not compared with any benchmark." in (run.dataset / "README.md").read_text()


def test_a_question_that_is_nearly_that_of_a_benchmark_is_rejected_and_one_with_another_number_is_not(tmp_path):
    run = planned_run(tmp_path, [["a"]])
    asked = (
        "Could you tell me how long an agency keeps the forms?",
        "How long does the agency of a state keep the forms of 45 members?",
        "How long does the agency of a state keep the forms of 90 members?",
    )
    pairs = [pair("a", 0, place, question=question) for place, question in enumerate(asked)]
    batches = [chunk("a", 0, pairs)]
    made = attempt(run.shard(0), [*batches, [document("a", batches)]])
    assert commit_shard(run.shard(0), made.name, ["a"])
    (tmp_path / "exam.txt").write_text(
        "How long an agency keeps the forms?\nHow long does the agency of a state keep old forms of 45 members?\n"
    )
    result = collect([run], options=Options(decontaminate=(tmp_path / "exam.txt",)))
    assert result.rows == {"train": 1, "validation": 0, "rejected": 2}
    rows = pq.read_table(run.dataset / FILES["rejected"]).to_pylist()
    assert {row["contaminated_with"] for row in rows} == {"exam.txt"}
