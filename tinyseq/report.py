"""The report of a study: one self-contained page with every number and picture."""
from __future__ import annotations

import math
import os
import re
import secrets
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from tinyseq.facts import (ByHandFacts, CheckFacts, Facts, MeasureFacts, SampleFacts, SeeFacts,
                           TrainFacts)
from tinyseq.markup import bar, log_bar, number, percent, safe, table

# Each picture: the section it belongs to, and what to look for in it.
PICTURES = {
    "unrolled": ("see", "Four steps with a loss at each. Values go along the grey arrows, "
                 "gradients come back along the coloured ones; the numbers are their norms."),
    "long": ("see", "The same cell over 101 steps with a loss at the last: the strip says "
             "how much of its gradient is left at every step on the way back."),
    "lag": ("measure", "The same norms at every lag. On a logarithmic axis exponential decay is a "
            "straight line; a flat line would be perfect memory."),
    "shares": ("measure", "What each step adds to the gradient of the recurrent weights. "
               "Truncating after so many steps keeps the running sum up to there."),
    "loss": ("train", "Loss on the validation part while training, and the n-grams to beat."),
    "gates": ("sample", "The gates while the network reads a line: dark is open. Look for units "
              "that react to spaces, brackets and line ends."),
    "connect": ("sample", "Which earlier characters a prediction depended on: the norm of its "
                "derivative with respect to each of them."),
}
CELLS = {"rnn": "simple RNN", "lstm": "LSTM", "gru": "GRU", "gru-textbook": "textbook GRU"}
N_GRAMS = {1: "unigram", 2: "bigram", 3: "trigram"}


def write_report(folder: str | os.PathLike[str], facts: Facts,
                 pictures: Mapping[str, str] | None = None) -> Path:
    """Write report.html into a folder and return its path; a failure leaves an old report alone.

    `pictures` are SVG texts by name (PICTURES says where each goes and why); their ids must be
    unique on the page, as those of tinyseq.draw are.
    Errors: OSError where the folder cannot be written to; ValueError for a picture without <svg>.
    """
    path = Path(folder) / "report.html"
    write_text(path, page(facts, pictures or {}))
    return path


def write_text(path: str | os.PathLike[str], content: str) -> None:
    """Write a UTF-8 file beside its place and move it there, so that it is never half written."""
    target = Path(os.path.realpath(path))  # a link stays a link
    beside = target.with_name(f".{secrets.token_hex(6)}.part")
    try:
        beside.write_bytes(content.encode())
        os.replace(beside, target)
    finally:
        beside.unlink(missing_ok=True)


def page(facts: Facts, pictures: Mapping[str, str]) -> str:
    """The whole page as text."""
    template = resources.files("tinyseq").joinpath("report.html").read_text("utf-8")
    parts = {name: section(facts.get(name), body, figures(name, pictures))
             for name, body in SECTIONS.items()}
    cell = CELLS.get(facts.get("cell", ""), facts.get("cell", "network"))
    size = f" with {facts['hidden']} hidden units" if "hidden" in facts else ""
    subject = facts.get("text", {}).get("name", "a text")
    stopped = "The run was interrupted: what it had not reached is missing here."
    return Template(template).substitute(
        parts, title=safe(f"tinyseq study: {cell} on {subject}"),
        heading=safe(f"Backpropagation through time, from inside one {cell}{size}"),
        facts=fact_list(facts), footer=footer(facts),
        interrupted=f'<p class="missing">{stopped}</p>' if facts.get("interrupted") else "",
        check_verdict=check_verdict(facts.get("check", {})),
        by_hand_verdict=by_hand_verdict(facts.get("by_hand", {})),
        train_verdict=train_verdict(facts.get("train", {})))


def section(facts: Any, body: Callable[[Any], str], pictures: str) -> str:
    """A section's tables and pictures, or a sentence where there are none."""
    if not facts and not pictures:
        return '<p class="missing">This part is missing: the run ended before it.</p>'
    return (body(facts) if facts else "") + pictures


