"""Whatever the lines say: nothing negative, busy within covered, covered within what was held."""

import math
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_qa.budget.waterfall import STAGES
from hpc_qa.ledger.samples import Device, Figures, Sample, from_json, from_line, sum_up, to_line

UUIDS = ("GPU-a", "GPU-b", "GPU-c")
WHOLE = st.none() | st.integers(0, 2**50)
DEVICES = st.builds(
    Device, st.sampled_from(UUIDS), st.none() | st.integers(0, 100), WHOLE, st.none() | st.floats(0, 1e4), WHOLE
)
SAMPLES = st.builds(
    Sample, st.integers(0, 60_000).map(lambda ms: ms / 1000), st.none() | st.sampled_from(STAGES),
    st.none() | st.floats(0, 1e6), WHOLE, st.lists(DEVICES, max_size=4).map(tuple),
)  # fmt: skip
LISTS = st.lists(SAMPLES, max_size=30)


def check(found: Figures, samples: list[Sample]) -> None:
    """What holds for any samples."""
    numbers = [value for value in asdict(found).values() if isinstance(value, int | float)]
    assert all(value >= 0 and math.isfinite(value) for value in numbers)
    times = [sample.time_s for sample in samples]
    gpus = {device.uuid for sample in samples for device in sample.devices}
    assert found.sampled_gpus <= len(gpus)
    assert found.covered_gpu_s <= (max(times) - min(times)) * len(gpus) * (1 + 1e-9)
    assert (found.gpu_busy_s or 0) <= found.covered_gpu_s
    assert (found.gpu_busy_s is None) == (found.covered_gpu_s == 0)
    assert (found.gpu_energy_j is None) == (found.energy_basis is None)
    if found.busy_ms is not None:
        assert set(found.busy_ms) <= set(STAGES)
        assert sum(found.busy_ms.values()) == pytest.approx(1000 * (found.gpu_busy_s or 0), abs=len(STAGES))
    assert from_json(found.to_json()) == found


@given(LISTS)
def test_figures_are_never_negative_and_never_more_than_what_was_held_in_whatever_order_the_lines_are(samples):
    found = sum_up(map(to_line, samples))
    assert (found is None) == (not samples)
    if found is not None:
        check(found, samples)


@given(SAMPLES)
def test_a_line_says_what_was_sampled(sample):
    assert from_line(to_line(sample)) == sample


@given(LISTS, st.data())
def test_lines_that_are_torn_or_foreign_harm_no_other(samples, data):
    lines = [to_line(sample) for sample in samples]
    torn = data.draw(st.lists(st.tuples(st.integers(0, len(lines)), st.binary(max_size=40)), max_size=5))
    mixed = list(lines)
    for at, junk in torn:
        mixed.insert(min(at, len(mixed)), junk if from_line(junk) is None else b"")
    assert sum_up(mixed) == sum_up(lines)


@given(LISTS, st.data())
def test_a_file_that_was_cut_off_says_what_its_whole_lines_say(samples, data):
    text = b"".join(to_line(sample) for sample in samples)
    cut = text[: data.draw(st.integers(0, len(text)))]
    whole = cut.count(b"\n") + (from_line(cut.rpartition(b"\n")[2]) is not None)
    assert sum_up(cut.splitlines()) == sum_up(map(to_line, samples[:whole]))
