"""Words that make two sentences say different things although their letters are nearly the same.

Opposites, units, ways to count and the two sides of a relation: minimum and maximum, days and weeks, inpatient and
outpatient, employer and employee. Prefixes tell most of them; the others are listed. Grammar is not known here.
"""

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

# Each line is a class: two of its words are never the same. Words with = between them are.
_CLASSES = """
second minute hour day=daily week=weekly fortnight=fortnightly=biweekly month=monthly bimonthly quarter=quarterly \
semiannual biannual year=yearly=annual=annually biennial decade century hourly nightly workday weekday weekend
morning noon afternoon evening night=midnight
spring summer autumn winter
north south east west northern southern eastern western
dollar euro pound cent
inch foot=feet yard mile millimeter centimeter meter kilometer
byte kilobyte megabyte gigabyte terabyte bit
degree percent fahrenheit celsius kelvin
minimum=min=minimal=minima maximum=max=maximal=maxima
least=fewest most
more=greater fewer=less=lesser
above below
over under
before after during
earlier later
earliest latest
until since
first=initial last=final
next previous=preceding
beginning=begin=start=starting end=ending=stop=finish
open=opened closed=close
high low medium
higher lower
highest lowest
upper lower middle
large=big=larger=bigger small=smaller
largest=biggest smallest
long=longer short=shorter
longest shortest
increase=increased=raise decrease=decreased=reduce=reduced
ascending descending
left right
top bottom
front back=rear
inside=inner=internal outside=outer=external
entry=enter=entering exit=leave=leaving
arrival=arrive departure=depart
admission=admit=admitted discharge=discharged
full=fulltime partial=part=parttime
single=sole double multiple
primary secondary tertiary
old=older new=newer
oldest newest
current=present former future past
mother father
maternal paternal
male=men=man=boy female=women=woman=girl
husband wife
son daughter
brother sister
parent child=children infant newborn adult minor
pediatric geriatric
single=unmarried married divorced widowed
approve=approved=approval deny=denied=denial
accept=accepted=acceptance reject=rejected=rejection
grant=granted refuse=refused=refusal
allow=allowed=permitted=permit prohibited=prohibit=forbidden=forbid
required=mandatory=compulsory optional=voluntary
enable=enabled disable=disabled
public private
federal state county tribal local
urban rural
temporary permanent
routine emergency
acute chronic
oral=orally=verbal written=writing
gross net
fixed variable
buy=purchase=buyer sell=sold=seller
lend=lender borrow=borrower
send=sent=sender receive=received=receiver
plaintiff defendant
client server
source destination=target
read write
add=added remove=removed delete=deleted
create=created delete=deleted
true false
on off
debit credit
income expense=expenditure
profit loss
asset liability
inclusive exclusive
include=included=inclusion exclude=excluded=exclusion
ante post
"""
_NEGATING = ("un", "non", "in", "im", "ir", "il", "dis", "de", "mis", "dys")
_OPPOSED = (
    ("in", "out"), ("in", "ex"), ("im", "ex"), ("up", "down"), ("over", "under"), ("pre", "post"), ("super", "sub"),
    ("intra", "inter"), ("hyper", "hypo"), ("macro", "micro"), ("mono", "multi"), ("uni", "multi"), ("uni", "bi"),
    ("max", "min"), ("en", "de"), ("at", "de"), ("as", "de"), ("mater", "pater"), ("ante", "post"), ("pro", "anti"),
    ("fore", "back"),
)  # fmt: skip
_SIDES = (("er", "ee"), ("or", "ee"))  # employer and employee
_SUFFIX = re.compile(r"(?:ing|ions?|ed|es|s|ly|d|e)$")
MIN_STEM = 3  # letters that two words must have in common beside their prefixes


def _classes() -> dict[str, list[tuple[int, int]]]:
    """Of each word its places: (class, group of words that are the same in it)."""
    found: dict[str, list[tuple[int, int]]] = {}
    for number, line in enumerate(_CLASSES.strip().split("\n")):
        for group, alike in enumerate(line.split()):
            for word in alike.split("="):
                found.setdefault(word, []).append((number, group))
    return found


_PLACES = _classes()


def opposed(ours: Iterable[str], theirs: Iterable[str]) -> bool:
    """Whether a word that one of two sentences has more often is the opposite of one that the other has more often.

    Words in lower case.

    >>> opposed(["minimum", "age"], ["maximum", "age"]), opposed(["covered"], ["uncovered"]), opposed(["fee"], ["fees"])
    (True, True, False)
    """
    left, right = Counter(ours), Counter(theirs)
    return any(_opposites(one, other) for one in left - right for other in right - left)


@lru_cache(1 << 16)
def _opposites(one: str, other: str) -> bool:
    places = [place for word in (one, _singular(one)) for place in _PLACES.get(word, ())]
    others = [place for word in (other, _singular(other)) for place in _PLACES.get(word, ())]
    if any(a == b for a in places for b in others):
        return False
    if any(line == other_line for line, _ in places for other_line, _ in others):
        return True
    if _by_side(_singular(one), _singular(other)):
        return True
    one, other = _SUFFIX.sub("", one), _SUFFIX.sub("", other)
    return _by_prefix(one, other) or _by_prefix(other, one)


def _singular(word: str) -> str:
    return word[:-1] if word.endswith("s") and len(word) > MIN_STEM else word


def _by_prefix(one: str, other: str) -> bool:
    if len(one) > MIN_STEM and any(other == prefix + one for prefix in _NEGATING):
        return True
    return any(
        one.startswith(a) and other.startswith(b) and one[len(a) :] == other[len(b) :] and len(one) - len(a) >= MIN_STEM
        for a, b in _OPPOSED
    )


def _by_side(one: str, other: str) -> bool:
    stems = [one.removesuffix(side) for sides in _SIDES for side in sides if one.endswith(side)]
    return one != other and any(
        {one, other} == {stem + a, stem + b} for stem in stems if len(stem) >= MIN_STEM for a, b in _SIDES
    )
