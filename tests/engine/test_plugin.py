"""The plugin contract, with the real docker CLI."""

import json
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from ..conftest import TOP, Call, Run

Engine = dict[str, str]


def test_docker_lists_the_plugin(docker: Call, engine: Engine) -> None:
    shown = docker("--help", env={**engine, "PYTHONHOME": "/nonsense", "PYTHONPATH": "/nonsense"}).stdout
    line = next(line for line in shown.splitlines() if line.split()[:1] == ["nsenter*"])
    assert "restrictions" in line
    plugins = json.loads(docker("info", "-f", "{{json .ClientInfo.Plugins}}").stdout)
    ours = next(each for each in plugins if each["Name"] == "nsenter")
    assert "Err" not in ours
    assert ours["Version"] == "0.1.0"


def test_the_handshake_needs_no_python(engine: Engine, tmp_path: Path) -> None:
    plugin = Path(engine["DOCKER_CONFIG"]) / "cli-plugins/docker-nsenter"
    link = tmp_path / "docker-nsenter"
    link.symlink_to(plugin)
    for file in (plugin, link, TOP / "plugin/docker-nsenter"):
        trace = subprocess.run(
            ["strace", "-f", "-e", "trace=execve", file, "docker-cli-plugin-metadata"],
            capture_output=True,
            text=True,
            check=True,
            env={"PATH": "/bin:/usr/bin"},
        )
        assert json.loads(trace.stdout) == json.loads((TOP / "docker-cli-plugin-metadata").read_text())
        assert "python" not in trace.stderr


def test_help_is_the_same_in_every_spelling_and_needs_no_engine(docker: Call, engine: Engine) -> None:
    nowhere = {**engine, "DOCKER_HOST": "unix:///nowhere.sock"}
    texts = [
        docker(*words, env=nowhere)
        for words in (
            ("nsenter", "--help"),
            ("help", "nsenter"),
            ("nsenter", "--cap-add", "X", "--help"),
            ("nsenter", "--help", "web"),
        )
    ]
    assert len({done.stdout for done in texts}) == 1
    assert texts[0].stdout.startswith("Usage:  docker nsenter [OPTIONS] CONTAINER [COMMAND [ARG...]]\n")
    assert {done.stderr for done in texts} == {""}
    assert max(len(line) for line in texts[0].stdout.splitlines()) <= 88


def test_one_screen_of_help_and_the_version_need_no_engine(docker: Call, engine: Engine) -> None:
    nowhere = {**engine, "DOCKER_HOST": "unix:///nowhere.sock"}
    screen = docker("nsenter", "-h", env=nowhere).stdout
    assert screen.startswith("Usage:  docker nsenter") and len(screen.splitlines()) < 24
    for words in (("nsenter", "--version"), ("--version", "nsenter", "web"), ("nsenter", "-i", "--version", "web")):
        assert docker(*words, env=nowhere).stdout == "docker nsenter 0.1.0\n"


def test_the_commands_own_help_is_the_commands(run: Run, nsenter: Call) -> None:
    done = nsenter(run(), "ls", "--help")
    assert "BusyBox" in done.stdout + done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("nsenter",),
        ("nsenter", "--bogus", "web"),
        ("nsenter", "-u"),
        ("nsenter", "--format", "xml", "web"),
        ("nsenter", ""),
    ],
)
def test_usage_errors_are_125_and_name_the_help(docker: Call, words: tuple[str, ...]) -> None:
    done = docker(*words, check=False)
    assert done.returncode == 125
    assert done.stderr.startswith("docker nsenter: ")
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--pid", "host", "web"), "--no-pid"),
        (("--mount", "type=bind,src=/", "web"), "docker nsenter nsenter-"),
        (("--cgroup", "/x", "web"), "--no-join-cgroup"),
        (("-t", "1234"), "docker nsenter pid:1234"),
        (("-n", "web"), "--net-only"),
        (("-m", "web"), "--mount"),
        (("--cap-add", "SYS_PTRAC", "web"), "SYS_PTRACE"),
    ],
)
def test_neighbours_habits_get_the_right_line(run: Run, docker: Call, words: tuple[str, ...], line: str) -> None:
    name = run()
    done = docker("nsenter", *(name if word == "web" else word for word in words), check=False)
    assert done.returncode == 125
    assert line in done.stderr.splitlines()[-1]


def test_dockers_own_options_are_read_as_docker_reads_them(run: Run, docker: Call, engine: Engine) -> None:
    name, host = run(), engine["DOCKER_HOST"]
    nowhere = {**engine, "DOCKER_HOST": "unix:///nowhere.sock"}
    for words in (
        ("-H", host),
        ("--host", host),
        (f"--host={host}",),
        (f"-H{host}",),
        ("-D", "-H", host),
        (f"-DH{host}",),
    ):
        done = docker(*words, "nsenter", name, "echo", "in", env=nowhere, check=False)
        assert done.stdout == "in\n", (words, done.stderr)


