"""Tables and arrays as data: every number as it is in the file, and whatever is in doubt refused by its place."""

import io
import struct
import zipfile

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import attricert as ac
from attricert.datasets import Form, Labelled, Reading, as_data, parse

RNG = np.random.default_rng(0)
X = RNG.normal(size=(5, 3))
ROWS = [[f"p{i}", *map(repr, row), "sick" if i % 2 else "healthy"] for i, row in enumerate(X.tolist())]
CSV = "\n".join(map(",".join, [["id", "age", "dose", "sex", "outcome"], *ROWS]))
USE = Reading(label_column="outcome", id_column="id")


def write(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def refused(*arguments, **settings):
    with pytest.raises(ac.ArgumentError) as error:
        parse(*arguments, **settings)
    assert "\n" not in str(error.value)
    return str(error.value)


def saved(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def test_columns_are_the_input_in_their_order(tmp_path):
    data = parse(write(tmp_path, "t.csv", CSV), reading=USE)
    assert data.inputs.dtype == torch.float64
    np.testing.assert_array_equal(data.inputs, X)
    assert data.form.names == ("age", "dose", "sex")
    assert data.form.classes == ("healthy", "sick")
    assert data.labels.tolist() == [0, 1, 0, 1, 0]
    assert data.ids == ("p0", "p1", "p2", "p3", "p4")
    np.testing.assert_allclose(data.form.deviations, X.std(axis=0), rtol=1e-12)
    assert repr(data) == "Labelled(5 items of shape (3,))"


def test_a_slice_keeps_classes_names_and_deviations_of_the_whole(tmp_path):
    path = write(tmp_path, "t.csv", CSV)
    whole, part = parse(path, reading=USE), parse(f"{path}[1:2]", reading=USE)
    assert (part.labels.tolist(), part.ids, part.form) == ([1], ("p1",), whole.form)
    plain = parse(f"{path}[3:]", reading=Reading(skip_columns=("id", "outcome")))
    assert (plain.ids, plain.labels.tolist()) == (("t.csv:3", "t.csv:4"), [-1, -1])
    assert plain.reading == "3 columns as they are, without id, outcome"
    assert "is empty" in refused(f"{path}[9:]", reading=USE)
    (tmp_path / "u.csv[0:1]").write_text("")  # a path that exists has no slice
    assert "is not a folder" in refused(str(tmp_path / "u.csv[0:1]"))


@pytest.mark.parametrize(
    ("text", "settings", "said"),
    [
        (CSV, {}, "--skip_columns: id (string), outcome (string)"),
        (CSV, {"label_column": "outcom"}, "label_column='outcom': did you mean 'outcome'?"),
        ("a,b\n1,2\n3,\n", {}, "row 1, column b is missing"),
        ("a,b\n1,NA\n3,4\n", {}, "row 0, column b is missing"),
        ("a,b\n1,2\n3,inf\n", {}, "row 1, column b is inf"),
        ("a,b\n1,2\nx,3\n", {}, "--skip_columns: a (string)"),
        ("a,b\n1,2\n3\n", {}, "must be a readable .csv file"),
        ("1,2\n3,4\n", {}, "must have the names of the columns in its first line"),
        ("a,a\n3,4\n", {}, "has two columns of one name"),
        ("a,b\n", {}, "has no rows"),
        ("", {}, "must be a readable .csv file"),
        ("a,d\n1,2020-01-01\n", {}, "d (date32[day])"),
        ("a,b\n1,9007199254740993\n", {}, "column b has integers beyond 2^53"),
        ("a,y\n1,0.5\n", {"label_column": "y"}, "labels must be whole numbers >= 0"),
        ("a,y\n1,-2\n", {"label_column": "y"}, "labels must be whole numbers >= 0"),
        ("a,i\n1,x\n2,x\n", {"id_column": "i"}, "names of inputs must differ and not be empty; 'x'"),
        ("a,b\n1,2\n", {"size": (3,)}, "size=(3,): goes with folders of images"),
    ],
)
def test_what_is_in_doubt_is_refused_by_its_place(tmp_path, text, settings, said):
    assert said in refused(write(tmp_path, "t.csv", text), reading=Reading(**settings))


def test_types_are_those_of_whole_columns(tmp_path):
    rows = ["a,b"] + ["1,1"] * 200_000 + ["0.5,2"]  # more than a block of the reader's
    data = parse(write(tmp_path, "t.csv", "\n".join(rows)))
    assert data.inputs[-1].tolist() == [0.5, 2.0]
    assert data.inputs.dtype == torch.float64
    flags = parse(write(tmp_path, "f.csv", "a,b\ntrue,1\nfalse,2\n"))
    assert flags.inputs.tolist() == [[1.0, 1.0], [0.0, 2.0]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_parquet_keeps_its_precision(tmp_path, dtype):
    table = pa.table({"a": X[:, 0].astype(dtype), "b": X[:, 1].astype(dtype), "y": pa.array([0, 1, 2, 1, 0])})
    pq.write_table(table, tmp_path / "t.parquet")
    data = parse(str(tmp_path / "t.parquet"), reading=Reading(label_column="y"))
    assert data.inputs.numpy().dtype == dtype
    np.testing.assert_array_equal(data.inputs, X[:, :2].astype(dtype))
    assert data.labels.tolist() == [0, 1, 2, 1, 0]
    content = (tmp_path / "t.parquet").read_bytes()
    assert "must be a readable .parquet file" in refused(write(tmp_path, "u.parquet", content[:-9]))


def test_an_index_is_no_column_of_the_input(tmp_path):
    pd.DataFrame({"a": [1.0, 2.0]}, index=[7.0, 8.0]).to_parquet(tmp_path / "t.parquet")
    data = parse(str(tmp_path / "t.parquet"), reading=Reading(id_column="__index_level_0__"))
    assert (data.ids, data.inputs.tolist()) == (("7.0", "8.0"), [[1.0], [2.0]])
    assert "__index_level_0__ is an index" in refused(str(tmp_path / "t.parquet"))


def test_arrays_with_names(tmp_path):
    content = saved(x=X.astype(np.float32), y=np.array([0, 1, 2, 1, 0]), ids=np.array(list("abcde")))
    data = parse(write(tmp_path, "d.npz", content))
    assert data.inputs.dtype == torch.float32
    assert (data.ids, data.labels.tolist()) == (tuple("abcde"), [0, 1, 2, 1, 0])
    series = RNG.normal(size=(4, 2, 9))
    named = parse(f"{write(tmp_path, 's.npz', saved(inputs=series, channels=np.array(['ecg', 'ppg'])))}[1:3]")
    assert (named.form, named.ids) == (Form("other", ("ecg", "ppg")), ("s.npz:1", "s.npz:2"))
    np.testing.assert_array_equal(named.inputs, series[1:3])
    images = RNG.random((2, 3, 4, 4)).astype(">f4")
    buffer = io.BytesIO()
    np.save(buffer, images)
    alone = parse(write(tmp_path, "i.npy", buffer.getvalue()))
    assert (alone.form.kind, alone.inputs.dtype) == ("image", torch.float32)
    np.testing.assert_array_equal(alone.inputs, images)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"features": X}, "it holds features"),
        ({"x": X, "inputs": X}, "it holds x, inputs"),
        ({"x": X, "y": np.zeros(4, int)}, "has labels of shape (4,), must be (5,)"),
        ({"x": X, "ids": np.array(list("abcda"))}, "names of inputs must differ"),
        ({"x": X, "columns": np.array(["a"])}, "must be one for each of 3 columns"),
        ({"x": np.zeros((2, 3, 4, 4), np.uint8)}, "divide images by 255 first"),
        ({"x": X.astype(complex)}, "it holds complex128"),
        ({"x": np.array([[1.0, np.nan]])}, "has nan at [0, 1], 1 such"),
        ({"x": np.array([1.0])}, "it has shape (1,)"),
        ({"x": np.array([[{}]], dtype=object)}, "must be a readable .npz file"),
        ({"x": X, "y": np.array([0, 1, 2, 0, 0]), "classes": np.array(["a", "b"])}, "has label 2, but names of 2"),
    ],
)
def test_arrays_that_do_not_go_together_are_refused(tmp_path, arrays, said):
    assert said in refused(write(tmp_path, "d.npz", saved(**arrays)))


