from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
A_SKIP = "import pytest\n\n@pytest.mark.{marker}\ndef test_here():\n    pytest.skip('nothing to see')\n"


def outcomes(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, source: str, ci: str) -> dict[str, int]:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makeini("[pytest]\nmarkers =\n    gpu: x\n    plain: x\n")
    pytester.makepyfile(source)
    return pytester.runpytest_inprocess("-p", "tests.no_skips", "-p", "no:cacheprovider").parseoutcomes()


def test_a_skip_is_a_failure_under_ci(pytester, monkeypatch):
    assert outcomes(pytester, monkeypatch, A_SKIP.format(marker="plain"), ci="true") == {"failed": 1}


def test_a_skip_is_a_skip_elsewhere(pytester, monkeypatch):
    assert outcomes(pytester, monkeypatch, A_SKIP.format(marker="plain"), ci="") == {"skipped": 1}


def test_a_test_that_needs_a_gpu_may_skip_under_ci(pytester, monkeypatch):
    assert outcomes(pytester, monkeypatch, A_SKIP.format(marker="gpu"), ci="true") == {"skipped": 1}


def test_an_expected_failure_is_a_failure_under_ci(pytester, monkeypatch):
    source = "import pytest\n\n@pytest.mark.xfail\ndef test_here():\n    assert 0\n"
    assert outcomes(pytester, monkeypatch, source, ci="true") == {"failed": 1}


def test_a_module_that_skips_itself_is_an_error_under_ci(pytester, monkeypatch):
    source = "import pytest\n\npytest.importorskip('no_such_package')\n"
    assert outcomes(pytester, monkeypatch, source, ci="true") == {"errors": 1}


def test_a_skip_marker_is_a_failure_under_ci(pytester, monkeypatch):
    source = "import pytest\n\n@pytest.mark.skipif(True, reason='never')\ndef test_here():\n    pass\n"
    assert outcomes(pytester, monkeypatch, source, ci="true") == {"errors": 1}


def test_what_passes_passes_under_ci(pytester, monkeypatch):
    assert outcomes(pytester, monkeypatch, "def test_here():\n    pass\n", ci="true") == {"passed": 1}
