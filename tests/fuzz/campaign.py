"""Damaged and forged files of every format: none may raise anything but the library's own errors, or be believed.

Usage: python tests/fuzz/campaign.py [files [seed]]; 10,000 files by default. Says how many were refused, and how many
were taken for what they say: as they were written, or with evidence that can be. What can be is judged here, by
`impossible`, which shares nothing with the library. Honest evidence, from attributions of all kinds, must be taken.
"""

import contextlib
import io
import json
import os
import random
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

import attricert as ac
from attricert import runs
from attricert.cli.main import main as command
from attricert.runs.results import gather
from attricert.runs.rows import Row

DATA = Path(__file__).parents[1] / "data"
FILES = ("manifest.json", "config.yaml", "parts", "maps", "results.parquet", "log.jsonl")
NUMBERS = [0, -1, 1, 2, -1e-9, 0.5, 1e308, -1e308, 1e-308, float("nan"), float("inf"), -float("inf"), 2**62, -(2**63)]
WORDS = ["", "x", "certified", "failed", "proven", "\u0000", "é" * 50, "0" * 64, "../../x", "[" * 2000, "{}", "nan"]
VALUES = [*NUMBERS, *WORDS, None, True, False, [], {}, [1, 2], {"a": 1}, 10**30, [[[]]]]
TEXTS = [b"1e999", b"NaN", b"-Infinity", b"9" * 5000, b"[" * 100_000, b'{"a":1,"a":2}', b"\xff\xfe", b"*a", b"&a [*a]"]
SOME = 0.02  # of what takes long
YAML = [
    b"!!python/object/apply:os.system [x]",
    b"2001-99-99",
    b"0x",
    b"!!timestamp z",
    b"!!int ''",
    b"? [a]\n: b",
    b"\t",
]


# ---- what cannot be


def impossible(e):
    """What no draws can show, one input at a time; with more room than the library leaves."""
    t, wrong, room = e.terms, [], 1e-6
    m, d = t.max_norm, t.dimension

    def need(what, holds):
        if not holds:
            wrong.append(what)

    need("alpha", 0 < t.alpha < 1)
    need("terms", d >= 1 and 0 < m < float("inf") and 0 < t.max_entry <= m and t.noise.scale > 0)
    need("ledger", sum(share for _, share in t.ledger.shares) <= t.alpha * (1 + room))
    need("shares", all(0 < share < 1 for _, share in t.ledger.shares))
    names = {name for name, _ in t.ledger.shares}
    wanted = {"norm"} | ({"here", "there"} if t.observed else set())
    for piece, shares in (
        ("top_variance", ["top_variance"]),
        ("cone", ["inside_variance", "drift", "regions"]),
        ("fourth", ["fourth"]),
        ("entries", ["entries"]),
        ("functionals", ["entries"]),
        ("prediction", ["prediction"]),
    ):
        wanted |= set(shares) if getattr(e, piece) is not None else set()
    need("a share of all that is proven", wanted <= names)
    events = (d if e.entries is not None else 0) + (0 if e.functionals is None else e.functionals.bound.size)
    need("entries", t.ledger.entries >= events)
    least = -t.max_entry * (room if t.nonnegative else 1 + room)
    for i in range(len(e)):
        s = e.sampling
        counts = [int(a[i]) for a in (s.n_samples, s.n_pilot, s.zeros, s.nonfinite)]
        need("counts", min(counts) >= 0 and counts[0] >= 1 and counts[2] + counts[3] <= counts[0])
        need("outcome", e.outcome[i] in ("", "proven", "refuted", "open"))
        need("norm", 0 <= float(e.norm.lower[i]) <= m)
        if e.maps is not None:
            mean = e.maps.mean[i].ravel()
            need("maps", mean.size == d and np.isfinite(mean).all() and mean.min() >= least)
            need("norm of maps", np.linalg.norm(mean / m) <= 1 + room and mean.max() <= t.max_entry * (1 + room))
        if e.top_variance is not None:
            b, upper = float(e.top_variance.max_deviation[i]), float(e.top_variance.upper[i])
            need("top_variance", 0 <= upper <= b * b * (1 + room) and m * (1 - room) <= b <= 2 * m * (1 + room))
        if e.cone is not None:
            c = e.cone
            along, across, outside = (a[i].tolist() for a in (c.along, c.across, c.outside))
            need("lengths", len(along) == len(across) == len(outside) > 0)
            need(
                "center",
                0 <= c.center[i] <= m * (1 + room) and 1 <= c.stretch[i] < 1e300 and 0 <= c.drift[i] <= 2e4 * m,
            )
            need("along", along == sorted(along, reverse=True) and min(along) >= 0 and max(along) <= m * (1 + room))
            need("across", across == sorted(across) and min(across) >= 0 and max(across) <= m * (1 + room))
            need("outside", all(0 <= x <= 1 for x in outside) and max(np.diff(outside), default=-1) <= room)
            away = max(abs(along[-1] - float(c.center[i])), abs(m - float(c.center[i])))
            largest = (float(c.stretch[i]) * away) ** 2 + across[-1] ** 2
            need("variance", 0 <= float(c.variance[i]) <= largest * (1 + room))
            if e.fourth is not None:
                need("fourth", 0 <= float(e.fourth.upper[i]) <= largest**2 * (1 + room))
        need("a cone for the fourth moment", e.fourth is None or e.cone is not None)
        if e.entries is not None:
            low, high, second, center = (
                a[i].ravel() for a in (e.entries.low, e.entries.high, e.entries.second, e.entries.center)
            )
            most, slack = t.max_entry * (1 + room), room * t.max_entry
            need("size", low.size == high.size == second.size == center.size == d)
            need("entries", (low <= high + slack).all() and low.min() >= least and high.max() <= most)
            need("second", second.min() >= 0 and second.max() <= (2 * most) ** 2)
            need("centers", not (np.abs(center) > most).any())
        if e.functionals is not None:
            f = e.functionals
            most = f.bound * (1 + room)
            need("functionals", (f.low[i] <= f.high[i] + room * most).all() and (np.abs(f.low[i]) <= most).all())
            need("ends", (np.abs(f.high[i]) <= most).all() and (f.second[i] <= (2 * most) ** 2).all())
            need("bounds", np.isfinite(f.bound).all() and (f.bound >= 0).all() and (f.second[i] >= 0).all())
        if e.prediction is not None:
            need("prediction", e.prediction.label[i] >= -1 and 0 <= float(e.prediction.p_lower[i]) < 1)
    return wrong