def test_hostile_archives_are_refused(tmp_path):
    header = "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000, 1000000000), }"
    huge = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("x.npy", huge)
    assert "too short for an array" in refused(write(tmp_path, "a.npz", buffer.getvalue()))
    bomb = bytearray(buffer.getvalue())
    at = bomb.index(b"PK\x01\x02")
    bomb[at + 24 : at + 28] = struct.pack("<I", 2**32 - 2)  # the size that it says it unpacks to
    assert "unpacks to more than is read" in refused(write(tmp_path, "b.npz", bytes(bomb)))
    assert "must be a readable .npz file" in refused(write(tmp_path, "c.npz", b"PK\x03\x04"))
    (tmp_path / "d.csv").symlink_to("/dev/zero")
    assert "is not a regular file" in refused(str(tmp_path / "d.csv"))
    assert "must be a readable .csv file" in refused(str(tmp_path / "nowhere.csv"))


class Items(torch.utils.data.Dataset):
    classes = ("no", "yes")

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return torch.full((2, 3), float(index)), index


def test_what_users_have_at_hand(digits):
    assert as_data(digits, "d") is digits
    assert as_data((X, [0, 1, 0, 1, 0], list("abcde")), "d").ids == tuple("abcde")
    assert as_data((torch.tensor(X), None), "dir/m.py:f").ids[0] == "m.py:f:0"
    assert as_data({"images": torch.rand(2, 1, 4, 4), "labels": None}, "d").form.kind == "image"
    assert as_data(torch.rand(2, 1, 4, 4) * 2 + 1, "d").form.kind == "other"
    items = as_data(Items(), "d")
    assert (items.inputs.tolist()[1], items.labels.tolist()) == ([[1.0] * 3] * 2, [0, 1])
    assert items.form.classes == ("no", "yes")
    columns = {"a": X[:, 0], "b": X[:, 1], "y": ["u", "v", "u", "v", "v"]}
    for frame in (pd.DataFrame(columns), pl.DataFrame(columns), pa.table(columns)):
        data = as_data(frame, "d", Reading(label_column="y"))
        np.testing.assert_array_equal(data.inputs, X[:, :2])
        assert (data.form.names, data.form.classes, data.labels.tolist()) == (("a", "b"), ("u", "v"), [0, 1, 0, 1, 1])
    for thing in (7, "text", None, [1, 2], object()):
        with pytest.raises(ac.ArgumentError, match=f"must be inputs .*, not {type(thing).__name__}"):
            as_data(thing, "d")


