"""`tinyseq check`: right is 0, wrong is 1 and named, bad arguments are 2 and one line."""
from __future__ import annotations

import subprocess
import sys
import textwrap
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn
from tinyseq.cli import main
from tinyseq.op import OPS
from tinyseq.study.model import CharacterModel
from tinyseq.walk import differentiate

MINE = """
    import numpy as np
    import tinyseq as ts
    from tinyseq import sigmoid, tanh

    rng = np.random.default_rng(0)
    w = ts.tensor(rng.normal(size=(3, 3)), requires_grad=True)
    w.label = "w"
    x = rng.normal(size=(4, 3))

    @ts.cell(gates="u c")
    def minimal(x, h):
        u = sigmoid(x.u + h.u)
        a = u * h
        c = tanh(x.c + a.c)
        h_next = (1 - u) * h + u * c
        return h_next

    def loss():
        h = ts.zeros(3, dtype="float64")
        for t in range(4):
            with ts.scope(f"t={t}"):
                h = ts.tanh(ts.tensor(x[t]) + h @ w)
        return (h * h).sum()

    def pair():
        return (lambda a, b: (a * b).sum()), {"a": x, "b": ts.tensor(x + 1)}

    def several():
        return (lambda a, b: a * b), [x, x + 1]

    def defaults(a=x, b=ts.tensor([0.5, -0.5, 2.0])):
        return ts.tanh(a) * b

    class Cube(ts.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x * x

        @staticmethod
        def backward(ctx, gy):
            x, = ctx.saved_tensors
            return gy * 2.0 * x * x

    def wrong(x=x):
        with ts.scope("cube"):
            return Cube.apply(x)

    def noisy():
        return (w * float(np.random.normal())).sum()

    def kink(x=np.array([0.0, 1.0])):
        return ts.relu(x)

    def broken():
        raise KeyError("no such luck")

    def needs(a, b=x):
        return a

    layer = ts.nn.GRU(3, 4, 2)
    number = 3
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A module of the user's in the current folder."""
    (tmp_path / "mine.py").write_text(textwrap.dedent(MINE))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("mine", None)