# ---- damage


def bytes_damaged(chance, content, others):
    """Bits, pieces, or all of it."""
    content, size = bytearray(content), len(content)
    at = chance.randrange(size + 1)
    match chance.randrange(8):
        case 0:
            for _ in range(chance.randint(1, 8)):
                content[chance.randrange(size)] ^= 1 << chance.randrange(8)
        case 1:
            del content[at:]
        case 2:
            del content[at : at + chance.randint(1, 64)]
        case 3:
            content[at:at] = chance.randbytes(chance.randint(1, 64))
        case 4:
            content[at : at + chance.randint(1, 64)] = bytes(chance.randint(1, 64))
        case 5:
            return chance.choice([b"", b"\n", b"PAR1PAR1", bytes(8), b"\xff" * 16, *TEXTS])
        case 6:
            return chance.choice(others)
        case 7:
            content[:8] = chance.choice([0, 1, 2**31, 2**40, 2**63, 2**64 - 1]).to_bytes(8, "little")
    return bytes(content)


def tree_damaged(chance, values):
    """One value of nested mappings and lists changed, lost, renamed or joined by another."""
    values = json.loads(json.dumps(values))
    here = values
    while True:
        keys = list(here) if isinstance(here, dict) else list(range(len(here)))
        if not keys:
            return values
        key = chance.choice(keys)
        if isinstance(here[key], (dict, list)) and here[key] and chance.random() < 0.7:
            here = here[key]
            continue
        match chance.randrange(5):
            case 0:
                del here[key]
            case 1 if isinstance(here, dict):
                here[chance.choice(["x", "lattice", "peak", "Norm", ""])] = here[key]
            case 2 if isinstance(here[key], (int, float)) and not isinstance(here[key], bool):
                here[key] = here[key] * chance.choice([-1, 0, 0.5, 2, 1e10, 1e-10])
            case _:
                here[key] = chance.choice(VALUES)
        return values


def text_damaged(chance, values):
    """JSON of such a tree, or with something in it that is none."""
    text = json.dumps(tree_damaged(chance, values)).encode()
    if chance.random() < 0.3:
        at = text.find(b":", chance.randrange(len(text)))
        text = text[: at + 1] + chance.choice(TEXTS) + text[at + 1 :]
    if chance.random() < 0.1:
        text = b'{"alpha": 0.5, ' + text[1:] if text[:1] == b"{" else text
    return text


