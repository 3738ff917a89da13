"""One line, many containers: who is chosen, what each gets, how their output is told apart, how all of it ends."""

import json
import os
import re
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from ..conftest import EMPTY, Call, Done, Run, children, wait_until
from .test_parity import CONTAINERS, FIELDS

READ_ALL = """for f in status cgroup limits oom_score_adj attr/current; do echo == $f; cat /proc/self/$f; done
env | sort; pwd; for n in mnt uts ipc net pid cgroup user; do readlink /proc/self/ns/$n; done"""
HELD = re.compile(rb"^Cap(?:Eff|Prm|Bnd|Inh|Amb):\t(\w+)$", re.M)


@pytest.fixture
def some(run: Run) -> Callable[..., list[str]]:
    """Start containers, in the order of their names."""

    def start(count: int, *flags: str, **options: Any) -> list[str]:
        return sorted(run(*flags, **options) for _ in range(count))

    return start


def by_container(text: str) -> dict[str, list[str]]:
    """Sort lines by the name before them."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, _, rest = line.partition(" | ")
        found.setdefault(name.rstrip(), []).append(rest)
    return found


def commands(word: str) -> list[int]:
    """List the processes with a word of their own among theirs."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word in path.read_bytes().decode("latin-1").split("\0"):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def descendants(pid: int) -> list[int]:
    """List a process's children and theirs."""
    try:
        below = children(pid)
    except OSError:
        return []
    return below + [each for child in below for each in descendants(child)]


# --- who is chosen ----------------------------------------------------------------------------------------------------


def test_a_list_is_entered_one_by_one_in_no_order(some: Callable[..., list[str]], nsenter: Call) -> None:
    names = some(3)
    done = nsenter(",".join(names), "hostname")
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(by_container(done.stdout)) == names


def test_a_pattern_means_those_that_run(run: Run, docker: Call, nsenter: Call) -> None:
    mark = uuid.uuid4().hex[:6]
    names = [f"{mark}-{word}" for word in ("a1", "a2", "b1", "stopped")]
    try:
        for name in names:
            docker("run", "-d", "--name", name, "--network", "none", "nsenter-test-busybox", "sleep", "1000")
        docker("kill", names[3])
        assert sorted(by_container(nsenter(f"{mark}-*", "true", "x").stdout)) == []
        for pattern, meant in {"*": names[:3], "a?": names[:2], "[!a]*": names[2:3]}.items():
            assert sorted(by_container(nsenter(f"{mark}-{pattern}", "echo", "x").stdout)) == meant
        none = nsenter(f"{mark}-z*", "true")
        assert (none.returncode, none.stderr.splitlines()[0]) == (
            125,
            f"docker nsenter: no running container is called {mark}-z*",
        )
    finally:
        docker("rm", "-f", *names, check=False)


def test_a_project_is_a_pattern_and_an_image_s_word_is_not_believed(run: Run, docker: Call, nsenter: Call) -> None:
    project = f"p{uuid.uuid4().hex[:6]}"
    own = [f"com.docker.compose.project={project}", "com.docker.compose.config-hash=1"]
    flags = [word for label in own for word in ("--label", label)]
    members = []
    for service in ("db", "web"):
        labels = [f"com.docker.compose.service={service}", "com.docker.compose.container-number=1"]
        members.append(run(*flags, *(word for label in labels for word in ("--label", label))))
    changes = [f"LABEL com.docker.compose.{key}" for key in (f"project={project}", "service=db", "container-number=1")]
    base = run()
    image = docker("commit", *(word for each in changes for word in ("-c", each)), base).stdout.strip()
    try:
        liar = run(image=image)
        found = by_container(nsenter(f"{project}/*", "echo", "x").stdout)
        assert sorted(found) == sorted(members)
        assert sorted(by_container(nsenter(f"{project}/db,{liar}", "echo", "x").stdout)) == sorted([members[0], liar])
        docker("rm", "-f", liar)
    finally:
        docker("rmi", "-f", image, check=False)


