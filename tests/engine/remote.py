"""The tests' engine as it is reached from elsewhere: by TCP, with TLS or without, and by ssh; on loopback, all real."""

import contextlib
import os
import select
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from ..conftest import wait_until
from ..images import PYTHON, import_python

Engine = dict[str, str]
SUBJECT = "/CN=nsenter-test"
CONTEXT = "nsenter-test-ssh"


class Remote:
    """Hold a TLS relay, an ssh server and an image with Python."""

    def __init__(self, engine: Engine, place: Path) -> None:
        """Begin; what is not asked for is not started."""
        self.engine, self.place = engine, place
        self.path = engine["DOCKER_HOST"].removeprefix("unix://")
        self.image = PYTHON
        self._listener: socket.socket | None = None
        self._plain: socket.socket | None = None
        self._sshd: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Remote":
        import_python(self.engine)
        return self

    def __exit__(self, kind: "type | None", problem: "BaseException | None", trace: "TracebackType | None") -> None:
        for listener in (self._listener, self._plain):
            if listener:
                listener.close()
        if self._sshd:
            self._sshd.terminate()
            self._sshd.wait()

    # --- TCP ---------------------------------------------------------------------------------------------------------

    def tcp(self) -> tuple[list[str], Engine]:
        """Return docker's words and environment for the engine on a port that anybody on this machine may use."""
        if not self._plain:
            self._plain = socket.create_server(("127.0.0.1", 0))
            threading.Thread(target=self._accept, args=(self._plain, None), daemon=True).start()
        env = dict(self.engine)
        env.pop("DOCKER_HOST")
        return ["-H", f"tcp://127.0.0.1:{self._plain.getsockname()[1]}"], env

    # --- TLS: both sides show a certificate of an authority of our own -----------------------------------------------

    def tls(self) -> tuple[list[str], Engine]:
        """Return docker's words and environment for the engine behind TLS."""
        if not self._listener:
            self._make_certificates()
            self._listener = socket.create_server(("127.0.0.1", 0))
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self.place / "ca.pem"))
            context.verify_mode = ssl.CERT_REQUIRED
            context.verify_flags |= ssl.VERIFY_X509_STRICT  # as Python 3.13 does by itself
            context.load_cert_chain(self.place / "server.pem", self.place / "server-key.pem")
            threading.Thread(target=self._accept, args=(self._listener, context), daemon=True).start()
        port = self._listener.getsockname()[1]
        env = {**self.engine, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(self.place)}
        env.pop("DOCKER_HOST")
        return ["-H", f"tcp://127.0.0.1:{port}"], env

    def _make_certificates(self) -> None:
        new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
        signs = ["-addext", "keyUsage=critical,keyCertSign"]
        self._run(*new, *signs, "-subj", "/CN=authority", "-keyout", "ca-key.pem", "-out", "ca.pem")
        (self.place / "names").write_text("subjectAltName=IP:127.0.0.1\nauthorityKeyIdentifier=keyid\n")
        for name in ("cert", "server"):
            key = "key.pem" if name == "cert" else "server-key.pem"
            request = ["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", SUBJECT, "-keyout", key]
            self._run(*request, "-out", "request.pem")
            sign = ["openssl", "x509", "-req", "-days", "2", "-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial"]
            self._run(*sign, "-in", "request.pem", "-extfile", "names", "-out", f"{name}.pem")

    def _run(self, *words: str) -> None:
        subprocess.run(words, cwd=self.place, check=True, capture_output=True)

    def _accept(self, listener: socket.socket, context: "ssl.SSLContext | None") -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(context, plain), daemon=True).start()

    def _serve(self, context: "ssl.SSLContext | None", plain: socket.socket) -> None:
        """Carry one connection; each end passes the other's half-close on as far as TLS knows one."""
        client: socket.socket | Tls = plain
        try:
            if context:
                client = Tls(context.wrap_socket(plain, server_side=True))
        except (OSError, ssl.SSLError):
            return
        engine = socket.socket(socket.AF_UNIX)
        engine.connect(self.path)
        threads = [threading.Thread(target=_copy, args=pair) for pair in ((client, engine), (engine, client))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (client.socket if isinstance(client, Tls) else client).close()
        engine.close()

    # --- ssh -------------------------------------------------------------------------------------------------------

    def ssh(self) -> tuple[list[str], Engine]:
        """Return docker's words and environment for the engine behind ssh, in a context."""
        wrapper = self.place / "bin"
        env = {**self.engine, "PATH": f"{wrapper}:{os.environ['PATH']}"}
        env.pop("DOCKER_HOST")
        if not self._sshd:
            port = self.start_sshd()
            wrapper.mkdir()
            # The user's own ssh settings stay out of it; what runs is the real ssh
            (wrapper / "ssh").write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {self.place}/ssh_config "$@"\n')
            (wrapper / "ssh").chmod(0o755)
            for words in (("rm", "-f", CONTEXT), ("create", CONTEXT, "--docker", f"host=ssh://root@127.0.0.1:{port}")):
                done = subprocess.run(["docker", "context", *words], env=env, check=False, capture_output=True)
            assert done.returncode == 0, done.stderr  # of the last; another module's may have had the name
        return ["--context", CONTEXT], env

    def start_sshd(self) -> int:
        """Start an ssh server that lets this user in, by `ssh_config`, as root; return its port."""
        for name in ("host", "user"):
            self._run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", name)
        shutil.copy(self.place / "user.pub", self.place / "authorized")
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = int(probe.getsockname()[1])
        locked = Path("/etc/shadow").read_text().startswith("root:!")
        settings = {
            "Port": port,
            "ListenAddress": "127.0.0.1",
            "HostKey": self.place / "host",
            "AuthorizedKeysFile": self.place / "authorized",
            "PidFile": "none",
            "StrictModes": "no",
            "UsePAM": "yes" if locked else "no",  # by itself sshd lets no locked account in, not even by key
            "PermitRootLogin": "yes",
            "PasswordAuthentication": "no",
            "SetEnv": f"DOCKER_HOST={self.engine['DOCKER_HOST']} PATH={os.environ['PATH']}",
        }
        (self.place / "sshd_config").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        known = (self.place / "host.pub").read_text().split()[:2]
        (self.place / "known").write_text(f"[127.0.0.1]:{port} {' '.join(known)}\n")
        client = f"IdentityFile {self.place}/user\nIdentitiesOnly yes\nUserKnownHostsFile {self.place}/known\n"
        (self.place / "ssh_config").write_text(client)
        Path("/run/sshd").mkdir(exist_ok=True)
        program = shutil.which("sshd") or "/usr/sbin/sshd"
        self._sshd = subprocess.Popen(
            [program, "-D", "-e", "-f", self.place / "sshd_config"], stderr=subprocess.DEVNULL
        )
        wait_until(lambda: _listens(port), "sshd listens", 30)
        return port


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Tls:
    """Let two threads use one TLS connection, one to read and one to write: OpenSSL itself crashes at that."""

    def __init__(self, connection: ssl.SSLSocket) -> None:
        """Take a connection that is only used through this."""
        connection.setblocking(False)
        self.socket = connection
        self._lock = threading.Lock()

    def recv(self, size: int) -> bytes:
        return self._take_turns(self.socket.recv, size)

    def sendall(self, data: bytes) -> None:
        while data:
            data = data[self._take_turns(self.socket.send, data) :]

    def end(self) -> None:
        """Say that nothing more will come, and wait for the same."""
        self._take_turns(self.socket.unwrap)

    def _take_turns(self, call: Callable[..., Any], *arguments: object) -> Any:
        while True:
            try:
                with self._lock:
                    return call(*arguments)
            except ssl.SSLWantReadError:
                select.select([self.socket], [], [], 0.05)
            except ssl.SSLWantWriteError:
                select.select([], [self.socket], [], 0.05)


def _copy(source: "socket.socket | Tls", sink: "socket.socket | Tls") -> None:
    """Copy until the end, and pass that on."""
    with contextlib.suppress(OSError, ValueError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError, ValueError):
        if isinstance(sink, Tls):
            sink.end()
        else:
            sink.shutdown(socket.SHUT_WR)
