"""tools/run, tools/test and .ci/run on machines that lack something, and what setup.cfg promises.

Nothing is installed here: a machine is a folder of programs, its Pythons are small shell scripts.
"""
from __future__ import annotations

import ast
import configparser
import importlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import tinyseq

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = "bash cat cp date dirname env grep ls mkdir readlink rm sed sh sleep tail timeout"

PYTHON = r"""#!/bin/sh
# A Python that pretends: it notes what it is asked to do in CALLS.
case "$*" in
    -V) echo "Python VERSION" ;;
    *version_info*) echo VERSION ;;
    *ensurepip*) VENV && echo "$0" ;;
    *fcntl*) exec REAL "$@" ;;
    '-m venv '*) echo venv >> CALLS; mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
    '-m pip install '*)
        echo "pip ${*##* }" >> CALLS
        sleep "${PIP_SLEEP:-0}"
        [ -z "${PIP_SAYS:-}" ] || { printf '%s\n' "$PIP_SAYS"; exit 1; }
        cp "$(dirname "$0")/python" "$(dirname "$0")/tinyseq" ;;
    study*) pwd; for word; do echo "<$word>"; done; exit "${STUDY_EXIT:-0}" ;;
    *) echo "$2 ${NUMBA_DISABLE_JIT:+nojit}${NUMBA_BOUNDSCHECK:+bounds}" >> CALLS
       [ "$2" != "${FAILING:-}" ] ;;
esac
"""


class Machine:
    """A checkout of its own, and a PATH with the basic programs and the Pythons one puts there."""

    def __init__(self, folder: Path) -> None:
        self.checkout, self.path, self.home = folder / "check out", folder / "bin", folder / "home"
        for made in self.checkout, self.path, self.home:
            made.mkdir()
        for name in "tools", ".ci":
            shutil.copytree(ROOT / name, self.checkout / name)
        for name in "setup.cfg", "pyproject.toml":
            shutil.copy(ROOT / name, self.checkout)
        for name in PROGRAMS.split():
            (self.path / name).symlink_to(str(shutil.which(name)))
        self.calls = folder / "calls"

    def program(self, name: str, text: str) -> None:
        (self.path / name).write_text(text)
        (self.path / name).chmod(0o755)

    def python(self, name: str, version: str, venv: bool = True) -> None:
        text = PYTHON
        for blank, filled in (("VERSION", version), ("VENV", str(venv).lower()),
                              ("REAL", sys.executable), ("CALLS", f"'{self.calls}'")):
            text = text.replace(blank, filled)
        self.program(name, text)

    def start(self, *command: str, tool: str = "tools/run", **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(self.checkout / tool), *command], env={"PATH": str(self.path), **env}, text=True,
            cwd=self.home, stdout=-1, stderr=-1, start_new_session=True)

    def run(self, *command: str, **env: str) -> tuple[int, str, str]:
        process = self.start(*command, **env)
        out, err = process.communicate(timeout=20)
        return process.returncode, out, err

    def failure(self, **env: str) -> str:
        """The one line with which tools/run fails."""
        code, out, err = self.run(**env)
        *before, last = err.splitlines()
        assert (code, out) == (2, ""), err
        assert all(line.startswith("tools/run: making ") for line in before), err
        assert last.startswith("tools/run: error: ")
        return last.removeprefix("tools/run: error: ")

    def new_calls(self) -> list[str]:
        """What the Pythons were asked since the last look."""
        calls = self.calls.read_text().splitlines() if self.calls.exists() else []
        self.calls.write_text("")
        return calls


