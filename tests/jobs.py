"""Background jobs, ^Z, bg, fg, ^C and hang-ups at random, in shells and without one: the terminal is as it was.

`python -m tests.jobs [JOBS [AT ONCE [SEED]]]` with DOCKER_HOST and DOCKER_CONFIG of an engine with the plugin.
"""

import collections
import itertools
import os
import random
import shutil
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pexpect

from .engine.remote import Remote
from .engine.systemd import Manager
from .images import BUSYBOX

Shell = pexpect.spawn
SHELLS = {"dash": ["-i"], "bash": ["--norc", "--noprofile", "--noediting", "-i"], "zsh": ["-f", "-i"]}
STOPPED = r"(?i)stopped|suspended"
LASTING = "4711"  # seconds; what sleeps that long has to be ended
PATIENCE = 60
# Without a terminal of its own ^Z is the shell's here; with one it is what runs there, where no shell could stop it
NULL = " </dev/null"
numbers = itertools.count()


def modes(terminal: "pexpect.spawn[str]") -> list[int]:
    """Read the terminal's four flags."""
    return [int(flag) for flag in termios.tcgetattr(terminal.child_fd)[:4]]


def spawn(program: str, words: "list[str]", more: "dict[str, str] | None" = None) -> "pexpect.spawn[str]":
    """Start a program on a terminal of its own."""
    env = {**os.environ, **(more or {}), "PS1": "> ", "PROMPT": "> ", "TERM": "xterm"}
    return pexpect.spawn(program, words, env=env, timeout=PATIENCE, encoding="utf-8", dimensions=(24, 300))


class Typist:
    """Type one job after the other into a shell, and see after each that the terminal is as it was."""

    def __init__(self, name: str, container: str, ssh: "list[str]", manager: Manager) -> None:
        """Begin with a shell; `ssh` reaches this machine, and systemd-run the manager."""
        self.name, self.container, self.ssh, self.manager = name, container, ssh, manager
        self.shell = self._begin()
        self.before = modes(self.shell)

    def _begin(self) -> "pexpect.spawn[str]":
        program = shutil.which(self.name)
        assert program, f"{self.name} is needed"
        shell = spawn(program, SHELLS[self.name])
        if self.name == "zsh":
            shell.sendline("unsetopt ZLE PROMPT_SP PROMPT_CR")  # its editor sets the terminal for each line anew
        shell.sendline("set -m; echo be''gun")
        shell.expect(r"\nbegun\r")
        return shell

    def status(self) -> int:
        """Ask for the last status; with the answer the shell reads again."""
        number = next(numbers)
        self.shell.sendline(f"echo e''nd-{number}=$?")
        self.shell.expect(rf"end-{number}=(\d+)\r")
        assert self.shell.match
        return int(self.shell.match.group(1))

    def after(self) -> int:
        """Ask for the status of what had the terminal: until the shell asks for a line, what is typed is that one's."""
        self.shell.expect_exact("> ")
        return self.status()

    def enter(self, script: str, options: "list[str]", more: str = "") -> None:
        """Type a line that enters; it says `in` when it is there."""
        words = " ".join(options)
        self.shell.sendline(f"docker nsenter {words} {self.container} sh -c 'echo i''n; {script}'{more}")

    def job(self, kind: str, options: "list[str]") -> None:
        """Do one job; AssertionError or pexpect's TIMEOUT when it does not go as it should."""
        getattr(self, f"_{kind}")(options)
        assert modes(self.shell) == self.before, (self.name, kind)
        if kind != "hang_up":
            self.shell.sendline("read word; echo wo''rd=$word")
            self.shell.sendline("mine")
            self.shell.expect(r"\bword=mine\r")  # its input is its own

    def _background(self, options: "list[str]") -> None:
        self.enter("sleep 0.2", options, " &")
        self.shell.sendline("wait")
        assert self.status() == 0

    def _forward(self, options: "list[str]") -> None:
        self.enter("sleep 0.3; read w; echo got=$w", options, " &")
        time.sleep(0.2)
        self.shell.sendline("fg")
        self.shell.expect(r"\bin\r")
        self.shell.sendline("theirs")
        self.shell.expect(r"got=theirs\r")
        assert self.after() == 0

    def _stop(self, script: str, options: "list[str]") -> None:
        """Begin what reads nothing, and stop it by ^Z once it runs."""
        self.enter(script, options, NULL)
        self.shell.expect(r"\bin\r")
        self.shell.send("\x1a")
        self.shell.expect(STOPPED)

    def _stop_and_fg(self, options: "list[str]") -> None:
        self._stop("sleep 1; echo do''ne", options)
        self.status()
        assert modes(self.shell) == self.before
        self.shell.sendline("fg")
        self.shell.expect(r"done\r")
        assert self.status() == 0

    def _stop_and_bg(self, options: "list[str]") -> None:
        self._stop("sleep 1; exit 3", options)
        self.shell.sendline("bg; wait %1" if self.name != "zsh" else "bg; wait %+")
        self.status()

    def _stop_and_kill(self, options: "list[str]") -> None:
        self._stop(f"sleep {LASTING}", options)
        self.shell.sendline("kill %1; kill -CONT %1; wait" if self.name != "zsh" else "kill %+; kill -CONT %+; wait")
        self.status()

    def _stopped_on_its_terminal(self, options: "list[str]") -> None:
        """Its own ^Z is a stop of ours once it has stopped itself, as a shell's `suspend` does."""
        self.enter("kill -STOP $$; echo ag''ain", options)
        self.shell.expect(r"\bin\r")
        time.sleep(0.3)
        self.shell.send("\x1a")
        self.shell.expect(STOPPED)
        self.status()
        assert modes(self.shell) == self.before
        self.shell.sendline("fg")
        self.shell.expect(r"again\r")
        assert self.after() == 0

    def _interrupt(self, options: "list[str]") -> None:
        self.enter(f"sleep {LASTING}", options)
        self.shell.expect(r"\bin\r")
        self.shell.send("\x03")
        assert self.after() == 130

    def _hang_up(self, options: "list[str]") -> None:
        self.enter(f"sleep {LASTING}", options)
        self.shell.expect(r"\bin\r")
        self.shell.close(force=True)
        self.shell = self._begin()

    def _no_shell(self, options: "list[str]") -> None:
        self._alone("docker", ["nsenter", *options, self.container])

    def _script(self, options: "list[str]") -> None:
        self._alone("script", ["-qec", f"docker nsenter {' '.join(options)} {self.container} ", "/dev/null"])

    def _ssh(self, options: "list[str]") -> None:
        line = f"DOCKER_CONFIG={os.environ['DOCKER_CONFIG']} docker nsenter {' '.join(options)} {self.container} "
        self._alone("ssh", [*self.ssh, line])

    def _systemd_run(self, options: "list[str]") -> None:
        words = [*self.manager.words("--pty"), "docker", "nsenter", *options, self.container]
        self._alone("systemd-run", words, self.manager.environment)

    def _alone(self, program: str, words: "list[str]", more: "dict[str, str] | None" = None) -> None:
        """Run on a terminal that no shell has set, until ^C, its own end or a hang-up."""
        line = random.choice(("echo in; exit 4", f"echo in; sleep {LASTING}"))
        at = {"script": 1, "ssh": len(words) - 1}.get(program)
        if at is None:
            words = [*words, "sh", "-c", line]
        else:
            words[at] += f"sh -c '{line}'"
        terminal = spawn(program, words, more)
        before = modes(terminal)
        terminal.expect(r"in\r")
        hangs = LASTING in line and random.random() < 0.5
        if LASTING in line and not hangs:
            terminal.send("\x03")
        if not hangs:
            terminal.expect(pexpect.EOF)
            after = modes(terminal) if terminal.isalive() else before
            assert after == before, (program, line)
        terminal.close(force=hangs)
        assert hangs or terminal.exitstatus == (130 if LASTING in line else 4), (program, line, terminal.exitstatus)


