"""Who entered what is told to the journal or syslog, can't be forged, and can't hold an entry up."""

import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ..machine import Machine, native
from ..patience import PATIENCE
from ..weaken import weakened
from .conftest import plan_for, run_plan, wait_until

Unshared = Callable[..., int]
MANY = int(200 / PATIENCE)  # at once, against a queue of ten
JOURNAL, SYSLOG = "run/systemd/journal/socket", "dev/log"
ENTRY = "0123456789abcdef" * 2
CALLER = {
    **{"entry": ENTRY, "login_uid": "1000", "caller_uid": "0", "sudo_user": "alice", "terminal": "pts/7"},
    **{"host": "here", "engine": "unix:///run/docker.sock", "image": "shop:1"},
}
FORGED = "a\n_FAKE=1\nMESSAGE=forged\nNSENTER_STATUS=0\n\n"


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    found = Machine(tmp_path / "machine")
    yield found
    found.end()


@pytest.fixture(autouse=True)
def _place(tmp_path: Path) -> None:
    (tmp_path / "machine").mkdir()


def test_the_journal_has_every_field(machine: Machine, unshared: Unshared) -> None:
    machine.journald()
    pid = unshared()
    plan = plan_for(pid, "sh", "-c", "cat; exit 7", journal=CALLER, user="")
    done = run_plan(plan, before=machine.before, input="12345")
    assert (done.returncode, done.stdout, done.stderr) == (7, "12345", "")
    start, end = machine.records(2)
    expected = {
        **{"SYSLOG_IDENTIFIER": "docker-nsenter", "SYSLOG_FACILITY": "10", "PRIORITY": "6", "NSENTER_ENTRY": ENTRY},
        **{"NSENTER_LOGIN_UID": "1000", "NSENTER_CALLER_UID": "0", "NSENTER_SUDO_USER": "alice"},
        **{"NSENTER_TERMINAL": "pts/7", "NSENTER_HOST": "here", "NSENTER_ENGINE": "unix:///run/docker.sock"},
        **{"NSENTER_IMAGE": "shop:1", "NSENTER_CONTAINER": f"pid:{pid}", "NSENTER_CONTAINER_PID": str(pid)},
        **{"NSENTER_COMMAND": 'sh -c "cat; exit 7"', "NSENTER_ROUTE": "local"},
    }
    for record in (start, end):
        assert {name: record.get(name) for name in expected} == expected
    assert set(start["NSENTER_NAMESPACES"].split()) >= {"mnt", "net", "pid"}
    assert (start["NSENTER_COMMAND_UID"], start["NSENTER_COMMAND_GID"]) == ("0", "0")
    assert "NSENTER_BEYOND" not in start
    assert (end["NSENTER_STATUS"], end["NSENTER_BYTES_IN"], end["NSENTER_BYTES_OUT"]) == ("7", "5", "5")
    assert float(end["NSENTER_SECONDS"]) > 0
    assert start["MESSAGE_ID"] != end["MESSAGE_ID"]
    assert "alice enters" in start["MESSAGE"]


def test_no_environment_and_no_input_is_told(machine: Machine, unshared: Unshared) -> None:
    machine.journald()
    secret = {"base": "given", "set": ["PATH=/usr/bin:/bin", "PASSWORD=hunter2"]}
    plan = plan_for(unshared(), "cat", environment=secret, journal=CALLER)
    assert run_plan(plan, before=machine.before, input="swordfish", env={"CALLERS": "hunter3"}).returncode == 0
    assert not re.search("hunter|swordfish", json.dumps(machine.records(2)))


def test_no_name_and_no_argument_forges_a_field_or_a_record(machine: Machine, unshared: Unshared) -> None:
    machine.journald()
    forged = {**CALLER, **dict.fromkeys(("sudo_user", "terminal", "host", "engine", "image"), FORGED)}
    plan = plan_for(unshared(), "true", FORGED, journal=forged)
    plan["target"]["name"] = FORGED
    assert run_plan(plan, before=machine.before).returncode == 0
    for record in machine.records(2):
        assert "_FAKE" not in record
        assert record["MESSAGE"] != "forged"
        assert record["NSENTER_IMAGE"] == record["NSENTER_CONTAINER"] == FORGED
        assert "\n" not in record["NSENTER_COMMAND"]
    assert machine.records(1, "NSENTER_STATUS=0")