def test_contexts_are_dockers(run: Run, docker: Call, engine: Engine) -> None:
    name = run()
    docker("context", "create", "here", "--docker", f"host={engine['DOCKER_HOST']}")
    try:
        plain = {key: value for key, value in engine.items() if key != "DOCKER_HOST"}
        assert docker("--context", "here", "nsenter", name, "echo", "in", env=plain).stdout == "in\n"
        assert docker("-c", "here", "nsenter", name, "echo", "in", env=plain).stdout == "in\n"
        assert docker("nsenter", name, "echo", "in", env={**plain, "DOCKER_CONTEXT": "here"}).stdout == "in\n"
        missing = docker("--context", "missing", "nsenter", name, "true", env=plain, check=False)
        assert missing.returncode in (1, 125)  # Docker 20.10's client refuses it itself
        assert 'context "missing" does not exist' in missing.stderr
    finally:
        docker("context", "rm", "-f", "here")


def test_dry_run_enters_nothing(run: Run, docker: Call, nsenter: Call) -> None:
    name = run()
    plan = json.loads(nsenter("--dry-run", "--format", "json", name, "touch", "/tmp/entered").stdout)["plan"]
    assert plan["command"] == ["touch", "/tmp/entered"]
    assert plan["capabilities"]["base"] == "container"
    table = nsenter("--dry-run", name, "touch", "/tmp/entered")
    assert table.returncode == 0, table.stderr
    assert "Nothing was run." in table.stdout
    assert docker("exec", name, "ls", "/tmp").stdout == ""


def test_debug_names_every_step_and_nothing_else_changes(run: Run, docker: Call) -> None:
    done = docker("-D", "nsenter", run(), "echo", "in")
    assert done.stdout == "in\n"
    lines = done.stderr.splitlines()
    assert "docker nsenter: install: copy the container's seccomp filter" in lines
    assert "docker nsenter: install: join the namespaces" in lines
    assert "docker nsenter: supervisor: read everything back" in lines


def test_without_root_one_sentence_and_one_hint(run: Run, engine: Engine) -> None:
    name = run()
    words = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "docker", "nsenter", name, "true"]
    subprocess.run(["chmod", "-R", "a+rX", engine["DOCKER_CONFIG"]], check=True)
    done = subprocess.run(words, capture_output=True, text=True, env=engine, check=False)
    assert done.returncode == 125
    assert len(done.stderr.splitlines()) == 2, done.stderr
    assert "permission denied" in done.stderr


def test_install_twice_and_uninstall_leaves_nothing(tmp_path: Path, engine: Engine) -> None:
    environment = {**engine, "DOCKER_CONFIG": str(tmp_path / "config with space")}
    for _ in range(2):
        subprocess.run([TOP / "scripts/install"], env=environment, check=True, stdout=subprocess.DEVNULL)
    assert list((tmp_path / "config with space/nsenter/plugin").rglob("*.pyc"))
    subprocess.run([TOP / "scripts/uninstall"], env=environment, check=True, stdout=subprocess.DEVNULL)
    assert list((tmp_path / "config with space").iterdir()) == []


@pytest.mark.timeout(300)
def test_the_wheel_installs_the_same_plugin(tmp_path: Path, run: Run, engine: Engine) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("plugin", "pyproject.toml", "README.md", "docker-cli-plugin-metadata", "setup.py", "docs"):
        subprocess.run(["cp", "-R", TOP / name, source], check=True)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", tmp_path, source], check=True)
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv/bin/python"
    subprocess.run([python, *pip[1:], "install", next(tmp_path.glob("*.whl"))], check=True)
    environment = {**engine, "DOCKER_CONFIG": str(tmp_path / "config")}
    subprocess.run([tmp_path / "venv/bin/docker-nsenter", "install"], env=environment, check=True)
    shown = subprocess.check_output(["docker", "nsenter", run(), "echo", "in"], env=environment, text=True)
    assert shown == "in\n"
    help_text = subprocess.check_output(["docker", "nsenter", "--help"], env=environment, text=True)
    assert help_text.startswith("Usage:  docker nsenter")
    assert (tmp_path / "venv/share/man/man1/docker-nsenter.1").read_text() == (
        TOP / "docs/docker-nsenter.1"
    ).read_text()
    subprocess.run([tmp_path / "venv/bin/docker-nsenter", "install", "--remove"], env=environment, check=True)
    assert not (tmp_path / "config/cli-plugins/docker-nsenter").exists()
