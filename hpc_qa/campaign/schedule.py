"""How many shards a job array has, and which documents go into which.

Pure: predicted tokens in, shards out. Slurm starts array tasks in the order of their indices, the next one as soon as
one has ended, and lets so many run at once (`--array=...%N`). The shards are therefore numbered from the longest to
the shortest, which is list scheduling by longest processing time (Graham 1969, "Bounds on multiprocessing timing
anomalies"). Where start-up and speed come from, and who the documents are, is not known here.
"""

import bisect
import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hpc_qa.units import clock, duration, plural

LIMIT_SHARE = 0.8  # of the time limit that a shard may need: a prediction can be wrong
SAME = 1.002  # makespans that are closer than this count as the same, and the one with fewer start-ups is taken
PASSES = 8  # documents that fill a shard badly need more shards than their sum says: so often is that corrected


@dataclass(frozen=True, slots=True)
class Pace:
    """What one server does: how long it starts, and how fast it then works off predicted tokens."""

    startup_s: float
    tokens_per_s: float

    def seconds(self, tokens: float) -> float:
        """A shard of so many tokens, start-up included."""
        return self.startup_s + tokens / self.tokens_per_s

    def startup_share(self, shards: int, tokens: float) -> float:
        """Share of the GPU-hours that goes into starting servers."""
        starting = shards * self.startup_s
        return starting / (starting + tokens / self.tokens_per_s) if starting else 0.0


@dataclass(frozen=True, slots=True)
class Terms:
    """What the shards of a job array have to keep to."""

    pace: Pace
    time_limit_s: float  # inf: none
    parallelism: int  # array tasks at once
    max_startup_share: float  # of the GPU-hours

    @property
    def longest_s(self) -> float:
        """What a shard may take, start-up included."""
        return LIMIT_SHARE * self.time_limit_s

    @property
    def shard_tokens(self) -> float:
        """What a shard may hold; not above 0 when start-up alone takes too long."""
        return (self.longest_s - self.pace.startup_s) * self.pace.tokens_per_s

    def limit_for(self, tokens: float) -> int:
        """The time limit that a shard of so many tokens asks for, in seconds; whole minutes, as Slurm counts."""
        return 60 * math.ceil(self.pace.seconds(tokens) / LIMIT_SHARE / 60)

    def shards_allowed(self, tokens: float) -> float:
        """The most shards that keep start-up under its share: a whole number, or inf."""
        share, startup_tokens = self.max_startup_share, self.pace.startup_s * self.pace.tokens_per_s
        if not startup_tokens or share >= 1:
            return math.inf
        # startup_share(n) <= share, solved for n, and a little for rounding
        return math.floor(share / (1 - share) * tokens / startup_tokens * (1 + 1e-9))


class Pile(NamedTuple):
    """The documents of one shard, the longest first, and their tokens together."""

    documents: list[str]
    tokens: int


Sizes = tuple[tuple[int, float], ...]  # how many shards of how many tokens, the longest first


def shard_sizes(tokens: float, shards: int, terms: Terms) -> Sizes:
    """Sizes of so many shards with which all lanes end together; a lane is one of the `parallelism` places.

    Whole waves are of equal shards. Otherwise some lanes run one shard more than the others: these run two shorter
    ones at the end, where the others run a long one.
    """
    waves, last = divmod(shards - 1, terms.parallelism)
    last += 1  # shards of the last wave
    if not waves or last == terms.parallelism:
        return ((shards, tokens / shards),)
    startup = terms.pace.startup_s * terms.pace.tokens_per_s
    long_ones = waves * terms.parallelism - last
    # long + startup = 2 * (short + startup), as far as the time limit lets the long ones grow
    long = min(terms.shard_tokens, (tokens + last * startup) / (waves * terms.parallelism))
    return ((long_ones, long), (2 * last, max(0.0, tokens - long_ones * long) / (2 * last)))


def ideal_makespan(tokens: float, longest: float, shards: int, terms: Terms) -> float:
    """Seconds from the first start to the last end, if documents could be divided; `longest` is one that cannot."""
    waves = math.ceil(shards / terms.parallelism)
    seconds = terms.pace.seconds
    (_, long), *rest = shard_sizes(tokens, shards, terms)
    ends = [seconds(longest), (waves - len(rest)) * seconds(long)]
    ends += ((waves - 2) * seconds(long) + 2 * seconds(short) for _, short in rest)
    return max(ends)


def shard_counts(tokens: float, longest: float, terms: Terms, *, at_least: int = 1) -> tuple[int, int]:
    """(how many shards to make, how many at most): the shortest makespan within start-up's share and the time limit.

    The first is the fewest with which the ideal makespan is no longer than with the second. Where share and limit
    contradict each other the limit holds, and both are the fewest. `at_least` is what documents need that do not fill
    their shards; `shard_tokens` must be above 0.
    """
    fewest = max(at_least, math.ceil(tokens / terms.shard_tokens))
    whole_waves = math.ceil(fewest / terms.parallelism) * terms.parallelism
    most = int(min(whole_waves, terms.shards_allowed(tokens)))
    if most <= fewest:
        return fewest, fewest
    good = SAME * ideal_makespan(tokens, longest, most, terms)
    enough = bisect.bisect_left(
        range(fewest, most), True, key=lambda shards: ideal_makespan(tokens, longest, shards, terms) <= good
    )
    return fewest + enough, most


