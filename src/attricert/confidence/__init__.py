"""Finite-sample confidence bounds, and the paper's asymptotic one (docs/theory.md 5)."""

from attricert.confidence.betting import Betting
from attricert.confidence.bounded import excess, stake, upper_mean
from attricert.confidence.hilbert import bernstein, mean_distance
from attricert.confidence.means import CONFIDENCE_BOUNDS, EmpiricalBernstein, Hoeffding, LowerBound, Problem
from attricert.confidence.proportions import least_for_majority, lower_proportion, upper_proportion
from attricert.confidence.quadratic_forms import cdf as quadratic_form_cdf
from attricert.confidence.quadratic_forms import norm_interval

__all__ = [
    "CONFIDENCE_BOUNDS",
    "Betting",
    "EmpiricalBernstein",
    "Hoeffding",
    "LowerBound",
    "Problem",
    "bernstein",
    "excess",
    "least_for_majority",
    "lower_proportion",
    "mean_distance",
    "norm_interval",
    "quadratic_form_cdf",
    "stake",
    "upper_mean",
    "upper_proportion",
]
