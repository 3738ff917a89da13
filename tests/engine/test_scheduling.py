"""What of the caller's own state must not enter: priority, processors, limits and all else that outlives execve."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ..conftest import Call, Run

Engine = dict[str, str]
SCRIPT = (
    "set -- $(cut -d')' -f2 /proc/self/stat); echo nice ${17} policy ${39};"  # fields 19 and 41
    "grep -E 'Cpus_allowed_list|THP_enabled|SigBlk|SigIgn' /proc/self/status;"
    "ionice -p $$; cat /proc/self/oom_score_adj /proc/self/personality /proc/self/timerslack_ns"
    " /proc/self/coredump_filter; ulimit -Hc; umask; grep heap /proc/self/numa_maps | cut -d' ' -f2"
)
# prctl(2) and set_mempolicy(2) before the plugin: no program of everybody's does it
BEFORE = "import ctypes, os, sys; ctypes.CDLL(None).{}; os.execvp(sys.argv[1], sys.argv[1:])"
CALLERS: dict[str, tuple[str, ...]] = {
    "nice": ("nice", "-n", "7"),
    "one processor": ("taskset", "1"),
    "idle io": ("ionice", "-c3"),
    "best-effort io": ("ionice", "-c2", "-n7"),
    "batch": ("chrt", "-b", "0"),
    "idle": ("chrt", "-i", "0"),
    "real-time": ("chrt", "-f", "5"),
    "out of memory first": ("choom", "-n", "300", "--"),
    "no randomized addresses": ("setarch", "-R"),
    "ignored signals": ("nohup",),
    # As glibc's posix_spawn leaves its own two ignored, by which Python 3.13 starts a program
    "spawned": (
        sys.executable,
        "-c",
        "import os, sys; pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ); "
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))",
    ),
    "umask": ("sh", "-c", 'umask 0; exec "$@"', "sh"),
    "timer slack": (sys.executable, "-c", BEFORE.format("prctl(29, 7000000)")),
    "no huge pages": (sys.executable, "-c", BEFORE.format("prctl(41, 1, 0, 0, 0)")),
    "merged memory": (sys.executable, "-c", BEFORE.format("prctl(67, 1, 0, 0, 0)")),
    "memory policy": (
        sys.executable,
        "-c",
        BEFORE.format(
            "syscall(238 if os.uname().machine == 'x86_64' else 237, 2, ctypes.byref(ctypes.c_ulong(1)), 64)"
        ),
    ),
    "core dump filter": ("sh", "-c", 'echo 0x7f >/proc/self/coredump_filter; exec "$@"', "sh"),
}
CALLERS["several at once"] = (*CALLERS["nice"], *CALLERS["batch"], *CALLERS["idle io"], *CALLERS["one processor"])


def entered(engine: Engine, before: tuple[str, ...], *words: str) -> subprocess.CompletedProcess[str]:
    """Enter as a caller with something of his own."""
    line = [*before, "docker", "nsenter", *words]
    return subprocess.run(
        line, env=engine, stdin=subprocess.PIPE, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("caller", CALLERS)
def test_nothing_of_the_callers_state_reaches_the_command(run: Run, docker: Call, engine: Engine, caller: str) -> None:
    name = run()
    wanted = docker("exec", name, "sh", "-c", SCRIPT).stdout
    assert "nice 0 policy 0" in wanted
    done = entered(engine, CALLERS[caller], name, "sh", "-c", SCRIPT)
    assert (done.stdout, done.returncode) == (wanted, 0), done.stderr


def test_with_only_the_network_the_callers_state_stays(run: Run, engine: Engine) -> None:
    """Such a command is a process of the host's."""
    done = entered(engine, CALLERS["nice"], "--net-only", run(), "cut", "-d", " ", "-f19", "/proc/self/stat")
    assert done.stdout == "7\n"


