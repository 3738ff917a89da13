"""Measure --forward against socat over the same path: `python -m tests.rate CONTAINER`, as root beside its engine.

A gigabyte each way, through two processes each: one that listens here, one that connects in the container's network.
"""

import socket
import subprocess
import sys
import time

SIZE = 1 << 30
SERVER = f"""
import socket, threading
def serve(client):
    kind, buffer = client.recv(1), memoryview(bytearray(1 << 18))
    if kind == b"U":
        count = 0
        while (size := client.recv_into(buffer)):
            count += size
        client.sendall(count.to_bytes(8, "big"))
    else:
        left = {SIZE}
        while left:
            left -= client.send(buffer[: min(left, len(buffer))])
    client.close()
server = socket.create_server(("127.0.0.1", 9000))
print("ready", flush=True)
while True:
    threading.Thread(target=serve, args=(server.accept()[0],)).start()
"""


def up(port: int) -> float:
    """Send a gigabyte into the container; return MiB a second."""
    begun, buffer, left = time.monotonic(), bytes(1 << 18), SIZE
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"U")
        while left:
            left -= client.send(buffer[: min(left, len(buffer))])
        client.shutdown(socket.SHUT_WR)
        assert int.from_bytes(client.recv(8), "big") == SIZE
    return SIZE / (time.monotonic() - begun) / (1 << 20)


def down(port: int) -> float:
    """Take a gigabyte out of it; return MiB a second."""
    begun, buffer, count = time.monotonic(), memoryview(bytearray(1 << 18)), 0
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"D")
        while size := client.recv_into(buffer):
            count += size
    assert count == SIZE
    return SIZE / (time.monotonic() - begun) / (1 << 20)


def main(name: str) -> None:
    """Run both, in turns."""
    pid = subprocess.check_output(["docker", "inspect", "-f", "{{.State.Pid}}", name], text=True).strip()
    inside = ["nsenter", "-t", pid, "-n"]
    there = f"EXEC:{' '.join(inside)} socat STDIO TCP\\:127.0.0.1\\:9000"
    lines = (
        [*inside, sys.executable, "-c", SERVER],
        ["docker", "nsenter", "--forward", "18090:9000", name],
        ["socat", "TCP-LISTEN:18091,fork,reuseaddr,bind=127.0.0.1", there],
    )
    begun = [subprocess.Popen(line, stdout=subprocess.PIPE) for line in lines]
    try:
        for each in begun[:2]:
            assert each.stdout
            each.stdout.readline()
        rates: dict[str, list[float]] = {}
        for _ in range(3):
            for what, port in (("docker nsenter", 18090), ("socat", 18091)):
                for way, measure in (("up", up), ("down", down)):
                    rates.setdefault(f"{what}, {way}", []).append(measure(port))
        for what, found in rates.items():
            print(f"{what}: {sorted(found)[1]:.0f} MiB/s")
    finally:
        for each in begun:
            each.terminate()
            each.wait()


if __name__ == "__main__":
    main(sys.argv[1])
