"""What values may be: the base of all sections, and the kinds of values that several of them have."""

from datetime import date
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from hpc_qa.units import parse_clock

MANY = 10**9  # more of anything is a slip of the pen
LONGEST = 2**63 - 1
# One word of an sbatch option: what Slurm's own names, lists and expressions hold, and nothing that a shell or a line
# of a batch script would take for more.
SLURM_WORD = r"^[A-Za-z0-9_][A-Za-z0-9_.:,+=@/&|*()\[\]!-]{0,255}$"
OPTION_NAME = r"^[A-Za-z][A-Za-z0-9_.-]{0,127}$"
ENVIRONMENT_NAME = r"^[A-Za-z_][A-Za-z0-9_]{0,127}$"
SlurmWord = Annotated[str, Field(pattern=SLURM_WORD)]
OptionName = Annotated[str, Field(pattern=OPTION_NAME)]
EnvironmentName = Annotated[str, Field(pattern=ENVIRONMENT_NAME)]


class Section(BaseModel):
    """Base of all sections: unknown keys are faults, values are not converted between kinds, nothing changes later."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def _is_clock(text: str) -> str:
    parse_clock(text)
    return text


def _is_day(text: str) -> str:
    try:
        date.fromisoformat(text)
    except ValueError as exc:
        raise ValueError(f'{text[:40]!r} is not a day; write "2026-01-31"') from exc
    return text


Clock = Annotated[str, AfterValidator(_is_clock)]
Day = Annotated[str, AfterValidator(_is_day)]
Share = Annotated[float, Field(gt=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
