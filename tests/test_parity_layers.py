"""Recurrent layers and cells against a live PyTorch: the whole grid, and the committed numbers."""
from __future__ import annotations

import numpy as np
import pytest

import tinyseq as ts
from test_golden import GOLDEN, tool

pytestmark = pytest.mark.needs_torch


@pytest.mark.parametrize("kind", tool.KINDS)
def test_every_form_equals_torch_in_shape_and_value(kind):
    import torch
    count = 0
    for case in [c for c in tool.CASES if c.kind == kind]:
        for form in [f for f, batch in tool.FORMS.items() if batch == case.batch]:
            theirs = tool.run(torch, case, "packed" if form == "lengths=" else form)
            ours = tool.run(ts, case, form)
            assert {k: v.shape for k, v in ours.items()} == \
                {k: v.shape for k, v in theirs.items()}, (case, form)
            assert tool.worst(ours, tool.flat(theirs)) < 1e-12, (case, form)
            count += 1
    assert count == 24 * len(tool.FORMS)


def test_the_committed_numbers_are_torchs():
    again = tool.goldens()
    assert set(again) == set(GOLDEN)
    for name, value in again.items():
        if name != "torch":
            np.testing.assert_allclose(value, GOLDEN[name], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("kind", tool.KINDS)
def test_float32_agrees_as_float32_does(kind):
    import torch
    name, options = kind_of(kind)
    ours = getattr(ts.nn, name)(7, 9, 2, bidirectional=True, **options)
    theirs = getattr(torch.nn, name)(7, 9, 2, bidirectional=True, **options)
    ours.load_state_dict(theirs.state_dict())
    x = np.random.RandomState(0).normal(size=(11, 3, 7)).astype(np.float32)
    np.testing.assert_allclose(ours(ts.tensor(x))[0].detach().numpy(),
                               theirs(torch.tensor(x))[0].detach().numpy(), rtol=1e-5, atol=1e-6)


def kind_of(kind):
    name, options = tool.KINDS[kind]
    return name, {**options, **({"proj_size": 4} if "proj_size" in options else {})}


@pytest.mark.parametrize("seed", [0, 1, 2 ** 31 + 7])
@pytest.mark.parametrize("options", [{}, {"bias": False}, {"num_layers": 3},
                                     {"num_layers": 2, "bidirectional": True}], ids=str)
@pytest.mark.parametrize("kind", tool.KINDS)
def test_same_seed_same_weights_names_and_repr(kind, options, seed):
    import torch
    name, more = kind_of(kind)
    found = []
    for lib in (ts, torch):
        lib.manual_seed(seed)
        layer = getattr(lib.nn, name)(5, 33, **options, **more)
        found.append((repr(layer).replace(", nonlinearity=relu", ""),  # torch hides it
                      [(k, tuple(v.shape), np.asarray(v).tobytes())
                       for k, v in layer.state_dict().items()]))
    assert found[0] == found[1]


@pytest.mark.parametrize("kind", tool.KINDS)
def test_weights_go_there_and_back(kind):
    """A state_dict of torch's loads here and one of tinyseq's there, with the same outputs."""
    import torch
    case = tool.Case(kind, 2, 2, True, False, "batched")
    ours, stream = tool.made(ts, case)
    name, options = tool.KINDS[kind]
    theirs = getattr(torch.nn, name)(tool.I, tool.H, 2, bidirectional=True, dtype=torch.float64,
                                     **options)
    theirs.load_state_dict({k: torch.tensor(v.array) for k, v in ours.state_dict().items()})
    x = stream.normal(size=(6, 2, tool.I))
    y = theirs(torch.tensor(x))[0].detach().numpy()
    again = getattr(ts.nn, name)(tool.I, tool.H, 2, bidirectional=True, dtype=ts.float64,
                                 **options)
    again.load_state_dict(theirs.state_dict())
    for layer in (ours, again):
        assert np.abs(layer(ts.tensor(x))[0].array - y).max() < 1e-12
