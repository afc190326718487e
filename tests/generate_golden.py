"""Computes the reference values of ``golden.json`` anew: ``python tests/generate_golden.py``, some minutes.

Plain slow formulas in mpmath with 50 digits, independent of the library: integrals where the library has special
functions, root finding where it has inverses, a series where it has an integral. The cases (their inputs) are those of
the file; every other value in it is made here. To add a case, write its inputs there and run this. Section numbers are
those of docs/theory.md.
"""

import itertools
import json
from collections.abc import Callable, Iterable
from pathlib import Path

from mpmath import mp, mpf

PATH = Path(__file__).parent / "golden.json"

mp.dps = 50


def integral(f: Callable[[mpf], mpf], points: Iterable[mpf], method: str = "tanh-sinh") -> mpf:
    """Of f from the least of the points to the largest; f is smooth between neighbours."""
    total = mpf(0)
    for a, b in itertools.pairwise(sorted(points)):
        n = int(mp.ceil(b - a))
        total += mp.quad(f, mp.linspace(a, b, n + 1), method=method) if n else 0
    return total


def zero(f: Callable[[mpf], mpf], low: mpf, high: mpf, digits: int = 40) -> mpf:
    """Of a continuous f that changes its sign between low and high (Ridders 1979: never slower than bisection)."""
    at_low, at_high = f(low), f(high)
    assert at_low * at_high < 0
    while abs(high - low) > mpf(10) ** -digits * max(abs(low), abs(high)):
        middle = (low + high) / 2
        at_middle = f(middle)
        x = middle + (middle - low) * mp.sign(at_low - at_high) * at_middle / mp.sqrt(at_middle**2 - at_low * at_high)
        at_x = f(x)
        points = sorted([(low, at_low), (middle, at_middle), (x, at_x), (high, at_high)])
        (low, at_low), (high, at_high) = next(p for p in itertools.pairwise(points) if p[0][1] * p[1][1] <= 0)
        if at_low * at_high == 0:
            return low if at_low == 0 else high
    return (low + high) / 2


def normal_cdf(z: mpf) -> mpf:
    """Of the standard normal law."""
    return mp.erfc(-z / mp.sqrt(2)) / 2


def normal_quantile(p: mpf) -> mpf:
    """z with normal_cdf(z) = p."""
    return zero(lambda z: normal_cdf(z) - p, mpf(-20), mpf(20))


# Noise (theory 2, 3b)


def ball_mass(d: int, x: mpf) -> mpf:
    """P(|a_1| < x) for a uniform on the unit ball of R^d: sin(t) = a_1 has a density proportional to cos(t)^d."""
    scale = mp.sqrt(d)
    end = min(mp.asin(min(x, mpf(1))) * scale, mpf(20))  # beyond, cos^d is below 1e-86
    whole = mp.sqrt(mp.pi) * mp.gamma(mpf(d + 1) / 2) / mp.gamma(mpf(d) / 2 + 1) / 2
    return integral(lambda t: mp.cos(t / scale) ** d, [mpf(0), end]) / scale / whole


def ball_eps(d: int, mass: mpf) -> mpf:
    """eps / 2r at which so much mass is lost."""
    return zero(lambda x: ball_mass(d, x) - mass, mpf(0), mpf(1))


def overlap_ball(d, r, eps):
    """Lost mass of the uniform ball."""
    return {"lost_mass": ball_mass(d, mpf(eps) / (2 * mpf(r)))}


def tv_gaussian(sigma, eps):
    """Lost mass of Gaussian noise."""
    return {"lost_mass": 1 - 2 * normal_cdf(-mpf(eps) / (2 * mpf(sigma)))}


def chi_gaussian(sigma, eps):
    """Standard deviation of the likelihood ratio."""
    return {"chi": mp.sqrt(mp.exp((mpf(eps) / mpf(sigma)) ** 2) - 1)}


# Cosine by total variation, sound and as the paper prints it (theory 4, 9)


