"""What is written is there after a loss of power: file and folder reach the disk, in this order."""

import errno
import os
import stat
from pathlib import Path

import pytest

from attricert import files


@pytest.fixture
def journal(monkeypatch):
    """What happens, in order: flushes of files and folders, renames and links."""
    happened = []

    def recording(name, what):
        original = getattr(os, name)

        def recorded(*arguments):
            result = original(*arguments)
            happened.append(what(*arguments))
            return result

        monkeypatch.setattr(os, name, recorded)

    recording("fsync", lambda handle: "folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
    recording("replace", lambda *_: "named")
    recording("link", lambda *_: "named")
    return happened


@pytest.mark.parametrize("write", [files.write_atomically, files.create])
def test_the_folder_is_flushed_after_the_name(journal, tmp_path, write):
    write(tmp_path / "a", b"x")
    assert journal == ["file", "named", "folder"]
    journal.clear()
    write(tmp_path / "new" / "deep" / "a", b"x")  # two folders, each with a name in another
    assert journal == ["folder", "folder", "file", "named", "folder"]


def test_without_links_too(journal, tmp_path, monkeypatch):
    def refused(*_):
        raise OSError(errno.EOPNOTSUPP, "no links")

    monkeypatch.setattr(os, "link", refused)
    assert files.create(tmp_path / "a", b"x")
    assert journal[-2:] == ["file", "folder"]


def test_systems_that_flush_no_folders(tmp_path, monkeypatch):
    """As some file systems refuse, and Windows already to open them."""
    flush, open_ = os.fsync, os.open

    def files_only(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "a folder")
        flush(handle)

    def no_folders(path, *rest):
        if Path(path).is_dir():
            raise PermissionError(errno.EACCES, "a folder")
        return open_(path, *rest)

    for name, function in (("fsync", files_only), ("open", no_folders)):
        monkeypatch.setattr(os, name, function)
        files.write_atomically(tmp_path / name, b"x")
        assert (tmp_path / name).read_bytes() == b"x"


def test_a_folder_whose_place_is_taken_is_an_error(tmp_path):
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(FileExistsError):
        files.write_atomically(tmp_path / "a" / "b", b"x")
    with pytest.raises(FileExistsError):
        files.write_atomically(tmp_path / "a" / "b" / "c", b"x")


def test_appended_files_have_the_permissions_that_the_umask_leaves(tmp_path):
    before = os.umask(0o002)
    try:
        files.append_regular(tmp_path / "log", b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o664
