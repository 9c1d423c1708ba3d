"""Tail probabilities and likelihoods of counts that come in bursts.

Johnson, Kemp & Kotz, 2005, "Univariate Discrete Distributions", chapters 5 and 9.
"""

from __future__ import annotations

from math import exp, lgamma, log, log1p, pi, sqrt

_TINY = 1e-300


def log_negbin(x: float, mean: float, shape: float) -> float:
    """Log-probability of ``x`` under a negative binomial with this mean and shape (``r``).

    Variance is mean + mean²/shape; both must be positive. ``x`` need not be whole.
    """
    return (
        lgamma(x + shape)
        - lgamma(shape)
        - lgamma(x + 1.0)
        + (x * log(mean / (mean + shape)) if x else 0.0)
        - shape * log1p(mean / shape)
    )


def upper_tail(x: int, mean: float, shape: float) -> float:
    """Probability of ``x`` or more under that negative binomial; 1 where ``x`` is 0."""
    if x <= 0:
        return 1.0
    if mean <= 0.0:
        return 0.0
    ratio = mean / (mean + shape)
    term = exp(max(log_negbin(x, mean, shape), log(_TINY)))
    total = term
    step = float(x)
    while term > total * 1e-12:
        term *= ratio * (step + shape) / (step + 1.0)
        total += term
        step += 1.0
        if step > x + 1_000_000:
            break
    return min(1.0, total)


def bursts_of(mean: float, size: float, most: int) -> list[float]:
    """Give the chances of 0, 1, 2 … ``most`` lines in Poisson many bursts of geometric size.

    Johnson, Kemp & Kotz, Univariate Discrete Distributions, 9.7 (Pólya-Aeppli). Ends where what
    is left is less than a billionth.
    """
    more = 1.0 - 1.0 / size
    out = [exp(-mean)]
    total = out[0]
    if out[0] <= 0.0:
        # so many that none is out of the question: a normal distribution in their place
        middle, spread = mean * size, sqrt(mean * size * (2.0 * size - 1.0))
        curve = [exp(-0.5 * ((n - middle) / spread) ** 2) for n in range(most + 1)]
        whole = spread * sqrt(2.0 * pi)
        return [one / whole for one in curve]
    for n in range(1, most + 1):
        value = (mean * (1.0 - more) + 2.0 * more * (n - 1)) * out[n - 1]
        if n > 1:
            value -= more * more * (n - 2) * out[n - 2]
        out.append(max(0.0, value / n))
        total += out[n]
        if total > 1.0 - 1e-9 and n > mean * size:
            break
    return out


def at_least(count: float, mean: float) -> float:
    """Give the chance of ``count`` or more Poisson events; ``count`` may lie between numbers.

    It is the lower incomplete gamma function, regularised (DLMF 8.7.1, 8.9.2).
    """
    if count <= 0.0:
        return 1.0
    if mean <= 0.0:
        return 0.0
    scale = count * log(mean) - mean - lgamma(count + 1.0)
    if mean < count + 1.0:
        term = total = 1.0
        step = count
        while term > 1e-12 * total:
            step += 1.0
            term *= mean / step
            total += term
        return min(1.0, total * exp(scale))
    # the other tail, by continued fraction (Lentz)
    b = mean + 1.0 - count
    c = 1e300
    d = 1.0 / b
    out = d
    for i in range(1, 500):
        a = -i * (i - count)
        b += 2.0
        d = 1.0 / (a * d + b)
        c = b + a / c
        out *= d * c
        if abs(d * c - 1.0) < 1e-12:
            break
    return max(0.0, 1.0 - exp(scale) * count * out)
