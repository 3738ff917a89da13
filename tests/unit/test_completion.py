"""What TAB is answered without an engine, and that nothing a stranger named can reach a shell."""

import io
import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
from docker_nsenter.cli import grammar
from docker_nsenter.cli.request import PROFILES
from docker_nsenter.commands import complete
from docker_nsenter.commands.complete import candidates, clean, harmless, pending, position, request, wants_files
from docker_nsenter.engine.endpoints import Globals
from docker_nsenter.enter.linux.capabilities import NUMBERS
from hypothesis import given
from hypothesis import strategies as st

PLUGIN = str(Path(complete.__file__).parents[2])


def offered(*words: str) -> dict[str, str]:
    """Complete the last word of a line; {candidate: description}."""
    return dict(candidates(list(words[:-1]), words[-1], Globals()))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ([], ("container", "")),
        (["-it", "--cap-add", "KILL"], ("container", "")),
        (["--cap-add"], ("value", "--cap-add")),
        (["--user=app", "-u"], ("value", "-u")),
        (["--"], ("container", "")),
        (["-it", "web"], ("command", "web")),
        (["web", "--"], ("command", "web")),
        (["web", "ls"], ("argument", "web")),
        (["--", "web", "ls", "-l"], ("argument", "web")),
    ],
)
def test_the_word_being_typed_is_known_by_what_stands_before(line: list[str], expected: tuple[str, str]) -> None:
    assert position(line) == expected


def test_every_option_is_offered_with_its_help() -> None:
    found = offered("-")
    assert set(found) >= {*grammar.FLAGS, *grammar.VALUES, "--help", "-h"}
    assert all(found.values())
    assert found["--no-join-cgroup"] != found["--join-cgroup"]
    assert set(offered("--cap-")) == {"--cap-add", "--cap-drop"}


def test_capabilities_are_offered_in_lists_and_as_they_were_begun() -> None:
    assert set(offered("--cap-add", "")) == {"ALL", *NUMBERS}
    assert set(offered("--cap-drop", "KILL,SYS_PT")) == {"KILL,SYS_PTRACE"}
    assert set(offered("--cap-add", "cap_net_r")) == {"cap_net_raw"}
    assert set(offered("--cap-add", "CAP_NET_R")) == {"CAP_NET_RAW"}
    assert "KILL,KILL" not in offered("--cap-add", "KILL,")
    assert set(offered("--cap-add=SYS_PT")) == {"SYS_PTRACE"}  # docker's scripts keep `--cap-add=` themselves


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("--profile", set(PROFILES)),
        ("--env-from", {"config", "pid", "none"}),
        ("--format", {"table", "json"}),
        ("--route", {"auto", "local"}),
        ("--security-opt", {"seccomp=unconfined", "apparmor=unconfined", "label=disable", "no-new-privileges"}),
        ("--shell", {"bash", "sh"}),
    ],
)
def test_what_an_option_takes_is_offered(option: str, expected: set[str]) -> None:
    assert set(offered(option, "")) >= expected


def test_variables_of_the_caller_are_offered_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_OWN", "secret")
    monkeypatch.setenv("MY_$(reboot)", "x")
    assert offered("-e", "MY_") == {"MY_OWN": ""}
    assert offered("-eMY_") == {"-eMY_OWN": ""}


def test_with_the_hosts_files_its_programs_and_files_are_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").touch(mode=0o755)
    (tmp_path / "$(x)").touch(mode=0o755)
    (tmp_path / "data").touch(mode=0o644)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert offered("--net-only", "web", "") == {"mine": ""}
    assert offered("--no-mount", "web", "--", "m") == {"mine": ""}
    assert wants_files(["--net-only", "web", "cat"], "") and wants_files(["--net-only", "web"], "/bin/")


def test_ssh_and_tls_have_the_time_that_they_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_NSENTER_TIMEOUT", raising=False)
    for host, seconds in (("unix:///x.sock", complete.LIMIT), ("ssh://far", complete.FAR_LIMIT)):
        monkeypatch.setenv("DOCKER_HOST", host)
        assert complete.limit(Globals()) == seconds


def test_files_of_this_machine_only_where_one_is_wanted() -> None:
    assert wants_files(["--env-file"], "")
    assert wants_files([], "--env-file=/tmp/")
    for done, word in ([], ""), (["web"], "/"), (["-w"], "/"), (["web", "cat"], "/etc"), (["-u"], ""):
        assert not wants_files(list(done), word)


def test_a_value_may_stand_joined() -> None:
    assert pending([], "--user=ap") == ("--user", "ap", "")
    assert pending([], "-uap") == ("-u", "ap", "-u")
    assert pending(["-u"], "ap") == ("-u", "ap", "")
    assert pending(["web"], "--user=ap") == ("", "", "")


@given(st.text())
def test_nothing_that_a_shell_reads_passes(name: str) -> None:
    kept = name if harmless(name) else ""
    for text in (kept, clean(name)):
        assert not set(text) & set("$`\\\"'!;&|<>*?[]{}~#\t\n\r\0\x1b") - {"?"}
    assert not kept.startswith("-")


