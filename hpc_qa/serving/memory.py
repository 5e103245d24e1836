"""How many requests a server can work on at once without running out of KV cache.

Arithmetic on figures that the server has reported; what a model will need before anything is started is estimated in
the plan, not here.
"""


def requests_that_fit(kv_cache_tokens: int | None, tokens_per_request: int) -> int | None:
    """Requests of that many tokens (prompt and completion) that the KV cache holds; None when its size is not known.

    >>> requests_that_fit(93_184, 4_096), requests_that_fit(1_000, 4_096), requests_that_fit(None, 4_096)
    (22, 1, None)
    """
    if kv_cache_tokens is None:
        return None
    return max(1, kv_cache_tokens // max(1, tokens_per_request))


def concurrency(limit: int, kv_cache_tokens: int | None, tokens_per_request: int) -> int:
    """Requests to have in flight: the configured limit, and not more than the KV cache holds.

    More would only be preempted and computed again.

    >>> concurrency(20, 93_184, 4_096), concurrency(64, 93_184, 4_096), concurrency(64, None, 4_096)
    (20, 22, 64)
    """
    fits = requests_that_fit(kv_cache_tokens, tokens_per_request)
    return limit if fits is None else min(limit, fits)
