"""Every optimizer and schedule against live torch, and resumed runs against whole ones."""
from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn, optim
from tinyseq.optim import lr_scheduler
from tinyseq.optim.optimizer import flatten, unflatten

_path = Path(__file__).resolve().parent.parent / "tools/make_golden_optim.py"
_spec = importlib.util.spec_from_file_location("make_golden_optim", _path)
assert _spec is not None and _spec.loader is not None
tool = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tool)
OPTIMIZERS, SCHEDULES, gradient = tool.OPTIMIZERS, tool.SCHEDULES, tool.gradient
PLATEAUS = [{"patience": 1}, {"mode": "max", "factor": 0.5, "patience": 0, "cooldown": 2},
            {"threshold_mode": "abs", "threshold": 0.2, "patience": 2, "min_lr": 0.05},
            {"mode": "max", "threshold_mode": "abs", "threshold": 0.3, "patience": 1}]
METRICS = [3.0, 2.0, 2.5, 2.0, 2.1, 1.9, 1.89, 1.88, 1.2, 1.3, 1.4, 1.5, 1.5, 1.6, 0.2, 0.3]


def made(name="SGD", options=None):
    p = nn.Parameter(np.linspace(-1, 1, 6).reshape(2, 3), dtype=np.float64)
    default = {"lr": 0.1, "momentum": 0.9} if name == "SGD" else {}
    return p, getattr(optim, name)([p], **(default if options is None else options))


def walk(p, optimizer, steps):
    for step in steps:
        p.grad = gradient(p.shape, step)
        optimizer.step()


@pytest.mark.needs_torch
@pytest.mark.parametrize("name, options", OPTIMIZERS)
def test_twenty_steps_are_torchs(name, options):
    import torch
    p, optimizer = made(name, options)
    q = torch.nn.Parameter(torch.tensor(p.array))
    theirs = getattr(torch.optim, name)([q], **options)
    for step in range(20):
        walk(p, optimizer, [step])
        q.grad = torch.tensor(gradient(p.shape, step))
        theirs.step()
        np.testing.assert_allclose(p.array, q.detach().numpy(), rtol=0, atol=1e-12)


@pytest.mark.needs_torch
@pytest.mark.parametrize("name, options", [*OPTIMIZERS, ("SGD", {"lr": 0.1})])
def test_a_run_that_torch_began_goes_on(name, options):
    import torch
    p, q = made(name, options)[0], torch.nn.Parameter(torch.linspace(-1, 1, 6).double().view(2, 3))
    theirs = getattr(torch.optim, name)([q], **options)
    for step in range(10):
        q.grad = torch.tensor(gradient(p.shape, step))
        theirs.step()
        if step == 4:
            p = nn.Parameter(q.detach().numpy().copy(), dtype=np.float64)
            ours = getattr(optim, name)([p], lr=0.7)
            ours.load_state_dict(theirs.state_dict())
    walk(p, ours, range(5, 10))
    np.testing.assert_allclose(p.array, q.detach().numpy(), rtol=0, atol=1e-12)


@pytest.mark.needs_torch
@pytest.mark.parametrize("name, options", SCHEDULES)
@pytest.mark.parametrize("kind", ["SGD", "Adam"])
def test_a_schedules_rates_are_torchs(name, options, kind):
    import torch
    _, optimizer = made(kind)
    rest = {"lr": 0.1, "momentum": 0.9} if kind == "SGD" else {}
    theirs = getattr(torch.optim, kind)([torch.nn.Parameter(torch.zeros(1))], **rest)
    a = getattr(lr_scheduler, name)(optimizer, **options)
    b = getattr(torch.optim.lr_scheduler, name)(theirs, **options)
    for _ in range(20):
        assert a.get_last_lr() == pytest.approx(b.get_last_lr(), rel=1e-12, abs=1e-15)
        for key in ("momentum", "betas"):
            if key in rest or kind == "Adam" and key == "betas":
                assert optimizer.param_groups[0][key] == pytest.approx(
                    theirs.param_groups[0][key], rel=1e-12)
        optimizer.step()
        theirs.step()
        a.step()
        b.step()


@pytest.mark.needs_torch
@pytest.mark.parametrize("options", PLATEAUS)
def test_a_plateaus_rates_are_torchs(options):
    import torch
    _, optimizer = made()
    theirs = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    a = lr_scheduler.ReduceLROnPlateau(optimizer, **options)
    b = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **options)
    seen = set()
    for metric in METRICS:
        a.step(metric)
        b.step(metric)
        assert a.get_last_lr() == pytest.approx(b.get_last_lr(), rel=1e-12)
        seen.add(a.get_last_lr()[0])
    assert len(seen) > 1


@pytest.mark.parametrize("name, options", OPTIMIZERS)
def test_ten_saved_ten_more_are_twenty(name, options):
    p, whole = made(name, options)
    walk(p, whole, range(20))
    q, first = made(name, options)
    walk(q, first, range(10))
    stored = flatten(first.state_dict())
    assert all(isinstance(v, np.ndarray) and v.dtype.kind in "fib" for v in stored.values())
    r = nn.Parameter(q.array)
    again = getattr(optim, name)([r], lr=0.7)
    again.load_state_dict(unflatten(stored))
    walk(r, again, range(10, 20))
    assert r.array.tobytes() == p.array.tobytes()


@pytest.mark.parametrize("name, options", SCHEDULES)
def test_a_resumed_schedule_goes_on(name, options):
    _, optimizer = made()
    whole = getattr(lr_scheduler, name)(optimizer, **options)
    for _ in range(5):
        whole.step()
    _, other = made()
    again = getattr(lr_scheduler, name)(other, **options)
    again.load_state_dict(whole.state_dict())
    for _ in range(10):
        assert again.get_last_lr() == whole.get_last_lr() == [other.param_groups[0]["lr"]]
        assert other.param_groups[0]["momentum"] == optimizer.param_groups[0]["momentum"]
        whole.step()
        again.step()