def schedule(tokens: Mapping[str, int], terms: Terms) -> list[Pile]:
    """What each shard holds, the longest shard first.

    No shard takes longer than `terms.longest_s`, if no document does. O(n log n).
    """
    if not tokens:
        return []
    order = _longest_first(tokens)
    total, longest = sum(tokens.values()), tokens[order[0]]
    at_least = 1
    for _ in range(PASSES):
        count, most = shard_counts(total, longest, terms, at_least=at_least)
        count, most = min(count, len(order)), min(most, len(order))
        piles = _deal(tokens, order, shard_sizes(total, count, terms), terms.shard_tokens)
        if len(piles) <= count:
            break
        at_least = len(piles)
    if _ends(piles, terms) > SAME * ideal_makespan(total, longest, most, terms) and len(piles) < most:
        # documents so large that the ideal is far off: then more shards can still end sooner
        more = _deal(tokens, order, shard_sizes(total, most, terms), terms.shard_tokens)
        if len(more) <= most and SAME * _ends(more, terms) < _ends(piles, terms):
            return more
    return piles


def balance(tokens: Mapping[str, int], shards: int) -> list[Pile]:
    """At most so many shards of about equal size, none empty, the longest first."""
    order = _longest_first(tokens)
    count = max(1, min(shards, len(order)))
    return _deal(tokens, order, ((count, sum(tokens.values()) / count),), math.inf)


def makespan(seconds: Sequence[float], parallelism: int) -> float:
    """When the last shard ends, if they start in this order, each as soon as there is a place for it."""
    ends = [0.0] * max(1, min(parallelism, len(seconds)))
    for taken in seconds:
        heapq.heapreplace(ends, ends[0] + taken)
    return max(ends)


def too_long(tokens: Mapping[str, int], terms: Terms) -> list[str]:
    """Documents that do not fit into any shard, the longest first."""
    most = terms.shard_tokens
    return _longest_first({document: cost for document, cost in tokens.items() if cost > most})


def share_note(tokens: Mapping[str, int], shards: int, terms: Terms) -> str | None:
    """Why start-up takes more than its share with so many shards, and what would change that; None when it does not."""
    total = sum(tokens.values())
    allowed = terms.shards_allowed(total)
    if shards <= allowed:
        return None
    pace, wanted = terms.pace, terms.max_startup_share
    share = pace.startup_share(shards, total)
    note = (
        f"start-up takes {100 * share:.1f} % of the GPU-hours, more than plan.max_startup_share ({100 * wanted:.1f} %)"
    )
    if allowed < 1:
        work_s, enough_s = total / pace.tokens_per_s, pace.startup_s * (1 - wanted) / wanted
        enough = enough_s * pace.tokens_per_s
        limit = f' if slurm.time is at least "{clock(terms.limit_for(enough))}"' if enough > terms.shard_tokens else ""
        return (
            f"{note}: a server starts for {duration(pace.startup_s)} and works for {duration(work_s)}; from "
            f"{duration(enough_s)} of work on, one shard stays below{limit}"
        )
    heaviest = balance(tokens, int(allowed))[0].tokens
    return (
        f"{note}: {plural(shards, 'shard is', 'shards are')} needed to keep each within "
        f"{100 * LIMIT_SHARE:.0f} % of slurm.time, {allowed} would be allowed; "
        f'slurm.time "{clock(terms.limit_for(heaviest))}" would do'
    )


def _longest_first(tokens: Mapping[str, int]) -> list[str]:
    order = sorted(tokens)
    order.sort(key=tokens.__getitem__, reverse=True)  # stable: equal ones stay in the order of their names
    return order


def _deal(tokens: Mapping[str, int], order: Sequence[str], sizes: Sizes, most: float) -> list[Pile]:
    """Each document to the shard that misses most to its size; to a new one where it would pass `most` in all others.

    Of shards of one size that is the least loaded one, so a heap for each size tells. Empty shards are left out.
    """
    piles: list[list[str]] = []
    heaps: list[tuple[float, list[tuple[int, int]]]] = []  # a size, and (tokens, number) of its shards
    for count, size in sizes:
        heaps.append((size, [(0, number) for number in range(len(piles), len(piles) + count)]))
        piles.extend([] for _ in range(count))
    for document in order:
        cost = tokens[document]
        missing, chosen = -math.inf, None
        for size, heap in heaps:
            load = heap[0][0]
            if load + cost <= most and size - load > missing:
                missing, chosen = size - load, heap
        if chosen is None:
            heapq.heappush(heaps[-1][1], (cost, len(piles)))
            piles.append([document])
        else:
            load, number = chosen[0]
            heapq.heapreplace(chosen, (load + cost, number))
            piles[number].append(document)
    loads = sorted((-load, number) for _, heap in heaps for load, number in heap)
    return [Pile(piles[number], -load) for load, number in loads if piles[number]]


def _ends(piles: Sequence[Pile], terms: Terms) -> float:
    return makespan([terms.pace.seconds(pile.tokens) for pile in piles], terms.parallelism)