def check(capsys, *arguments) -> tuple[int, str, str]:
    """(exit status, stdout, stderr) of `tinyseq check`."""
    status = main(["check", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


# -- cells -----------------------------------------------------------------------------------
@pytest.mark.parametrize("cell", ["rnn", "rnn-relu", "lstm", "lstm-peephole", "gru",
                                  "gru-textbook"])
def test_every_cell_is_right_and_has_a_table(cell, capsys):
    status, out, err = check(capsys, "--cell", cell, "--steps", 4)
    assert (status, err) == (0, "")
    head, *rest = out.splitlines()
    assert ": ok, worst error " in head and f"{'4' if cell == 'rnn' else ''}" in head
    assert "weight_hh_l0" in out and "l0.fwd h_next" in out and "t=3" in out
    assert ("four-point, because" in out) == (cell == "rnn-relu")


def test_layers_directions_sizes_and_options(capsys):
    status, out, _ = check(capsys, "--cell", "lstm", "--layers", 2, "--bidirectional", "--steps",
                           3, "--hidden", 2, "--inputs", 2, "--batch", 2, "--with", "zoneout=0.3",
                           "--with", "learn_init", "--with", "dropout=0.5", "--method", "central",
                           "--fast", "--seed", 3, "--order", 1)
    assert status == 0 and "LSTM(2, 2, num_layers=2, dropout=0.5, bidirectional=True, " in out
    assert "learn_init=True" in out and "l1.rev z_h" not in out
    assert "h_0" in out and "held while differencing: 1 dropout mask" in out
    assert "24 given constants" in out and "in random directions" in out
    assert f"{3 * 2 * 2 * 8} lines at steps" in out


def test_the_same_seed_gives_the_same_report(capsys):
    outs = [check(capsys, "--cell", "gru", "--steps", 2, "--seed", 5)[1] for _ in range(2)]
    tables = ["\n".join(out.splitlines()[3:]) for out in outs]
    assert tables[0] == tables[1] and "weight_hh_l0" in tables[0]


def test_a_wrong_rule_is_named_and_exit_1(capsys):
    op, before = OPS["sigmoid"], OPS["sigmoid"].rules[0]
    op.rules[0] = lambda gy, y: gy * y
    op.plans.clear()
    try:
        status, out, err = check(capsys, "--cell", "lstm")
    finally:
        op.rules[0] = before
        op.plans.clear()
    assert (status, err) == (1, "")
    assert "LSTM(3, 4): FAILED" in out
    assert "\nguilty: l0.fwd/t=4/o  sigmoid.backward w.r.t. x at (" in out
    assert "in the line o = sigmoid(x.o + h.o)" in out and "equation: y = 1 / (1 + e^-x)" in out
    assert "derivative: " in out


def test_second_derivatives(capsys):
    status, out, _ = check(capsys, "--cell", "rnn", "--order", 2, "--steps", 2)
    assert status == 0 and "second derivatives: ok" in out and "cotangent 0" in out


@pytest.mark.parametrize("suffix", ["html", "svg", "txt"])
def test_the_report_is_written(suffix, tmp_path, capsys):
    path = tmp_path / f"r.{suffix}"
    status, out, _ = check(capsys, "--cell", "rnn", "--steps", 2, "-o", path)
    assert status == 0 and out.endswith(f"wrote {path}\n")
    content = path.read_text()
    if suffix == "txt":
        assert content == out.removesuffix(f"wrote {path}\n")
    elif suffix == "svg":
        assert ET.parse(path).getroot().tag.endswith("svg")
    else:
        assert "<svg" in content and "weight_hh_l0" in content


# -- the user's own --------------------------------------------------------------------------
@pytest.mark.parametrize("name,parts", [
    ("loss", ["w  "]), ("pair", ["  a ", "  b "]), ("several", ["  a ", "  b "]),
    ("defaults", ["  a ", "  b "]), ("layer", ["weight_hh_l1", "l1.fwd n"])])
def test_a_function_of_ones_own(name, parts, mine, capsys):
    for place in (f"mine:{name}", f"mine.py:{name}", f"{mine}/mine.py:{name}"):
        status, out, err = check(capsys, "--fn", place)
        assert (status, err) == (0, ""), out
        assert out.startswith(f"{place}: ok") and all(part in out for part in parts)


def test_a_wrong_function_is_named(mine, capsys):
    status, out, _ = check(capsys, "--fn", "mine:wrong")
    assert status == 1
    assert "guilty: cube  Cube.backward w.r.t. number 0 at (" in out
    assert "ratio analytic/numeric 0.6667 everywhere" in out
    assert "return gy * 2.0 * x * x" in out


def test_a_cell_of_ones_own(mine, capsys):
    status, out, _ = check(capsys, "--cell", "mine:minimal", "--layers", 2, "--steps", 3)
    assert status == 0 and "Recurrent(minimal, 3, 4, num_layers=2): ok" in out
    for line in ("l1.fwd u", "l1.fwd a", "l1.fwd c", "l1.fwd h_next"):
        assert line in out


@pytest.mark.parametrize("arguments,said", [
    (["--fn", "mine:noisy"], "output 0 is not deterministic"),
    (["--fn", "mine:kink"], "has a kink there"),
    (["--fn", "mine:broken"], "no such luck"),
    (["--cell", "rnn-relu", "--method", "complex"], "a complex step cannot pass <relu at")])
def test_what_fails_is_one_line_and_exit_1(arguments, said, mine, capsys):
    status, out, err = check(capsys, *arguments)
    assert (status, out) == (1, "") and said in err
    assert err.startswith("tinyseq: error: ") and err.count("\n") == 1


# -- saved models ----------------------------------------------------------------------------
@pytest.mark.parametrize("make,cell,words", [
    (lambda: nn.LSTM(3, 4, 2, bidirectional=True), [], "l1.rev h_next"),
    (lambda: nn.LSTM(3, 4, proj_size=2, bias=False), [], "weight_hr_l0"),
    (lambda: nn.LSTM(3, 4, peephole=True, layer_norm=True), [], "ln_c_bias_l0"),
    (lambda: nn.GRU(3, 4, learn_init=True), [], "h_0"),
    (lambda: nn.GRU(3, 4, reset_after=False), ["--cell", "gru-textbook"], "l0.fwd a"),
    (lambda: nn.RNN(3, 4), [], "l0.fwd h_next")])
def test_a_saved_layer(make, cell, words, tmp_path, capsys):
    ts.manual_seed(0)
    path = tmp_path / "model.npz"
    ts.save(make().state_dict(), path)
    status, out, _ = check(capsys, "--model", path, *cell, "--steps", 3, "--fast")
    assert status == 0 and words in out and f"of {path}: ok" in out


def test_layers_under_names_and_a_plain_numpy_file(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ts.manual_seed(0)
    state = {f"encoder.rnn.{k}": v.numpy() for k, v in nn.GRU(2, 3).state_dict().items()}
    state |= {f"decoder.{k}": v.numpy() for k, v in nn.LSTM(3, 2).state_dict().items()}
    np.savez("model.npz", head=np.ones(3), **state)
    status, out, _ = check(capsys, "--model", "model.npz", "--steps", 2, "-o", "r.txt")
    assert status == 0
    assert "encoder.rnn of model.npz: ok" in out and "decoder of model.npz: ok" in out
    assert (tmp_path / "r.txt").is_file() and (tmp_path / "r-1.txt").is_file()


def test_the_model_of_a_study_is_checked_whole(tmp_path, capsys):
    ts.manual_seed(0)
    path = tmp_path / "model.npz"
    ts.save(CharacterModel("lstm", 7, 5).state_dict(), path)
    status, out, _ = check(capsys, "--model", path, "--steps", 3)
    assert status == 0 and f"{path}, lstm of 7 symbols: ok" in out
    assert "embedding.weight" in out and "readout.bias" in out and "layer/l0.fwd f" in out


# -- gradients from elsewhere ----------------------------------------------------------------
def exported(cell: str = "lstm", dtype: str = "float64", **options) -> dict[str, np.ndarray]:
    """What a person would save of another framework's run: values, cotangents, gradients."""
    rng = np.random.default_rng(1)
    kind = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}[cell]
    layer = kind(3, 4, dtype=ts.float64, **options)
    lanes = len(layer.lanes())
    x = ts.tensor(rng.normal(size=(5, 2, 3)), requires_grad=True)
    states = [ts.tensor(rng.normal(size=(lanes, 2, 4)), requires_grad=True)
              for _ in layer.cell.states]
    y, last = layer(x, states[0] if len(states) == 1 else tuple(states))
    outs = [y, *(last if isinstance(last, tuple) else (last,))]
    gys = [rng.normal(size=t.shape) for t in outs]
    found = differentiate(outs, gys, None, False)
    values = {"x": x, **dict(zip(("h_0", "c_0"), states)), **dict(layer.named_parameters())}
    made = {name: t.array for name, t in values.items()}
    made |= {f"grad.{name}": np.asarray(found[t]) for name, t in values.items()}
    made |= {f"grad.{name}": g for name, g in zip(("y", "h_n", "c_n"), gys)}
    return {name: a.astype(dtype) for name, a in made.items()}


@pytest.mark.parametrize("cell,options,dtype", [
    ("lstm", {}, "float64"), ("gru", {"num_layers": 2}, "float64"), ("rnn", {}, "float32"),
    ("lstm", {"bidirectional": True}, "float64"), ("lstm", {"peephole": True}, "float64")])
def test_right_gradients_from_elsewhere(cell, options, dtype, tmp_path, capsys):
    path = tmp_path / "grads.npz"
    np.savez(path, **exported(cell, dtype, **options))
    status, out, err = check(capsys, "--grads", path)
    assert (status, err) == (0, ""), out
    assert f"gradients of {path} as those of a {cell}: ok" in out
    assert "weight_hh_l0" in out and "method comparison" in out


def test_wrong_gradients_from_elsewhere_are_named_by_gate_and_diagnosed(tmp_path, capsys):
    path = tmp_path / "grads.npz"
    given = exported()
    given["grad.bias_hh_l0"][4:8] *= -1
    np.savez(path, **given)
    status, out, _ = check(capsys, "--grads", path, "--cell", "lstm")
    assert status == 1
    (wrong,) = [line for line in out.splitlines() if "wrong: " in line and "yours" in line]
    assert "bias_hh_l0[f] at (" in wrong and "tinyseq's" in wrong
    assert "none of the known mistakes; first wrong: bias_hh_l0, rows of gate f" in out


def test_a_known_mistake_is_recognised(tmp_path, capsys):
    bugs = pytest.importorskip("tinyseq.bugs")
    f = bugs.fixture("lstm")
    mistake = next(m for m in bugs.KNOWN["lstm"] if m.name == "sigma of f")
    found = bugs.network("lstm", [mistake]).gradients(f)
    np.savez(tmp_path / "g.npz", x=f.x, h_0=f.state[0], c_0=f.state[1], **f.weights,
             **{"grad.y": f.gy, "grad.h_n": f.g_state[0], "grad.c_n": f.g_state[1]},
             **{f"grad.{name}": g for name, g in found.items()})
    status, out, _ = check(capsys, "--grads", tmp_path / "g.npz")
    assert status == 1 and "weight_ih_l0[f]" in out
    assert "equals the gradient with sigma(f)" in out
    assert "wrong  gf = gc * c[t] * sigmoid(f)" in out


def test_partial_gradients_say_what_is_missing(tmp_path, capsys):
    given = exported("gru")
    few = {k: v for k, v in given.items() if not k.startswith("grad.")}
    np.savez(tmp_path / "g.npz", **few, **{k: given[k] for k in ("grad.y", "grad.weight_hh_l0")})
    status, out, _ = check(capsys, "--grads", tmp_path / "g.npz")
    assert status == 1   # h_n's cotangent is missing, so that the gradient is another one
    np.savez(tmp_path / "g.npz", **few, **{k: given[k] for k in ("grad.y", "grad.h_n",
                                                                 "grad.weight_hh_l0")})
    status, out, _ = check(capsys, "--grads", tmp_path / "g.npz")
    assert status == 0 and "bias_hh_l0: the file has no gradient of it" in out


# -- the museum ------------------------------------------------------------------------------
def test_every_exhibit_of_the_museum_is_caught_and_its_line_named(capsys):
    bugs = pytest.importorskip("tinyseq.bugs")
    shown = bugs.exhibits()
    assert len(shown) > 10
    for e in shown:
        status, out, _ = check(capsys, "--bug", e.mistake.name, "--cell", e.cell, "--steps", 3,
                               "--batch", 2, "--inputs", 2, "--hidden", 3, "--fast")
        assert status == 1 and f"wrong  {e.mistake.changes[0][1]}" in out, e
        assert "guilty: " in out or e.mistake.forward and "of another network" in out, e


# -- bad arguments ---------------------------------------------------------------------------
@pytest.mark.parametrize("arguments,said", [
    (["--cell", "transformer"], "unknown cell 'transformer': choose one of rnn, "),
    (["--cell", "nowhere:cell"], "there is no module 'nowhere'"),
    (["--cell", "mine:loss"], "expected a cell written with @ts.cell, found a function"),
    (["--fn", "mine"], "expected MODULE:NAME"), (["--fn", "mine:"], "expected MODULE:NAME"),
    (["--fn", "mine:absent"], "has no 'absent'"), (["--fn", "absent.py:f"], "there is no file"),
    (["--fn", "mine:number"], "expected a function or an nn.Module, found a int"),
    (["--fn", "mine:needs"], "give every parameter a default tensor"),
    (["--fn", "mine:loss", "--cell", "lstm"], "--cell and --fn: give one of them"),
    (["--fn", "mine:loss", "--model", "x.npz"], "--fn and --model: give one of them"),
    (["--model", "absent.npz"], "there is no such file"),
    (["--model", "mine.py"], "mine.py"), (["--model", "empty.npz"], "no recurrent layer in it"),
    (["--grads", "empty.npz"], "it needs arrays x and weight_ih_l0"),
    (["--grads", "bare.npz"], "it needs the cotangents"),
    (["--grads", "misfit.npz"], "grad.weight_hh_l0 has shape (2, 2), expected (16, 4)"),
    (["--bug", "unheard of"], "there are "), (["--steps", "0"], "--steps must be between 1"),
    (["--hidden", "-1"], "--hidden must be between 1"), (["--seed", "-1"], "--seed must be"),
    (["--with", "colour=red"], "cannot be made so: "), (["--with", "zoneout=2"], "zoneout"),
    (["-o", "report.pdf"], "ends in .txt, .html, .svg"), (["-o", "no/such/r.html"], "folder"),
    (["-o", "folder.svg"], "expected the name of a file")])
def test_bad_arguments_are_one_line_and_exit_2(arguments, said, mine, capsys):
    (mine / "folder.svg").mkdir()
    np.savez(mine / "empty.npz", a=np.ones(2))
    given = exported()
    np.savez(mine / "bare.npz", **{k: v for k, v in given.items() if not k.startswith("grad.")})
    np.savez(mine / "misfit.npz", **{**given, "grad.weight_hh_l0": np.ones((2, 2))})
    status, out, err = check(capsys, *arguments)
    assert (status, out) == (2, "") and said in err, err
    assert err.startswith("tinyseq: error: ") and err.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--method", "guess"], ["--order", "3"], ["--layers", "x"],
                                       ["--with"]])
def test_what_argparse_refuses_has_usage_on_stderr(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["check", *arguments])
    captured = capsys.readouterr()
    assert stop.value.code == 2 and captured.out == "" and "usage: tinyseq check" in captured.err


def test_a_process_of_its_own(tmp_path):
    (tmp_path / "mine.py").write_text(textwrap.dedent(MINE))
    run = [sys.executable, "-m", "tinyseq", "check"]
    help_ = subprocess.run([*run, "--help"], capture_output=True, text=True)
    assert help_.returncode == 0 and "--fn MODULE:FUNCTION" in help_.stdout
    assert "grad.h_n" in help_.stdout
    done = subprocess.run([*run, "--fn", "mine:wrong"], capture_output=True, text=True,
                          cwd=tmp_path)
    assert done.returncode == 1 and "guilty: cube" in done.stdout and done.stderr == ""
    unknown = subprocess.run([*run, "--unheard-of"], capture_output=True, text=True)
    assert unknown.returncode == 2 and unknown.stdout == "" and "usage" in unknown.stderr
