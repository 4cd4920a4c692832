#!/usr/bin/env python3
"""Write what PyTorch's optimizers and schedules do in 20 steps: tests/goldens/optim.npz.

Gradients are drawn from the step's number, so only parameters and rates are stored, in float64.
The tests (test_schedules.py) run the same cases through `run`, for either library.
"""
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

GOLDEN = Path(__file__).resolve().parent.parent / "tests" / "goldens" / "optim.npz"
OPTIMIZERS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.1, "momentum": 0.9, "maximize": True, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("Adam", {"lr": 0.1, "amsgrad": True}), ("Adam", {"maximize": True, "weight_decay": 0.1}),
    ("AdamW", {}), ("AdamW", {"lr": 0.1, "weight_decay": 0.3, "amsgrad": True}),
    ("RMSprop", {}), ("RMSprop", {"centered": True, "momentum": 0.5, "weight_decay": 0.1}),
    ("RMSprop", {"alpha": 0.5, "eps": 1e-3, "maximize": True}), ("Adagrad", {}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.2, "weight_decay": 0.1, "eps": 1e-3,
                 "initial_accumulator_value": 0.5}),
    ("Adadelta", {}), ("Adadelta", {"lr": 0.5, "rho": 0.7, "eps": 1e-3, "weight_decay": 0.1})]
SCHEDULES: list[tuple[str, dict[str, Any]]] = [
    ("StepLR", {"step_size": 4, "gamma": 0.5}), ("MultiStepLR", {"milestones": [3, 9, 9]}),
    ("ExponentialLR", {"gamma": 0.9}), ("CosineAnnealingLR", {"T_max": 7, "eta_min": 0.01}),
    ("LambdaLR", {"lr_lambda": lambda epoch: 1 / (1 + epoch)}), ("LinearLR", {}),
    ("LinearLR", {"start_factor": 0.5, "end_factor": 0.1, "total_iters": 8}),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 21}),
    ("OneCycleLR", {"max_lr": 0.5, "epochs": 5, "steps_per_epoch": 5, "three_phase": True}),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 30, "anneal_strategy": "linear",
                    "pct_start": 0.4, "div_factor": 5.0, "final_div_factor": 10.0})]


def gradient(shape: Any, step: int) -> np.ndarray:
    """The gradient at a step, for both libraries."""
    return np.asarray(np.random.default_rng(step).normal(size=shape))


def run(optim: Any, parameter: Any, array: Any) -> dict[str, np.ndarray]:
    """Every case in one library, which gives a parameter of an array and an array's own kind."""
    found: dict[str, np.ndarray] = {}
    for k, (name, options) in enumerate(OPTIMIZERS):
        p = parameter(np.linspace(-1, 1, 6).reshape(2, 3))
        optimizer, seen = getattr(optim, name)([p], **options), []
        for step in range(20):
            p.grad = array(gradient((2, 3), step))
            optimizer.step()
            seen.append(p.detach().numpy().copy())
        found[f"optimizer {k} {name}"] = np.array(seen)
    for k, (name, options) in enumerate(SCHEDULES):
        optimizer = optim.SGD([parameter(np.zeros(1))], lr=0.1, momentum=0.9)
        schedule, rates = getattr(optim.lr_scheduler, name)(optimizer, **options), []
        for _ in range(20):
            rates.append([schedule.get_last_lr()[0], optimizer.param_groups[0]["momentum"]])
            optimizer.step()
            schedule.step()
        found[f"schedule {k} {name}"] = np.array(rates)
    return found


def main() -> None:
    """Write the file."""
    import torch
    values = run(torch.optim, lambda a: torch.nn.Parameter(torch.tensor(a)), torch.tensor)
    np.savez_compressed(GOLDEN, torch=np.array(torch.__version__.split("+")[0]),
                        **values)  # type: ignore[arg-type]
    print(f"{GOLDEN.name}: {len(values)} cases")


if __name__ == "__main__":
    main()
