"""What smoothed attributions are made of: how draws become certificates and forecasts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy.typing as npt
import torch
from torch import Tensor

from attricert import checks
from attricert.arguments import functionals_of, numbers_of, samples
from attricert.attributions import Attribution, Classifier, Targets, autocast_of, is_nonnegative, is_random, undisturbed
from attricert.bounding import Bound
from attricert.certificates import Certificate, Ledger, Terms
from attricert.errors import ArgumentError
from attricert.fixed import Fixed
from attricert.noise import Noise
from attricert.options import Options
from attricert.preprocessing import warn_of_range
from attricert.progress import ProgressCallback, reporting
from attricert.proving import Forecast, Goal, Prover, evidence, forecast, functional_bounds
from attricert.sampling import COPIES, BatchSize, Compute, Preflight, Sampler, check_precision, preflight
from attricert.streams import Stream, seed_of

__all__ = ["FEWEST_TO_FORECAST", "Smoothing"]

FEWEST_TO_FORECAST = 50  # draws; fewer say nothing


class Smoothing:
    """How draws become certificates and forecasts, of the fields that `SmoothedAttribution` has."""

    attribution: Attribution
    noise: Noise
    bound: Bound
    classifier: Classifier | None
    antithetic: bool
    batch_size: int | None
    memory_budget: int | None
    fixed: npt.ArrayLike | Fixed | None
    compute: Compute

    def _certified(
        self,
        options: Options,
        inputs: Tensor,
        target: Targets | npt.ArrayLike,
        functionals: npt.ArrayLike | Tensor | None,
        sample_ids: Sequence[str] | None,
        progress: bool | ProgressCallback,
        *,
        on_draws: Callable[[int, Callable[[], Certificate]], None] | None,
        like: Terms | None,
    ) -> Certificate:
        batch = self._batch(inputs, target, sample_ids)
        x = batch[0][0]
        given = None if functionals is None else numbers_of(functionals, x.device)
        if options.confidence == "asymptotic" and given is not None:
            raise ArgumentError("functionals", tuple(given.shape), "confidence='asymptotic' is about the norm alone")
        classifier = self._classifier(target)
        proven = options.proven(classifier=classifier is not None) if like is None else like.ledger.names
        sampler = self._sampler(
            classifier if "prediction" in proven else None, exact=like is None or like.lattice is not None
        )
        looked = self._preflight(sampler, batch[0]) if options.preflight else None
        sampler = sampler.settled(*batch[0][:2])
        shape = sampler.map_shape(batch[0][0])
        vectors = None if given is None else functionals_of(given, shape)
        if like is None:
            ledger = options.ledger(proven, math.prod(shape), 0 if vectors is None else len(vectors))
        else:
            ledger = like.ledger
        looked_at = like.preflight if like is not None else (() if looked is None else looked.looked_at)
        terms = self._terms(sampler, x, shape, options, ledger, looked_at=looked_at)
        if vectors is not None:
            functional_bounds(vectors, terms)
        goal = None if options.stop_at is None else Goal(terms, options.stop_at)
        show = None if on_draws is None else lambda draws, found: on_draws(draws, lambda: Certificate(found()))
        prover = Prover(sampler, terms, options.n_samples, shape, goal, vectors, show)
        with reporting(progress, options.n_samples * len(batch), "certifying") as tick:
            rows = [prover.prove(x, index, key, tick) for x, index, key in batch]
        if looked is not None:
            looked.again()
        return Certificate(evidence(terms, rows))

    def _forecasts(
        self,
        options: Options,
        inputs: Tensor,
        target: Targets | npt.ArrayLike,
        n_pilot: int,
        entries: bool,
        progress: bool | ProgressCallback,
    ) -> list[Forecast]:
        n_samples = checks.count("n_samples", n_pilot, FEWEST_TO_FORECAST)
        classifier = self._classifier(target)
        proven = options.proven(classifier=classifier is not None)
        sampler = self._sampler(classifier if "prediction" in proven else None)
        draws = n_samples // sampler.calls_per_draw
        with undisturbed(self.attribution, self.classifier), self.compute.in_threads():
            batch = self._batch(inputs, target, None)
            looked_at = self._preflight(sampler, batch[0]).looked_at
            sampler = sampler.settled(*batch[0][:2])
            shape = sampler.map_shape(batch[0][0])
            ledger = options.ledger(proven, math.prod(shape), 0)
            terms = self._terms(sampler, batch[0][0], shape, options, ledger, looked_at=looked_at)
            with reporting(progress, n_samples * len(batch), "forecasting") as tick:
                return [forecast(sampler, terms, draws, *sample, tick, keep=entries) for sample in batch]

    def _batch(
        self, inputs: Tensor, target: Targets | npt.ArrayLike, sample_ids: Sequence[str] | None
    ) -> list[tuple[Tensor, Tensor | None, str]]:
        batch = samples(inputs, target, sample_ids)
        free = self._sampler().free(batch[0][0])
        check_precision(torch.stack([free.take(x) for x, *_ in batch]), self.noise)
        warn_of_range(torch.stack([x for x, *_ in batch]), self.attribution, self.classifier)
        return batch

    def _preflight(self, sampler: Sampler, sample: tuple[Tensor, Tensor | None, str]) -> Preflight:
        copies = sampler.copies(sample[0], Stream(0, "", "preflight"), COPIES)
        return preflight(self.attribution, sampler.classifier, copies, sample[1], self.batch_size, sampler.fixed)

    def _sampler(self, classifier: Classifier | None = None, *, exact: bool = True) -> Sampler:
        own = getattr(self.attribution, "rows_at_once", None) if self.memory_budget is None else None
        batch = BatchSize(own if self.batch_size is None else self.batch_size, self.memory_budget)
        fixed = self.fixed if isinstance(self.fixed, Fixed) else None  # as the constructor has made it
        return Sampler(
            self.attribution,
            self.noise,
            self.bound,
            self.antithetic,
            classifier,
            batch,
            exact,
            fixed,
            compute=self.compute,
        )

    def _classifier(self, target: Targets | npt.ArrayLike) -> Classifier | None:
        if self.classifier is not None or target is None:
            return self.classifier
        own: Classifier | None = getattr(self.attribution, "model", None)
        return own

    def _terms(
        self,
        sampler: Sampler,
        x: Tensor,
        shape: tuple[int, ...],
        options: Options,
        ledger: Ledger,
        *,
        looked_at: tuple[str, ...] | None,
    ) -> Terms:
        d = sampler.free(x).dimension
        return Terms(
            noise=self.noise,
            dimension=d,
            max_norm=self.bound.max_norm,
            max_entry=self.bound.entry_bound,
            bound=repr(self.bound),
            nonnegative=is_nonnegative(self.attribution),
            alpha=options.alpha,
            observed=options.observed,
            confidence=options.confidence,
            antithetic=self.antithetic,
            seed=seed_of(options.seed),
            ledger=ledger,
            lattice=self.noise.lattice_step(d) if sampler.exact else None,
            random=is_random(self.attribution),
            preflight=looked_at,
            entries=math.prod(shape),
            fixed=sampler.fixed,
            autocast=autocast_of(self.attribution, self.classifier),
        )
