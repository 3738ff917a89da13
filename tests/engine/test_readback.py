"""What --dry-run says of an entry is what somebody else reads of its process: any options, any container."""

import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ..images import BUSYBOX
from .test_parity import CONTAINERS, USUAL

FLAVOURS = (*USUAL, "seccomp=unconfined")
NAMESPACES = st.one_of(
    st.just(()),
    st.sets(st.sampled_from(["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"]), min_size=1).map(sorted),
)
MORE = st.tuples(
    st.sampled_from([(), ("-u", "1000"), ("-u", "12:34"), ("-u", "0:0")]),
    st.sampled_from([(), ("--cap-add", "NET_ADMIN"), ("--cap-add", "CHOWN"), ("--privileged",)]),
    st.sampled_from([(), ("--cap-drop", "ALL"), ("--cap-drop", "CHOWN")]),
    st.sampled_from([(), ("--security-opt", "seccomp=unconfined"), ("--profile", "restricted")]),
    st.sampled_from([(), ("--security-opt", "no-new-privileges"), ("--security-opt", "no-new-privileges=false")]),
    st.sampled_from([(), ("--no-join-cgroup",)]),
).map(lambda parts: [word for part in parts for word in part])
SETS = {"effective": "Eff", "permitted": "Prm", "bounding": "Bnd", "inheritable": "Inh", "ambient": "Amb"}


@pytest.fixture(scope="module")
def flavours(engine: dict[str, str]) -> Iterator[dict[str, str]]:
    """A container of each kind."""
    names = {title: f"nsenter-{uuid.uuid4().hex[:10]}" for title in FLAVOURS}
    for title, name in names.items():
        flags = ("--network", "none", *CONTAINERS[title])
        words = ["docker", "run", "-d", "--name", name, *flags, BUSYBOX, "sleep", "100000"]
        subprocess.run(words, env=engine, check=True, stdout=subprocess.DEVNULL)
    yield names
    subprocess.run(["docker", "rm", "-f", *names.values()], env=engine, check=False, stdout=subprocess.DEVNULL)


def find(words: tuple[str, ...]) -> int:
    """Find the process that runs exactly this; 0 when there is none."""
    wanted = "\0".join((*words, "")).encode()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes() == wanted:
                return int(path.parent.name)
        except OSError:
            continue
    return 0


def read(pid: int) -> dict[str, Any]:
    """Read what the kernel says of a process, by no code of ours."""
    place = Path(f"/proc/{pid}")
    rows = dict(line.split(":\t", 1) for line in (place / "status").read_text().splitlines() if ":\t" in line)
    found: dict[str, Any] = {name: int(rows[f"Cap{short}"], 16) for name, short in SETS.items()}
    ids = {name: {int(word) for word in rows[name].split()} for name in ("Uid", "Gid")}
    assert all(len(each) == 1 for each in ids.values()), "real, effective, saved and file ids are one"
    found["uid"], found["gid"] = ids["Uid"].pop(), ids["Gid"].pop()
    found["groups"] = sorted({int(word) for word in rows["Groups"].split()})
    found["no_new_privs"] = rows["NoNewPrivs"] == "1"
    found["seccomp_filters"] = int(rows["Seccomp_filters"]) if rows["Seccomp"] == "2" else 0
    found["cgroups"] = {
        names or "v2": path
        for _, names, path in (line.split(":", 2) for line in (place / "cgroup").read_text().splitlines())
    }
    found["namespaces"] = {each.name: os.readlink(each) for each in (place / "ns").iterdir()}
    return found


def mask(names: list[str]) -> int:
    """Make a set of capabilities a number, with the kernel's own names."""
    header = Path("/usr/include/linux/capability.h").read_text().split()
    numbers = {a.removeprefix("CAP_"): int(b) for a, b in zip(header, header[1:], strict=False) if b.isdigit()}
    return sum(1 << numbers[name] for name in names)


@pytest.mark.timeout(300)
@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(title=st.sampled_from(FLAVOURS), namespaces=NAMESPACES, more=MORE)
def test_what_is_said_is_what_another_reader_finds(
    engine: dict[str, str], flavours: dict[str, str], title: str, namespaces: "tuple[str, ...]", more: list[str]
) -> None:
    options = [*namespaces, *more]
    words = ["docker", "nsenter", "--route", "local", *options]
    explain = [*words, "--dry-run", "--format", "json", flavours[title]]
    said = subprocess.run(explain, env=engine, capture_output=True, text=True, check=False)
    command = ("sleep", f"3{int.from_bytes(os.urandom(6), 'big')}")
    entry = subprocess.Popen([*words, "-T", flavours[title], *command], env=engine, stdin=-3, stderr=-1, text=True)
    try:
        deadline = time.monotonic() + 30
        while not (pid := find(command)) and entry.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        if entry.poll() == 125:
            assert entry.stderr
            assert said.returncode == 125, f"{options}: refused, and --dry-run does not say so: {entry.stderr.read()}"
            return
        assert pid, options
        found = read(pid)
        os.kill(pid, signal.SIGKILL)
    finally:
        entry.communicate(timeout=30)
    assert said.returncode == 0, f"{options}: {said.stderr}"
    facts = json.loads(said.stdout)
    you = facts["restrictions"]["you"]
    assert {name: mask(you[name]) for name in SETS} == {name: found[name] for name in SETS}, options
    for name in ("uid", "gid", "groups", "no_new_privs", "seccomp_filters", "cgroups"):
        assert you[name] == found[name], (name, options)
    for name, row in facts["namespaces"].items():
        made = name == "mnt" and facts["plan"]["mounts"] or name == "pid" and not row["joined"]
        if not made:  # a mount namespace for a /proc or /sys of its own, a pid namespace for the container's programs
            wanted = f"{name}:[{row['pid1'] if row['joined'] else row['yours']}]"
            assert found["namespaces"][name] == wanted, (name, options)