def test_filters_are_docker_ps_s(run: Run, nsenter: Call) -> None:
    tier = uuid.uuid4().hex
    chosen = run("--label", f"tier={tier}")
    other = run()
    assert list(by_container(nsenter("--filter", f"label=tier={tier}", "*", "echo", "x").stdout)) == [chosen]
    assert list(by_container(nsenter("--filter", f"label=tier={tier}", f"{chosen},{other}", "id").stdout)) == [chosen]
    for line, sentence in {
        ("--filter", "label=no", other): f"no running container is called {other} and passes the filters",
        ("--filter", "label", "*"): "bad format of filter (expected name=value): label",
        ("--filter", "colour=red", "*"): "the engine says: Invalid filter 'colour'",
    }.items():
        done = nsenter(*line, "true")
        assert (done.returncode, done.stderr.splitlines()[0]) == (125, f"docker nsenter: {sentence}")


def test_a_name_that_nothing_has_ends_all_before_anything_runs(run: Run, nsenter: Call) -> None:
    name = run()
    wrong = name[:-1] + ("0" if name[-1] != "0" else "1")
    done = nsenter(f"{name},{wrong}", "echo", "x")
    assert (done.returncode, done.stdout) == (125, "")
    assert done.stderr.startswith(f"docker nsenter: no such container: {wrong}")
    assert nsenter(f"{name},", "true").stderr.startswith(f"docker nsenter: a name is missing in {name},\n")
    process = nsenter(f"{name},pid:1", "true")
    assert process.stderr.startswith("docker nsenter: pid:1 is a process, not a container: enter it alone")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("-t",), "-t works for one container, not for several"),
        (("-i",), "-i works for one container, not for several"),
        (("-d",), "-d works for one container, not for several"),
        (("--parallel", "0"), "--parallel takes a number from 1 to 100, not '0'"),
    ],
)
def test_what_several_can_t_have_is_one_sentence(nsenter: Call, options: tuple[str, ...], sentence: str) -> None:
    done = nsenter(*options, "a,b", "true")
    assert (done.returncode, done.stdout, done.stderr) == (125, "", f"docker nsenter: {sentence}\n")


def test_a_command_has_to_be_named(nsenter: Call) -> None:
    assert nsenter("a,b").stderr == (
        "docker nsenter: no command given: a shell can't run in several containers at once\n"
    )


# --- what each gets ---------------------------------------------------------------------------------------------------


def told(lines: list[str]) -> list[str]:
    """Keep of all that was read what must agree."""
    return [line for line in lines if line.startswith(FIELDS) or not re.match(r"^\w+:\t", line)]


def test_each_has_its_own_restrictions_as_by_docker_exec(
    start: Callable[..., str], docker: Call, nsenter: Call
) -> None:
    kinds = ["defaults", "cap-add NET_ADMIN", "user and group-add", "no-new-privileges, user", "memory"]
    names = {start(title): title for title in kinds}
    found = by_container(nsenter("--parallel", "2", ",".join(names), "sh", "-c", READ_ALL).stdout)
    assert sorted(found) == sorted(names)
    for name in names:
        assert told(found[name]) == told(docker("exec", name, "sh", "-c", READ_ALL).stdout.splitlines())
    assert set(CONTAINERS) >= set(kinds)


def test_options_hold_for_each(some: Callable[..., list[str]], nsenter: Call, tmp_path: Path) -> None:
    names = some(3)
    reader, writer = os.pipe()  # a file that can be read once: all get what is in it
    os.write(writer, b"FROM_FILE=yes\n")
    os.close(writer)
    words = ["-u", "app", "-w", "/tmp", "-e", "MINE=1", "--env-file", f"/proc/self/fd/{reader}"]
    script = 'echo $(id -u) $(pwd) "$MINE" "$FROM_FILE"'
    done = nsenter(*words, ",".join(names), "sh", "-c", script, pass_fds=(reader,))
    os.close(reader)
    assert by_container(done.stdout) == {name: ["1000 /tmp 1 yes"] for name in names}
    alone = by_container(nsenter("--net-only", ",".join(names), "sh", "-c", "readlink /proc/self/ns/net").stdout)
    assert len({line for lines in alone.values() for line in lines}) == 3


