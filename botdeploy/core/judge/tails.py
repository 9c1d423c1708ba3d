"""Tail probabilities and likelihoods of counts that come in bursts."""

from __future__ import annotations

from math import exp, lgamma, log, log1p

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
