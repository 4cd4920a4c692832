"""A whole layer as one node: all steps in one generated kernel, forward and back.

Forward keeps what the equations name (the lines and the states); backward turns them into the
gradients of all gates, (T*N, K*H), and takes each weight's gradient as one product over all
steps.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from tinyseq import blas, kernels
from tinyseq.emit import Emitter
from tinyseq.equations import Cell, Product
from tinyseq.graph import Node
from tinyseq.inside import Inside
from tinyseq.layer import PORT, Parts, Weights
from tinyseq.op import OPS, Plan
from tinyseq.refusals import stamp
from tinyseq.scope import births, state
from tinyseq.sweep import cuts
from tinyseq.tensor import Tensor, wrap
from tinyseq.walk import differentiate
from tinyseq.workspace import Run

NO_PLAN = Plan((), (), -1)


class Fused(Inside):
    """The operation "this cell over a layer": records one node with a port for each output."""

    slot = False

    @staticmethod
    @lru_cache(maxsize=64)
    def of(cell: Cell, op_by_op: Callable) -> Fused:
        """The one Fused of a cell; `op_by_op` is how it is re-run to be differentiated twice."""
        return Fused(cell, op_by_op)

    def __init__(self, cell: Cell, op_by_op: Callable) -> None:
        self.cell, self.name = cell, cell.name
        self.op_by_op = op_by_op
        self.emitter = Emitter(cell, OPS)
        self.saves_products = self.emitter.saves_products
        self.stages = len(self.emitter.stages)
        used = self.emitter.used
        self.complete = {side: all(f"W{self.emitter.operand_of.get(g) if side == 'h' else 'x'}_{g}"
                                   in used for g in cell.gates) for side in "xh"}
        self.scratch_rows = len(self.emitter.rows) + 8
        self.made: dict[np.dtype, dict[str, Any]] = {}

    def compiled(self, dtype: np.dtype) -> dict[str, Any]:
        """The cell's kernels for a dtype, looked up once."""
        if dtype not in self.made:
            self.made[dtype] = kernels.for_cell(self.cell, OPS, dtype)
        return self.made[dtype]

    # -- forward --------------------------------------------------------------------------
    def run(self, x: Tensor, states: tuple, weights: Weights,
            times: range | None = None) -> tuple[Tensor, ...]:
        """All outputs: y (T, N, H or P), then the final states.

        `times` says what the steps are called; without it, it is one step, named by the scope.
        """
        operands = (x, *states, *weights.flat())
        p = Parts.of(self.cell, operands)
        run = self.forward(p)
        outputs = [wrap(run.states[0][1:])] + [wrap(s[-1].copy()) for s in run.states]
        if state.grad and any(t is not None and t.requires_grad for t in operands):
            self.record(operands, run, outputs, times)
        return tuple(outputs)

    def forward(self, p: Parts) -> Run:
        """The input's products of all steps as one, then all steps in one kernel."""
        cell, dtype = self.cell, p.ih.dtype
        (T, N, I), H = p.x.shape, p.ih.shape[0] // len(cell.gates)
        run = Run(cell, p.x, dtype, H, self.saves_products)
        for first in p.states:
            run.states.append(np.empty((T + 1, *first.shape), dtype))
            run.states[-1][0] = first
        for k, constant in enumerate(p.given):
            run.lines[:, len(self.emitter.kept) + k] = constant
        with blas.threads(blas.for_product(2.0 * T * N * p.ih.size)):
            np.matmul(p.x.reshape(T * N, I), p.ih.T, out=run.Wx.reshape(T * N, p.ih.shape[0]))
        self.compiled(dtype)[f"{cell.name}_forward"](
            p.hh, p.hr, run.Wx, run.Wh, p.bx, p.bh, *run.states, run.lines, p.vectors)
        return run

    def over_time(self, name: str, run: Run) -> np.ndarray:
        """All steps' rows of a product's operand as one matrix (T*N, H)."""
        cell = self.cell
        if name in cell.states:
            rows = run.states[cell.states.index(name)][:-1]
        elif name in cell.returns:
            rows = run.states[cell.returns.index(name)][1:]
        else:
            rows = run.lines[:, self.emitter.kept.index(name)]
        return rows.reshape(-1, rows.shape[-1])

    # -- recording ------------------------------------------------------------------------
    def record(self, operands: tuple, run: Run, outputs: list[Tensor],
               times: range | None) -> None:
        parents = tuple([None if t is None or not t.requires_grad
                         else (t if t.node is None else t.node) for t in operands])
        witnesses = [wrap(y.array, None, y.version) for y in outputs]
        saved = (*operands, *witnesses, run)
        node = Node(self, parents, NO_PLAN, saved, stamp(saved), times,
                    tuple([y.array.shape for y in outputs]), outputs[0].array.dtype, next(births),
                    state.scope)
        for k, y in enumerate(outputs):  # y itself, then the final states under their lines' names
            scope = state.scope.child(self.cell.returns[k - 1], gate=True) if k else state.scope
            y.node = Node(PORT, (node,), NO_PLAN, (), 0, k, y.array.shape, y.array.dtype,
                          next(births), scope)
            y.requires_grad = True
        if state.tape is not None:
            state.tape.append((outputs, operands))

    # -- backward -------------------------------------------------------------------------
    def pull(self, node: Node, gys: list, graph: bool) -> Iterator[tuple[int, Any]]:
        """(input, gradient) for every operand that needs one."""
        if graph:
            yield from self.pull_op_by_op(node, gys)
            return
        p, run = Parts.of(self.cell, node.saved[:len(node.inputs)]), node.saved[-1]
        found = self.backward(p, run, gys)
        with blas.threads(blas.for_product(2.0 * p.x.shape[0] * p.x.shape[1] * p.hh.size)):
            grads = [(k, found[k]()) for k, parent in enumerate(node.inputs) if parent is not None]
        yield from grads

    def pull_op_by_op(self, node: Node, gys: list) -> Iterator[tuple[int, Any]]:
        """The same gradients with a history of their own: the equations run again, recorded."""
        twins, outputs = self.again(node)
        asked = [(out, gy) for out, gy in zip(outputs, gys)
                 if gy is not None and out.requires_grad]
        stops = [t.node for t, parent in zip(twins, node.inputs) if parent is not None]
        found = differentiate([out for out, _ in asked], [gy for _, gy in asked], True, True,
                              stop=stops)
        for k, (twin, parent) in enumerate(zip(twins, node.inputs)):
            if parent is not None and twin.node in found:
                yield k, found[twin.node]

    def backward(self, p: Parts, run: Run, gys: list) -> list[Callable[[], np.ndarray]]:
        """For each operand a function that gives its gradient; the loop over time is run here."""
        cell, dtype = self.cell, p.ih.dtype
        T, N = p.x.shape[:2]
        K, H = len(cell.gates), p.ih.shape[0] // len(cell.gates)
        gy = np.zeros(run.states[0][1:].shape, dtype) if gys[0] is None \
            else np.ascontiguousarray(gys[0])
        carries = [np.zeros((N, s.shape[-1]), dtype) if g is None else g.copy()
                   for s, g in zip(run.states, gys[1:])]
        g_Wx = self.gates_workspace("x", run.Wx.shape, dtype)
        g_Wh = g_Wx if self.emitter.shared else self.gates_workspace("h", run.Wx.shape, dtype)
        g_vectors = np.zeros_like(p.vectors)
        g_out = np.empty_like(gy) if cell.projected else gy
        through = np.zeros((max(1, len(self.emitter.by_product)), N, H), dtype)
        scratch = np.empty((self.scratch_rows, N if self.stages > 1 else 1, H), dtype)
        self.compiled(dtype)[f"{cell.name}_backward"](
            p.hh, p.hr, run.Wx, run.Wh, p.bx, p.bh, *run.states, run.lines, p.vectors, gy,
            *carries, g_Wx, g_Wh, scratch, through, g_vectors, g_out)
        flat_x, flat_h = g_Wx.reshape(T * N, K * H), g_Wh.reshape(T * N, K * H)
        found: list[Callable[[], np.ndarray]] = [
            lambda: (flat_x @ p.ih).reshape(p.x.shape),
            *[lambda g=g: g for g in carries],
            lambda: flat_x.T @ p.x.reshape(T * N, p.x.shape[-1]),
            lambda: self.hidden_weight(p, run, flat_h, H),
            lambda: flat_x.sum(axis=0), lambda: flat_h.sum(axis=0),
            *[lambda g=g: g.reshape(-1)
              for g in np.split(g_vectors, np.cumsum(p.held[:-1], dtype=int))[:len(p.held)]],
            lambda: self.projection(run, g_out)]
        return found

    def gates_workspace(self, side: str, shape: tuple, dtype: np.dtype) -> np.ndarray:
        return np.empty(shape, dtype) if self.complete[side] else np.zeros(shape, dtype)

    def projection(self, run: Run, g_out: np.ndarray) -> np.ndarray:
        """dL/d(weight_hr): one product over all steps."""
        assert self.cell.projected is not None
        return g_out.reshape(-1, g_out.shape[-1]).T @ self.over_time(self.cell.projected, run)

    def hidden_weight(self, p: Parts, run: Run, flat: np.ndarray, H: int) -> np.ndarray:
        """dL/d(weight_hh): for each operand one product over all steps."""
        g = np.zeros_like(p.hh)
        for item in self.cell.schedule:
            if isinstance(item, Product) and item.gates:
                rows = self.over_time(item.operand, run)
                for first, last in cuts(self.cell, item.gates):
                    np.matmul(flat[:, first * H:last * H].T, rows, out=g[first * H:last * H])
        return g
