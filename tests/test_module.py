"""Modules: names, order, repr, state; Linear, Embedding and initial values equal torch's."""
from __future__ import annotations

import copy

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn
from tinyseq.errors import GraphError, ShapeError
from tinyseq.scope import state


class Net(nn.Module):
    """A model in a model, with a buffer."""

    def __init__(self, deep: bool = True) -> None:
        super().__init__()
        self.first = nn.Linear(3, 2)
        if deep:
            self.inner = Net(deep=False)
        self.register_buffer("seen", ts.zeros(2))
        self.gain = nn.Parameter([1.0, 1.0])

    def forward(self, x):
        y = self.first(x) * self.gain
        return y + self.inner(x) if "inner" in self._modules else y


def values(module):
    return {name: t.array.copy() for name, t in module.state_dict().items()}


def same(a, b):
    return list(a) == list(b) and all(x.tobytes() == b[k].tobytes() for k, x in a.items())


# -- names, order, repr ------------------------------------------------------------------
def test_names_come_in_the_order_of_registration():
    net = Net()
    assert [n for n, _ in net.named_parameters()] == [
        "gain", "first.weight", "first.bias", "inner.gain", "inner.first.weight",
        "inner.first.bias"]
    assert list(net.state_dict()) == [
        "gain", "seen", "first.weight", "first.bias", "inner.gain", "inner.seen",
        "inner.first.weight", "inner.first.bias"]
    assert [n for n, _ in net.named_modules()] == ["", "first", "inner", "inner.first"]
    assert [type(m).__name__ for m in net.children()] == ["Linear", "Net"]
    assert [n for n, _ in net.named_buffers()] == ["seen", "inner.seen"]
    assert [n for n, _ in net.named_parameters(recurse=False)] == ["gain"]


def test_repr_is_nested():
    assert repr(Net()) == """Net(
  (first): Linear(in_features=3, out_features=2, bias=True)
  (inner): Net(
    (first): Linear(in_features=3, out_features=2, bias=True)
  )
)"""
    assert repr(nn.Embedding(5, 3)) == "Embedding(5, 3)"
    assert repr(nn.Module()) == "Module()"


def test_labels_are_dotted_names_from_the_outermost_owner():
    net = Net()
    outer = nn.Module()
    assert net.inner.first.weight.label == "inner.first.weight"
    outer.net = net
    assert {p.label for p in outer.parameters()} == {n for n, _ in outer.named_parameters()}
    net.inner.late = nn.Linear(1, 1)
    assert net.inner.late.bias.label == "net.inner.late.bias"


def test_errors_of_the_engine_name_the_parameter():
    net = Net()
    loss = net(ts.ones(1, 3)).sum()
    with ts.no_grad():
        net.inner.gain.add_(1.0)
    with pytest.raises(GraphError, match=r"inner\.gain"):
        loss.backward()


def test_calling_enters_the_scope_of_the_name_and_leaves_it_whatever_happens():
    net = Net()
    scopes = {str(node.scope) for node in ts.graph(net(ts.ones(1, 3)))}
    assert scopes == {"", "first", "inner", "inner/first"}
    with pytest.raises(ShapeError):
        net(ts.ones(1, 7))
    assert str(state.scope) == ""


# -- assignment --------------------------------------------------------------------------
def test_a_plain_tensor_does_not_replace_a_parameter():
    net = Net()
    with pytest.raises(TypeError, match="cannot assign 'Tensor' as parameter 'gain'"):
        net.gain = ts.ones(2)
    with pytest.raises(TypeError, match="as child module 'first'"):
        net.first = 3
    with pytest.raises(TypeError, match="to buffer 'seen'"):
        net.seen = "x"
    net.gain = None
    assert net.gain is None and "gain" not in net.state_dict()
    net.gain = nn.Parameter([2.0, 2.0])
    assert net.state_dict()["gain"].tolist() == [2.0, 2.0]


@pytest.mark.parametrize("value", [3, ts.ones(1), nn.Parameter([1.0]), nn.Linear(1, 1)],
                         ids=["plain", "tensor", "parameter", "module"])
