"""What a container sees that watches new processes with CAP_SYS_PTRACE, in the moment before the command executes."""

import json
import subprocess
import time
from pathlib import Path

import pytest

from ..attack import FREE
from ..conftest import Call, Run

WATCHER = r"""
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static void try(int pid, const char *link) {
    char to[4096];
    ssize_t n = readlink(link, to, sizeof to - 1);
    int fd = open(link, O_RDWR);
    if (n > 0) { to[n] = 0; printf("%d %s %s\n", pid, fd < 0 ? strerror(errno) : "WRITABLE", to); }
    if (fd >= 0) close(fd);
}
static void look(int pid) {
    char path[600], text[4096];
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0) close(fd);
    if (n > 0) {
        text[n] = 0;
        char *at = strstr(text, "CapPrm:"), *filter = strstr(text, "Seccomp:");
        if (at) printf("%d %.24s\n", pid, at);
        if (filter) printf("%d %.10s\n", pid, filter);
    }
    for (int number = 0; number < 64; number++) {
        char link[600], to[4096];
        snprintf(link, sizeof link, "/proc/%d/fd/%d", pid, number);
        n = readlink(link, to, sizeof to - 1);
        if (n > 0) { to[n] = 0; printf("%d FD %d %s\n", pid, number, to); }
    }
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    try(pid, path);
    snprintf(path, sizeof path, "/proc/%d/map_files", pid);
    DIR *maps = opendir(path);
    struct dirent *entry;
    while (maps && (entry = readdir(maps))) {
        if (entry->d_name[0] == '.') continue;
        char link[900];
        snprintf(link, sizeof link, "%s/%s", path, entry->d_name);
        try(pid, link);
    }
    if (maps) closedir(maps);
}
int main(void) {
    static char seen[1 << 22];
    setvbuf(stdout, 0, _IOLBF, 0);
    puts("watching");
    for (int round = 0;; round++) {
        DIR *proc = opendir("/proc");
        struct dirent *entry;
        while ((entry = readdir(proc))) {
            int pid = atoi(entry->d_name);
            if (pid > 0 && pid < 1 << 22 && !seen[pid]) { seen[pid] = 1; if (round) look(pid); }
        }
        closedir(proc);
    }
}
"""


@pytest.fixture(scope="module")
def watcher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A static program for the container's PID 1."""
    directory = tmp_path_factory.mktemp("watcher")
    (directory / "watcher.c").write_text(WATCHER)
    subprocess.run(["gcc", "-O2", "-static", "-o", directory / "watcher", directory / "watcher.c"], check=True)
    return directory / "watcher"


PTRACE, ADMIN = ("--cap-add", "SYS_PTRACE"), ("--cap-add", "SYS_ADMIN")
FIXED = ("--security-opt", "no-new-privileges")
CHILDLESS = ("--security-opt", "seccomp=PROFILE")
NO_CLONE = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [{"names": ["clone", "clone3", "fork", "vfork"], "action": "SCMP_ACT_ERRNO"}],
}


@pytest.mark.parametrize("flags", [(*PTRACE, *ADMIN), (*PTRACE, *FIXED)], ids=["SYS_ADMIN", "no-new-privileges"])
def test_where_a_tracer_could_watch_no_program_of_the_hosts_is_run(
    run: Run, nsenter: Call, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    """It would have more than the container, and nothing keeps CAP_SYS_PTRACE out (hardening/guard.py)."""
    done = nsenter("--pid", run(*flags), "touch", str(tmp_path / "it-ran"))
    assert done.returncode == 125
    assert "SYS_PTRACE" in done.stderr
    assert not (tmp_path / "it-ran").exists()


@pytest.mark.parametrize(
    ("flags", "options"),
    [
        (PTRACE, ()),
        ((*PTRACE, *ADMIN), ()),
        ((*PTRACE, *FIXED), ()),
        ((*PTRACE, *CHILDLESS), ()),
        ((*PTRACE, *FIXED, *CHILDLESS), ()),
    ],
    ids=[
        *("", "SYS_ADMIN", "no-new-privileges"),
        *("a filter that denies clone", "such a filter, no-new-privileges"),
    ],
)
def test_a_watching_tracer_can_write_nothing_of_the_hosts(
    run: Run,
    docker: Call,
    nsenter: Call,
    watcher: Path,
    tmp_path: Path,
    flags: tuple[str, ...],
    options: tuple[str, ...],
) -> None:
    """With CAP_SYS_ADMIN, too, /proc/PID/map_files opened the host's libc for writing before there was a shelter."""
    profile = tmp_path / "profile.json"
    profile.write_text(json.dumps(NO_CLONE))
    flags = tuple(flag.replace("PROFILE", str(profile)) for flag in flags)
    name = run(*flags, *FREE, "-v", f"{watcher}:/watcher:ro", command=("/watcher",))
    bounding = docker("exec", name, "grep", "CapBnd", "/proc/self/status").stdout.split()[1]
    seen: set[str] = set()
    for _ in range(20):
        done = nsenter(*options, name, "true")
        assert done.returncode == 0, done.stderr
        time.sleep(0.05)
        lines = docker("logs", name).stdout.splitlines()
        ours = {line.split()[0] for line in lines if "python" in line or "memfd:docker-nsenter" in line}
        seen |= ours
        if len(seen) > 4:
            break
    assert seen, "the watcher was never quick enough to see the command's process"
    assert "WRITABLE" not in "\n".join(line for line in lines if line.split()[0] in seen and "(deleted)" not in line)
    held = {line.split()[2] for line in lines if line.split()[0] in seen and "CapPrm" in line}
    assert held <= {bounding}, "more than the command will hold"
    assert {line for line in lines if line.split()[0] in seen and "Seccomp" in line and not line.endswith("2")} == set()
    opened = {line.split(" ", 3)[3] for line in lines if line.split()[0] in seen and " FD " in line}
    identity = docker("inspect", "-f", "{{.Id}}", name).stdout.strip()
    for link in opened:  # pipes of ours, and what lets it enter the container's own v1 cgroups
        assert link.startswith("pipe:[") or link.endswith(f"/{identity}/tasks"), link
