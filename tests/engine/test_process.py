"""The command: its status, its bytes, its signals, its end."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from ..conftest import EMPTY, Call, Run, children, wait_until

Engine = dict[str, str]


def processes(docker: Call, name: str) -> list[str]:
    """List the command lines in a container."""
    return docker("top", name, "-eo", "pid,args").stdout.splitlines()[1:]


@pytest.mark.parametrize("status", [0, 1, 42, 125, 126, 127, 255])
def test_the_exit_status_is_the_commands(run: Run, nsenter: Call, status: int) -> None:
    assert nsenter(run(), "sh", "-c", f"exit {status}").returncode == status


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGSEGV, signal.SIGPIPE])
def test_a_signal_that_ends_the_command_is_128_plus_its_number(run: Run, nsenter: Call, number: int) -> None:
    assert nsenter(run(), "sh", "-c", f"kill -{int(number)} $$; sleep 5").returncode == 128 + number


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("no-such-command",), 127),
        (("/no/such/command",), 127),
        (("/etc/passwd",), 126),
        (("/etc",), 126),
        (("",), 127),
    ],
)
def test_what_cannot_run_has_dockers_status_and_one_sentence(
    run: Run, nsenter: Call, words: tuple[str, ...], status: int
) -> None:
    done = nsenter(run(), *words)
    assert done.returncode == status
    assert done.stderr.startswith("docker nsenter: cannot run")
    assert len(done.stderr.splitlines()) <= 2


def test_a_missing_program_and_directory_are_named(run: Run, nsenter: Call) -> None:
    name = run()
    assert "cannot run sl: no such program on the PATH" in nsenter(name, "sl").stderr
    done = nsenter("-w", "/nope", name, "ls")
    assert done.returncode == 125
    assert "directory /nope: No such file or directory" in done.stderr


def test_bytes_pass_untouched(run: Run, engine: Engine) -> None:
    data = os.urandom(3_000_000)
    words = ["docker", "nsenter", run(), "cat"]
    done = subprocess.run(words, input=data, capture_output=True, env=engine, timeout=60, check=True)
    assert done.stdout == data
    assert done.stderr == b""


def test_files_are_read_and_written_through_pipes(run: Run, engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(os.urandom(1_000_000))
    with (tmp_path / "in").open("rb") as source, (tmp_path / "out").open("wb") as sink:
        subprocess.run(
            ["docker", "nsenter", run(), "cat"], stdin=source, stdout=sink, env=engine, timeout=60, check=True
        )
    assert (tmp_path / "in").read_bytes() == (tmp_path / "out").read_bytes()


def test_the_command_holds_no_file_of_the_hosts(run: Run, engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    # the shell's own descriptor 9: this process's may be in use
    line = 'exec 9<secret; exec docker nsenter "$0" sh -c "ls -l /proc/self/fd; cat <&9" <secret >out'
    subprocess.run(["sh", "-c", line, run()], cwd=tmp_path, env=engine, timeout=60, check=False)
    shown = (tmp_path / "out").read_text()
    assert "secret" not in shown
    assert shown.count("pipe:") == 3, shown


def test_output_and_errors_into_one_file_keep_their_order(run: Run, engine: Engine, tmp_path: Path) -> None:
    script = "for i in 1 2 3 4 5; do echo out $i; echo err $i >&2; done"
    with (tmp_path / "both").open("w") as sink:
        words = ["docker", "nsenter", run(), "sh", "-c", script]
        subprocess.run(words, stdout=sink, stderr=sink, env=engine, timeout=60, check=True)
    expected = "".join(f"out {i}\nerr {i}\n" for i in range(1, 6))
    assert (tmp_path / "both").read_text() == expected


def test_a_reader_that_leaves_ends_the_writer(run: Run, docker: Call, engine: Engine) -> None:
    name = run()
    done = subprocess.run(
        ["sh", "-c", f"docker nsenter {name} yes | head -1"],
        capture_output=True,
        text=True,
        env=engine,
        timeout=30,
        check=True,
    )
    assert done.stdout == "y\n"
    wait_until(lambda: not any("yes" in line for line in processes(docker, name)), "yes ends")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_descriptors_are_no_accident(run: Run, engine: Engine, closed: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f"docker nsenter {run()} sh -c 'exit 7' {closed}"], env=engine, timeout=30, check=False
    )
    assert done.returncode == 7


def test_a_command_not_on_the_containers_path_is_not_the_hosts(run: Run, nsenter: Call) -> None:
    assert nsenter(run(), "python3", "-V").returncode == 127


def test_path_is_the_commands_own_environment(run: Run, nsenter: Call) -> None:
    assert nsenter("-e", "PATH=/nowhere", run(), "ls").returncode == 127


def test_env_file_and_names_without_value(run: Run, nsenter: Call, engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "vars").write_text("# comment\nA=1\nB=two words\nCALLERS\n")
    options = ("--env-file", str(tmp_path / "vars"), "-e", "UNSET_HERE", "-e", "B=3")
    shown = nsenter(*options, run(), "env", env={**engine, "CALLERS": "mine"}).stdout.splitlines()
    assert {"A=1", "B=3", "CALLERS=mine"} <= set(shown)
    assert not any(line.startswith("UNSET_HERE") for line in shown)


def test_nothing_of_the_callers_environment_comes_in(run: Run, nsenter: Call, engine: Engine) -> None:
    shown = nsenter(run(), "env", env={**engine, "TOP_SECRET": "x"}).stdout
    assert "SECRET" not in shown
    assert "DOCKER" not in shown


def test_env_from_pid_is_the_processes_own(run: Run, nsenter: Call) -> None:
    name = run(command=("env", "LIVE=1", "sleep", "1000"))
    assert "LIVE=1" in nsenter("--env-from", "pid", name, "env").stdout
    assert "LIVE=1" not in nsenter(name, "env").stdout


def test_without_a_command_it_is_the_users_shell(run: Run, nsenter: Call) -> None:
    assert nsenter(run(), input="echo $0\n").stdout.strip().endswith("sh")
    done = nsenter("-u", "locked", run(), input="echo works; id -u\n")
    assert done.stdout.split() == ["works", "1001"], done.stderr


def test_a_container_without_a_shell_says_so(run: Run, nsenter: Call) -> None:
    name = run(image=EMPTY, command=("/busybox", "sleep", "1000"))
    done = nsenter(name)
    assert done.returncode == 127
    sentence = "docker nsenter: cannot run a shell: the container has none (no bash, ash or sh)"
    assert done.stderr == f"{sentence}\nhint: docker nsenter --tools host {name}\n"


def test_a_container_of_one_file_is_entered(run: Run, nsenter: Call) -> None:
    done = nsenter(run(image=EMPTY, command=("/busybox", "sleep", "1000")), "/busybox", "sh", "-c", "exit 5")
    assert done.returncode == 5, done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_signals_to_the_plugin_reach_the_command(run: Run, docker: Call, engine: Engine, number: int) -> None:
    name = run()
    client = subprocess.Popen(["docker", "nsenter", name, "sleep", "4321"], env=engine, stdin=subprocess.DEVNULL)
    wait_until(lambda: any("4321" in line for line in processes(docker, name)), "the command runs")
    os.kill(plugin_of(client.pid), number)
    assert client.wait(10) == 128 + number
    assert not any("4321" in line for line in processes(docker, name))


def plugin_of(docker_pid: int) -> int:
    """Find the plugin, docker's child."""
    return children(docker_pid)[0]


