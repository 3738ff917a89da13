"""--forward's words, a container's two files of names, and the end of a tunnel that a container may have taken over."""

import os
from _socket import AF_INET, AF_INET6

import pytest
from docker_nsenter.cli.forwards import Forward
from docker_nsenter.enter.session import resolver, tunnel
from docker_nsenter.errors import CliError


@pytest.mark.parametrize(
    ("word", "here", "there"),
    [
        ("8080:80", ("127.0.0.1", "8080"), "localhost 80"),
        ("5432", ("127.0.0.1", "5432"), "localhost 5432"),
        ("0:80", ("127.0.0.1", "0"), "localhost 80"),
        ("8080:db:80", ("127.0.0.1", "8080"), "db 80"),
        ("0.0.0.0:8080:80", ("0.0.0.0", "8080"), "localhost 80"),
        ("*:8080:80", ("*", "8080"), "localhost 80"),
        ("localhost:8080:10.0.0.1:80", ("localhost", "8080"), "10.0.0.1 80"),
        ("[::1]:8080:[fe80::1]:80", ("::1", "8080"), "fe80::1 80"),
        ("8080:/run/s", ("127.0.0.1", "8080"), "/run/s"),
        ("/run/s:80", ("/run/s", ""), "localhost 80"),
        ("./s:/run/s", ("./s", ""), "/run/s"),
        ("/run/s:db:80", ("/run/s", ""), "db 80"),
    ],
)
def test_it_is_read_as_ssh_reads_it(word: str, here: tuple[str, str], there: str) -> None:
    found = Forward(word)
    assert ((found.bind, found.port), found.target()) == (here, there)


@pytest.mark.parametrize(
    "word",
    ["", "x", "0", "80:0", "1:2:3:4", "a:b:c:d:e", "65536", ":80", "80:", "80:s", "/s", "80:./s", "80:a b:1", "²"],
)
def test_what_is_none_is_refused(word: str) -> None:
    with pytest.raises(CliError):
        Forward(word)


def test_a_container_s_files_of_names_are_read_with_bounds() -> None:
    hosts = b"127.0.0.1 localhost\n10.0.0.1\tDB db.example # a comment\n# 10.9.9.9 db\nfe80::1 db\nx y\n\xff x\n"
    resolv = (
        b"; text\nnameserver 127.0.0.11\nnameserver x\n" + b"nameserver ::1\n" * 9 + b"search a. b\nsearch example\n"
    )
    files = resolver.Files(hosts, resolv)
    assert files.hosts["db"] == [(AF_INET, "10.0.0.1"), (AF_INET6, "fe80::1")]
    assert files.servers == [(AF_INET, "127.0.0.11"), (AF_INET6, "::1"), (AF_INET6, "::1")]
    assert files.names("db") == ["db", "db.example"]
    assert files.names("db.") == ["db"]
    assert files.names("x" * 254) == []


@pytest.mark.parametrize("answer", [b"", b"\xff" * 600, bytes(600), b"\0" * 12 + b"\x3f" * 500])
def test_no_answer_of_a_name_server_is_more_than_addresses(answer: bytes) -> None:
    assert resolver._addresses(b"\0\1\x81\x80\0\1\xff\xff" + answer, 12) == []


def test_what_a_tunnel_is_sent_is_held_to_its_bounds() -> None:
    for text in (b"D" + (1 << 30).to_bytes(4, "big") + bytes(9), b"D" + bytes(4) + bytes(9)):
        source, writer = os.pipe()
        sink, other = os.pipe()
        ours = tunnel.Tunnel(source, other)
        os.write(writer, text)
        with pytest.raises(ValueError, match="size"):
            ours.turn(0)
        for fd in (source, writer, sink, other):
            os.close(fd)
    pipes = [*os.pipe(), *os.pipe()]
    ours = tunnel.Tunnel(pipes[0], pipes[3])
    link = tunnel.Link(1, None)
    ours.add(link)
    with pytest.raises(ValueError, match="window"):
        for _ in range(100):
            ours.act(b"D", 1, memoryview(bytes(tunnel.CHUNK)))
    assert len(link.waiting) <= tunnel.WINDOW
    for fd in pipes:
        os.close(fd)
