#!/usr/bin/env python3
"""Writes tests/data/reference_sequence.csv: what SciPy and mpmath say about the sequence statistics.

    python3 -m venv .venv && .venv/bin/pip install scipy mpmath
    .venv/bin/python scripts/reference_sequence.py > tests/data/reference_sequence.csv

A row is a function's name, its arguments (lists of numbers, each separated by spaces), and its value.
"""

import csv
import sys

import mpmath
import numpy
from scipy import optimize, special, stats

mpmath.mp.dps = 50
out = csv.writer(sys.stdout, lineterminator="\n")
out.writerow(["function", "first", "second", "third", "value"])


def row(function, *arguments, value):
    texts = [" ".join(f"{x:.17g}" for x in numpy.atleast_1d(a)) for a in arguments]
    out.writerow([function, *texts, *[""] * (3 - len(texts)), f"{float(value):.15g}"])


for x in [0.05, 0.3, 0.7, 0.99, 1.0, 1.18, 1.3581, 1.6276, 1.9495, 5.0, 12.0]:
    row("kolmogorov_upper_tail", x, value=special.kolmogorov(x))

for f, d1, d2 in [
    (0.5, 2, 10),
    (3.5, 1, 49),
    (12, 1, 49),
    (40, 2, 98),
    (1.0, 254, 254 * 49),
    (2.0, 9, 9 * 999),
    (11, 1, 1e5),
    (11, 1, 1e6),
    (30, 3, 1e6),
]:
    # Fisher's F through a beta integral of 50 digits.
    x = mpmath.mpf(d2) / (d1 * mpmath.mpf(f) + d2)
    value = mpmath.betainc(mpmath.mpf(d2) / 2, mpmath.mpf(d1) / 2, 0, x, regularized=True)
    assert abs(value / stats.f.sf(f, d1, d2) - 1) < 1e-6, (f, d1, d2)
    row("fisher_upper_tail", f, d1, d2, value=value)

for y in [1e-9, 0.01, 0.5, 1.0, 2.0, 6.3, 15.99, 16.0, 99.0, 1e6]:
    real = mpmath.mpf(y)
    stirling = (real - 0.5) * mpmath.log(real) - real + mpmath.log(2 * mpmath.pi) / 2
    row("stirling_remainder", y, value=mpmath.loggamma(real) - stirling)

for x, mean in [(0, 3), (1, 1000), (95, 100), (100.5, 100), (1e9 + 1, 1e9), (1e9, 1e8)]:
    x, mean = mpmath.mpf(x), mpmath.mpf(mean)
    value = (x * mpmath.log(x / mean) if x else 0) + mean - x
    row("deviance", x, mean, value=value)

for hits, trials, share in [(3, 5, 0.3), (0, 1000, 0.01), (700, 1000, 0.7), (500, 1000, 0.7), (700123, 1000000, 0.7)]:
    p = mpmath.mpf(share)
    value = mpmath.binomial(trials, hits) * p**hits * (1 - p) ** (trials - hits)
    row("binomial_probability", hits, trials, share, value=value)

for counts, shares, tolerance in [
    ([69, 30], [0.7, 0.3], 0.05),
    ([0, 12], [0.99, 0.01], 0.05),
    ([1, 0, 0], [0.5, 0.3, 0.2], 0.1),
    ([97000, 1010, 995, 995], [0.97, 0.01, 0.01, 0.01], 0.02),
    ([700010000, 299990000], [0.7, 0.3], 0.05),
]:
    # The decimal fractions themselves: their nearest doubles sum to 1 − 6e-17, which a billion responses magnify.
    p = [mpmath.mpf(str(share)) for share in shares]
    shifts = [min(mpmath.mpf(str(tolerance)), share / 2) for share in p]
    c = max([mpmath.mpf(2)] + [q * (1 - q) / (4 * shift**2) for q, shift in zip(p, shifts)])
    lg = mpmath.loggamma
    value = lg(c) - lg(c + sum(counts)) + sum(
        lg(c * q + x) - lg(c * q) - x * mpmath.log(q) for x, q in zip(counts, p)
    )
    if sum(counts) < 1e6:
        alpha = numpy.array([float(c * q) for q in p])
        other = stats.dirichlet_multinomial.logpmf(counts, alpha, sum(counts))
        other -= stats.multinomial.logpmf(counts, sum(counts), shares)
        assert abs(float(value) - other) < 1e-6, counts
    row("log_bayes_factor", counts, shares, tolerance, value=value)