@pytest.fixture
def bare(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def machine(bare: Machine) -> Machine:
    bare.python("python3", "3.12.1")
    return bare


def test_no_python(bare: Machine) -> None:
    assert bare.failure().startswith("needs Python 3.10 or newer on PATH (found none)")


def test_old_pythons_are_named(bare: Machine) -> None:
    bare.python("python3", "3.9.18")
    bare.python("python", "2.7.18")
    assert "(python3 is 3.9.18, python is 2.7.18)" in bare.failure()


def test_no_venv_module(bare: Machine) -> None:
    bare.python("python3", "3.11.2", venv=False)
    line = bare.failure()
    assert "venv module is missing (python3 is 3.11.2)" in line
    assert "apt install python3-venv" in line


def test_the_first_python_that_will_do(bare: Machine) -> None:
    bare.python("python3", "3.9.18")
    bare.python("python3.13", "3.13.0", venv=False)
    bare.python("python3.10", "3.10.13")
    assert bare.run()[0] == 0
    assert "python Python 3.10.13\n" in (bare.checkout / ".venv/made-from").read_text()


def test_no_index(machine: Machine) -> None:
    log = machine.checkout / ".venv/setup.log"
    said = ("WARNING: Retrying after NewConnectionError('Connection refused')\n"
            "      ERROR: No matching distribution found for setuptools>=64\n"
            "note: This is likely not a problem with pip.")
    line = machine.failure(PIP_SAYS=said)
    assert "no package index within reach (No matching distribution found for setup" in line
    assert "PIP_FIND_LINKS=" in line and line.endswith(str(log))
    assert log.read_text().strip() == said


def test_any_other_complaint_of_pip(machine: Machine) -> None:
    line = machine.failure(PIP_SAYS="ERROR: ResolutionImpossible: numba\nlast words")
    assert line.startswith("pip could not install tinyseq: ResolutionImpossible: numba; ")
    assert "could not install tinyseq: no space left" in machine.failure(PIP_SAYS="no space left")


def test_unwritable_folder(machine: Machine) -> None:
    (machine.home / "file").write_text("in the way, even for root")
    line = machine.failure(TINYSEQ_VENV="file/venv")
    assert line.startswith(f"cannot write to {machine.home}/file/venv: ")
    assert "TINYSEQ_VENV=FOLDER tools/run" in line
    assert machine.new_calls() == []


def test_a_folder_of_someone_else_is_left_alone(machine: Machine) -> None:
    (machine.home / "diary").write_text("dear")
    assert "is not of this script's making" in machine.failure(TINYSEQ_VENV=".")
    assert (machine.home / "diary").read_text() == "dear"
    assert sorted(os.listdir(machine.home)) == ["diary"]


def test_arguments_folder_and_exit_code_pass_through(machine: Machine) -> None:
    words = ["--text", "a file", "*", ""]
    code, out, _ = machine.run(*words, STUDY_EXIT="7")
    assert code == 7
    assert out.splitlines() == [str(machine.home), "<study>", *(f"<{w}>" for w in words)]


def test_called_through_a_symlink(machine: Machine) -> None:
    link = machine.path / "study"
    link.symlink_to(machine.checkout / "tools/run")
    done = subprocess.run(["study", "x"], executable=link, cwd=machine.home, text=True,
                          env={"PATH": str(machine.path)}, capture_output=True, timeout=20)
    assert done.stdout.splitlines() == [str(machine.home), "<study>", "<x>"]


def test_the_second_run_installs_nothing(machine: Machine) -> None:
    _, _, err = machine.run()
    assert machine.new_calls() == ["venv", "pip ."]
    assert [line.split(" ")[1] for line in err.splitlines()] == ["making", "ready"]
    assert machine.run()[::2] == (0, "")
    assert machine.new_calls() == []


@pytest.mark.parametrize("name", ["setup.cfg", "pyproject.toml"])
def test_changed_settings_are_installed_into_the_same_environment(
        machine: Machine, name: str) -> None:
    machine.run()
    with open(machine.checkout / name, "a") as file:
        file.write("# changed\n")
    machine.new_calls()
    machine.run()
    assert machine.new_calls() == ["pip ."]


def move(machine: Machine) -> None:
    machine.checkout = machine.checkout.rename(machine.checkout.with_name("moved"))


def upgrade(machine: Machine) -> None:
    machine.python("python3", "3.13.0")
    shutil.copy(machine.path / "python3", machine.checkout / ".venv/bin/python")


@pytest.mark.parametrize("change", [move, upgrade])
def test_an_environment_that_cannot_work_is_made_anew(
        machine: Machine, change: Callable[[Machine], None]) -> None:
    machine.run()
    change(machine)
    machine.new_calls()
    assert machine.run()[0] == 0
    assert machine.new_calls() == ["venv", "pip ."]


def test_a_killed_set_up_is_begun_anew(machine: Machine) -> None:
    process = machine.start(PIP_SLEEP="60")
    while "pip" not in (machine.calls.read_text() if machine.calls.exists() else ""):
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    machine.new_calls()
    assert machine.run()[0] == 0
    assert machine.new_calls() == ["venv", "pip ."]


def test_two_at_once_install_once(machine: Machine) -> None:
    both = [machine.start(name, PIP_SLEEP="0.3") for name in "ab"]
    outs = [process.communicate(timeout=20)[0].splitlines()[-1] for process in both]
    assert outs == ["<a>", "<b>"]
    assert machine.new_calls() == ["venv", "pip ."]


def test_tools_test_runs_every_step_and_names_the_failing(machine: Machine) -> None:
    before = set(machine.checkout.rglob("*"))
    code, _, err = machine.run("-k", "lstm", tool="tools/test")
    assert code == 0 and "tools/test: all passed in " in err.splitlines()[-1]
    assert machine.new_calls() == ["venv", "pip .[test]", "flake8 ", "mypy ", "pytest "]
    made = {path.relative_to(machine.checkout).parts[0]
            for path in set(machine.checkout.rglob("*")) - before}
    assert made == {".venv"}
    code, _, err = machine.run(tool="tools/test", FAILING="mypy")
    assert code == 1 and re.search(r"FAILED after \d+ s: mypy$", err.rstrip())
    assert machine.new_calls() == ["flake8 ", "mypy ", "pytest "]
    machine.run()
    assert machine.new_calls() == []  # what testing needs includes what running needs


def test_matrix(machine: Machine) -> None:
    assert machine.run("--matrix", tool="tools/test")[0] == 0
    assert machine.new_calls()[-3:] == ["pytest nojit", "pytest bounds", "pytest "]
    code, _, err = machine.run("--matrix", tool="tools/test", FAILING="pytest")
    assert code == 1
    assert err.rstrip().endswith(
        ": pytest with NUMBA_DISABLE_JIT=1, pytest with NUMBA_BOUNDSCHECK=1, pytest")


def test_ci_goes_on_when_nothing_can_be_installed(machine: Machine) -> None:
    machine.program("apt-get", "#!/bin/sh\nexit 100\n")
    code, out, err = machine.run(tool=".ci/run")
    assert code == 0 and machine.new_calls()[-1] == "pytest "
    assert ("warning: could not install graphviz chromium" in err) == (os.geteuid() == 0)


def settings() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def test_the_version_is_a_literal_that_needs_no_import() -> None:
    assert settings()["metadata"]["version"] == "attr: tinyseq.__version__"
    tree = ast.parse((ROOT / "tinyseq/__init__.py").read_text())
    versions = [ast.literal_eval(line.value) for line in tree.body if isinstance(line, ast.Assign)
                and ast.unparse(line.targets[0]) == "__version__"]
    assert versions == [tinyseq.__version__]


def test_the_classifiers_agree_with_python_requires() -> None:
    config = settings()
    named = re.findall(r":: 3\.(\d+)$", config["metadata"]["classifiers"], re.M)
    lowest = config["options"]["python_requires"].removeprefix(">=3.")
    assert [int(minor) for minor in named] == list(range(int(lowest), 14))


def test_extras_and_entry_point() -> None:
    config = settings()
    extras = config["options.extras_require"]
    assert set(extras) == {"dot", "plot", "progress", "safetensors", "all", "docs", "test"}
    assert extras["all"] == "tinyseq[dot,plot,progress,safetensors]"
    script = config["options.entry_points"]["console_scripts"].strip()
    name, module, function = re.split(r" = |:", script)
    assert name == "tinyseq" and callable(getattr(importlib.import_module(module), function))
