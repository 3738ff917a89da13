"""Draw the README's pictures from the real program, on a private engine, with this machine's numbers made the same.

The program writes to a pseudo-terminal; what it wrote becomes an SVG by rich. `current` draws anew and compares the
text, so that another version of rich or another machine makes no difference.
"""

import html
import os
import pty
import re
import shlex
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

from rich.console import Console
from rich.text import Text

from .images import BUSYBOX, import_images

TOP = Path(__file__).resolve().parents[1]
PLACE = TOP / "docs/pictures"
WIDTH = 92
CONTAINERS = {
    "web": (),
    "proxy": ("--network=container:web", "--cap-add=NET_ADMIN", "--cap-drop=CHOWN"),
    # not SYS_PTRACE: who has that and sees a command could take it over, so nothing would be run
    "agent": ("--pid=host", "--cap-add=DAC_READ_SEARCH", "--security-opt=seccomp=unconfined"),
    "batch": ("--user=app", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--read-only"),
}
PICTURES = {
    "help": ("-h",),
    "list": ("--list",),
    "dry-run": ("--dry-run", "--verbose", "--profile", "general", "-u", "app", "web", "strace", "-p", "1"),
    "several": ("--parallel", "1", "*", "grep", "-E", "CapEff|Seccomp:|NoNewPrivs", "/proc/self/status"),
    "why": ("--why", "web", "mount", "-t", "tmpfs", "none", "/mnt"),
}
# What differs from machine to machine: the process, how many capabilities root has, the security module
NUMBERS = (
    (r"(-t|process) \d+", r"\1 4242"),
    (r"all \d\d of yours", "all 41 of yours"),
    (r"(?m)^(.{0,12}label.{0,12}) .*\n", ""),
)


def draw(environment: dict[str, str]) -> dict[str, str]:
    """Run the program once a picture; return the SVGs by name."""
    import_images(environment)
    for name, flags in CONTAINERS.items():
        network = () if any(flag.startswith("--network") for flag in flags) else ("--network=none",)
        words = [
            "docker",
            "run",
            "-d",
            f"--name={name}",
            *network,
            "--cgroupns=private",
            *flags,
            BUSYBOX,
            "sleep",
            "9999",
        ]
        subprocess.run(words, env=environment, check=True, stdout=subprocess.DEVNULL)
    return {name: picture(words, said(words, environment)) for name, words in PICTURES.items()}


def said(words: tuple[str, ...], environment: dict[str, str]) -> str:
    """Run docker nsenter on a terminal and return all that it wrote there."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (60, WIDTH)) if sys.version_info >= (3, 11) else None
    settings = {**environment, "TERM": "xterm-256color", "COLUMNS": str(WIDTH)}
    for name in ("NO_COLOR", "SUDO_UID"):
        settings.pop(name, None)
    process = subprocess.Popen(
        ["docker", "nsenter", *words], stdin=subprocess.DEVNULL, stdout=slave, stderr=slave, env=settings
    )
    os.close(slave)
    found = b""
    while True:
        try:
            chunk = os.read(master, 65536)
        except OSError:  # EIO: the terminal has no writer left
            break
        if not chunk:
            break
        found += chunk
    process.wait()
    os.close(master)
    return found.decode().replace("\r", "")


def picture(words: tuple[str, ...], text: str) -> str:
    """Make an SVG of a terminal with the command and what it wrote."""
    for pattern, replacement in NUMBERS:
        text = re.sub(pattern, replacement, text)
    with open(os.devnull, "w") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere, force_terminal=True, color_system="truecolor")
        console.print(Text(f"$ docker nsenter {shlex.join(words)}", style="bold"))
        console.print(Text.from_ansi(text.rstrip()))
        svg = console.export_svg(title="docker nsenter")
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.S)  # no font from elsewhere


def text_of(svg: str) -> list[str]:
    """Read the lines of text back out of an SVG."""
    lines: dict[str, str] = {}
    for clip, text in re.findall(r'<text [^>]*clip-path="url\(#[\w-]*line-(\d+)\)">(.*?)</text>', svg):
        lines[clip] = lines.get(clip, "") + html.unescape(text).replace("\xa0", " ")
    return [line.rstrip() for line in lines.values()]


def make() -> dict[str, str]:
    """Draw everything on a private engine with the checkout's own plugin."""
    with tempfile.TemporaryDirectory(prefix="nsenter-pictures.", dir="/var/tmp") as work:
        plugin = Path(work) / "config/cli-plugins/docker-nsenter"
        plugin.parent.mkdir(parents=True)
        plugin.symlink_to(TOP / "plugin/docker-nsenter")
        start = {**os.environ, "NSENTER_PRIVATE_ENGINE": "1", "DOCKER_CONFIG": f"{work}/config"}
        start.pop("DOCKER_CONTEXT", None)
        engine = [TOP / "scripts/engine"]
        host = subprocess.check_output([*engine, "start", f"{work}/engine"], env=start, text=True).strip()
        try:
            return draw({**start, "DOCKER_HOST": host})
        finally:
            subprocess.run([*engine, "stop", f"{work}/engine"], env=start, check=True)


def current() -> list[str]:
    """Name the pictures whose text is no longer what the program says."""
    stale = []
    for name, svg in make().items():
        kept = PLACE / f"{name}.svg"
        if not kept.exists() or text_of(kept.read_text()) != text_of(svg):
            stale.append(name)
    return stale


if __name__ == "__main__":
    PLACE.mkdir(parents=True, exist_ok=True)
    for title, drawn in make().items():
        (PLACE / f"{title}.svg").write_text(drawn)
        sys.stdout.write(f"docs/pictures/{title}.svg\n")
