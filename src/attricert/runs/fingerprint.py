"""Fingerprints of models: equal weights, equal digest, however the model is wrapped or laid out in memory.

The weights are what ``state_dict`` gives. What merely wraps a model (compiled, `DataParallel`) leaves no trace in the
names; of parametrized weights the values that they amount to count. Weights that are constants of a scripted model's
code, or of an exported graph, count too. Buffers that a model does not keep (``persistent=False``) do not: they follow
from its code, which has a fingerprint of its own, and where they are computed their last bits are the machine's.
"""

from __future__ import annotations

import copy
import copyreg
import hashlib
import io
import re
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import ParametrizationList
from torch.utils import _python_dispatch as subclasses

from attricert.errors import ArgumentError
from attricert.runs.code import unnumbered
from attricert.text import one_line, told

__all__ = ["model_digest"]

_PLAIN = (type(None), bool, int, float, complex, str, bytes)
_GLOBAL = (type, type(lambda: None), type(len))
_SPARSE = {
    torch.sparse_csr: ("crow_indices", "col_indices"),
    torch.sparse_bsr: ("crow_indices", "col_indices"),
    torch.sparse_csc: ("ccol_indices", "row_indices"),
    torch.sparse_bsc: ("ccol_indices", "row_indices"),
}
_PER_TENSOR = (torch.per_tensor_affine, torch.per_tensor_symmetric)
_MANGLED = re.compile(r"\.___torch_mangle_\d+")  # by how many classes of this name the process had scripted before
_BLOCKS = re.compile(r"^(?=class |def )", re.MULTILINE)


def model_digest(model: nn.Module) -> str:
    """SHA-256 of a model's weights, name by name; the model is left as it is.

    Raises:
        ArgumentError: some of them have no values, or values of a kind that cannot be told from others.
    """
    whole, name = hashlib.sha256(), "state_dict"
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=()):
            for name, value in sorted(_weights(model), key=lambda pair: pair[0]):
                whole.update(name.encode() + (_dense(value) if _is_dense(value) else _encoded(value)))
    except Exception as error:  # of a user's own code too
        why = str(error) if type(error) is ValueError else told(error)
        rule = f"no fingerprint of its weights can be taken ({one_line(f'{name}: {why}')})"
        raise ArgumentError("model", type(model).__name__, rule) from None
    return whole.hexdigest()


