"""What code written for torch asks of a tensor and of the package: names, forms, answers."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn
from tinyseq.errors import GraphError

# Every call works on a module that is either tinyseq or torch; the answers are compared.
ASKED: dict[str, Any] = {
    # -- what a tensor says of itself
    "type": lambda m: [m.zeros(2, dtype=d).type() for d in (
        m.float, m.double, m.long, m.int, m.uint8, m.bool)],
    "device": lambda m: (str(m.ones(1).device), repr(m.ones(1).device), m.ones(1).is_cuda),
    "is_floating_point": lambda m: [m.is_floating_point(m.zeros(1, dtype=d)) for d in (
        m.float32, m.float64, m.int64, m.bool)],
    "method": lambda m: (m.ones(1).is_floating_point(), m.ones(2, 3).nelement(), m.ones(2).dim()),
    "element_size": lambda m: [m.zeros(2, dtype=d).element_size() for d in (
        m.float32, m.float64, m.int32, m.bool)],
    "stride": lambda m: (m.zeros(2, 3).stride(), m.zeros(2, 3).T.stride(), m.tensor(1.).stride(),
                         m.zeros(2, 3).stride(0), m.zeros(2, 3, 4)[:, ::2].stride(-2)),
    "is_tensor": lambda m: (m.is_tensor(m.ones(1)), m.is_tensor(3), m.numel(m.ones(2, 3))),
    # -- what it becomes
    "bool": lambda m: m.tensor([0.0, 2.0]).bool(), "int": lambda m: m.tensor([1.7, -1.7]).int(),
    "long": lambda m: m.tensor([1.7, -1.7]).long(), "double": lambda m: m.ones(2).double(),
    "type dtype": lambda m: m.ones(2).type(m.int64),
    "type word": lambda m: m.ones(2).type("torch.DoubleTensor"),
    "type_as": lambda m: m.ones(2).type_as(m.ones(1).long()),
    "to dtype": lambda m: m.ones(2).to(m.float64), "to python": lambda m: m.ones(2).to(int),
    "to device": lambda m: m.ones(2).to("cpu"), "to both": lambda m: m.ones(2).to(
        m.device("cpu"), m.int64),
    "to words": lambda m: m.ones(2).to(device="cpu", dtype=m.bool, non_blocking=True),
    "to other": lambda m: m.ones(2).to(m.ones(1).double()),
    "to positional": lambda m: m.ones(2).to(m.float64, False, True),
    "to nothing": lambda m: m.ones(2).to(),
    "same": lambda m: [x is y for x in [m.ones(2)] for y in (
        x.to("cpu"), x.cpu(), x.float(), x.to(m.float32), x.to(m.float32, copy=True), x.to(x))],
    "new": lambda m: [m.ones(1, dtype=m.float64).new_zeros(2, 3), m.ones(1).new_ones((2,)),
                      m.ones(1).new_full((2,), 3), m.ones(1).long().new_tensor([1.5]),
                      m.ones(1).new_zeros(2, dtype=m.int64, device="cpu"),
                      m.ones(1).new_zeros(size=(2,)), m.ones(1).new_tensor(3)],
    "new_empty": lambda m: (tuple(m.ones(1).new_empty(2, 3).shape),
                            m.ones(1).new_ones(2, requires_grad=True).requires_grad),
    # -- activations that torch has as functions; here also as methods
    **{name: lambda m, name=name: (
        getattr(m.linspace(-4, 4, 9), name)() if m is ts
        else getattr(m.nn.functional, name)(m.linspace(-4, 4, 9)))
       for name in ("leaky_relu", "elu", "gelu", "silu", "softplus", "softsign", "hardtanh",
                    "hardsigmoid", "logsigmoid")},
    "gelu tanh": lambda m: m.nn.functional.gelu(m.ones(1), approximate="tanh") if m is not ts
    else m.ones(1).gelu("tanh"),
    "pad": lambda m: m.nn.functional.pad(m.ones(2), (1, 2)) if m is not ts
    else m.ones(2).pad((1, 2)),
    # -- writing in place
    "scatter_": lambda m: m.zeros(3, 4).scatter_(1, m.tensor([[0], [1], [2]]), 1.0),
    "scatter_ value": lambda m: m.zeros(3, 4).scatter_(1, m.tensor([[0], [1], [2]]), value=2),
    "scatter_ src": lambda m: m.zeros(3, 2).scatter_(0, m.tensor([[0, 2]]), m.ones(1, 2)),
    "scatter value": lambda m: m.zeros(3).scatter(0, m.tensor([1]), value=2),
    "scatter_add_": lambda m: m.zeros(3, 4).scatter_add_(0, m.tensor([[0, 0]]), m.ones(1, 2)),
    "index_put_": lambda m: m.zeros(3, 4).index_put_(
        (m.tensor([0, 0]), m.tensor([1, 1])), m.tensor([1.0, 2.0]), accumulate=True),
    "index_put_ rows": lambda m: m.zeros(3, 2).index_put_((m.tensor([0, 2]),), m.tensor(5.0)),
    "index_put_ list": lambda m: m.zeros(3, 2).index_put_([m.tensor([0, 2])], m.ones(2)),
    "index_put_ mask": lambda m: m.zeros(3).index_put_(
        (m.tensor([True, False, True]),), m.tensor([1.0, 2.0])),
    # -- windows
    "unfold": lambda m: m.arange(10).unfold(0, 4, 3),
    "unfold axis": lambda m: m.arange(30).reshape(2, 5, 3).unfold(1, 2, 1),
    "unfold last": lambda m: m.ones(2, 3).unfold(-1, 3, 1),
    "unfold none": lambda m: m.ones(3).unfold(0, 0, 1),
    "unfold 0-d": lambda m: m.tensor(1.0).unfold(0, 1, 1),
    # -- making tensors by name
    "sizes": lambda m: [tuple(make(size=(2, 3)).shape) for make in (
        m.zeros, m.ones, m.empty, m.rand, m.randn)],
    "randint": lambda m: [x for _ in [m.manual_seed(0)] for x in (
        m.randint(high=9, size=(2,)), m.randint(low=5, high=9, size=(2,)),
        m.randint(0, high=9, size=(2,)), m.randint(9, (2,)))],
    "arange": lambda m: [m.arange(end=5), m.arange(1, end=5), m.arange(start=1, end=5, step=2),
                         m.arange(1, 5, step=3)],
    "on the cpu": lambda m: [make(2, device=m.device("cpu")) for make in (m.zeros, m.ones, m.eye)]
    + [m.tensor([1.0], device="cpu"), m.full((2,), 1.0, device="cpu"), m.arange(3, device="cpu"),
       m.zeros_like(m.ones(2), device="cpu"), m.linspace(0, 1, 3, device="cpu")],
    "default": lambda m: str(m.get_default_dtype()).removeprefix("torch."),
    "concat": lambda m: m.concat([m.ones(1), m.zeros(2)]),
    # -- devices
    "devices": lambda m: [repr(d) for d in (
        m.device("cpu"), m.device(type="cpu"), m.device("cpu:0"), m.device("cpu", 0),
        m.device(m.device("cpu")), m.device("cuda" if m.cuda.is_available() else "cpu"))],
    "equal": lambda m: (m.device("cpu") == m.device("cpu"), m.device("cpu") == "cpu",
                        m.device("cpu") == m.device("cpu:0"), len({m.device("cpu")} | {
                            m.device("cpu")}), m.device("cpu").type, m.device("cpu").index),
    "cuda": lambda m: (m.cuda.is_available(), m.cuda.device_count(), m.cuda.manual_seed(1),
                       m.cuda.manual_seed_all(1), m.cuda.empty_cache()),
    "module": lambda m: [str(m.nn.Linear(1, 1).to(*where).weight.dtype)[-7:] for where in (
        ("cpu",), (m.device("cpu"),), (m.float64,), ("cpu", m.float64),
        (m.ones(1).double(),))] + [n.cpu() is n.to(device="cpu") is n for n in [m.nn.Tanh()]]}


def plain(answer: Any) -> Any:
    """An answer as Python has it; a tensor as its dtype and its numbers."""
    if isinstance(answer, (list, tuple)):
        return [plain(one) for one in answer]
    if hasattr(answer, "tolist"):
        return str(answer.dtype).removeprefix("torch."), tuple(answer.shape), answer.tolist()
    return answer


def close(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, (list, tuple)) and isinstance(theirs, (list, tuple)):
        return len(ours) == len(theirs) and all(map(close, ours, theirs))
    if isinstance(ours, float) and isinstance(theirs, float):
        return ours == pytest.approx(theirs, rel=1e-5, abs=1e-6)
    return type(ours) is type(theirs) and ours == theirs


@pytest.mark.needs_torch
@pytest.mark.parametrize("name", ASKED)
def test_the_answer_is_torchs(name):
    import torch
    ours, theirs = plain(ASKED[name](ts)), plain(ASKED[name](torch))
    assert close(ours, theirs), (ours, theirs)


@pytest.mark.parametrize("name", ASKED)
def test_there_is_an_answer_without_torch(name):
    assert plain(ASKED[name](ts)) not in ([], None)


def test_some_answers_by_hand():
    assert ts.tensor([1.0]).type() == "torch.FloatTensor"
    assert ASKED["scatter_"](ts).tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]
    assert ASKED["index_put_"](ts).tolist() == [[0, 3, 0, 0], [0] * 4, [0] * 4]
    assert ASKED["unfold"](ts).tolist() == [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9]]
    assert ts.ones(1).device == ts.device("cpu") and not ts.cuda.is_available()
    assert ASKED["same"](ts) == [True, True, True, True, False, True]


REFUSED: list[tuple[Any, type[Exception], str]] = [
    (lambda: ts.device("cuda"), RuntimeError, "type cpu, got 'cuda': tinyseq computes on the CPU"),
    (lambda: ts.device("cpu:x"), RuntimeError, "got 'cpu:x'"),
    (lambda: ts.device(0), RuntimeError, "got 0"),
    (lambda: ts.ones(1).to("cuda"), RuntimeError, "got 'cuda'"),
    (lambda: ts.ones(1).to("float"), RuntimeError, "got 'float'"),
    (lambda: ts.ones(1).to(np.float16), TypeError, "dtype must be one of float32.*float16"),
    (lambda: ts.ones(1).to(ts.float64, 3), TypeError, "a dtype, a device, both, or a tensor"),
    (lambda: ts.zeros(2, device="mps"), RuntimeError, "got 'mps'"),
    (lambda: ts.zeros(2, size=(2,)), TypeError, "multiple values for argument 'size'"),
    (lambda: ts.arange(5, step=2), TypeError, "start, stop and perhaps step, got 2"),
    (lambda: ts.randint(high=3), TypeError, "the size as a tuple"),
    (lambda: ts.ones(1).type("foo"), ValueError, "invalid type: 'foo': one of torch.FloatTensor"),
    (lambda: ts.ones(2, 3).stride(5), IndexError, r"range of \[-2, 1\], but got 5"),
    (lambda: ts.numel(3), TypeError, "must be Tensor, not int"),
    (lambda: ts.ones(3).unfold(0, 5, 1), RuntimeError, "dimension 0 is 3 but size is 5"),
    (lambda: ts.ones(3).unfold(0, 2, 0), RuntimeError, "step is 0 but must be > 0"),
    (lambda: ts.ones(3).unfold(0, -1, 1), RuntimeError, "size is -1 but must be >= 0"),
    (lambda: ts.zeros(2).scatter_(0, ts.tensor([0])), TypeError, "src or a number value"),
    (lambda: ts.zeros(2).scatter_(0, ts.tensor([7]), 1.0), IndexError, "index 7 .* with size 2"),
    (lambda: ts.zeros(2).index_put_((ts.tensor([0, 9]),), 1.0), IndexError, "9"),
    (lambda: ts.zeros(2).index_put_((ts.tensor([0]),), ts.ones(3)), RuntimeError, "mismatch"),
    (lambda: nn.Linear(1, 1).to(ts.int64), TypeError, "float32 or float64, not to int64"),
    (lambda: nn.Linear(1, 1).to("cuda"), RuntimeError, "got 'cuda'")]


@pytest.mark.parametrize("call, error, text", REFUSED, ids=[text for *_, text in REFUSED])
def test_refusals(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_a_refused_write_changes_nothing():
    x = ts.tensor([1.0, 2.0])
    for call in (lambda: x.scatter_(0, ts.tensor([0, 7]), ts.ones(2)),
                 lambda: x.index_put_((ts.tensor([0, 9]),), 1.0),
                 lambda: x.scatter_add_(0, ts.tensor([1.5]), ts.ones(1))):
        with pytest.raises((IndexError, TypeError)):
            call()
    assert x.tolist() == [1, 2] and x.version[0] == 0
    leaf = ts.ones(2, requires_grad=True)
    with pytest.raises(GraphError, match="leaf Variable that requires grad.*scatter_"):
        leaf.scatter_(0, ts.tensor([0]), 1.0)
    assert leaf.tolist() == [1, 1]


def test_writing_in_place_is_recorded():
    """As torch does: what is written gets its gradient, what is written over gets none."""
    found = []
    for m in (ts, pytest.importorskip("torch")):
        x = m.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
        v = m.tensor([5.0, 6.0], requires_grad=True)
        h = x * x
        h.scatter_(0, m.tensor([1, 3]), v * 2)
        h.scatter_add_(0, m.tensor([1, 1]), v)
        h.index_put_((m.tensor([0]),), v[:1])
        (h * m.tensor([1.0, 10.0, 100.0, 1000.0])).sum().backward()
        found.append([t.tolist() for t in (h, x.grad, v.grad)])
    assert found[0] == found[1]
    v = ts.ones(2, requires_grad=True)
    h = ts.zeros(3)
    h.index_put_(([0, 2],), v * 3)
    h.sum().backward()
    assert v.grad.tolist() == [3, 3] and h.tolist() == [3, 0, 3]


def test_windows_have_gradients_both_ways():
    x = ts.randn(6, dtype=ts.float64, requires_grad=True)
    assert ts.autograd.gradcheck(lambda x: (x.unfold(0, 3, 2) ** 2), (x,))
    x.unfold(0, 3, 1).sum().backward()
    assert x.grad.tolist() == [1, 2, 3, 3, 2, 1]
    way = ts.arange(6).double()
    _, tangent = ts.func.jvp(lambda x: x.unfold(0, 2, 2), (x.detach(),), (way,))
    assert tangent.tolist() == [[0, 1], [2, 3], [4, 5]]


def test_detach_in_place():
    x = ts.ones(3, requires_grad=True)
    h = x * 2
    y = h * x
    assert h.detach_() is h and h.is_leaf and not h.requires_grad and h.grad_fn is None
    y.sum().backward()                                   # y's own history stays what it was
    assert x.grad.tolist() == [4, 4, 4]
    assert not x.detach_().requires_grad and x.grad is not None
    assert not (h * x).requires_grad


def test_a_change_of_dtype_is_recorded_between_floats():
    x = ts.ones(2, requires_grad=True)
    y = x.to("cpu", ts.float64)
    assert y.requires_grad and not x.bool().requires_grad and not x.int().requires_grad
    copied = x.to(ts.float32, copy=True)
    assert copied.requires_grad and copied.array is not x.array
    (y.sum() + copied.sum()).backward()
    assert x.grad.tolist() == [2, 2] and x.grad.dtype == np.float32
    batched = ts.func.vmap(lambda t: t.to("cpu").to(ts.float64, non_blocking=True) * 2)(x)
    assert batched.dtype == np.float64 and batched.tolist() == [2, 2]


SURFACE = {
    "tinyseq": (ts, """tensor as_tensor from_numpy zeros ones full empty eye arange linspace rand
        randn randint randperm normal bernoulli multinomial zeros_like ones_like full_like
        empty_like rand_like randn_like one_hot manual_seed set_default_dtype get_default_dtype
        float32 float64 int64 bool float double long int device cuda is_tensor numel no_grad
        enable_grad set_grad_enabled is_grad_enabled inference_mode save load func autograd vmap
        utils data nn optim bptt scope graph draw cell detail probe"""),
    "Tensor": (ts.ones(1, 1), """data shape dtype ndim size numel requires_grad grad is_leaf
        grad_fn T mT item tolist numpy detach detach_ clone to float double long int bool cpu type
        device
        requires_grad_ retain_grad zero_ copy_ fill_ add_ mul_ sub_ div_ exp_ clamp_ tanh_
        sigmoid_ relu_ sqrt_ neg_ abs_ pow_ uniform_ normal_ masked_fill_ index_put_ scatter_
        scatter_add_ backward register_hook nelement element_size stride is_contiguous
        is_floating_point new_zeros new_ones new_full new_empty new_tensor unfold"""),
    "nn": (nn, """Module Parameter ParameterList ModuleList ModuleDict Sequential Identity Flatten
        Linear Bilinear Embedding Dropout LayerNorm Tanh Sigmoid LogSigmoid ReLU LeakyReLU ELU
        GELU SiLU Softplus Softsign Hardtanh Hardsigmoid Softmax LogSoftmax CrossEntropyLoss
        NLLLoss MSELoss L1Loss SmoothL1Loss HuberLoss BCELoss BCEWithLogitsLoss KLDivLoss init
        RNNCell LSTMCell GRUCell RNN LSTM GRU Recurrent utils functional last_output detached"""),
    "Module": (nn.Module(), """parameters named_parameters buffers named_buffers modules
        named_modules children named_children state_dict load_state_dict register_buffer
        register_parameter register_forward_hook register_forward_pre_hook
        register_full_backward_hook train eval apply zero_grad requires_grad_ to cpu double float
        extra_repr add_module get_submodule get_parameter""")}
OPERATIONS = """add sub mul div neg pow abs sign exp log log1p expm1 sqrt rsqrt square reciprocal
    sin cos tanh sigmoid relu leaky_relu elu gelu silu softplus softsign hardtanh hardsigmoid erf
    clamp maximum minimum where lerp floor round matmul mm bmm mv dot outer addmm sum mean var std
    prod max min amax amin argmax argmin cumsum cumprod logsumexp softmax log_softmax norm all any
    reshape view flatten transpose permute squeeze unsqueeze expand broadcast_to repeat tile split
    chunk unbind flip roll pad index_select gather scatter scatter_add masked_fill masked_select
    narrow select take_along_dim tril triu diagonal sort topk"""


@pytest.mark.parametrize("name", SURFACE)
def test_the_surface_is_complete(name):
    owner, names = SURFACE[name]
    assert [n for n in names.split() if not hasattr(owner, n)] == []


def test_operations_are_functions_and_methods():
    assert [n for n in OPERATIONS.split() if not callable(getattr(ts, n, None))] == []
    assert [n for n in OPERATIONS.split() if not callable(getattr(ts.ones(1), n, None))] == []
    assert all(callable(getattr(ts, n)) for n in ("einsum", "cat", "stack"))  # of several tensors


def notebook(m: Any) -> list:
    """What a notebook on forecasting does, from the choice of the device to the prediction."""
    device = m.device("cuda" if m.cuda.is_available() else "cpu")
    m.manual_seed(0)
    m.cuda.manual_seed_all(0)
    windows = m.sin(m.arange(0, 20, 0.1)).unfold(0, 11, 1)
    x, y = windows[:, :10].unsqueeze(-1).to(device), windows[:, 10:].to(device)

    class Model(m.nn.Module):
        def __init__(self, hidden_size: int = 8, num_layers: int = 2) -> None:
            super().__init__()
            self.hidden_size, self.num_layers = hidden_size, num_layers
            self.lstm = m.nn.LSTM(1, hidden_size, num_layers, batch_first=True)
            self.norm = m.nn.LayerNorm(hidden_size)
            self.act = m.nn.LeakyReLU(0.1, inplace=True)
            self.fc = m.nn.Linear(hidden_size, 1)

        def forward(self, x: Any) -> Any:
            h_0 = m.zeros(self.num_layers, x.size(0), self.hidden_size, device=x.device)
            c_0 = x.new_zeros(self.num_layers, x.size(0), self.hidden_size)
            out, _ = self.lstm(x, (h_0, c_0))
            return self.fc(self.act(self.norm(out[:, -1, :])))

    model = Model().to(device)
    criterion = m.nn.SmoothL1Loss().to(device)
    optimizer = m.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(5):
        model.train()
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        m.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    model.eval()
    with m.no_grad():
        predicted = model(x[:3]).cpu().numpy().tolist()
    return [repr(model), sum(p.numel() for p in model.parameters()), losses, predicted]


def test_a_notebook_runs_with_another_import_line():
    text, count, losses, predicted = notebook(ts)
    assert count == 953 and losses[-1] < 0.6 * losses[0] and "(norm): LayerNorm((8,)" in text
    assert np.shape(predicted) == (3, 1)


@pytest.mark.needs_torch
def test_a_notebook_gives_torchs_numbers():
    import torch
    ours, theirs = notebook(ts), notebook(torch)
    assert ours[:2] == theirs[:2]
    for a, b in zip(ours[2:], theirs[2:]):
        np.testing.assert_allclose(a, b, rtol=1e-4)
