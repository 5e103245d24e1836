"""How far a judge can be trusted, from its verdicts on controls, and what its acceptance rate says once that is known.

Pure functions of counts. A judge is taken to err on pairs as it errs on controls: where its controls are easier than
the faults of real pairs, the corrected rate is still too high.
"""

import math

from hpc_qa.qa.agreement import Estimate, Z


def corrected_rate(accepted: int, judged: int, good: tuple[int, int], bad: tuple[int, int]) -> Estimate:
    """Which share of the judged pairs is good, of a judge whose errors were measured.

    `good` is (accepted, judged) of the known-good controls, their ratio the sensitivity q1; `bad` is (rejected, judged)
    of the known-bad ones, the specificity q0. With p = accepted / judged the estimate is (p + q0 - 1) / (q0 + q1 - 1)
    (W. J. Rogan, B. Gladen, American Journal of Epidemiology 107 (1978) 71-76), cut off at 0 and 1. The 95 % interval
    carries the errors of p, q0 and q1 together (Z. Lang, J. Reiczigel, Preventive Veterinary Medicine 113 (2014) 13-22;
    for judges C. Lee et al., arXiv 2511.21140, 2025).

    None where nothing was judged, a kind of control is lacking, or the judge is no better than chance (q0 + q1 <= 1):
    then its verdicts say nothing about the pairs.

    >>> round(corrected_rate(95, 100, (98, 100), (60, 100)).value, 3)
    0.948
    >>> round(corrected_rate(80, 100, (98, 100), (60, 100)).value, 3)
    0.69
    """
    if not judged or not good[1] or not bad[1]:
        return Estimate(None, None, None, judged)
    p, q1, q0 = accepted / judged, good[0] / good[1], bad[0] / bad[1]
    if q0 + q1 <= 1:
        return Estimate(None, None, None, judged)
    value = (p + q0 - 1) / (q0 + q1 - 1)
    n, m1, m0 = judged + Z**2, good[1] + 2, bad[1] + 2
    p, q1, q0 = (accepted + Z**2 / 2) / n, (good[0] + 1) / m1, (bad[0] + 1) / m0
    if q0 + q1 <= 1:  # few controls, drawn towards a half: any share is possible
        return Estimate(_share(value), 0.0, 1.0, judged)
    middle = (p + q0 - 1) / (q0 + q1 - 1)
    of_bad, of_good = q0 * (1 - q0) / m0, q1 * (1 - q1) / m1
    shift = 2 * Z**2 * (middle * of_good - (1 - middle) * of_bad)
    variance = p * (1 - p) / n + (1 - middle) ** 2 * of_bad + middle**2 * of_good
    half = Z * math.sqrt(variance) / (q0 + q1 - 1)
    low, high = _share(middle + shift - half), _share(middle + shift + half)
    value = _share(value)
    return Estimate(value, min(low, value), max(high, value), judged)


def _share(value: float) -> float:
    return min(1.0, max(0.0, value))
