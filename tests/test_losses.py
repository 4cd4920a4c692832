"""Losses and layer_norm against torch: values, gradients of input and target, and the refusals."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn
from tinyseq.errors import ShapeError

F = nn.functional
INF = float("inf")
rng = np.random.default_rng(0)
REAL, OTHER = rng.normal(size=(4, 3)) * 2, rng.normal(size=(4, 3)) * 2
CHANCE, SHARE = rng.uniform(0.05, 0.95, (4, 3)), rng.uniform(0.05, 0.95, (4, 3))
WEIGHT = rng.uniform(0.5, 2, 3)
REDUCTIONS = ("mean", "sum", "none")


def both(name: str, *arrays: np.ndarray, constant: dict | None = None, **options: Any) -> None:
    """Compare a loss and the gradients of all floating point operands with torch's."""
    torch = pytest.importorskip("torch")
    found: list[list[np.ndarray]] = []
    for m in (ts, torch):
        leaves = [m.tensor(a) for a in arrays]
        for leaf, a in zip(leaves, arrays):
            leaf.requires_grad_(a.dtype.kind == "f")
        fixed = {key: m.tensor(a) for key, a in (constant or {}).items()}
        y = getattr(m.nn.functional, name)(*leaves, **options, **fixed)
        scale = m.tensor(np.linspace(1, 2, y.numel() if m is torch else y.array.size))
        (y.reshape(-1) * scale).sum().backward()
        found.append([y.detach().numpy(), *[t.grad.numpy() for t in leaves if t.requires_grad]])
    assert len(found[0]) > 1
    for ours, theirs in zip(*found):
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name,options", [
    ("l1_loss", {}), ("mse_loss", {}), ("smooth_l1_loss", {}), ("smooth_l1_loss", {"beta": 0.25}),
    ("smooth_l1_loss", {"beta": 0.0}), ("huber_loss", {}), ("huber_loss", {"delta": 2.5}),
    ("kl_div", {"log_target": True}), ("binary_cross_entropy_with_logits", {})])
def test_losses_of_numbers(name, options, reduction):
    both(name, REAL, OTHER, reduction=reduction, **options)
    equal = np.array([0.0, 1.0, -2.5, 0.25])  # at and beside the corners
    if name != "kl_div":
        both(name, equal, np.zeros(4), reduction=reduction, **options)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_losses_of_probabilities(reduction):
    both("binary_cross_entropy", CHANCE, SHARE, reduction=reduction)
    both("binary_cross_entropy", CHANCE, SHARE, constant={"weight": WEIGHT}, reduction=reduction)
    both("binary_cross_entropy_with_logits", REAL, SHARE, reduction=reduction,
         constant={"weight": WEIGHT, "pos_weight": WEIGHT[::-1].copy()})
    both("kl_div", np.log(CHANCE), SHARE, reduction=reduction)
    both("kl_div", np.log(CHANCE), SHARE, reduction="batchmean")


# The modules: how ts.nn and torch.nn make them, and what they are called with.
MODULES: dict[str, tuple[Any, tuple]] = {
    "l1": (lambda m, r: m.nn.L1Loss(reduction=r), (REAL, OTHER)),
    "smooth": (lambda m, r: m.nn.SmoothL1Loss(reduction=r, beta=0.25), (REAL, OTHER)),
    "huber": (lambda m, r: m.nn.HuberLoss(r, 2.5), (REAL, OTHER)),
    "bce": (lambda m, r: m.nn.BCELoss(m.tensor(WEIGHT), reduction=r), (CHANCE, SHARE)),
    "logits": (lambda m, r: m.nn.BCEWithLogitsLoss(
        m.tensor(WEIGHT), reduction=r, pos_weight=m.tensor(WEIGHT[::-1].copy())), (REAL, SHARE)),
    "kl": (lambda m, r: m.nn.KLDivLoss(reduction=r), (np.log(CHANCE), SHARE)),
    "kl log": (lambda m, r: m.nn.KLDivLoss(reduction=r, log_target=True), (REAL, OTHER)),
    "nll": (lambda m, r: m.nn.NLLLoss(m.tensor(WEIGHT), reduction=r, ignore_index=1),
            (REAL, np.array([0, 1, 2, 0]))),
    "ce": (lambda m, r: m.nn.CrossEntropyLoss(m.tensor(WEIGHT), reduction=r, ignore_index=1,
                                              label_smoothing=0.1),
           (REAL, np.array([0, 1, 2, 0]))),
    "ce chances": (lambda m, r: m.nn.CrossEntropyLoss(reduction=r), (REAL, SHARE))}


