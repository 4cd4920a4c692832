"""The house: who may import whom, how long things may be, and what is nowhere to be found."""
from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import tinyseq
from tinyseq.cells import CELLS

PACKAGE = Path(tinyseq.__file__).resolve().parent

# Lowest floor first. A file imports from lower floors or from earlier files of its own floor. A
# package stands for its files, which may import each other as long as that makes no circle.
FLOORS = (
    ("blas", "errors", "scope", "mode", "device", "cuda", "array", "scalar", "product"),
    ("tree", "graph", "rule", "typeset"),
    ("tensor", "hooks", "refusals", "walk", "adjoint", "places", "sweep", "emit"),
    ("kernels",),
    ("calling", "samples", "op", "cut"),
    ("ops",),
    ("derivation", "equations", "cells", "variants"),
    ("workspace", "layer", "inside", "fused", "unroll"),
    ("__init__",),
    ("recompute", "autograd", "forward", "batching", "func"),
    ("nn", "optim", "data", "io", "convert", "utils"),
    ("replay", "probe", "culprit", "flow", "draw", "markup", "gradcheck"),
    ("bptt", "bugs"),
    ("facts", "report", "byhand", "doctor", "study", "checks", "cli", "__main__"),
)
ORDER = {unit: (floor, place) for floor, units in enumerate(FLOORS)
         for place, unit in enumerate(units)}

# Imports that go upwards all the same: (file, what), and why.
UPWARDS: dict[tuple[str, str], str] = {
    ("__init__", "draw.record"): "ts.draw is a function, and must stand over the package draw",
    ("__init__", "probe"): "ts.probe is a function, and must stand over the file probe"}

CORE = ("scope", "graph", "rule", "tensor", "walk", "op", "equations", "cells", "unroll")
FLAT = ("graph", "walk", "tensor", "fused", "unroll", "replay")  # where nothing calls itself
TREES = {("unroll", "visit"): "an expression of one line, as deep as its author nested it"}


