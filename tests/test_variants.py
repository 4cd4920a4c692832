"""Variants of the cells: against numpy written from the papers, and the same at every detail."""
from __future__ import annotations

import numpy as np
import pytest
from test_cells import case

import tinyseq as ts
from tinyseq import variants
from tinyseq.cells import CELLS, gru_textbook, lstm, lstm_peephole, rnn_tanh
from tinyseq.equations import Cell, cell
from tinyseq.errors import CellError, ShapeError
from tinyseq.ops import tanh  # noqa: F401


def everything(cell: Cell) -> Cell:
    """All that can be had at once."""
    return variants.zoneout(variants.layer_normed(variants.recurrent_dropout(cell)))


MADE = {f"{cell.name}, {make.__name__}": make(cell) for cell, make in (
    (rnn_tanh, variants.recurrent_dropout), (lstm, variants.zoneout), (lstm, variants.projected),
    (lstm, variants.layer_normed), (gru_textbook, variants.layer_normed),
    (lstm_peephole, everything))}


def run(cell: Cell, values: list, cotangents: list, given: tuple, detail: str) -> list:
    """Outputs, final states and all gradients."""
    t = [None if v is None else ts.tensor(v, requires_grad=True) for v in values]
    S, V = len(cell.states), len(cell.vectors)
    weights = ts.Weights(*t[1 + S:5 + S], vectors=tuple(t[5 + S:5 + S + V]), hr=t[-1],
                         given=given)
    with ts.detail(detail):
        y, finals = ts.unroll(cell, t[0], tuple(t[1:1 + S]), weights)
    outs = [y, *finals]
    sum((o * g).sum() for o, g in zip(outs, map(ts.tensor, cotangents))).backward()
    return [o.array for o in outs] + [v.grad.array for v in t if v is not None]


def masks(cell: Cell, T: int) -> tuple:
    rng = np.random.default_rng(1)
    return tuple([ts.tensor(rng.uniform(size=(T, 3, 5))) for _ in cell.given])


@pytest.mark.parametrize("T", (1, 4))
@pytest.mark.parametrize("name", MADE)
def test_details_agree(name, T):
    made = MADE[name]
    values, cotangents = case(made, T, True)
    wanted = run(made, values, cotangents, masks(made, T), "gates")
    for detail in ("steps", "layers"):
        for a, b in zip(wanted, run(made, values, cotangents, masks(made, T), detail)):
            assert a.shape == b.shape
            assert np.abs(a - b).max() <= 1e-12 * max(np.abs(a).max(), 1e-30)


@pytest.mark.parametrize("name", MADE)
def test_every_gate_at_every_step_is_checked(name):
    made = MADE[name]
    values, _ = case(made, 3, True)
    inputs = {f"{k}": ts.tensor(v, requires_grad=True) for k, v in enumerate(values)
              if v is not None}
    S, V = len(made.states), len(made.vectors)

    def outputs(*t):
        t = [*t, None] if values[-1] is None else list(t)
        weights = ts.Weights(*t[1 + S:5 + S], vectors=tuple(t[5 + S:5 + S + V]), hr=t[-1],
                             given=masks(made, 3))
        y, finals = ts.unroll(made, t[0], tuple(t[1:1 + S]), weights)
        return y, *finals

    from tinyseq.gradcheck import check
    report = check(outputs, inputs)
    assert report.ok, str(report)
    seen = {row.gate for row in report.rows}
    assert {line.name for line in made.lines if line.named} <= seen | set(made.returns)


def sigmoid(v):
    return 1 / (1 + np.exp(-v))


def normed(v, gain, shift):
    centred = v - v.mean(-1, keepdims=True)
    return centred / np.sqrt(v.var(-1, keepdims=True) + 1e-5) * gain + shift


