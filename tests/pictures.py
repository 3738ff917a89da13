"""Draw the README's pictures from the real program, on a private engine, with this machine's numbers made the same.

The program writes to a pseudo-terminal; what it wrote becomes an SVG by rich. `current` draws anew and compares the
text, so that another version of rich or another machine makes no difference. Rich relies on blanks and on textLength,
which librsvg leaves out: `apart` gives each run of words its own place, for every program that shows an SVG.
"""

import html
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pexpect
from rich.console import Console
from rich.text import Text

from .images import BUSYBOX, import_images, pack

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
SHOP = "nsenter-test-shop"
PICTURES = {
    "tools": ("--tools", "host", "shop"),
    "help": ("-h",),
    "list": ("--list",),
    "dry-run": ("--dry-run", "--verbose", "--profile", "general", "-u", "app", "web", "strace", "-p", "1"),
    "several": ("--parallel", "1", "*", "grep", "-E", "CapEff|Seccomp:|NoNewPrivs", "/proc/self/status"),
    "why": ("--why", "web", "mount", "-t", "tmpfs", "none", "/mnt"),
}
# What is typed before, and in the shell
BEFORE = {"tools": ("shop",)}
TYPED = {"tools": ("ls /", "id", "curl -s localhost:8080", "ps -eo user,args", "touch /x", "exit")}
CELL = 12.2  # how wide rich takes a letter to be
RUN = re.compile(
    r'<text (class="[\w-]+") x="([\d.]+)" (y="[\d.]+") textLength="[\d.]+" (clip-path="url\(#[\w-]+\)")>([^<]*)</text>'
)
# What differs from machine to machine: the process, how many capabilities root has, the security module
NUMBERS = (
    (r"(-t|process) \d+", r"\1 4242"),
    (r"all \d\d of yours", "all 41 of yours"),
    (r"bash-\d+\.\d+", "bash-5.2"),
    (r"\x1b\[\?2004[hl]", ""),  # bracketed paste
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
    import_shop(environment)
    words = ["docker", "run", "-d", "--name=shop", "--network=none", "--read-only", "--user=nonroot", SHOP]
    server = ["/app/httpd", "-f", "-p", "8080", "-h", "/home"]
    drawn = {}
    for name, line in PICTURES.items():
        if name == "tools":  # last: the other pictures show all containers
            continue
        drawn[name] = picture(said(line, environment))
    subprocess.run([*words, *server], env=environment, check=True, stdout=subprocess.DEVNULL)
    before = said(BEFORE["tools"], environment)
    drawn["tools"] = picture(before + said(PICTURES["tools"], environment, TYPED["tools"]))
    return drawn


def import_shop(environment: dict[str, str]) -> None:
    """Make an image without a shell: one program, and a file that it serves."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for directory in ("app", "etc", "home", "tmp"):
            (root / directory).mkdir()
        root.chmod(0o755)
        shutil.copy("/bin/busybox", root / "app/httpd")
        (root / "home/index.html").write_text("hello from the app\n")
        (root / "etc/passwd").write_text("nonroot:x:65532:65532::/home:/sbin/nologin\n")
        (root / "etc/group").write_text("nonroot:x:65532:\n")
        pack(environment, root, SHOP, "ENV PATH=/app")


def said(words: tuple[str, ...], environment: dict[str, str], typed: tuple[str, ...] = ()) -> str:
    """Run docker nsenter on a terminal, type into its shell, and return the line and all that appeared."""
    settings = {**environment, "TERM": "xterm-256color", "COLUMNS": str(WIDTH)}
    for name in ("NO_COLOR", "SUDO_UID"):
        settings.pop(name, None)
    shown = io.StringIO()
    size = (60, WIDTH)
    program = pexpect.spawn("docker", ["nsenter", *words], env=settings, encoding="utf-8", dimensions=size, timeout=60)
    program.logfile_read = shown
    for line in typed:
        program.expect(r"\$ ")
        program.sendline(line)
    program.expect(pexpect.EOF)
    program.close()
    return f"\x1b[1m$ docker nsenter {shlex.join(words)}\x1b[0m\n{shown.getvalue()}".replace("\r", "")


def picture(text: str) -> str:
    """Make an SVG of a terminal with what was typed and what appeared."""
    for pattern, replacement in NUMBERS:
        text = re.sub(pattern, replacement, text)
    with open(os.devnull, "w") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere, force_terminal=True, color_system="truecolor")
        console.print(Text.from_ansi(text.rstrip()))
        svg = console.export_svg(title="docker nsenter")
    return apart(re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.S))  # no font from elsewhere


def apart(svg: str) -> str:
    """Give each run of words the place that its cells have, without the blanks before, between and behind."""

    def placed(run: "re.Match[str]") -> str:
        text = html.unescape(run[5]).replace("\xa0", " ")
        return "".join(
            f'<text {run[1]} x="{float(run[2]) + CELL * part.start():.1f}" {run[3]} '
            f'textLength="{CELL * len(part[0]):.1f}" {run[4]}>{html.escape(part[0]).replace(" ", "&#160;")}</text>'
            for part in re.finditer(r"\S+(?: \S+)*", text)
        ) or run[5].strip("\xa0")  # the end of a line

    return RUN.sub(placed, svg)


def text_of(svg: str) -> list[str]:
    """Read the lines of text back out of an SVG, each run in the column of its place."""
    lines: dict[str, str] = {}
    for _, x, _, clip, text in RUN.findall(svg):
        line = lines.get(clip, "").ljust(round(float(x) / CELL))
        lines[clip] = line + html.unescape(text).replace("\xa0", " ")
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
