"""NVML as the real pynvml meets it, in child processes: two made-up devices that do as they are told."""

from importlib.metadata import PackageNotFoundError

import pytest

from hpc_qa.config import Vllm
from hpc_qa.serving.gpus import uses_gpus
from tests.fake_nvml.library import FIRST, SECOND, FakeNvml

READ = """
import logging
from hpc_qa.serving.gpu_samples import named_gpus
said = []
handler = logging.Handler()
handler.emit = lambda record: said.append(record.getMessage())
logging.getLogger("hpc_qa").addHandler(handler)
with named_gpus({count}, {visible!r}) as read:
    result = [[tuple(one) for one in read()] for _ in range({times})]
result = dict(readings=result, said=said)
"""


def readings(nvml: FakeNvml, *rules: str, count: int = 2, visible: str | None = None, times: int = 1):
    return nvml.run(READ.format(count=count, visible=visible, times=times), *rules)


def test_utilisation_memory_power_and_energy_of_each_gpu_are_read(fake_nvml):
    found = readings(
        fake_nvml, "0 utilization 10 20", "0 used 5000 6000", "0 power 300500", "0 energy 7", "1 energy 1 2", times=2
    )
    assert found["readings"] == [
        [[FIRST, 10, 5000, 300.5, 7], [SECOND, 0, 0, 0.0, 1]],
        [[FIRST, 20, 6000, 300.5, 7], [SECOND, 0, 0, 0.0, 2]],
    ]


@pytest.mark.parametrize(
    ("count", "visible", "expected"),
    [
        (1, None, [FIRST]), (1, "1", [SECOND]), (2, "1,0", [SECOND, FIRST]), (1, SECOND, [SECOND]),
        (2, f"{SECOND},{FIRST}", [SECOND, FIRST]), (1, "MIG-1", []), (1, "7", []), (1, "", []), (3, None, []),
    ],
)  # fmt: skip
def test_only_gpus_that_are_ours_are_asked(fake_nvml, count, visible, expected):
    (found,) = readings(fake_nvml, count=count, visible=visible)["readings"]
    assert [one[0] for one in found] == expected


def test_a_value_that_nvml_does_not_have_is_null_and_said_once(fake_nvml):
    found = readings(
        fake_nvml, "0 utilization not_supported", "0 energy not_supported", "0 power no_permission", count=1, times=3
    )
    assert found["readings"] == 3 * [[[FIRST, None, 0, None, None]]]
    assert found["said"] == [
        "GPU 0: no UtilizationRates: Not Supported",
        "GPU 0: no PowerUsage: Insufficient Permissions",
        "GPU 0: no TotalEnergyConsumption: Not Supported",
    ]


def test_a_gpu_that_falls_off_the_bus_is_null_from_then_on_and_the_other_goes_on(fake_nvml):
    lost = [f"0 {what} 50 lost" for what in ("utilization", "total", "power", "energy")]
    found = readings(fake_nvml, *lost, "1 utilization 80", times=3)
    assert [one[0][1] for one in found["readings"]] == [50, None, None]
    assert found["readings"][1] == found["readings"][2] == [[FIRST, None, None, None, None], [SECOND, 80, 0, 0.0, 0]]
    assert len(found["said"]) == 4


def test_a_gpu_that_is_lost_at_the_start_is_not_ours_and_one_of_others_does_not_matter(fake_nvml):
    assert readings(fake_nvml, "0 handle lost", count=1, visible="0")["readings"] == [[]]
    assert readings(fake_nvml, "0 handle lost", count=1, visible="1")["readings"] == [[[SECOND, 0, 0, 0.0, 0]]]


@pytest.mark.parametrize("rule", ["0 init lost", "0 count lost"])
def test_an_nvml_that_does_not_answer_gives_no_gpus(fake_nvml, rule):
    assert readings(fake_nvml, rule)["readings"] == [[]]


def test_a_server_of_somebody_else_and_a_vllm_for_the_cpu_hold_no_gpu_of_ours():
    def missing(_name: str) -> object:
        raise PackageNotFoundError

    assert uses_gpus(Vllm(model="m"), installed=missing)
    assert not uses_gpus(Vllm(model="m"), installed=str)
    assert not uses_gpus(Vllm(model="m", attach="their.sock"), installed=missing)
    assert uses_gpus(Vllm(model="m", attach="our.sock", attach_pid=1), installed=missing)


def test_what_holds_no_gpu_of_ours_is_not_sampled_whatever_this_machine_has(fake_nvml):
    program = """
from hpc_qa.config import Vllm
from hpc_qa.serving.gpu_samples import held_gpus
with held_gpus(Vllm(model="m", attach="their.sock"), 1) as read:
    result = list(read())
"""
    assert fake_nvml.run(program) == []


# -- who else asks NVML


def test_memory_of_gpus_and_who_holds_it_are_read(fake_nvml):
    program = """
from hpc_qa.serving.gpus import read_gpus
found = read_gpus()
result = found and [str(gpu) for gpu in found]
"""
    said = fake_nvml.run(program, "1 used 10737418240", "1 process 999999999 1073741824", "1 process 999999998 -")
    holders = "pid 999999999 of an unknown user (1,024 MiB), pid 999999998 of an unknown user (unknown MiB)"
    assert said == [
        "GPU 0: 0 of 76,293 MiB are held by nobody that NVML shows",
        f"GPU 1: 10,240 of 76,293 MiB are held by {holders}",
    ]
    assert fake_nvml.run(program, "1 total not_supported") is None
    assert fake_nvml.run(program, "0 handle lost") is None


def test_the_machine_and_doctor_name_the_gpus_or_say_that_they_are_unknown(fake_nvml):
    program = """
from hpc_qa.campaign.doctor import _gpus
from hpc_qa.campaign.provenance import hardware
found = hardware()
result = [found["gpu_model"], found["gpu_count"], found["gpu_vram_gb"], _gpus(None, None).text]
"""
    assert fake_nvml.run(program) == ["Made Up GPU", 2, 80.0, "Made Up GPU 80.0 GB, Made Up GPU 80.0 GB"]
    model, count, memory, said = fake_nvml.run(program, "1 handle lost")
    assert (model, count, memory) == (None, None, None)
    assert said.startswith("unknown: NVML is not here or does not answer")
