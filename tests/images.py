"""Images out of this machine's own busybox, for the tests, the benchmark and the demonstration."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

BUSYBOX = "nsenter-test-busybox"
EMPTY = "nsenter-test-static"
PYTHON = "nsenter-test-python"
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


def import_python(environment: dict[str, str]) -> None:
    """Make an image out of this machine's Python: what an official one has, as far as a helper needs it."""
    program = Path(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))
    library = Path(sysconfig.get_path("stdlib"))
    modules = library / "lib-dynload"
    files = {program, *library.glob("*.py"), *modules.glob("*.so")}
    for package in ("encodings", "ctypes"):
        files |= {*(library / package).glob("*.py")}
    for binary in (program, *modules.glob("_ctypes.*.so")):
        shown = subprocess.run(["ldd", binary], capture_output=True, text=True, check=False).stdout
        files |= {Path(word) for word in shown.split() if word.startswith("/")}
    files |= {*Path("/usr/lib").glob("*/libseccomp.so.2")}  # as apt needs it
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        top = Path(name)
        for path in files:
            target = top / str(path).lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
        (top / "bin").mkdir(exist_ok=True)
        (top / "bin/python3").symlink_to(program)
        for directory in ("proc", "sys", "dev", "etc"):
            (top / directory).mkdir(exist_ok=True)
        pack(environment, top, PYTHON, "ENV PATH=/bin")


def pack(environment: dict[str, str], root: Path, image: str, change: str) -> None:
    """Import a directory as an image."""
    tar = subprocess.Popen(["tar", "-C", root, "-c", "."], stdout=subprocess.PIPE)
    command = ["docker", "import", "-c", change, "-", image]
    subprocess.run(command, stdin=tar.stdout, env=environment, check=True, stdout=subprocess.DEVNULL)
    assert tar.wait() == 0


if __name__ == "__main__":
    import_images(dict(os.environ))
    sys.stdout.write(BUSYBOX + "\n")
