"""What people write into records by hand, made into YAML: days without quotes, yes and no, places that are left open.

The forms that groups copy have places like `[count]` and `YYYY-MM-DD`. Where one still stands nothing is known, so it
is read as null, and named. Lines stay where they are.
"""

import re
from collections.abc import Callable

_DAY = re.compile(r"^(\s*(?:- )?date:[ \t]+)(\d{4}-\d\d-\d\d)(?=[ \t]*(?:#.*)?$)", re.MULTILINE)
_OK = re.compile(r"^(\s*quality_ok:[ \t]+)(yes|no)(?=[ \t]*(?:#.*)?$)", re.MULTILINE | re.IGNORECASE)
_YES_NO = {"yes": "true", "no": "false"}
PLACES = (
    "[count]", "[total]", "[N]", "[GB]", "[size]", "[minutes]", "[average]", "[rate]", "[%]", "[1-5]", "[0-1]",
    "[path]", "[SHA]", "[model]", '[list or "none"]', "YYYY-MM-DD", "yes/no", '"local" | "cluster"',
    "test_[date]_[number]", "[environment]_[description]_[date]", "___",
)  # fmt: skip
_ANY = "|".join(re.escape(place) for place in PLACES)
_OPEN = re.compile(rf'^([ \t]*(\w+):[ \t]+)("?)(?:{_ANY})\3(?=[ \t]*(?:#.*)?$)', re.MULTILINE)


def mended(text: str, say: Callable[[int, str], None]) -> str:
    r"""The text as YAML takes it; `say` gets the line and the key of each place that is left open.

    >>> mended("date: 2025-11-04\npdfs: [count] # how many\nquality_ok: yes\n", print)
    2 pdfs
    'date: "2025-11-04"\npdfs: null # how many\nquality_ok: true\n'
    """
    text = _OK.sub(lambda found: found[1] + _YES_NO[found[2].lower()], _DAY.sub(r'\1"\2"', text))
    for found in _OPEN.finditer(text):
        say(1 + text.count("\n", 0, found.start(2)), found[2])
    return _OPEN.sub(r"\1null", text)
