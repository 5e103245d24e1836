"""What the samples of an attempt say together."""

import json

import pytest

from hpc_qa.ledger.samples import Device, Figures, Sample, Totals, from_json, from_line, sum_up, to_line

GPU, OTHER = "GPU-a", "GPU-b"


def device(uuid: str = GPU, busy: float | None = None, memory: int | None = None, power: float | None = None,
           energy: int | None = None) -> Device:  # fmt: skip
    return Device(uuid, busy, memory, power, energy)


def sample(at: float, *devices: Device, stage: str | None = "serving", cpu: float | None = None,
           resident: int | None = None) -> Sample:  # fmt: skip
    return Sample(at, stage, cpu, resident, devices)


def figures(*samples: Sample) -> Figures:
    found = sum_up(map(to_line, samples))
    assert found is not None
    return found


def test_a_sample_holds_until_the_next_one_and_the_last_one_holds_for_nothing():
    found = figures(sample(100, device(busy=50)), sample(101, device(busy=100)), sample(103, device(busy=0)))
    assert (found.gpu_busy_s, found.covered_gpu_s) == (2.5, 3.0)
    assert found.gpu_utilization == pytest.approx(2.5 / 3)


def test_what_lies_in_a_gap_of_more_than_five_seconds_is_not_known():
    found = figures(*(sample(at, device(busy=100), resident=10) for at in (0, 1, 6, 11.5, 12.5)))
    assert (found.covered_gpu_s, found.gpu_busy_s) == (7.0, 7.0)
    assert found.samples_share(2, 12) == 7 / 24


def test_busy_seconds_are_summed_over_gpus_and_told_by_stage():
    found = figures(
        sample(0, device(busy=0), device(OTHER, 100), stage="model_load"),
        sample(2, device(busy=50), device(OTHER, 50)),
        sample(3, device(busy=50), device(OTHER, 50), stage=None), sample(4),
    )  # fmt: skip
    assert found.busy_ms == {"model_load": 2000, "serving": 1000, "unattributed": 1000}
    assert (found.gpu_busy_s, found.covered_gpu_s, found.sampled_gpus) == (4.0, 8.0, 2)


def test_energy_is_the_sum_of_what_the_counters_gained_and_a_reset_takes_nothing_away():
    readings = (1_000, 4_000, 500, 1_500)
    found = figures(*(sample(at, device(energy=mj), device(OTHER, energy=9)) for at, mj in enumerate(readings)))
    assert (found.gpu_energy_j, found.energy_basis) == (4.0, "counter")


def test_a_counter_also_knows_what_happened_in_a_gap():
    assert figures(sample(0, device(energy=0)), sample(60, device(energy=6_000))).gpu_energy_j == 6.0


def test_without_a_counter_energy_is_power_over_time():
    found = figures(*(sample(at, device(power=watts)) for at, watts in ((0, 100.0), (2, 300.0), (3, 0.0))))
    assert (found.gpu_energy_j, found.energy_basis, found.gpu_power_mean_w) == (500.0, "power", pytest.approx(500 / 3))


def test_energy_is_of_all_gpus_on_one_basis_or_not_known():
    both = [sample(at, device(energy=at, power=1.0), device(OTHER, power=1.0)) for at in range(3)]
    assert (figures(*both).gpu_energy_j, figures(*both).energy_basis) == (4.0, "power")
    one = [sample(at, device(energy=at), device(OTHER)) for at in range(3)]
    assert (figures(*one).gpu_energy_j, figures(*one).energy_basis) == (None, None)


def test_what_was_never_known_is_null():
    found = figures(sample(0, device()), sample(1, device()))
    assert (found.sampled_gpus, found.covered_gpu_s, found.samples_share(1, 10)) == (1, 0.0, 0.0)
    rest = (found.gpu_busy_s, found.gpu_utilization, found.gpu_memory_peak_bytes, found.gpu_energy_j,
            found.gpu_power_mean_w, found.host_cpu_s, found.host_memory_mean_bytes, found.busy_ms)  # fmt: skip
    assert rest == (None,) * 8
    assert found.samples_share(None, 10) is found.samples_share(0, 10) is found.samples_share(1, None) is None


def test_memory_is_the_highest_of_one_gpu_and_that_of_the_host_is_weighted_by_time():
    found = figures(
        sample(0, device(memory=5), device(OTHER, memory=8), cpu=1.0, resident=100),
        sample(3, device(memory=7), cpu=4.0, resident=200), sample(4, cpu=3.5, resident=10),
    )  # fmt: skip
    assert found.gpu_memory_peak_bytes == 8
    assert (found.host_cpu_s, found.host_memory_peak_bytes, found.host_memory_mean_bytes) == (4.0, 200, 125)


@pytest.mark.parametrize(
    "line",
    [
        "", "\n", "null", "[]", "7", '"t"', "{}", '{"t": 1}', '{"t": "1", "g": []}', '{"t": NaN, "g": []}',
        '{"t": -1, "g": []}', '{"t": 1e300, "g": []}', '{"t": true, "g": []}', '{"t": 1, "g": 7}', '{"t": 1, "g": [7]}',
        '{"t": 1, "g": [{}]}', '{"t": 1, "g": [{"id": 7}]}', '{"t": 1, "g": [', "\x00\x00", "[" * 100_000, "9" * 5000,
    ],
)  # fmt: skip
def test_a_line_that_is_no_sample_is_left_out(line):
    assert from_line(line.encode()) is None
    assert sum_up([line.encode()]) is None


def test_values_that_no_gpu_has_are_unknown():
    line = {"t": 5, "s": ["x"], "c": "much", "r": 1.5, "g": [{"id": "a", "u": 101, "m": -1, "w": None, "e": 1e9}]}
    assert from_line(json.dumps(line).encode()) == Sample(5, None, None, None, (Device("a", None, None, None, None),))


def test_the_worker_s_sum_is_read_as_it_was_written_and_anything_else_is_refused():
    whole = figures(sample(0, device(busy=50, energy=5), resident=3, cpu=2.0), sample(1, device(energy=9)))
    said = json.loads(json.dumps(whole.to_json()))
    assert from_json(said) == whole
    changes = {"sampled_gpus": None, "gpu_busy_s": "1", "energy_basis": "guess", "busy_ms": {"x": 1}, "host_cpu_s": -1,
               "gpu_memory_peak_bytes": 1.5, "x": 1, "gpu_energy_j": float("nan"), "covered_gpu_s": True}  # fmt: skip
    for name, value in changes.items():
        assert from_json(said | {name: value}) is None, name
    del said["host_cpu_s"]
    assert from_json(said) is None
    assert from_json({}) is None


def test_without_samples_there_are_no_figures():
    assert Totals().figures() is None
