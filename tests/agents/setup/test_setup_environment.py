import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from scripts.setup import disk, lock, packages, pip, venv
from scripts.setup.errors import SetupError
from scripts.setup.paths import ROOT, cache
from scripts.setup.step import Stamp, digest, run


def pinned(name: str) -> set[str]:
    lines = (ROOT / name).read_text().splitlines()
    return {line.split(";")[0].strip() for line in lines if "==" in line}


def test_the_runtime_is_a_part_of_the_test_environment_at_the_same_versions() -> None:
    assert pinned("constraints.txt") <= pinned("constraints-dev.txt")


def test_every_direct_dependency_is_pinned() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]

    def names(requirements: list[str]) -> set[str]:
        return {re.split(r"[<>=\[; ]", text)[0].lower().replace("_", "-") for text in requirements}

    # llama-cpp-python comes as our own wheel.
    assert names(project["dependencies"]) - {"llama-cpp-python"} <= names(sorted(pinned("constraints.txt")))
    extras = project["optional-dependencies"]
    assert names(extras["dev"]) <= names(sorted(pinned("constraints-dev.txt")))
    assert names(extras["analysis"]) <= names(sorted(pinned("constraints-analysis.txt")))


def test_the_node_lock_pins_bytes_and_names_no_server() -> None:
    packages_ = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    for name, entry in packages_.items():
        assert "resolved" not in entry, name
        assert not name or entry["integrity"].startswith("sha512-"), name


def test_an_environment_counts_only_where_it_was_made_and_when_it_is_whole(tmp_path: Path) -> None:
    here = tmp_path / "here"
    assert not venv.works(here)
    venv.create(here)
    assert venv.works(here)
    here.rename(tmp_path / "there")
    assert not venv.works(tmp_path / "there")
    (tmp_path / "there" / "bin" / "python").unlink()
    assert not venv.works(tmp_path / "there")
    venv.create(tmp_path / "there")
    assert venv.works(tmp_path / "there")


def test_an_environment_can_be_made_afresh_by_its_own_python(tmp_path: Path) -> None:
    venv.create(tmp_path / "v")
    code = (
        "import sys; from pathlib import Path; from scripts.setup import venv; venv.create(Path(sys.prefix))"
    )
    subprocess.run([tmp_path / "v" / "bin" / "python", "-c", code], cwd=ROOT, check=True)
    assert venv.works(tmp_path / "v")


def test_an_environment_without_pip_is_not_whole(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "v")], check=True)
    assert not venv.works(tmp_path / "v")


def test_a_file_in_the_place_of_the_environment_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "v").write_text("mine")
    with pytest.raises(SetupError, match="not a folder"):
        venv.create(tmp_path / "v")
    assert (tmp_path / "v").read_text() == "mine"


def test_uv_is_given_pips_index_unless_it_has_its_own(tmp_path: Path) -> None:
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text(
        "#!/bin/sh\ncat <<'END'\n"
        ":env:.index-url='http://env.example/simple'\n"
        "global.cert='/etc/ca.pem'\n"
        "global.index-url='http://global.example/simple'\n"
        "install.index-url='http://install.example/simple'\nEND\n"
    )
    python.chmod(0o755)
    assert packages.uv_environment(tmp_path, {}) == {
        "UV_DEFAULT_INDEX": "http://env.example/simple",
        "SSL_CERT_FILE": "/etc/ca.pem",
    }
    assert packages.uv_environment(tmp_path, {"UV_INDEX_URL": "http://own.example"}) == {
        "SSL_CERT_FILE": "/etc/ca.pem"
    }


def test_pip_takes_over_where_uv_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bin").mkdir()
    for name, body in {"uv": "exit 2", "python": f'echo "$@" >> {tmp_path}/calls'}.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    packages.install(tmp_path, ["thing==1"], "A thing")
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[-1] == "-m pip install --no-deps thing==1"
    assert "trying pip" in capsys.readouterr().out


def test_a_failed_command_shows_its_output_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SetupError, match="mend the mirror"):
        pip.run_tool(["sh", "-c", "echo the cause; exit 3"], "mend the mirror")
    assert "the cause" in capsys.readouterr().err
    with pytest.raises(SetupError, match="disk is full"):
        pip.run_tool(["sh", "-c", "echo 'OSError: [Errno 28] No space left on device'; exit 3"], "x")


def test_a_long_output_keeps_its_beginning_and_its_end() -> None:
    lines = pip.shorten("\n".join(str(number) for number in range(500))).splitlines()
    assert (lines[0], lines[-1]) == ("0", "499")
    assert len(lines) < 50


def test_a_small_disk_is_named(tmp_path: Path) -> None:
    disk.require(tmp_path / "new", 1, "It")
    with pytest.raises(SetupError, match="It needs .* MB free"):
        disk.require(tmp_path, 1 << 60, "It")


def test_a_relative_cache_folder_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    assert cache() == tmp_path / ".cache" / "capek"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "c"))
    assert cache() == tmp_path / "c" / "capek"


def test_a_stamp_is_for_one_key(tmp_path: Path) -> None:
    assert not Stamp(tmp_path / "s", "a").current()
    Stamp(tmp_path / "s", "a").write()
    assert Stamp(tmp_path / "s", "a").current()
    assert not Stamp(tmp_path / "s", "b").current()


def test_the_digest_does_not_mix_up_neighbours(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("b")
    assert digest("a", tmp_path / "f") == digest("a", "b")
    assert digest("ab", "") != digest("a", "b")


def test_a_step_is_done_once_and_again_after_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    done: list[str] = []

    def work(note: object) -> None:
        if not done:
            done.append("tried")
            raise SetupError("no")
        done.append("finished")

    with pytest.raises(SetupError):
        run("thing", lambda: "finished" in done, work)
    run("thing", lambda: "finished" in done, work)
    run("thing", lambda: "finished" in done, work)
    assert done == ["tried", "finished"]
    out = capsys.readouterr().out.splitlines()
    assert len(out) == 2
    assert "done in" in out[0]
    assert "cached" in out[1]


def test_a_lock_is_free_again_when_its_holder_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from scripts.setup import lock\n"
        "with lock.exclusive(Path(sys.argv[1]), 'x'): print('held', flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "l")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        process.kill()
    with lock.exclusive(tmp_path / "l", "x"):
        pass


def test_an_old_python_is_refused_with_advice(tmp_path: Path) -> None:
    old = tmp_path / "python3.9"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.1 && exit 0\nexit 1\n')
    old.chmod(0o755)
    done = subprocess.run(
        ["sh", str(ROOT / "scripts/setup/run.sh"), "runtime"],
        env={**os.environ, "PYTHON": str(old)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Python 3.11 or newer; found: Python 3.9.1" in done.stderr