def test_a_lower_limit_of_the_callers_is_the_containers_or_is_said(run: Run, engine: Engine) -> None:
    done = entered(engine, ("prlimit", "--nofile=50:50"), run("--ulimit", "nofile=60:70"), "sh", "-c", "ulimit -Hn")
    if (
        int(next(line for line in Path("/proc/self/status").read_text().splitlines() if "CapEff" in line)[7:], 16) >> 24
        & 1
    ):
        assert (done.stdout, done.stderr) == ("70\n", "")
    else:
        sentence = "some limits are lower than the container's, as yours can't be raised: Max open files 50"
        assert (done.stdout, done.stderr) == ("50\n", f"docker nsenter: {sentence}\n")


def test_secure_bits_of_the_callers_take_no_capability_away(run: Run, engine: Engine) -> None:
    """SECBIT_NO_CAP_AMBIENT_RAISE would leave who is not root without what was added for him."""
    before = (sys.executable, "-c", BEFORE.format("prctl(28, 64)"))
    words = ("-u", "1000", "--cap-add", "NET_RAW", run(), "grep", "CapAmb", "/proc/self/status")
    assert entered(engine, before, *words).stdout == "CapAmb:\t0000000000002000\n"


def test_what_may_not_be_reset_is_said(run: Run, engine: Engine) -> None:
    """Without CAP_SYS_NICE nobody may lower a nice value."""
    nobody = ("nice", "-n", "7", "setpriv", "--bounding-set", "-sys_nice", "--inh-caps", "-sys_nice")
    done = entered(engine, nobody, run("--cap-drop", "SYS_NICE"), "cut", "-d", " ", "-f19", "/proc/self/stat")
    assert done.stdout == "7\n"
    assert done.stderr == "docker nsenter: the command keeps the caller's nice value: this process may not reset it\n"


def test_memory_that_may_not_be_executed_stays_and_is_said(run: Run, engine: Engine) -> None:
    if ctypes.CDLL(None).prctl(66, 0, 0, 0, 0) < 0:
        return  # before Linux 6.3 nobody has it
    refusing = (sys.executable, "-c", BEFORE.format("prctl(65, 1, 0, 0, 0)"))
    sentence = "the command keeps the caller's refusal of memory that is written and executed"
    reads = ("grep", "Name", "/proc/self/status")
    done = entered(engine, refusing, run(), *reads)
    assert (done.returncode, done.stdout) == (0, "Name:\tgrep\n")
    assert done.stderr == f"docker nsenter: {sentence}: this process may not reset it\n"
    done = entered(engine, refusing, "--route", "helper", run(), *reads)  # the engine starts that
    assert (done.returncode, done.stdout, done.stderr) == (0, "Name:\tgrep\n", "")


def test_a_looping_link_on_the_path_is_passed_over(run: Run, nsenter: Call, docker: Call) -> None:
    name = run()
    docker("exec", name, "sh", "-c", "mkdir /loops; ln -s echo /loops/echo; ln -s loop /loop")
    for path in ("/loops:/bin", "/loop:/bin"):
        assert nsenter("-e", f"PATH={path}", name, "echo", "on").stdout == "on\n"
    done = nsenter("-e", "PATH=/loops", name, "echo", "on")
    assert done.returncode == 127


def test_a_deleted_directory_of_the_callers_is_named_only_where_it_is_meant(
    run: Run, engine: Engine, tmp_path: Path
) -> None:
    name = run()
    script = f'mkdir {tmp_path}/gone; cd {tmp_path}/gone; rmdir ../gone; exec docker nsenter "$@"'
    before = ("sh", "-c", script, "sh")

    def enter(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*before, *words], env=engine, capture_output=True, text=True, timeout=60, check=False)

    assert enter(name, "pwd").stdout == "/\n"
    assert enter("--net-only", name, "echo", "in").stdout == "in\n"
    assert enter("--dry-run", name).returncode == 0
    done = enter("--tools", "./x", name, "sh")
    assert done.returncode == 125
    assert done.stderr.endswith("docker nsenter: --tools ./x: the current directory was deleted\n")
    assert os.environ  # nothing of the tests' own process has changed