random = numpy.random.default_rng(1)
for sizes in [[20] * 12, [3, 5, 40, 2, 2, 9]]:
    # The ratio of mean squares by a one-way analysis of variance of the indicator of backend 0.
    groups = [(random.random(size) < random.beta(2, 1)).astype(float) for size in sizes]
    ratio = stats.f_oneway(*groups).statistic
    n, m = sum(sizes), len(sizes)
    n0 = (n - sum(size**2 for size in sizes) / n) / (m - 1)
    hits = [group.sum() for group in groups]
    row("intraclass_correlation", hits, sizes, value=(ratio - 1) / (ratio + n0 - 1))

for rows in [[[70, 30], [61, 39], [88, 12], [75, 25]], [[30, 40, 50], [45, 35, 40]]]:
    table = numpy.array(rows)
    result = stats.chi2_contingency(table, correction=False)
    row("block_p_value", table.ravel(), table.shape, value=result.pvalue)

for count, size, hits, total in [
    (229, 458, 1099, 3664),
    (8, 458, 1000, 3664),
    (0, 40, 30, 100),
    (12, 12, 500, 1000),
    (300900, 1000000, 3000000, 10000000),
]:
    # Twice the smaller tail, with 50 digits where SciPy loses them.
    def mass(x):
        return mpmath.binomial(hits, x) * mpmath.binomial(total - hits, size - x)

    upper = count * total > size * hits
    tail, term, x = mpmath.mpf(0), mass(count), count
    while term > tail * mpmath.mpf("1e-25"):
        tail += term
        if upper:
            term *= mpmath.mpf((hits - x) * (size - x)) / ((x + 1) * (total - hits - size + x + 1))
        else:
            term *= mpmath.mpf(x * (total - hits - size + x)) / ((hits - x + 1) * (size - x + 1))
        x += 1 if upper else -1
    tail /= mpmath.binomial(total, size)
    urn = stats.hypergeom(total, hits, size)
    other = urn.sf(count - 1) if upper else urn.cdf(count)
    assert abs(float(tail) / other - 1) < 1e-6, (float(tail), other)
    row("hypergeometric_two_sided", [count, size], [hits, total], value=min(1, 2 * tail))

for hits, sizes, margin in [
    ([5130, 5130], [7328, 7328], 0.05),
    ([5130, 4763], [7328, 7328], 0.05),
    ([70, 300], [100, 500], 0.05),
    ([3, 9], [900, 800], 0.005),
    ([0, 12], [270, 300], 0.05),
    ([270, 268], [270, 270], 0.05),
]:
    # The likelihood of shares that are apart by the margin, maximised by search for a zero of its slope.
    def slope(p):
        q = p + margin
        return (
            hits[0] / p
            - (sizes[0] - hits[0]) / (1 - p)
            + hits[1] / q
            - (sizes[1] - hits[1]) / (1 - q)
        )

    low, high = 1e-13, 1 - margin - 1e-13
    if slope(low) < 0:
        first = 0.0
    elif slope(high) > 0:
        first = 1 - margin
    else:
        first = optimize.brentq(slope, low, high, xtol=1e-15)
    second = first + margin
    variance = first * (1 - first) / sizes[0] + second * (1 - second) / sizes[1]
    value = (hits[0] / sizes[0] - hits[1] / sizes[1] + margin) / variance**0.5
    row("score_of_difference", hits, sizes, margin, value=value)
