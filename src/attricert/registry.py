"""Words for classes: a new noise, bound or attribution is a class and one line; flags, configs and files follow."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Generic, Literal, TypeVar, Union, final, get_args, get_origin, get_type_hints

import docstring_parser

from attricert.errors import ArgumentError, UnknownNameError

__all__ = ["Parameter", "Registry", "choice", "descriptions"]

T = TypeVar("T")
C = TypeVar("C", bound=type)

_PLAIN = {bool, int, float, str, NoneType}


@final
@dataclass(frozen=True)
class Parameter:
    """A plain value that some members of a registry are made from.

    Args:
        name: of the field.
        type: its annotation: bool, int, float, str, a Literal, or a union of these and None.
        default: the field's; ``dataclasses.MISSING`` where it has none.
        help: what the class's docstring says of it.
    """

    name: str
    type: Any
    default: Any
    help: str

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is dataclasses.MISSING


@final
@dataclass(frozen=True)
class _Member:
    kind: Any
    presets: Mapping[str, Any]


@final
class Registry(Generic[T]):
    """Words, in the order of registration, and the dataclasses that they stand for.

    Args:
        kind: what the members are, as messages and settings have it: ``"noise"``.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._members: dict[str, _Member] = {}

    def register(self, name: str, **presets: Any) -> Callable[[C], C]:
        """Decorate a class with its word; presets are arguments that the word stands for.

        Its fields of plain types are its parameters: they become settings of runs and flags of commands, so a name
        must mean the same in all members, and must not be that of another setting.
        """
        if name in self._members:
            raise ArgumentError(self.kind, name, f"is taken, by {self._members[name].kind.__name__}")

        def add(kind: C) -> C:
            self._members[name] = _Member(kind, presets)
            return kind

        return add

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def __getitem__(self, name: str) -> type[T]:
        """The class of a word; UnknownNameError for others."""
        kind: type[T] = self._member(name).kind
        return kind

    def build(self, name: str, parameters: Mapping[str, Any], *first: Any) -> T:
        """Make a member from plain values, after the arguments that are no parameters (an attribution's model)."""
        member = self._member(name)
        made: T = member.kind(*first, **self.arguments(name, parameters), **member.presets)
        return made

    def arguments(self, name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """All parameters of a member: those given, and defaults; None stands for not given.

        Raises:
            ArgumentError: one is missing, or one is given that only other members have, and not as its default.
            UnknownNameError: no member has it.
        """
        own, known = self._parameters(name), self.parameters()
        given = {key: value for key, value in parameters.items() if value is not None}
        for key in given:
            if key not in known:
                raise UnknownNameError(self.kind, key, known)
        needed = self.required(name)
        foreign = [key for key, value in given.items() if key not in own and value != known[key].default]
        if foreign or not set(needed) <= set(given):
            lists = {
                word: " and ".join(f"--{key}" for key in keys)
                for word, keys in (("with", needed), ("without", foreign))
            }
            rule = ", ".join(f"{word} {keys}" for word, keys in lists.items() if keys)
            raise ArgumentError(self.kind, name, f"goes {rule}")
        return {key: given.get(key, parameter.default) for key, parameter in own.items()}

    def required(self, name: str) -> list[str]:
        """Parameters of a member that have no default."""
        return [key for key, parameter in self._parameters(name).items() if parameter.required]

    def fitting(self, parameters: Mapping[str, Any]) -> str:
        """The first member that has all of the parameters given here; the first of all if there is none."""
        given = {key for key in self.parameters() if parameters.get(key) is not None}
        return next((name for name in self if given <= set(self._parameters(name))), next(iter(self)))

    def name_of(self, member: object) -> str:
        """The word of a class or of an object."""
        kind = member if isinstance(member, type) else type(member)
        for name, known in self._members.items():
            if known.kind is kind and (
                kind is member or all(getattr(member, key) == value for key, value in known.presets.items())
            ):
                return name
        raise ArgumentError(self.kind, kind.__name__, "has no name; register it")

    def parameters_of(self, member: object) -> dict[str, Any]:
        """The plain values that `build` makes an equal object from, with its name."""
        return {key: getattr(member, key) for key in self._parameters(self.name_of(member))}

    def parameters(self) -> dict[str, Parameter]:
        """Those of all members, by name."""
        found: dict[str, Parameter] = {}
        for name in self:
            for key, parameter in self._parameters(name).items():
                found.setdefault(key, parameter)
        return found

    def _member(self, name: str) -> _Member:
        if name not in self._members:
            raise UnknownNameError(self.kind, str(name), self)
        return self._members[name]

    def _parameters(self, name: str) -> dict[str, Parameter]:
        member = self._member(name)
        hints, helps = _hints(member.kind), descriptions(member.kind)
        return {
            field.name: Parameter(field.name, hints[field.name], field.default, helps.get(field.name, ""))
            for field in dataclasses.fields(member.kind)
            if field.init and field.name not in member.presets and _plain(hints[field.name])
        }


def choice(registry: Registry[Any], default: str, *, parameters: bool = True) -> Any:
    """A dataclass field for a word of a registry; commands name its words, and add flags for its parameters."""
    return dataclasses.field(default=default, metadata={"registry": registry, "parameters": parameters})


def descriptions(kind: type) -> dict[str, str]:
    """What a class's docstring says of its arguments, those of its bases included."""
    return {name: text for base in reversed(kind.__mro__) for name, text in _arguments(base.__doc__ or "").items()}


@functools.cache
def _hints(kind: type) -> Mapping[str, Any]:
    return MappingProxyType(get_type_hints(kind))


@functools.cache
def _arguments(docstring: str) -> dict[str, str]:
    found = docstring_parser.parse(docstring).params
    return {parameter.arg_name: " ".join((parameter.description or "").split()) for parameter in found}


def _plain(hint: Any) -> bool:
    if get_origin(hint) in (Union, UnionType):
        return all(_plain(part) for part in get_args(hint))
    return get_origin(hint) is Literal or hint in _PLAIN
