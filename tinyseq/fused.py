"""A whole layer as one node: products by BLAS, lines by generated kernels, in one loop over time.

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
from tinyseq.layer import PORT, Parts, Weights
from tinyseq.op import OPS, Plan
from tinyseq.ops import reshape
from tinyseq.scope import births, state
from tinyseq.tensor import Tensor, stamp, wrap
from tinyseq.walk import differentiate
from tinyseq.workspace import Run

NO_PLAN = Plan((), (), -1)


def calls(kernel: Callable, arguments: tuple) -> Callable[[int], Any]:
    """One kernel on its arrays, as a function of the step."""
    return lambda t: kernel(t, *arguments)


class Fused:
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
    def run(self, x: Tensor, states: tuple, weights: Weights) -> tuple[Tensor, ...]:
        """All outputs: y (T, N, H or P), then the final states."""
        operands = (x, *states, *weights.flat())
        p = Parts.of(self.cell, operands)
        run = self.forward(p)
        outputs = [wrap(run.states[0][1:])] + [wrap(s[-1].copy()) for s in run.states]
        if state.grad and any(t is not None and t.requires_grad for t in operands):
            self.record(operands, run, outputs)
        return tuple(outputs)

    def forward(self, p: Parts) -> Run:
        cell, dtype = self.cell, p.ih.dtype
        (T, N, I), H = p.x.shape, p.ih.shape[0] // len(cell.gates)
        run = Run(cell, p.x, dtype, H, self.saves_products)
        for first in p.states:
            run.states.append(np.empty((T + 1, *first.shape), dtype))
            run.states[-1][0] = first
        for k, constant in enumerate(p.given):
            run.lines[:, len(self.emitter.kept) + k] = constant
        np.matmul(p.x.reshape(T * N, I), p.ih.T, out=run.Wx.reshape(T * N, p.ih.shape[0]))
        steps = self.step_work(p, run, H)
        with blas.threads(blas.for_product(2.0 * N * p.hh.size)):
            for t in range(T):
                for work in steps:
                    work(t)
        return run

    def step_work(self, p: Parts, run: Run, H: int) -> list[Callable[[int], Any]]:
        """What one step does, in the schedule's order: products, and a kernel for each stage."""
        made = self.compiled(p.ih.dtype)
        arguments = (run.Wx, run.Wh, p.bx, p.bh, *run.states, run.lines, p.vectors)
        work: list[Callable[[int], Any]] = []
        stage = 0
        fresh = True
        for item in self.cell.schedule:
            if isinstance(item, Product):
                work += self.product_work(item, p, run, H)
                fresh = True
            elif fresh:
                kernel = made[f"{self.cell.name}_forward_{stage}"]
                work.append(calls(kernel, arguments))
                stage, fresh = stage + 1, False
        return work

    def product_work(self, item: Product, p: Parts, run: Run, H: int) -> list:
        """One product of a step: the operand's rows with each run of neighbouring gates."""
        source = self.rows_of(item.operand, run)
        if not item.gates:
            weight, out = p.hr.T, run.states[0]  # type: ignore[union-attr]
            return [lambda t: np.matmul(source(t), weight, out=out[t + 1])]
        many = 1 if self.saves_products else 0
        return [lambda t, cut=cut, weight=p.hh[cut].T:
                np.matmul(source(t), weight, out=run.Wh[t * many][:, cut])
                for cut in self.cuts(item, H)]

    def cuts(self, item: Product, H: int) -> list[slice]:
        """The rows of the item's gates as slices, neighbours joined."""
        places = [self.cell.gates.index(gate) for gate in item.gates]
        joined: list[list[int]] = []
        for k in places:
            if joined and joined[-1][1] == k:
                joined[-1][1] = k + 1
            else:
                joined.append([k, k + 1])
        return [slice(first * H, last * H) for first, last in joined]

    def rows_of(self, name: str, run: Run) -> Callable[[int], np.ndarray]:
        """Step t's rows (N, H) of a state before the step, or of a line."""
        cell = self.cell
        if name in cell.states:
            array = run.states[cell.states.index(name)]
            return lambda t: array[t]
        if name in cell.returns:
            array = run.states[cell.returns.index(name)]
            return lambda t: array[t + 1]
        k = self.emitter.kept.index(name)
        return lambda t: run.lines[t, k]

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
    def record(self, operands: tuple, run: Run, outputs: list[Tensor]) -> None:
        parents = tuple([None if t is None or not t.requires_grad
                         else (t if t.node is None else t.node) for t in operands])
        witnesses = [wrap(y.array, None, y.version) for y in outputs]
        saved = (*operands, *witnesses, run)
        node = Node(self, parents, NO_PLAN, saved, stamp(saved), None,
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
        operands = node.saved[:len(node.inputs)]
        if graph:
            yield from self.pull_op_by_op(node, operands, gys)
            return
        p, run = Parts.of(self.cell, operands), node.saved[-1]
        found = self.backward(p, run, gys)
        for k, parent in enumerate(node.inputs):
            if parent is not None:
                yield k, found[k]()

    def pull_op_by_op(self, node: Node, operands: tuple, gys: list) -> Iterator[tuple[int, Any]]:
        """The same gradients with a history of their own: the equations run again, recorded."""
        twins: list[Any] = [None if t is None
                            else reshape(t, t.shape) if parent is not None else t.detach()
                            for t, parent in zip(operands, node.inputs)]
        S = len(self.cell.states)
        y, finals = self.op_by_op(self.cell, twins[0], tuple(twins[1:1 + S]),
                                  Weights.of(twins[1 + S:], self.cell))
        asked = [(out, gy) for out, gy in zip((y, *finals), gys) if gy is not None]
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
        g_out = np.empty_like(gy) if cell.projected else None
        self.walk(p, run, gy, carries, g_Wx, g_Wh, g_vectors, g_out)
        flat_x, flat_h = g_Wx.reshape(T * N, K * H), g_Wh.reshape(T * N, K * H)
        found: list[Callable[[], np.ndarray]] = [
            lambda: (flat_x @ p.ih).reshape(p.x.shape),
            *[lambda g=g: g for g in carries],
            lambda: flat_x.T @ p.x.reshape(T * N, p.x.shape[-1]),
            lambda: self.hidden_weight(p, run, flat_h, H),
            lambda: flat_x.sum(axis=0), lambda: flat_h.sum(axis=0),
            *[lambda k=k: g_vectors[k] for k in range(len(p.vectors))],
            lambda: self.projection(run, g_out)]
        return found

    def gates_workspace(self, side: str, shape: tuple, dtype: np.dtype) -> np.ndarray:
        return np.empty(shape, dtype) if self.complete[side] else np.zeros(shape, dtype)

    def projection(self, run: Run, g_out: np.ndarray | None) -> np.ndarray:
        """dL/d(weight_hr): one product over all steps."""
        assert g_out is not None and self.cell.projected is not None
        return g_out.reshape(-1, g_out.shape[-1]).T @ self.over_time(self.cell.projected, run)

    def hidden_weight(self, p: Parts, run: Run, flat: np.ndarray, H: int) -> np.ndarray:
        """dL/d(weight_hh): for each operand one product over all steps."""
        g = np.zeros_like(p.hh)
        for item in self.cell.schedule:
            if isinstance(item, Product) and item.gates:
                rows = self.over_time(item.operand, run)
                for cut in self.cuts(item, H):
                    np.matmul(flat[:, cut].T, rows, out=g[cut])
        return g

    def walk(self, p: Parts, run: Run, gy: np.ndarray, carries: list[np.ndarray],
             g_Wx: np.ndarray, g_Wh: np.ndarray, g_vectors: np.ndarray,
             g_out: np.ndarray | None) -> None:
        """The loop back over time: kernels and products of a step in reverse order."""
        cell, dtype = self.cell, p.ih.dtype
        (T, N), H = p.x.shape[:2], p.ih.shape[0] // len(cell.gates)
        made = self.compiled(dtype)
        through = np.zeros((max(1, len(self.emitter.by_product)), N, H), dtype)
        scratch = np.empty((self.scratch_rows, N if self.stages > 1 else 1, H), dtype)
        arguments = (run.Wx, run.Wh, p.bx, p.bh, *run.states, run.lines, p.vectors, gy, *carries,
                     g_Wx, g_Wh, scratch, through, g_vectors)
        work: list[Callable[[int], Any]] = []
        stage = self.stages
        fresh = True
        for item in reversed(cell.schedule):
            if isinstance(item, Product):
                work += self.product_back(item, p, carries, g_Wh, through, gy, g_out, H)
                fresh = True
            elif fresh:
                stage, fresh = stage - 1, False
                kernel = made[f"{cell.name}_backward_{stage}"]
                work.append(calls(kernel, arguments))
        with blas.threads(blas.for_product(2.0 * N * p.hh.size)):
            for t in reversed(range(T)):
                for one in work:
                    one(t)

    def product_back(self, item: Product, p: Parts, carries: list[np.ndarray], g_Wh: np.ndarray,
                     through: np.ndarray, gy: np.ndarray, g_out: np.ndarray | None,
                     H: int) -> list:
        """The transpose of one product: from the gates' gradients to the operand's."""
        if not item.gates:
            place, hr, total = self.emitter.by_product.index(item.operand), p.hr, g_out
            assert hr is not None and total is not None

            def unproject(t: int) -> None:
                np.add(carries[0], gy[t], out=total[t])
                np.matmul(total[t], hr, out=through[place])
            return [unproject]
        if item.operand in self.cell.states:
            out = carries[self.cell.states.index(item.operand)]
            keep = item.operand in self.emitter.used
        else:
            out, keep = through[self.emitter.by_product.index(item.operand)], False
        work = []
        for n, cut in enumerate(self.cuts(item, H)):
            rows = p.hh[cut]
            if n == 0 and not keep:
                work.append(lambda t, cut=cut, rows=rows:
                            np.matmul(g_Wh[t][:, cut], rows, out=out))
            else:
                work.append(lambda t, cut=cut, rows=rows:
                            np.add(out, g_Wh[t][:, cut] @ rows, out=out))
        return work
