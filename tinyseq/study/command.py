"""The main job, from options to a folder: five parts, a line or two each, and the report."""
from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tinyseq import __version__, blas
from tinyseq.data.ngram import baselines
from tinyseq.data.text import load_text
from tinyseq.errors import GradcheckError
from tinyseq.facts import Facts
from tinyseq.io import save
from tinyseq.ops import manual_seed
from tinyseq.report import write_report, write_text
from tinyseq.study import pictures
from tinyseq.study.check import T as STEPS
from tinyseq.study.check import checked, planted
from tinyseq.study.hand import T, compare
from tinyseq.study.measure import LAGS, measure
from tinyseq.study.model import CharacterModel
from tinyseq.study.options import Options
from tinyseq.study.train import CLIP, Training, sample, train, warm_up
from tinyseq.graph import Graph

WORST_CHECK, WORST_HAND = 1e-7, 1e-12
START, LENGTH, TEMPERATURE = "The ", 240, 0.6
NAMES = {1: "unigram", 2: "bigram", 3: "trigram"}


class Study:
    """One run: its options, what it has found so far, and where it writes."""

    def __init__(self, options: Options) -> None:
        options.check()
        self.options = options
        self.text = load_text(options.text, options.steps)
        self.folder = options.folder()
        self.svgs: dict[str, str] = {}
        self.seconds: dict[str, float] = {}
        self.ok = True
        o = options
        command = f"tinyseq study --cell {o.cell} --hidden {o.hidden} --steps {o.steps}"
        command += f" --updates {o.updates}" if o.updates else f" --budget {o.budget:g}"
        self.facts: Facts = {
            "version": __version__, "cell": o.cell, "hidden": o.hidden, "steps": o.steps,
            "seed": o.seed, "command": f"{command} --seed {o.seed}", "interrupted": False,
            "text": {"name": self.text.name, "characters": self.text.characters,
                     "symbols": len(self.text.symbols)}}

    # -- what a person sees --------------------------------------------------------------------
    def print(self, part: str, line: str, note: str = "") -> None:
        clear_progress()
        print(f"{part:<15}{line:<74}{note}".rstrip(), flush=True)

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        progress(f"{part} ...")
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[part] = time.perf_counter() - began
            self.facts["times"] = {k: round(v, 2) for k, v in self.seconds.items()}

    def took(self, part: str) -> str:
        return f"{self.seconds[part]:6.1f} s"

    # -- the five parts --------------------------------------------------------------------------
    def check(self) -> None:
        with self.timed("check"):
            report = checked(self.options.cell, self.options.seed)
            with planted() as mistake:
                wrong = checked(self.options.cell, self.options.seed)
        caught = not wrong.ok
        self.ok &= report.ok and report.worst <= WORST_CHECK and caught
        worst: dict[str, float] = {}
        for row in report.rows:  # a line's steps together: the page has a row for each line
            name = f"line {row.gate}, {STEPS} steps" if row.gate else row.name
            worst[name] = max(row.error, worst.get(name, 0.0))
        rows = sorted(worst.items(), key=lambda item: -item[1])
        self.facts["check"] = {
            "rows": [{"name": name, "error": error} for name, error in rows],
            "passed": report.ok and report.worst <= WORST_CHECK, "dtype": "float64", "eps": 1e-5,
            "bug": {"name": mistake, "error": wrong.worst}, "bug_caught": caught}
        self.print("[1/5] check", f"{report.count:,} derivatives, every line at every step: worst "
                   f"error {report.worst:.1e} ({rows[0][0]})",
                   f"{'ok' if report.ok else 'FAILED':<7}{self.took('check')}")
        self.print("", f'planted mistake "{mistake}": {wrong.worst:.1e}',
                   "caught" if caught else "NOT CAUGHT")
        if caught and wrong.culprit:
            self.print("", str(wrong.culprit).splitlines()[0])

    def by_hand(self) -> None:
        with self.timed("by hand"):
            found = [compare(name, self.options.seed) for name in ("rnn_tanh", "lstm")]
        worst = max(agreement.worst for agreement in found)
        self.ok &= worst <= WORST_HAND
        self.facts["by_hand"] = {
            "rows": [{"cell": a.cell, "gradients": a.gradients, "shares": a.shares,
                      "total": a.total} for a in found],
            "steps": T, "passed": worst <= WORST_HAND}
        self.print("[2/5] by hand", f"numpy BPTT by hand = recorded graph = sum of {T} shares, "
                   f"to {worst:.0e}", f"{'ok' if worst <= WORST_HAND else 'FAILED':<7}"
                   f"{self.took('by hand')}")

    def see(self) -> None:
        o = self.options
        with self.timed("see"):
            loss = pictures.unrolled(o.cell, min(o.hidden, 16), o.seed)
            assert loss.node is not None
            nodes = len(Graph([loss.node]))
            self.svgs |= pictures.see(self.folder, loss)
        self.facts["see"] = {"steps": 4, "nodes": nodes}
        self.print("[3/5] see", f"unrolled 4 steps, {nodes} nodes: unrolled.svg, unrolled.dot",
                   f"{'':<7}{self.took('see')}")

    def measure(self) -> None:
        o = self.options
        with self.timed("measure"):
            found = measure(o.cell, o.hidden, o.seed)
            self.svgs |= pictures.lag(self.folder, found)
        kept = found.kept[min(o.steps, len(found.kept)) - 1]
        self.facts["measure"] = {
            "lags": list(LAGS), "norms": {name: [curve[lag] for lag in LAGS]
                                          for name, curve in found.curves.items()},
            "theory": [found.theory[lag] for lag in LAGS], "radius": found.radius,
            "steps": o.steps, "kept": kept}
        self.print("[4/5] measure", "‖dL/dh‖ at lag  " + "".join(f"{lag:>10}" for lag in LAGS),
                   f"{'':<7}{self.took('measure')}")
        for name, curve in [*found.curves.items(), ("σ(1)^lag", found.theory)]:
            self.print("", f"  {name:<14}" + "".join(f"{curve[lag]:>10.1e}" for lag in LAGS)
                       + (f"   rho(W_hh) {found.radius:.2f}" if name == "rnn" else ""))
        self.print("", f"truncating at {o.steps} steps leaves {kept:.0%} of ‖dW_hh‖")

    def train(self) -> None:
        o, text, V = self.options, self.text, len(self.text.symbols)
        with self.timed("baselines"):
            lines = baselines(text.train, text.validation, V)
        manual_seed(o.seed)
        model = CharacterModel(o.cell, V, o.hidden)
        course = Training()
        with self.timed("compile"):
            warm_up(model, text, o)
        self.print("[5/5] train", f"start {math.log(V):.2f} (= ln {V})  " + "  ".join(
            f"{NAMES.get(n, f'{n}-gram')} {nats:.2f}" for n, nats in lines.items()))
        self.print("", f"kernels ready after {self.seconds['compile']:.1f} s")
        with self.timed("train"), blas.threads(1):  # (these products are small)
            try:
                for point in train(model, text, o, course, progress):
                    below = [n for n, nats in lines.items() if point["nats"] < nats]
                    self.print("", f"{point['seconds']:5.1f} s  {point['updates']:.0f} updates: "
                               f"{point['nats']:.3f} nats a character", "<- below the "
                               f"{NAMES.get(max(below), f'{max(below)}-gram')}" if below else "")
            finally:
                self.report_training(model, course, lines)

    def report_training(self, model: CharacterModel, course: Training,
                        lines: dict[int, float]) -> None:
        """Facts, pictures, model and sample of a training, whole or interrupted."""
        text = self.text
        if not course.updates:
            return
        strip, health = pictures.gates(self.folder, model, text.validation, text.symbols)
        self.svgs |= strip
        self.svgs |= pictures.loss_curve(self.folder, course.points, course.start, lines)
        self.facts["train"] = {
            "uniform": math.log(len(text.symbols)), "first_loss": course.first_loss,
            "baselines": {str(n): nats for n, nats in lines.items()},
            "points": course.points, "updates": course.updates,  # type: ignore[typeddict-item]
            "clip": CLIP, "clipped": course.clipped / course.updates,
            "largest_norm": course.largest_norm, **health}  # type: ignore[typeddict-item]
        save(model.state_dict(), self.folder / "model.npz")
        written = sample(model, text, START, LENGTH, self.options.seed, TEMPERATURE)
        self.facts["sample"] = {"start": START, "text": written, "temperature": TEMPERATURE}
        self.print("", f"first loss {course.first_loss:.3f}; clipped "
                   f"{course.clipped / course.updates:.0%} of {course.updates} updates; largest "
                   f"norm {course.largest_norm:.1f}; gates saturated {health['saturated']:.0%}")
        self.print("sample", " ".join(written[:160].split()))

    # -- what stays ---------------------------------------------------------------------------
    def write(self) -> None:
        write_report(self.folder, self.facts, self.svgs)
        write_text(self.folder / "study.json", json.dumps(self.facts, indent=1) + "\n")


