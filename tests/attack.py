"""Every kind of entry, and attackers in the container and beside it that try each one's processes.

`python -m tests.attack [--every N] [--at-once N] [--modes LIST] [--routes LIST] [--no-agent] [--verbose] [--json FILE]`
with DOCKER_HOST and DOCKER_CONFIG of an engine with the plugin.
"""

import argparse
import collections
import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from .conftest import wait_until
from .images import BUSYBOX
from .patience import PATIENCE

SOURCE = Path(__file__).with_name("attacker.c")
NAMESPACES = ("mount", "uts", "ipc", "net", "pid", "cgroup")
USERS: dict[str, tuple[str, ...]] = {"root": (), "1000": ("-u", "1000")}
# One restriction lifted (or one more put on): its options, and whether even a full entry then has what its container
# lacks. AppArmor's matters where there is AppArmor, which scripts/test-lsm has.
LIFTS: dict[str, tuple[tuple[str, ...], bool]] = {
    "plain": ((), False),
    "seccomp=unconfined": (("--security-opt", "seccomp=unconfined"), True),
    "apparmor=unconfined": (("--security-opt", "apparmor=unconfined"), os.path.exists("/sys/kernel/security/apparmor")),
    "no-new-privileges=false": (("--security-opt", "no-new-privileges=false"), True),
    "--no-join-cgroup": (("--no-join-cgroup",), True),
    "--cap-add NET_ADMIN": (("--cap-add", "NET_ADMIN"), True),
    "--cap-add SYS_PTRACE": (("--cap-add", "SYS_PTRACE"), True),
    "--cap-drop ALL": (("--cap-drop", "ALL"), False),
    "--profile restricted": (("--profile", "restricted"), False),
    "--profile sysadmin": (("--profile", "sysadmin"), True),
    "--privileged": (("--privileged",), True),
}
# AppArmor alone keeps much away from who has its profile (tests/lsm/test_attacks.py): what is shown holds without it
FREE = ("--security-opt", "apparmor=unconfined")
MODES: dict[str, tuple[str, ...]] = {"-T": ("-T",), "-t": ("-t",), "-d": ("-d",), "--why": ("--why",)}
ROUTES = ("local", "helper")
NAPS = {"local": "0.3", "helper": "0.3"}
DEFAULT = "chown dac_override fowner fsetid kill setgid setuid setpcap net_bind_service net_raw sys_chroot mknod"


@dataclass(frozen=True)
class Entry:
    """One way to enter."""

    namespaces: tuple[str, ...]
    user: str = "root"
    lift: str = "plain"
    mode: str = "-T"
    route: str = "local"

    def options(self) -> list[str]:
        """Write it as a line's options."""
        if self.namespaces == NAMESPACES:
            joined = []
        else:
            joined = [f"--{name}" for name in self.namespaces] or [f"--no-{name}" for name in NAMESPACES]
        return [*joined, *USERS[self.user], *LIFTS[self.lift][0], *MODES[self.mode], "--route", self.route]

    def beyond(self) -> bool:
        """Say whether it has anything that its container's processes have not.

        Without the container's processes alone it has some of its own, below the host's, and nothing more.
        """
        return not {"pid", *self.namespaces} >= set(NAMESPACES) or LIFTS[self.lift][1]

    def kind(self) -> str:
        """Name what it shares with its container."""
        files, processes = "mount" in self.namespaces, "pid" in self.namespaces
        if self.namespaces == NAMESPACES:
            place = "everything"
        elif files and processes:
            place = "files and processes"
        elif files:
            place = "files, not processes"
        else:
            place = "processes, not files" if processes else "neither"
        return f"{place}, {self.lift}"

    def __str__(self) -> str:
        """Name it in a test's title or a table."""
        joined = "all" if self.namespaces == NAMESPACES else "+".join(self.namespaces) or "none"
        return f"{joined}, {self.user}, {self.lift}, {self.mode}, {self.route}"


