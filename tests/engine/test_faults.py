"""Whatever fails around an entry: one sentence and a status of ours, or it goes on; nothing is run half restricted."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest

from ..conftest import Call, Run, children, wait_until
from .conftest import run_words
from .test_attacks_target import contents

Engine = dict[str, str]


def launcher(engine: Engine) -> str:
    """Name the plugin's file, to start it under something that docker would not."""
    return f"{engine['DOCKER_CONFIG']}/cli-plugins/docker-nsenter"


def one_sentence(done: subprocess.CompletedProcess[str], status: int = 125) -> None:
    """Expect a sentence of ours and nothing else."""
    assert done.returncode == status, done
    lines = [line for line in done.stderr.splitlines() if not line.startswith("strace:")]
    assert lines[0].startswith("docker nsenter: "), done.stderr
    assert len(lines) <= 2
    assert "unexpected" not in done.stderr
    assert done.stdout == ""


def test_memory_may_be_as_small_as_it_likes(run: Run, engine: Engine) -> None:
    """Where even Python can't begin, nothing has been run either."""
    name = run()
    seen = set()
    for kilobytes in (12000, 14000, 15000, 15500, 16000, 16500, 17000, 18000, 40000):
        words = ("prlimit", f"--as={kilobytes * 1000}", launcher(engine), "nsenter", name, "echo", "in")
        done = run_words(*words, env=engine, stdin=subprocess.DEVNULL)
        assert (done.stdout == "in\n") == (done.returncode == 0), done
        if done.returncode == 125:
            one_sentence(done)
        seen.add(done.returncode)
    assert 0 in seen
    assert len(seen) > 1