def test_without_the_binary_form_it_would_be_forged(machine: Machine, unshared: Unshared, tmp_path: Path) -> None:
    machine.journald()
    old = 'return b"%s\\n%s%s\\n" % (name.encode(), len(data).to_bytes(8, "little"), data)'
    library = weakened(
        tmp_path / "weak", ("enter/session/journal.py", old, 'return b"%s=%s\\n" % (name.encode(), data)')
    )
    plan = plan_for(unshared(), "true", journal={**CALLER, "image": "a\nNSENTER_FORGED=1"})
    assert run_plan(plan, before=machine.before, library=library).returncode == 0
    assert all(record["NSENTER_FORGED"] == "1" for record in machine.records(2))


def test_syslog_is_told_where_there_is_no_journal(machine: Machine, unshared: Unshared) -> None:
    syslog = machine.listen(SYSLOG)
    plan = plan_for(unshared(), "sh", "-c", "exit 3", FORGED + '" STATUS="0', journal={**CALLER, "sudo_user": FORGED})
    assert run_plan(plan, before=machine.before).returncode == 3
    start, end = (syslog.recv(1 << 17).decode() for _ in range(2))
    for line, word, level in ((start, "entered", 86), (end, "left", 86)):
        assert re.match(rf"<{level}>[A-Z][a-z]+ [ \d]\d \d\d:\d\d:\d\d docker-nsenter\[\d+\]: {word} ENTRY=", line)
        assert line.isprintable()
        fields = dict(re.findall(r' ([A-Z_]+)=("(?:[^"\\]|\\.)*")', line))
        assert json.loads(fields["SUDO_USER"]) == FORGED
        assert json.loads(fields["LOGIN_UID"]) == "1000"
    assert ' STATUS="3"' in end
    assert len(end) < 8192


def test_a_link_to_syslogs_socket_is_followed_on_the_engines_machine(machine: Machine, unshared: Unshared) -> None:
    syslog = machine.listen("run/somewhere")
    os.symlink("/run/somewhere", machine.root / SYSLOG)
    assert run_plan(plan_for(unshared(), "true", journal=CALLER), before=machine.before).returncode == 0
    assert b"entered" in syslog.recv(1 << 17)


def test_a_huge_command_is_told_in_part(machine: Machine, unshared: Unshared) -> None:
    machine.journald()
    plan = plan_for(unshared(), "true", *["😀" * 3000] * 10, journal={**CALLER, "image": "😀" * 5000})
    assert run_plan(plan, before=machine.before).returncode == 0
    record = machine.records(2)[0]
    assert record["NSENTER_COMMAND"].endswith("…")
    assert record["NSENTER_IMAGE"].endswith("…")


def test_a_journal_that_is_missing_or_dead_changes_nothing(machine: Machine, unshared: Unshared) -> None:
    pid = unshared()
    assert run_plan(plan_for(pid, "true"), before=machine.before).stderr == ""
    machine.listen(JOURNAL).close()
    done = run_plan(plan_for(pid, "true"), before=machine.before)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_stuck_journal_holds_nothing_up(machine: Machine, unshared: Unshared) -> None:
    pid = unshared()

    def entry() -> float:
        begun = time.monotonic()
        done = run_plan(plan_for(pid, "sh", "-c", 'read x </proc/uptime; echo "$x"'), before=machine.before)
        assert (done.returncode, done.stderr) == (0, "")
        return time.monotonic() - begun

    without = min(entry() for _ in range(3))
    journal = machine.listen(JOURNAL, full=True)
    assert min(entry() for _ in range(5)) < without + 1.0
    assert journal.recv(10) == b"x"


