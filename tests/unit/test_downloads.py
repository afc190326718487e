"""Mirrors that are busy, slow, or break off; each is a server of this machine."""

import contextlib
import hashlib
import socket
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import attricert as ac
from attricert.datasets import sources
from attricert.datasets.cache import RemoteFile, obtain
from attricert.datasets.sources import Archives, Member, TarUrl, Url

CONTENT = bytes(range(256)) * 40
_HUNG = 600  # seconds after which nothing will come


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(sources, "_WAITS", (0.01, 0.02, 0.04))
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def mirror():
    """Serves one answer after another, the last for ever; counts the requests."""
    with contextlib.ExitStack() as stack:

        def serve(*answers):
            asked = []

            class Handler(BaseHTTPRequestHandler):
                def do_GET(self):
                    asked.append(self.path)
                    with contextlib.suppress(OSError):
                        answers[min(len(asked), len(answers)) - 1](self)

                def log_message(self, *_):
                    pass

            server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            return f"http://127.0.0.1:{server.server_port}/file", asked

        yield serve


def whole(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(CONTENT)))
    handler.end_headers()
    handler.wfile.write(CONTENT)


def status(code):
    def answer(handler):
        handler.send_response(code)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def truncated(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(CONTENT)))
    handler.end_headers()
    handler.wfile.write(CONTENT[:1000])


def torn(handler):
    """A chunk is announced and does not come."""
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"100\r\nabc")


def reset(handler):
    handler.wfile.write(b"HTTP/1.0 200 OK\r\n\r\nabc")
    # To linger for no time makes closing a reset.
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def hung_up(handler):
    handler.connection.shutdown(socket.SHUT_RDWR)


class Trickle:
    """A byte a second, of a clock of its own: the next one is sent when the reader has looked at it."""

    def __init__(self):
        self.seconds, self.looked = 0.0, threading.Semaphore(0)

    def monotonic(self):
        now = self.seconds
        self.looked.release()
        return now

    def __call__(self, handler):
        handler.send_response(200)
        handler.end_headers()
        for _ in range(100):
            if not self.looked.acquire(timeout=_HUNG):
                return
            self.seconds += 1
            handler.wfile.write(b"x")


def other(handler):
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(b"something else")


def fetched(url):
    with Archives() as archives:
        return Url(url).content(archives)


@pytest.mark.parametrize("trouble", [status(503), status(500), status(429), truncated, torn, reset, hung_up])
def test_trouble_that_passes_is_waited_out(mirror, trouble):
    url, asked = mirror(trouble, trouble, whole)
    assert fetched(url) == CONTENT
    assert len(asked) == 3


def test_a_silent_mirror_is_asked_again(mirror, monkeypatch):
    left = threading.Event()

    def silent(handler):
        monkeypatch.setattr(sources, "_SILENCE", _HUNG)  # for those who ask from now on
        left.wait(_HUNG)

    monkeypatch.setattr(sources, "_SILENCE", 0.5)
    url, asked = mirror(silent, whole)
    assert fetched(url) == CONTENT
    assert len(asked) == 2
    left.set()


@pytest.mark.parametrize(
    ("trouble", "error", "times"),
    [
        (status(404), "HTTP Error 404", 1),
        (status(403), "HTTP Error 403", 1),
        (status(503), "HTTP Error 503", 4),
        (truncated, "1000 bytes came, 10240 were announced", 4),
    ],
)
def test_other_trouble_is_not_and_nothing_for_ever(mirror, trouble, error, times):
    url, asked = mirror(trouble)
    with pytest.raises(sources.FAILURES, match=error):
        fetched(url)
    assert len(asked) == times


@pytest.mark.parametrize(
    ("limits", "error", "after"),
    [
        ({}, "sends 1 bytes/s, the least is 10000", 21),
        ({"_SLOWEST": 1, "_PATIENCE": 50.0}, "not there after 50 s", 51),
    ],
)
def test_a_mirror_that_trickles_is_left(mirror, monkeypatch, limits, error, after):
    """Each byte comes in time, and all of them never would."""
    trickle = Trickle()
    monkeypatch.setattr(sources, "time", trickle)
    for name, value in limits.items():
        monkeypatch.setattr(sources, name, value)
    url, asked = mirror(trickle)
    with pytest.raises(ac.IntegrityError, match=error):
        fetched(url)
    assert trickle.seconds in (after, after + 1)  # one may be on its way
    assert len(asked) == 1


def test_one_that_is_fast_enough_is_not(mirror, monkeypatch):
    """The control of the last: the same trickle, where so little is asked."""
    trickle = Trickle()
    monkeypatch.setattr(sources, "time", trickle)
    monkeypatch.setattr(sources, "_SLOWEST", 1)
    url, _ = mirror(trickle)
    assert fetched(url) == b"x" * 100
    assert trickle.seconds == 100


def test_a_wrong_file_is_asked_for_once_and_sought_elsewhere(mirror, tmp_path):
    (bad, asked), (good, _) = mirror(other), mirror(status(503), whole)
    file = RemoteFile("file", hashlib.sha256(CONTENT).hexdigest(), (Url(bad), Url(good)))
    assert obtain([file], tmp_path, lambda _: None) == {"file": CONTENT}
    assert len(asked) == 1


def test_what_a_broken_attempt_left_of_an_archive_is_not_kept(mirror):
    url, asked = mirror(truncated, whole)
    archive = TarUrl(url)
    with Archives() as archives, pytest.raises(sources.FAILURES, match="file could not be opened|not a gzip"):
        archives.member(archive, "a")
    assert len(asked) == 2


def test_an_archive_comes_whole_after_all(mirror, tmp_path):
    path = tmp_path / "archive"
    url, _ = mirror(truncated, whole)
    assert TarUrl(url).download(tmp_path) == path
    assert path.read_bytes() == CONTENT
    assert Member(TarUrl(url), ("a",)).where == url