def modules() -> dict[str, Path]:
    """Every module by its dotted name below tinyseq; a package is its `__init__`."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" and parts[:-1] else parts)] = path
    return found


MODULES = modules()
GENERATED = {f"kernels.{name}" for name in CELLS}
TREE = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}
WRITTEN = [name for name in MODULES if name not in GENERATED]
each_module = pytest.mark.parametrize("name", WRITTEN)


def unit(name: str) -> str:
    return name.split(".")[0]


def imports(name: str) -> Iterator[str]:
    """The modules of tinyseq that a module imports, wherever in its text."""
    for node in ast.walk(TREE[name]):
        if isinstance(node, ast.Import):
            wanted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: write the import in full"
            wanted = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for dotted in wanted:
            if dotted.split(".")[0] == "tinyseq":
                yield target(dotted.split(".")[1:])


def target(parts: list[str]) -> str:
    """The module that a dotted name lies in: its longest beginning that is one."""
    while parts and ".".join(parts) not in MODULES:
        parts = parts[:-1]
    return ".".join(parts) or "__init__"


def functions(name: str) -> Iterator[ast.FunctionDef]:
    for node in ast.walk(TREE[name]):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node  # type: ignore[misc]


# -- floors -------------------------------------------------------------------------------
def test_every_file_has_a_floor_and_a_floor_has_files():
    assert {unit(name) for name in MODULES} - set(ORDER) == set(), "place these on a floor"
    assert {"graph", "op", "ops", "nn", "draw", "study"} <= {unit(name) for name in MODULES}
    assert sum(len(list(imports(name))) for name in MODULES) > 150


@each_module
def test_imports_go_down(name):
    for other in imports(name):
        if unit(other) != unit(name) and (name, other) not in UPWARDS:
            assert ORDER[unit(other)] < ORDER[unit(name)], f"{name} imports {other}"


def test_no_circle_inside_a_package():
    left = {name: {other for other in imports(name) if unit(other) == unit(name)} - {name}
            for name in MODULES}
    while left:
        free = [name for name, wanted in left.items() if not wanted & set(left)]
        assert free, f"these import each other in a circle: {sorted(left)}"
        for name in free:
            del left[name]


def test_the_check_of_imports_can_fail(monkeypatch):
    monkeypatch.setitem(TREE, "graph", ast.parse("def f():\n    from tinyseq.nn import module"))
    assert list(imports("graph")) == ["nn.module"]
    with pytest.raises(AssertionError, match="graph imports nn.module"):
        test_imports_go_down("graph")
    monkeypatch.setitem(TREE, "ops.arithmetic", ast.parse("from tinyseq.ops import loss"))
    with pytest.raises(AssertionError, match="circle"):
        test_no_circle_inside_a_package()


def test_nothing_leans_on_the_hand_written_witness():
    assert list(imports("byhand")) == []
    leaning = {unit(name) for name in MODULES if "byhand" in imports(name)}
    assert leaning == {"study"}


def test_heavy_packages_are_imported_inside_functions():
    heavy = {"numba", "llvmlite", "graphviz", "matplotlib", "tqdm", "safetensors", "torch"}
    for name in set(WRITTEN) - {"scalar", "product"}:
        for node in TREE[name].body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                named = [a.name for a in node.names] if isinstance(node, ast.Import) \
                    else [node.module or ""]
                assert not {n.split(".")[0] for n in named} & heavy, f"{name}, line {node.lineno}"


@pytest.mark.parametrize("name", tinyseq.LATER)
def test_what_is_imported_later_is_there(name):
    module, _, attribute = tinyseq.LATER[name].partition(":")
    assert hasattr(importlib.import_module(module), attribute or "__doc__")


# -- sizes --------------------------------------------------------------------------------
def lines(name: str) -> list[str]:
    return MODULES[name].read_text(encoding="utf-8").splitlines()


@each_module
def test_a_file_fits_300_lines_of_99_columns(name):
    text = lines(name)
    assert len(text) <= 300
    assert [k + 1 for k, line in enumerate(text) if len(line) > 99] == []


@each_module
def test_a_function_fits_40_lines(name):
    long = {f.name: f.end_lineno - f.lineno + 1 for f in functions(name)
            if f.end_lineno - f.lineno + 1 > 40}
    assert long == {}


def test_the_core_fits_1500_lines_docstrings_included():
    core = {name: len(lines(name)) for name in CORE}
    assert sum(core.values()) <= 1500, core


def test_the_package_fits_20000_lines_of_code():
    """Lines that compute; blank ones, comments and docstrings are not rationed."""
    total = 0
    for name in WRITTEN:
        prose = {k for node in ast.walk(TREE[name])
                 if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
                 for k in range(node.lineno, node.end_lineno + 1)}
        total += sum(1 for k, line in enumerate(lines(name), 1)
                     if k not in prose and line.strip() and not line.strip().startswith("#"))
    assert 3_000 < total <= 20_000


# -- docstrings ---------------------------------------------------------------------------
@each_module
def test_what_is_public_says_what_it_is(name):
    tree = TREE[name]
    assert ast.get_docstring(tree)
    silent = [node.name for node in tree.body
              if isinstance(node, (ast.FunctionDef, ast.ClassDef))
              and not node.name.startswith("_") and not ast.get_docstring(node)]
    assert silent == []


# -- what is nowhere to be found ----------------------------------------------------------
def calls_itself(function: ast.FunctionDef) -> bool:
    """Whether a function's text calls its own name, plainly or on `self`."""
    for node in ast.walk(function):
        if isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Name) and called.id == function.name:
                return True
            if isinstance(called, ast.Attribute) and called.attr == function.name \
                    and isinstance(called.value, ast.Name) and called.value.id == "self":
                return True
    return False


def test_no_recursion_over_graphs():
    found = {(name, f.name) for name in FLAT if name in MODULES for f in functions(name)
             if calls_itself(f)}
    assert found == set(TREES)
    assert any(calls_itself(f) for f in functions("adjoint"))  # the check sees one where one is


def called(word: str) -> list[str]:
    """Where a builtin of that name is called."""
    return [name for name in MODULES for node in ast.walk(TREE[name])
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            and node.func.id == word]


def test_one_exec_and_no_eval():
    assert called("exec") == ["kernels"]
    assert called("eval") == [] and called("__import__") == []


def test_nothing_is_pickled():
    for name in MODULES:
        for node in ast.walk(TREE[name]):
            named = [a.name for a in node.names] if isinstance(node, ast.Import) else \
                [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not set(named) & {"pickle", "marshal", "shelve", "dill", "cloudpickle"}, name


def settings(tree: ast.AST) -> Iterator[tuple[str, object]]:
    """(word, value) for every constant given as a keyword or in a dict."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and isinstance(node.value, ast.Constant):
            yield node.arg or "", node.value.value
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values):
                if isinstance(key, ast.Constant) and isinstance(value, ast.Constant):
                    yield str(key.value), value.value


def test_no_dangerous_settings():
    refused = {("allow_pickle", True), ("parallel", True), ("fastmath", True),
               ("shell", True), ("error_model", "python")}
    for name in MODULES:
        assert not set(settings(TREE[name])) & refused, name
    assert ("error_model", "numpy") in set(settings(TREE["kernels"]))


def test_generated_kernels_hold_functions_and_nothing_else():
    for name in GENERATED:
        head, *rest = TREE[name].body
        assert isinstance(head, ast.Expr) and rest
        assert all(isinstance(node, ast.FunctionDef) for node in rest)