@pytest.mark.parametrize("reduction", (*REDUCTIONS, "batchmean"))
@pytest.mark.parametrize("name", MODULES)
@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides:UserWarning")
def test_modules_are_torchs(name, reduction):
    torch = pytest.importorskip("torch")
    make, arrays = MODULES[name]
    if reduction == "batchmean" and "kl" not in name:
        with pytest.raises(ValueError, match="reduction must be 'mean', 'sum' or 'none'"):
            make(ts, reduction)
        return
    found = []
    for m in (ts, torch):
        loss, leaves = make(m, reduction), [m.tensor(a) for a in arrays]
        leaves[0].requires_grad_()
        loss(*leaves).sum().backward()
        found.append([loss(*leaves).detach().numpy(), leaves[0].grad.numpy()])
        found[-1] += [np.array(list(loss.state_dict())), np.array(repr(loss))]
    for ours, theirs in zip(found[0][:2], found[1][:2]):
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-13)
    assert found[0][2].tolist() == found[1][2].tolist() and found[0][3] == found[1][3]


def test_weights_of_losses_are_buffers():
    loss = nn.BCEWithLogitsLoss(pos_weight=ts.tensor([2.0]))
    assert list(loss.state_dict()) == ["pos_weight"] and loss.weight is None
    assert loss.double().pos_weight.dtype == np.float64 and not list(loss.parameters())
    other = nn.BCEWithLogitsLoss(pos_weight=ts.tensor([5.0], dtype=ts.float64))
    other.load_state_dict(loss.state_dict())
    assert other.pos_weight.tolist() == [2.0]


CLASSES = {"one": ((5,), ()), "rows": ((4, 5), (4,)), "grid": ((2, 5, 3, 2), (2, 3, 2))}


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("shape", CLASSES)
def test_cross_entropy(shape, smoothing, reduction):
    logits, at = rng.normal(size=CLASSES[shape][0]), CLASSES[shape][1]
    labels = np.asarray(rng.integers(0, 5, at))
    some = labels.copy()
    some.flat[0:-1] = -100 if labels.size > 1 else some.flat[0:-1]
    weight = {"weight": rng.uniform(0.5, 2, 5)}
    for target in (labels, some):
        for constant in ({}, weight):
            both("cross_entropy", logits, target, constant=constant, reduction=reduction,
                 label_smoothing=smoothing)
    both("cross_entropy", logits, np.where(labels == 1, 3, labels), ignore_index=3,
         reduction="sum", label_smoothing=smoothing)
    chances = np.exp(rng.normal(size=logits.shape))
    for constant in ({}, weight):
        both("cross_entropy", logits, chances, constant=constant, reduction=reduction,
             label_smoothing=smoothing)
    if not smoothing:
        both("nll_loss", logits, some, constant=weight, reduction=reduction)


@pytest.mark.filterwarnings("error")
def test_what_is_certain_or_impossible():
    p = ts.tensor([1.0, 0.0, 1.0], requires_grad=True)
    each = F.binary_cross_entropy(p, ts.tensor([0.0, 1.0, 1.0]), reduction="none")
    each.sum().backward()
    assert each.tolist() == [100, 100, 0] and np.isfinite(p.grad.numpy()).all()
    x = ts.tensor([1e4, -1e4, 1e4], requires_grad=True)
    each = F.binary_cross_entropy_with_logits(x, ts.tensor([0.0, 1.0, 1.0]), reduction="none")
    each.sum().backward()
    assert each.tolist() == [10000, 10000, 0] and x.grad.tolist() == [1, -1, 0]
    logits = ts.tensor([[0.0, -INF, 0.0]], requires_grad=True)
    loss = F.cross_entropy(logits, ts.tensor([0]))
    loss.backward()
    assert loss.item() == np.log(np.float32(2)) and logits.grad.tolist() == [[-0.5, 0, 0.5]]
    zero = ts.tensor([[0.0, 1.0]], requires_grad=True)
    F.kl_div(ts.tensor([[-1.0, -2.0]]), zero, "sum").backward()
    assert np.isfinite(zero.grad.numpy()).all()


X, Y = ts.ones(4, 3), ts.tensor([0, 1, 2, 0])
HALF = ts.full((4, 3), 0.5)
SAME_SHAPE = ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy",
              "binary_cross_entropy_with_logits", "kl_div")