def test_a_record_that_had_no_room_is_sent_when_there_is(machine: Machine, unshared: Unshared) -> None:
    journal = machine.listen(JOURNAL, full=True)
    plan = plan_for(unshared(), "sh", "-c", "echo begun; sleep 2", journal=CALLER)
    records: list[dict[str, str]] = []

    def drain() -> None:
        time.sleep(0.8)
        while len(records) < 2:
            data = journal.recv(1 << 17)
            records.extend([native(data)] if data != b"x" else [])

    reader = threading.Thread(target=drain)
    reader.start()
    assert run_plan(plan, before=machine.before).returncode == 0
    reader.join()
    assert "NSENTER_STATUS" not in records[0]
    assert records[1]["NSENTER_STATUS"] == "0"


def test_many_ends_at_once_are_all_told_by_a_journal_with_the_kernels_own_queue(
    machine: Machine, unshared: Unshared, tmp_path: Path
) -> None:
    machine.journald(queue=10)
    pid, gate = unshared(), tmp_path / "gate"
    os.mkfifo(gate)

    def one(number: int) -> int:
        plan = plan_for(pid, "sh", "-c", f"cat {gate}; exit {number}", journal={**CALLER, "entry": f"{number:032x}"})
        return run_plan(plan, before=machine.before).returncode

    with ThreadPoolExecutor(MANY) as pool:
        running = [pool.submit(one, number) for number in range(MANY)]
        wait_until(lambda: len(machine.records()) == MANY, "all have started")
        os.close(os.open(gate, os.O_WRONLY))
        assert [each.result() for each in running] == [*range(MANY)]
    ends = [record for record in machine.records(2 * MANY) if "NSENTER_STATUS" in record]
    assert sorted(int(end["NSENTER_STATUS"]) for end in ends) == [*range(MANY)]


def test_where_a_record_is_demanded_there_is_no_entry_without_it(
    machine: Machine, unshared: Unshared, tmp_path: Path
) -> None:
    machine.demand(journal="required")
    pid, mark = unshared(), tmp_path / "mark"
    plan = plan_for(pid, "touch", str(mark), journal=CALLER)
    sentence = "docker nsenter: this machine wants a journal line for each command, and its journal takes none\n"
    done = run_plan(plan, before=machine.before)
    assert (done.returncode, done.stderr) == (125, sentence)
    stuck = machine.listen(JOURNAL, full=True)
    done = run_plan(plan, before=machine.before)
    assert (done.returncode, done.stderr) == (125, sentence)
    assert not mark.exists()
    stuck.close()
    os.unlink(machine.root / JOURNAL)
    journal = machine.listen(JOURNAL)
    assert run_plan(plan, before=machine.before).returncode == 0
    assert native(journal.recv(1 << 17))["NSENTER_COMMAND"] == f"touch {mark}"
    assert mark.exists()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "is not a JSON object"),
        ("[]", "is not a JSON object"),
        ('{"jurnal": "required"}', "unknown setting 'jurnal'"),
        ('{"journal": "off"}', "journal can't be 'off'"),
        ('{"record_bytes": true}', "record_bytes can't be True"),
        ('{"record_directory": "here"}', "record_directory can't be 'here'"),
    ],
)
def test_a_setting_that_is_not_understood_ends_the_entry(
    machine: Machine, unshared: Unshared, text: str, sentence: str
) -> None:
    machine.demand()
    machine.config.write_text(text)
    done = run_plan(plan_for(unshared(), "true"), before=machine.before)
    assert done.returncode == 125
    assert sentence in done.stderr


@pytest.mark.parametrize("change", ["owner", "mode", "group", "directory", "link", "fifo"])
def test_a_file_that_others_can_change_is_not_relied_on(machine: Machine, unshared: Unshared, change: str) -> None:
    machine.demand(journal="wanted")
    if change == "owner":
        os.chown(machine.config, 1000, 0)
    elif change == "mode":
        machine.config.chmod(0o646)
    elif change == "group":
        os.chown(machine.config, 0, 1000)
        machine.config.chmod(0o664)
    elif change == "directory":
        machine.config.parent.chmod(0o777)
    else:
        machine.config.unlink()
        if change == "link":
            os.symlink("/tmp/elsewhere", machine.config)
        else:
            os.mkfifo(machine.config)
    done = run_plan(plan_for(unshared(), "true"), before=machine.before)
    assert done.returncode == 125
    assert "config.json" in done.stderr
    assert len(done.stderr.splitlines()) == 1
