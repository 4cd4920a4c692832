"""Initial values beside the uniform ones, clipping by value, and parameters as one vector."""
from __future__ import annotations

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn
from tinyseq.nn import init, utils


@pytest.mark.needs_torch
@pytest.mark.parametrize("name, options", [
    ("xavier_normal_", {"gain": 2.0}), ("kaiming_normal_", {"mode": "fan_out"}),
    ("kaiming_normal_", {"nonlinearity": "relu"}), ("eye_", {})])
def test_values_are_torchs(name, options):
    import torch
    ts.manual_seed(3)
    torch.manual_seed(3)
    ours = getattr(init, name)(ts.zeros(8, 6), **options)
    theirs = getattr(torch.nn.init, name)(torch.zeros(8, 6), **options)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6, atol=1e-7)


@pytest.mark.needs_torch
@pytest.mark.parametrize("name", ["uniform_", "normal_", "xavier_uniform_", "xavier_normal_",
                                  "kaiming_uniform_", "kaiming_normal_"])
def test_a_generator_of_ones_own_gives_torchs_values_and_leaves_the_shared_one_alone(name):
    import torch
    before = ts.get_rng_state().tolist()
    found = [getattr(m.nn.init, name)(m.zeros(8, 6), generator=m.Generator().manual_seed(4))
             for m in (ts, torch)]
    np.testing.assert_allclose(found[0].numpy(), found[1].numpy(), rtol=1e-6, atol=1e-7)
    assert ts.get_rng_state().tolist() == before


@pytest.mark.needs_torch
@pytest.mark.parametrize("given", [("linear",), ("sigmoid",), ("tanh",), ("relu",), ("selu",),
                                   ("conv1d",), ("leaky_relu",), ("leaky_relu", None),
                                   ("leaky_relu", 0.3)])
def test_gains_are_torchs(given):
    import torch
    assert init.calculate_gain(*given) == pytest.approx(torch.nn.init.calculate_gain(*given))


def test_clipping_by_value():
    p, q = nn.Parameter([1.0, 2.0, 3.0]), nn.Parameter([1.0])
    p.grad = ts.tensor([-5.0, 0.5, 5.0])
    utils.clip_grad_value_([p, q], 1.0)
    assert p.grad.tolist() == [-1.0, 0.5, 1.0] and q.grad is None


def test_a_vector_there_and_back():
    a, b = nn.Linear(3, 2), nn.Linear(3, 2)
    vector = utils.parameters_to_vector(a.parameters())
    utils.vector_to_parameters(vector, b.parameters())
    assert [p.tolist() for p in a.parameters()] == [p.tolist() for p in b.parameters()]
    (vector * vector).sum().backward()
    assert a.bias.grad.tolist() == (a.bias * 2.0).tolist()


@pytest.mark.parametrize("call, text", [
    (lambda p: init.eye_(ts.zeros(2)), "eye_ expects a tensor of 2 axes"),
    (lambda p: init.kaiming_normal_(ts.zeros(2, 2), mode="in"), "mode must be"),
    (lambda p: utils.clip_grad_value_([p], 0.0), "expects clip_value > 0, got 0.0"),
    (lambda p: utils.vector_to_parameters(ts.zeros(3), [p]), "vector of 1 elements")])
def test_refusals(call, text):
    p = nn.Parameter([1.0])
    with pytest.raises(ValueError, match=text):
        call(p)
    assert p.tolist() == [1.0]