KINDS = {
    **{
        "background": 6,
        "forward": 3,
        "stop_and_fg": 3,
        "stop_and_bg": 3,
        "stop_and_kill": 2,
        "stopped_on_its_terminal": 2,
    },
    **{"interrupt": 2, "hang_up": 2, "no_shell": 2, "script": 2, "ssh": 2, "systemd_run": 2},
}

ALONE = ("no_shell", "script", "ssh", "systemd_run")


def docker(*words: str) -> str:
    """Run docker and return what it says."""
    return subprocess.run(["docker", *words], check=True, capture_output=True, text=True, timeout=120).stdout


def jobs(count: int, at_once: int, seed: int, remote: Remote) -> "dict[str, int]":
    """Do so many jobs; return how many of each kind in each shell."""
    ssh = ["-F", f"{remote.place}/ssh_config", "-p", str(remote.start_sshd()), "-tt", "root@127.0.0.1"]
    container = f"jobs{os.getpid()}"
    docker("run", "-d", "--init", "--name", container, "--network", "none", BUSYBOX, "sleep", "100000")
    counted: collections.Counter[str] = collections.Counter()

    def several(number: int) -> None:
        choice = random.Random(seed + number)
        typist = Typist(list(SHELLS)[number % len(SHELLS)], container, ssh, manager)
        for _ in range(number, count, at_once):
            kind = choice.choices(list(KINDS), list(KINDS.values()))[0]
            options = choice.choice([[]] * 7 + [["--route=helper"]])
            typist.job(kind, options)
            where = "" if kind in ALONE else f" in {typist.name}"
            counted[kind.replace("_", " ") + where] += 1
        typist.shell.close(force=True)

    try:
        with Manager(remote.engine) as manager, ThreadPoolExecutor(at_once) as pool:
            list(pool.map(several, range(at_once)))
        for _ in range(100):
            left = [line for line in docker("top", container, "-eo", "pid,args").splitlines() if LASTING in line]
            if not left:
                return dict(counted)
            time.sleep(0.2)
        raise AssertionError(left)
    finally:
        docker("rm", "-f", container)


def main(words: "list[str]") -> None:
    """Do them, and say how many of which."""
    number: Callable[[int, int], int] = lambda at, default: int(words[at]) if len(words) > at else default  # noqa: E731
    count, at_once, seed = number(0, 1000), number(1, 6), number(2, random.SystemRandom().getrandbits(30))
    sys.stdout.write(f"{count} jobs, {at_once} at once, seed {seed}\n")
    sys.stdout.flush()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as place, Remote(dict(os.environ), Path(place)) as remote:
        counts = jobs(count, at_once, seed, remote)
    for kind, each in sorted(counts.items()):
        sys.stdout.write(f"{each:5} {kind}\n")
    sys.stdout.write(f"every terminal is as it was, after {time.monotonic() - began:.0f} seconds\n")


if __name__ == "__main__":
    main(sys.argv[1:])
