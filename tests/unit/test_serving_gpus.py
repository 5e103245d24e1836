import pytest

from hpc_qa.config import Vllm
from hpc_qa.errors import ServerError
from hpc_qa.serving.gpus import WAIT_S, Gpu, GpuMemory, Holder, ours

TOTAL = 80_000
STRANGER = Holder(4242, 1001, 60_000)


class Nvml:
    """What NVML says at each look; the last answer stays."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.now = 0.0

    def read(self):
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def sleep(self, seconds):
        self.now += seconds


def gpu(used, *, index=0, holders=()):
    return Gpu(index, f"GPU-{index}", TOTAL, used, tuple(holders))


def memory(nvml, **settings):
    return GpuMemory(Vllm(model="m", **settings), read=nvml.read, clock=lambda: nvml.now, sleep=nvml.sleep)


def test_a_free_gpu_is_used_at_once():
    nvml = Nvml([gpu(500)])
    memory(nvml).wait_free()
    assert nvml.now == 0


def test_an_occupied_gpu_is_waited_for():
    nvml = Nvml([gpu(60_000)], [gpu(60_000)], [gpu(0)])
    memory(nvml).wait_free()
    assert nvml.now == 2


def test_a_gpu_that_stays_occupied_is_refused_after_a_minute_and_its_holder_named():
    nvml = Nvml([gpu(60_500, holders=[STRANGER])])
    with pytest.raises(ServerError) as caught:
        memory(nvml).wait_free()
    assert nvml.now >= WAIT_S
    (fault,) = caught.value.faults
    assert "GPU 0: 60,500 of 80,000 MiB are held by pid 4242 of uid 1001 (60,000 MiB)" in fault
    assert "asks for 72,000" in fault
    assert not caught.value.retryable
    assert "another node" in caught.value.hint


def test_a_holder_that_nvml_does_not_show_is_not_invented():
    with pytest.raises(ServerError, match="held by nobody that NVML shows"):
        memory(Nvml([gpu(60_000)])).wait_free()
    assert str(Holder(7, None, None)) == "pid 7 of an unknown user (unknown MiB)"


def test_a_smaller_share_may_stand_beside_a_neighbour():
    nvml = Nvml([gpu(39_000)])
    memory(nvml, gpu_memory_utilization=0.45).wait_free()
    assert nvml.now == 0


def test_a_restart_waits_until_the_memory_of_the_dead_server_is_back():
    held = gpu(30_000, holders=[Holder(99, 0, 30_000)])
    nvml = Nvml([gpu(1_000)], [held], [held], [gpu(1_200)])
    checked = memory(nvml, gpu_memory_utilization=0.3)
    checked.wait_free()  # the first start
    checked.wait_free()  # after a kill: 30 % would be free at once, but what was ours is not
    assert nvml.now == 2


def test_a_restart_beside_a_new_neighbour_goes_on_when_there_is_room(caplog):
    nvml = Nvml([gpu(0)], [gpu(20_000, holders=[STRANGER])])
    checked = memory(nvml, gpu_memory_utilization=0.5)
    checked.wait_free()
    checked.wait_free()
    assert nvml.now >= WAIT_S
    assert "pid 4242" in caplog.text


def test_a_restart_without_room_names_who_holds_the_memory():
    nvml = Nvml([gpu(0)], [gpu(60_500, holders=[STRANGER])])
    checked = memory(nvml)
    checked.wait_free()
    with pytest.raises(ServerError, match="pid 4242 of uid 1001"):
        checked.wait_free()


def test_a_stop_ends_the_wait():
    nvml = Nvml([gpu(60_000)])
    memory(nvml).wait_free(stop=lambda: nvml.now >= 3)
    assert nvml.now == 3


def test_where_nvml_cannot_be_asked_nothing_is_checked():
    memory(Nvml(None)).wait_free()


def test_only_the_gpus_of_this_server_count(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,2")
    gpus = [gpu(80_000, index=0), gpu(0, index=1), gpu(0, index=2), gpu(80_000, index=3)]
    memory(Nvml(gpus), tensor_parallel_size=2).wait_free()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    with pytest.raises(ServerError, match="GPU 0"):
        memory(Nvml(gpus), tensor_parallel_size=2).wait_free()


@pytest.mark.parametrize("visible", ["MIG-1234", "7", "GPU-1", ""])
def test_devices_that_nvml_does_not_know_are_not_judged(visible):
    assert ours([gpu(0)], 1, visible) is None
    assert ours([gpu(0)], 2, None) is None


def test_devices_are_known_by_uuid_as_well():
    gpus = [gpu(0, index=0), gpu(0, index=1)]
    assert ours(gpus, 1, "GPU-1") == [gpus[1]]
    assert ours(gpus, 2, "GPU-1, 0") == [gpus[1], gpus[0]]