def test_tools_why_and_dry_run_are_for_each(some: Callable[..., list[str]], nsenter: Call) -> None:
    names = some(2, image=EMPTY, command=("/busybox", "sleep", "100000"))
    done = nsenter("--tools", "host", ",".join(names), "sh", "-c", "echo in $0")
    assert by_container(done.stdout) == {name: ["in sh"] for name in names}, done.stderr
    why = nsenter("--why", ",".join(names), "/busybox", "mount", "-t", "tmpfs", "x", "/mnt")
    for name in names:
        assert f"docker nsenter --cap-add SYS_ADMIN {name} " in why.stderr or name in why.stderr
    assert ",".join(names) not in why.stderr
    shown = nsenter("--dry-run", "--format", "json", ",".join(names), "true")
    assert len([json.loads(line) for line in shown.stdout.splitlines()]) == 2


def test_a_command_has_three_descriptors_and_no_input(some: Callable[..., list[str]], nsenter: Call) -> None:
    names = some(2)
    done = nsenter(",".join(names), "sh", "-c", "cat; echo $(ls /proc/self/fd)", input="never\n")
    assert by_container(done.stdout) == {name: ["0 1 2 3"] for name in names}


# --- output -----------------------------------------------------------------------------------------------------------


def test_lines_stay_whole_and_every_byte_arrives(some: Callable[..., list[str]], nsenter: Call) -> None:
    names = some(4)
    script = "for i in $(seq 300); do printf 'a%s' $i; printf '\\000\\377\\r'; printf '%01000d\\n' $i; done"
    done = nsenter(",".join(names), "sh", "-c", script, text=False)
    lines = done.stdout.split(b"\n")
    assert len(lines) == 1201
    for name in names:
        own = [line.split(b" | ", 1)[1] for line in lines if line.startswith(name.encode())]
        assert own == [b"a%d\0\xff\r%s" % (i, b"%01000d" % i) for i in range(1, 301)]


def test_what_has_no_newline_gets_one_and_what_has_no_end_is_broken(
    some: Callable[..., list[str]], nsenter: Call
) -> None:
    names = some(2)
    done = nsenter(",".join(names), "printf", "end")
    assert sorted(done.stdout.splitlines()) == [f"{name} | end" for name in names]
    long = nsenter("--no-prefix", ",".join(names), "sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x")
    assert set(long.stdout) == {"x", "\n"}
    assert long.stdout.count("x") == 6_000_000
    assert max(map(len, long.stdout.splitlines())) < 1_200_000


