"""Optimizers and clipping: torch's numbers, no step on bad gradients, state that travels."""
from __future__ import annotations

import copy
import math
import tracemalloc
import warnings

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import kernels, nn, optim
from tinyseq.errors import GraphError, NonFiniteError
from tinyseq.nn.utils import clip_grad_norm_
from tinyseq.optim import SGD, Adam

WAYS = [(SGD, {}), (SGD, {"lr": 0.1, "momentum": 0.9}),
        (SGD, {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01}),
        (SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}), (Adam, {}),
        (Adam, {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.1})]

# The parameter after the three steps below, made by torch 2.13.0 in float64.
GOLDEN = [[0.494, -0.247, 2.0],
          [-0.45099999999999996, 0.22549999999999998, 2.0],
          [-0.249004474245, 0.1245022371225, 1.9905262990200001],
          [-0.9780036195000001, 0.48900180975000007, 1.841787882],
          [0.4970768167706168, -0.24707681679115368, 2.0],
          [0.20388248724526975, 0.04620070017810185, 1.7009421513423864]]


def parameters(dtype=np.float64):
    rng = np.random.default_rng(1)
    return [nn.Parameter(rng.normal(size=s).astype(dtype)) for s in ((3, 4), (5,), ())]


def set_gradients(params, seed):
    rng = np.random.default_rng(seed)
    for p in params:
        p.grad = np.asarray(rng.normal(size=p.shape), p.dtype)


def frozen(params, optimizer):
    return copy.deepcopy([p.tolist() for p in params]), repr(optimizer.state_dict())


# -- the numbers are torch's -------------------------------------------------------------
@pytest.mark.parametrize("k", range(len(WAYS)))
def test_three_steps_are_torchs(k):
    kind, options = WAYS[k]
    p = nn.Parameter([0.5, -0.25, 2.0], dtype=np.float64)
    optimizer = kind([p], **options)
    for step in range(3):
        p.grad = np.array([1.0, -0.5, 0.0]) * (step + 1)
        optimizer.step()
    np.testing.assert_allclose(p.array, GOLDEN[k], rtol=1e-14)


@pytest.mark.needs_torch
@pytest.mark.parametrize("kind, options", WAYS)
def test_a_hundred_steps_are_live_torchs(kind, options):
    import torch
    ours = parameters()
    theirs = [torch.nn.Parameter(torch.tensor(p.array)) for p in ours]
    optimizers = kind(ours, **options), getattr(torch.optim, kind.__name__)(theirs, **options)
    for step in range(100):
        set_gradients(ours, step)
        for p, q in zip(ours, theirs):
            q.grad = torch.tensor(p.grad.array)
        for order in (2.0, math.inf, 1.0):
            norms = [float(clip(params, 3.0, norm_type=order)) for clip, params in (
                (clip_grad_norm_, ours), (torch.nn.utils.clip_grad_norm_, theirs))]
            assert math.isclose(*norms, rel_tol=1e-12)
        for optimizer in optimizers:
            optimizer.step()
    assert max(np.abs(p.array - q.detach().numpy()).max() for p, q in zip(ours, theirs)) < 1e-12


def test_groups_have_settings_of_their_own():
    a, b = nn.Parameter([1.0]), nn.Parameter([1.0])
    optimizer = SGD([{"params": [a], "lr": 0.5}, {"params": b}], lr=0.25)
    a.grad, b.grad = ts.ones(1), ts.ones(1)
    optimizer.step()
    assert (a.item(), b.item()) == (0.5, 0.75)
    optimizer.param_groups[1]["lr"] = 0.5
    optimizer.step()
    assert (a.item(), b.item()) == (0.0, 0.25)
    optimizer.zero_grad()
    assert a.grad is None and b.grad is None
    assert repr(optimizer).startswith("SGD(1 parameters, lr=0.5, momentum=0")


def test_a_closure_is_run_and_its_loss_returned():
    p = nn.Parameter([3.0])
    optimizer = SGD([p], lr=0.5)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss
    with ts.no_grad():
        assert optimizer.step(closure).item() == 9.0
    assert p.item() == 0.0


@pytest.mark.parametrize("kind", [SGD, Adam])
def test_no_gradient_no_change(kind):
    params = parameters()
    optimizer = kind(params, lr=0.1)
    before = frozen(params, optimizer)
    optimizer.step()
    assert frozen(params, optimizer) == before
    params[0].grad = np.ones((3, 4))
    optimizer.step()
    assert list(optimizer.state) == [params[0]] and params[1].tolist() == before[0][1]


