"""The `dot` program: where it is, and how it is called. Only .png and .pdf need it."""
from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sysconfig

from tinyseq.errors import RenderError

CURE = ("install Graphviz (`apt install graphviz`, `brew install graphviz`, `choco install "
        "graphviz`) or `pip install tinyseq[dot]`; .svg and .dot need neither")
LIMIT = 30.0  # seconds

_BEGINNINGS = {"png": b"\x89PNG\r\n\x1a\n", "pdf": b"%PDF-", "svg": b"<", "plain": b"graph "}


def find_dot() -> str | None:
    """Return the path of the program that renders DOT, or None.

    Order: the environment variable TINYSEQ_DOT, `dot` on PATH, `graphviz-pure` beside this
    Python or on PATH (an environment that is not activated is not on PATH).
    """
    chosen = os.environ.get("TINYSEQ_DOT")
    if chosen:
        return chosen
    beside = sysconfig.get_path("scripts")
    return (shutil.which("dot") or shutil.which("graphviz-pure", path=beside)
            or shutil.which("graphviz-pure"))


def run_dot(source: str, kind: str, *, options: tuple[str, ...] = (), limit: float = LIMIT,
            boxes: int | None = None) -> bytes:
    """Return `source`, a DOT text, rendered as `kind` ("png", "pdf", "svg" or "plain").

    Errors: RenderError when there is no program, when it fails (with the first 500 characters of
    what it said), when it takes more than `limit` seconds, or answers with something else.
    """
    program = find_dot()
    if program is None:
        raise RenderError(f"rendering .{kind} needs the program `dot`, and there is none on "
                          f"PATH: {CURE}")
    size = "" if boxes is None else f" ({boxes} boxes)"
    code, output, said = _run([program, f"-T{kind}", *options], source, limit, size)
    if code < 0:
        raise RenderError(f"{program} was killed by signal {-code} while rendering "
                          f".{kind}{size}: {said}")
    if code:
        raise RenderError(f"{program} could not render .{kind}{size}, exit code {code}: "
                          f"{said or 'no message'}; {CURE}")
    if not output.lstrip().startswith(_BEGINNINGS[kind]):
        raise RenderError(f"{program} answered with {len(output)} bytes that are no .{kind}"
                          f"{size}: {said or output[:40]!r}; {CURE}")
    return output


def _run(command: list[str], source: str, limit: float, size: str) -> tuple[int, bytes, str]:
    """Run `command` on `source`; return exit code, output, first 500 characters of stderr."""
    try:
        # A session of its own: the limit then ends what the program started as well.
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, start_new_session=True)
    except OSError as error:
        raise RenderError(f"cannot start {command[0]} ({error.strerror}): set TINYSEQ_DOT to a "
                          f"working `dot`, or {CURE}") from error
    try:
        output, said = process.communicate(source.encode("utf-8"), timeout=limit)
    except subprocess.TimeoutExpired:
        raise RenderError(f"{command[0]} was stopped after {limit:g} seconds{size}: draw fewer "
                          "steps (steps=[...]), or save .svg, which needs no program") from None
    finally:
        if process.poll() is None:
            _end(process)
    return process.returncode, output, said.decode("utf-8", "replace").strip()[:500]


def _end(process: subprocess.Popen[bytes]) -> None:
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()
    process.wait()