def check(facts: CheckFacts) -> str:
    """Every tensor and gate with its worst error, and the planted mistake."""
    rows = [(safe(row["name"]), number(row["error"]), log_bar(row["error"]))
            for row in facts.get("rows", [])]
    marks = [""] * len(rows)
    words = ""
    if bug := facts.get("bug"):
        rows.append((f"planted: {safe(bug['name'])}", number(bug["error"]), log_bar(bug["error"])))
        marks.append("wrong")
        words = ("<p>The last row is a mistake planted on purpose, which the check must catch: a "
                 "check that cannot fail proves nothing. It was "
                 f"<strong>{'caught' if facts.get('bug_caught') else 'not caught'}</strong>.</p>")
    precise = facts.get("dtype", "float64")
    nudge = f", nudges of {number(facts['eps'], 1)}" if "eps" in facts else ""
    return words + table(("tensor or gate", "worst relative error", ""), rows, marks) + (
        f"<p>Computed in {safe(precise)}{nudge}. The bars are logarithmic, from "
        f"{number(1e-16, 1)} to 1.</p>")


def by_hand(facts: ByHandFacts) -> str:
    """The largest differences between the engine and the page of numpy."""
    rows = [(safe(row["cell"]), *(number(row[key]) for key in ("gradients", "shares", "total")))
            for row in facts.get("rows", [])]
    steps = f", over {facts['steps']} steps" if "steps" in facts else ""
    return table(("cell", "gradients", "share of each step", "sum of shares − gradient"), rows) + (
        f"<p>Largest differences, relative to the largest entry{steps}. A double holds about 16 "
        "digits, so differences of this size are rounding.</p>")


def see(facts: SeeFacts) -> str:
    """What the pictures are pictures of."""
    count = f"{facts['nodes']:,} recorded operations over " if "nodes" in facts else ""
    return f"<p>Here: {count}{facts.get('steps', 'some')} steps.</p>"


def measure(facts: MeasureFacts) -> str:
    """Norms by lag, net by net, beside theory; and what truncation keeps."""
    rows = [(safe(name), *map(number, norms)) for name, norms in facts.get("norms", {}).items()]
    if "theory" in facts:
        rows.append(("theory: σ(1)<sup>lag</sup>", *map(number, facts["theory"])))
    head = ("lag", *map(str, facts.get("lags", ())))
    words = ""
    if "theory" in facts:
        words += ("<p>Theory is an LSTM whose forget gates see nothing but a bias of 1: each step "
                  f"back multiplies c by σ(1) = {number(1 / (1 + math.exp(-1)))}.</p>")
    if "radius" in facts:
        words += ("<p>The simple network's recurrent weights have the spectral radius "
                  f"{number(facts['radius'])}; tanh, with a slope of at most 1, can only shrink "
                  "what passes back through it.</p>")
    if "kept" in facts:
        words += (f"<p>Backpropagation truncated at {facts.get('steps', 'so many')} steps keeps "
                  f"<strong>{percent(facts['kept'])}</strong> of the norm of the recurrent "
                  "weights' gradient.</p>")
    return table(head, rows) + words


def train(facts: TrainFacts) -> str:
    """The ladder of models, the course of the training, and what clipping did."""
    points = facts.get("points", [])
    rungs = [(N_GRAMS.get(int(n), f"{n}-gram"), nats, "") for n, nats in
             facts.get("baselines", {}).items()]
    if "uniform" in facts:
        rungs.append(("the alphabet only: ln V", facts["uniform"], ""))
    if points:
        rungs.append(("this network", points[-1]["nats"], "mark"))
    rungs.sort(key=lambda rung: -rung[1])
    top = max((nats for _, nats, _ in rungs if math.isfinite(nats)), default=1.0)
    ladder = table(("model", "nats a character", "bits", ""),
                   [(safe(name), number(nats), number(nats / math.log(2)), bar(nats / top))
                    for name, nats, _ in rungs], [mark for *_, mark in rungs])
    course = table(("seconds", "updates", "nats", "as unsure as between"),
                   [(number(point["seconds"]), f"{point['updates']:,}", number(point["nats"]),
                     f"{number(math.exp(min(point['nats'], 700)))} characters")
                    for point in points])
    return ladder + ("<h3>The course of it</h3>" + course if points else "") + health(facts)


def health(facts: TrainFacts) -> str:
    """Sentences on the first loss, on clipping, and on gates that have stopped to learn."""
    words = []
    if "first_loss" in facts and "uniform" in facts:
        words.append(f"The first loss was {number(facts['first_loss'])}; a network that knows "
                     f"nothing yet should start near ln V = {number(facts['uniform'])}.")
    if "clipped" in facts:
        words.append(f"The gradient's norm was clipped to {facts.get('clip', math.nan):g} in "
                     f"{percent(facts['clipped'])} of the updates; the largest was "
                     f"{number(facts.get('largest_norm', math.nan))}.")
    if "saturated" in facts:
        words.append(f"Of the gate values {percent(facts['saturated'])} are saturated, where the "
                     "slope is nearly zero and little gradient passes; "
                     f"{percent(facts.get('dead', 0.0))} of the gates are so all the time.")
    return f"<p>{' '.join(words)}</p>" if words else ""