def archive(kind: bytes, content: bytes) -> bytes:
    """Pack one entry, as the engine's archive call does."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        entry = tarfile.TarInfo("passwd")
        entry.type, entry.size, entry.linkname = kind, len(content), "/dev/stdin" if kind == tarfile.SYMTYPE else ""
        tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


HOSTILE = (
    b"root:x:0:0::/:/bin/sh\n$(reboot):x:1:1::/:\n-x:x:2:2::/:\napp:x:1000:1000::/:\nbad:x:y:1::/:\n`id`\n\xff:x:3:3\n"
)


def answering(monkeypatch: pytest.MonkeyPatch, passwd: bytes) -> None:
    """Answer for an engine with one container."""
    replies = {"/containers/json": b'[{"Id": "abc", "Names": ["/web"], "Image": "i", "Status": "Up"}]'}
    monkeypatch.setattr(complete, "fetch", lambda path, _: replies.get(path, passwd))


def test_users_of_a_hostile_passwd_are_offered_only_where_they_are_harmless(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, archive(tarfile.REGTYPE, HOSTILE))
    assert offered("-u", "") == {"root": "uid 0 in web", "app": "uid 1000 in web"}


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"\0" * 5000,
        b"x" * 600,
        archive(tarfile.SYMTYPE, b""),
        archive(tarfile.FIFOTYPE, b""),
        archive(tarfile.REGTYPE, b"a:x:0:0:\n" * 200_000),
        archive(tarfile.REGTYPE, HOSTILE)[:300],
    ],
)
def test_an_odd_passwd_offers_nothing(monkeypatch: pytest.MonkeyPatch, reply: bytes) -> None:
    answering(monkeypatch, reply)
    assert offered("-u", "") == {}


def test_hostile_containers_are_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    row = b'{"Id": "a$(x)", "Names": ["/$(reboot)", "/ok"], "Image": "$(x)\\u001b[2J",'
    row += b'"Labels": {"com.docker.compose.service": "`x`"}}'
    monkeypatch.setattr(complete, "fetch", lambda *_: b"[" + row + b", 7, {}]")
    assert offered("") == {"ok": "?(x)??2J, None"}
    assert offered("a") == {}


def test_older_scripts_leave_dockers_options_before_the_name() -> None:
    assert request(["__completeNoDesc", "--context", "a", "nsenter", "-u", ""])[0] == ["-u", ""]
    assert request(["__completeNoDesc", "-u", ""])[0] == ["-u", ""]
    assert request(["__complete", "nsenter"])[0] == ["nsenter"]
    assert request(["__complete"])[0] == [""]


@pytest.mark.parametrize(
    "name",
    ["DOCKER_CLI_DISABLE_COMPLETION_DESCRIPTION", "DOCKER_COMPLETION_DESCRIPTIONS", "COBRA_COMPLETION_DESCRIPTIONS"],
)
def test_descriptions_can_be_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert request(["__complete", "nsenter", ""])[2]
    monkeypatch.setenv(name, "false" if "DISABLE" not in name else "1")
    assert not request(["__complete", "nsenter", ""])[2]
    assert not request(["__completeNoDesc", "nsenter", ""])[2]


def plugin(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the plugin as docker does."""
    start = f"import sys; sys.path.insert(0, {PLUGIN!r}); from docker_nsenter.__main__ import main; main()"
    command = [sys.executable, "-I", "-S", "-B", "-X", "utf8", "-c", start, *words]
    env = {"PATH": os.environ["PATH"], **environment}
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=60, check=False)


def test_an_engine_that_is_down_is_passed_over_in_silence() -> None:
    for words in ([""], ["-u", ""], ["web", ""], ["x"]):
        done = plugin("__complete", "nsenter", *words, DOCKER_HOST="unix:///nowhere.sock")
        assert (done.returncode, done.stdout, done.stderr) == (0, ":4\n", "")


@pytest.mark.parametrize("context", ["missing", "\xff", "../.."])
def test_a_context_that_is_missing_is_passed_over_in_silence(context: str) -> None:
    done = plugin("__complete", "nsenter", "", DOCKER_CONTEXT=context)
    assert (done.returncode, done.stdout, done.stderr) == (0, ":4\n", "")


def test_what_hangs_is_left_behind() -> None:
    started = time.monotonic()
    found = complete.gather(lambda: (time.sleep(1000) or ("never", "") for _ in "x"), 0.2)
    assert found == []
    assert time.monotonic() - started < 30


def test_what_was_found_before_something_failed_is_kept() -> None:
    def find() -> "complete.Candidates":
        yield "first", "it is there"
        raise OSError

    assert complete.gather(find, 30) == [b"first\tit is there"]


def test_completion_needs_no_slow_import(tmp_path: Path) -> None:
    seen = tmp_path / "modules"
    start = f"import sys; sys.path.insert(0, {PLUGIN!r}); sys.argv = ['', '__complete', 'nsenter', '--cap-add', '']; "
    code = (
        "import os; from docker_nsenter.commands import complete; find = complete.candidates\n"
        "def watched(*words):\n"
        "    yield from find(*words)\n"
        f"    open({str(seen)!r}, 'w').write(repr(sorted(sys.modules)))\n"
        "complete.candidates = watched\n"
        "from docker_nsenter.__main__ import main; main()"
    )
    env = {"DOCKER_NSENTER_TIMEOUT": "30"}
    subprocess.run([sys.executable, "-I", "-S", "-c", start + code], check=True, stdout=subprocess.DEVNULL, env=env)
    loaded = seen.read_text()
    assert "'docker_nsenter.commands.complete'" in loaded
    for name in ("typer", "rich", "docker", "re", "json", "subprocess", "inspect", "typing"):
        assert f"'{name}'" not in loaded, name
