"""--why names the layer that refuses, and the line that it offers works when pasted."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from docker_nsenter.enter.linux.capabilities import NUMBERS

from ..conftest import Call, Run, wait_until

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
    "chown": ((), ("-u", "app"), ("chown", "0", "/home/app"), MISSING.format("CHOWN"), "nsenter --user 0 "),
    "kill": ((), ("-u", "app"), ("kill", "-0", "1"), MISSING.format("KILL"), "nsenter --user 0 "),
    "a user whose root may not": (
        ("--cap-drop", "KILL"),
        ("-u", "app"),
        ("kill", "-0", "1"),
        MISSING.format("KILL"),
        "--cap-add KILL",
    ),
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
    "a file": ((), ("-u", "app"), ("touch", "/x"), MISSING.format("DAC_OVERRIDE"), "nsenter --user 0 "),
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
    assert "lifted by --security-opt seccomp=unconfined --cap-add SYS_TIME (risk: as good as root" in done.stderr


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
    assert done.stderr.splitlines()[1:] == ["docker nsenter: nothing was refused: the failure is the command's own"]


def test_why_true_says_that_nothing_was_refused(run: Run, nsenter: Call) -> None:
    done = nsenter("--why", run(), "true")
    assert (done.returncode, done.stderr) == (0, "docker nsenter: nothing was refused\n")


# --- limits and mounts ------------------------------------------------------------------------------------------------

# The shell waits for its children however it ends: pid 1 of these containers reaps none, and zombies count
FORKS = ("sh", "-c", "trap wait EXIT; i=0; while [ $i -lt 10 ]; do i=$((i+1)); sleep 3 & done; wait")
OPENS = ("sh", "-c", 'i=3; while [ $i -lt 40 ]; do eval "exec $i</dev/null" || exit 1; i=$((i+1)); done')
HOG = ("dd", "if=/dev/zero", "of=/dev/null", "bs=20M", "count=1")  # few calls: an emulated machine watches them slowly
# title: (docker run's options, ours, the command, what is said, what lifts it: a line to paste, or '')
LIMITS: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], str, str]] = {
    "pids": (
        ("--pids-limit", "9"),
        (),
        FORKS,
        "the limit of processes (pids: 9) of the container",
        "update --pids-limit",
    ),
    "memory": (("-m", "16m"), (), HOG, "ended by SIGKILL (9): the memory limit (16 MiB) of the container", "--memory"),
    "nofile, soft": (("--ulimit", "nofile=24:64"), (), OPENS, "the limit nofile (24, ", "ulimit -S -n"),
    "nofile, hard": (("--ulimit", "nofile=24:24"), (), OPENS, "the limit nofile (24, ", "--cap-add SYS_RESOURCE"),
    "fsize": (
        ("--ulimit", "fsize=1024:1000000"),
        (),
        ("dd", "if=/dev/zero", "of=/tmp/f", "bs=1k", "count=8"),
        "File too large: the limit fsize (1024, ",
        "ulimit -S -f",
    ),
    "nproc": (
        ("--user", "4711", "--ulimit", "nproc=8:8"),  # with less runc 1.3 starts nothing
        (),
        FORKS,
        "the limit nproc (8, ",
        "nsenter --user 0 ",
    ),
    "a limit of one's own": (
        (),
        (),
        ("sh", "-c", "ulimit -n 4; exec 3</dev/null 4</dev/null"),
        "the limit nofile (4), which the command has set",
        "",
    ),
    "a full tmpfs": (
        ("--tmpfs", "/t:size=64k"),
        (),
        ("dd", "if=/dev/zero", "of=/t/f", "bs=1k", "count=80"),
        "No space left on device: tmpfs at /t is full",
        "",
    ),
    "no inodes": (
        ("--tmpfs", "/t:size=1m,nr_inodes=2"),
        (),
        ("touch", "/t/a", "/t/b"),
        "tmpfs at /t can hold no more files (inodes)",
        "",
    ),
    "noexec": (
        ("--tmpfs", "/t:noexec"),
        (),
        ("sh", "-c", "cp /bin/busybox /t/true; /t/true"),
        'execve("/t/true"): Permission denied: /t is mounted noexec',
        "",
    ),
    "noexec, behind a link": (
        ("--tmpfs", "/t:noexec"),
        (),
        ("sh", "-c", "cp /bin/busybox /t/true; ln -s /t /l; /l/true"),
        'execve("/l/true"): Permission denied: /t is mounted noexec',
        "",
    ),
    "nodev": (
        ("--tmpfs", "/t:nodev"),
        (),
        ("sh", "-c", "mknod /t/null c 1 3; cat /t/null"),
        "/t is mounted nodev",
        "",
    ),
    "nosuid": (
        ("--tmpfs", "/t:nosuid,exec", "--user", "app"),
        ("-u", "0"),
        ("sh", "-c", "cp /bin/busybox /t/su; chown 1000 /t/su; chmod 4755 /t/su; /t/su app -c false"),
        "/t is mounted nosuid: what the file would give",
        "",
    ),
    "not executable": ((), (), ("sh", "-c", "echo >/tmp/x; /tmp/x"), "nobody may execute it (chmod +x)", ""),
}


# The same of an engine without docker update: what is said, and the option that lifts it in a new container
ANEW = {
    "pids": ("the limit of processes (pids: 9, docker run --pids-limit=…) of the container", "--pids-limit=20"),
    "memory": ("the memory limit (16 MiB, docker run --memory=…) of the container", "--memory=64m"),
}


def holds(capability: str) -> bool:
    """Tell whether we have a capability, which virtual machines keep some of."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff"))
    return bool(int(line.split()[1], 16) >> NUMBERS[capability] & 1)