@pytest.mark.skipif(not kernels.available(), reason="NUMBA_DISABLE_JIT is set: rules on arrays "
                    "make some on the way")
@pytest.mark.parametrize("kind, options", WAYS)
def test_steps_make_no_fresh_arrays(kind, options):
    p = nn.Parameter(np.ones((256, 256)))
    optimizer = kind([p], **options)
    p.grad = np.ones((256, 256))
    optimizer.step()
    tracemalloc.start()
    for _ in range(3):
        optimizer.step()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < p.array.nbytes / 8


# -- refusals ----------------------------------------------------------------------------
@pytest.mark.parametrize("kind", [SGD, Adam])
def test_parameters_that_cannot_be_optimized(kind):
    p = nn.Parameter([1.0])
    net = nn.Module()
    net.w = p
    for params, error, text in (
            ([], ValueError, "empty parameter list"), (iter([]), ValueError, "empty"),
            (p, TypeError, "Tensor|Parameter"), ({p}, TypeError, "set"),
            ([{"params": {p}}], TypeError, "set"), ([3], TypeError, "int"),
            ([p * 2.0], ValueError, "non-leaf.*mul"), ([p, p], ValueError, "w .*twice"),
            ([{"params": [p]}, {"params": [p]}], ValueError, "twice"), (None, TypeError, "None"),
            ([{"params": [p], "rate": 1}], ValueError, "rate"), ([{"lr": 1}], TypeError, "par")):
        with pytest.raises(error, match=text):
            kind(params)


@pytest.mark.parametrize("kind, name, values", [
    *[(kind, name, (-1, float("nan"), float("inf"), "0.1", True))
      for kind in (SGD, Adam) for name in ("lr", "weight_decay")],
    (SGD, "momentum", (-1, "x")), (Adam, "eps", (-1, float("nan"))),
    (Adam, "betas", ((1.0, 0.9), (0.9, 1.0), (-0.1, 0.9), (0.9,), 0.9, (0.9, float("nan"))))])
def test_settings_that_cannot_work(kind, name, values):
    for value in values:
        with pytest.raises(ValueError, match=name):
            kind(parameters(), **{name: value})
        with pytest.raises(ValueError, match=name):
            kind([{"params": parameters(), name: value}])


def test_nesterov_needs_momentum():
    for options in ({}, {"momentum": 0.9, "dampening": 0.1}):
        with pytest.raises(ValueError, match="Nesterov.*momentum"):
            SGD(parameters(), nesterov=True, **options)


@pytest.mark.parametrize("kind", [SGD, Adam])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_gradient_that_is_not_finite_changes_nothing(kind, bad):
    net = nn.Linear(3, 2)
    net.layer = nn.Linear(2, 2)
    optimizer = kind(net.parameters(), lr=0.1)
    set_gradients(net.parameters(), 0)
    optimizer.step()
    before = frozen(net.parameters(), optimizer)
    net.layer.bias.grad.array[1] = bad
    with pytest.raises(NonFiniteError, match=r"of layer\.bias \(2,\) are not finite"):
        optimizer.step()
    assert frozen(net.parameters(), optimizer) == before
    optimizer.allow_nonfinite = True
    optimizer.step()
    assert not np.isfinite(net.layer.bias.array).all()


def test_gradients_whose_squares_overflow_are_finite():
    p = nn.Parameter([1.0, 1.0])
    p.grad = np.array([1e30, 1.0], np.float32)
    assert float(clip_grad_norm_([p], 1.0)) == pytest.approx(1e30, rel=1e-6)
    assert p.grad.tolist() == pytest.approx([1.0, 1e-30])
    p.grad = np.array([1e30, 1.0], np.float32)
    SGD([p], lr=1e-30).step()
    assert p.tolist() == pytest.approx([0.0, 1.0])


def test_a_step_between_forward_and_backward_is_found():
    net = nn.Module()
    net.readout = nn.Linear(2, 1)
    x = ts.ones(1, 2, requires_grad=True)
    loss = net.readout(x).sum()
    set_gradients(net.parameters(), 0)
    SGD(net.parameters(), lr=0.1).step()
    with pytest.raises(GraphError, match=r"readout\.weight.*SGD\.step"):
        loss.backward()