def test_assignment_before_init_says_so(value):
    class Early(nn.Module):
        def __init__(self):
            self.x = value
            super().__init__()
    with pytest.raises(AttributeError, match=r"'x' before Module.__init__.*super\(\).__init__"):
        Early()


def test_attributes_come_and_go():
    net = Net()
    with pytest.raises(AttributeError, match="'Net' object has no attribute 'second'"):
        net.second
    net.first = nn.Linear(3, 2, bias=False)
    del net.gain
    assert [n for n, _ in net.named_parameters()][:1] == ["first.weight"]
    net.gain = 5
    net.gain = nn.Parameter([1.0])
    assert "gain" in dict(net.named_parameters()) and "gain" not in net.__dict__
    with pytest.raises(ValueError, match="part of itself"):
        net.inner.first = net


@pytest.mark.parametrize("name, error", [("a.b", KeyError), ("", KeyError), (3, TypeError),
                                         ("forward", KeyError)])
def test_impossible_names_are_refused(name, error):
    with pytest.raises(error):
        nn.Module().register_parameter(name, nn.Parameter([1.0]))


def test_buffers_that_do_not_persist_are_not_saved():
    net = nn.Module()
    net.register_buffer("mask", ts.ones(2), persistent=False)
    net.mask = ts.zeros(2)
    assert net.state_dict() == {} and net.mask.tolist() == [0.0, 0.0]
    with pytest.raises(TypeError, match="cannot assign 'int' object to buffer 'n'"):
        net.register_buffer("n", 3)


# -- state -------------------------------------------------------------------------------
def test_state_dict_is_a_copy_and_loading_copies():
    net, other = Net(), Net()
    saved = net.state_dict()
    before = values(net)
    saved["gain"].array[...] = 7
    assert same(before, values(net)) and not saved["gain"].requires_grad
    assert repr(other.load_state_dict(saved)) == "<All keys matched successfully>"
    saved["gain"].array[...] = 9
    assert other.gain.tolist() == [7.0, 7.0]
    assert other.gain.requires_grad and other.gain.is_leaf
    assert net.state_dict("a.", keep_vars=True)["a.gain"] is net.gain


def test_a_failed_load_lists_everything_and_changes_nothing():
    net = Net()
    before = values(net)
    given = {**net.state_dict(), "extra": ts.ones(1), "gain": ts.ones(1, 2),
             "first.weight": ts.ones(1, 3)}
    del given["seen"], given["inner.gain"]
    with pytest.raises(RuntimeError) as caught:
        net.load_state_dict(given)
    assert str(caught.value) == (
        'Error(s) in loading state_dict for Net:\n'
        '\tMissing key(s) in state_dict: "seen", "inner.gain". \n'
        '\tUnexpected key(s) in state_dict: "extra". \n'
        "\tsize mismatch for gain: copying a param with shape torch.Size([1, 2]) from checkpoint, "
        "the shape in current model is torch.Size([2]).\n"
        "\tsize mismatch for first.weight: copying a param with shape torch.Size([1, 3]) from "
        "checkpoint, the shape in current model is torch.Size([2, 3]).")
    assert same(before, values(net))


def test_a_lenient_load_says_what_it_passed_over():
    keys = Net().load_state_dict({"gain": ts.ones(2), "extra": ts.ones(1)}, strict=False)
    assert keys.unexpected_keys == ["extra"] and keys.missing_keys[0] == "seen"
    with pytest.raises(RuntimeError, match="size mismatch for gain"):
        Net().load_state_dict({"gain": ts.ones(3)}, strict=False)


def test_values_may_be_arrays_of_the_same_kind():
    layer = nn.Linear(2, 1, bias=False)
    layer.load_state_dict({"weight": np.array([[1.0, 2.0]])})                      # float64 in
    assert layer.weight.dtype == np.float32 and layer.weight.tolist() == [[1.0, 2.0]]
    with pytest.raises(TypeError, match="'weight'.*int64"):
        layer.load_state_dict({"weight": np.array([[1, 2]])})
    with pytest.raises(TypeError, match="'weight'.*list"):
        layer.load_state_dict({"weight": [[1.0, 2.0]]})
    with pytest.raises(TypeError, match="dict-like"):
        layer.load_state_dict([("weight", np.ones((1, 2)))])
    assert layer.weight.tolist() == [[1.0, 2.0]]


