"""The start of an array task, where submitit's own files cannot be written."""

import errno
import os

from hpc_qa.slurm import loader


def test_a_full_disk_at_the_start_of_an_array_task_is_one_line(tmp_path, monkeypatch, capfd):
    def fill(folder):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder / "9_0_submitted.pkl"))

    monkeypatch.setattr(loader, "inside_slurm", lambda: True)
    monkeypatch.setattr(loader, "_write_task", fill)
    submit = tmp_path / "submit"
    submit.mkdir(mode=0o700)
    tmp_path.chmod(0o700)
    assert loader.main(submit) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert line == f"hpc_qa: {submit}/9_0_submitted.pkl: No space left on device; hpc-qa resume continues"
