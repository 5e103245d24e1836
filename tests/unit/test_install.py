import hashlib
import subprocess
import sys
import sysconfig
from importlib.metadata import distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "requirements"))

import install  # noqa: E402  # a script of the checkout, not a package


def test_only_a_torch_that_we_know_is_installed(tmp_path, monkeypatch):
    wheel = tmp_path / "torch-2.13.0-py3-none-any.whl"
    wheel.write_bytes(b"something else")
    with pytest.raises(SystemExit, match=r"not in requirements/torch-hashes\.txt"):
        install.checked_torch(tmp_path)
    (tmp_path / "torch-hashes.txt").write_text(hashlib.sha256(b"something else").hexdigest() + "\n")
    monkeypatch.setattr(install, "HERE", tmp_path)
    assert install.checked_torch(tmp_path) == wheel


def test_a_step_that_fails_shows_what_it_said_and_ends_with_an_error():
    with pytest.raises(SystemExit) as caught:
        install.step("try", [sys.executable, "-c", "print('the reason'); raise SystemExit(3)"])
    assert "the reason" in str(caught.value)
    assert "status 3" in str(caught.value)


def test_an_old_python_is_told_which_one_is_needed(tmp_path):
    program = f"import sys, runpy; sys.version_info = (3, 9, 2); sys.argv = ['install.py', {str(tmp_path / 'v')!r}]\n"
    program += f"runpy.run_path({str(ROOT / 'requirements' / 'install.py')!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Python 3.9.2 is too old, 3.11 is needed" in done.stderr
    assert not (tmp_path / "v").exists()


def test_the_environment_has_no_package_that_the_lock_files_do_not_name():
    # sys.path will not do: Ray adds a folder of its own packages to it
    here = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]

    pinned = {
        line.partition("==")[0]
        for name in ("cpu.txt", "dev.txt")
        for line in (ROOT / "requirements" / name).read_text().splitlines()
    }
    installed = {d.metadata["Name"].lower().replace("_", "-").replace(".", "-") for d in distributions(path=here)}
    brought_by_torch = {name for name in installed if name.startswith(("nvidia-", "cuda-", "triton"))}
    assert installed - pinned - brought_by_torch <= {"hpc-qa", "torch"}
