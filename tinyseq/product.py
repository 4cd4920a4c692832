"""The small matrix product for kernels: a tile of the result stays in registers all along.

B is packed once into panels as wide as a tile, so that it is read in order; then a tile of ROWS
rows and two vectors of columns of C = A B costs one load and two multiply-adds a row and step.
The text is pasted whole into every kernel's file: it needs nothing but numpy and numba.
"""
from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

WIDE = bool(binding.get_host_cpu_features().get("avx512f"))
BYTES = 64 if WIDE else 32  # of one vector register
ROWS = 8 if WIDE else 4     # times two vectors: as many sums as the registers hold
VECTORS = 2
TILE: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract"}}


def tile_of(rows: int) -> Any:
    """The tile with `rows` rows: C (rows, w) = A (rows, K) B (K, w), or C += A B if `add`."""

    @intrinsic
    def tile(typingctx: Any, A: Any, a: Any, lda: Any, B: Any, b: Any, K: Any, C: Any, c: Any,
             ldc: Any, add: Any) -> Any:
        """Each matrix is an array, where in it the matrix begins, and how long its rows are."""
        whole = types.intp
        signature = types.void(A, whole, whole, B, whole, whole, C, whole, whole, types.boolean)
        return signature, lambda context, builder, signature, arguments: Tile(
            context, builder, signature, arguments, rows).emit()

    return tile


class Tile:
    """Writes the instructions of one tile."""

    def __init__(self, context: Any, builder: Any, signature: Any, arguments: Any,
                 rows: int) -> None:
        self.context, self.builder = context, builder
        self.A, a, self.lda, self.B, b, self.K, self.C, c, self.ldc, self.add = arguments
        kinds = signature.args
        self.A, self.B, self.C = (
            builder.gep(context.make_array(kinds[k])(context, builder, arguments[k]).data, [at])
            for k, at in ((0, a), (3, b), (6, c)))
        self.real = context.get_value_type(kinds[0].dtype)
        self.size = 4 if isinstance(self.real, ir.FloatType) else 8
        self.width = BYTES // self.size
        self.vector = ir.VectorType(self.real, self.width)
        self.rows, self.whole = rows, self.K.type
        zero = ir.Constant(self.vector, [0.0] * self.width)
        self.sums = [[cgutils.alloca_once(builder, self.vector) for _ in range(VECTORS)]
                     for _ in range(rows)]
        for row in self.sums:
            for place in row:
                builder.store(zero, place)

    def emit(self) -> Any:
        """The loop over K, and the result's way to C."""
        builder = self.builder
        with cgutils.for_range(builder, self.K) as loop:
            panel = self.moved(self.B, loop.index, VECTORS * self.width)
            columns = [self.load(panel, v) for v in range(VECTORS)]
            for r in range(self.rows):
                a = builder.load(builder.gep(self.moved(self.A, self.lda, r), [loop.index]))
                for v in range(VECTORS):
                    product = builder.fmul(self.splat(a), columns[v], flags=("contract",))
                    builder.store(builder.fadd(builder.load(self.sums[r][v]), product,
                                               flags=("contract",)), self.sums[r][v])
        for r in range(self.rows):
            row = self.moved(self.C, self.ldc, r)
            for v in range(VECTORS):
                total = builder.load(self.sums[r][v])
                both = builder.fadd(total, self.load(row, v))
                builder.store(builder.select(self.add, both, total), self.place(row, v),
                              align=self.size)
        return self.context.get_dummy_value()

    def moved(self, pointer: Any, steps: Any, by: int) -> Any:
        """The pointer `steps * by` elements on."""
        return self.builder.gep(pointer, [self.builder.mul(steps, ir.Constant(self.whole, by))])

    def place(self, pointer: Any, v: int) -> Any:
        """Where the v-th vector after a pointer lies."""
        at = self.builder.gep(pointer, [ir.Constant(self.whole, v * self.width)])
        return self.builder.bitcast(at, self.vector.as_pointer())

    def load(self, pointer: Any, v: int) -> Any:
        """The v-th vector after a pointer."""
        return self.builder.load(self.place(pointer, v), align=self.size)

    def splat(self, a: Any) -> Any:
        """A number in every element of a vector."""
        empty = ir.Constant(self.vector, ir.Undefined)
        first = self.builder.insert_element(empty, a, ir.Constant(ir.IntType(32), 0))
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), self.width), [0] * self.width)
        return self.builder.shuffle_vector(first, empty, everywhere)


tile_rows, tile_row = tile_of(ROWS), tile_of(1)


@njit(**TILE)
def packed(W: Any, first: int, last: int, transposed: bool) -> Any:
    """W[first:last], or its transpose, in panels (panels, K, w): B of a product."""
    w, rows = VECTORS * BYTES // W.itemsize, last - first
    K, M = (W.shape[1], rows) if transposed else (rows, W.shape[1])
    B = np.empty(((M + w - 1) // w, K, w), W.dtype)
    for q in range(B.shape[0]):
        for k in range(K):
            for j in range(w):
                m = q * w + j
                if m >= M:
                    B[q, k, j] = 0
                elif transposed:
                    B[q, k, j] = W[first + m, k]
                else:
                    B[q, k, j] = W[first + k, m]
    return B


@njit(**TILE)
def product(A: Any, a: int, B: Any, C: Any, c: int, width: int, add: bool) -> None:
    """C[:, c:c+width] = A[:, a:a+K] B, or += if `add`; A and C with contiguous rows, B packed."""
    N, K, w = A.shape[0], B.shape[1], B.shape[2]
    lda, ldc = A.shape[1], C.shape[1]
    for q in range(B.shape[0]):
        n, at = 0, c + q * w
        if width - q * w >= w:
            while n + ROWS <= N:
                tile_rows(A, n * lda + a, lda, B, q * K * w, K, C, n * ldc + at, ldc, add)
                n += ROWS
            while n < N:
                tile_row(A, n * lda + a, lda, B, q * K * w, K, C, n * ldc + at, ldc, add)
                n += 1
        else:  # the last panel is wider than what is left of C: by way of a row of its own
            last = np.empty(w, A.dtype)
            for n in range(N):
                tile_row(A, n * lda + a, lda, B, q * K * w, K, last, 0, w, False)
                for j in range(width - q * w):
                    C[n, at + j] = C[n, at + j] + last[j] if add else last[j]