def array_damaged(chance, array):
    """One value, or the kind or shape of all."""
    array = np.array(array)
    match chance.randrange(6):
        case 0 | 1 | 2 if array.size:
            value = chance.choice([*NUMBERS, *(float(x) for x in array.flat[:2] * chance.choice([-1, 2, 1.5, 1e3]))])
            with np.errstate(all="ignore"), contextlib.suppress(ValueError, OverflowError):
                array.flat[chance.randrange(array.size)] = value
        case 3:
            with np.errstate(all="ignore"):
                array = array.astype(chance.choice(["f2", "f4", "i8", "u1", "?", "u8", "f8", "i2"]))
        case 4:
            array = array[..., :-1] if array.ndim and array.shape[-1] else array.reshape(-1)
        case _:
            array = np.stack([array, array]) if chance.random() < 0.5 else array.reshape(-1)
    return array


def tensors_damaged(chance, content):
    """An array, a name or the metadata of a safetensors file."""
    arrays = load_tensors(content)
    size = int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8 : 8 + size]).get("__metadata__", {})
    name = chance.choice(sorted(arrays))
    match chance.randrange(6):
        case 0:
            del arrays[name]
        case 1:
            arrays[chance.choice(["x", "", "norm.upper", "0.maps.mean", "7.maps.mean", "-1.maps", "00.maps"])] = arrays[
                name
            ]
        case 2 if metadata:
            key = chance.choice(sorted(metadata))
            if key in ("terms", "statement", "outcome"):
                text = text_damaged(chance, json.loads(metadata[key]))
                metadata[key] = text.decode(errors="replace")
            else:
                metadata[key] = chance.choice(WORDS)
        case _:
            arrays[name] = np.ascontiguousarray(array_damaged(chance, arrays[name]))
    return save_tensors(arrays, metadata=metadata or None)


def table_damaged(chance, content):
    """A cell, a column or the rows of a Parquet file."""
    table = pq.read_table(io.BytesIO(content))
    name, rows = chance.choice(table.column_names), table.to_pylist()
    with contextlib.suppress(pa.ArrowException, TypeError, ValueError, OverflowError):
        match chance.randrange(7):
            case 0:
                table = table.drop_columns([name])
            case 1:
                table = table.append_column(chance.choice(["x", "id", "cosine_eps_x", "top_9_a"]), table[name])
            case 2:
                kind = chance.choice(
                    [pa.int32(), pa.float32(), pa.string(), pa.large_string(), pa.bool_(), pa.binary()]
                )
                table = table.set_column(table.column_names.index(name), name, pa.nulls(len(table), kind))
            case 3:
                table = chance.choice([table.slice(1), table.slice(0, 0), pa.concat_tables([table] * 3)])
            case _:
                rows[chance.randrange(len(rows))][name] = chance.choice(VALUES)
                table = pa.Table.from_pylist(rows, schema=table.schema if chance.random() < 0.8 else None)
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def forged(chance, folder):
    """A row with something changed and a digest that is right for it, as anybody can make one."""
    (part,) = runs.Store.open(folder).parts()
    rows = part.rows()
    i = chance.randrange(len(rows))
    facts, arrays = {k: v for k, v in rows[i].facts.items() if k != "digest"}, dict(rows[i].arrays)
    if arrays and chance.random() < 0.3:
        name = chance.choice(sorted(arrays))
        arrays[name] = array_damaged(chance, arrays[name])
    else:
        name = chance.choice(sorted(facts))
        old = facts[name]
        if name in ("terms", "statement"):
            facts[name] = text_damaged(chance, json.loads(old)).decode(errors="replace")
        elif isinstance(old, list):
            facts[name] = array_damaged(chance, np.array(old)).tolist()
        elif isinstance(old, (int, float)) and chance.random() < 0.3:
            facts[name] = type(old)(old * chance.choice([-1, 2, 1.5, 1e3]))
        else:
            facts[name] = chance.choice(VALUES)
    changed = Row(facts, arrays)
    with contextlib.suppress(pa.ArrowException, TypeError, ValueError, OverflowError, KeyError):
        part.write([changed if j == i else row for j, row in enumerate(rows)])


# ---- the campaign


def make(folder):
    """Clean material: runs of this version and of 0.1, and certificates of both."""
    labels = (torch.arange(784) % 3).reshape(1, 28, 28).numpy()
    np.save(folder / "f.npy", labels)
    config = runs.Config(
        "mnist-standard",
        "mnist:sample[0:3]",
        noise="gaussian",
        parameters={"sigma": 0.125},
        n_samples=300,
        seed=1,
        prove=("fourth", "entries", "prediction"),
        functionals=str(folder / "f.npy"),
    )
    store = runs.certify(config, folder / "new")
    runs.write_results(store, runs.certificates(store, runs.Asked((0.02,), ())))
    runs.load(folder / "new").save(folder / "new.safetensors")
    material = {}
    for root in (folder / "new", DATA / "run-0.1" / "run"):
        material[root.name] = {p.relative_to(root): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}
    certificates = [folder / "new.safetensors", *sorted((DATA / "evidence-0.1").glob("*.safetensors"))]
    return material, [path.read_bytes() for path in certificates]


