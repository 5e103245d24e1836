import pytest

from hpc_qa.budget.costs import DocumentCost, read_costs
from hpc_qa.errors import ManifestError

HEADER = "doc_id,size,task_id,gpu_hours\n"


def test_a_document_without_gpu_hours_is_not_done_yet(tmp_path):
    table = tmp_path / "c.csv"
    table.write_text("\ufeffgpu_hours,task_id,size,doc_id,more\n0.5,t0,10,a,x\n,t1,20.5,b,y\n0,t1,1,c,z\n")
    assert read_costs(table) == [
        DocumentCost("a", 10.0, "t0", 0.5), DocumentCost("b", 20.5, "t1", None), DocumentCost("c", 1.0, "t1", 0.0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("a,0,t,1\n", "c.csv:2: size 0 is not above zero"),
        ("a,-3,t,1\n", "c.csv:2: size -3 is not above zero"),
        ("a,,t,1\n", "c.csv:2: the size is not known"),
        ("a,many,t,1\n", "c.csv:2: size 'many' is not a number"),
        ("a,nan,t,1\n", "c.csv:2: size 'nan' is not a number"),
        ("a,1,t,inf\n", "c.csv:2: gpu_hours 'inf' is not a number"),
        ("a,1,t,-1\n", "c.csv:2: gpu_hours -1 is below zero"),
        (",1,t,1\n", "c.csv:2: the document is not named"),
        ("a,1,,1\n", "c.csv:2: no task_id"),
        ("a\n", "c.csv:2: not as many fields as the header has"),
        ("a,1,t,1\nb,1,t,1\na,1,t,1\n", "c.csv:4: a stands in line 2 as well"),
    ],
)
def test_what_is_wrong_with_a_line_is_said_with_its_number(tmp_path, lines, said):
    (tmp_path / "c.csv").write_text(HEADER + lines)
    with pytest.raises(ManifestError) as error:
        read_costs(tmp_path / "c.csv")
    assert any(said in fault for fault in error.value.faults)


def test_all_faults_come_at_once_and_not_too_many(tmp_path):
    (tmp_path / "c.csv").write_text(HEADER + "".join(f"d{number},0,t,1\n" for number in range(80)))
    with pytest.raises(ManifestError) as error:
        read_costs(tmp_path / "c.csv")
    assert len(error.value.faults) == 51
    assert error.value.faults[-1].endswith("and 30 more faults")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no column doc_id, size, task_id, gpu_hours"),
        (HEADER.encode(), "no document in it"),
        (b"doc_id,size\na,1\n", "no column task_id, gpu_hours"),
        (b"\xff\xfe\x00", "is no CSV"),
    ],
)
def test_a_file_that_is_no_such_table_is_refused(tmp_path, content, said):
    (tmp_path / "c.csv").write_bytes(content)
    with pytest.raises(ManifestError, match=said):
        read_costs(tmp_path / "c.csv")


def test_a_table_that_is_not_there_is_said_to_be(tmp_path):
    with pytest.raises(ManifestError, match="cannot be read: No such file"):
        read_costs(tmp_path / "none.csv")
