"""The number of BLAS threads: set, restored whatever happens, and the numbers stay the same."""
from __future__ import annotations

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import blas

found = blas.controls()
needs_openblas = pytest.mark.skipif(found is None, reason="numpy brings another BLAS here")


@needs_openblas
def test_threads_are_set_and_restored():
    get = found[0]
    before = get()
    with blas.threads(1) as arranged:
        assert arranged and get() == 1
        with blas.threads(2):
            assert get() == min(2, get()) and get() in (1, 2)
        assert get() == 1
    assert get() == before
    with pytest.raises(KeyError):
        with blas.threads(1):
            raise KeyError
    assert get() == before


@needs_openblas
def test_a_layer_leaves_the_number_as_it_was():
    get = found[0]
    before = get()
    lstm, x = ts.nn.LSTM(3, 4), ts.randn(5, 2, 3)
    y, _ = lstm(x)
    y.sum().backward()
    assert get() == before


def test_without_openblas_nothing_happens(monkeypatch):
    monkeypatch.setattr(blas, "controls", lambda: None)
    with blas.threads(1) as arranged:
        assert arranged is False
    a = np.ones((3, 3))
    assert (a @ a == 3).all() and blas.for_product(1e12) == 1


def test_small_products_ask_for_one_thread():
    assert blas.for_product(1e5) == 1