def cosine(noise, d, r, eps, norm, bound):
    """The bound at given eps; None where nothing can be said."""
    assert noise == "ball"
    moved = 2 * mpf(bound) * ball_mass(d, mpf(eps) / (2 * mpf(r)))
    share = moved / mpf(norm)
    sound = mp.sqrt(1 - share**2) if share < 1 else None
    return {"displacement": moved, "sound": sound, "printed": 1 / mp.sqrt(1 + share**2)}


def _affordable(cosine, norm, bound):
    """The lost mass that a threshold affords, sound and printed."""
    c, t = mpf(norm) / (2 * mpf(bound)), mpf(cosine)
    return {"sound": c * mp.sqrt(1 - t**2), "printed": c * mp.sqrt(1 / t**2 - 1)}


def max_eps(d, r, cosine, norm, bound):
    """Largest eps."""
    masses = _affordable(cosine, norm, bound)
    return {form: 2 * mpf(r) * ball_eps(d, mass) for form, mass in masses.items()}


def min_radius(d, eps, cosine, norm, bound):
    """Least radius of the ball, the norm held fixed."""
    masses = _affordable(cosine, norm, bound)
    return {form: mpf(eps) / (2 * ball_eps(d, mass)) for form, mass in masses.items()}


# Displacement under Gaussian noise (theory 3b, 3c), moments from samples (theory 5)


def hybrid(eps_over_sigma, spread, reach):
    """The hybrid, cut and not clipped, at its best z; and the variance bound."""
    e, root, b = mpf(eps_over_sigma), mp.sqrt(mpf(spread)), mpf(reach)

    def second(z):  # G(z): of w - 1 below z
        return mp.exp(e * e) * normal_cdf(z - 2 * e) - 2 * normal_cdf(z - e) + normal_cdf(z)

    def slope(z):
        return root * (mp.exp(e * z - e * e / 2) - 1) - 2 * b * mp.sqrt(second(z))

    z = zero(slope, e / 2, mpf(60))
    tail = normal_cdf(e - z) - normal_cdf(-z)
    return {"displacement": root * mp.sqrt(second(z)) + b * tail, "variance_only": root * mp.sqrt(mp.exp(e * e) - 1)}


def spread_upper(spread_hat, reach, n, alpha):
    """Maurer's upper bound on a mean of draws in [0, reach^2]."""
    beta2 = mpf(reach) ** 2 * mp.log(1 / mpf(alpha)) / (2 * n)
    return {"upper": (mp.sqrt(beta2) + mp.sqrt(mpf(spread_hat) + beta2)) ** 2}


def moment_weight(k, eps_over_sigma):
    """Norm of w - 1 in the exponent that is conjugate to 2k, w the likelihood ratio."""
    e, exponent = mpf(eps_over_sigma), mpf(2 * k) / (2 * k - 1)

    def f(z):
        return abs(mp.exp(e * z - e * e / 2) - 1) ** exponent * mp.npdf(z)

    return {"weight": integral(f, [mpf(-16), e / 2, exponent * e + 16]) ** (1 / exponent)}


# The paper's interval (theory 5)


def quadratic_form_cdf(x, weights, noncentrality):
    """P(sum w_j (Z_j + s_j)^2 <= x), s_j^2 the noncentrality: a mixture of central chi-squares (Ruben 1962)."""
    with mp.workdps(30):
        w, shifts = [mpf(v) for v in weights], [mpf(v) for v in noncentrality]
        beta = 2 / (1 / min(w) + 1 / max(w))
        ratios = [1 - beta / v for v in w]
        terms = int(mp.ceil(50 / -mp.log(max(map(abs, ratios)) + mpf(10) ** -9))) + 60
        a = [mp.exp(-sum(shifts) / 2) * mp.sqrt(mp.fprod(beta / v for v in w))]
        powers, g = [mpf(1)] * len(w), [mpf(0)]
        for k in range(1, terms):
            weighted = beta * k * mp.fsum(s / v * p for s, v, p in zip(shifts, w, powers, strict=True))
            powers = [p * r for p, r in zip(powers, ratios, strict=True)]
            g.append((mp.fsum(powers) + weighted) / 2)
            a.append(mp.fdot(g[1:], reversed(a)) / k)
        half, y = mpf(len(w)) / 2, mpf(x) / beta / 2
        return {"cdf": mp.fsum(v * mp.gammainc(half + k, 0, y, regularized=True) for k, v in enumerate(a))}


