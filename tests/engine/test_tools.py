"""--tools: a shell and programs where there are none, seen by one session, and nothing left of them."""

import base64
import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pexpect
import pytest

from ..conftest import BUSYBOX, EMPTY, Call, Run, wait_until
from ..images import pack
from ..machine import LIBRARIES

PLACE = "/proc/fs/nfsd"
SLEEP = ("/busybox", "sleep", "100000")
KINDS: dict[str, tuple[str, ...]] = {
    "an empty image": (),
    "read-only": ("--read-only",),
    "user 65532": ("--user", "65532:65532"),
    "cap-drop ALL": ("--cap-drop", "ALL"),
    "no-new-privileges": ("--security-opt", "no-new-privileges"),
    "all of them": ("--read-only", "--user", "65532", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
    "a host's process list": ("--pid=host",),
}
SOURCES = ("host", BUSYBOX, "/bin/busybox")
PAIRS = [*((kind, "host") for kind in KINDS), *(("all of them", source) for source in SOURCES[1:])]


@pytest.fixture
def empty(run: Run) -> Callable[..., str]:
    """Start a container that holds nothing but one static program."""
    return lambda *flags: run(*flags, image=EMPTY, command=SLEEP)


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with glibc of its own: this machine's shell, its loader and libraries, at other places than usual."""
    root = tmp_path_factory.mktemp("tools") / "root"
    copy_with_libraries(root, "/bin/bash", "opt/bin/bash", "opt/lib")
    copy_with_libraries(root, "/bin/cat", "usr/bin/cat", "opt/lib")
    (root / "usr/bin/hello").write_text("#!/opt/bin/bash\necho hello from $0\n")
    (root / "usr/bin/hello").chmod(0o755)
    (root / "usr/bin/other").symlink_to("/etc/alternatives/other")
    (root / "etc/alternatives").mkdir(parents=True)
    (root / "etc/alternatives/other").symlink_to("/usr/bin/hello")
    (root / "etc/ld.so.conf").write_text("/opt/lib  # here\n")
    root.parent.chmod(0o755)
    return root


def copy_with_libraries(root: Path, program: str, to: str, libraries: str) -> None:
    """Copy a program and what ldd says it needs."""
    (root / to).parent.mkdir(parents=True, exist_ok=True)
    (root / libraries).mkdir(parents=True, exist_ok=True)
    shutil.copy(program, root / to)
    for word in subprocess.check_output(["ldd", program], text=True).split():
        if word.startswith("/"):
            place = os.path.dirname(word)[1:] if "/ld-linux" in word else libraries  # programs name it: /lib64, /lib
            (root / place).mkdir(exist_ok=True)
            shutil.copy(word, root / place)


def mounts(pid: int) -> bytes:
    return Path(f"/proc/{pid}/mountinfo").read_bytes()


def state(docker: Call, name: str, pid: int) -> tuple[bytes, str, bytes]:
    """Read all that must stay as it is: the container's files byte for byte, its changes, its mounts."""
    exported = subprocess.run(
        ["docker", "export", name], env=docker_environment(docker), capture_output=True, check=True
    )
    return exported.stdout, docker("diff", name).stdout, mounts(pid)


def docker_environment(docker: Call) -> dict[str, str]:
    """Take the environment that the fixture runs docker in."""
    found: dict[str, str] = docker.__closure__[0].cell_contents  # type: ignore[attr-defined]
    return found


@pytest.mark.parametrize(("kind", "source"), PAIRS)
def test_a_shell_starts_and_root_is_the_containers(
    empty: Callable[..., str], nsenter: Call, kind: str, source: str
) -> None:
    done = nsenter(
        "--tools", source, empty(*KINDS[kind]), "sh", "-c", "ls -d /busybox /bin /home; id -u; cat /proc/1/comm"
    )
    shown = done.stdout.split("\n")
    assert shown[0] == "/busybox", done.stderr
    assert "/bin" not in shown
    assert shown[1] == ("65532" if "65532" in " ".join(KINDS[kind]) else "0")
    assert shown[2] == ("busybox" if "--pid=host" not in KINDS[kind] else Path("/proc/1/comm").read_text().strip())


@pytest.mark.parametrize("kind", ["an empty image", "all of them"])
def test_the_restrictions_are_those_without_tools(empty: Callable[..., str], nsenter: Call, kind: str) -> None:
    name = empty(*KINDS[kind])
    fields = ("Cap", "NoNewPrivs", "Seccomp", "Uid", "Gid", "Groups", "Umask", "SigBlk", "SigIgn")
    readings = {
        words: [
            nsenter(*words, name, "/busybox", "cat", f"/proc/self/{file}").stdout.splitlines()
            for file in ("status", "cgroup", "limits", "oom_score_adj", "attr/current")
        ]
        for words in ((), ("--tools", "host"))
    }
    for each in readings.values():
        each[0] = [line for line in each[0] if line.startswith(fields)]
        assert len(each[0]) > 10
    assert readings[()] == readings[("--tools", "host")]


@pytest.mark.parametrize("source", SOURCES)
def test_nothing_of_it_remains(
    empty: Callable[..., str], docker: Call, nsenter: Call, pid_of: Callable[[str], int], source: str
) -> None:
    name = empty()
    pid = pid_of(name)
    images = sorted(docker("images", "-aq", "--no-trunc").stdout.split())
    containers = docker("ps", "-aq").stdout
    before = state(docker, name, pid)
    done = nsenter("--tools", source, name, "sh", "-c", "echo in; cat /proc/self/mountinfo")
    assert PLACE in done.stdout
    assert state(docker, name, pid) == before
    assert PLACE.encode() not in mounts(os.getpid())
    assert sorted(docker("images", "-aq", "--no-trunc").stdout.split()) == images
    assert docker("ps", "-aq").stdout == containers


def test_nobody_else_sees_it_and_nothing_remains_after_kill_9(
    empty: Callable[..., str], docker: Call, pid_of: Callable[[str], int]
) -> None:
    name = empty()
    pid = pid_of(name)
    before = state(docker, name, pid)
    words = ["docker", "nsenter", "--tools", "host", name, "bash", "-c", "echo ready; sleep 1000"]
    client = subprocess.Popen(
        words, env=docker_environment(docker), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert client.stdout
    assert client.stdout.readline() == "ready\n"
    assert state(docker, name, pid) == before
    assert docker("exec", name, "/busybox", "ls", PLACE).stdout == ""
    inside = [line for line in docker("top", name, "-eo", "pid,comm").stdout.splitlines() if "sleep" in line]
    assert inside
    for each in plugin_of(client.pid):
        os.kill(each, 9)
    client.kill()
    client.wait()
    wait_until(
        lambda: len(docker("top", name, "-eo", "pid").stdout.splitlines()) == 2, "only the container's own process"
    )
    assert state(docker, name, pid) == before


def plugin_of(pid: int) -> list[int]:
    """List docker's plugin below a client."""
    children = [line.split() for line in subprocess.check_output(["ps", "-eo", "ppid,pid"], text=True).splitlines()]
    return [int(child) for parent, child in children if parent == str(pid)]


def test_what_is_attached_can_only_be_read(empty: Callable[..., str], nsenter: Call) -> None:
    """Not even by who may mount: an overlay without an upper layer stays read-only."""
    name = empty("--cap-add", "SYS_ADMIN", "--security-opt", "apparmor=unconfined")
    script = f"""
        touch {PLACE}/x {PLACE}/usr/bin/x {PLACE}/.tree/usr/x
        mount -o remount,rw,bind {PLACE}/.tree/usr; mount -o remount,rw {PLACE}/.tree/usr
        touch {PLACE}/.tree/usr/x && echo written
        ls {PLACE}/.tree/etc {PLACE}/.tree"""
    done = nsenter("--tools", "host", name, "bash", "-c", script)
    assert "written" not in done.stdout
    assert not Path("/usr/x").exists()
    assert "Read-only file system" in done.stderr
    shown = set(done.stdout.split())
    assert not shown & {"shadow", "passwd", "root", "home", "var", "ssh"}
    assert "usr" in shown


def test_neither_setuid_nor_devices_work_in_it(empty: Callable[..., str], nsenter: Call) -> None:
    done = nsenter("--tools", "host", empty(), "bash", "-c", f"grep ' {PLACE}' /proc/self/mountinfo")
    lines = done.stdout.splitlines()
    assert len(lines) >= 3
    assert all(line.split()[5].startswith("ro,nosuid,nodev") for line in lines)
    assert not [line for line in lines if "lowerdir=/usr" in line], "the host's paths stay out of sight"


# --- a loader and libraries of its own ----------------------------------------------------------------------------


def test_programs_find_their_own_loader_and_libraries(empty: Callable[..., str], nsenter: Call, debian: Path) -> None:
    done = nsenter("--tools", str(debian), empty(), "/proc/fs/nfsd/usr/bin/cat", "/proc/self/maps")
    assert done.returncode == 0, done.stderr
    libraries = {line.split()[-1] for line in done.stdout.splitlines() if ".so" in line}
    assert libraries
    assert all(path.startswith(f"{PLACE}/.tree/") for path in libraries)


def test_scripts_and_alternatives_are_those_of_the_tools(
    empty: Callable[..., str], nsenter: Call, debian: Path
) -> None:
    for word in ("hello", "other"):
        done = nsenter("--tools", str(debian), empty(), word)
        assert done.stdout == f"hello from {PLACE}/.tree/usr/bin/hello\n", done.stderr


def test_the_containers_programs_and_shell_come_first(run: Run, nsenter: Call) -> None:
    name = run()
    done = nsenter("--tools", "host", name, "sh", "-c", "readlink /proc/self/exe; type cat; type python3")
    assert done.stdout.splitlines()[0] == "/bin/busybox"
    assert PLACE not in done.stdout.splitlines()[1]
    assert PLACE in done.stdout.splitlines()[2]
    assert nsenter("--tools", "host", name, input="readlink /proc/$$/exe\n").stdout == "/bin/busybox\n"


def test_what_the_container_preloads_stays_with_its_own_programs(empty: Callable[..., str], nsenter: Call) -> None:
    name = empty("-e", "LD_PRELOAD=/nowhere.so", "-e", "LD_LIBRARY_PATH=/busybox")
    done = nsenter("--tools", "host", name, "cat", "/proc/self/maps")
    assert done.returncode == 0
    assert done.stderr == ""


def test_a_program_is_named_as_it_was_called(empty: Callable[..., str], nsenter: Call) -> None:
    script = "cat /proc/$$/comm; readlink /proc/$$/exe; tr '\\0' ' ' </proc/$$/cmdline"
    done = nsenter("--tools", "host", empty(), "bash", "-c", script)
    comm, exe, line = done.stdout.splitlines()
    assert (comm, exe) == ("bash", f"{PLACE}/usr/bin/bash")
    assert line.startswith("bash -c cat")


def test_a_program_can_start_itself_again(empty: Callable[..., str], nsenter: Call) -> None:
    script = "exec -a anything /proc/self/exe -c 'echo again: $0; exit 5'"
    done = nsenter("--tools", "host", empty(), "bash", "-c", script)
    assert (done.stdout, done.returncode) == ("again: anything\n", 5)


# --- an environment and files that lie ----------------------------------------------------------------------------

LIES = {
    **dict.fromkeys(("PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "PERL5LIB", "RUBYLIB", "NODE_PATH"), "/evil"),
    **dict.fromkeys(
        ("GCONV_PATH", "LOCPATH", "TERMINFO", "MANPATH", "BASH_ENV", "ENV", "INPUTRC", "GDBHISTFILE"), "/evil"
    ),
    **dict.fromkeys(("LD_PRELOAD", "LD_AUDIT", "OPENSSL_CONF", "OPENSSL_MODULES", "SSLKEYLOGFILE"), "/evil/evil.so"),
    "PERL5OPT": "-Mevil",
    "RUBYOPT": "-revil",
    "NODE_OPTIONS": "--require /evil/evil.js",
    "LD_LIBRARY_PATH": "/evil",
    "LD_TRACE_LOADED_OBJECTS": "1",
    "LD_DEBUG": "all",
    "GLIBC_TUNABLES": "glibc.malloc.check=3",
    "SHELLOPTS": "xtrace",
    "PS4": "$(echo evil >&2)",
    "BASH_FUNC_cat%%": "() { echo evil; }",
    "TAR_OPTIONS": "--checkpoint=1 --checkpoint-action=exec=evil",
    "LESSOPEN": "|evil %s",
}
HONEST = {
    "python3": (("python3", "-c", "import json, ssl, sys; print(sys.flags.no_user_site)"), "1\n"),
    "perl": (("perl", "-e", "use strict; use POSIX; print 6*7"), "42"),
    "bash": (("bash", "-c", "type -t cat; echo 42"), "file\n42\n"),
    "gdb": (("gdb", "-batch", "-ex", "python print(6*7)"), "42\n"),
    "man": (("man", "-w", "-M", "/nowhere", "x"), ""),
    "iconv": (("iconv", "-f", "UTF-16LE", "-t", "UTF-8", "/dev/null"), ""),
}


@pytest.mark.parametrize("program", HONEST)
def test_no_variable_of_the_containers_steers_a_tool(empty: Callable[..., str], nsenter: Call, program: str) -> None:
    words, shown = HONEST[program]
    done = nsenter("--tools", "host", empty(*(f"-e{name}={value}" for name, value in LIES.items())), *words)
    assert done.stdout == shown, done.stderr
    assert "evil" not in done.stderr
    assert program == "man" or (done.stderr, done.returncode) == ("", 0)


def test_a_shell_of_the_tools_hands_variables_on_to_the_containers_programs(
    empty: Callable[..., str], nsenter: Call
) -> None:
    kept = ("PYTHONHOME", "PERL5OPT", "RUBYOPT", "NODE_OPTIONS", "OPENSSL_CONF", "LD_LIBRARY_PATH")
    name = empty(*(f"-e{name}={value}" for name, value in LIES.items()))
    lines = nsenter("--tools", "host", name, "bash", "-c", "/busybox env").stdout.splitlines()
    assert [each for each in kept if f"{each}={LIES[each]}" in lines] == list(kept)
    assert not [line for line in lines if line.startswith(("LD_PRELOAD", "LOCPATH", "GCONV", "BASH_ENV"))]
    assert "LD_PRELOAD=/evil/evil.so" in nsenter("--tools", "host", name, "/busybox", "env").stdout


def planted(tmp_path: Path) -> tuple[str, ...]:
    """Plant a library that tells of itself under every name and directory that this machine's programs look in."""
    source, library = tmp_path / "evil.c", tmp_path / "evil.so"
    source.write_text(
        '#include <unistd.h>\n__attribute__((constructor)) static void e(void) { write(2, "EVIL\\n", 5); }\n'
    )
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True)
    found = ("/usr/lib/man-db/libman-2.11.2.so", "/usr/lib/man-db/libmandb-2.11.2.so", "/evil/evil.so")
    folders = (f"/usr/lib/{LIBRARIES}", f"/lib/{LIBRARIES}", "/usr/lib", "/lib", "/lib64", "/usr/lib/man-db")
    names = ("libc.so.6", "libz.so.1", "libtinfo.so.6", "libexpat.so.1", "libgdbm.so.6", "libpipeline.so.1")
    encodings = [f"/usr/lib/{LIBRARIES}/gconv/{name}.so" for name in ("UTF-16", "UTF-32", "ISO8859-15", "EVIL")]
    paths = {*found, *encodings, *(f"{folder}/{name}" for folder in folders for name in names)}
    paths |= {str(path) for path in Path("/usr/lib/man-db").glob("*.so")}
    modules = tmp_path / "gconv-modules"
    modules.write_text("module EVIL// INTERNAL EVIL 1\nmodule INTERNAL EVIL// EVIL 1\n")
    words = [f"-v{library}:{path}:ro" for path in sorted(paths)]
    return (*words, f"-v{modules}:/usr/lib/{LIBRARIES}/gconv/gconv-modules:ro")


def test_no_library_that_the_container_planted_is_loaded(
    empty: Callable[..., str], nsenter: Call, tmp_path: Path
) -> None:
    """By RUNPATH (man), by a path in libc (gconv), by dlopen (python's ctypes), with what ptrace would add."""
    name = empty(*planted(tmp_path), "--cap-add", "SYS_PTRACE")
    maps = "print({l.split()[-1] for l in open('/proc/self/maps') if '.so' in l and 'nfsd/' not in l})"
    load = "import ctypes, ssl\ntry: ctypes.CDLL('/evil/evil.so')\nexcept OSError: print('none')\n"
    for words, shown in (
        (("man", "--version"), "man "),
        (("apropos", "--version"), "apropos "),
        (("iconv", "-f", "UTF-16", "-t", "ISO8859-15", "/dev/null"), ""),
        (("python3", "-c", load + maps), "none\nset()\n"),
        (("gdb", "-batch", "-p", "1", "-ex", f"python {maps}"), ""),
    ):
        done = nsenter("--tools", "host", name, *words)
        assert "EVIL" not in done.stderr + done.stdout
        assert shown in done.stdout
    assert "set()" in done.stdout, done.stderr
    done = nsenter("--tools", "host", name, "iconv", "-f", "EVIL", "-t", "UTF-8", "/dev/null")
    assert "EVIL\n" not in done.stderr.replace("'EVIL'", "")


def test_utf_8_works_in_the_tools(empty: Callable[..., str], nsenter: Call) -> None:
    name = empty()
    assert nsenter("--tools", "host", name, "bash", "-c", "x=äöü€; echo ${#x}").stdout == "4\n"
    assert nsenter("--tools", "host", name, "python3", "-c", "print(len('äöü€'))").stdout == "4\n"
    script = "unset TMUX; tmux -L x -f /dev/null new-session -d 'sleep 9'; tmux -L x display -p '#{client_utf8}äö'"
    shown = nsenter("--tools", "host", name, "bash", "-c", f"mkdir -p /tmp; {script}; tmux -L x kill-server").stdout
    assert "äö" in shown
    assert nsenter("--tools", "host", "-e", "LC_ALL=C", name, "bash", "-c", "x=ä; echo ${#x}").stdout == "2\n"


# --- tools that people use ----------------------------------------------------------------------------------------


def test_python_finds_its_library_and_itself(empty: Callable[..., str], nsenter: Call) -> None:
    program = (
        "import sys, ssl, sqlite3, json, os, subprocess as s;"
        "print(sys.prefix, os.listdir('/'), 'PYTHONHOME' in os.environ,"
        "s.check_output([sys.executable, '-c', 'print(6*7)']))"
    )
    done = nsenter("--tools", "host", "-e", f"PATH={PLACE}/usr/bin", empty(), "python3", "-c", program)
    assert done.stdout.startswith(f"{PLACE}/usr ["), done.stderr
    assert "busybox" in done.stdout
    assert done.stdout.endswith("False b'42\\n'\n")


def test_strace_follows_the_containers_process(empty: Callable[..., str], nsenter: Call) -> None:
    done = nsenter(
        "--tools", "host", "--cap-add", "SYS_PTRACE", empty(), "timeout", "-s", "INT", "1", "strace", "-p", "1"
    )
    assert "Process 1 attached" in done.stderr
    refused = nsenter("--tools", "host", "--cap-drop", "ALL", empty(), "strace", "-p", "1")
    assert "attached" not in refused.stderr or os.geteuid() == 0


def test_gdb_looks_into_the_containers_process(empty: Callable[..., str], nsenter: Call) -> None:
    words = ("gdb", "-batch", "-p", "1", "-ex", "info proc", "-ex", "python print('py', 6 * 7)", "-ex", "x/i $pc")
    done = nsenter("--tools", "host", "--cap-add", "SYS_PTRACE", empty(), *words)
    assert "cmdline = '/busybox sleep 100000'" in done.stdout, done.stderr
    assert "=> 0x" in done.stdout
    assert "mount namespace" not in done.stderr


def test_curl_speaks_to_the_containers_loopback(empty: Callable[..., str], nsenter: Call) -> None:
    script = (
        "python3 -m http.server 8000 --bind 127.0.0.1 -d / >/dev/null 2>&1 & curl -s --retry 50 --retry-connrefused "
    )
    script += "--retry-delay 0 --retry-max-time 20 http://127.0.0.1:8000/; kill $!"
    assert 'href="busybox"' in nsenter("--tools", "host", empty(), "bash", "-c", script).stdout


def test_tcpdump_sees_the_containers_packets(empty: Callable[..., str], nsenter: Call) -> None:
    """As an ordinary user with the one capability: this image has no /etc/passwd in which tcpdump would look."""
    script = "timeout 20 tcpdump -l -n -i lo -c 1 udp & "
    script += "while kill -0 $! 2>/dev/null; do sleep 0.2; echo x >/dev/udp/127.0.0.1/9; done"
    done = nsenter("--tools", "host", "-u", "65532", "--cap-add", "NET_RAW", empty(), "bash", "-c", script)
    assert "127.0.0.1.9: UDP" in done.stdout, done.stderr


def terminal(docker: Call, name: str, *words: str) -> "pexpect.spawn[str]":
    line = ["nsenter", "--tools", "host", "-e", "TERM=xterm-256color", name, *words]
    return pexpect.spawn(
        "docker",
        line,
        env=docker_environment(docker),
        encoding="utf-8",
        codec_errors="replace",
        timeout=20,
        dimensions=(24, 160),
    )


def test_htop_draws_the_containers_processes(
    empty: Callable[..., str], docker: Call, pid_of: Callable[[str], int]
) -> None:
    name = empty()
    before = state(docker, name, pid_of(name))
    screen = terminal(docker, name, "htop")
    screen.expect("sleep 100000")
    screen.send("q")
    screen.expect(pexpect.EOF)
    assert state(docker, name, pid_of(name)) == before


def test_vim_edits_the_containers_files(empty: Callable[..., str], docker: Call, nsenter: Call) -> None:
    name = empty()
    screen = terminal(docker, name, "vi", "/etc/note")
    screen.expect("note")
    screen.send("iwritten inside\x1b:wq\r")
    screen.expect(pexpect.EOF)
    assert nsenter(name, "/busybox", "cat", "/etc/note").stdout == "written inside\n"
    assert sorted(docker("diff", name).stdout.split()) == ["/etc", "/etc/note", "A", "C"]


def test_a_session_of_the_shell_leaves_no_history(empty: Callable[..., str], docker: Call) -> None:
    name = empty()
    screen = terminal(docker, name)
    screen.expect(r"[$#] ")
    screen.sendline("tput setaf 1 | od -c | head -1; echo $((6*7))")
    screen.expect("033   \\[   3   1")
    screen.expect("42")
    screen.sendline("exit 9")
    screen.expect(pexpect.EOF)
    screen.close()
    assert screen.exitstatus == 9
    assert docker("diff", name).stdout == ""


# --- the helper's route, and engines that keep ids apart ----------------------------------------------------------


@pytest.mark.parametrize("source", SOURCES)
def test_a_helper_brings_them_too(
    empty: Callable[..., str], docker: Call, nsenter: Call, pid_of: Callable[[str], int], source: str
) -> None:
    name = empty(*KINDS["all of them"])
    before = state(docker, name, pid_of(name))
    done = nsenter("--route", "helper", "--tools", source, name, "sh", "-c", "ls -d /busybox; id -u; cat /proc/1/comm")
    assert done.stdout == "/busybox\n65532\nbusybox\n", done.stderr
    assert state(docker, name, pid_of(name)) == before


# --- no tools, wrong tools ----------------------------------------------------------------------------------------


def test_without_tools_the_hint_is_the_line_that_works(empty: Callable[..., str], nsenter: Call, docker: Call) -> None:
    name = empty()
    done = nsenter(name)
    assert done.returncode == 127
    sentence, hint = done.stderr.splitlines()
    assert sentence == "docker nsenter: cannot run a shell: the container has none (no bash, ash or sh)"
    assert hint == f"hint: docker nsenter --tools host {name}"
    assert docker(*hint.split()[2:], input="echo works\n").stdout == "works\n"
    done = nsenter(name, "cat", "/proc/1/comm")
    assert done.returncode == 127
    hint = done.stderr.splitlines()[1]
    assert docker(*hint.split()[2:]).stdout == "busybox\n"


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("/bin/ls", "this is not a static program: it needs"),
        ("/nowhere", "No such file"),
        ("/proc/sys", "not a root filesystem with programs"),
        ("", "--tools is empty"),
    ],
)
def test_wrong_tools_are_refused_in_one_sentence(run: Run, nsenter: Call, word: str, sentence: str) -> None:
    done = nsenter("--tools", word, run(), "true")
    assert done.returncode == 125
    assert sentence in done.stderr


def test_tools_go_with_the_containers_files(run: Run, nsenter: Call) -> None:
    done = nsenter("--tools", "host", "--net-only", run(), "true")
    assert done.returncode == 125
    assert "--tools needs the container's files" in done.stderr


def test_a_look_pulls_and_enters_nothing(run: Run, nsenter: Call) -> None:
    done = nsenter("--dry-run", "--tools", "127.0.0.1:1/none", run())
    assert "an image of the engine's, pulled where it is missing" in done.stdout, done.stderr


def test_an_image_that_cannot_be_pulled_is_named_with_a_way_out(run: Run, nsenter: Call) -> None:
    done = nsenter("--tools", "127.0.0.1:1/none", run(), "true")
    assert done.returncode == 125
    assert "127.0.0.1:1" in done.stderr
    assert "hint: docker nsenter --tools host " in done.stderr


# --- images -------------------------------------------------------------------------------------------------------


@pytest.fixture
def layered(docker: Call, tmp_path: Path) -> Iterator[str]:
    """An image of three layers: the middle one hides and replaces files of the lowest."""
    environment = docker_environment(docker)
    pack(environment, tmp_path_root(tmp_path), "nsenter-test-layers", "ENV PATH=/tools")
    file = tmp_path / "Dockerfile"
    file.write_text(
        "FROM nsenter-test-layers\nRUN rm /tools/gone && echo two >/tools/data\nRUN echo three >/tools/more\n"
    )
    docker("build", "--network", "none", "-t", "nsenter-test-layers", str(tmp_path), timeout=100)
    yield "nsenter-test-layers"
    docker("rmi", "-f", "nsenter-test-layers")


def tmp_path_root(path: Path) -> Path:
    root = path / "root"
    for folder in ("bin", "tools"):
        (root / folder).mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin/sh")
    shutil.copy("/bin/busybox", root / "bin/rm")
    shutil.copy("/bin/busybox", root / "tools/cat")
    (root / "tools/gone").write_text("one\n")
    (root / "tools/data").write_text("one\n")
    return root


def test_an_image_is_shown_with_all_its_layers(empty: Callable[..., str], nsenter: Call, layered: str) -> None:
    script = f"cd {PLACE}/.tree/tools; cat data more; cat gone"
    done = nsenter("--tools", layered, empty(), "sh", "-c", script)
    assert done.stdout == "two\nthree\n"
    assert "gone" in done.stderr


def test_an_image_unpacks_to_the_same_files(layered: str, docker: Call, tmp_path: Path) -> None:
    """For engines that keep images elsewhere than in overlay2's directories."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); from docker_nsenter.planning import unpack;"
        "unpack.unpack(iter(lambda: sys.stdin.buffer.read(65536), b''), sys.argv[2], 'image')"
    )
    top = Path(__file__).resolve().parents[2]
    place = tmp_path / "cache/image"
    with subprocess.Popen(["docker", "save", layered], env=docker_environment(docker), stdout=subprocess.PIPE) as saved:
        subprocess.run([sys.executable, "-c", program, top / "plugin", place], stdin=saved.stdout, check=True)
    assert sorted(path.name for path in (place / "tools").iterdir()) == ["cat", "data", "more"]
    assert (place / "tools/data").read_text() == "two\n"
    assert os.access(place / "tools/cat", os.X_OK)
    assert [path.name for path in place.parent.iterdir()] == ["image"]
    assert place.parent.stat().st_mode & 0o777 == 0o700
    assert place.stat().st_mode & 0o777 == 0o755


def archive(members: "Mapping[str, bytes | str]") -> bytes:
    """Write a tar archive: names with a file's bytes or a link's target."""
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            if isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
            else:
                member.size = len(content)
            tar.addfile(member, io.BytesIO(content) if isinstance(content, bytes) else None)
    return memory.getvalue()


def saved_image(members: "Mapping[str, bytes | str]") -> bytes:
    """Write what `docker save` would send of an image of one layer."""
    return archive({"manifest.json": json.dumps([{"Layers": ["layer.tar"]}]).encode(), "layer.tar": archive(members)})


@pytest.mark.parametrize(
    "image", [b"no archive", saved_image({"bin/sh": b"x" * 9000})[:4000]], ids=["rubbish", "a half"]
)
def test_an_image_that_cannot_be_unpacked_leaves_nothing(image: bytes, tmp_path: Path) -> None:
    from docker_nsenter.errors import CliError
    from docker_nsenter.planning import unpack

    with pytest.raises(CliError, match="--tools hostile: the image cannot be unpacked"):
        unpack.unpack(iter([image]), f"{tmp_path}/cache/image", "hostile")
    assert list((tmp_path / "cache").iterdir()) == []


def test_layers_that_are_compressed_by_zstd_are_named_in_one_sentence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The containerd store hands them out as they were pushed; before 3.14 Python has no zstd."""
    from docker_nsenter.errors import CliError
    from docker_nsenter.planning import unpack

    layer = b"\x28\xb5\x2f\xfd" + bytes(2000)
    image = archive({"manifest.json": json.dumps([{"Layers": ["layer.tar"]}]).encode(), "layer.tar": layer})
    reason = "compressed by zstd" if sys.version_info < (3, 14) else "cannot be unpacked"
    with pytest.raises(CliError, match=reason):
        unpack.unpack(iter([image]), f"{tmp_path}/cache/image", "packed")
    assert capfd.readouterr().err.count("\n") <= 1
    assert list((tmp_path / "cache").iterdir()) == []


def test_no_module_comes_out_of_the_image(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Python that was built without bz2 would find one there, and root would run it."""
    from docker_nsenter.errors import CliError
    from docker_nsenter.planning import unpack

    monkeypatch.delitem(sys.modules, "bz2")
    monkeypatch.delitem(sys.modules, "_bz2", raising=False)
    planted = archive({f"{os.path.dirname(os.__file__)}/bz2.py": b"import os; os.write(2, b'planted')"})
    manifest = json.dumps([{"Layers": ["1", "2"]}]).encode()
    image = archive({"manifest.json": manifest, "1": planted, "2": b"BZh9" + bytes(2000)})
    with pytest.raises(CliError, match="cannot be unpacked"):
        unpack.unpack(iter([image]), f"{tmp_path}/cache/image", "hostile")
    assert "planted" not in capfd.readouterr().err


def test_no_layer_writes_outside_of_its_directory(tmp_path: Path) -> None:
    from docker_nsenter.planning import unpack

    outside = tmp_path / "outside"
    outside.mkdir()
    up = "../" * 20 + str(outside)[1:]
    members: dict[str, bytes | str] = {
        f"{up}/one": b"1", f"{outside}/two": b"2", "link": str(outside), "link/three": b"3", "up": up, "up/four": b"4",
    }  # fmt: skip
    unpack.unpack(iter([saved_image(members)]), f"{tmp_path}/cache/image", "hostile")
    assert list(outside.iterdir()) == []
    inside = [path.name for path in (tmp_path / "cache/image").rglob("*") if path.is_file()]
    assert "two" in inside


MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]


class Registry(BaseHTTPRequestHandler):
    """A registry with one image of one layer, in the API's words (distribution-spec)."""

    blobs: "dict[str, tuple[str, bytes]]" = {}
    login = ""  # NAME:PASSWORD, where one is asked for

    def do_GET(self) -> None:
        wanted = f"Basic {base64.b64encode(self.login.encode()).decode()}"
        if self.login and self.headers.get("Authorization") != wanted:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="tools"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        kind, data = self.blobs.get(self.path.rpartition("/")[2], ("application/json", b"{}"))
        known = self.path == "/v2/" or self.path.rpartition("/")[2] in self.blobs
        self.send_response(200 if known else 404)
        for name, value in {
            "Content-Type": kind,
            "Content-Length": len(data),
            "Docker-Content-Digest": digest(data),
        }.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@pytest.fixture
def registry(request: pytest.FixtureRequest) -> Iterator[str]:
    """Serve an image with a busybox as its sh, on the loopback, where docker takes a registry without TLS.

    It is for this kind of machine, or for another that is given.
    """
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w") as tar:
        tar.add("/bin/busybox", "bin/sh")
    layer, machine = gzip.compress(memory.getvalue()), getattr(request, "param", MACHINE)
    rootfs = {"type": "layers", "diff_ids": [digest(memory.getvalue())]}
    config = json.dumps({"os": "linux", "architecture": machine, "config": {}, "rootfs": rootfs}).encode()
    base = "application/vnd.docker"
    parts = ((f"{base}.container.image.v1+json", config), (f"{base}.image.rootfs.diff.tar.gzip", layer))
    described = [{"mediaType": kind, "size": len(data), "digest": digest(data)} for kind, data in parts]
    kind = f"{base}.distribution.manifest.v2+json"
    manifest = json.dumps(
        {"schemaVersion": 2, "mediaType": kind, "config": described[0], "layers": described[1:]}
    ).encode()
    Registry.blobs = {digest(data): (each, data) for each, data in (*parts, (kind, manifest))}
    Registry.blobs["latest"] = (kind, manifest)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Registry.login = ""
    yield f"127.0.0.1:{server.server_port}/tools"
    server.shutdown()


@pytest.mark.parametrize("registry", ["riscv64"], indirect=True)
def test_an_image_for_another_kind_of_machine_is_refused(
    empty: Callable[..., str], docker: Call, nsenter: Call, registry: str
) -> None:
    try:
        done = nsenter("--tools", registry, empty(), "sh", "-c", "echo ran")
        assert (done.returncode, done.stdout) == (125, "")
        assert f"--tools {registry}: the image is for linux/riscv64, not {MACHINE}\n" in done.stderr
    finally:
        docker("rmi", "-f", registry, check=False)


def test_a_file_that_is_not_there_is_named(empty: Callable[..., str], nsenter: Call, tmp_path: Path) -> None:
    done = nsenter("--tools", f"{tmp_path}/none", empty(), "sh")
    assert (done.returncode, done.stderr) == (
        125,
        f"docker nsenter: --tools {tmp_path}/none: No such file or directory\n",
    )


@pytest.mark.parametrize("word", ["right", "wrong"])
def test_a_registrys_password_comes_from_dockers_configuration(
    word: str, empty: Callable[..., str], docker: Call, registry: str, tmp_path: Path
) -> None:
    Registry.login = "me:right"
    kept = {"auths": {registry.partition("/")[0]: {"auth": base64.b64encode(f"me:{word}".encode()).decode()}}}
    (tmp_path / "config.json").write_text(json.dumps(kept))
    (tmp_path / "cli-plugins").symlink_to(f"{docker_environment(docker)['DOCKER_CONFIG']}/cli-plugins")
    words = ["--config", str(tmp_path), "nsenter", "--tools", registry, empty(), "sh", "-c", "echo there"]
    try:
        done = docker(*words, check=False)
        assert (done.returncode, done.stdout) == ((0, "there\n") if word == "right" else (125, "")), done.stderr
        assert word == "right" or "nsenter --tools host " in done.stderr
    finally:
        docker("rmi", "-f", registry, check=False)


def test_an_image_that_is_absent_is_pulled_once_and_shown(
    empty: Callable[..., str], docker: Call, nsenter: Call, registry: str
) -> None:
    name = empty()
    words = ["nsenter", "--tools", registry, name, "sh", "-c", "echo pulled; cat /proc/1/comm"]
    try:
        screen = pexpect.spawn("docker", words, env=docker_environment(docker), encoding="utf-8", timeout=60)
        screen.expect(f"pulling {registry}: ")
        screen.expect("pulled\r\nbusybox")
        screen.expect(pexpect.EOF)
        again = nsenter("--tools", registry, name, "sh", "-c", "echo there")
        assert (again.stdout, again.stderr) == ("there\n", "")
        missing = nsenter("--tools", f"{registry}:none", name, "sh")
        assert missing.returncode == 125
        assert "nsenter --tools host " in missing.stderr
    finally:
        docker("rmi", "-f", registry, check=False)
