"""What the GPUs of an attempt were, as its worker saw them: `devices` of `samples.json`."""

from dataclasses import dataclass
from pathlib import Path

from hpc_qa.campaign.attempts import read_view
from hpc_qa.ledger.samples import DEVICES


@dataclass(frozen=True, slots=True)
class SampledGpu:
    """One GPU."""

    name: str | None  # as NVML calls it
    memory_bytes: int  # all of it


def gpus_of(samples_json: Path) -> list[SampledGpu]:
    """The GPUs that a `samples.json` names with their memory; none where it is lost, or there were none."""
    listed = read_view(samples_json).get(DEVICES)
    found = []
    for one in listed if isinstance(listed, list) else ():
        name, memory = (one.get("name"), one.get("memory_bytes")) if isinstance(one, dict) else (None, None)
        if type(memory) is int and memory > 0:
            found.append(SampledGpu(name if isinstance(name, str) else None, memory))
    return found
