"""torch's oldest names: makers of one dtype, `new` and `Variable`, as torch has them."""
from __future__ import annotations

import numpy as np
import pytest

import tinyseq as ts

CALLS = {
    "values": lambda m: m.LongTensor([[1, 2]]), "cut": lambda m: m.LongTensor([1.5, 2.0]),
    "array": lambda m: m.FloatTensor(np.ones(2)), "tuple": lambda m: m.DoubleTensor((1, 2)),
    "bool": lambda m: m.BoolTensor([1, 0]), "int": lambda m: m.IntTensor([1]),
    "byte": lambda m: m.ByteTensor([1]), "none": lambda m: m.FloatTensor(),
    "sizes": lambda m: m.FloatTensor(2, 3).zero_(), "one size": lambda m: m.LongTensor(3).zero_(),
    "new": lambda m: m.ones(1, dtype=m.float64).new([1, 2]),
    "new sizes": lambda m: m.ones(1).long().new(2, 3).zero_(),
    "new none": lambda m: m.ones(1).new(),
    "Variable": lambda m: m.autograd.Variable(m.ones(2, requires_grad=True) * 2)}


@pytest.mark.parametrize("name", CALLS)
def test_they_give_what_torch_gives(name):
    torch = pytest.importorskip("torch")
    ours, theirs = CALLS[name](ts), CALLS[name](torch)
    assert ours.tolist() == theirs.tolist() and tuple(ours.shape) == tuple(theirs.shape)
    assert f"torch.{ours.dtype}" == str(theirs.dtype)
    assert ours.requires_grad == theirs.requires_grad


def test_a_variable_shares_and_has_no_history():
    t = ts.zeros(2)
    v = ts.autograd.Variable(t, requires_grad=True)
    with ts.no_grad():
        v[0] = 5.0
    assert t.tolist() == [5.0, 0.0] and v.requires_grad and not t.requires_grad
    assert t.version is v.version and v.is_leaf


@pytest.mark.parametrize("call, text", [
    (lambda: ts.FloatTensor(2.5), "FloatTensor: data must be a sequence, got float"),
    (lambda: ts.FloatTensor(2, 3.5), "sizes must be ints"),
    (lambda: ts.ones(1).new("ab"), "new|str"),
    (lambda: ts.autograd.Variable([1.0]), "has to be a tensor, but got list")])
def test_refusals(call, text):
    with pytest.raises(TypeError, match=text):
        call()