# -- Adam's edges ------------------------------------------------------------------------
@pytest.mark.parametrize("options", [{}, {"lr": 0.0}, {"eps": 0.0}, {"eps": 1e-60}])
@pytest.mark.parametrize("steps", [0, 10 ** 7])
def test_adam_never_divides_zero_by_zero(options, steps):
    p = nn.Parameter([1.0, 2.0])
    optimizer = Adam([p], **options)
    state = optimizer.state_dict()
    if steps:
        state["state"] = {0: {"step": steps, "exp_avg": np.zeros(2), "exp_avg_sq": np.zeros(2)}}
    optimizer.load_state_dict(state)
    p.grad = np.zeros(2, np.float32)
    optimizer.step()
    assert p.tolist() == [1.0, 2.0] and optimizer.state[p]["step"] == steps + 1
    assert optimizer.state[p]["exp_avg"].dtype == np.float32


# -- state -------------------------------------------------------------------------------
@pytest.mark.parametrize("kind, options", WAYS)
def test_ten_steps_saved_and_ten_more_are_twenty(kind, options):
    whole, parts = parameters(), parameters()
    one, two = kind(whole, **options), kind(parts, **options)
    for step in range(20):
        set_gradients(whole, step)
        set_gradients(parts, step)
        one.step()
        two.step()
        if step == 9:
            saved = two.state_dict()
            two = kind(parts, lr=9.0)
            two.load_state_dict(saved)
            for state in saved["state"].values():  # copied by then: nothing happens
                state.update({k: v.fill_(7.0) for k, v in state.items() if k != "step"})
    assert all(a.array.tobytes() == b.array.tobytes() for a, b in zip(whole, parts))


def test_a_state_that_does_not_fit_is_refused_at_load():
    params = parameters()
    optimizer = Adam(params)
    set_gradients(params, 0)
    optimizer.step()
    before = frozen(params, optimizer)
    saved = optimizer.state_dict()
    saved["state"][1]["exp_avg"].array[...] = 7          # a copy: nothing happens
    assert frozen(params, optimizer) == before
    with pytest.raises(ValueError, match=r"\[2\].*\[3\]"):
        optimizer.load_state_dict(Adam(params[:2]).state_dict())
    saved["state"][1]["exp_avg"] = ts.zeros(4)
    with pytest.raises(ValueError, match=r"exp_avg.*parameter 1 \(5,\).*\(4,\)"):
        optimizer.load_state_dict(saved)
    saved = optimizer.state_dict()
    saved["param_groups"][0]["lr"] = -1
    with pytest.raises(ValueError, match="lr"):
        optimizer.load_state_dict(saved)
    assert frozen(params, optimizer) == before
    optimizer.load_state_dict(Adam(params).state_dict())
    assert not optimizer.state


@pytest.mark.parametrize("change, error, text", [
    (lambda s: None, TypeError, "expects the dict with 'state'.*Adam.*NoneType"),
    (lambda s: {"model": s}, TypeError, "a dict with 'model'"),
    (lambda s: SGD([nn.Parameter([1.0])]).state_dict(), ValueError, "no betas, eps.*not of Adam"),
    (lambda s: {**s, "state": {0: {"exp_avg": ts.ones(1)}}}, ValueError, "no step, exp_avg_sq")])
def test_what_no_optimizer_of_that_kind_gave_is_refused_at_load(change, error, text):
    p = nn.Parameter([1.0])
    optimizer = Adam([p])
    p.grad = ts.ones(1)
    optimizer.step()
    before = frozen([p], optimizer)
    with pytest.raises(error, match=text):
        optimizer.load_state_dict(change(optimizer.state_dict()))
    assert frozen([p], optimizer) == before


# -- clipping ----------------------------------------------------------------------------
def test_clipping_refuses_and_leaves_gradients_alone():
    p, q = nn.Parameter([1.0, 2.0]), nn.Parameter([3.0])
    p.grad, q.grad = np.array([np.nan, 1.0], np.float32), np.ones(1, np.float32)
    p.label = "encoder.w"
    with pytest.raises(NonFiniteError, match=r"non-finite.*encoder\.w"):
        clip_grad_norm_([p, q], 1.0)
    assert p.grad.tolist()[1] == 1.0 and q.grad.tolist() == [1.0]
    for wrong in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="max_norm"):
            clip_grad_norm_([p, q], wrong)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert math.isnan(clip_grad_norm_([p, q], 1.0, error_if_nonfinite=False))
        p.grad = np.array([np.inf, 1.0], np.float32)
        clip_grad_norm_([p], 1.0, error_if_nonfinite=False)
    assert math.isnan(p.grad.tolist()[0]) and p.grad.tolist()[1] == 0.0  # as in torch
    p.grad, q.grad = ts.zeros(2), None
    assert clip_grad_norm_([p, q], 1.0).item() == 0.0 and p.grad.tolist() == [0.0, 0.0]
    assert clip_grad_norm_([], 1.0).item() == 0.0


