"""--why names the layer that refuses, and the line that it offers works when pasted."""

import subprocess
from collections.abc import Callable

import pytest

from ..conftest import Call, Run

FILTER, MISSING = "the container's seccomp filter", "the capability {} is missing"
# title: (docker run's options, ours, the command, what is said, the options that lift it)
CASES: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], str, str]] = {
    "mount": ((), (), ("mount", "-t", "tmpfs", "none", "/tmp"), FILTER, "seccomp=unconfined --cap-add SYS_ADMIN"),
    "mount, filter lifted": (
        ("--security-opt", "seccomp=unconfined"),
        (),
        ("mount", "-t", "tmpfs", "none", "/tmp"),
        MISSING.format("SYS_ADMIN"),
        "nsenter --cap-add SYS_ADMIN",
    ),
    "host name": ((), (), ("hostname", "x"), FILTER, "seccomp=unconfined --cap-add SYS_ADMIN"),
    "unshare": ((), (), ("unshare", "-m", "true"), FILTER, "seccomp=unconfined --cap-add SYS_ADMIN"),
    "a user namespace": ((), (), ("unshare", "-U", "true"), FILTER, "nsenter --security-opt seccomp=unconfined"),
    "ping": (
        ("--cap-drop", "NET_RAW"),
        (),
        ("ping", "-c1", "127.0.0.1"),
        MISSING.format("NET_RAW"),
        "--cap-add NET_RAW",
    ),
    "an option of one's own": (
        (),
        ("--cap-drop", "NET_RAW"),
        ("ping", "-c1", "127.0.0.1"),
        MISSING.format("NET_RAW"),
        "--cap-add NET_RAW",
    ),
    "chown": ((), ("-u", "app"), ("chown", "0", "/home/app"), MISSING.format("CHOWN"), "--cap-add CHOWN"),
    "kill": ((), ("-u", "app"), ("kill", "-0", "1"), MISSING.format("KILL"), "--cap-add KILL"),
    "the network, by ioctl": ((), (), ("ip", "link", "set", "lo", "down"), MISSING.format("NET_ADMIN"), "NET_ADMIN"),
    "the network, by netlink": (
        (),
        ("--net-only",),
        ("ip", "link", "set", "lo", "down"),
        MISSING.format("NET_ADMIN"),
        "--cap-add NET_ADMIN",
    ),
    "mknod": (
        ("--cap-drop", "MKNOD"),
        (),
        ("mknod", "/tmp/n", "c", "1", "3"),
        MISSING.format("MKNOD"),
        "--cap-add MKNOD",
    ),
    "chroot": (("--cap-drop", "SYS_CHROOT"), (), ("chroot", "/", "true"), MISSING.format("SYS_CHROOT"), "SYS_CHROOT"),
    "a file": ((), ("-u", "app"), ("touch", "/etc/x"), MISSING.format("DAC_OVERRIDE"), "--cap-add DAC_OVERRIDE"),
    "the clock": ((), (), ("adjtimex", "-t", "10000"), MISSING.format("SYS_TIME"), "--cap-add SYS_TIME"),
    "another's /proc": (
        ("--user", "app"),
        ("-u", "0"),
        ("readlink", "/proc/1/exe"),
        MISSING.format("SYS_PTRACE"),
        "--cap-add SYS_PTRACE",
    ),
    "read-only": (("--read-only",), (), ("touch", "/x"), "/ is mounted read-only", "unshare -m sh -c"),
    "a read-only volume": (
        ("-v", "VOLUME:/var:ro"),
        (),
        ("mkdir", "/var/nsenter-why-test"),
        "/var is mounted read-only",
        "unshare -m sh -c",
    ),
    "a device": (
        (),
        (),
        ("sh", "-c", "mknod /tmp/k c 1 11; exec 3>/tmp/k"),
        "the container's cgroup, which lists the devices",
        "--no-join-cgroup",
    ),
    "a filter of the user's own": (
        ("--security-opt", "seccomp=PROFILE"),
        (),
        ("mkdir", "/tmp/d"),
        FILTER,
        "nsenter --security-opt seccomp=unconfined",
    ),
}
PROFILE = (
    '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}'
)


@pytest.fixture
def start(run: Run, tmp_path: pytest.TempPathFactory) -> Callable[..., str]:
    """Start a container, with a seccomp profile of the user's own where that is asked for."""

    def begin(*flags: str) -> str:
        path = f"{tmp_path}/profile.json"
        with open(path, "w") as file:
            file.write(PROFILE)
        return run(*(flag.replace("PROFILE", path).replace("VOLUME", str(tmp_path)) for flag in flags))

    return begin


def hint_of(stderr: str) -> str:
    """Take the line to paste."""
    return next(line for line in stderr.splitlines() if line.startswith("hint: ")).removeprefix("hint: ")