def test_errors_stay_apart_and_one_pipe_keeps_their_order(some: Callable[..., list[str]], nsenter: Call) -> None:
    names = some(2)
    script = "for i in 1 2 3; do echo out$i; echo err$i >&2; done"
    done = nsenter(",".join(names), "sh", "-c", script)
    assert by_container(done.stdout) == {name: ["out1", "out2", "out3"] for name in names}
    assert by_container(done.stderr) == {name: ["err1", "err2", "err3"] for name in names}
    one = nsenter(
        ",".join(names), "sh", "-c", script, capture_output=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert by_container(one.stdout) == {name: ["out1", "err1", "out2", "err2", "out3", "err3"] for name in names}


def test_what_is_left_running_can_t_write_under_another_s_name(some: Callable[..., list[str]], nsenter: Call) -> None:
    names = some(3)
    script = "(sleep 0.3; echo late from $(hostname)) & echo early"
    done = nsenter("--parallel", "1", ",".join(names), "sh", "-c", script + "; sleep 0.2")
    assert by_container(done.stdout) == {name: ["early"] for name in names}


def test_as_json_each_container_is_a_line(run: Run, docker: Call, nsenter: Call) -> None:
    good, paused = run(), run()
    docker("pause", paused)
    try:
        done = nsenter("--format", "json", f"{good},{paused}", "sh", "-c", "printf '\\377x'; echo e >&2; exit 4")
    finally:
        docker("unpause", paused)
    rows = {row["container"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 125
    seconds = rows[good].pop("seconds")
    assert 0 < seconds < 30
    assert rows[good] == {
        "container": good, "status": 4, "output": "\ufffdx", "output_hex": "ff78", "errors": "e\n",
    }  # fmt: skip
    assert rows[paused]["status"] == 125
    assert "is paused" in rows[paused]["error"]


def test_a_terminal_gets_colours_and_a_line_of_progress(some: Callable[..., list[str]], engine: dict[str, str]) -> None:
    names = some(2)
    words = ["nsenter", ",".join(names), "sh", "-c", "sleep 1.8; echo done"]
    env = {**engine, "TERM": "xterm"}
    env.pop("NO_COLOR", None)
    child = pexpect.spawn("docker", words, env=env, encoding="utf-8", dimensions=(24, 200), timeout=30)
    text = child.read()
    assert f"0 of 2 done, running: {', '.join(names)}" in text
    assert f"\x1b[36m{names[0]} | \x1b[0mdone\r\n" in text
    assert f"\x1b[35m{names[1]} | \x1b[0mdone\r\n" in text
    assert "running" not in text.rpartition("\x1b[K")[2], "the line is gone when all is done"
    plain = pexpect.spawn("docker", words, env={**env, "NO_COLOR": "1"}, encoding="utf-8", timeout=30).read()
    assert "\x1b[3" not in plain


def test_who_reads_no_more_ends_them_all(some: Callable[..., list[str]], engine: dict[str, str]) -> None:
    names, mark = some(3), f"7{uuid.uuid4().int % 10**8}"
    line = f"docker nsenter {','.join(names)} sh -c 'echo x; yes; sleep {mark}' | head -n 1"
    begun = time.monotonic()
    done = subprocess.run(["sh", "-c", line], env=engine, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.endswith("| x\n")
    assert time.monotonic() - begun < 30
    wait_until(lambda: not commands(mark), "all have ended")


# --- how it ends ------------------------------------------------------------------------------------------------------


def test_the_status_is_the_worst(some: Callable[..., list[str]], docker: Call, nsenter: Call) -> None:
    names = some(3)
    docker("exec", names[1], "touch", "/tmp/bad")
    script = "test ! -e /tmp/bad || exit 9; exit 3"
    done = nsenter(",".join(names), "sh", "-c", script)
    assert (done.returncode, done.stderr) == (9, "")


def test_who_could_not_be_entered_is_named_behind_the_rest(run: Run, docker: Call, nsenter: Call) -> None:
    good, paused, bare, stopped = run(), run(), run(image=EMPTY, command=("/busybox", "sleep", "1000")), run()
    docker("pause", paused)
    docker("kill", stopped)
    try:
        done = nsenter(f"{good},{paused},{bare},{stopped}", "sh", "-c", "exit 200")
        local = nsenter("--no-join-cgroup", f"{good},{bare}", "true")
    finally:
        docker("unpause", paused)
    assert done.returncode == 125
    said = done.stderr.splitlines()
    assert f"docker nsenter: {paused}: container {paused} is paused: nothing in it can run" in said
    assert f"docker nsenter: {bare}: cannot run sh: no such program on the PATH" in said
    assert any(line.startswith(f"docker nsenter: {stopped}: container {stopped} is not running") for line in said)
    assert local.returncode == 127


def test_a_container_that_ends_meanwhile_is_named(run: Run, docker: Call, nsenter: Call) -> None:
    stays, dies = run(), run("--stop-signal", "KILL", command=("sh", "-c", "sleep 100000 & wait"))
    killer = subprocess.Popen(["sh", "-c", f"sleep 1.5; docker kill {dies} >/dev/null"], env=os.environ | _host(docker))
    done = nsenter(f"{stays},{dies}", "sh", "-c", "sleep 4; echo survived")
    killer.wait()
    assert by_container(done.stdout) == {stays: ["survived"]}
    assert done.returncode == 137
    assert done.stderr == f"docker nsenter: {dies}: the container ended while the command ran\n"


def _host(docker: Call) -> dict[str, str]:
    """Name the engine that the fixture asks."""
    return {"DOCKER_HOST": docker("context", "inspect", "-f", "{{.Endpoints.docker.Host}}").stdout.strip()}


def test_containers_that_die_all_the_time_cost_their_line_alone(run: Run, docker: Call, nsenter: Call) -> None:
    mark = f"dying-{uuid.uuid4().hex[:6]}"
    label = f"mark={mark}"
    steady = run("--label", label)
    for pause in ("0.1", "0.3", "0.5"):
        run("--restart", "always", "--label", label, command=("sleep", pause))
    for _ in range(5):
        done = nsenter("--filter", f"label={label}", "*", "echo", "x")
        assert by_container(done.stdout)[steady] == ["x"]
        assert done.returncode in (0, 125, 137), done.stderr
        assert all(line.startswith("docker nsenter: ") for line in done.stderr.splitlines()), done.stderr


def test_fail_fast_ends_the_others_and_starts_no_more(some: Callable[..., list[str]], nsenter: Call) -> None:
    names, mark = some(3), f"7{uuid.uuid4().int % 10**8}"
    script = f'test "$(hostname)" = x; if mkdir /tmp/{mark}; then exit 3; fi; sleep {mark}'
    begun = time.monotonic()
    done = nsenter("--fail-fast", "--parallel", "1", ",".join(names), "sh", "-c", script)
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1] == f"docker nsenter: not tried: {', '.join(names[1:])}"
    both = nsenter("--fail-fast", "--parallel", "2", ",".join(names[:2]), "sh", "-c", f"{script} || exit 5")
    assert both.returncode in (3, 5)
    assert time.monotonic() - begun < 30
    wait_until(lambda: not commands(mark), "all have ended")


@pytest.fixture
def running(some: Callable[..., list[str]], engine: dict[str, str]) -> Iterator[Callable[..., Any]]:
    """Begin a command that ignores what is kind in three containers; return docker's process and a mark."""
    processes: list[subprocess.Popen[str]] = []

    def begin(script: str, *options: str) -> tuple[subprocess.Popen[str], str]:
        mark = f"7{uuid.uuid4().int % 10**8}"
        words = ["docker", "nsenter", *options, ",".join(some(3)), "sh", "-c", script.replace("MARK", mark)]
        process = subprocess.Popen(
            words, env=engine, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
        processes.append(process)
        wait_until(lambda: len(commands(mark)) == 3, "all three run", 20)
        return process, mark

    yield begin
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.mark.parametrize("route", ["local", "helper"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_to_the_client_ends_all_of_it(running: Callable[..., Any], number: int, route: str) -> None:
    process, mark = running("sleep MARK", "--route", route)
    below = descendants(process.pid)
    process.send_signal(number)
    process.communicate(timeout=30)
    wait_until(lambda: not commands(mark), "the commands end", 20)
    wait_until(lambda: not [pid for pid in below if Path(f"/proc/{pid}").exists()], "the plugin ends", 20)


def test_keys_end_all_of_it_even_what_does_not_listen(some: Callable[..., list[str]], engine: dict[str, str]) -> None:
    names, mark = some(3), f"7{uuid.uuid4().int % 10**8}"
    script = f"trap '' INT TERM HUP; while :; do sleep {mark}; done"
    child = pexpect.spawn("docker", ["nsenter", ",".join(names), "sh", "-c", script], env=engine, timeout=30)
    wait_until(lambda: len(commands(mark)) == 3, "all three run", 20)
    starter, collector, supervisors = processes_of(child.pid)
    child.send("\x03")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    wait_until(lambda: not commands(mark), "the commands end", 20)
    gone = (starter, collector, *supervisors)
    wait_until(lambda: not [pid for pid in gone if Path(f"/proc/{pid}").exists()], "the plugin ends", 20)


@pytest.mark.parametrize("which", [0, 1])
def test_killing_who_starts_or_who_collects_ends_the_commands(running: Callable[..., Any], which: int) -> None:
    process, mark = running("sleep MARK")
    starter, collector, supervisors = processes_of(process.pid)
    os.kill((starter, collector)[which], signal.SIGKILL)
    process.communicate(timeout=30)
    wait_until(lambda: not commands(mark), "the commands end", 20)
    gone = (starter, collector, *supervisors)
    wait_until(lambda: not [pid for pid in gone if Path(f"/proc/{pid}").exists()], "the plugin ends", 20)


# --- power and room ---------------------------------------------------------------------------------------------------


def processes_of(docker: int) -> tuple[int, int, list[int]]:
    """Find who starts the others, who collects (it leads their group), and a supervisor per container."""
    starter = children(docker)[0]
    below = [pid for pid in children(starter) if os.getpgid(pid) != os.getpgid(starter)]
    collector = os.getpgid(below[0])
    return starter, collector, [pid for pid in below if pid != collector]


def held(pid: int) -> set[int]:
    """Read a process's capabilities of all kinds."""
    return {int(word, 16) for word in HELD.findall(Path(f"/proc/{pid}/status").read_bytes())}


def test_after_the_last_start_nobody_of_ours_holds_power(running: Callable[..., Any]) -> None:
    process, _ = running("sleep MARK")
    starter, collector, supervisors = processes_of(process.pid)
    kill = {0, 1 << 5}
    wait_until(lambda: held(starter) == kill, "the starter has dropped all but KILL")
    assert len(supervisors) == 3
    assert all(held(pid) == kill for pid in supervisors)
    assert held(collector) == {0}, "the collector may not even signal"


def test_the_collector_has_no_power_while_others_are_still_started(
    some: Callable[..., list[str]], engine: dict[str, str]
) -> None:
    """It is the one process that reads what every container says."""
    words = ["docker", "nsenter", "--parallel", "1", ",".join(some(2)), "sleep", "3"]
    process = subprocess.Popen(words, env=engine, stdout=subprocess.DEVNULL)
    wait_until(lambda: children(process.pid) and len(children(children(process.pid)[0])) > 1, "it has begun")
    time.sleep(0.5)
    starter, collector, _ = processes_of(process.pid)
    status = Path(f"/proc/{collector}/status").read_bytes()
    assert held(collector) == {0}
    assert held(starter) != {0}, "the second is still to be started"
    assert b"NoNewPrivs:\t1" in status
    assert b"Seccomp:\t2" in status
    assert process.wait(timeout=60) == 0


def test_descriptors_do_not_grow_with_the_containers(some: Callable[..., list[str]], engine: dict[str, str]) -> None:
    names = some(8)
    counts = []
    for chosen in (names[:3], names):
        words = ["docker", "nsenter", "--parallel", "3", ",".join(chosen), "sleep", "2"]
        process = subprocess.Popen(words, env=engine, stdout=subprocess.DEVNULL)
        time.sleep(1.5)
        starter, collector, _ = processes_of(process.pid)
        counts.append(max(len(os.listdir(f"/proc/{pid}/fd")) for pid in (starter, collector)))
        process.wait(timeout=60)
    assert counts[1] <= counts[0] + 12, counts


def test_one_helper_is_enough_for_all(some: Callable[..., list[str]], docker: Call, nsenter: Call) -> None:
    names = some(4)
    since = str(int(time.time()) - 1)
    done = nsenter("--route", "helper", ",".join(names), "sh", "-c", "hostname; exit 3")
    assert (done.returncode, sorted(by_container(done.stdout))) == (3, names), done.stderr
    until = str(int(time.time()) + 1)
    events = docker(
        "events", "--since", since, "--until", until, "--filter", "event=start",
        "--filter", "label=com.github.docker-nsenter.helper",
    ).stdout.splitlines()  # fmt: skip
    assert len(events) == 1


def test_a_list_is_completed_name_by_name(run: Run, engine: dict[str, str]) -> None:
    one, other = run(), run()
    done: Done = subprocess.run(
        ["docker", "__complete", "nsenter", f"{one},{other[:-3]}"],
        env=engine, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert f"{one},{other}" in done.stdout
    filters = subprocess.run(
        ["docker", "__complete", "nsenter", "--filter", "la"], env=engine, capture_output=True, text=True, check=False
    )
    assert filters.stdout.startswith("label=")