def digests(material):
    """Of a clean run's rows, by name."""
    (part,) = (content for path, content in material.items() if path.parent.name == "parts")
    return {row["id"]: row["digest"] for row in pq.read_table(io.BytesIO(part), columns=["id", "digest"]).to_pylist()}


def spread(material, folder):
    """Write a clean run."""
    for name, content in material.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def one_certificate(chance, folder, certificates):
    """Damage a certificate file, and read it."""
    content = chance.choice(certificates)
    how = chance.choice([tensors_damaged, tensors_damaged, lambda c, x: bytes_damaged(c, x, certificates)])
    path = folder / "c.safetensors"
    path.write_bytes(how(chance, content))
    certificate = ac.Certificate.load(path)
    judge(certificate.evidence)
    if chance.random() < SOME:
        certificate.cosine(0.02)
        certificate.max_eps(0.9)
    return "certificate"


def judge(evidence):
    """Evidence that was believed."""
    if wrong := impossible(evidence):
        raise AssertionError(f"impossible evidence was believed: {', '.join(wrong)}")


def special(chance, path, folder):
    """A link out of the folder, a pipe, or a folder."""
    content = path.read_bytes()
    path.unlink()
    match chance.randrange(4):
        case 0:
            (folder.parent / "outside").write_bytes(content)
            path.symlink_to(folder.parent / "outside")
        case 1:
            os.mkfifo(path)
        case 2:
            path.mkdir()
        case _:
            path.symlink_to("/dev/zero")


def one_run(chance, folder, materials):
    """Damage a file of a run, or forge a row, and read the run in one of the ways there are."""
    material = chance.choice(sorted(materials))
    run = folder / "run"
    spread(materials[material], run)
    original = digests(materials[material])
    kind = chance.choice(FILES)
    (path,) = [p for p in run.rglob("*") if p.is_file() and kind in (p.name, p.parent.name)]
    forging, content = kind in ("parts", "maps") and chance.random() < 0.5, path.read_bytes()
    if forging:
        forged(chance, run)
    elif chance.random() < 0.05:
        special(chance, path, run)
    elif chance.random() < 0.35:
        path.write_bytes(bytes_damaged(chance, content, sorted(materials[material].values())))
    elif kind == "manifest.json":
        path.write_bytes(text_damaged(chance, json.loads(content)))
    elif kind == "maps":
        path.write_bytes(tensors_damaged(chance, content))
    elif kind in ("parts", "results.parquet"):
        path.write_bytes(table_damaged(chance, content))
    else:
        lines = content.splitlines(keepends=True)
        at = chance.randrange(len(lines))
        name = lines[at].partition(b":")[0]
        lines[at] = chance.choice([name + b": " + chance.choice([*TEXTS, *YAML]) + b"\n", lines[at] * 2, b""])
        path.write_bytes(b"".join(lines))
    read(chance, kind, run, folder, original, materials[material], forging)
    return kind


def read(chance, kind, run, folder, original, clean, forging):
    """One of the ways in which a run is read, and what must hold of what was believed."""
    way = chance.randrange(6)
    if way == 0 and (kind == "results.parquet" or chance.random() < SOME):
        checks = runs.verify(run, sample=0)
        raw = [p for check in checks for p in check.problems if p.partition(":")[0].endswith(("Error", "Exception"))]
        if raw:
            raise AssertionError(f"verify met {raw}")
        return
    store = runs.Store.open(run)
    if way == 1:
        spread(clean, folder / "other")
        (folder / "other" / "parts").rename(folder / "gone")
        runs.merge(runs.Store.open(folder / "other"), [run])
    elif way == 2 and chance.random() < SOME:
        runs.certificates(store, store.asked(), entries=False)
    elif way == 3:
        store.log("read", {})
        store.working()
        runs.terms(store)
    elif way == 4 and chance.random() < SOME:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as err:
            words = chance.choice(
                [["status"], ["certificates"], ["merge"], ["verify", "--sample", "0"], ["certify", "--out"]]
            )
            code = command(
                [words[0], *words[1:], str(run)] if words[-1] == "--out" else [words[0], str(run), *words[1:]]
            )
        if code not in (0, 1, 2) or "Traceback" in err.getvalue():
            raise AssertionError(f"exit code {code}, {err.getvalue()}")
    certificate = runs.load(run)
    judge(certificate.evidence)
    if chance.random() < SOME:
        certificate.cosine(0.02)
    if not forging:
        for row in gather(store):
            if original.get(row.facts["id"]) != row.facts["digest"]:
                raise AssertionError(f"{row.facts['id']} is not as it was written, and was believed")