@pytest.mark.parametrize("name", ["Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta"])
def test_zero_gradients_and_no_eps_make_no_nan(name):
    p, optimizer = made(name, {"eps": 0.0, "weight_decay": 0.0})
    before = p.tolist()
    for _ in range(3):
        p.grad = np.zeros(p.shape)
        optimizer.step()
    assert p.tolist() == before


@pytest.mark.parametrize("call, error, text", [
    *[(lambda o, name=name, given=given: getattr(lr_scheduler, name)(3, *given), TypeError,
       f"{name} expects an optimizer, got int")
      for name, given in (("StepLR", (1,)), ("LambdaLR", (abs,)), ("OneCycleLR", (1.0, 5)),
                          ("ReduceLROnPlateau", ()))],
    (lambda o: lr_scheduler.LambdaLR(o, 3), TypeError, "lr_lambda must be a function.*got 3"),
    (lambda o: lr_scheduler.StepLR(o, 0), ValueError, "Invalid step_size: 0"),
    (lambda o: lr_scheduler.ExponentialLR(o, float("nan")), ValueError, "Invalid gamma: nan"),
    (lambda o: lr_scheduler.LinearLR(o, start_factor=0), ValueError, "Invalid start_factor: 0"),
    (lambda o: lr_scheduler.LambdaLR(o, [abs, abs]), ValueError, "Expected 1 lr_lambdas"),
    (lambda o: lr_scheduler.OneCycleLR(o, 1.0), ValueError, "needs total_steps"),
    (lambda o: lr_scheduler.ReduceLROnPlateau(o, factor=1.0), ValueError, "Invalid factor"),
    (lambda o: lr_scheduler.StepLR(o, 1, last_epoch=3), KeyError, "initial_lr"),
    (lambda o: unflatten({"w": np.ones(1)}), ValueError, "'w' is no entry"),
    (lambda o: optim.RMSprop([nn.Parameter([1.0])], centered=1), TypeError, "Invalid centered"),
    (lambda o: optim.Adadelta([nn.Parameter([1.0])], rho=1.5), ValueError, "Invalid rho value")])
def test_refusals_change_nothing(call, error, text):
    _, optimizer = made()
    before = repr(optimizer.state_dict())
    with pytest.raises(error, match=text):
        call(optimizer)
    assert repr(optimizer.state_dict()) == before


def test_a_cycle_ends():
    schedule = lr_scheduler.OneCycleLR(made()[1], 1.0, total_steps=2)
    schedule.step()
    with pytest.raises(ValueError, match="Tried to step 3 times"):
        schedule.step()
    assert schedule.last_epoch == 1 and ts.is_grad_enabled()


def test_twenty_steps_are_the_committed_ones():
    with np.load(tool.GOLDEN) as file:
        golden = {name: file[name] for name in file.files if name != "torch"}
    found = tool.run(optim, lambda a: nn.Parameter(a, dtype=np.float64), ts.tensor)
    assert found.keys() == golden.keys() and len(golden) == len(OPTIMIZERS) + len(SCHEDULES)
    for name, values in found.items():
        np.testing.assert_allclose(values, golden[name], rtol=0, atol=1e-12, err_msg=name)


CHAINED = {"StepLR": {"step_size": 3, "gamma": 0.5}, "ExponentialLR": {"gamma": 0.9},
           "MultiStepLR": {"milestones": [2, 5], "gamma": 0.3},
           "LinearLR": {"start_factor": 0.25, "end_factor": 0.75, "total_iters": 4},
           "CosineAnnealingLR": {"T_max": 12, "eta_min": 0.01},
           "LambdaLR": {"lr_lambda": lambda epoch: 0.8 ** epoch}}


def chained_rates(m, names, p, by_hand):
    """Twelve steps of several schedules of one optimizer; the user changes its lr at one."""
    optimizer = m.optim.SGD([{"params": [p[0]]}, {"params": [p[1]], "lr": 0.03}], lr=0.1)
    schedules = [getattr(m.optim.lr_scheduler, name)(optimizer, **CHAINED[name]) for name in names]
    found = []
    for step in range(12):
        found.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        if by_hand and step == 4:
            optimizer.param_groups[0]["lr"] *= 0.4
        for schedule in schedules:
            schedule.step()
    return found


@pytest.mark.needs_torch
@pytest.mark.parametrize("by_hand", [False, True])
@pytest.mark.parametrize("second", CHAINED)
@pytest.mark.parametrize("first", CHAINED)
def test_schedules_of_one_optimizer_combine_as_torchs(first, second, by_hand):
    import torch
    names = [first] if first == second else [first, second]
    ours, theirs = [chained_rates(m, names, [m.nn.Parameter(m.zeros(1)) for _ in "ab"], by_hand)
                    for m in (ts, torch)]
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def test_schedules_multiply_and_a_rate_set_by_hand_is_gone_on_from():
    p = [nn.Parameter([1.0]), nn.Parameter([1.0])]
    both = np.array(chained_rates(ts, ["LinearLR", "ExponentialLR"], p, False))
    alone = [np.array(chained_rates(ts, [name], p, False)) for name in ("LinearLR",
                                                                        "ExponentialLR")]
    np.testing.assert_allclose(both, alone[0] * alone[1] / [0.1, 0.03], rtol=1e-12)
    changed = np.array(chained_rates(ts, ["ExponentialLR"], p, True))
    assert changed[5:, 0] == pytest.approx(alone[1][5:, 0] * 0.4)
    assert changed[:, 1].tolist() == alone[1][:, 1].tolist()
