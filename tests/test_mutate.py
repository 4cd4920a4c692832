"""tools/mutate: mutants of every kind are found and named, and a survivor is an error."""
from __future__ import annotations

import importlib.machinery
import importlib.util
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mutants_cells
import mutants_kernels
import mutants_optim
import mutants_sequence
import mutation
import tinyseq as ts
from tinyseq import nn
from tinyseq.nn import lanes
from tinyseq.op import OPS, Op

ROOT = Path(__file__).resolve().parent.parent
ROWS = [*mutants_sequence.SEQUENCE, *mutants_sequence.PUBLISHED, *mutants_sequence.LAYOUT]


@pytest.fixture(scope="module")
def tool() -> Any:
    loader = importlib.machinery.SourceFileLoader("mutate", str(ROOT / "tools" / "mutate"))
    spec = importlib.util.spec_from_loader("mutate", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def sample() -> list[mutation.Outcome]:
    """The outcomes of `tools/mutate --fast`, all in this process."""
    return mutation.outcomes(mutation.jobs(fast=True), processes=1)


# -- the runner ---------------------------------------------------------------------------------
def test_a_sample_of_every_kind_is_found_and_named(sample):
    parts = {o.part for o in sample}
    assert {"operations", "cells", "kernels", "RNN", "published", "sequence",
            "optimizers"} <= parts and len(sample) > 120
    assert mutation.survivors(sample) == []
    assert [o.mutant for o in sample if o.killers and not o.named] == []


def test_the_command_prints_the_table(tool, sample, monkeypatch, capsys):
    monkeypatch.setattr(mutation, "outcomes", lambda jobs, processes: sample)
    assert tool.main(["--fast"]) == 0
    said = capsys.readouterr().out
    assert f"| all | {len(sample)} | {len(sample)} | {len(sample)} | 0 | 0 |" in said


def test_a_survivor_is_an_error_and_named(tool, sample, monkeypatch, capsys):
    lives = mutation.Outcome("cells", "lstm, f: a mutant that lives", (), False)
    monkeypatch.setattr(mutation, "outcomes", lambda jobs, processes: [*sample, lives])
    assert tool.main(["--fast"]) == 1
    assert "survives: cells: lstm, f: a mutant that lives" in capsys.readouterr().out


def test_too_many_excuses_are_an_error(tool, sample, monkeypatch, capsys):
    excused = [mutation.Outcome("kernels", f"{k}", (), False, entry[3])
               for entry in mutants_kernels.EQUIVALENT for k in range(9)]
    monkeypatch.setattr(mutation, "outcomes", lambda jobs, processes: [*sample, *excused])
    assert tool.main([]) == 1 and "more than 3%" in capsys.readouterr().out
    monkeypatch.setattr(mutation, "outcomes", lambda jobs, processes: sample)
    assert tool.main([]) == 1 and "excuses nothing: ('*'" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        tool.main(["--fast", "--write"])


def test_the_page_is_of_this_very_package(sample):
    """docs/mutants.md: enough mutants, none survives; its lists are of the mutants there are."""
    page = (ROOT / "docs" / "mutants.md").read_text(encoding="utf-8")
    total = re.search(r"\| all \|" + r" ([\d,]+) \|" * 5, page)
    assert total is not None
    made, killed, named, equal, alive = [int(n.replace(",", "")) for n in total.groups()]
    assert made >= 1000 and alive == 0 and killed + equal == made
    assert named >= 0.95 * killed and equal <= 0.03 * made
    for o in sample:
        if o.part in ("RNN", "published", "sequence", "optimizers"):
            assert f"| {mutation.cell_text(o.mutant)} | " in page, f"tools/mutate --write: {o}"


# -- what the mutants are planted in ------------------------------------------------------------
def test_every_check_of_layers_and_optimizers_finds_something(sample):
    for part, module in (("sequence", mutants_sequence), ("optimizers", mutants_optim)):
        of = [o for o in sample if o.part == part]
        assert {name for o in of for name in o.killers} == set(module.CHECKS)
    alone = {o.killers[0] for o in sample if o.part == "sequence" and len(o.killers) == 1}
    assert {"F3", "F6", "dropout", "twice", "truncated", "forget bias"} <= alone
    assert len(mutants_sequence.SEQUENCE) == 16 and len(mutants_optim.OPTIM) == 14


@pytest.mark.parametrize("checks", [mutants_sequence.CHECKS, mutants_optim.CHECKS],
                         ids=["layers", "optimizers"])
def test_the_checks_pass_without_a_mutant(checks):
    for check in checks.values():
        check()


@pytest.mark.parametrize("mutant", [*ROWS, *mutants_optim.OPTIM], ids=lambda m: m.name)
def test_a_patch_is_taken_back(mutant):
    owner = vars(mutant.owner) if mutant.owner is not OPS else OPS[mutant.attribute].rules
    key = mutant.attribute if mutant.owner is not OPS else 0
    before = owner[key]
    with pytest.raises(ZeroDivisionError), mutants_sequence.planted(mutant):
        assert owner[key] is not before
        raise ZeroDivisionError
    assert owner[key] is before


def test_a_line_that_has_changed_is_said_to_be_missing():
    stale = mutants_sequence.patch("stale", lanes, "backwards", "no such line", "", says="")
    with pytest.raises(ValueError, match="'no such line' is 0 times in backwards"):
        with mutants_sequence.planted(stale):
            raise AssertionError("it was planted")


# -- cells and kernels --------------------------------------------------------------------------
@pytest.mark.parametrize("name", mutants_cells.CELLS)
def test_cells_without_a_mutant_pass_their_check(name):
    assert mutants_cells.differing(name) == []
    places = mutants_cells.places(name)
    lines = {place.at.split("/")[0] for place in places}
    assert {line for line, _, _ in mutants_cells.CELLS[name].written} <= lines


def test_a_mutant_at_one_gate_leaves_the_others_alone():
    place = next(p for p in mutants_cells.places("lstm") if p.at == "f")
    flip = next(m for m in mutants_cells.cell_mutants(place) if m.family == "sign flipped")
    right, pull = mutants_cells.gradients("lstm"), Op.pull
    with mutants_cells.planted_at(place, flip):
        wrong = mutants_cells.gradients("lstm")
    assert Op.pull is pull and mutants_cells.differing("lstm") == []
    rows = np.split(wrong["bias_ih"] - right["bias_ih"], 4)  # i f g o
    assert np.abs(rows[1]).max() > 1 and str(place) == "lstm, f: sigmoid"
    off, said = mutants_cells.found(place, flip)
    assert "bias_ih" in off and mutants_cells.names(place, said)
    other = next(p for p in mutants_cells.places("lstm") if p.at == "i")
    assert not mutants_cells.names(other, said)


@pytest.mark.parametrize("name", mutants_kernels.ALL)
def test_the_right_kernel_in_plain_python_is_the_equations(name):
    tree = mutants_kernels.trees(name)[f"{name}_backward"]
    assert mutants_kernels.differing(name, mutants_kernels.function(tree)) == []
    right = mutants_kernels.wanted(name)
    assert sum(row in right for row in mutants_kernels.views(name)) >= 3


def test_a_kernels_mutant_is_in_it_and_nowhere_else():
    mutant = next(m for m in mutants_kernels.kernel_mutants("lstm")
                  if m.target == "g_f" and m.family == "sign flipped")
    assert mutants_kernels.differing("lstm", mutants_kernels.built(mutant)) != []
    assert mutants_kernels.named(mutant)
    assert not mutants_kernels.named(mutant._replace(target="g_i"))
    tree = mutants_kernels.trees("lstm")["lstm_backward"]
    assert mutants_kernels.differing("lstm", mutants_kernels.function(tree)) == []
    with ts.detail("layers"):  # and layers run their own kernels again
        y, _ = nn.LSTM(2, 3)(ts.ones(4, 1, 2))
    assert y.shape == (4, 1, 3)