def campaign(files, seed, progress=lambda *_: None, first=0):
    """So many files, from one on; what became of them, by kind."""
    counts = Counter()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        (Path(folder) / "clean").mkdir()
        materials, certificates = make(Path(folder) / "clean")
        here = os.getcwd()
        os.chdir(DATA / "run-0.1")  # where its functionals are
        try:
            for i in range(first, first + files):
                chance = random.Random(f"{seed}/{i}")
                with tempfile.TemporaryDirectory(dir=folder) as place:
                    try:
                        if chance.random() < 0.4:
                            what = one_certificate(chance, Path(place), certificates)
                        else:
                            what = one_run(chance, Path(place), materials)
                        counts[f"{what}: taken"] += 1
                    except ac.AttricertError as error:
                        counts[f"refused ({type(error).__name__})"] += 1
                    except BaseException as error:
                        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                            raise
                        counts[f"FAULT: file {i} of seed {seed}: {type(error).__name__}: {error}"] += 1
                progress(i, counts)
        finally:
            os.chdir(here)
    return counts


# ---- honest evidence


def honest(count, seed):
    """Certificates of small attributions of all kinds: none may be refused, now or when it is read again."""
    chance = random.Random(seed)
    for i in range(count):
        d, rng = chance.choice([1, 2, 3, 8, 50]), torch.Generator().manual_seed(i)
        direction, scale = torch.randn(d, generator=rng), 10 ** chance.uniform(-6, 6)
        kinds = {
            "constant": lambda x, t, v=direction, s=scale: (v * s).expand_as(x).clone(),
            "one-hot": lambda x, t: torch.eye(x.shape[1])[0].expand_as(x).clone(),
            "zero": lambda x, t: torch.zeros_like(x),
            "noise": lambda x, t, s=scale: x * s,
            "nan": lambda x, t: torch.where(x > 0, torch.nan, x),
            "sign": lambda x, t: torch.sign(x[:, :1]).expand_as(x).clone(),
            "mostly zero": lambda x, t: torch.where(x[:, :1] > 2, x, 0.0),
        }
        kind = chance.choice(sorted(kinds))
        nonnegative = chance.random() < 0.3
        inner = kinds[kind]
        g = ac.wrap((lambda x, t, f=inner: f(x, t).abs()) if nonnegative else inner, nonnegative=nonnegative)
        entry = chance.choice([None, 0.1, 0.5])
        bound = chance.choice([ac.Normalize(max_entry=entry), ac.Clip(10 ** chance.uniform(-5, 5), max_entry=entry)])
        noise = chance.choice([ac.Gaussian(1.0), ac.UniformBall(1.0)])
        sm = ac.SmoothedAttribution(g, noise, bound, antithetic=chance.random() < 0.3)
        options = {
            "prove": chance.choice(
                [None, ["fourth"], ["entries"], [], ["top_variance", "entries"], ["fourth", "entries"]]
            ),
            "guarantee": chance.choice(["population", "observed"]),
            "functionals": torch.randn(2, d, generator=rng).numpy() if chance.random() < 0.4 else None,
        }
        if chance.random() < 0.2:
            options |= {"prove": None, "stop_at": ac.Claim(eps=0.1, cosine=0.5), "functionals": None}
        x = torch.randn(2, d, generator=rng)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ac.errors.AttributionWarning)
            certificate = sm.certify(x, n_samples=chance.choice([100, 150, 400]), seed=i, **options)
        if wrong := impossible(certificate.evidence):
            raise AssertionError(f"honest evidence {i} ({kind}) is called impossible: {', '.join(wrong)}")


def main(files=10_000, seed=0):
    begun = time.perf_counter()

    def progress(i, counts):
        if (i + 1) % 1000 == 0:
            print(f"{i + 1} files in {time.perf_counter() - begun:.0f} s", flush=True)

    counts = campaign(files, seed, progress)
    for name, count in sorted(counts.items()):
        print(f"{count:7d} {name}")
    honest(300, seed)
    print(f"{files} files and 300 honest certificates in {time.perf_counter() - begun:.0f} s")
    return 1 if any(name.startswith("FAULT") for name in counts) else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
