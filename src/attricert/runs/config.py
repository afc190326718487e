"""What is certified and how: everything that decides a run's results; its declaration needs no torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, final, get_type_hints

from attricert import checks
from attricert.attributions import ATTRIBUTIONS
from attricert.bounding import BOUNDS, Bound
from attricert.errors import ArgumentError, UnknownNameError
from attricert.noise import NOISES, Noise
from attricert.registry import Registry, choice
from attricert.runs.code import is_code
from attricert.runs.objects import is_object

if TYPE_CHECKING:
    from attricert.datasets import Reading
    from attricert.options import Options
else:  # readable annotations without torch, which settings need when they are checked
    Options = Reading = Any

__all__ = ["Config", "parameters_of"]

_MAPS = ("keep", "drop")
_THREADS = 4096


@final
@dataclass(frozen=True)
class Config:
    """What to certify and how; `Config.of` takes everything from one flat mapping.

    Args:
        model: a zoo model's name, or path.py:factory where factory() returns a torch module, or
            another classifier of arrays (predict_proba).
        data: a data set slice such as mnist:test[0:100], a folder of images (or of folders, one a class), a .npy, .npz,
            .csv or .parquet file, or path.py:factory where factory() returns data; files and code may have a slice.
        attribution: or path.py:factory where factory(model) returns a callable (inputs, target) -> attributions.
        target: class to explain: predicted, label, or a number; none for a model with one output, such as a regression.
        noise: the smoothing distribution; where none is named, the one that the given scale is of.
        bound: the structural bound of every sampled map.
        parameters: of attribution, noise and bound, by name; those left out have their defaults.
        mean: of each channel, with std, for a model of normalized images: it is given images in [0, 1] and normalizes
            them inside, so that noise and eps are in pixels.
        std: of each channel, for images in [0, 1].
        output: which of the model's outputs is meant: a key, an attribute, or a place in a tuple.
        autocast: bfloat16 (or float16, on CUDA): the model computes in half precision, as part of what is certified.
        n_samples: noisy copies of each input, pilot included.
        prove: what to prove beside the norm: top_variance, cone, fourth, entries, prediction; by default all but
            fourth, which gives larger certificates with many samples, at a cost. Entries go only where maps are kept;
            the printed formula needs nothing.
        functionals: .npy file with weights of shape (r, *input), or an integer label map (superpixels) of the input's
            shape; intervals for each are reported.
        alpha: probability that an input's certificates fail.
        confidence: betting, hoeffding, bernstein, or asymptotic (not a finite-sample bound).
        guarantee: population or observed.
        observed_samples: attributions in each observed average (n_samples by default).
        method: sound, or printed (the paper's formula; not a bound).
        antithetic: sample in pairs (a, -a).
        stop_eps: stop sampling an input as soon as the claim of this eps and stop_cosine is decided.
        stop_cosine: goes with stop_eps.
        maps: keep, or drop: maps and intervals of single features, four numbers an entry, are by far the most of what
            a run stores.
        seed: seed of the keyed streams; by default a fresh secret one, which the written config records.
        device: torch device.
        threads: CPU threads of a worker; with another number, or on another kind of machine, sums may differ in their
            last bits.
        batch_size: noisy copies computed at once; by default what fits 1 GiB, or half of the free memory of a GPU.
        channels_last: give copies of images with channels last in memory (true, false); by default where it is of use.
        compile: compile the model, once in each worker, which takes seconds to minutes; sums may differ in their last
            bits.
        preflight: look first, in a few calls, for random maps, rows of a batch that are mixed, changes in place.
        size: of images in folders: one number makes the shorter side that and cuts the middle square out; height and
            width stretch to them. eps is in these pixels.
        label_column: the column of a table that holds the classes, as whole numbers or names.
        id_column: the column of a table that holds the rows' names.
        skip_columns: columns of a table that are left out.
    """

    model: str
    data: str
    attribution: str = choice(ATTRIBUTIONS, "saliency")
    target: str = "predicted"
    noise: str = choice(NOISES, "gaussian")
    bound: str = choice(BOUNDS, "normalize")
    parameters: Mapping[str, Any] = field(default_factory=dict, hash=False)
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    output: str | None = None
    autocast: str | None = None
    n_samples: int = 10_000
    prove: tuple[str, ...] | None = None
    functionals: str | None = None
    alpha: float = 1e-3
    confidence: str = "betting"
    guarantee: str = "population"
    observed_samples: int | None = None
    method: str = "sound"
    antithetic: bool = False
    stop_eps: float | None = None
    stop_cosine: float | None = None
    maps: str = "keep"
    seed: int | None = None
    device: str = "cpu"
    threads: int = 1
    batch_size: int | None = None
    channels_last: bool | None = None
    compile: bool = False
    preflight: bool = True
    size: tuple[int, ...] | None = None
    label_column: str | None = None
    id_column: str | None = None
    skip_columns: tuple[str, ...] | None = None

    groups: ClassVar[Mapping[str, Collection[str]]] = {  # how help shows them
        "what to certify": (
            *("model", "data", "attribution", "target", "mean", "std", "output", "autocast", "size"),
            *("label_column", "id_column", "skip_columns", "functionals"),
        ),
        "noise and bound": ("noise", "bound", "antithetic"),
        "how much and how sure": ("n_samples", "alpha", "stop_eps", "stop_cosine", "seed", "preflight"),
        "what is proven": ("prove", "confidence", "guarantee", "observed_samples", "method", "maps"),
        "where the work is done": ("device", "threads", "batch_size", "channels_last", "compile"),
    }

    def __post_init__(self) -> None:
        from attricert.runs.loading import attribution_arguments, model_arguments

        checks.keep(self, **{f.name: checks.plain(getattr(self, f.name)) for f in dataclasses.fields(self)})
        checks.keep(self, parameters={name: checks.plain(value) for name, value in self.parameters.items()})
        hints = get_type_hints(Config)
        for name in (f.name for f in dataclasses.fields(self) if f.name != "parameters"):
            checks.typed(name, getattr(self, name), hints[name])
        checks.known("method", self.method, ("sound", "printed"))
        checks.known("maps", self.maps, _MAPS)
        checks.count("threads", self.threads, 1, _THREADS)
        model_arguments(self.model, self.mean, self.std, self.output)
        self._check_autocast()
        known = {name: parameter for registry in _KINDS.values() for name, parameter in registry.parameters().items()}
        for name, value in self.parameters.items():
            if name not in known:
                raise UnknownNameError("parameters", name, known)
            if value is not None:
                checks.typed(name, value, known[name].type)
        arguments = (
            attribution_arguments(self.attribution, parameters_of(ATTRIBUTIONS, self.parameters)),
            NOISES.arguments(self.noise, parameters_of(NOISES, self.parameters)),
            BOUNDS.arguments(self.bound, parameters_of(BOUNDS, self.parameters)),
        )
        complete = {name: value for some in arguments for name, value in some.items()}
        checks.keep(self, parameters=complete)  # so that equal configs are equal
        self.reading()
        self.structural_bound()
        if self.maps == "drop" and "entries" in (self.prove or ()):
            raise ArgumentError(
                "prove", list(self.prove or ()), "entries go only where maps are kept, not with maps=drop"
            )
        if self.method == "printed" and (self.smoothing_noise().dominated or self.guarantee != "population"):
            raise ArgumentError("method", "printed", "the paper's theorem is for uniform noise and the population")
        self.options()

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Config:
        """From plain values, parameters among them, as `to_dict` gives them; None stands for not given.

        Without a noise, the scale that is given says which it is.

        Raises:
            ArgumentError: there is no model, or there are no data.
            UnknownNameError: a value is none of the settings.
        """
        given = _renamed(values)
        settings = {f.name for f in dataclasses.fields(cls)} - {"parameters"}
        known = settings | {name for registry in _KINDS.values() for name in registry.parameters()}
        for name in given:
            if name not in known:
                raise UnknownNameError("setting", name, known)
        given = {name: _tuple(value) for name, value in given.items() if value is not None}
        for name in ("model", "data"):
            if name not in given:
                raise ArgumentError(name, None, "must be given, by name or (in Python) as it is")
        given.setdefault("noise", NOISES.fitting(given))
        parameters = {name: value for name, value in given.items() if name not in settings}
        return cls(**{name: value for name, value in given.items() if name in settings}, parameters=parameters)

    def updated(self, values: Mapping[str, Any]) -> Config:
        """With some values changed; another noise, say, leaves the parameters of this one behind."""
        left = {
            name
            for kind, registry in _KINDS.items()
            if values.get(kind) not in (None, getattr(self, kind))
            for name in registry.parameters()
        }
        return Config.of({**{name: value for name, value in self.to_dict().items() if name not in left}, **values})

    def to_dict(self) -> dict[str, Any]:
        """As plain values, parameters beside what they are of."""
        values: dict[str, Any] = {}
        for name in (f.name for f in dataclasses.fields(self) if f.name != "parameters"):
            value = getattr(self, name)
            values[name] = list(value) if isinstance(value, tuple) else value
            if name in _KINDS:
                values |= parameters_of(_KINDS[name], self.parameters)
        return values

    def options(self) -> Options:
        """What is asked of the draws."""
        from attricert.certificates import Claim, Observed
        from attricert.options import Options

        pair = (self.stop_eps, self.stop_cosine)
        if (pair[0] is None) != (pair[1] is None):
            lacking, given = ("stop_eps", "stop_cosine") if pair[0] is None else ("stop_cosine", "stop_eps")
            raise ArgumentError(lacking, None, f"is needed with {given}")
        checks.known("guarantee", self.guarantee, ("population", "observed"))
        if self.observed_samples is not None and self.guarantee == "population":
            raise ArgumentError("observed_samples", self.observed_samples, "goes with guarantee=observed")
        population = self.guarantee == "population"
        norm_alone = self.method == "printed" and self.prove is None  # the formula knows nothing else
        stop_at = None if pair[0] is None or pair[1] is None else Claim(eps=pair[0], cosine=pair[1])
        return Options(
            n_samples=self.n_samples,
            alpha=self.alpha,
            seed=self.seed,
            prove=() if norm_alone else self.prove,
            guarantee="population" if population else Observed(self.observed_samples or self.n_samples),
            stop_at=stop_at,
            confidence=self.confidence,
            preflight=self.preflight,
        )

    def reading(self) -> Reading:
        """How the data are to be read."""
        from attricert.datasets import Reading

        return Reading(self.size, self.label_column, self.id_column, self.skip_columns)

    def _check_autocast(self) -> None:
        if self.autocast is None:
            return
        if checks.half_precision("autocast", self.autocast) == "float16" and not self.device.startswith("cuda"):
            raise ArgumentError("autocast", self.autocast, "needs CUDA (--device cuda); bfloat16 goes anywhere")
        if is_object(self.attribution):
            rule = "goes with attributions that runs make; make this one of attricert.Autocast(model)"
            raise ArgumentError("autocast", self.autocast, rule)

    def own_code(self) -> dict[str, str]:
        """Settings whose names stand for a user's own code, with these."""
        named = {name: str(getattr(self, name)) for name in ("model", "attribution", "data")}
        return {setting: name for setting, name in named.items() if is_code(name)}

    def smoothing_noise(self) -> Noise:
        """The noise that is named."""
        return NOISES.build(self.noise, parameters_of(NOISES, self.parameters))

    def structural_bound(self) -> Bound:
        """The bound that is named."""
        return BOUNDS.build(self.bound, parameters_of(BOUNDS, self.parameters))


_KINDS: dict[str, Registry[Any]] = {
    f.name: f.metadata["registry"] for f in dataclasses.fields(Config) if "registry" in f.metadata
}


_PROVEN_THEN = ("top_variance", "cone", "fourth", "entries", "prediction")


def _renamed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of version 0.1 under the names of today."""
    from attricert.options import FIXED

    given = dict(values)
    moments, skipped, stop = (given.pop(name, None) for name in ("moments", "skip_label", "stop_when"))
    higher = bool(moments) and max(moments) > 2
    if (skipped or higher) and given.get("confidence") != "asymptotic":
        left_out = {"prediction"} if skipped else set()
        left_out |= {"entries"} if given.get("maps") == "drop" else set()
        left_out |= set() if higher else {"fourth"}
        left_out |= set() if stop is None else set(FIXED)
        given.setdefault("prove", [name for name in _PROVEN_THEN if name not in left_out])
    if stop is not None:
        given["stop_eps"], given["stop_cosine"] = stop
    return given


def parameters_of(registry: Registry[Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the parameters that some member of the registry has."""
    return {name: parameters[name] for name in registry.parameters() if name in parameters}


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