@pytest.mark.parametrize("kind", [SGD, Adam, optim.AdamW, optim.RMSprop, optim.Adagrad,
                                  optim.Adadelta])
def test_how_torch_would_compute_it_changes_nothing(kind):
    plain, ways = nn.Parameter([1.0, 2.0]), nn.Parameter([1.0, 2.0])
    for p, optimizer in ((plain, kind([plain], lr=0.1)),
                         (ways, kind([ways], lr=0.1, foreach=False, fused=None))):
        p.grad = ts.ones(2)
        optimizer.step()
    assert plain.tolist() == ways.tolist()
    for wrong in ("differentiable", "rate"):
        with pytest.raises(TypeError, match=f"{kind.__name__} has no argument '{wrong}'"):
            kind([plain], lr=0.1, **{wrong: True})


@pytest.mark.parametrize("kind", [SGD, Adam])
def test_a_rate_that_was_set_to_nonsense_is_found_before_anything_changes(kind):
    p = nn.Parameter([1.0])
    optimizer = kind([p], lr=0.1)
    for lr in (math.nan, -1.0, "0.1", None):
        p.grad = ts.ones(1)
        optimizer.param_groups[0]["lr"] = lr
        with pytest.raises(ValueError, match="learning rate lr"):
            optimizer.step()
        assert p.item() == 1.0 and not optimizer.state


def test_named_parameters_are_taken():
    net = nn.Linear(2, 1)
    optimizer = SGD(net.named_parameters(), lr=0.1)
    assert optimizer.param_groups[0]["params"] == list(net.parameters())


def test_clipping_takes_what_it_should():
    p = nn.Parameter([1.0, 2.0])
    p.grad = ts.tensor([3.0, -4.0])
    assert clip_grad_norm_(p, "2", norm_type="inf").item() == 4.0
    assert p.grad.tolist() == pytest.approx([1.5, -2.0])
    for call in (lambda w: clip_grad_norm_(w, 1.0), lambda w: nn.utils.clip_grad_value_(w, 1.0)):
        for wrong in (nn.Linear(1, 1), [np.ones(2)], None):
            with pytest.raises(TypeError, match=r"type model.parameters\(\)"):
                call(wrong)
        used_up = iter([])
        with pytest.warns(UserWarning, match="empty generator"):
            call(used_up)
    with pytest.raises(ValueError, match="max_norm > 0, got 'much'"):
        clip_grad_norm_([p], "much")


# -- one pass -----------------------------------------------------------------------------
@pytest.mark.skipif(not kernels.available(), reason="NUMBA_DISABLE_JIT is set")
@pytest.mark.parametrize("kind, options", [
    *WAYS, (optim.RMSprop, {}), (optim.RMSprop, {"centered": True, "momentum": 0.9}),
    (optim.Adagrad, {}), (optim.Adadelta, {})])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_compiled_pass_is_the_rule_on_arrays(kind, options, dtype):
    """Five steps both ways; a parameter that is no one stretch of memory takes the rule itself."""
    rng = np.random.default_rng(0)
    start, gs = rng.normal(size=(4, 3)), rng.normal(size=(5, 4, 3))
    gs[:, 0] = 0.0  # elements that never have a gradient
    found = []
    for way in ("compiled", "on arrays"):
        p = nn.Parameter(start, dtype=np.dtype(dtype))
        if way == "on arrays":
            p.array = np.asfortranarray(p.array)
        optimizer = kind([p], **options)
        for g in gs:
            p.grad = g.astype(dtype)
            optimizer.step()
        found.append(p.array.copy())
    assert not np.array_equal(found[0], start)
    np.testing.assert_allclose(*found, rtol=1e-13 if dtype == "float64" else 1e-5,
                               atol=0.0 if dtype == "float64" else 1e-7)
