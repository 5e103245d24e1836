"""pandas, which is not needed here and would be imported all the same.

At the first Python value that it is given, pyarrow looks whether pandas is there. Importing it takes longer than
reading a million rows.
"""

import functools
import sys

import pyarrow as pa


class _Refused:
    """A finder that finds no pandas."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        if name == "pandas":
            raise ImportError(name)


@functools.cache
def leave_pandas_out() -> None:
    """Let pyarrow look for pandas and find none; `to_pandas` imports it as before, and so does everybody else."""
    if "pandas" not in sys.modules:
        sys.meta_path.insert(0, _Refused)
        try:
            pa.scalar(True)
        finally:
            sys.meta_path.remove(_Refused)
