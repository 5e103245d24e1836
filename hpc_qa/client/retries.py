"""How often a request is tried again, by what went wrong, and how long to wait before it.

A table and one function. `client.max_retries` bounds every row that counts on the server getting better.
"""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """For one reason: tries after the first (None: client.max_retries), first wait, longest wait."""

    retries: int | None
    first_wait_s: float
    longest_wait_s: float


RULES = {
    "busy": Rule(10, 0.5, 30.0),  # nothing is wrong, so it may take long
    "server_error": Rule(None, 1.0, 30.0),
    "unreachable": Rule(None, 1.0, 30.0),
    "bad_reply": Rule(None, 0.2, 5.0),
    "timeout": Rule(1, 0.0, 0.0),  # each one has cost a whole deadline
    "truncated": Rule(1, 0.0, 0.0),  # with twice the completion tokens
    "actor_died": Rule(1, 0.0, 0.0),  # at the second death in a row the request itself is under suspicion
}
TOTAL_ATTEMPTS = 15  # over all reasons


def wait_before(reason: str, tried: int, *, max_retries: int, rng: random.Random) -> float | None:
    """Seconds to wait before the next try after `tried` failures for this reason; None: no more tries.

    The wait doubles each time, and a random half of it is left out, so that requests that failed together do not come
    back together.
    """
    rule = RULES.get(reason)
    if rule is None or tried > (max_retries if rule.retries is None else rule.retries):
        return None
    wait_s = min(rule.longest_wait_s, rule.first_wait_s * 2.0 ** (tried - 1))
    return wait_s * rng.uniform(0.5, 1.0)