def run(options: Options) -> int:
    """Run a study; returns the exit status: 1 when a check failed, 130 after Ctrl-C."""
    study = Study(options)
    t = study.text
    study.print(f"tinyseq {__version__}", f"{options.cell} {options.hidden}  text: {t.name} "
                f"({t.characters:,} characters, {len(t.symbols)} symbols)  seed {options.seed}")
    parts: list[Callable[[], None]] = [study.check, study.by_hand, study.see, study.measure,
                                       study.train]
    try:
        for part in parts:
            part()
    except KeyboardInterrupt:
        study.facts["interrupted"] = True
        study.write()
        study.print("stopped", f"by Ctrl-C: what was found so far is in {options.out}/report.html")
        return 130
    except GradcheckError as error:
        study.ok = False
        study.print("FAILED", str(error).splitlines()[0])
    study.write()
    study.print("wrote", f"{options.out}/: report.html (open this), {len(study.svgs)} pictures, "
                "study.json, model.npz")
    study.print("next", "tinyseq study --cell gru | tinyseq study --text FILE | tinyseq doctor")
    return 0 if study.ok else 1


# -- the progress line ---------------------------------------------------------------------------
def progress(line: str) -> None:
    """A line on a terminal's stderr that the next one replaces."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{line}")
        sys.stderr.flush()


def clear_progress() -> None:
    """Leave the line empty for what is printed next."""
    progress("")
