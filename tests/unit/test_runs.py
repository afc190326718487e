"""Runs: what is stored, whole or not at all; the same bits whoever does the work; resumed, merged, recomputed."""

import dataclasses
import json
import os
import random
import re
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import attricert as ac
from attricert import runs
from attricert.interrupts import deferred_interrupts
from attricert.report.results import COLUMNS, columns_as_markdown
from attricert.runs import parts, results, running, work
from attricert.runs.executors import Executor
from attricert.runs.inputs import units
from attricert.runs.manifest import code_fingerprint
from attricert.runs.results import gather
from attricert.runs.rows import SCHEMA, Row, Unit, evidence_of
from attricert.runs.work import Job, Worker

CONFIG = runs.Config(
    "mnist-standard",
    "mnist:sample[0:6]",
    noise="gaussian",
    parameters={"sigma": 0.125},
    n_samples=200,
    seed=1,
    prove=("entries",),  # where it does not matter what; all that can be takes twice the time
    functionals=None,
)
EVERYTHING = dataclasses.replace(CONFIG, prove=None)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The uninterrupted run."""
    return runs.certify(CONFIG, tmp_path_factory.mktemp("runs") / "whole")


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """A run of all that can be proven."""
    return runs.certify(EVERYTHING, tmp_path_factory.mktemp("runs") / "everything")


def digests(run):
    return {row.facts["id"]: row.facts["digest"] for row in gather(run)}


def ids(run):
    return [row.facts["id"] for part in run.parts() for row in part.rows()]


def test_a_run_says_what_certify_says(everything, digits, model):
    sm = ac.SmoothedAttribution(ac.Saliency(model), ac.Gaussian(0.125))
    x = digits.images[:6]
    predicted = model(x).argmax(dim=1)
    expected = sm.certify(x, predicted, n_samples=200, seed=1, sample_ids=digits.ids[:6])
    found = runs.load(everything.folder)
    assert found.terms == expected.terms
    one, two = found.evidence.arrays(), expected.evidence.arrays()
    assert set(one) == set(two)
    for name, array in one.items():
        np.testing.assert_allclose(array, two[name], rtol=1e-5, atol=1e-7, err_msg=name)
    rows = runs.certificates(everything, runs.Asked((0.02,), (0.9,), top_k=50))
    assert [row["id"] for row in rows] == list(digits.ids[:6])
    np.testing.assert_array_equal([row["cosine_eps_0.02"] for row in rows], found.cosine(0.02))
    np.testing.assert_array_equal([row["top_50_overlap_eps_0.02"] for row in rows], found.top_k_overlap(0.02, 50))
    assert [row["prediction"] for row in rows] == predicted.tolist()


def test_a_finished_run_is_not_done_again(whole, monkeypatch):
    monkeypatch.setattr(Worker, "certify", lambda *_: pytest.fail("certified again"))
    assert digests(runs.certify(CONFIG, whole.folder)) == digests(whole)
    unseeded = dataclasses.replace(CONFIG, seed=None)
    assert runs.certify(unseeded, whole.folder).manifest == whole.manifest


@dataclasses.dataclass(frozen=True)
class Shuffled(Executor):
    """In another order, from another batch of workers, and interrupted after some."""

    seed: int
    stop: int | None = None

    def run(self, job, units, on_progress):
        units = list(units)
        random.Random(self.seed).shuffle(units)
        for done, unit in enumerate(units):
            if done == self.stop:
                raise KeyboardInterrupt
            yield Worker(job).certify(unit, on_progress)


def test_the_same_bits_whatever_the_order_and_the_interruptions(whole, tmp_path):
    for seed in range(4):
        with pytest.raises(KeyboardInterrupt):
            runs.certify(CONFIG, tmp_path, executor=Shuffled(seed, stop=1))
        assert len(ids(runs.Store.open(tmp_path))) == seed + 1  # what was finished is kept
    found = runs.certify(CONFIG, tmp_path, executor=Shuffled(9))
    assert sorted(ids(found)) == sorted(ids(whole))
    assert digests(found) == digests(whole)


def test_shards_in_one_folder_and_in_many(whole, tmp_path):
    for i in range(3):
        runs.certify(CONFIG, tmp_path / "one", shard=runs.Shard(i, 3))
        runs.certify(CONFIG, tmp_path / f"many{i}", shard=runs.Shard(i, 3))
        assert len(ids(runs.Store.open(tmp_path / f"many{i}"))) == 2
    assert digests(runs.Store.open(tmp_path / "one")) == digests(whole)
    merged = runs.Store.open(tmp_path / "many0")
    runs.merge(merged, [tmp_path / "many1", tmp_path / "many2", tmp_path / "many1"])
    assert sorted(ids(merged)) == sorted(ids(whole))
    assert digests(merged) == digests(whole)
    np.testing.assert_array_equal(runs.load(merged.folder).maps, runs.load(whole.folder).maps)
    busy = runs.Store.open(tmp_path / "many1")
    with busy.writing("0002-of-0003"), pytest.raises(ac.ArgumentError, match="another process is working"):
        runs.merge(busy, [tmp_path / "many2"])


def test_a_finished_run_in_one_file(whole, tmp_path, monkeypatch):
    for i in range(3):
        runs.certify(CONFIG, tmp_path, shard=runs.Shard(i, 3))
        store = runs.Store.open(tmp_path)
        if i < 2:
            with pytest.raises(ac.ArgumentError, match=f"lacks {4 - 2 * i} of 6 inputs; only finished runs"):
                runs.compact(store)
    assert len(store.parts()) == 3
    with store.writing("0001-of-0003"), pytest.raises(ac.ArgumentError, match="another process is working"):
        runs.compact(store)
    assert len(store.parts()) == 3

    def interrupted(_part):
        raise KeyboardInterrupt

    # Cut short after the new part was written, all is read as before; and the next time mends it.
    with monkeypatch.context() as patched:
        patched.setattr(parts.Part, "remove", interrupted)
        with pytest.raises(KeyboardInterrupt):
            runs.compact(store)
    assert len(store.parts()) == 4
    assert digests(store) == digests(whole)
    runs.compact(store)
    assert len(store.parts()) == len(list((tmp_path / "maps").iterdir())) == 1
    assert digests(store) == digests(whole)
    np.testing.assert_array_equal(runs.load(tmp_path).maps, runs.load(whole.folder).maps)
    (part,) = store.parts()
    (part.maps.parent / "0001-of-0003-000000.safetensors").write_bytes(b"left by what was cut short")
    runs.compact(store)
    assert len(store.parts()) == len(list((tmp_path / "maps").iterdir())) == 1
    assert digests(runs.certify(CONFIG, tmp_path)) == digests(whole)  # nothing is left to do


@pytest.mark.parametrize("found", ["less", "an error"])
def test_old_parts_stay_unless_the_new_one_reads_as_they_did(found, whole, tmp_path, monkeypatch):
    for i in range(2):
        runs.certify(CONFIG, tmp_path, shard=runs.Shard(i, 2))
    store, write = runs.Store.open(tmp_path), parts.Part.write

    def lossy(part, rows):
        if found == "an error":
            write(part, rows)
            raise OSError("disk full")
        write(part, rows[1:])

    with monkeypatch.context() as patched:
        patched.setattr(parts.Part, "write", lossy)
        with pytest.raises((ac.errors.IntegrityError, OSError)):
            runs.compact(store)
    assert digests(store) == digests(whole)
    runs.compact(store)
    assert digests(store) == digests(whole)


def test_a_file_holds_no_more_than_is_read(whole, tmp_path, monkeypatch):
    monkeypatch.setattr("attricert.runs.merging._CHUNK_BYTES", 1)
    for i in range(2):
        runs.certify(CONFIG, tmp_path, shard=runs.Shard(i, 2))
    store = runs.Store.open(tmp_path)
    runs.compact(store)
    assert [len(part.rows()) for part in store.parts()] == [1] * 6
    assert digests(store) == digests(whole)


def test_a_run_of_something_else_is_refused_with_the_difference(whole, tmp_path, monkeypatch):
    before = {path: path.read_bytes() for path in whole.folder.rglob("*") if path.is_file()}
    with pytest.raises(ac.ArgumentError, match=r"something else \(n_samples: 200 -> 300\)"):
        runs.certify(dataclasses.replace(CONFIG, n_samples=300), whole.folder)
    with pytest.raises(
        ac.ArgumentError, match=r"\(data: 'mnist:sample\[0:6\]' -> 'mnist:sample\[1:7\]'; data_sha256: "
    ):
        runs.certify(dataclasses.replace(CONFIG, data="mnist:sample[1:7]"), whole.folder)
    other = runs.certify(dataclasses.replace(CONFIG, seed=2, data="mnist:sample[0:1]"), tmp_path / "other")
    with pytest.raises(ac.ArgumentError, match="merge=.*seed: 1 -> 2"):
        runs.merge(whole, [other.folder])
    model = ac.models.load("mnist-standard")
    model[0].bias += 1e-6
    monkeypatch.setattr("attricert.runs.loaded.load_model", lambda name: model)
    with pytest.raises(ac.ArgumentError, match=r"something else \(weights_sha256: '"):
        runs.certify(CONFIG, whole.folder)
    assert {path: path.read_bytes() for path in whole.folder.rglob("*") if path.is_file()} == before


def test_a_worker_with_other_weights_is_refused(whole):
    with pytest.raises(ac.IntegrityError, match="a worker's copy of the code has"):
        Worker(Job(CONFIG, whole.manifest.weights_sha256, "0" * 64, 0.9))
    with pytest.raises(ac.IntegrityError, match="a worker's copy has SHA-256"):
        Worker(Job(CONFIG, "0" * 64, code_fingerprint(CONFIG, None), 0.9))


def test_one_process_at_a_time(whole):
    with whole.writing("0000-of-0001"):
        assert whole.working() == ["0000-of-0001"]
        with pytest.raises(ac.ArgumentError, match="another process is working on this run"):
            runs.certify(CONFIG, whole.folder)
        assert digests(runs.certify(CONFIG, whole.folder, shard=runs.Shard(1, 2))) == digests(whole)
    assert whole.working() == []


def test_without_maps_runs_are_small_and_say_less(everything, tmp_path):
    small = runs.certify(dataclasses.replace(EVERYTHING, maps="drop", data="mnist:sample[0:2]"), tmp_path)
    assert not list(tmp_path.rglob("*.safetensors"))
    certificate = runs.load(tmp_path)
    assert (
        certificate.max_eps(0.9) > runs.load(everything.folder).max_eps(0.9)[:2]
    ).all()  # alpha is shared among fewer
    with pytest.raises(ac.ArgumentError, match="maps kept"):
        certificate.signs(0.02)
    with pytest.raises(ac.ArgumentError, match="maps='drop'"):
        _ = certificate.maps
    (row, _) = runs.certificates(small, runs.Asked())
    assert not any(re.match(r"signs|top_\d|kendall", name) for name in row)


def test_functionals_and_the_fourth_moment_are_stored(tmp_path, digits):
    labels = (torch.arange(784) % 3).reshape(1, 28, 28).numpy()
    np.save(tmp_path / "f.npy", labels)
    config = dataclasses.replace(
        CONFIG, data="mnist:sample[0:2]", functionals=str(tmp_path / "f.npy"), prove=("fourth",), maps="drop"
    )
    runs.certify(config, tmp_path / "run")
    certificate = runs.load(tmp_path / "run")
    found = certificate.functionals(0.02)
    assert found.low.shape == found.high.shape == (2, 3)
    assert certificate.evidence.fourth is not None
    assert (certificate.evidence.entries, certificate.evidence.prediction) == (None, None)
    np.save(tmp_path / "f.npy", labels + 1)
    with pytest.raises(ac.ArgumentError, match="something else \\(code_sha256: "):
        runs.certify(config, tmp_path / "run")


# ---- faults


@pytest.fixture
def folder(tmp_path, digits):
    """Five images, one of which cannot be read and one of another size."""
    images = tmp_path / "images"
    images.mkdir()
    for i in range(4):
        Image.fromarray((digits.images[i, 0].numpy() * 255).round().astype(np.uint8)).save(images / f"{i}.png")
    (images / "1.png").write_bytes(b"garbage")
    Image.new("L", (9, 9)).save(images / "4.png")
    return images


MINE = """
import attricert as ac, torch
class Picky(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = ac.models.load("mnist-standard")
    def forward(self, x):
        out = self.inner(x)
        if (out.argmax(dim=1) == 1).any():
            raise ValueError("no ones, please")
        return torch.where(out.argmax(dim=1, keepdim=True) == 0, torch.nan, out)
def model():
    return Picky().eval()
def attribution(model):
    g = ac.Saliency(model)
    return lambda x, t: g(x, t)
"""


def test_trouble_with_one_input_stays_with_it(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MINE)
    seen = []
    config = dataclasses.replace(CONFIG, model="mine.py:model", attribution="mine.py:attribution", data=str(folder))
    run = runs.certify(config, tmp_path / "run", on_progress=seen.append)
    rows = runs.certificates(run, runs.Asked((0.02, 0.05, 0.1)))
    assert [(row["id"], row["status"]) for row in rows] == [
        ("0.png", "certified"),
        ("1.png", "failed"),
        ("2.png", "failed"),
        ("3.png", "certified"),
        ("4.png", "failed"),
    ]
    assert "cannot be read as an image" in rows[1]["reason"]
    assert re.fullmatch("classifier Picky failed on inputs of shape .*: ValueError: no ones, please", rows[2]["reason"])
    assert (
        rows[4]["reason"] == "its shape is (1, 9, 9), that of the first input (1, 28, 28); --size gives images one size"
    )
    assert rows[3]["abstention_reason_eps_0.02"] == "all 180 sampled attributions are zero or not finite"
    found = runs.summary(run, rows, runs.Asked((0.02, 0.05, 0.1)))
    assert (found.certified, found.missing, sum(found.failed.values())) == (2, 0, 3)
    assert {claim.inputs for claim in found.shares} == {5}
    assert max(claim.certified for claim in found.shares) == 1
    assert found.abstentions[0.02] == {"all 180 sampled attributions are zero or not finite": 1}
    assert seen[-1].failed == 3
    assert any(re.search("2.png failed: .*ValueError: no ones, please", state.note) for state in seen)
    # Tried again when asked to, and only then.
    Image.open(folder / "0.png").save(folder / "1.png")
    with pytest.raises(ac.ArgumentError, match="something else \\(data_sha256: "):
        runs.certify(config, tmp_path / "run")


def test_what_a_run_says_of_the_source_of_its_inputs(whole, tmp_path):
    """Against a certificate made by hand, and read back from the file."""
    asked = runs.Asked((0.02, 0.4), (0.8, 0.9))
    rows = runs.certificates(whole, asked)
    claims = runs.summary(whole, rows, asked).shares
    assert [(c.eps, c.cosine) for c in claims] == [(0.02, 0.8), (0.4, 0.8), (0.02, 0.9), (0.4, 0.9)]
    certificate = runs.load(whole.folder)
    for claim in claims:
        share = certificate.certified_share(claim.eps, claim.cosine, beta=0.05)
        assert (claim.certified / 6, claim.at_least) == (float(share.observed), float(share.at_least))
        assert (claim.inputs, claim.beta) == (6, 0.05)
    assert claims[0].certified == 6
    assert claims[0].at_least == pytest.approx((0.05 ** (1 / 6) - 1e-3) / (1 - 1e-3), abs=2e-10)
    (tmp_path / "results.parquet").write_bytes(runs.results_as_parquet(whole, rows))
    about = pq.read_schema(tmp_path / "results.parquet").metadata
    assert json.loads(about[b"attricert.shares"]) == [dataclasses.asdict(claim) for claim in claims]
    assert json.loads(about[b"attricert"])["inputs"] == 6
    # Missing and failed inputs count as not certified, and thresholds need not be asked for.
    (some,) = runs.shares(whole, runs.certificates(whole, runs.Asked((0.02,), (0.8,)))[:4])
    assert (some.certified, some.inputs) == (4, 6)
    assert some.at_least == float(certificate[:4].certified_share(0.02, 0.8, inputs=6).at_least)
    assert runs.shares(whole, runs.certificates(whole, runs.Asked((0.02,), ()))) == ()


@pytest.mark.filterwarnings("ignore::attricert.NotABoundWarning")
@pytest.mark.parametrize("changes", [{"method": "printed"}, {"confidence": "asymptotic"}])
def test_what_proves_nothing_says_nothing_of_the_source(tmp_path, changes):
    config = dataclasses.replace(
        CONFIG, data="mnist:sample[0:2]", noise="uniform", parameters={"radius": 3.5}, prove=(), **changes
    )
    run = runs.certify(config, tmp_path / "run")
    rows = runs.certificates(run, runs.Asked())
    assert runs.summary(run, rows, runs.Asked()).shares == ()
    runs.write_results(run, rows)
    assert pq.read_schema(tmp_path / "run" / "results.parquet").metadata[b"attricert.shares"] == b"[]"


def test_failed_inputs_are_tried_again_when_asked_to(tmp_path, monkeypatch, whole):
    certify, angry = work._certified, True

    def moody(setting, unit, *rest):
        if angry and unit.position in (1, 4) and rest[0].n_samples == CONFIG.n_samples:
            raise MemoryError("no room")
        return certify(setting, unit, *rest)

    monkeypatch.setattr(work, "_certified", moody)
    run = runs.certify(CONFIG, tmp_path)
    assert [row.facts["reason"] for row in gather(run)] == [
        "",
        "MemoryError: no room",
        "",
        "",
        "MemoryError: no room",
        "",
    ]
    angry = False
    assert digests(runs.certify(CONFIG, tmp_path)) != digests(whole)
    assert digests(runs.certify(CONFIG, tmp_path, retry_failed=True)) == digests(whole)
    assert sorted(ids(run)) == sorted(ids(whole))


def test_shards_that_forget_failed_inputs_of_one_part_wait_for_each_other(tmp_path, monkeypatch):
    """Of a compact run both rewrite the same file: the later one must not bring back what the other took away."""

    def failing(*_):
        raise MemoryError("no room")

    with monkeypatch.context() as patched:
        patched.setattr(work, "_certified", failing)
        store = runs.certify(CONFIG, tmp_path)
    runs.compact(store)
    rows = parts.Part.rows

    def slowly(part):
        found = rows(part)
        time.sleep(0.3)
        return found

    monkeypatch.setattr(parts.Part, "rows", slowly)
    shards = [threading.Thread(target=store.drop_failed, args=(lambda p, i=i: p % 2 == i,)) for i in range(2)]
    for shard in shards:
        shard.start()
    for shard in shards:
        shard.join()
    assert store.parts() == []


def test_bad_arguments_are_found_before_anything_is_written(tmp_path):
    for changes, message in (
        ({"target": "12"}, "target=12: must be a class index from 0 to 9"),
        ({"n_samples": 10}, "n_samples=10"),
        ({"alpha": 2.0}, "alpha=2.0"),
        ({"prove": ("kurtosis",)}, "prove='kurtosis'"),
    ):
        with pytest.raises(ac.ArgumentError, match=message):
            runs.certify(dataclasses.replace(CONFIG, **changes), tmp_path / "run")
    with pytest.raises(ac.ArgumentError, match="top_k=785: must be at most the number of features, 784"):
        runs.certify(CONFIG, tmp_path / "run", asked=runs.Asked(top_k=785))
    for bad in ("3/3", "1", "a/b", "-1/2"):
        with pytest.raises(ac.ArgumentError, match="shard="):
            runs.Shard.parse(bad)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("times", [2, 1000])
def test_a_full_disk(tmp_path, monkeypatch, whole, times):
    """Rows wait for room; where there is none to the end, what could not be written is said, and done again later."""
    real, left, notes = parts.write_atomically, [times], []

    def full(path, content):
        if path.suffix == ".parquet" and left[0]:
            left[0] -= 1
            raise OSError(28, "No space left on device")
        real(path, content)

    monkeypatch.setattr(parts, "write_atomically", full)
    monkeypatch.setattr(running, "_SECONDS", 0.0)
    if times == 2:
        run = runs.certify(CONFIG, tmp_path, on_progress=lambda state: notes.append(state.note))
        assert sum("could not be written ([Errno 28]" in note for note in notes) == 2
        assert digests(run) == digests(whole)
    else:
        with pytest.raises(ac.AttricertError, match="6 rows could not be written .*the same command goes on"):
            runs.certify(CONFIG, tmp_path)
        assert ids(runs.Store.open(tmp_path)) == []
        left[0] = 0
        assert digests(runs.certify(CONFIG, tmp_path)) == digests(whole)


@pytest.mark.parametrize("victim", [".parquet", ".safetensors"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_part_is_there_whole_or_not_at_all(tmp_path, monkeypatch, whole, victim, moment):
    """Killed at any point of the writing of a part, nothing of it counts, or all of it."""

    class KilledError(BaseException):
        pass

    real = parts.write_atomically

    def killed(path, content):
        if path.suffix != victim:
            return real(path, content)
        if moment == "after":
            real(path, content)
        raise KilledError

    monkeypatch.setattr(parts, "write_atomically", killed)
    with pytest.raises(KilledError):
        runs.certify(CONFIG, tmp_path)
    counted = ids(runs.Store.open(tmp_path))
    assert len(counted) == (6 if (victim, moment) == (".parquet", "after") else 0)
    monkeypatch.setattr(parts, "write_atomically", real)
    found = runs.certify(CONFIG, tmp_path)
    assert sorted(ids(found)) == sorted(ids(whole))
    assert digests(found) == digests(whole)
    np.testing.assert_array_equal(runs.load(tmp_path).maps, runs.load(whole.folder).maps)


def test_interrupts_wait_for_the_end_of_a_write(tmp_path):
    done = []

    def write():
        with deferred_interrupts():
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
            done.append(True)

    with pytest.raises(KeyboardInterrupt):
        write()
    assert done
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_termination_is_an_interrupt(tmp_path, whole):
    class Terminated(Executor):
        def run(self, job, units, on_progress):
            for unit in units:
                yield Worker(job).certify(unit, on_progress)
                os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        runs.certify(CONFIG, tmp_path, executor=Terminated())
    assert len(ids(runs.Store.open(tmp_path))) == 1
    assert digests(runs.certify(CONFIG, tmp_path)) == digests(whole)


def test_runs_work_in_threads_too(tmp_path, whole):
    found = []
    thread = threading.Thread(target=lambda: found.append(runs.certify(CONFIG, tmp_path)))
    thread.start()
    thread.join()
    assert digests(found[0]) == digests(whole)


# ---- progress


def test_progress_within_an_input(tmp_path, monkeypatch):
    monkeypatch.setattr(work, "_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(work, "_LOOK_SHARE", 1e9)
    config, states = dataclasses.replace(CONFIG, n_samples=4000, data="mnist:sample[0:2]"), []
    run = runs.certify(config, tmp_path, on_progress=states.append)
    partly = [state.running["mnist:test:0"] for state in states if "mnist:test:0" in state.running]
    assert [progress.draws for progress in partly] == sorted({progress.draws for progress in partly})
    assert len(partly) >= 4
    assert partly[-1].draws == 3600
    # What the draws so far certify grows towards what all do: the last look has seen them all (but for a last digit).
    np.testing.assert_allclose(partly[-1].max_eps, runs.load(tmp_path).max_eps(0.9)[0], rtol=1e-12)
    assert partly[0].max_eps < partly[-1].max_eps
    assert states[0].seconds_left is None
    assert states[-1].seconds_left == 0
    assert states[-1].running == {}
    unseen = runs.certify(config, tmp_path / "unseen")
    assert digests(unseen) == digests(run)  # looking changes nothing


def test_looking_takes_little_of_the_time_of_many_quick_inputs(tmp_path, monkeypatch):
    """Not once an input: a look costs as much as what ends each."""
    monkeypatch.setattr(work, "_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(work, "_LOOK_SHARE", 1e-9)
    states = []
    config = dataclasses.replace(CONFIG, n_samples=1000, data="mnist:sample[0:4]")
    runs.certify(config, tmp_path, on_progress=states.append)
    looked = {(name, progress.draws) for state in states for name, progress in state.running.items()}
    assert len(looked) == 1


def test_time_left():
    state = runs.State(total=10, before=2, done=4, failed=0, draws=100, seconds=30.0)
    assert state.seconds_left == pytest.approx(6 * 15)
    halfway = dataclasses.replace(state, running={"a": work.Progress("a", 50, 0.1), "b": work.Progress("b", 50, 0.1)})
    assert halfway.seconds_left == pytest.approx(5 * 10)


# ---- files


def test_parquet_for_pandas_polars_and_duckdb(whole):
    runs.write_results(whole, runs.certificates(whole, runs.Asked()))
    path = whole.folder / "results.parquet"
    expected = runs.load(whole.folder).max_eps(0.9)
    frames = (
        pd.read_parquet(path),
        pl.read_parquet(path).to_pandas(),
        duckdb.sql(f"select * from read_parquet('{path}') order by id").df(),
    )
    for frame in frames:
        np.testing.assert_array_equal(frame["max_eps_cosine_0.9"], expected)
        assert frame["id"].tolist() == [f"mnist:test:{i}" for i in range(6)]
    parts = str(whole.folder / "parts" / "*.parquet")
    for frame in (pd.read_parquet(whole.folder / "parts"), pl.read_parquet(parts), duckdb.sql(f"from '{parts}'").df()):
        assert set(frame.columns) >= set(SCHEMA.names)
        assert len(frame) == 6


def test_the_columns_of_results_are_documented(everything):
    text = (Path(__file__).parents[2] / "docs" / "columns.md").read_text()
    assert text.partition("| column |")[0].startswith("# Columns of `results.parquet`\n")
    assert text.endswith("\n\n" + columns_as_markdown())
    (row, *_) = runs.certificates(everything, runs.Asked((0.02,), (0.9,), top_k=50))
    patterns = [column.name.format(eps="0.02", cosine="0.9", k="50") for column in COLUMNS]
    named = [*re.findall("`([a-z]+)`", text.partition("| column |")[0]), *patterns]
    assert set(row) == {name for name in named if "functional" not in name}


def test_evidence_comes_back_exactly(whole):
    (part,) = whole.parts()
    for row in part.rows():
        assert row.digest(whole.manifest.digest) == row.facts["digest"]
        assert row.digest("another run") != row.facts["digest"]
        json.loads(row.facts["terms"])
    assert {array.dtype for row in part.rows() for array in row.arrays.values()} == {np.dtype(np.float64)}


def test_many_rows_in_many_parts(whole, tmp_path, monkeypatch):
    """Each part is read once, and certificates are made of all rows at once."""
    row = {name: value for name, value in gather(whole)[0].facts.items() if name != "digest"}
    small = dataclasses.replace(EVERYTHING, maps="drop")
    manifest = dataclasses.replace(whole.manifest, config=small, inputs=2_000)
    big = runs.Store.create(tmp_path, manifest, {}, any_seed=False)
    for start in range(0, 2_000, 100):
        rows = [
            Row({**row, "id": str(i), "position": i, "norm.lower": row["norm.lower"] * (0.5 + i / 4_000)})
            for i in range(start, start + 100)
        ]
        big.append(rows, "0000-of-0001")
    calls = Counter()

    def counted(module, name):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *args: calls.update([name]) or real(*args))

    counted(parts, "read_regular")
    counted(results, "rows_of")
    found = runs.certificates(big, runs.Asked((0.01, 0.02), (0.9,)), entries=False)
    assert calls == {"read_regular": 20, "rows_of": 1}
    assert [one["id"] for one in found] == [str(i) for i in range(2_000)]
    facts = {name: [value] for name, value in {**row, "norm.lower": 0.75 * row["norm.lower"]}.items()}
    one = ac.Certificate(evidence_of(facts, []))
    assert found[1_000]["cosine_eps_0.02"] == pytest.approx(one.cosine(0.02)[0], rel=1e-12)


def test_bad_parts_and_manifests_are_refused(tmp_path, whole):
    with pytest.raises(ac.ArgumentError, match="must be a folder made by attricert certify"):
        runs.Store.open(tmp_path)
    for text in ("", "{}", '{"format": "attricert-run-1"}', "[1]"):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(ac.IntegrityError, match="not the manifest of a run"):
            runs.Store.open(tmp_path)
    (tmp_path / "manifest.json").write_text(whole.manifest.to_json())
    with pytest.raises(ac.ArgumentError, match="has certified nothing yet"):
        runs.load(tmp_path)
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "0000-of-0001-000000.parquet").write_bytes(b"PAR1")
    with pytest.raises(ac.IntegrityError, match="not a readable Parquet file"):
        runs.load(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ac.ArgumentError, match="must be a folder"):
        runs.certify(CONFIG, tmp_path / "file")


def test_rows_of_different_terms_are_refused(whole):
    facts = {name: [row.facts[name] for row in gather(whole)] for name in SCHEMA.names}
    facts["terms"][0] = facts["terms"][0].replace('"alpha": 0.001', '"alpha": 0.01')
    with pytest.raises(ac.IntegrityError, match="2 different terms"):
        evidence_of(facts, [])


def test_an_input_with_two_different_rows_is_refused(whole, tmp_path):
    run = runs.certify(CONFIG, tmp_path)
    rows = run.parts()[0].rows()
    run.append(rows[:2], "0000-of-0002")
    assert digests(run) == digests(whole)  # twice the same is no harm
    facts = {name: value for name, value in rows[3].facts.items() if name != "digest"}
    run.append([Row({**facts, "norm.lower": 0.99}, rows[3].arrays)], "0000-of-0002")
    with pytest.raises(ac.IntegrityError, match="mnist:test:3 has two different rows"):
        gather(run)


def test_units_of_a_run_are_what_the_data_holds(digits):
    unit = next(units(digits, [3]))
    assert isinstance(unit, Unit)
    assert torch.equal(unit.image, digits.images[3])
    assert (unit.position, unit.id, unit.label) == (3, "mnist:test:3", int(digits.labels[3]))