@pytest.mark.parametrize("title", LIMITS)
def test_the_limit_or_the_mount_is_named_and_what_lifts_it_works(
    run: Run, nsenter: Call, docker: Call, engine: dict[str, str], title: str
) -> None:
    flags, options, command, said, lifting = LIMITS[title]
    if "SYS_RESOURCE" in lifting and not holds("SYS_RESOURCE"):
        said, lifting = (
            f"{said}docker run --ulimit nofile=…) is reached; SYS_RESOURCE would lift it, which you lack",
            "",
        )
    name = run(*flags)
    anew = ""
    if title in ANEW and docker("update", *flags, name, check=False).returncode != 0:  # Podman 4.3 has none
        (said, anew), lifting = ANEW[title], ""
    done = nsenter("--why", *options, name, *command)
    assert done.returncode != 0
    assert said in done.stderr
    assert "failure is the command's own" not in done.stderr
    if not lifting:
        assert "hint: " not in done.stderr
        if anew:
            again = nsenter(*options, run(anew), *command)
            assert again.returncode == 0, again.stderr
        return
    hint = hint_of(done.stderr)
    assert lifting in hint
    pasted = subprocess.run(hint, shell=True, capture_output=True, text=True, env=engine, check=False, timeout=60)
    assert pasted.returncode == 0, (hint, pasted.stderr)
    if " update " in hint:
        again = nsenter(*options, name, *command)
        assert again.returncode == 0, again.stderr


# The shell line of a person, the words about its end
ENDS = {
    "kill $$": "ended by SIGTERM (15): sent by itself",
    "kill -9 $$": "ended by SIGKILL (9): sent by itself",
    "(sleep 0.2; kill -9 $$) & wait": "ended by SIGKILL (9): sent by sh",
    "(sleep 0.2; kill -HUP $$; sleep 1; :) & wait": "ended by SIGHUP (1): sent by sh (process ",
    "ulimit -f 1; yes >/tmp/f": "ended by SIGXFSZ (25): the limit fsize (512), which the command has set",
}


@pytest.mark.parametrize("line", ENDS)
def test_which_signal_ended_it_and_whose_it_was(run: Run, nsenter: Call, line: str) -> None:
    done = nsenter("--why", run(), "sh", "-c", line)
    assert ENDS[line] in done.stderr


def test_a_crash_is_the_programs_own(run: Run, nsenter: Call) -> None:
    script = "import ctypes; ctypes.string_at(8)"
    done = nsenter("--why", "--net-only", run(), sys.executable, "-c", script)
    assert "ended by SIGSEGV (11): sent by the kernel, for what the program itself did" in done.stderr


# Of a process whose parent ignores SIGCHLD the kernel leaves nothing to look at
IGNORES = """
import os, resource, signal
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
if os.fork() == 0:
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512))
    file = os.memfd_create("file")
    while True:
        os.write(file, bytes(512))
try:
    os.wait()
except ChildProcessError:
    pass
"""


def test_the_limit_that_ends_a_process_is_read_while_it_is_there(run: Run, nsenter: Call) -> None:
    done = nsenter("--why", "--net-only", run(), sys.executable, "-c", IGNORES)
    assert "ended by SIGXFSZ (25): the limit fsize (512), which the command has set" in done.stderr, done


def test_docker_kills_signal_is_from_outside(run: Run, engine: dict[str, str], docker: Call) -> None:
    name = run()
    words = ["docker", "nsenter", "--why", name, "sleep", "4711"]
    client = subprocess.Popen(words, env=engine, stderr=subprocess.PIPE, text=True)
    shown = ("top", name, "-o", "pid,args")
    line = wait_until(lambda: [row for row in docker(*shown).stdout.splitlines() if "4711" in row], "it runs", 30)[0]
    os.kill(int(line.split()[0]), signal.SIGTERM)
    assert "sleep: ended by SIGTERM (15): sent from outside" in client.communicate(timeout=30)[1]


