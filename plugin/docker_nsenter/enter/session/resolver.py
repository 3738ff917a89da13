"""Find a name's addresses by a container's own hosts(5) and resolv.conf(5), with a parser of our own.

The C library's would load modules by the container's configuration, in a process that has no files to load them from.
What a name server says is hostile: an answer has to be to the question asked, and is read with bounds.
"""

import posix
from _socket import AF_INET, AF_INET6, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_NONBLOCK, inet_ntop, inet_pton, socket

Address = tuple[int, str]  # the family, and the address as numbers

LOCAL: "tuple[Address, ...]" = ((AF_INET, "127.0.0.1"), (AF_INET6, "::1"))
A, AAAA, IN = 1, 28, 1
MOST_SERVERS, MOST_DOMAINS, MOST_ADDRESSES = 3, 6, 16  # resolv.conf(5) knows as many
PATIENCE = 2.0  # seconds for one name server
RECURSE = 0x0100  # the question's flag; an answer's are QR and, in the last four bits, what went wrong
LONGEST_NAME = 253


def numeric(host: str) -> "list[Address]":
    """Return the address that a text is, or those of localhost; nothing for a name that has to be asked for."""
    if host == "localhost":
        return [*LOCAL]
    for family in (AF_INET, AF_INET6):
        try:
            inet_pton(family, host)
        except OSError:
            continue
        return [(family, host)]
    return []


class Files:
    """Hold what a container's two files say."""

    def __init__(self, hosts: bytes, resolv: bytes) -> None:
        """Read them."""
        self.hosts: dict[str, list[Address]] = {}
        for words in _rows(hosts, b"#"):
            for name in words[1:]:
                self.hosts.setdefault(name.lower(), []).extend(numeric(words[0]))
        rows = list(_rows(resolv, b"#;"))
        servers = [words[1] for words in rows if words[0] == "nameserver" and words[1:]]
        self.servers = [found[0] for each in servers if (found := numeric(each))][:MOST_SERVERS]
        search = [words[1:] for words in rows if words[0] in ("search", "domain")]
        self.domains = (search[-1] if search else [])[:MOST_DOMAINS]

    def names(self, host: str) -> list[str]:
        """List the names to ask for: as it is, then in each of the domains."""
        plain = host.rstrip(".")
        names = [plain] if host.endswith(".") else [plain, *(f"{plain}.{domain.strip('.')}" for domain in self.domains)]
        return [name for name in names if 0 < len(name) <= LONGEST_NAME]


def _rows(text: bytes, marks: bytes) -> "list[list[str]]":
    """Split a file into the words of its lines, without comments."""
    lines = text.decode("utf-8", "replace").split("\n")
    for mark in marks.decode():
        lines = [line.partition(mark)[0] for line in lines]
    return [words for line in lines if (words := line.split())]


class Question:
    """Ask one name server for a name's addresses: two datagrams there, two back."""

    def __init__(self, server: "Address", name: str) -> None:
        """Send both; OSError when that can't be."""
        self.sock = socket(server[0], SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC)
        self.fd = self.sock.fileno()
        self.open: dict[int, bytes] = {}  # what was not answered yet: the number and the question
        self.found: list[Address] = []
        labels = [label.encode("idna" if not label.isascii() else "ascii") for label in name.split(".")]
        if not all(0 < len(label) < 64 for label in labels):
            raise OSError(22, "not a host name")
        encoded = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
        try:
            self.sock.connect((server[1], 53))
            for kind in (A, AAAA):
                number = int.from_bytes(posix.urandom(2), "big")
                self.open[number] = encoded + kind.to_bytes(2, "big") + IN.to_bytes(2, "big")
                head = (number, RECURSE, 1, 0, 0, 0)
                self.sock.send(b"".join(word.to_bytes(2, "big") for word in head) + self.open[number])
        except OSError:
            self.sock.close()
            raise

    def hear(self) -> bool:
        """Take an answer; tell whether all have come. OSError when there is no such server."""
        try:
            text = self.sock.recv(4096)
        except BlockingIOError:
            return False
        number = int.from_bytes(text[:2], "big")
        question = self.open.get(number)
        if question and text[2:3] >= b"\x80" and text[12 : 12 + len(question)].lower() == question.lower():
            del self.open[number]
            self.found += _addresses(text, 12 + len(question))
        return not self.open

    def close(self) -> None:
        """Ask no more."""
        self.sock.close()


def _addresses(text: bytes, at: int) -> "list[Address]":
    """List the addresses among an answer's records, whichever of its aliases they are of (RFC 1035, 4.1)."""
    found = []
    for _ in range(min(int.from_bytes(text[6:8], "big"), MOST_ADDRESSES)):
        while 0 < (size := text[at] if at < len(text) else 0) < 64:
            at += 1 + size
        at += 2 if size >= 64 else 1
        kind, size = int.from_bytes(text[at : at + 2], "big"), int.from_bytes(text[at + 8 : at + 10], "big")
        data = text[at + 10 : at + 10 + size]
        at += 10 + size
        for wanted, family, length in ((A, AF_INET, 4), (AAAA, AF_INET6, 16)):
            if (kind, len(data)) == (wanted, length):
                found.append((family, inet_ntop(family, data)))
    return found