def by_hand(values: list, m: dict, norm: bool, peephole: bool) -> list:
    """An LSTM with what m says of masks, in plain numpy; gate rows i f g o."""
    x, h, c, ih, hh, bx, bh, *rest = values
    vectors, H, outputs = rest[:-1], c.shape[1], []
    p = [vectors.pop(0) for _ in range(3)] if peephole else [0, 0, 0]
    if norm:
        parts = [np.concatenate(vectors[4 * k:4 * k + 4]) for k in range(4)]
        gain_c, shift_c = vectors[16:]
    for t in range(len(x)):
        zx = x[t] @ ih.T + bx
        zh = (h * m["m_h"][t] if "m_h" in m else h) @ hh.T + bh
        if norm:
            zx, zh = normed(zx, parts[0], parts[1]), normed(zh, parts[2], parts[3])
        i, f, g, o = [(zx + zh)[:, k * H:(k + 1) * H] for k in range(4)]
        i, f, g = sigmoid(i + p[0] * c), sigmoid(f + p[1] * c), np.tanh(g)
        fresh = f * c + i * g
        o = sigmoid(o + p[2] * fresh)
        new = o * np.tanh(normed(fresh, gain_c, shift_c) if norm else fresh)
        h = m["z_h"][t] * h + (1 - m["z_h"][t]) * new if "z_h" in m else new
        c = m["z_c"][t] * c + (1 - m["z_c"][t]) * fresh if "z_c" in m else fresh
        outputs.append(h)
    return [np.stack(outputs), h, c]


@pytest.mark.parametrize("make, norm", ((variants.zoneout, False), (variants.layer_normed, True),
                                        (variants.recurrent_dropout, False), (everything, True)))
@pytest.mark.parametrize("start", (lstm, lstm_peephole), ids=lambda c: c.name)
def test_against_numpy_written_from_the_papers(start, make, norm):
    made = make(start)
    values, cotangents = case(made, 4, True)
    given = masks(made, 4)
    found = run(made, values, cotangents, given, "gates")
    m = {name: t.array for name, t in zip(made.given, given)}
    for a, b in zip(by_hand(values, m, norm, start is lstm_peephole), found):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def test_gates_are_kept_whole():
    for made in map(everything, (CELLS["gru"], CELLS["rnn_relu"])):
        assert made.gates and set(made.given) == {"m_h", "z_h"} and "Ba et al." in made.source
    assert everything(lstm) is everything(lstm)  # made once, so that its kernels are too


def test_what_is_given_is_checked_and_not_differentiated():
    made = variants.zoneout(rnn_tanh)
    values, cotangents = case(made, 4, True)
    with pytest.raises(ShapeError, match="expected 1 given constants .z_h., got 0"):
        run(made, values, cotangents, (), "layers")
    with pytest.raises(ShapeError, match=r"'z_h' is given for every step.*\(4, 3, 5\)"):
        run(made, values, cotangents, (ts.ones(4, 5),), "layers")
    with pytest.raises(CellError, match="only cells that read it in products"):
        variants.projected(CELLS["gru"])
    with pytest.raises(CellError, match="proj_size=0"):
        variants.zoneout(variants.projected(lstm))


@cell(gates="u", given="m")
def masked(x, h):
    """A user's own constant, and the mean over the units."""
    u = tanh(x.u + h.u)
    centre = mean(u)  # noqa: F821
    h_next = m * (u - centre)  # noqa: F821
    return h_next


@pytest.mark.parametrize("detail", ("gates", "steps", "layers"))
def test_given_and_mean_in_a_users_cell(detail):
    values, cotangents = case(masked, 3, True)
    given = masks(masked, 3)
    x, h, ih, hh, bx, bh, _ = values
    for t in range(3):
        u = np.tanh(x[t] @ ih.T + bx + h @ hh.T + bh)
        h = given[0].array[t] * (u - u.mean(1, keepdims=True))
    np.testing.assert_allclose(run(masked, values, cotangents, given, detail)[1], h, rtol=1e-12)