def sample(facts: SampleFacts) -> str:
    """What the network wrote."""
    start, written = facts.get("start", ""), facts.get("text", "")
    begun = f"<b>{safe(start)}</b>" if start else ""
    heat = (f"<p>Drawn at temperature {facts['temperature']:g}: below 1 it prefers the "
            "likely.</p>" if "temperature" in facts else "")
    return f"<pre>{begun}{safe(written)}</pre>{heat}"


SECTIONS: dict[str, Callable[[Any], str]] = {
    "check": check, "by_hand": by_hand, "see": see, "measure": measure, "train": train,
    "sample": sample}


def check_verdict(facts: CheckFacts) -> str:
    """Right or wrong, and by how much."""
    if "passed" not in facts:
        return ""
    right = facts["passed"] and facts.get("bug_caught", True)
    worst = max((row["error"] for row in facts.get("rows", [])), default=math.nan)
    words = "right, worst error" if right else "failed, worst error"
    return verdict(right, f"{words} {number(worst)}")


def by_hand_verdict(facts: ByHandFacts) -> str:
    """Whether both ways agree."""
    if "passed" not in facts:
        return ""
    return verdict(facts["passed"], "agrees" if facts["passed"] else "does not agree")


def train_verdict(facts: TrainFacts) -> str:
    """The best of the n-grams that the network has come below."""
    if not facts.get("points"):
        return ""
    nats = facts["points"][-1]["nats"]
    beaten = [(level, int(n)) for n, level in facts.get("baselines", {}).items() if nats < level]
    if not facts.get("baselines"):
        return verdict(True, f"{number(nats)} nats")
    if not beaten:
        return verdict(False, f"{number(nats)} nats, above every n-gram")
    n = min(beaten)[1]
    return verdict(True, f"{number(nats)} nats, below the {N_GRAMS.get(n, f'{n}-gram')}")


def verdict(good: bool, words: str) -> str:
    """A coloured label; `words` is HTML."""
    return f'<span class="verdict{"" if good else " bad"}">{words}</span>'


def fact_list(facts: Facts) -> str:
    """The text, the window, the seed and the command, under the heading."""
    text = facts.get("text", {})
    pairs = [("Text", safe(text["name"]))] if "name" in text else []
    pairs += [(name.capitalize(), f"{text[name]:,}")  # type: ignore[literal-required]
              for name in ("characters", "symbols") if name in text]
    pairs += [(label, safe(str(facts[key])))  # type: ignore[literal-required]
              for label, key in (("Steps of a window", "steps"), ("Seed", "seed"),
                                 ("tinyseq", "version")) if key in facts]
    if "command" in facts:
        pairs.append(("Again", f"<code>{safe(facts['command'])}</code>"))
    rows = "".join(f"<div><dt>{label}</dt><dd>{value}</dd></div>" for label, value in pairs)
    return f'<dl class="facts">{rows}</dl>'


def footer(facts: Facts) -> str:
    """How long each part took."""
    times = facts.get("times", {})
    parts = ", ".join(f"{safe(name)} {seconds:.1f} s" for name, seconds in times.items())
    return f"<p>Times: {parts}; {sum(times.values()):.1f} s in all.</p>" if times else ""


def figures(name: str, pictures: Mapping[str, str]) -> str:
    """The pictures of one section, in the order of PICTURES; unknown ones go under See."""
    known = [key for key in PICTURES if key in pictures and PICTURES[key][0] == name]
    more = [key for key in pictures if key not in PICTURES] if name == "see" else []
    return "".join(figure(key, pictures[key]) for key in known + more)


def figure(name: str, svg: str) -> str:
    """One picture in a box of its own, which scrolls when the picture is wider than the page."""
    found = re.search(r"<svg\b.*</svg>", svg, re.DOTALL)  # without an XML declaration
    if not found:
        raise ValueError(f"picture {name!r} has no <svg> element")
    words = PICTURES.get(name, ("", ""))[1]
    return (f'<figure><div class="picture" tabindex="0">{found[0]}</div>'
            f"<figcaption>{words} <code>{safe(name)}.svg</code></figcaption></figure>")
