"""Containers, hooks, lookup by name, and the modules that only carry settings."""
from __future__ import annotations

import math

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn
from tinyseq.errors import GraphError
from tinyseq.nn import functional as F


def model():
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def test_a_sequence_is_its_parts_in_order():
    net, x = model(), ts.ones(5, 3)
    assert net(x).tolist() == net[2](net[0](x).tanh()).tolist()
    assert net[:2](x).tolist() == net[0](x).tanh().tolist() and type(net[:2]) is nn.Sequential
    assert list(net.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert net.append(nn.Identity())[-1] is list(net)[3] and len(net) == 4
    net[1] = nn.ReLU()
    assert net(x).tolist() == net[2](net[0](x).relu()).tolist()
    named = nn.Sequential({"a": nn.Linear(1, 1), "b": nn.Flatten()})
    assert list(named.state_dict()) == ["a.weight", "a.bias"]


def test_lists_and_dictionaries_own_what_they_hold():
    parts = nn.ModuleDict({"enc": nn.Linear(2, 2), "rest": nn.ModuleList([nn.Linear(2, 1)])})
    assert list(parts.state_dict()) == ["enc.weight", "enc.bias", "rest.0.weight", "rest.0.bias"]
    assert "enc" in parts and list(parts) == ["enc", "rest"] and len(parts.items()) == 2
    del parts["enc"]
    assert list(parts.keys()) == ["rest"] and type(parts["rest"][:1]) is nn.ModuleList
    listed = nn.ParameterList([ts.zeros(2), nn.Parameter([1.0])])
    listed[0] = ts.ones(2)
    assert [p.tolist() for p in listed] == [[1.0, 1.0], [1.0]] and len(listed[1:]) == 1
    named = nn.ParameterDict({"gain": ts.ones(2)})
    assert [n for n, _ in named.named_parameters()] == ["gain"] and "gain" in named


def test_lists_and_dictionaries_change_as_pythons_do():
    net = model()
    first, _, last = net
    net.insert(1, nn.ReLU())
    assert net.pop(-1) is last and [name for name, _ in net.named_children()] == ["0", "1", "2"]
    del net[0]
    net += [last]
    assert list(net)[-1] is last and last.weight.label == "2.weight" and first not in net
    del net[1:]
    assert type(net) is type(net + [first]) is nn.Sequential and len(net + [first]) == 2
    with pytest.raises(TypeError, match="int is not a Module subclass"):
        net.insert(0, 3)
    assert [type(part) for part in net] == [nn.ReLU]
    parts = nn.ModuleDict([("a", first)])
    parts.update(b=last)
    assert parts.pop("a") is first and list(parts) == ["b"] and parts.get("a") is None
    assert parts in {parts} and parts != nn.ModuleDict({"b": last})  # a module is itself only
    listed = nn.ParameterList([ts.zeros(2)])
    listed += [ts.ones(3)]
    listed.insert(0, ts.ones(1))
    assert [p.shape for p in listed] == [(1,), (2,), (3,)] and listed.pop(1).shape == (2,)
    assert [name for name, _ in listed.named_parameters()] == ["0", "1"]
    assert [p.label for p in listed] == ["0", "1"]
    assert repr(listed) == ("ParameterList(\n  (0): Parameter containing: [torch.float32 of size 1"
                            "]\n  (1): Parameter containing: [torch.float32 of size 3]\n)")
    named = nn.ParameterDict({"a": ts.ones(2)})
    named.setdefault("b", nn.Parameter([1.0]))
    assert list(named) == ["a", "b"] and named.pop("b").shape == (1,) and len(named) == 1


@pytest.mark.parametrize("call, error, text", [
    (lambda: model()[3], IndexError, "index 3 is out of range for Sequential of 3"),
    (lambda: model()["0"], TypeError, "indexed by ints and slices, got str"),
    (lambda: model().append(3), TypeError, "int is not a Module subclass"),
    (lambda: nn.ParameterList([[1.0]]), TypeError, "expected a Parameter or a Tensor, got list"),
    (lambda: model().get_submodule("0.x"), AttributeError, "Linear has no module 'x'"),
    (lambda: model().get_parameter("0.gain"), AttributeError, "no parameter '0.gain'"),
    (lambda: model().get_buffer("0.mean"), AttributeError, "no buffer '0.mean'"),
    (lambda: nn.Embedding(3, 2, max_norm=1.0), ValueError, "max_norm"),
    (lambda: nn.Embedding(3, 2, sparse=True), ValueError, "sparse"),
    (lambda: model().register_forward_hook(3), TypeError, "must be a function, got int"),
    (lambda: nn.MSELoss(reduction="avg"), ValueError, "reduction must be .* got 'avg'"),
    (lambda: nn.L1Loss(reduction="batchmean"), ValueError, "reduction must be 'mean', 'sum' or"),
    (lambda: nn.Hardtanh(2, 1), ValueError, r"max_val \(1\) must be greater than min_val \(2\)"),
    (lambda: nn.GELU("erf")(ts.ones(1)), ValueError, "approximate must be 'none' or 'tanh'"),
    (lambda: nn.Bilinear(0, 1, 1), ValueError, "in1_features must be greater than zero"),
    (lambda: nn.Bilinear(2, 3, 4)(ts.ones(5, 2), ts.ones(5, 7)), RuntimeError,
     "input2 size does not match weight size: got 7 but expected 3"),
    (lambda: nn.Bilinear(2, 3, 4)(ts.ones(5, 2), ts.ones(6, 3)), RuntimeError,
     r"input batch dimensions do not match.*\(5, 2\) and \(6, 3\)"),
    (lambda: nn.LayerNorm(4)(ts.ones(2, 3)), RuntimeError, r"layer_norm over \(4,\).*\(2, 3\)"),
    (lambda: nn.LayerNorm(2.5), TypeError, "normalized_shape should be of type int, got: float"),
    (lambda: nn.LayerNorm((3, -1)), ValueError, "normalized_shape must be greater than zero"),
    (lambda: nn.Embedding(5, 3, padding_idx=5), ValueError, "Padding_idx must .*=5 for 5 rows"),
    (lambda: nn.Embedding.from_pretrained(ts.ones(3)), ValueError, "2-dimensional.*\\(3,\\)"),
    *[(lambda p=p: nn.Dropout(p), ValueError, "dropout should be a number in range")
      for p in (-0.1, 1.5, math.nan, True)]])
def test_refusals(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_hooks_run_around_forward_until_removed():
    net, x, seen = model(), ts.ones(1, 3), []
    plain = net(x).tolist()
    pre = net.register_forward_pre_hook(lambda module, args: args[0] * 0.0)
    post = net[1].register_forward_hook(lambda module, args, out: seen.append(out.shape))
    assert net(x).tolist() == net(ts.zeros(1, 3)).tolist() != plain and seen == [(1, 4)] * 2
    pre.remove()
    post.remove()
    post.remove()
    assert net(x).tolist() == plain and len(seen) == 2


def test_a_part_is_found_by_its_dotted_name():
    net = nn.ModuleDict({"a": model()})
    assert net.get_submodule("a.2") is net["a"][2] and net.get_submodule("") is net
    net["a"][1].register_buffer("mean", ts.ones(2))
    assert net.get_buffer("a.1.mean").tolist() == [1.0, 1.0]
    assert net.get_parameter("a.2.bias") is net["a"][2].bias


@pytest.mark.parametrize("module, function", [
    (nn.Tanh(), F.tanh), (nn.Sigmoid(), F.sigmoid), (nn.ReLU(), F.relu),
    (nn.Softmax(dim=1), lambda x: F.softmax(x, dim=1)),
    (nn.LogSoftmax(dim=0), lambda x: F.log_softmax(x, dim=0)),
    (nn.LogSigmoid(), F.logsigmoid), (nn.Softsign(), F.softsign), (nn.SiLU(), F.silu),
    (nn.Hardsigmoid(), F.hardsigmoid), (nn.GELU("tanh"), lambda x: F.gelu(x, "tanh")),
    (nn.ELU(0.5, inplace=True), lambda x: F.elu(x, 0.5)),
    (nn.LeakyReLU(0.3), lambda x: F.leaky_relu(x, 0.3)),
    (nn.Softplus(2.0, 1.0), lambda x: F.softplus(x, 2.0, 1.0)),
    (nn.Hardtanh(-1.5, 0.5), lambda x: F.hardtanh(x, -1.5, 0.5)),
    (nn.LayerNorm(3, eps=0.1), lambda x: F.layer_norm(x, 3, eps=0.1)),
    (nn.LayerNorm((2, 3), elementwise_affine=False), lambda x: F.layer_norm(x, (2, 3))),
    (nn.Identity(7), lambda x: x), (nn.Flatten(0), lambda x: x.reshape(-1)),
    (nn.Dropout(1.0), lambda x: x * 0.0), (nn.Dropout(0.5).eval(), lambda x: x)])
def test_modules_compute_what_the_functions_do(module, function):
    x = ts.tensor(np.linspace(-2, 2, 6).reshape(2, 3))
    assert module(x).tolist() == function(x).tolist()


# How torch 2.13 shows them.
SHOWN = [
    (lambda m: m.LeakyReLU(), "LeakyReLU(negative_slope=0.01)"),
    (lambda m: m.LeakyReLU(0.2, True), "LeakyReLU(negative_slope=0.2, inplace=True)"),
    (lambda m: m.ELU(), "ELU(alpha=1.0)"),
    (lambda m: m.ELU(2, inplace=True), "ELU(alpha=2, inplace=True)"),
    (lambda m: m.GELU(), "GELU(approximate='none')"), (lambda m: m.SiLU(), "SiLU()"),
    (lambda m: m.SiLU(True), "SiLU(inplace=True)"), (lambda m: m.ReLU(True), "ReLU(inplace=True)"),
    (lambda m: m.Softplus(), "Softplus(beta=1.0, threshold=20.0)"),
    (lambda m: m.Softsign(), "Softsign()"), (lambda m: m.Hardsigmoid(True), "Hardsigmoid()"),
    (lambda m: m.Hardtanh(), "Hardtanh(min_val=-1.0, max_val=1.0)"),
    (lambda m: m.Hardtanh(-2, 3.5, True), "Hardtanh(min_val=-2, max_val=3.5, inplace=True)"),
    (lambda m: m.LogSigmoid(), "LogSigmoid()"), (lambda m: m.LogSoftmax(1), "LogSoftmax(dim=1)"),
    (lambda m: m.Bilinear(2, 3, 4, bias=False),
     "Bilinear(in1_features=2, in2_features=3, out_features=4, bias=False)"),
    (lambda m: m.LayerNorm(4), "LayerNorm((4,), eps=1e-05, elementwise_affine=True, bias=True)"),
    (lambda m: m.LayerNorm((2, 3), bias=False),
     "LayerNorm((2, 3), eps=1e-05, elementwise_affine=True, bias=False)"),
    (lambda m: m.LayerNorm([4], 1e-3, False),
     "LayerNorm((4,), eps=0.001, elementwise_affine=False, bias=False)"),
    (lambda m: m.Dropout(0.2, True), "Dropout(p=0.2, inplace=True)"),
    (lambda m: m.Embedding(5, 3, padding_idx=-1), "Embedding(5, 3, padding_idx=4)"),
    *[(lambda m, name=name: getattr(m, name)(), f"{name}()") for name in (
        "L1Loss", "SmoothL1Loss", "HuberLoss", "BCELoss", "BCEWithLogitsLoss", "KLDivLoss",
        "NLLLoss", "CrossEntropyLoss")]]


@pytest.mark.parametrize("make, text", SHOWN, ids=[text for _, text in SHOWN])
def test_modules_are_shown_as_torch_shows_them(make, text):
    assert repr(make(nn)) == text


@pytest.mark.needs_torch
def test_torch_shows_them_so_and_its_parameters_have_these_names():
    import torch
    for make, text in SHOWN:
        ours, theirs = make(nn), make(torch.nn)
        assert repr(theirs) == text
        assert {n: p.shape for n, p in ours.named_parameters()} \
            == {n: tuple(p.shape) for n, p in theirs.named_parameters()}
        assert list(ours.state_dict()) == list(theirs.state_dict())


@pytest.mark.needs_torch
@pytest.mark.parametrize("make, shapes", [
    (lambda m: m.nn.Bilinear(3, 2, 5), [(4, 3), (4, 2)]),
    (lambda m: m.nn.Bilinear(3, 2, 5, False), [(2, 4, 3), (2, 4, 2)]),
    (lambda m: m.nn.Bilinear(3, 2, 1), [(3,), (2,)]),
    (lambda m: m.nn.LayerNorm(3), [(4, 3)]), (lambda m: m.nn.LayerNorm((4, 3)), [(2, 4, 3)]),
    (lambda m: m.nn.Embedding(6, 3, padding_idx=2), [])])
def test_layers_are_torchs_from_the_same_seed(make, shapes):
    """Initial values in float32; outputs and all gradients in float64."""
    import torch
    arrays = [np.random.default_rng(1).normal(size=s) for s in shapes]
    found = []
    for m in (ts, torch):
        m.manual_seed(5)
        layer = make(m)
        first = [p.detach().numpy().copy() for p in layer.parameters()]
        leaves = [m.tensor(a, requires_grad=True) for a in arrays]
        layer.double()
        y = layer(*(leaves or [m.tensor([[0, 2], [2, 5]])]))
        (y * y * y).sum().backward()
        found.append([first, [y.detach().numpy(), *[t.grad.numpy() for t in leaves],
                              *[p.grad.numpy() for p in layer.parameters()]]])
    for ours, theirs in zip(found[0][0], found[1][0]):
        if not shapes:
            np.testing.assert_allclose(ours, theirs, rtol=1e-6)       # normal numbers
        else:
            assert ours.tobytes() == theirs.tobytes()
    assert found[0][1]
    for ours, theirs in zip(found[0][1], found[1][1]):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6 if not shapes else 1e-9, atol=1e-12)


def test_a_bilinear_form_by_its_definition_and_by_gradcheck():
    layer = nn.Bilinear(3, 2, 4, dtype=ts.float64)
    x1, x2 = ts.randn(5, 3, dtype=ts.float64), ts.randn(5, 2, dtype=ts.float64)
    wanted = np.einsum("ni,oij,nj->no", x1.array, layer.weight.array, x2.array) + layer.bias.array
    np.testing.assert_allclose(layer(x1, x2).array, wanted, rtol=1e-12)
    leaves = [t.requires_grad_() for t in (x1, x2)]
    assert ts.autograd.gradcheck(layer, leaves)


def test_the_padding_of_an_embedding_stays_nothing():
    table = nn.Embedding(5, 2, padding_idx=-2)
    assert table.padding_idx == 3 and not table.weight[3].any() and table.weight[2].all()
    table(ts.tensor([3, 1, 3])).sum().backward()
    assert table.weight.grad.tolist() == [[0, 0], [1, 1], [0, 0], [0, 0], [0, 0]]
    ts.manual_seed(0)
    before = ts.randn(1).item()
    ts.manual_seed(0)
    given = nn.Embedding.from_pretrained(ts.ones(3, 2), padding_idx=0)
    assert ts.randn(1).item() == before                     # nothing was drawn
    assert not given.weight.requires_grad and given.weight.tolist() == [[1, 1]] * 3
    assert nn.Embedding.from_pretrained(ts.ones(3, 2), freeze=False).weight.requires_grad


# -- backward hooks -------------------------------------------------------------------------
class Two(nn.Module):
    def forward(self, a, b, c=None):
        return a * b, a + b, 3


def values(gradients: tuple) -> list:
    return [None if g is None else g.tolist() for g in gradients]


def test_backward_hooks_see_and_replace_the_gradients():
    two, log = Two(), []
    a, b, c = (ts.tensor(v, requires_grad=k < 2) for k, v in enumerate(
        ([1.0, 2.0], [3.0, 4.0], [1.0, 1.0])))
    first = two.register_full_backward_hook(
        lambda module, gin, gout: log.append((values(gin), values(gout))))
    second = two.register_full_backward_hook(
        lambda module, gin, gout: tuple([None if g is None else g * 2 for g in gin]))
    p, q, _ = two(a, b, c)
    (p.sum() + 2 * q.sum()).backward(retain_graph=True)
    assert log == [([[5, 6], [3, 4], [0, 0]], [[1, 1], [2, 2], None])]
    assert values((a.grad, b.grad)) == [[10, 12], [6, 8]]
    p.sum().backward(retain_graph=True)                     # only one of the outputs
    assert log[1:] == [([[3, 4], [1, 2], [0, 0]], [[1, 1], None, None])]
    q.sum().backward()
    assert log[2:] == [([[1, 1], [1, 1], [0, 0]], [None, [1, 1], None])]
    for handle in (first, second):
        handle.remove()
    a.grad = None
    two(a, b)[0].sum().backward()
    assert len(log) == 3 and a.grad.tolist() == [3, 4]


def test_backward_hooks_where_no_input_has_a_history_and_where_they_are_wrong():
    linear, x, log = nn.Linear(2, 2), ts.ones(1, 2), []
    handle = linear.register_full_backward_hook(lambda *all: log.append(values(all[2])))
    with pytest.warns(UserWarning, match="no inputs require gradients"):
        linear(x).sum().backward()
    assert log == [[[[1, 1]]]] and linear.weight.grad is not None
    linear(x.requires_grad_()).sum().backward()
    assert len(log) == 2
    handle.remove()
    for returned, text in (((x, x), "invalid number of grad_input, got 2, but expected 1"),
                           ((ts.ones(3),), "of shape")):
        handle = linear.register_full_backward_hook(lambda *all: returned)
        linear.zero_grad()
        with pytest.raises(RuntimeError, match=text):
            linear(x).sum().backward()
        assert linear.weight.grad is None
        handle.remove()
    linear.register_full_backward_hook(lambda module, gin, gout: (x.detach(),))
    with pytest.warns(UserWarning), pytest.raises(RuntimeError, match="always return None"):
        linear(x.detach()).sum().backward()
    with pytest.raises(TypeError, match="must be a function"):
        linear.register_full_backward_hook(None)


def test_a_backward_that_fails_in_a_hook_leaves_nothing_for_the_next():
    class Apart(nn.Module):
        def forward(self, a, b):
            return a * 2, a * b

    apart, wrong = Apart(), [True]
    a, b = ts.tensor([1.0, 2.0], requires_grad=True), ts.tensor([3.0, 4.0], requires_grad=True)
    apart.register_full_backward_hook(
        lambda module, gin, gout: (ts.full((2,), 7.0), ts.ones(3)) if wrong else None)
    double, product = apart(a, b)
    with pytest.raises(GraphError, match="of shape"):
        product.sum().backward(retain_graph=True)
    assert a.grad is None and b.grad is None
    wrong.clear()
    double.sum().backward()
    assert values((a.grad, b.grad)) == [[2, 2], None]


def test_backward_hooks_on_a_recurrent_layer_and_under_create_graph():
    lstm, x, log = nn.LSTM(2, 3, dtype=ts.float64), ts.ones(4, 1, 2, dtype=ts.float64), []
    lstm.register_full_backward_hook(
        lambda module, gin, gout: log.append([None if g is None else g.shape for g in gout]))
    x.requires_grad_()
    y, (h, c) = lstm(x)
    (g,) = ts.autograd.grad((y * y).sum() + h.sum(), x, create_graph=True)
    assert log == [[(4, 1, 3), None]] and g.requires_grad
    twin = nn.LSTM(2, 3, dtype=ts.float64)
    twin.load_state_dict(lstm.state_dict())
    z, (h, c) = twin(x)
    (wanted,) = ts.autograd.grad((z * z).sum() + h.sum(), x)
    np.testing.assert_allclose(g.detach().array, wanted.array, rtol=1e-12)


def test_a_hooked_graph_is_freed_without_the_collector():
    import gc
    import weakref
    linear, x = nn.Linear(2, 2), ts.ones(1, 2, requires_grad=True)
    linear.register_full_backward_hook(lambda *all: None)
    gc.disable()
    try:
        loss = linear(x).sum()
        loss.register_hook(lambda g: None)
        nodes = [weakref.ref(node) for node in ts.graph(loss)]
        assert len(nodes) == 4
        loss.backward()
        del loss
        assert [ref() for ref in nodes] == [None] * 4
    finally:
        gc.enable()


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_losses_carry_their_settings(reduction):
    x, y = ts.tensor(np.linspace(-2, 2, 6).reshape(2, 3)), ts.tensor([2, 0])
    for kind, function in ((nn.CrossEntropyLoss, F.cross_entropy), (nn.NLLLoss, F.nll_loss)):
        assert kind(ignore_index=0, reduction=reduction)(x, y).tolist() \
            == function(x, y, ignore_index=0, reduction=reduction).tolist()
    assert nn.MSELoss(reduction=reduction)(x, x * 2).tolist() \
        == F.mse_loss(x, x * 2, reduction).tolist()