# The program (theory 3)


def program(noise, second_moment, drift, last_limit, limits=(), eps_over_sigma=None, lost_mass=None):
    """Its value at nu = 0.9, kappa = 10, and the least of its values, for mu = 0 and upper limits alone.

    Each expectation is an integral over the quantiles z of the likelihood ratio.
    """
    s2, drift, last = mpf(second_moment), mpf(drift), mpf(last_limit)
    if noise == "ball":
        p = mpf(lost_mass)

        def mean(f, nu, kappa):
            return (1 - p) * f(mpf(1), last) + p * f(mpf(0), last)

        beyond = p * last
    else:
        e = mpf(eps_over_sigma)
        steps = [normal_quantile(1 - mpf(mass)) for _, mass in limits]
        tops = [*(mpf(top) for top, _ in limits), last]

        def mean(f, nu, kappa):
            total, reach = mpf(0), mp.sqrt(2 * mp.dps * mp.log(10))
            for top, a, b in zip(tops, [-reach, *steps], [*steps, 2 * e + reach], strict=True):
                kink = (mp.log(nu + kappa * top) + e * e / 2) / e  # from here on the limit binds
                points = [a, b] + [kink] * (a < kink < b)

                def g(z, top=top):
                    return f(mp.exp(e * z - e * e / 2), top) * mp.npdf(z)

                total += integral(g, points, "gauss-legendre")
            return total

        beyond = mpf(0)

    def best(w, top, nu, kappa):  # the q <= top that is worst
        return min((w - nu) / kappa, top)

    def value(nu, kappa):
        def gain(w, top):
            q = best(w, top, nu, kappa)
            return q * (w - nu) - kappa * q * q / 2

        return mean(gain, nu, kappa) + kappa * s2 / 2 + abs(nu - 1) * drift + beyond

    def worst(power, nu, kappa):  # -2 d/dkappa and - d/dnu of the mean of gain
        return mean(lambda w, top: best(w, top, nu, kappa) ** power, nu, kappa)

    def kappa_of(nu):
        return mp.exp(zero(lambda t: worst(2, nu, mp.exp(t)) - s2, mpf(-12), mpf(12), digits=10))

    def slope(nu):
        return -worst(1, nu, kappa_of(nu))

    # Convex in both. Its value is flat at the least, so that 10 digits of nu and kappa give 20 of it.
    with mp.workdps(20):
        at_one = slope(mpf(1))
        if abs(at_one) <= drift:
            nu = mpf(1)
        elif at_one < 0:
            nu = zero(lambda v: slope(v) + drift, mpf(1), mpf(4), digits=10)
        else:
            nu = zero(lambda v: slope(v) - drift, mpf("0.1"), mpf(1), digits=10)
        kappa = kappa_of(nu)
    return {"at_nu_0.9_kappa_10": value(mpf("0.9"), mpf(10)), "least": value(nu, kappa)}


VALUES = {
    f.__name__: f
    for f in (
        overlap_ball,
        tv_gaussian,
        chi_gaussian,
        cosine,
        max_eps,
        min_radius,
        hybrid,
        spread_upper,
        quadratic_form_cdf,
        moment_weight,
        program,
    )
}


def computed(key: str, row: dict) -> dict:
    """One case of the file with its values computed anew, as the nearest floats."""
    function = VALUES[key]
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    inputs = {name: row[name] for name in row if name in names}
    return inputs | {name: v if v is None else float(v) for name, v in function(**inputs).items()}


def main() -> None:
    """Rewrites the file."""
    rows = json.loads(PATH.read_text())
    PATH.write_text(json.dumps({key: [computed(key, row) for row in rows[key]] for key in VALUES}, indent=1) + "\n")


if __name__ == "__main__":
    main()
