"""Generated kernels: the committed ones, the cache and its faults, and a light import."""
from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import emit, kernels
from tinyseq.cells import CELLS, rnn_tanh
from tinyseq.equations import cell
from tinyseq.op import OPS
from tinyseq.ops import log, tanh  # noqa: F401  the words of the equations

ROOT = Path(__file__).resolve().parent.parent
F32 = np.dtype("float32")
compiles = pytest.mark.skipif(not kernels.available(), reason="NUMBA_DISABLE_JIT is set")


# -- committed kernels --------------------------------------------------------------------
@pytest.mark.parametrize("name", CELLS)
def test_committed_kernels_are_what_the_equations_say(name):
    file = ROOT / "tinyseq" / "kernels" / f"{name}.py"
    assert file.read_text(encoding="utf-8") == emit.source(CELLS[name], OPS), \
        "type tools/make_kernels"
    text = kernels.committed(CELLS[name])
    assert text is not None and text() == file.read_text(encoding="utf-8")


def test_every_committed_file_belongs_to_a_cell():
    found = {path.stem for path in (ROOT / "tinyseq" / "kernels").glob("*.py")}
    assert found == {"__init__", *CELLS}


def test_make_kernels_check():
    done = subprocess.run([sys.executable, ROOT / "tools" / "make_kernels", "--check"],
                          capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def changed_cell():
    @cell(gates="h")
    def rnn_tanh(x, h):
        h_next = tanh(x.h - h.h)
        return h_next
    return rnn_tanh


def test_a_cell_of_the_same_name_does_not_get_the_committed_kernels():
    other = changed_cell()
    assert other.name == rnn_tanh.name and other.fingerprint != rnn_tanh.fingerprint
    assert kernels.committed(other) is None and kernels.committed(rnn_tanh) is not None


# -- the cache, in this process -----------------------------------------------------------
@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder of this test's own, and no kernel loaded yet."""
    monkeypatch.setenv("TINYSEQ_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(kernels, "_loaded", {})
    return tmp_path / "cache"


def arguments():
    rng = np.random.default_rng(0)
    T, N, H = 2, 3, 5
    made = [rng.normal(size=s).astype(F32) for s in
            ((H, H), (1, 1), (T, N, H), (1, N, H), (H,), (H,), (T + 1, N, H), (T, 0, N, H),
             (0, H))]
    return tuple(made)


def compute(made=None):
    """All steps of rnn_tanh: (the kernel, its last state, what numpy says)."""
    made = made or kernels.for_cell(rnn_tanh, OPS, F32)
    kernel = made["rnn_tanh_forward"]
    hh, _, Wx, Wh, bx, bh, h_all, lines, vectors = given = arguments()
    h = h_all[0].copy()
    for t in range(len(Wx)):
        h = np.tanh(Wx[t] + bx + h @ hh.T + bh)
    kernel(*given)
    return kernel, h_all[-1], h


def right(made=None):
    """The kernel, after its result has been compared with numpy's."""
    kernel, got, wanted = compute(made)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, wanted, rtol=1e-6)
    return kernel


def hits(kernel) -> int:
    return sum(kernel.function.stats.cache_hits.values())


@compiles
def test_a_second_process_would_find_it_in_the_cache(cache, monkeypatch):
    assert hits(right()) == 0
    (folder,) = cache.iterdir()
    assert {path.suffix for path in folder.rglob("*") if path.is_file()} == {".py", ".nbi", ".nbc"}
    for path in (cache, folder):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    monkeypatch.setattr(kernels, "_loaded", {})
    assert hits(right()) == 1


DAMAGE = {"empty": lambda data: b"", "random": lambda data: np.random.default_rng(0).bytes(999),
          "half": lambda data: data[:len(data) // 2]}


@compiles
@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize("which", ["nbi", "nbc", "py"])
def test_a_damaged_cache_file(cache, monkeypatch, how, which):
    right()
    damaged = [path for path in cache.rglob(f"*.{which}") if "forward" in path.name
               or which == "py"]
    assert damaged
    for path in damaged:
        path.write_bytes(DAMAGE[how](path.read_bytes()))
    for _ in range(2):  # the call that meets it, and the one after
        monkeypatch.setattr(kernels, "_loaded", {})
        right()


@compiles
def test_a_cache_folder_that_others_can_write_to_is_made_private(cache):
    cache.mkdir()
    cache.chmod(0o777)
    right()
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    (folder,) = cache.iterdir()
    folder.chmod(0o770)
    assert kernels.private(str(folder)) and stat.S_IMODE(folder.stat().st_mode) == 0o700


@compiles
def test_a_cache_that_is_a_file_and_a_home_that_cannot_be_written(cache, tmp_path, monkeypatch):
    """First the temporary folder serves; without one, kernels are compiled in memory."""
    file, temporary = tmp_path / "file", tmp_path / "temporary"
    file.write_text("not a folder")
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    fallback = temporary / f"tinyseq-{os.getuid()}"
    for name, value in (("TINYSEQ_CACHE", str(file)), ("XDG_CACHE_HOME", str(file)),
                        ("HOME", str(file))):
        for word in ("TINYSEQ_CACHE", "XDG_CACHE_HOME", "HOME"):
            monkeypatch.delenv(word, raising=False)
        monkeypatch.setenv(name, value)
        assert kernels.cache_root() == fallback
    monkeypatch.setattr(tempfile, "tempdir", str(file))
    assert kernels.cache_root() is None
    kernel = right()
    assert kernel.folder is None and file.read_text() == "not a folder"


def test_the_cache_folder_follows_the_rules(tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.delenv("TINYSEQ_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(home))
    assert kernels.cache_root() == home / ".cache" / "tinyseq"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # the rules say: ignore it
    assert kernels.cache_root() == Path(tempfile.gettempdir()) / f"tinyseq-{os.getuid()}"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert kernels.cache_root() == tmp_path / "xdg" / "tinyseq"
    monkeypatch.setenv("TINYSEQ_CACHE", str(tmp_path / "own"))
    assert kernels.cache_root() == tmp_path / "own"
    assert not (home / ".cache" / "tinyseq" / "x").exists()


def test_the_key_covers_all_sources_and_the_dtype(cache):
    text = emit.source(rnn_tanh, OPS)
    folders = {kernels.cache_folder(kernels.whole(body, np.dtype(dtype)))
               for body in (text, text + "# changed\n", emit.source(changed_cell(), OPS))
               for dtype in ("float32", "float64")}
    assert len(folders) == 6 and None not in folders
    for file in ("scalar.py", "product.py"):
        shared = (ROOT / "tinyseq" / file).read_text(encoding="utf-8")
        assert shared.partition("from typing")[2] in kernels.whole(text, F32)


@compiles
def test_eight_threads_make_the_first_call(cache):
    start, found = threading.Barrier(8, timeout=60), []
    made = kernels.for_cell(rnn_tanh, OPS, F32)

    def work():
        start.wait()
        found.append(compute(made)[1].tobytes())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 8 and len(set(found)) == 1
    right(made)


# -- numbers ------------------------------------------------------------------------------
@cell(gates="a")
def edgy(x, h):
    """Divides, and takes logarithms of whatever comes."""
    q = x.a / h
    h_next = log(q) + h.a
    return h_next


@compiles
def test_ieee_in_kernels_as_in_numpy(cache):
    """Division by zero and log of a negative number give inf and nan, never an exception."""
    x = np.array([1.0, -1.0, 0.0, 4.0, np.inf, np.nan, 1e300, 6.0]).reshape(1, 8, 1)
    h = np.array([0.0, 0.0, 0.0, -2.0, 1.0, 1.0, 1e-300, 2.0]).reshape(8, 1)
    found = {}
    for detail in ("gates", "layers"):
        xs, hs, w, u = [ts.tensor(v, requires_grad=True) for v in
                        (x, h, np.ones((1, 1)), np.zeros((1, 1)))]
        with ts.detail(detail), np.errstate(all="ignore"):
            y, _ = ts.unroll(edgy, xs, (hs,), ts.Weights(w, u))
            y.backward(ts.ones_like(y))
        found[detail] = [y.array, xs.grad.array, hs.grad.array]
    for a, b in zip(found["gates"], found["layers"]):
        np.testing.assert_allclose(b, a, rtol=1e-12)
    y = found["layers"][0].ravel()
    assert y[0] == np.inf and np.isnan(y[[1, 2, 3, 5]]).all() and abs(y[7] - np.log(3)) < 1e-15


# -- other processes ----------------------------------------------------------------------
TRAIN = """
    import hashlib, sys
    import numpy as np
    import tinyseq as ts
    from tinyseq.cells import rnn_tanh
    rng = np.random.default_rng(0)
    x, h, *w = [ts.tensor(rng.normal(size=s), requires_grad=True)
                for s in ((4, 2, 3), (2, 5), (5, 3), (5, 5), (5,), (5,))]
    y, (last,) = ts.unroll(rnn_tanh, x, (h,), ts.Weights(*w))
    ((y * y).sum() + last.sum()).backward()
    numbers = np.concatenate([y.array.ravel(), *[t.grad.array.ravel() for t in (x, h, *w)]])
    np.save(sys.argv[1], numbers)
    print(len(ts.graph(y).select(op="rnn_tanh")), len(ts.graph(y).select(op="tanh")),
          "numba" in sys.modules)
"""


def start(text: str, *more: str, **environment: str) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(text), *more], text=True,
                            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen) -> str:
    out, error = process.communicate(timeout=120)
    assert process.returncode == 0, error[-2000:]
    assert error == ""
    return out


def test_two_processes_one_empty_cache_and_one_without_a_compiler(tmp_path):
    """Two compile at once; with NUMBA_DISABLE_JIT=1 a third runs at gates: the same numbers."""
    cache = {"TINYSEQ_CACHE": str(tmp_path / "cache"), "NUMBA_DISABLE_JIT": "0"}
    files = [str(tmp_path / f"{k}.npy") for k in range(3)]
    running = [start(TRAIN, files[0], **cache), start(TRAIN, files[1], **cache),
               start(TRAIN, files[2], NUMBA_DISABLE_JIT="1")]
    said = [finish(process) for process in running]
    assert said == ["1 0 True\n", "1 0 True\n", "0 4 False\n"]
    one, two, gates = map(np.load, files)
    assert one.tobytes() == two.tobytes()
    np.testing.assert_allclose(gates, one, rtol=0, atol=1e-12 * np.abs(one).max())
    assert len(list((tmp_path / "cache").iterdir())) == 1
    assert not list((tmp_path / "cache").rglob("*.part"))


IMPORT = """
    import os, signal, sys, threading, warnings
    import numpy as np
    handlers = {s: signal.getsignal(s) for s in signal.valid_signals()}
    before = (np.random.get_state()[1].tobytes(), list(warnings.filters), sys.getrecursionlimit(),
              handlers, dict(os.environ), os.getcwd(), np.geterr(), sys.path[:])
    done = []

    def audit(event, arguments):
        opens = event == "open"
        writes = opens and set(arguments[1] or "") & set("wax+")
        creates = opens and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if writes or creates or event.split(".")[0] in ("subprocess", "socket") or event in (
                "os.mkdir", "os.rename", "os.remove", "os.system", "os.fork", "os.exec"):
            done.append((event, arguments))

    sys.addaudithook(audit)
    import tinyseq as ts
    handlers = {s: signal.getsignal(s) for s in signal.valid_signals()}
    after = (np.random.get_state()[1].tobytes(), list(warnings.filters), sys.getrecursionlimit(),
             handlers, dict(os.environ), os.getcwd(), np.geterr(), sys.path[:])
    assert before == after
    assert threading.active_count() == 1
    print(done, [m for m in ("numba", "llvmlite", "graphviz", "matplotlib", "torch", "scipy")
                 if m in sys.modules])
    x = ts.tensor([1.0], requires_grad=True)
    ts.tanh(x * 2).sum().backward()
    print("numba" in sys.modules)
    if sys.argv[1:]:
        open(sys.argv[1], "w").close()
        print(len(done) > 0)
"""


def test_import_compiles_nothing_and_touches_nothing(tmp_path):
    out = finish(start(IMPORT, PYTHONDONTWRITEBYTECODE="1"))
    assert out == "[] []\nFalse\n"
    seen = finish(start(IMPORT, str(tmp_path / "written"), PYTHONDONTWRITEBYTECODE="1"))
    assert seen == "[] []\nFalse\nTrue\n"  # the hook does see a file that is written