def test_digests_tell_data_apart():
    base = as_data((X, [0, 1, 0, 1, 0]), "d")
    others = [
        as_data((X.T.copy().reshape(5, 3), [0, 1, 0, 1, 0]), "d"),
        as_data((X, [0, 1, 0, 1, 1]), "d"),
        as_data((X.astype(np.float32), [0, 1, 0, 1, 0]), "d"),
        as_data({"x": X, "y": [0, 1, 0, 1, 0], "columns": ["a", "b", "c"]}, "d"),
        as_data((X.reshape(5, 3, 1), [0, 1, 0, 1, 0]), "d"),
    ]
    digests = {data.digest() for data in (base, *others)}
    assert len(digests) == 6
    assert as_data((X.copy(), [0, 1, 0, 1, 0]), "d").digest() == base.digest()


def test_forms_come_back():
    form = Form("columns", ("a", "b"), ("no", "yes"), (0.1, 2.0), "float32")
    assert Form.from_dict(form.to_dict()) == form
    assert Form().to_dict() == {}
    for bad in ({"kind": "picture"}, {"names": ("a", "a")}, {"deviations": (0.0,)}, {"dtype": "int8"}):
        with pytest.raises(ac.ArgumentError):
            Form(**bad)
    constant = Labelled(torch.tensor([[1.0, 2.0], [1.0, 3.0]]), torch.tensor([0, 1]), ("a", "b"))
    assert constant.form == Form("columns")  # no deviation is 0
