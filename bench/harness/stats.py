"""The statistics of rounds.  Pure; the same input gives the same output."""

import random
import statistics

DRAWS = 4000
CONFIDENCE = 0.99


def median(values):
    return statistics.median(values)


def summary(values):
    return {"median": median(values), "min": min(values), "max": max(values),
            "count": len(values)}


def ratios(values, base):
    """Of the rounds that both have.  Both are {round: value}; so is the result."""
    return {n: v / base[n] for n, v in values.items() if base.get(n)}


def quantile(ordered, part):
    """Linear between the neighbours, of a sorted list."""
    at = part * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def bootstrap_ratio(old, new, confidence=CONFIDENCE, draws=DRAWS, seed=1):
    """(median of new / median of old, lower, upper end of its confidence interval), by drawing
    rounds with replacement from either side."""
    rng = random.Random(seed)
    found = sorted(median(rng.choices(new, k=len(new))) / median(rng.choices(old, k=len(old)))
                   for _ in range(draws))
    rest = (1 - confidence) / 2
    return median(new) / median(old), quantile(found, rest), quantile(found, 1 - rest)


def geometric_mean(values):
    return statistics.geometric_mean(values)
