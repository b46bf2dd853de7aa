#!/usr/bin/env python3
"""Writes tests/data/scipy.csv: p-values and tails that SciPy and mpmath compute.

Run it from the project's root, in an environment with scipy and mpmath:

    python3 scripts/reference_statistics.py > tests/data/scipy.csv

Columns: what is computed, its arguments (separated by spaces), and the value.
  binomial_test    hits n share              exact two-sided p-value (scipy.stats.binomtest)
  at_least         x n share                 P[Bin(n, share) >= x] (mpmath, 40 digits)
  beta             a b share                 I_share(a, b), for counts that are not whole (mpmath)
  multinomial      counts... / shares...     exact p-value in probability order (enumerated)
  noncentral       x df lambda               P[noncentral chi-square >= x] (mpmath mixture)
  fixed_power      n share truth alpha       P[binomtest p-value <= alpha] under the truth
"""

import itertools

import mpmath
from mpmath import mpf
from scipy import stats

mpmath.mp.dps = 40


def row(kind, arguments, value):
    """Prints one row; a share is written so that reading it gives the same float."""
    text = " ".join(repr(float(a)) if isinstance(a, float) else str(a) for a in arguments)
    print(f"{kind},{text},{mpmath.nstr(mpf(value), 15)}")


def at_least(x, n, share):
    """P[Bin(n, share) >= x]: falling terms, added up from the one nearest to the mean outward."""
    hit, miss = mpf(share), 1 - mpf(share)
    term = mpmath.exp(ln_mass((x, n - x), (hit, miss)))
    if x < n * share:
        upper, total = False, mpf(0)
        j = x - 1
        term = term * x / (n - x + 1) * miss / hit
    else:
        upper, total, j = True, mpf(0), x
    while 0 <= j <= n and (total == 0 or term > total * mpf("1e-25")):
        total += term
        if upper:
            term = term * (n - j) / (j + 1) * hit / miss
            j += 1
        else:
            term = term * j / (n - j + 1) * miss / hit
            j -= 1
    return total if upper else 1 - total


def ln_mass(counts, shares):
    """ln of a multinomial probability."""
    total = mpmath.loggamma(sum(counts) + 1)
    for count, share in zip(counts, shares):
        total += count * mpmath.log(mpf(share)) - mpmath.loggamma(count + 1)
    return total


def compositions(n, cells):
    """All ways to spread n over cells."""
    for bars in itertools.combinations(range(n + cells - 1), cells - 1):
        ends = (-1, *bars, n + cells - 1)
        yield [b - a - 1 for a, b in zip(ends, ends[1:])]


def multinomial(counts, shares):
    """The probability of all outcomes no more probable than the counts."""
    cut = ln_mass(counts, shares) + mpf("1e-7")
    masses = (ln_mass(other, shares) for other in compositions(sum(counts), len(counts)))
    return sum(mpmath.exp(mass) for mass in masses if mass <= cut)


def noncentral(x, df, noncentrality):
    """The Poisson mixture of central tails."""
    half = mpf(noncentrality) / 2
    terms = range(int(half + 40 * mpmath.sqrt(half) + 200))
    return sum(
        mpmath.exp(-half + j * mpmath.log(half) - mpmath.loggamma(j + 1))
        * mpmath.gammainc(mpf(df) / 2 + j, mpf(x) / 2, regularized=True)
        for j in terms
    )


def main():
    """Prints the table."""
    print("kind,arguments,value")
    for n, share in [(50, 0.3), (99, 0.3), (1000, 0.01), (3664, 0.3), (20000, 0.1), (100000, 0.5)]:
        deviation = (n * share * (1 - share)) ** 0.5
        for z in (-6, -3.3, -1, 0.5, 2, 3.2, 5, 9):
            hits = min(n, max(0, round(n * share + z * deviation)))
            p = stats.binomtest(hits, n, share).pvalue
            row("binomial_test", [hits, n, share], p)
    for n, share in [(10, 0.9), (1000, 0.35), (10**6, 0.25), (10**7, 0.65)]:
        deviation = (n * share * (1 - share)) ** 0.5
        for z in (-3, -0.2, 0, 0.2, 1, 4, 12):
            x = min(n, max(1, round(n * share + z * deviation)))
            row("at_least", [x, n, share], at_least(x, n, share))
    for a, b, share in [
        (0.3, 2.7, 0.3), (12.5, 30.25, 0.35), (175.4, 80.6, 0.65), (2500.1, 1100.9, 0.7),
        (1.0001, 50.5, 0.01), (33333.3, 66666.7, 0.34),
    ]:
        row("beta", [a, b, share], mpmath.betainc(a, b, 0, mpf(share), regularized=True))
    for counts, shares in [
        ((12, 5, 13), (0.5, 0.3, 0.2)),
        ((40, 1, 0), (0.9, 0.05, 0.05)),
        ((9, 9, 1, 1), (0.25, 0.25, 0.25, 0.25)),
        ((60, 0, 0, 0), (0.97, 0.01, 0.01, 0.01)),
        ((4, 1, 6, 2, 5), (0.3, 0.3, 0.2, 0.1, 0.1)),
    ]:
        row("multinomial", [*counts, "/", *shares], multinomial(counts, shares))
    for x, df, noncentrality in [
        (3.84, 2, 0.5), (10.8, 1, 31.5), (13.8, 2, 35.2), (66.3, 49, 54.7), (300.0, 254, 20.0),
        (100.0, 3, 5.0), (1200.0, 4, 1000.0),
    ]:
        row("noncentral", [x, df, noncentrality], noncentral(x, df, noncentrality))
    for n, share, truth, alpha in [
        (200, 0.3, 0.4, 0.001), (757, 0.01, 0.0, 0.001), (1000, 0.01, 0.03, 0.001),
        (1500, 0.3, 0.35, 0.05),
    ]:
        power = sum(
            mpf(stats.binom.pmf(x, n, truth))
            for x in range(n + 1)
            if stats.binomtest(x, n, share).pvalue <= alpha
        )
        row("fixed_power", [n, share, truth, alpha], power)


if __name__ == "__main__":
    main()