@pytest.mark.parametrize("title", CASES)
def test_the_layer_is_named_and_the_line_to_paste_works(
    start: Callable[..., str], nsenter: Call, engine: dict[str, str], title: str
) -> None:
    flags, options, command, said, lifting = CASES[title]
    name = start(*flags)
    done = nsenter("--why", *options, name, *command)
    assert done.returncode != 0
    assert said in done.stderr
    assert "--privileged" not in done.stderr
    hint = hint_of(done.stderr)
    assert lifting in hint
    pasted = subprocess.run(hint, shell=True, capture_output=True, text=True, env=engine, check=False, timeout=60)
    assert pasted.returncode == 0, (hint, pasted.stderr)


def test_strace_is_told_what_it_lacks(run: Run, nsenter: Call, engine: dict[str, str]) -> None:
    command = ("timeout", "-s", "INT", "2", "strace", "-o", "/dev/null", "-p", "1")
    done = nsenter("--why", "--pid", run("--user", "app"), *command)
    assert MISSING.format("SYS_PTRACE") in done.stderr
    pasted = subprocess.run(hint_of(done.stderr), shell=True, capture_output=True, text=True, env=engine, check=False)
    assert "Process 1 attached" in pasted.stderr


def test_setting_the_clock_is_explained(run: Run, nsenter: Call) -> None:
    """The line is not pasted: it would change this machine's clock, which is what it says."""
    done = nsenter("--why", run(), "date", "-s", "@1")
    assert "clock_settime(0): Operation not permitted: the container's seccomp filter" in done.stderr
    assert "--security-opt seccomp=unconfined --cap-add SYS_TIME" in hint_of(done.stderr)


def test_a_set_user_id_file_is_void_under_no_new_privs(run: Run, docker: Call, nsenter: Call) -> None:
    name = run("--security-opt", "no-new-privileges", "--user", "app")
    docker("exec", "-u", "0", name, "sh", "-c", "cp /bin/busybox /tmp/ping; chmod 4755 /tmp/ping")
    done = nsenter("--why", name, "/tmp/ping", "-c1", "127.0.0.1")
    assert done.returncode != 0
    assert 'execve("/tmp/ping") gained nothing' in done.stderr
    assert "lifted by --security-opt no-new-privileges=false" in done.stderr
    lifted = nsenter("--security-opt", "no-new-privileges=false", name, "/tmp/ping", "-c1", "127.0.0.1")
    assert lifted.returncode == 0, lifted.stderr


def test_what_is_not_refused_is_said_to_be_the_commands_own(run: Run, nsenter: Call) -> None:
    done = nsenter("--why", run(), "cat", "/no/such")
    assert done.stderr.splitlines()[1:] == [
        "docker nsenter: no system call was refused: the failure is the command's own"
    ]


def test_the_command_is_the_same_as_without(run: Run, nsenter: Call) -> None:
    name = run()
    for words in (
        ("sh", "-c", "read a; echo got $a; (exit 3); sh -c 'kill -9 $$'; exit 7"),
        ("sh", "-c", "kill -15 $$"),
    ):
        plain, watched = nsenter(name, *words, input="x\n"), nsenter("--why", name, *words, input="x\n")
        assert (watched.returncode, watched.stdout) == (plain.returncode, plain.stdout)
    stopped = nsenter("--why", name, "sh", "-c", "sleep 0.2 & kill -STOP $!; kill -CONT $!; wait; echo went on")
    assert stopped.stdout == "went on\n"
    background = nsenter("--why", name, "sh", "-c", "sleep 300 >/dev/null 2>&1 & echo started")
    assert background.stdout == "started\n"


def test_a_filter_that_kills_is_told(run: Run, nsenter: Call, tmp_path: pytest.TempPathFactory) -> None:
    path = f"{tmp_path}/kill.json"
    with open(path, "w") as file:
        file.write(PROFILE.replace("SCMP_ACT_ERRNO", "SCMP_ACT_KILL"))
    done = nsenter("--why", run("--security-opt", f"seccomp={path}"), "mkdir", "/tmp/d")
    assert done.returncode == 128 + 31
    assert "the process was ended: the container's seccomp filter" in done.stderr


def test_the_line_to_paste_goes_to_the_same_engine(run: Run, docker: Call, engine: dict[str, str]) -> None:
    name = run()
    elsewhere = {**engine, "DOCKER_HOST": "unix:///nowhere"}
    done = docker("-H", engine["DOCKER_HOST"], "nsenter", "--why", name, "hostname", "x", env=elsewhere, check=False)
    hint = hint_of(done.stderr)
    assert hint.startswith(f"docker -H {engine['DOCKER_HOST']} nsenter --security-opt")
    assert subprocess.run(hint, shell=True, env=elsewhere, check=False).returncode == 0