@pytest.mark.parametrize("victim", ["docker", "plugin"])
def test_nothing_runs_on_when_the_client_is_killed(run: Run, docker: Call, engine: Engine, victim: str) -> None:
    name = run()
    client = subprocess.Popen(
        ["docker", "nsenter", name, "sh", "-c", "sleep 8642; true"], env=engine, stdin=subprocess.DEVNULL
    )
    wait_until(lambda: any("sleep 8642" in line for line in processes(docker, name)), "the command runs")
    os.kill(client.pid if victim == "docker" else plugin_of(client.pid), signal.SIGKILL)
    client.wait(10)
    wait_until(lambda: not any("sh -c sleep 8642" in line for line in processes(docker, name)), "the command ends", 15)


def test_a_docker_without_a_plugin_socket_is_watched_itself(run: Run, docker: Call, engine: Engine) -> None:
    """Before 25.0 the CLI gave its plugins no socket."""
    name = run()
    plugin = f"{engine['DOCKER_CONFIG']}/cli-plugins/docker-nsenter"
    script = f"unset DOCKER_CLI_PLUGIN_SOCKET; '{plugin}' nsenter {name} sleep 7410; true"
    env = {**engine, "DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND": "docker"}
    client = subprocess.Popen(["sh", "-c", script], env=env, stdin=subprocess.DEVNULL)
    wait_until(lambda: any("sleep 7410" in line for line in processes(docker, name)), "the command runs")
    client.kill()
    client.wait()
    wait_until(lambda: not any("sleep 7410" in line for line in processes(docker, name)), "the command ends", 15)


def test_a_detached_command_runs_on(run: Run, docker: Call, nsenter: Call) -> None:
    name = run()
    done = nsenter("-d", name, "sh", "-c", "echo lost; sleep 7531")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    wait_until(lambda: any("sleep 7531" in line for line in processes(docker, name)), "it runs on")
    shown = docker("exec", name, "sh", "-c", "ls -l /proc/$(pidof sleep | cut -d' ' -f1)/fd").stdout
    assert "pipe" not in shown


def test_stopping_the_plugin_stops_the_command_and_not_who_reaps_it(run: Run, docker: Call, engine: Engine) -> None:
    name = run()
    client = subprocess.Popen(
        ["docker", "nsenter", name, "sleep", "9753"],
        env=engine,
        stdin=subprocess.DEVNULL,
        preexec_fn=os.setpgrp,  # noqa: PLW1509 - a group of its own in this session
    )
    try:
        wait_until(lambda: any("9753" in line for line in processes(docker, name)), "the command runs")
        plugin = plugin_of(client.pid)
        os.kill(plugin, signal.SIGTSTP)

        def states() -> str:
            return docker("top", name, "-eo", "pid,stat,args").stdout

        wait_until(lambda: any("T" in line.split()[1] for line in states().splitlines() if "9753" in line), "it stops")
        assert "State:\tS" in Path(f"/proc/{plugin}/status").read_text()
        os.kill(plugin, signal.SIGCONT)
        wait_until(
            lambda: all("T" not in line.split()[1] for line in states().splitlines() if "9753" in line), "it goes on"
        )
    finally:
        client.kill()
        client.wait()