def test_a_debugger_in_the_command_is_told_that_we_watch_already(run: Run, nsenter: Call) -> None:
    done = nsenter("--why", "--pid", run(), "sh", "-c", "sleep 20 & strace -o /dev/null -p $!; kill $!")
    assert "--why watches that process itself, and there can be one tracer" in done.stderr
    assert "SYS_PTRACE" not in done.stderr


def test_a_pipe_that_nobody_reads_is_no_news(run: Run, nsenter: Call) -> None:
    done = nsenter("--why", run(), "sh", "-c", "yes | head -1")
    assert (done.returncode, done.stderr) == (0, "docker nsenter: nothing was refused\n")


# --- what is said -----------------------------------------------------------------------------------------------------


def test_ss_over_the_hosts_files_is_a_few_lines(run: Run, nsenter: Call) -> None:
    """What repeats is one line per call and cause, with a count."""
    done = nsenter(
        "--why", "--net-only", run(), "sh", "-c", "for i in /proc/[0-9]*; do ls -l $i/fd; done >/dev/null 2>&1"
    )
    lines = done.stderr.splitlines()
    assert len(lines) <= 6, done.stderr
    assert any(" more like it: Permission denied: " + MISSING.format("SYS_PTRACE") in line for line in lines)


# The command, the call as a person reads it in the manual
DECODED = {
    ("strace", "-o", "/dev/null", "-p", "1"): "ptrace(PTRACE_SEIZE, ",
    ("ip", "link", "set", "lo", "down"): "ioctl(3, SIOCSIFFLAGS)",
    (
        "mount",
        "-o",
        "ro,nosuid",
        "-t",
        "tmpfs",
        "none",
        "/mnt",
    ): 'mount("none", "/mnt", "tmpfs", MS_RDONLY|MS_NOSUID|MS_SILENT)',
    ("unshare", "-m", "true"): "unshare(CLONE_NEWNS",
    ("umount", "-l", "/proc"): 'umount2("/proc", MNT_DETACH)',
    ("kill", "-HUP", "1"): "kill(1, SIGHUP)",
    ("ping", "-c1", "127.0.0.1"): "socket(AF_INET, SOCK_RAW, 1)",
    ("touch", "/etc/x"): 'openat("/etc/x", O_RDWR|O_CREAT',
    ("mkdir", "/x"): 'mkdirat("/x", 0777)' if os.uname().machine == "aarch64" else 'mkdir("/x", 0777)',
}


@pytest.mark.parametrize("command", DECODED, ids=" ".join)
def test_arguments_are_the_manuals_words(run: Run, nsenter: Call, command: tuple[str, ...]) -> None:
    options = ("-u", "app", "--pid") if command[0] == "strace" else ("-u", "app")
    done = nsenter("--why", *options, run("--cap-drop", "ALL"), *command)
    assert DECODED[command] in done.stderr


RISKS = {
    ("mount", "-t", "tmpfs", "none", "/mnt"): "(risk: as good as root on the host)",
    ("unshare", "-U", "true"): "(risk: more of the kernel is open to the command)",
    ("ip", "link", "set", "lo", "down"): "(risk: more of the kernel is open to the command)",
    ("sh", "-c", "mknod /tmp/k c 1 11; exec 3>/tmp/k"): "(risk: as good as root on the host)",
    ("ping", "-c1", "127.0.0.1"): "(harmless)",
}


@pytest.mark.parametrize("command", RISKS, ids=" ".join)
def test_each_remedy_says_what_it_gives_away(run: Run, nsenter: Call, command: tuple[str, ...]) -> None:
    done = nsenter("--why", run("--cap-drop", "NET_RAW"), *command)
    assert RISKS[command] in done.stderr


def test_touch_as_app_is_offered_root_of_the_container_alone(run: Run, nsenter: Call) -> None:
    done = nsenter("--why", "-u", "app", name := run(), "touch", "/x")
    assert hint_of(done.stderr) == f"docker nsenter --user 0 {name} touch /x"
    assert "lifted by --user 0 (harmless)" in done.stderr


def test_touch_on_a_read_only_root_is_told_that_the_line_writes_past_it(run: Run, nsenter: Call) -> None:
    done = nsenter("--why", run("--read-only"), "touch", "/x")
    assert "the hint writes past --read-only, into the container's own layer" in done.stderr
    assert "(risk: as good as root on the host)" in done.stderr


def test_a_command_that_did_not_fail_is_offered_nothing_that_is_root_on_the_host(run: Run, nsenter: Call) -> None:
    """A hostile one has itself refused for it, and succeeds."""
    done = nsenter("--why", run(), "sh", "-c", "mount -t tmpfs none /mnt 2>/dev/null; true")
    lifted = "lifted by --security-opt seccomp=unconfined --cap-add SYS_ADMIN"
    module = " --security-opt apparmor=unconfined" if os.path.exists("/sys/kernel/security/apparmor") else ""
    assert f"{lifted}{module} (risk: as good as root" in done.stderr
    assert "hint: " not in done.stderr


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