def product(modes: Iterable[str] = MODES, routes: Iterable[str] = ROUTES, lifts: Iterable[str] = LIFTS) -> list[Entry]:
    """List every kind of entry."""
    subsets = [
        tuple(name for name, taken in zip(NAMESPACES, choice, strict=True) if taken)
        for choice in itertools.product((True, False), repeat=len(NAMESPACES))
    ]
    return [Entry(*each) for each in itertools.product(subsets, USERS, list(lifts), list(modes), list(routes))]


@dataclass
class Result:
    """What became of an entry."""

    entry: Entry
    mark: str
    status: int = 0
    said: str = ""
    tried: set[str] = field(default_factory=set)  # by whom
    reached: set[tuple[str, str, str]] = field(default_factory=set)  # by whom, what, of which process

    def refused(self) -> bool:
        """Say whether nothing was run."""
        return self.status == 125


class Field:
    """The containers: targets that attack, one in the pid namespace beside each, and an agent that sees all."""

    def __init__(self, environment: Mapping[str, str], directory: Path, *, agent: bool = True) -> None:
        """Compile the attacker; nothing runs yet."""
        self.agent = agent
        # Docker 20.10 comes to a standstill (SandboxDestroy in libnetwork) where several containers end at once
        self.helpers = threading.Lock()
        self.environment, self.directory = {**environment, "SECRET": "the caller's"}, directory
        self.run = f"atk{uuid.uuid4().hex[:6]}"
        self.attacker = build(directory)
        self.marker = directory / "marker"
        self.marker.write_text("a file of the host's\n")
        self.names: dict[str, str] = {}
        self.results: dict[str, Result] = {}
        # what was reached and says nothing of an entry: a helper's own processes
        self.strays: set[tuple[str, str, str]] = set()

    def __enter__(self) -> "Field":
        """Start with what every run has."""
        if self.agent:
            # Where ids are remapped only a container of the host's user namespace sees the host's processes
            self.watcher("agent", "--pid=host", "--userns=host", "--security-opt", "seccomp=unconfined")
        return self

    def __exit__(self, *_: object) -> None:
        """Remove all."""
        self.docker("rm", "-f", *self.names.values(), check=False)

    def docker(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run docker."""
        return subprocess.run(
            ["docker", *words],
            env=self.environment,
            check=check,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=40,
            stdin=subprocess.DEVNULL,
        )

    def watcher(self, title: str, *flags: str, labelled: bool = False) -> str:
        """Start a container whose first process attacks; an agent leaves alone what is not this run's."""
        if title in self.names:
            return self.names[title]
        name = self.names[title] = f"nsenter-{self.run}-{title.replace(' ', '-')}"
        host = self.environment.get("DOCKER_HOST", "")
        engines = [os.path.dirname(host.removeprefix("unix://"))] if host.startswith("unix:///") else []
        marks = [f"{self.run}e", *(engines if "--pid=host" in flags else ["*"])]
        more = ("-e", f"PAUSE={20000 if PATIENCE > 1 else 400}", *(() if labelled else FREE))
        watch = ("/attacker", "watch", title.replace(" ", "-"), str(self.marker))
        self.docker("create", "--name", name, "--network", "none", *more, *flags, BUSYBOX, *watch, *marks)
        self.docker("cp", str(self.attacker), f"{name}:/attacker")  # SELinux lets the engine bind no file of a user's
        self.docker("start", name)
        wait_until(lambda: "WATCHING" in self.docker("logs", name).stdout, f"{title} watches", 30)
        return name

    def target(self, lift: str = "plain") -> str:
        """Return the container to enter, begun with its attackers when it is first asked for."""
        title, own = ("fixed", ["--security-opt", "no-new-privileges"]) if "no-new" in lift else ("inside", [])
        labelled = lift == "apparmor=unconfined" and LIFTS[lift][1]
        if labelled:
            title = "labelled"
        name = self.watcher(title, "--cgroupns=private", *own, labelled=labelled)
        self.watcher(f"beside {title}", f"--pid=container:{name}", "--security-opt", "seccomp=unconfined")
        return name

    def mark(self) -> str:
        """Make the word by which attackers tell an entry's processes."""
        return f"{self.run}e{len(self.results)}x"

    def script(self, mark: str, nap: str = "0.3") -> list[str]:
        """Write a command that says its mark and lives for a moment, with a child."""
        return ["sh", "-c", f": {mark}; sleep {max(float(nap), 0.3 * PATIENCE)}; exit 0"]

    def enter(self, entry: Entry) -> Result:
        """Enter once."""
        with self.helpers if entry.route == "helper" else nullcontext():
            result = self.enter_with(entry.options(), self.target(entry.lift), entry)
        if entry.mode == "-d":
            time.sleep(0.4 * PATIENCE)
        return result

    def enter_with(self, options: Iterable[str], name: str, entry: "Entry | None" = None, *command: str) -> Result:
        """Enter with any options; the command's words may have its mark as MARK."""
        result = Result(entry or Entry(()), self.mark())
        self.results[result.mark] = result
        words = [word.replace("MARK", result.mark) for word in command] or self.script(result.mark)
        try:
            done = self.docker("nsenter", *options, name, *words, check=False)
            result.status, result.said = done.returncode, done.stderr
        except subprocess.TimeoutExpired:
            result.status, result.said = 124, "it did not end"
        return result

    def controls(self) -> list[Result]:
        """Run what is known to be reachable: the attackers are worth something only if each reaches its own."""
        target = self.target()
        pid = self.docker("inspect", "-f", "{{.State.Pid}}", target).stdout.strip()
        bounding = "-all," + ",".join(f"+{each}" for each in DEFAULT.split())
        remapped = os.readlink(f"/proc/{pid}/ns/user") != os.readlink("/proc/self/ns/user")
        raw = ["nsenter", "-t", pid, "-p", *(["-U"] if remapped else [])]
        found = []
        for title, words in {
            "raw nsenter -p -S 1000": [*raw, "-S", "1000", "-G", "1000"],
            "the container's capabilities": [*raw, "setpriv", "--bounding-set", bounding],
        }.items():
            result = Result(Entry(("pid",), lift="plain"), self.mark(), said=title)
            self.results[result.mark] = result
            subprocess.run([*words, *self.script(result.mark, "1")], env=self.environment, check=True, timeout=60)
            found.append(result)
        return found

    def collect(self) -> None:
        """Read what the attackers say."""
        time.sleep(0.3)
        for name in self.names.values():
            unnamed: dict[str, list[tuple[str, str, str]]] = {}
            for line in self.docker("logs", name).stdout.splitlines():
                what, who, *words = line.split()
                if what == "TRY" and words[0] in self.results:
                    self.results[words[0]].tried.add(who)
                    self.results[words[0]].reached.update(unnamed.pop(words[1], ()))
                elif what == "TRY":  # before its execve it says nothing of an entry; numbers come again
                    self.strays.update(unnamed.pop(words[1], ()))
                elif what == "HIT":
                    mark, thing, by, process, *shown = words
                    hit = (who, f"{thing} as {by}", " ".join(shown))
                    if mark in self.results:
                        self.results[mark].reached.add(hit)
                    else:
                        unnamed.setdefault(process, []).append(hit)
            self.strays.update(*unnamed.values())


def build(directory: Path) -> Path:
    """Compile the attacker."""
    program = directory / "attacker"
    subprocess.run(["gcc", "-O1", "-Wall", "-Wno-format-truncation", "-static", "-o", program, SOURCE], check=True)
    program.chmod(0o755)
    return program


def enter_all(field: Field, entries: list[Entry], at_once: int, progress: bool = False) -> Iterator[Result]:
    """Enter many times, some at once."""
    for lift in {entry.lift for entry in entries}:
        field.target(lift)
    with ThreadPoolExecutor(at_once) as pool:
        for number, result in enumerate(pool.map(field.enter, entries), 1):
            if progress and number % 50 == 0:
                sys.stderr.write(f"{number} of {len(entries)}\n")
            yield result


def table(results: Iterable[Result]) -> str:
    """Draw what became of each kind."""
    rows: dict[str, collections.Counter[str]] = {}
    things: dict[str, set[str]] = {}
    for result in results:
        row = rows.setdefault(result.entry.kind(), collections.Counter())
        row["entered"] += 1
        row["tried"] += bool(result.tried)
        row["reached"] += bool(result.reached)
        row["refused"] += result.refused()
        row["failed"] += result.status not in (0, 125)
        things.setdefault(result.entry.kind(), set()).update(who for who, _, _ in result.reached)
    width = max(map(len, rows), default=0)
    lines = [f"{'ENTRY':{width}}  {'LINES':>5}  {'SEEN':>5}  {'REACHED':>7}  {'REFUSED':>7}  {'FAILED':>6}  BY"]
    for kind, row in sorted(rows.items()):
        counts = f"{row['entered']:5}  {row['tried']:5}  {row['reached']:7}  {row['refused']:7}  {row['failed']:6}"
        lines.append(f"{kind:{width}}  {counts}  {', '.join(sorted(things[kind]))}")
    return "\n".join(lines)


def main() -> int:
    """Enter in every way and say what was reached."""
    parser = argparse.ArgumentParser(prog="scripts/attack")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--modes", default=",".join(MODES))
    parser.add_argument("--routes", default=",".join(ROUTES))
    parser.add_argument("--no-agent", action="store_true", help="nobody sees the host's processes")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--json")
    asked = parser.parse_args()
    entries = product(asked.modes.split(","), asked.routes.split(","))[:: asked.every]
    with tempfile.TemporaryDirectory(prefix="nsenter-attack.", dir="/var/tmp") as name:
        os.chmod(name, 0o755)
        with Field(os.environ, Path(name), agent=not asked.no_agent) as field:
            controls = field.controls()
            results = list(enter_all(field, entries, asked.at_once, progress=True))
            controls += field.controls()
            field.collect()
    if asked.json:
        Path(asked.json).write_text(json.dumps([told(each) for each in results], indent=1))
    must = [each for each in results if each.entry.beyond()]
    sys.stdout.write(f"{table(results)}\n\n")
    for control in controls:
        sys.stdout.write(
            f"control, {control.said}: reached by {', '.join(sorted({who for who, _, _ in control.reached}))}\n"
        )
    for who, shown in sorted({(who, shown) for who, _, shown in field.strays}):
        sys.stdout.write(f"beside an entry, reached by {who}: {shown}\n")
    reached = [each for each in must if each.reached]
    for each in reached if asked.verbose else ():
        sys.stdout.write(f"{each.entry}: {'; '.join(sorted({f'{who}: {what}' for who, what, _ in each.reached}))}\n")
    failed = [each for each in results if each.status not in (0, 125)]
    for each in failed[:10]:
        sys.stdout.write(f"failed: {each.entry}: {each.status} {each.said.strip()[:200]}\n")
    kinds = {each.entry.kind() for each in reached}
    sys.stdout.write(
        f"{len(reached)} of {len(must)} entries with more than their container has were reached, "
        f"of {len(kinds)} kinds of {len({each.entry.kind() for each in must})}\n"
    )
    return 1 if reached or failed or not all(control.reached for control in controls) else 0


def told(result: Result) -> dict[str, object]:
    """Write a result as JSON."""
    return {
        "entry": str(result.entry),
        "status": result.status,
        "said": result.said,
        "tried": sorted(result.tried),
        "reached": sorted(result.reached),
    }


if __name__ == "__main__":
    sys.exit(main())
