"""Folders that others have filled: what is no plain, sound image file is one failed input; nothing is waited for."""

import gzip
import hashlib
import http.server
import os
import socket
import struct
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import attricert as ac
from attricert import runs
from attricert.datasets.cache import RemoteFile, obtain
from attricert.datasets.folder import ImageFolder
from attricert.datasets.sources import Url
from attricert.runs.results import gather


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, body=b"", extra=b""):
    """A gray image whose header says so much; its body is another matter."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


def fill(folder):
    """Two good digits among all that is not; name to a word of the reason."""
    folder.mkdir()
    for name in ("a.png", "z.png"):
        Image.fromarray(np.eye(28, dtype=np.uint8) * 200).save(folder / name)
    outside = folder.parent / "outside.png"
    Image.fromarray(np.eye(28, dtype=np.uint8)).save(outside)
    (folder / "link.png").symlink_to(outside)
    (folder / "device.png").symlink_to("/dev/zero")
    (folder / "dangling.png").symlink_to("nowhere")
    os.mkfifo(folder / "pipe.png")
    (folder / "directory.png").mkdir()
    listener = socket.socket(socket.AF_UNIX)
    os.chdir(folder)
    listener.bind("socket.png")
    listener.close()
    (folder / "bomb.png").write_bytes(png(60_000, 60_000))
    (folder / "large.png").write_bytes(png(10_000, 10_000))
    (folder / "chunk.png").write_bytes(png(28, 28, b"\0" * 29 * 28, chunk(b"tRNS", b"")))
    (folder / "cut.png").write_bytes((folder / "a.png").read_bytes()[:50])
    (folder / "postscript.png").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 28 28\n%%EndComments\nshowpage\n"
    )
    (folder / "text.png").write_text("no image")
    (folder / "empty.png").write_bytes(b"")
    return {
        "link.png": "is a link, which is not followed",
        "device.png": "is a link, which is not followed",
        "dangling.png": "is a link, which is not followed",
        "pipe.png": "is not a regular file",
        "directory.png": "is not a regular file",
        "socket.png": "is not a regular file",
        "bomb.png": "could be decompression bomb",
        "large.png": "could be decompression bomb",
        "cut.png": "cannot be read as an image",
        "postscript.png": "cannot be read as an image (no known format)",
        "text.png": "cannot be read as an image (no known format)",
        "empty.png": "cannot be read as an image (no known format)",
    }


@pytest.mark.filterwarnings("ignore::attricert.errors.ModelModeWarning")
def test_the_sound_ones_are_certified_and_the_others_say_why(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bad = fill(tmp_path / "images")
    config = runs.Config(
        "mnist-standard",
        str(tmp_path / "images"),
        noise="gaussian",
        parameters={"sigma": 0.25},
        n_samples=100,
        seed=1,
        maps="drop",
    )
    store = runs.certify(config, tmp_path / "run")
    rows = {row.facts["id"]: row.facts for row in gather(store)}
    assert {"a.png", "z.png"} <= {name for name, row in rows.items() if row["status"] == "certified"}
    assert len(rows) == len(bad) + 3  # what Pillow makes of the odd chunk is its own business
    for name, reason in bad.items():
        assert rows[name]["status"] == "failed", name
        assert reason in rows[name]["reason"], rows[name]
        assert len(rows[name]["reason"]) < 400


def test_links_and_pipes_are_not_opened_for_the_fingerprint_either(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"a")
    (folder / "b.png").symlink_to(tmp_path / "outside")
    os.mkfifo(folder / "c.png")
    before = ImageFolder.of(folder).digest()
    (tmp_path / "outside").write_bytes(b"secret")
    assert ImageFolder.of(folder).digest() == before


NAMES = [
    b"bad\xff.png",
    b"bad\xfe.png",
    b"bad\\udcff.png",
    b"esc\x1b[31m.png",
    b"x[red]$y$.png",
    "‮gnp.png".encode(),
]


def test_names_of_any_bytes_are_ids_that_can_be_written(tmp_path):
    for name in NAMES:
        Image.new("L", (28, 28), 100).save(os.fsencode(tmp_path) + b"/" + name, "png")
    data = ImageFolder.of(tmp_path)
    ids = data.ids
    assert len(set(ids)) == len(NAMES)
    for name in ids:
        name.encode()
    assert "x[red]$y$.png" in ids
    assert ids == ImageFolder.of(tmp_path).ids
    digest = data.digest()
    bad = next(path for path in data.paths if os.fsencode(path.name) == NAMES[0])
    os.rename(bad, os.fsencode(tmp_path) + b"/bad\xfd.png")
    assert ImageFolder.of(tmp_path).digest() != digest


class Mirror(http.server.BaseHTTPRequestHandler):
    """Breaks off in the middle of the body, in several ways."""

    packed = gzip.compress(os.urandom(3000))

    def do_GET(self):
        self.send_response(200)
        if self.path.startswith("/chunked"):
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"1000\r\n" + b"x" * 10)
            return
        whole = self.packed if self.path.endswith(".gz") else b"hello"
        body = whole[: len(whole) // 2]
        self.send_header("Content-Length", str(len(whole) if self.path.startswith("/short") else len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def test_a_body_cut_short_sends_to_the_next_mirror(tmp_path, monkeypatch):
    monkeypatch.setattr("attricert.datasets.sources._WAITS", ())
    good = tmp_path / "good"
    good.write_bytes(b"hello")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mirror) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"
        for number, path in enumerate(("chunked", "chunked.gz", "short", "short.gz", "cut.gz")):
            sources = (Url(f"{base}/{path}"), Url(good.as_uri()))
            file = RemoteFile("file", hashlib.sha256(b"hello").hexdigest(), sources)
            assert obtain([file], tmp_path / str(number), lambda _: None) == {"file": b"hello"}
            alone = RemoteFile("file", file.sha256, sources[:1])
            with pytest.raises(ac.UnavailableError, match=r"no source has it \(http://127.0.0.1:\d+/\w+"):
                obtain([alone], tmp_path / f"none-{number}", lambda _: None)
        server.shutdown()


def test_a_mirror_that_trickles_or_never_ends_is_given_up(tmp_path, monkeypatch):
    from attricert.datasets import sources

    source = tmp_path / "file"
    source.write_bytes(b"hello")
    file = RemoteFile("file", "0", (Url(source.as_uri()),))
    monkeypatch.setattr(sources, "_LARGEST", 4)
    with pytest.raises(ac.UnavailableError, match="sends more than 4 bytes"):
        obtain([file], tmp_path / "a", lambda _: None)
    monkeypatch.undo()
    monkeypatch.setattr(sources, "_PATIENCE", -1.0)
    with pytest.raises(ac.UnavailableError, match="not there after -1 s"):
        obtain([file], tmp_path / "b", lambda _: None)
    monkeypatch.undo()
    bomb = tmp_path / "file.gz"
    bomb.write_bytes(gzip.compress(b"\0" * 10_000))
    monkeypatch.setattr(sources, "_LARGEST", 5_000)
    with pytest.raises(ac.UnavailableError, match="unpacks to more than 5000 bytes"):
        obtain([RemoteFile("file", "0", (Url(bomb.as_uri()),))], tmp_path / "c", lambda _: None)


def test_absurd_slices_are_no_slices():
    with pytest.raises(ac.ArgumentError, match="a slice is written"):
        ac.datasets.parse(f"mnist:test[0:{'9' * 5000}]")
    assert not Path("mnist:test").exists()
