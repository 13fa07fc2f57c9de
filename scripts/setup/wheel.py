"""llama-cpp-python as a wheel in the canonical build, compiled once for each user and kept in the cache."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from scripts.setup import disk, lock, pip
from scripts.setup.errors import SetupError
from scripts.setup.paths import VENV, cache, machine
from scripts.setup.pins import LLAMA_CMAKE_FLAGS, LLAMA_CPP_PYTHON
from scripts.setup.step import Note, digest, silent

_BUILD_SIZE = 1_000_000_000  # bytes of disk while compiling
_JOB_MEMORY = 700_000_000  # bytes that one compiler process may want
_PROGRESS = re.compile(r"\[\s*(\d+)/(\d+)\]|\[\s*(\d+)%\]")
# Flags of the user's own would change the arithmetic, and with it the bit class.
_FOREIGN = (
    "CFLAGS",
    "CXXFLAGS",
    "CPPFLAGS",
    "LDFLAGS",
    "CMAKE_",
    "SKBUILD_",
    "FORCE_CMAKE",
    "GGML_",
    "LLAMA_",
)


def key(flags: Iterable[str] = LLAMA_CMAKE_FLAGS) -> str:
    """Names what decides the wheel's contents. Its tag is py3-none: one wheel serves every Python 3."""
    system, processor = machine()
    return f"llama_cpp_python-{LLAMA_CPP_PYTHON}-py3-{system.lower()}_{processor}-{digest(*flags)[:12]}"


def folder() -> Path:
    return cache() / "wheels" / key()


def path() -> Path | None:
    """The cached wheel, if it is there. The folder appears only when the wheel in it is whole."""
    return next(iter(folder().glob("*.whl")), None)


def is_built() -> bool:
    return path() is not None


def build(note: Note = silent) -> None:
    """Compile the wheel into `folder()`. Several minutes. Raises `SetupError`."""
    home = folder().parent
    check_compiler(os.environ)
    check_instructions(Path("/proc/cpuinfo"))
    disk.require(home, _BUILD_SIZE, "Compiling llama.cpp")
    with lock.exclusive(home / f".{key()}.lock", "compiling llama.cpp"):
        if is_built():
            return
        for leftover in home.glob(f".build-{key()}-*"):
            shutil.rmtree(leftover)
        with tempfile.TemporaryDirectory(
            dir=home, prefix=f".build-{key()}-", ignore_cleanup_errors=True
        ) as name:
            work = Path(name)
            out = work / "wheel"
            _compile(out, work, home / f"{key()}.log", note)
            wheels = list(out.glob("llama_cpp_python-*.whl"))
            if len(wheels) != 1:
                raise SetupError(f"pip built {len(wheels)} wheels of llama-cpp-python instead of one.")
            out.rename(folder())


def _compile(out: Path, work: Path, log: Path, note: Note) -> None:
    command = [str(VENV / "bin" / "python"), "-m", "pip", "wheel", "-v", "--no-deps", "--wheel-dir", str(out)]
    # pip's cache knows no flags: it would hand out a wheel that was built with others.
    command += ["--no-cache-dir", "--no-binary", "llama-cpp-python", f"llama-cpp-python=={LLAMA_CPP_PYTHON}"]
    environment = build_environment(os.environ, work)
    note("downloading the source")
    with log.open("w") as file:
        # A session of its own, so that an interruption also ends the compilers.
        process = subprocess.Popen(
            command,
            env=environment,
            text=True,
            errors="replace",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            assert process.stdout is not None
            for line in process.stdout:
                file.write(line)
                if percent := progress(line):
                    note(percent)
            code = process.wait()
        finally:
            if process.poll() is None:
                os.killpg(process.pid, 15)
                process.wait()
    if code != 0:
        text = log.read_text(errors="replace")
        raise SetupError(
            pip.explain(
                text, f"llama.cpp could not be compiled; the whole log is {log}. {likely_cause(text)}"
            )
        )


def build_environment(environment: Mapping[str, str], work: Path) -> dict[str, str]:
    """The environment to compile in: the canonical flags and nobody else's."""
    kept = {name: value for name, value in environment.items() if not name.startswith(_FOREIGN)}
    kept.pop("PYTHONPATH", None)
    return {
        **kept,
        "CMAKE_ARGS": " ".join(LLAMA_CMAKE_FLAGS),
        "CMAKE_BUILD_PARALLEL_LEVEL": environment.get("CMAKE_BUILD_PARALLEL_LEVEL") or str(jobs()),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "TMPDIR": str(work),
    }


def jobs() -> int:
    """Compilers at once: the processors we may use, less when memory is short."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(len(os.sched_getaffinity(0)), memory // _JOB_MEMORY))


def progress(line: str) -> str | None:
    """ninja's `[12/300]` or make's `[ 45%]` in a line of output, as a percentage."""
    match = _PROGRESS.search(line)
    if match is None:
        return None
    done, total, percent = match.groups()
    value = int(percent) if percent else 100 * int(done) // max(1, int(total))
    return f"compiling, {value} %"


def check_compiler(environment: Mapping[str, str]) -> None:
    """Raises `SetupError` when there is no C++ compiler."""
    wanted = environment.get("CXX", "").split()[:1] or ["c++", "g++", "clang++"]
    if not any(shutil.which(name, path=environment.get("PATH")) for name in wanted):
        raise SetupError(
            "No C++ compiler was found. Install one (Debian or Ubuntu: `sudo apt install g++ make`; Fedora: "
            "`sudo dnf install gcc-c++ make`)."
        )


def check_instructions(cpuinfo: Path) -> None:
    """The canonical build uses AVX2 on x86-64, as every server since 2015 has it. Raises `SetupError`."""
    if machine()[1] != "x86_64" or not cpuinfo.exists():
        return
    if "avx2" not in cpuinfo.read_text().split():
        raise SetupError(
            "This processor (or virtual machine) has no AVX2, which the canonical llama.cpp build uses. "
            "On a virtual machine, choose the CPU type `host`."
        )


def likely_cause(log: str) -> str:
    """What to do about a failed build, from its log."""
    if "Killed signal" in log or "internal compiler error: Killed" in log:
        return "The machine ran out of memory: close other programs."
    if re.search(r"No matching distribution|Could not find a version|ConnectionError|Max retries", log):
        return "pip could not reach its index: check the network and pip's settings."
    return "A C++17 compiler is needed (g++ 9 or newer)."