def test_tied_weights_are_one_parameter_under_two_names():
    net = nn.Module()
    net.a, net.b = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
    net.b.weight = net.a.weight
    assert len(list(net.parameters())) == 1
    assert list(net.state_dict()) == ["a.weight", "b.weight"]
    x = ts.ones(1, 2)
    (net.a(x).sum() + 2.0 * net.b(x).sum()).backward()
    assert net.a.weight.grad.tolist() == [[3.0, 3.0], [3.0, 3.0]]
    twin = copy.deepcopy(net)
    assert twin.a.weight is twin.b.weight and twin.a.weight is not net.a.weight


def test_deep_copies_are_independent():
    net = Net()
    net(ts.ones(1, 3)).sum().backward()
    before = values(net)
    twin = copy.deepcopy(net)
    assert same(values(twin), before)
    with ts.no_grad():
        for p in (*twin.parameters(), *twin.buffers()):
            p.fill_(5.0)
    twin.gain.grad.array[...] = 9
    assert same(values(net), before) and net.gain.grad.tolist() != [9.0, 9.0]


# -- changing all at once ----------------------------------------------------------------
def test_train_eval_zero_grad_requires_grad_apply():
    net = Net()
    assert all(not m.training for m in net.eval().modules())
    assert all(m.training for m in net.train().modules())
    with pytest.raises(ValueError, match="boolean"):
        net.train(1)
    net(ts.ones(1, 3)).sum().backward()
    net.zero_grad(set_to_none=False)
    assert net.gain.grad.tolist() == [0.0, 0.0]
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    assert not any(p.requires_grad for p in net.requires_grad_(False).parameters())
    visited = []
    net.apply(lambda m: visited.append(type(m).__name__))
    assert visited == ["Linear", "Linear", "Net", "Net"]


def test_to_changes_dtype_and_is_counted():
    net = Net()
    net(ts.ones(1, 3)).sum().backward()
    loss = net(ts.ones(1, 3)).sum()
    net.double()
    assert {t.dtype.name for t in (*net.parameters(), *net.buffers())} == {"float64"}
    assert net.gain.grad.dtype == np.float64
    with pytest.raises(GraphError, match="Module.to"):
        loss.backward()
    assert net.to("cpu") is net and net.float().gain.dtype == np.float32
    with pytest.raises(TypeError, match="int64"):
        net.to(np.int64)


# -- Linear and Embedding ----------------------------------------------------------------
def test_linear_refuses_what_does_not_fit():
    with pytest.raises(ShapeError, match=r"Linear\(3, 2\).*3 features.*7"):
        nn.Linear(3, 2)(ts.ones(5, 7))
    with pytest.raises(ShapeError, match=r"Linear\(3, 2\) at first"):
        Net().first(ts.ones(7))
    with pytest.raises(RuntimeError, match="float64.*float32"):
        nn.Linear(3, 2)(ts.ones(5, 3, dtype=np.float64))
    for bad, error in ((0, ValueError), (-1, ValueError), (2.0, TypeError), (True, TypeError)):
        for sizes in ((bad, 2), (2, bad)):
            with pytest.raises(error, match="_features"):
                nn.Linear(*sizes)
            with pytest.raises(error, match="embedding"):
                nn.Embedding(*sizes)
    with pytest.raises(RuntimeError, match="CPU"):
        nn.Linear(1, 1, device="cuda")


def test_without_a_bias_its_key_is_absent():
    assert list(nn.Linear(2, 2, bias=False).state_dict()) == ["weight"]
    with pytest.raises(RuntimeError, match='Unexpected.*"bias"'):
        nn.Linear(2, 2, bias=False).load_state_dict(nn.Linear(2, 2).state_dict())


def test_embedding_looks_rows_up():
    table = nn.Embedding(4, 2)
    y = table(np.array([[1, 1], [3, 0]]))
    assert y.shape == (2, 2, 2) and y[0, 1].tolist() == table.weight[1].tolist()
    y.sum().backward()
    assert table.weight.grad.tolist() == [[1, 1], [2, 2], [0, 0], [1, 1]]
    with pytest.raises(IndexError, match="4"):
        table(np.array([4]))