@pytest.mark.parametrize(
    ("call", "errors", "status"),
    [
        ("clone3", ["ENOSYS", "EAGAIN", "EBUSY", "EINVAL"], 0),
        ("clone3", ["EPERM", "ENOMEM"], 125),
        ("clone", ["EAGAIN", "ENOMEM"], 125),
    ],
)
def test_a_process_that_cannot_be_started_is_told_or_done_without(
    run: Run, engine: Engine, call: str, errors: list[str], status: int
) -> None:
    """clone3 puts the command into its v2 cgroup at once; without it that takes a moment longer."""
    name = run()
    for error in errors:
        inject = ("strace", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:error={error}:when=1")
        done = run_words(*inject, launcher(engine), "nsenter", name, "true", env=engine, stdin=subprocess.DEVNULL)
        if status and done.returncode:
            one_sentence(done)
        elif call != "clone3" or status == 0:  # where nothing is mounted as v2, clone3 is not called
            assert done.returncode == status, done


@pytest.mark.parametrize("error", ["ENOMEM", "EACCES", "ETXTBSY", "E2BIG"])
def test_a_command_that_cannot_be_executed_is_told(run: Run, engine: Engine, error: str) -> None:
    """The third execve of that process tree is the command's: the shell, the loader with Python, the command."""
    name = run()
    inject = ("strace", "-f", "-o", "/dev/null", "-e", "trace=execve", "-P", "/bin/true")
    done = run_words(
        *inject,
        "-e",
        f"inject=execve:error={error}",
        launcher(engine),
        "nsenter",
        name,
        "/bin/true",
        env=engine,
        stdin=subprocess.DEVNULL,
    )
    one_sentence(done, 126)
    assert "cannot run /bin/true: " in done.stderr


def test_a_full_disk_is_named(run: Run, engine: Engine) -> None:
    script = 'docker nsenter "$0" sh -c "echo x; sleep 0.1; seq 100000; exit 3" >/dev/full'
    done = run_words("sh", "-c", script, run(), env=engine, stdin=subprocess.DEVNULL)
    one_sentence(done)
    assert "cannot copy the command's output: No space left on device" in done.stderr


def test_nothing_is_written_to_a_temporary_directory(run: Run, engine: Engine) -> None:
    script = "for at in /tmp /var/tmp; do mount --bind $at $at; mount -o remount,ro,bind $at; done; "
    script += 'exec docker nsenter "$0" echo in'
    done = run_words("unshare", "--mount", "sh", "-c", script, run(), env=engine, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout, done.stderr) == (0, "in\n", "")


def test_a_full_pids_limit_lets_the_command_in_and_no_child(run: Run, docker: Call, nsenter: Call) -> None:
    name = run("--pids-limit", "5", command=("sh", "-c", "sleep 1000 & sleep 1000 & sleep 1000 & sleep 1000 & wait"))
    wait_until(lambda: len(docker("top", name, "-eo", "pid").stdout.splitlines()) == 6, "the limit is reached")
    done = nsenter(name, "sh", "-c", "exit 7")
    assert done.returncode in (7, 125), done
    assert done.returncode == 7 or len(done.stderr.splitlines()) <= 2
    done = nsenter(name, "sh", "-c", "sleep 1; echo forked")
    assert "forked" not in done.stdout
    assert len(docker("top", name, "-eo", "pid").stdout.splitlines()) == 6


def test_a_command_that_eats_its_memory_is_ended_and_told_by_its_status(run: Run, docker: Call, nsenter: Call) -> None:
    name = run("--memory", "12m", "--oom-score-adj", "500")
    done = nsenter(name, "sh", "-c", "x=xxxxxxxxxxxxxxxx; while :; do x=$x$x; done")
    assert done.returncode == 137 or "out of memory" in done.stderr, done
    assert docker("inspect", "-f", "{{.State.Running}}", name).stdout == "true\n"


@pytest.mark.parametrize("gone", ["SIGKILL to docker", "the terminal"])
def test_a_terminal_session_ends_with_its_client_and_the_terminal_is_usable(
    run: Run, docker: Call, engine: Engine, gone: str
) -> None:
    """Nobody can restore a terminal before the shell hears that docker died: a moment after is the promise."""
    name = run()
    usable = "for i in $(seq 50); do stty -a | grep -q ' -icanon\\| -echo ' || break; sleep 0.1; done; stty -a"
    script = f"docker nsenter -t {name} sh -c 'echo begun; sleep 6543; true'; {usable}; echo after"
    script += "; read x; echo said $x"
    child = pexpect.spawn("bash", ["-c", script], env=engine, encoding="utf-8", timeout=30)
    child.expect("begun")
    if gone == "the terminal":
        child.close()
    else:
        os.kill(next(pid for pid in children(child.pid) if b"docker" in contents(Path(f"/proc/{pid}/cmdline"))), 9)
        child.expect(r"[^-]icanon.*[^-]echo .*after")
        child.sendline("typed")
        child.expect("said typed")
        child.close()
    wait_until(lambda: "6543" not in docker("top", name, "-eo", "pid,args").stdout, "the command has ended", 20)


def test_an_engine_that_goes_away_leaves_the_session_alone(
    run: Run, docker: Call, engine: Engine, tmp_path: Path, relay: Callable[[], tuple[str, Callable[[], None]]]
) -> None:
    """The engine is asked once; what happens to it afterwards is nothing to the command."""
    name = run()
    host, end = relay()
    process = subprocess.Popen(
        ["docker", "nsenter", name, "sh", "-c", "echo begun; read x; echo $x; exit 9"],
        env={**engine, "DOCKER_HOST": host},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "begun\n"
    end()
    assert process.communicate("still here\n", timeout=20)[0] == "still here\n"
    assert process.returncode == 9


@pytest.fixture
def relay(engine: Engine, tmp_path: Path) -> Callable[[], tuple[str, Callable[[], None]]]:
    """Stand between docker and the engine, and end."""

    def start() -> tuple[str, Callable[[], None]]:
        path = tmp_path / "relay.sock"
        real = engine["DOCKER_HOST"].removeprefix("unix://")
        script = (
            "import socket, sys, threading\n"
            "def pump(a, b):\n"
            "    while data := a.recv(65536): b.sendall(data)\n"
            "    b.shutdown(socket.SHUT_WR)\n"
            "server = socket.socket(socket.AF_UNIX); server.bind(sys.argv[1]); server.listen()\n"
            "while True:\n"
            "    one, two = server.accept()[0], socket.socket(socket.AF_UNIX); two.connect(sys.argv[2])\n"
            "    for pair in ((one, two), (two, one)): threading.Thread(target=pump, args=pair, daemon=True).start()\n"
        )
        process = subprocess.Popen(["python3", "-c", script, path, real], stderr=subprocess.DEVNULL)
        wait_until(path.exists, "the relay listens")

        def end() -> None:
            process.send_signal(signal.SIGKILL)
            process.wait()

        return f"unix://{path}", end

    return start
