"""Images out of this machine's own busybox, for the tests, the benchmark and the demonstration."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

BUSYBOX = "nsenter-test-busybox"
EMPTY = "nsenter-test-static"
PASSWD = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\nlocked:x:1001:1001::/:/sbin/nologin\n"
GROUP = "root:x:0:\napp:x:1000:\nextra:x:2000:app\naudio:x:29:app\n"


def import_images(environment: dict[str, str]) -> None:
    """Make the images out of this machine's own busybox: one with all its names, one with a single program."""
    busybox = Path("/bin/busybox")
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for directory in ("bin", "etc", "root", "tmp", "home/app", "var"):
            (root / directory).mkdir(parents=True)
        os.chown(root / "home/app", 1000, 1000)
        (root / "tmp").chmod(0o1777)
        (root / "bin/busybox").write_bytes(busybox.read_bytes())
        (root / "bin/busybox").chmod(0o755)
        for applet in subprocess.check_output([busybox, "--list"], text=True).split():
            if applet != "busybox":
                (root / "bin" / applet).symlink_to("busybox")
        (root / "etc/passwd").write_text(PASSWD)
        (root / "etc/group").write_text(GROUP)
        pack(environment, root, BUSYBOX, "ENV PATH=/bin")
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "busybox").write_bytes(busybox.read_bytes())
        (Path(name) / "busybox").chmod(0o755)
        pack(environment, Path(name), EMPTY, "ENV PATH=/")


def pack(environment: dict[str, str], root: Path, image: str, change: str) -> None:
    """Import a directory as an image."""
    tar = subprocess.Popen(["tar", "-C", root, "-c", "."], stdout=subprocess.PIPE)
    command = ["docker", "import", "-c", change, "-", image]
    subprocess.run(command, stdin=tar.stdout, env=environment, check=True, stdout=subprocess.DEVNULL)
    assert tar.wait() == 0


if __name__ == "__main__":
    import_images(dict(os.environ))
    sys.stdout.write(BUSYBOX + "\n")