REFUSED: list[tuple[Any, Any, str]] = [
    *[(lambda n=n: getattr(F, n)(ts.ones(4, 1), ts.ones(4)), ShapeError, rf"{n}.*\(4, 1\).*\(4,\)")
      for n in SAME_SHAPE],
    *[(lambda n=n: getattr(F, n)(ts.ones(0, 3), ts.ones(0, 3)), ValueError, f"{n}.*mean.*empty")
      for n in SAME_SHAPE],
    *[(lambda n=n: getattr(F, n)(HALF, HALF, reduction="avg"), ValueError, "reduction.*'avg'")
      for n in SAME_SHAPE],
    (lambda: F.cross_entropy(X, ts.tensor([0, 5, 0, 0])), IndexError, r"Target 5.*3 .*\(1,\)"),
    (lambda: F.cross_entropy(X, ts.tensor([0, 0, 0, -1])), IndexError, r"Target -1.*\(3,\)"),
    (lambda: F.cross_entropy(X, ts.ones(4)), TypeError, r"float32.*\(4,\)"),
    (lambda: F.cross_entropy(X, ts.tensor([0, 1])), ShapeError, r"\(4, 3\).*\(4,\).*\(2,\)"),
    (lambda: F.cross_entropy(ts.tensor([[1, 2]]), ts.tensor([0])), TypeError, "int64"),
    (lambda: F.cross_entropy(X, Y, reduction="avg"), ValueError, "reduction.*'avg'"),
    (lambda: F.cross_entropy(X, Y, ts.ones(2)), ShapeError, r"weight.*\(2,\).*3 classes"),
    (lambda: F.cross_entropy(X, Y, label_smoothing=1.5), ValueError, "label_smoothing"),
    (lambda: F.cross_entropy(X, Y * 0 - 100), ValueError, "every target is ignored.*sum"),
    (lambda: F.cross_entropy(X, Y * 0 - 100, label_smoothing=0.1), ValueError, "ignored"),
    (lambda: F.cross_entropy(X, Y, ts.zeros(3)), ValueError, "weights of all targets are 0"),
    (lambda: F.cross_entropy(ts.ones(0, 3), Y[:0]), ValueError, "sum"),
    (lambda: F.cross_entropy(ts.ones(0, 3), ts.ones(0, 3)), ValueError, "sum"),
    (lambda: F.nll_loss(X, Y * 0 - 100), ValueError, "every target is ignored"),
    (lambda: F.binary_cross_entropy(ts.tensor([1.2]), ts.ones(1)), ValueError, r"\[0, 1\].*1.2"),
    (lambda: F.binary_cross_entropy(ts.tensor([float("nan")]), ts.ones(1)), ValueError, "nan"),
    (lambda: F.smooth_l1_loss(X, X, beta=-1), ValueError, "beta"),
    (lambda: F.huber_loss(X, X, delta=0), ValueError, "delta"),
    (lambda: F.kl_div(ts.tensor(0.0), ts.tensor(0.0), "batchmean"), ValueError, "batch"),
    *[(lambda n=n: getattr(F, n)(X, X, weight=ts.ones(3)), ShapeError, rf"{n}: weight.*\(4, 3\)")
      for n in ("mse_loss", "l1_loss", "huber_loss")],
    (lambda: F.embedding(Y, X, padding_idx=4), IndexError, "padding_idx 4 .* 4 rows"),
    (lambda: F.layer_norm(X, (4,)), ShapeError, r"\(4,\).*\(4, 3\)"),
    (lambda: F.layer_norm(X, 3, ts.ones(2)), ShapeError, r"weight.*\(2,\)")]


@pytest.mark.parametrize("call,error,text", REFUSED, ids=[f"{k}" for k in range(len(REFUSED))])
def test_refusals(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_the_sum_of_nothing_is_nothing():
    assert F.cross_entropy(X, Y * 0 - 100, reduction="sum").item() == 0
    assert F.cross_entropy(ts.ones(0, 3), Y[:0], reduction="sum").item() == 0
    for name in SAME_SHAPE:
        assert getattr(F, name)(ts.ones(0, 3), ts.ones(0, 3), reduction="sum").item() == 0


@pytest.mark.parametrize("shape,sizes", [((4, 3), (3,)), ((2, 4, 3), (4, 3)), ((5,), (5,))])
@pytest.mark.parametrize("given", ["", "weight", "weight bias"])
def test_layer_norm(shape, sizes, given):
    torch = pytest.importorskip("torch")
    values = [rng.normal(size=shape), *[rng.normal(size=sizes) for _ in given.split()]]
    found = []
    for m in (ts, torch):
        leaves = [m.tensor(v, requires_grad=True) for v in values]
        y = m.nn.functional.layer_norm(leaves[0], sizes, *leaves[1:])
        (y * y * y).sum().backward()
        found.append([y.detach().numpy(), *[t.grad.numpy() for t in leaves]])
    for ours, theirs in zip(*found):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


def test_functional_offers_what_it_lists():
    assert all(callable(getattr(F, name)) for name in F.__all__) and len(set(F.__all__)) > 25
