"""Texts: what is read, what is refused and how it says so, and the windows over them."""
from __future__ import annotations

import os
import sys
from itertools import islice

import numpy as np
import pytest

from tinyseq.data import text as text_module
from tinyseq.data.text import Text, load_text, streams
from tinyseq.errors import TextError


def file_of(folder, content: bytes | str, name: str = "book.txt") -> str:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def test_the_manual():
    text = load_text(None, 25)
    assert text.name == f"Python {sys.version_info.major}.{sys.version_info.minor} manual"
    assert 300_000 < text.characters < 1_000_000 and 95 <= len(text.symbols) <= 150
    assert "".join(sorted(text.symbols)) == text.symbols and text.codes.dtype == np.uint8
    assert len(text.train) == text.characters * 9 // 10
    assert text.characters == len(text.train) + len(text.validation)
    assert "The \"with\" statement" in text.decode(text.codes)
    if sys.version_info[:3] == (3, 11, 7):
        assert (text.characters, len(text.symbols)) == (465_048, 103)


@pytest.mark.parametrize("topics", [None, type(sys)("pydoc_data.topics")])
def test_without_the_manual_docstrings_are_read(monkeypatch, topics):
    if topics is not None:
        topics.topics = {}
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", topics)
    text = load_text(None, 25)
    assert "docstrings of 10 Python" in text.name and "not installed" in text.name
    assert text.characters > 100_000
    assert (load_text(None, 25).codes == text.codes).all()


def test_a_file_as_it_is(tmp_path):
    text = load_text(file_of(tmp_path, "\ufeffab\r\nç\tab\n" * 3 + "𝄞"), 1)
    assert text.decode(text.codes) == "ab\nç\tab\n" + "\ufeffab\nç\tab\n" * 2 + "𝄞"
    assert text.name == "book.txt" and text.symbols == "\t\nabç\ufeff𝄞"


def test_many_symbols_take_wider_codes(monkeypatch):
    monkeypatch.setattr(text_module, "PIECE", 7)  # several pieces, the last one shorter
    content = "".join(map(chr, range(1000, 1300))) * 2
    text = Text.of(content)
    assert text.codes.dtype == np.uint16 and len(text.symbols) == 300
    assert text.decode(text.codes) == content
    assert Text.of(content[:256]).codes.dtype == np.uint8


@pytest.mark.parametrize("content, reason", [
    (b"", "is empty"),
    (b"\xef\xbb\xbf", "is empty"),
    (b"a", "nothing but the character 'a'"),
    (b"\n" * 1000, r"nothing but the character '\n'"),
    (b"ab" * 125, "has 250 characters and --steps 25 needs 251"),
    (b"text\0text" * 99, "binary or UTF-16, not UTF-8 text: byte 4 is zero"),
    ("text".encode("utf-16") * 99, "binary or UTF-16"),
    (b"text\xff" * 99, "is not UTF-8 text: byte 4 is 0xff"),
    (b"tr\xe9s long" * 99, "is not UTF-8 text: byte 2 is 0xe9"),
    ("".join(map(chr, range(0x4e00, 0x4e00 + 10_001))).encode(), "10,001 different characters"),
])
def test_bad_content_is_refused(tmp_path, content, reason):
    path = file_of(tmp_path, content)
    with pytest.raises(TextError) as caught:
        load_text(path, 25)
    message = str(caught.value)
    assert reason in message and "book.txt" in message
    assert "type " in message and "\n" not in message
    assert isinstance(caught.value, ValueError)


def test_the_shortest_text_fills_one_window(tmp_path):
    text = load_text(file_of(tmp_path, "ab" * 125 + "c"), 25)
    (x, y, restart), = streams(text.validation, 1, 25, passes=1)
    assert x.shape == y.shape == (25, 1) and restart


def refusal(path: str) -> str:
    with pytest.raises(TextError) as caught:
        load_text(path, 25)
    message = str(caught.value)
    assert "\n" not in message and "type --text FILE" in message
    return message


def test_what_is_no_file_is_refused(tmp_path):
    assert "is a folder" in refusal(str(tmp_path))
    assert "No such file" in refusal(str(tmp_path / "none.txt"))
    assert "No such file" in refusal("")
    assert "Not a directory" in refusal(file_of(tmp_path, "abc") + "/x")
    assert "too long" in refusal("x" * 5000)
    assert "no file name" in refusal("a\0b")
    assert "pipe or a device" in refusal(os.devnull)
    refusal("two\nlines")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "pipe or a device" in refusal(str(tmp_path / "pipe"))


def test_no_permission(tmp_path, monkeypatch):
    path = file_of(tmp_path, "abc" * 999)
    os.chmod(path, 0)
    if os.access(path, os.R_OK):  # root may read all: let open() say what others are told
        def refuse(*_):
            raise PermissionError(13, "Permission denied")
        monkeypatch.setattr("builtins.open", refuse)
    assert "cannot be read: Permission denied" in refusal(path)


def test_a_file_that_is_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(text_module, "LARGEST_FILE", 2**20)
    path = file_of(tmp_path, "ab" * 2**19)
    assert load_text(path, 25).characters == 2**20
    path = file_of(tmp_path, "ab" * 2**19 + "c")
    assert "larger than 1 MB" in refusal(path)


@pytest.mark.skipif(os.name != "posix", reason="names of bytes are POSIX's")
def test_a_strange_name_can_be_printed(tmp_path):
    path = os.path.join(os.fsencode(tmp_path), b"b\xffo\nok.txt")
    try:
        with open(path, "wb") as file:
            file.write(b"abc" * 99)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    assert load_text(os.fsdecode(path), 25).name.encode() == "b\ufffdo\ufffdok.txt".encode()


def test_streams_cover_the_text_in_order():
    codes = np.arange(103, dtype=np.uint8)
    found = list(streams(codes, N=4, T=6, passes=1))
    assert [restart for *_, restart in found] == [True, False, False, False]
    x = np.concatenate([window.x for window in found])
    y = np.concatenate([window.y for window in found])
    assert x.dtype == y.dtype == np.int64 and x.shape == (24, 4)
    np.testing.assert_array_equal(x, np.arange(24)[:, None] + 25 * np.arange(4))
    np.testing.assert_array_equal(y, x + 1)


def test_streams_begin_again():
    restarts = [restart for *_, restart in islice(streams(np.arange(26), N=2, T=4), 8)]
    assert restarts == [True, False, False] * 2 + [True, False]
    first, *_, again = islice(streams(np.arange(26), N=2, T=4), 4)
    np.testing.assert_array_equal(first.x, again.x)


def test_streams_refuse_what_gives_no_window():
    with pytest.raises(TextError, match="11 characters are too few.* need 12"):
        streams(np.arange(11), N=3, T=3)
    assert len(list(streams(np.arange(12), N=3, T=3, passes=1))) == 1
    for N, T in ((0, 3), (3, 0)):
        with pytest.raises(ValueError, match="N >= 1"):
            streams(np.arange(11), N, T)
