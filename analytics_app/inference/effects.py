"""Intervals of means, shares and differences, and standardised effect sizes, from summaries.

Everything is worked out from n, mean and standard deviation, so that a page needs the kept statistics
only, whatever the number of sessions. Differences and effects are always `second - first`.

Distributions are those of `scipy.special`: `scipy.stats`, which calls them too, takes half a second to
import, and every dashboard would wait for it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from scipy import special  # type: ignore[import-untyped]

from .results import LEVEL, Interval, Summary, TooFew

Named = Literal["Cohen's d", "Hedges' g", "d_z", "d_av"]


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean with its t interval."""

    n: int
    value: float
    sd: float
    se: float
    interval: Interval
    enough: Literal[True] = field(default=True, init=False)


@dataclass(frozen=True, slots=True)
class Share:
    """A share from 0 to 1 with its Wilson interval."""

    n: int
    count: int
    value: float
    interval: Interval
    enough: Literal[True] = field(default=True, init=False)


@dataclass(frozen=True, slots=True)
class Effect:
    """A standardised effect. `interval` comes from the noncentral t distribution.

    `normal_interval` is the large-sample one, for comparison with older reports; only Cohen's d and
    Hedges' g have it.
    """

    name: Named
    n: int
    value: float
    interval: Interval
    normal_interval: Interval | None = None
    enough: Literal[True] = field(default=True, init=False)


def mean_interval(group: Summary, *, level: float = LEVEL, what: str = "values") -> Mean | TooFew:
    """mean +- t(n-1) x s / sqrt(n). Values that are all the same have an interval of no width."""
    if group.n < 2 or group.mean is None or group.sd is None:
        return TooFew(f"needs at least 2 {what}; there {_are(group.n)}")
    se = group.sd / math.sqrt(group.n)
    reach = float(special.stdtrit(group.n - 1, (1 + level) / 2)) * se
    interval = Interval(group.mean - reach, group.mean + reach, level)
    return Mean(group.n, group.mean, group.sd, se, interval)


def _are(n: int) -> str:
    return "is 1" if n == 1 else f"are {n}"


def share_interval(count: int, n: int, *, level: float = LEVEL) -> Share | TooFew:
    """count / n with the score interval of Wilson (1927)."""
    if n < 1:
        return TooFew("needs at least 1 to take a share of; there are 0")
    share, z = count / n, float(special.ndtri((1 + level) / 2))
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    low = 0.0 if count == 0 else middle - reach  # what rounding leaves at the ends
    high = 1.0 if count == n else middle + reach
    return Share(n, count, share, Interval(low, high, level))


_Moments = tuple[float, float, int]


def _comparable(first: Summary, second: Summary) -> tuple[_Moments, _Moments] | TooFew:
    """(mean, variance, n) of both groups."""
    if first.n < 2 or second.n < 2 or first.sd is None or second.sd is None:
        return TooFew(f"needs at least 2 values in each group; there are {first.n} and {second.n}")
    if first.sd == 0 and second.sd == 0:
        return TooFew("within each group all values are the same, so there is nothing to measure against")
    if first.mean is None or second.mean is None:
        return TooFew("a group has no mean")
    return (first.mean, first.sd**2, first.n), (second.mean, second.sd**2, second.n)


# --- two independent groups


def cohens_d(first: Summary, second: Summary, *, level: float = LEVEL) -> Effect | TooFew:
    """d_s: the difference of two independent means over their pooled standard deviation (n-1).

    Cohen (1988), eq. 2.5.2. The interval turns the limits of the noncentrality of t into limits of d
    (Steiger & Fouladi 1997): exact for normal groups of the same variance.
    """
    gap = _comparable(first, second)
    if isinstance(gap, TooFew):
        return gap
    (m1, v1, n1), (m2, v2, n2) = gap
    df = n1 + n2 - 2
    d = (m2 - m1) / math.sqrt(((n1 - 1) * v1 + (n2 - 1) * v2) / df)
    scale = math.sqrt(1 / n1 + 1 / n2)
    limits = noncentral_t(d / scale, df, level=level)
    interval = Interval(limits.low * scale, limits.high * scale, level)
    return Effect("Cohen's d", n1 + n2, d, interval, _normal(d, n1, n2, level))


def hedges_g(first: Summary, second: Summary, *, level: float = LEVEL) -> Effect | TooFew:
    """Cohen's d without its bias in small samples; value and both intervals are d's times `correction`."""
    d = cohens_d(first, second, level=level)
    if not d.enough:
        return d
    factor = correction(d.n - 2)
    normal = _times(d.normal_interval, factor) if d.normal_interval else None
    return Effect("Hedges' g", d.n, d.value * factor, _times(d.interval, factor), normal)


def correction(df: int) -> float:
    """Hedges (1981), exact: J = gamma(df/2) / (sqrt(df/2) x gamma((df-1)/2)), for df of at least 2."""
    return math.exp(special.gammaln(df / 2) - special.gammaln((df - 1) / 2) - math.log(df / 2) / 2)


def _times(interval: Interval, factor: float) -> Interval:
    return Interval(interval.low * factor, interval.high * factor, interval.level)


def _normal(d: float, n1: int, n2: int, level: float) -> Interval:
    """Hedges & Olkin (1985), p. 86: variance (n1+n2)/(n1 n2) + d^2 / (2 (n1+n2))."""
    se = math.sqrt((n1 + n2) / (n1 * n2) + d * d / (2 * (n1 + n2)))
    reach = float(special.ndtri((1 + level) / 2)) * se
    return Interval(d - reach, d + reach, level)


def noncentral_t(t: float, df: float, *, level: float = LEVEL) -> Interval:
    """The noncentralities under which an observed t lies at the upper and the lower end."""
    tail = (1 - level) / 2
    low, high = (float(special.nctdtrinc(df, p, t)) for p in (1 - tail, tail))
    return Interval(low, high, level)


# --- the same students before and after


def paired_dz(gain: Summary, *, level: float = LEVEL) -> Effect | TooFew:
    """d_z: the mean gain over the standard deviation of the gains (Cohen 1988, eq. 2.3.5).

    It grows with the correlation of before and after, so it does not compare with d of two groups.
    """
    if gain.n < 2 or gain.mean is None or gain.sd is None:
        return TooFew(f"needs at least 2 sessions with both scores; there {_are(gain.n)}")
    if gain.sd == 0:
        return TooFew("every session gained the same, so there is nothing to measure against")
    root = math.sqrt(gain.n)
    dz = gain.mean / gain.sd
    limits = noncentral_t(dz * root, gain.n - 1, level=level)
    return Effect("d_z", gain.n, dz, Interval(limits.low / root, limits.high / root, level))


def paired_dav(before: Summary, after: Summary, gain: Summary, *, level: float = LEVEL) -> Effect | TooFew:
    """d_av: the mean gain over the root of the mean of both variances, in the units of d of two groups.

    Cumming (2012), p. 291. The interval scales that of d_z (Algina & Keselman 2003), an approximation.
    All three summaries must be of the same sessions.
    """
    dz = paired_dz(gain, level=level)
    if not dz.enough:
        return dz
    if not before.n == after.n == gain.n:
        return TooFew(f"needs both scores of the same sessions; there are {before.n} before, {after.n} after")
    if before.sd is None or after.sd is None or gain.sd is None or before.sd == after.sd == 0:
        return TooFew("neither score varies, so there is nothing to measure against")
    factor = gain.sd / math.sqrt((before.sd**2 + after.sd**2) / 2)
    return Effect("d_av", gain.n, dz.value * factor, _times(dz.interval, factor))