def _weights(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """Names and values."""
    wrapped, parametrized, more = set[str](), set[str](), dict[str, Any]()
    state, scripts = model.state_dict(), list[str]()
    for path, module in model.named_modules(remove_duplicate=False):
        prefix = f"{path}." if path else ""
        if (inner := _inner(module)) is not None:
            wrapped.add(prefix + inner)
        for name, effective in _parametrized(module):
            parametrized.add(f"{prefix}parametrizations.{name}.")
            more[prefix + name] = effective
        if isinstance(module, fx.GraphModule):
            more |= {prefix + name: value for name, value in _graph_constants(module) if prefix + name not in state}
        if isinstance(module, torch.jit.ScriptModule) and not prefix.startswith(tuple(scripts)):
            scripts.append(prefix)
            if constants := _script_constants(module):
                more[f"{prefix}constants"] = constants
    kept = {name: value for name, value in state.items() if not name.startswith(tuple(parametrized))}
    for name, value in [*kept.items(), *more.items()]:
        steps = name.split(".")
        whole_paths = (".".join(steps[: n + 1]) for n in range(len(steps)))
        yield ".".join(step for step, path in zip(steps, whole_paths, strict=True) if path not in wrapped), value


def _inner(module: nn.Module) -> str | None:
    """What a mere wrapper calls the model that it wraps; None for all other modules, whatever their names."""
    if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
        return "module"
    compiler = sys.modules.get("torch._dynamo.eval_frame")  # which takes seconds to import, and is there if needed
    return "_orig_mod" if compiler is not None and isinstance(module, compiler.OptimizedModule) else None


def _parametrized(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The weights that parametrizations amount to in eval mode."""
    for name, one in getattr(module, "parametrizations", nn.ModuleDict()).items():
        if isinstance(one, ParametrizationList):
            yield name, copy.deepcopy(one).eval()()  # a copy, as some change with every call


def _graph_constants(module: fx.GraphModule) -> Iterator[tuple[str, Tensor]]:
    """Tensors that a graph holds."""
    for node in module.graph.nodes:
        if node.op == "get_attr" and isinstance(node.target, str):
            value: Any = module
            for step in node.target.split("."):
                value = getattr(value, step)
            if isinstance(value, Tensor):
                yield node.target, value


def _script_constants(module: torch.jit.ScriptModule) -> Mapping[str, Any]:
    """What a scripted model holds beside its state: constants with the code that they are of, packed weights."""
    with zipfile.ZipFile(io.BytesIO(module.save_to_buffer())) as archive:

        def read(start: str, end: str = "") -> dict[str, str]:
            """Records by name; bytes as they are."""
            return {
                path: unnumbered(_MANGLED.sub("", archive.read(record).decode("latin-1")))
                for record in archive.namelist()
                if (path := record.partition("/")[2]).startswith(start) and path.endswith(end)
            }

        code, held = read("code/", ".py"), read("constants")
        if any("ConstantMKLDNNTensor" in text for text in code.values()):
            raise ValueError("are hidden by optimize_for_inference; use the model as it was before")
        if any(path.startswith("code/__torch__/torch/classes/") for path in code):  # which pack weights
            held |= read("data")
    # Classes come in files and in an order that depend on what the process had scripted before.
    blocks = sorted(block for text in code.values() for block in _BLOCKS.split(text))
    return {**held, "code": blocks} if len(held) > 1 else {}  # one record says that there are none


def _is_dense(value: object) -> bool:
    """Whether it is a tensor whose values are simply its elements."""
    return (
        isinstance(value, Tensor)
        and value.layout is torch.strided
        and not (is_lazy(value) or value.is_meta or value.is_quantized or value.is_nested)
        and not subclasses.is_traceable_wrapper_subclass(value)
    )


def _dense(tensor: Tensor) -> bytes:
    plain = tensor.detach().resolve_conj().resolve_neg().cpu().clone(memory_format=torch.contiguous_format)
    return f"{tensor.dtype}{tuple(tensor.shape)}".encode() + plain.reshape(-1).view(torch.uint8).numpy().tobytes()


def _encoded(value: Any, above: tuple[int, ...] = ()) -> bytes:
    """Digest of any value: the same for equal values, in every process; a tree of digests, so nothing is ambiguous."""

    def inside(values: Iterable[Any]) -> list[bytes]:
        return [_encoded(one, (*above, id(value))) for one in values]

    kind = type(value)
    if id(value) in above:
        return _hashed("above", [str(above.index(id(value))).encode()])
    if kind in _PLAIN:
        return _hashed(kind.__name__, [repr(value).encode("utf-8", "surrogatepass")])
    if isinstance(value, Tensor):
        return _hashed("dense", [_dense(value)]) if _is_dense(value) else _hashed("tensor", inside(_taken_apart(value)))
    if isinstance(value, np.ndarray):
        if value.dtype.names is not None:  # between its fields there may be anything
            content = inside([value[name] for name in value.dtype.names])
        else:
            content = inside([value.tolist()]) if value.dtype.hasobject else [value.tobytes()]
        return _hashed("array", [repr(value.dtype).encode(), repr(value.shape).encode(), *content])
    if kind in (list, tuple):
        return _hashed(kind.__name__, inside(value))
    if kind in (dict, set, frozenset):
        return _hashed(kind.__name__, sorted(inside(value.items() if kind is dict else value)))
    if isinstance(value, _GLOBAL):
        return _global(value.__module__, value.__qualname__)
    reduce: Callable[[Any], str | tuple[Any, ...]] = copyreg.dispatch_table.get(kind, _reduced)
    if isinstance(parts := reduce(value), str):
        return _global(kind.__module__, parts)
    make, arguments, state, items, pairs = (*parts, None, None, None)[:5]
    return _hashed("object", inside([make, arguments, state, list(items or ()), dict(pairs or ())]))


def _reduced(value: object) -> str | tuple[Any, ...]:
    """What an object consists of, as `pickle` is told."""
    return value.__reduce_ex__(2)


def _global(module: str, name: str) -> bytes:
    """Of what is found by its name."""
    if "<" in name:
        raise ValueError(f"{name} has no name by which it could be told from others")
    return _hashed("global", [unnumbered(module).encode(), name.encode()])


def _hashed(kind: str, parts: Iterable[bytes]) -> bytes:
    content = b"".join(hashlib.sha256(part).digest() for part in parts)
    return hashlib.sha256(f"{kind} ".encode() + content).digest()


def _taken_apart(tensor: Tensor) -> list[Any]:
    """What a tensor that is not dense consists of.

    Raises:
        ValueError: it has no values.
    """
    if is_lazy(tensor):
        raise ValueError("is not initialized; give the model an input before")
    if tensor.is_meta:
        raise ValueError("is on the meta device, where it has no values")
    if hasattr(tensor, "full_tensor"):  # distributed: the same however it is spread
        return [tensor.full_tensor()]
    about: list[Any] = [str(tensor.dtype), str(tensor.layout)]
    if subclasses.is_traceable_wrapper_subclass(tensor):
        names, context = tensor.__tensor_flatten__()
        return [type(tensor), *about, {name: getattr(tensor, name) for name in names}, context]
    if tensor.is_nested:
        return [*about, *tensor.unbind()]
    about.append(tuple(tensor.shape))
    if tensor.is_quantized:
        if tensor.qscheme() in _PER_TENSOR:
            return [*about, tensor.int_repr(), tensor.q_scale(), tensor.q_zero_point()]
        scales, zeros = tensor.q_per_channel_scales(), tensor.q_per_channel_zero_points()
        return [*about, tensor.int_repr(), scales, zeros, tensor.q_per_channel_axis()]
    if tensor.layout is torch.sparse_coo:
        tensor = tensor.coalesce()
        return [*about, tensor.indices(), tensor.values()]
    if tensor.layout in _SPARSE:
        return [*about, *(getattr(tensor, name)() for name in _SPARSE[tensor.layout]), tensor.values()]
    return [*about, tensor.to_dense()]  # as oneDNN's
