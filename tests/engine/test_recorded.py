"""What a person does is told and recorded, on every route: by a real engine, terminal and journal."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pexpect
import pytest

from ..conftest import Done, Run, wait_until
from ..machine import Machine, Record
from ..private import Private

Engine = dict[str, str]
MANY = 200
IMAGE = "nsenter-test-busybox"


class Told:
    """Hold a machine with a journal and an engine, and a container in it."""

    def __init__(self, directory: Path, environment: Engine) -> None:
        (directory / "machine").mkdir()
        (directory / "engine").mkdir()
        self.machine = Machine(directory / "machine")
        self.machine.journald()
        self.engine = Private(directory / "engine", environment, before=self.machine.before)
        self.environment = {**self.engine.environment, "DOCKER_NSENTER_TIMEOUT": "100"}
        self.id = self.engine.run("web")
        self.cursor = ""

    def nsenter(self, *words: str, check: int = 0, seconds: float = 60, **environment: str) -> Done:
        """Run docker nsenter on the machine."""
        done = subprocess.run(
            [*self.machine.before, "docker", "nsenter", *words],
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == check, done.stderr
        return done

    def records(self, count: int) -> list[Record]:
        """Take what is new in the journal."""
        after = [f"--after-cursor={self.cursor}"] if self.cursor else []
        found = self.machine.records(count, *after)
        self.cursor = found[-1]["__CURSOR"]
        return found

    def end(self) -> None:
        """End all of it."""
        self.engine.end()
        self.machine.end()


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Told]:
    found = Told(tmp_path_factory.mktemp("told"), engine)
    yield found
    found.end()


def test_who_entered_what_is_in_the_journal(told: Told) -> None:
    told.nsenter("-u", "1000", "-e", "PASSWORD=hunter2", "web", "sh", "-c", "echo hi; exit 3", check=3, SUDO_USER="ali")
    start, end = told.records(2)
    expected = {
        **{"NSENTER_SUDO_USER": "ali", "NSENTER_CALLER_UID": "0", "NSENTER_ENGINE": told.engine.host},
        **{"NSENTER_CONTAINER": "web", "NSENTER_CONTAINER_ID": told.id, "NSENTER_IMAGE": IMAGE},
        **{"NSENTER_USER": "1000", "NSENTER_COMMAND_UID": "1000", "NSENTER_ROUTE": "local"},
        **{"NSENTER_COMMAND": 'sh -c "echo hi; exit 3"', "NSENTER_HOST": os.uname().nodename},
    }
    assert {name: start.get(name) for name in expected} == expected
    assert (end["NSENTER_STATUS"], end["NSENTER_BYTES_OUT"]) == ("3", "3")
    assert start["NSENTER_ENTRY"] == end["NSENTER_ENTRY"]
    assert "hunter2" not in json.dumps([start, end])


def test_what_a_command_holds_beyond_the_container_is_in_the_journal(told: Told) -> None:
    told.nsenter("--cap-add", "SYS_TIME", "web", "true")
    start, _ = told.records(2)
    assert start["PRIORITY"] == "5"
    assert start["NSENTER_BEYOND"] == "more capabilities"
    assert "SYS_TIME" in (start.get("NSENTER_ADDED_CAPABILITIES"), start["NSENTER_GUARD"])
    told.nsenter("--net-only", "web", "true")
    start, _ = told.records(2)
    assert "this machine's files" in start["NSENTER_BEYOND"]
    assert start["NSENTER_GUARD"]
    assert start["NSENTER_NAMESPACES"] == "net"


def test_a_command_that_cannot_be_run_and_a_detached_one_are_in_the_journal(told: Told) -> None:
    told.nsenter("web", "nonesuch", check=127)
    assert told.records(2)[1]["NSENTER_STATUS"] == "127"
    told.nsenter("-d", "web", "true")
    assert told.records(1)[0]["NSENTER_DETACHED"] == "yes"


def test_a_forwarded_port_is_in_the_journal_beside_its_command(told: Told) -> None:
    told.nsenter("--forward", "0:80", "web", "echo", "hi")
    found = told.records(4)
    begun = [row["NSENTER_COMMAND"] for row in found if "NSENTER_STATUS" not in row]
    assert sorted(begun) == ["--forward 0:80", "echo hi"]
    assert [row["NSENTER_STATUS"] for row in found if "NSENTER_STATUS" in row] == ["0", "0"]


@pytest.mark.parametrize("demanded", [False, True])
def test_what_a_forwarded_port_has_carried_is_in_the_journal(told: Told, demanded: bool) -> None:
    served = "mkdir -p /w; echo page >/w/index.html; exec httpd -f -p 127.0.0.1:80 -h /w"
    name = f"serves-{demanded}"
    told.engine.run(name, command=("sh", "-c", served))
    if demanded:
        told.machine.demand(journal="required", record="relaxed", record_directory="/run/forwards")
        subprocess.run([*told.machine.before, "mkdir", "-p", "-m", "700", "/run/forwards"], check=True)
    try:
        words = [*told.machine.before, "docker", "nsenter", "--forward", "0:80", name]
        with subprocess.Popen(
            words, env=told.environment, stdout=subprocess.PIPE, text=True, start_new_session=True
        ) as process:
            assert process.stdout
            port = process.stdout.readline().split()[0].rpartition(":")[2]
            fetched = subprocess.check_output(["curl", "-sS", f"http://127.0.0.1:{port}/"], text=True)
            os.killpg(process.pid, signal.SIGINT)
        assert (fetched, process.returncode) == ("page\n", 130)
    finally:
        told.machine.config.unlink(missing_ok=True)
    start, end = told.records(2)
    assert "this machine's files" in start["NSENTER_BEYOND"]
    assert int(end["NSENTER_BYTES_IN"]) > len("GET / HTTP/1.1\r\n")
    assert int(end["NSENTER_BYTES_OUT"]) > len(fetched)
    assert (end["NSENTER_STATUS"], float(end["NSENTER_SECONDS"]) > 0) == ("0", True)
    assert ("NSENTER_RECORDING" in start) == demanded
    if demanded:
        _, *events = events_of(Path(f"{told.machine.root}{start['NSENTER_RECORDING']}"))
        assert events == [[["x", "0"]]]


@pytest.mark.parametrize("demanded", [False, True])
def test_a_command_at_a_container_s_end_is_told_and_recorded(told: Told, tmp_path: Path, demanded: bool) -> None:
    name, file = f"ends-{demanded}", tmp_path / "end.cast"
    told.engine.run(name, command=("sh", "-c", "while [ ! -e /go ]; do usleep 10000; done; exit 3"))
    if demanded:
        told.machine.demand(journal="required", record="relaxed", record_directory="/run/ends")
        subprocess.run([*told.machine.before, "mkdir", "-p", "-m", "700", "/run/ends"], check=True)
    try:
        asked = ["--cap-add", "SYS_PTRACE"] if demanded else ["--record", str(file)]
        words = [*told.machine.before, "docker", "nsenter", "--at-exit", *asked, name, "sh", "-c", "echo seen; exit 4"]
        with subprocess.Popen(words, env=told.environment, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr
            assert "waiting for" in process.stderr.readline()
            told.engine.docker("exec", name, "touch", "/go")
            assert "exit status 3" in process.stderr.readline()
            process.stderr.read()
        assert process.returncode == 4
    finally:
        told.machine.config.unlink(missing_ok=True)
    start, end = told.records(2)
    assert (end["NSENTER_STATUS"], end["NSENTER_BYTES_OUT"]) == ("4", "5")
    place = Path(f"{told.machine.root}{start['NSENTER_RECORDING']}") if demanded else file
    _, events = events_of(place)
    assert events == [["o", "seen\n"], ["x", "4"]]
    assert told.engine.docker("wait", name).stdout == "3\n"


def test_a_helpers_command_is_told_to_the_engines_machine_and_to_the_clients(told: Told) -> None:
    line = ("--route", "helper", "-e", "PASSWORD=hunter2", "web", "sh", "-c", "echo $PASSWORD; exit 4")
    assert told.nsenter(*line, check=4).stdout == "hunter2\n"
    records = told.records(4)
    assert len({record["NSENTER_ENTRY"] for record in records}) == 1
    assert {record["NSENTER_ROUTE"] for record in records} == {"helper"}
    clients = [record for record in records if record.get("_PID") == record["SYSLOG_PID"] and "NSENTER_SIDE" in record]
    assert len(clients) == 1
    ends = [record for record in records if "NSENTER_STATUS" in record]
    assert [(end["NSENTER_STATUS"], end["NSENTER_BYTES_OUT"]) for end in ends] == [("4", "8")] * 2
    assert "hunter2" not in json.dumps(records)


def test_a_demand_of_the_engines_machine_binds_a_helper(told: Told, tmp_path: Path) -> None:
    told.machine.demand(journal="required", record="relaxed", record_directory="/run/none")
    try:
        done = told.nsenter("--route", "helper", "--cap-add", "SYS_TIME", "web", "true", check=125)
        assert "/run/none: No such file or directory" in done.stderr
        told.records(2)  # the client's: it asked, and got 125
        subprocess.run([*told.machine.before, "mkdir", "-p", "-m", "700", "/run/none"], check=True)
        told.nsenter("--route", "helper", "--cap-add", "SYS_TIME", "web", "echo", "seen")
        start = next(record for record in told.records(4) if record.get("NSENTER_BEYOND"))
        file = Path(f"{told.machine.root}{start['NSENTER_RECORDING']}")
        assert '"seen\\n"' in file.read_text()
    finally:
        told.machine.config.unlink()


def test_a_container_from_which_the_hosts_files_are_sheltered_is_told_and_recorded(told: Told, tmp_path: Path) -> None:
    flags = ("--cap-add", "SYS_PTRACE", "--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined")
    told.engine.run("strong", *flags)
    told.machine.demand(record="relaxed", record_directory="/run/strong")
    subprocess.run([*told.machine.before, "mkdir", "-p", "-m", "700", "/run/strong"], check=True)
    file = tmp_path / "strong.cast"
    try:
        told.nsenter("--record", str(file), "strong", "echo", "seen")
        start, _ = told.records(2)
        assert start["NSENTER_RECORDING"] == str(file)
        assert '"seen\\n"' in file.read_text()
    finally:
        told.machine.config.unlink()


def test_two_hundred_at_once_are_all_told(told: Told) -> None:
    told.engine.docker("exec", "web", "mkfifo", "/gate")
    with ThreadPoolExecutor(MANY) as pool:
        running = []
        for number in range(MANY):
            running.append(pool.submit(told.nsenter, "web", "cat", "/gate", str(number), check=1, seconds=300))
            time.sleep(0.05)
        wait_until(lambda: told.engine.docker("top", "web").stdout.count("cat /gate") >= MANY, "all of them run", 280)
        told.engine.docker("exec", "web", "sh", "-c", ": > /gate")
        for each in running:
            each.result()
    records = told.records(2 * MANY)
    commands = [record["NSENTER_COMMAND"] for record in records if "NSENTER_STATUS" in record]
    assert sorted(commands) == sorted(f"cat /gate {number}" for number in range(MANY))
    assert len({record["NSENTER_ENTRY"] for record in records}) == MANY


# --- recordings of a terminal ----------------------------------------------------------------------------------------


def events_of(file: Path) -> tuple[dict[str, object], list[list[str]]]:
    """Read a recording: its first line, and its events without their times."""
    head, *events = [json.loads(line) for line in file.read_text().splitlines()]
    return head, [event[1:] for event in events]


def played(file: Path) -> bytes:
    """Have asciinema, whose format it is, play a recording at once."""
    words = [sys.executable, "-m", "asciinema", "cat", str(file)]
    return subprocess.run(words, capture_output=True, check=True, timeout=60).stdout


@pytest.mark.parametrize("route", ["local", "helper"])
def test_a_terminal_is_recorded_byte_for_byte(run: Run, engine: Engine, tmp_path: Path, route: str) -> None:
    words = ["nsenter", "--route", route, "--record", "a.cast", "--record-input", run()]
    child = pexpect.spawn("docker", words, env=engine, timeout=30, cwd=str(tmp_path), dimensions=(33, 101))
    with open(tmp_path / "seen", "wb") as seen:
        child.expect_exact(f"recording output and every key, passwords too, to {tmp_path}/a.cast\r\n".encode())
        child.logfile_read = seen
        rest = child.before
        child.expect(rb"[#$] ")
        child.sendline(b"stty size; printf 'h\\303\\251 \\360\\237\\230\\200 \\033[7mx\\033[m\\n'; ls -l /")
        child.expect(rb"33 101")
        child.expect(rb"[#$] ")
        child.setwinsize(20, 50)
        time.sleep(0.3)
        child.sendline(b"stty size; exit 6")
        child.expect(rb"20 50")
        child.expect(pexpect.EOF)
        child.close()
    assert child.exitstatus == 6
    assert rest == b"docker nsenter: "
    head, events = events_of(tmp_path / "a.cast")
    assert (head["width"], head["height"]) == (101, 33)
    assert "".join(event[1] for event in events if event[0] == "o").encode() == (tmp_path / "seen").read_bytes()
    assert played(tmp_path / "a.cast") == (tmp_path / "seen").read_bytes()
    assert ["r", "50x20"] in events
    assert events[-1] == ["x", "6"]
    assert "stty size; exit 6" in "".join(event[1] for event in events if event[0] == "i")


def test_keys_are_not_recorded_unless_that_is_asked_for(run: Run, engine: Engine, tmp_path: Path) -> None:
    words = ["nsenter", "-t", "--record", "a.cast", run(), "sh", "-c", "stty -echo; echo ready; read x"]
    child = pexpect.spawn("docker", words, env=engine, timeout=30, cwd=str(tmp_path))
    child.expect(b"ready")
    child.sendline(b"hunter2")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert "hunter2" not in (tmp_path / "a.cast").read_text()


@pytest.mark.parametrize("route", ["local", "helper"])
def test_a_recording_is_whole_after_the_terminal_has_hung_up(
    run: Run, engine: Engine, tmp_path: Path, route: str
) -> None:
    words = ["nsenter", "--route", route, "--record", "a.cast", run(), "sh", "-c", "echo ready; exec sleep 1000"]
    child = pexpect.spawn("docker", words, env=engine, timeout=30, cwd=str(tmp_path))
    child.expect(b"ready")
    child.close(force=True)
    wait_until(lambda: '"x"' in (tmp_path / "a.cast").read_text(), "it has ended")
    events_of(tmp_path / "a.cast")


def test_the_file_is_made_by_the_callers_rights_and_outside_the_container(run: Run, engine: Engine) -> None:
    name, mine = run(), Path(tempfile.mkdtemp(prefix="nsenter-mine."))  # pytest's own can't be passed through
    os.chown(mine, 1000, 1000)
    socket = engine["DOCKER_HOST"].removeprefix("unix://")
    group = os.stat(socket).st_gid
    config = Path(engine["DOCKER_CONFIG"])
    config.chmod(0o755)
    before = ["setpriv", "--reuid=1000", "--regid=1000", f"--groups={group}"]
    os.chmod(socket, 0o660)
    for file, status in ((mine / "a.cast", 0), (Path("/root/a.cast"), 125), (Path("/etc/a.cast"), 125)):
        done = subprocess.run(
            [*before, "docker", "nsenter", "--record", str(file), name, "sh", "-c", "ls /tmp"],
            env={**engine, "HOME": "/nowhere"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == status, done.stderr
        assert done.stdout == ""
        assert file.exists() == (status == 0)
    assert (mine / "a.cast").stat().st_uid == 1000
    shutil.rmtree(mine)
