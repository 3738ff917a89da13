"""Put a shell and tools at hand where a container has none, in a mount namespace that only the entered process has.

Three stages. The supervisor chooses the place: a directory that the container has already, for nothing may be made. The
installer, still on the host, builds the whole tree at a desk of its own, in a mount namespace of its own, and lets it
go from there as a detached tree (open_tree, Linux 5.2). When it has joined the container's mount namespace it takes a
private copy of that and attaches the tree. With the last process both are gone: nothing has to be cleaned up.

The host's files, or an image's, are shown through overlayfs without an upper layer. That can't be made writable by any
capability, has no file handles to open by (CAP_DAC_READ_SEARCH), and a remount reaches no file system of the host's.

What is attached, at PLACE:
    .tree       the tools' root, or of the host only HOST
    usr/bin …   the directories with programs: each name a hard link to starter.c, which see
    the rest    links into .tree, so that a program finds its data relative to itself (python3, gdb)
"""

import posix
from _stat import S_ISDIR, S_ISLNK

from ..errors import EntryError
from ..jsonlite import WHITESPACE
from ..linux import syscalls
from ..linux.credentials import read_inside
from ..linux.procfs import read_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..plan import PlannedTools

# The first that exists. The kernel makes the first one empty, to mount on (proc_create_mount_point), and docker's
# AppArmor profile lets programs run there, which it does not below /sys.
PLACES = ("/proc/fs/nfsd", "/mnt", "/media", "/srv", "/sys/firmware")
DESK = b"/dev"  # covered in the installer's own mount namespace only
# Programs, their libraries and data; never /etc as a whole, /root, /home, /var
HOST = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "etc/alternatives", "etc/terminfo", "etc/ssl/certs")
# Programs that others start by an absolute path
HELPERS = ("/usr/lib/git-core", "/usr/libexec/git-core")
TRIPLET = f"{syscalls.MACHINE}-linux-gnu"
# Where loaders look by themselves (ld.so(8), musl's /etc/ld-musl-*.path), and directories that programs name by RUNPATH
LIBRARIES = (
    *(f"/usr/local/lib/{TRIPLET}", f"/lib/{TRIPLET}", f"/usr/lib/{TRIPLET}", "/lib64", "/usr/lib64", "/lib"),
    *(
        "/usr/local/lib",
        "/usr/lib",
        f"/usr/lib/{TRIPLET}/systemd",
        "/usr/lib/systemd",
        f"/usr/lib/{TRIPLET}/pulseaudio",
    ),
)
# What auditor.c writes into libc for its own directories: a link beside the programs, and where it leads
KEPT = (("L", ("/usr/lib/locale",)), ("G", (f"/usr/lib/{TRIPLET}/gconv", "/usr/lib64/gconv", "/usr/lib/gconv")))
UTF_8 = ("/usr/lib/locale/C.utf8", "/usr/lib/locale/C.UTF-8")
BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
# Variables of the container's that would steer a program of the tools: their beginnings, and which programs do without
# them. What it starts does not get them back, so the rows are narrow: those that mostly start others keep all but
# what steers themselves.
LAUNCHERS = (
    *("sh", "bash", "rbash", "dash", "ash", "zsh*", "ksh*", "mksh", "fish", "busybox", "tmux", "screen", "script"),
    *("env", "nice", "ionice", "nohup", "setsid", "timeout", "time", "xargs", "find", "watch", "chroot", "unshare"),
    *("setpriv", "setarch", "stdbuf", "taskset", "chrt", "prlimit", "strace", "ltrace", "flock", "runuser", "su"),
)
STEERING = (
    # the loader: all but LD_LIBRARY_PATH, for which --library-path stands
    ("*", *(f"LD_{letter}" for letter in "ABCDEFGHIJKMNOPQRSTUVWXYZ"), "GLIBC_TUNABLES="),
    ("*", "GCONV_PATH=", "LOCPATH=", "GETCONF_DIR=", "MALLOC_TRACE=", "NLSPATH=", "TERMINFO=/", "TERMCAP=/"),
    ("+", "OPENSSL_", "SSLKEYLOGFILE=", "KRB5_CONFIG=", "XTABLES_LIBDIR=", "NMAPDIR=", "WIRESHARK_", "MAGIC="),
    *((name, "BASH_ENV=", "ENV=", "BASH_FUNC_", "BASHOPTS=", "SHELLOPTS=") for name in ("bash", "rbash", "sh", "dash")),
    *((name, "PROMPT_COMMAND=", "PS0=", "PS1=", "PS2=", "PS4=", "INPUTRC=") for name in ("bash", "sh", "dash")),
    *((name, "ZDOTDIR=", "FPATH=", "ENV=", "PS1=", "PS4=") for name in ("zsh*", "ksh*", "mksh")),
    ("python*", "PYTHON"),
    ("perl*", "PERL"),
    ("gdb*", "PYTHON", "GDBHISTFILE=", "GDBHISTSIZE=", "INPUTRC=", "DEBUGINFOD_"),
    ("ruby*", "RUBY", "GEM_", "BUNDLE_"),
    ("node*", "NODE_"),
    ("java*", "JAVA_TOOL_OPTIONS=", "JDK_JAVA_OPTIONS=", "_JAVA_OPTIONS=", "CLASSPATH="),
    ("lua*", "LUA_"),
    ("tcl*", "TCL"),
    ("php*", "PHP"),
    *((name, "AWK", "GAWK") for name in ("awk", "gawk*")),
    ("git*", "GIT_", "PAGER=", "SSH_ASKPASS="),
    ("less*", "LESS"),
    *((name, "MAN", "PAGER=", "LESS") for name in ("man*", "apropos", "whatis")),
    *((name, "VIM", "EXINIT=", "MYVIMRC=") for name in ("vi", "vim*", "view", "ex", "rvim", "rview")),
    ("tar", "TAR_OPTIONS="),
    ("rsync", "RSYNC_"),
    ("make", "MAKE"),
    ("wget", "WGETRC=", "SYSTEM_WGETRC="),
    ("gcc*", "GCC_", "COMPILER_PATH="),
)
# starter.c's rows: program, a(rgument before the user's) or e(nvironment where it is not set), value; {} is PLACE
PROGRAMS = (
    *((name, "l", "-") for name in LAUNCHERS),
    *((name, "u", word) for name, *words in STEERING for word in words),
    ("*", "e", "TERMINFO_DIRS=:{}/etc/terminfo:{}/lib/terminfo:{}/usr/lib/terminfo:{}/usr/share/terminfo"),
    # With an auditor glibc makes room for initial-exec TLS before it knows the libraries (jemalloc asks for 2.7 KB)
    ("*", "e", "GLIBC_TUNABLES=glibc.rtld.optional_static_tls=16384"),
    ("bash", "e", "HISTFILE="),  # these four would leave files in the container's home
    ("less", "e", "LESSHISTFILE=-"),
    ("htop", "e", "HTOPRC={}/.none/htoprc"),
    *((name, "a", word) for name in ("vi", "vim*", "view") for word in ("--cmd", "silent! set viminfofile=NONE")),
    *((name, "e", "VIM={}/usr/share/vim") for name in ("vi", "vim*", "view", "ex", "rvim", "rview")),
    ("python*", "a", "-s"),  # neither usercustomize nor modules below the container's HOME
    ("gdb", "e", "PYTHONNOUSERSITE=1"),
    ("gdb", "a", "-nx"),  # nor its .gdbinit and /etc/gdb/gdbinit, nor scripts beside its programs
    ("gdb", "a", "-iex"),
    ("gdb", "a", "set auto-load safe-path {}/.tree"),
    ("gdb", "a", "-iex"),  # its files are ours, though our mount namespace is not that of the process it looks at
    ("gdb", "a", "set sysroot /"),
    ("tcpdump", "a", "-Z"),  # Debian's wants to become a user that the container does not have
    ("tcpdump", "a", "root"),
)
PERL = (
    *("/usr/share/perl5", f"/usr/lib/{TRIPLET}/perl5/*", f"/usr/lib/{TRIPLET}/perl/*", "/usr/share/perl/*"),
    *(f"/usr/lib/{TRIPLET}/perl-base", "/usr/share/perl5/*", "/usr/lib/perl5/*", "/usr/lib64/perl5"),
)
MARK = b"@PLACE@@@@@@@@@@@@@@@@@@@@@@@@@"  # in auditor.c
MOST_NAMES, LARGEST_FILE = 50_000, 1 << 30
OVERLAY_FLAGS = syscalls.MS_RDONLY | syscalls.MS_NOSUID | syscalls.MS_NODEV


class Tools:
    """Hold where the tools will be and, once it is built, the detached tree."""

    def __init__(self, planned: "PlannedTools", root: int, host_mounts: int, label: str = "") -> None:
        """Choose the place below the container's root directory; `host_mounts` is the host's namespace, -1: ours.

        `label` is what SELinux labels the container's files with, or '': the command may execute nothing else.
        """
        self.context = b',context="%s"' % label.encode() if label else b""
        self.planned = planned
        self.host_mounts = host_mounts
        built = planned["kind"] != "file"
        self.starter, self.auditor = (_read_built(name) if built else b"" for name in ("", ".auditor"))
        self.place = _place(root)
        self.has_bundle = any(_exists(root, path) for path in BUNDLES)
        self.has_shell = _exists(root, "/bin/sh")
        self.tree = -1
        self.path = b""

    def gather(self) -> None:
        """Build the tree on the host, out of everybody's sight, and detach it."""
        if self.host_mounts >= 0:
            syscalls.setns(self.host_mounts, syscalls.CLONE_NEWNS)  # a helper's files are its own
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount(b"none", b"/", b"", syscalls.MS_REC | syscalls.MS_PRIVATE)
        layers = [_open_source(path) for path in self.planned["layers"]]
        host = posix.open("/", posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
        syscalls.mount(b"tools", DESK, b"tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, b"mode=755" + self.context)
        umask = posix.umask(0o022)
        posix.mkdir(DESK + b"/.none")
        if self.planned["kind"] == "file":
            folders = _place_file(layers[0], self.planned["layers"][0])
        else:
            posix.mkdir(DESK + b"/.tree")
            if self.planned["kind"] == "host":
                _show_host(self.context)
            else:
                _overlay(layers, b"", self.context)
            folders = self._make_programs(host)
        posix.umask(umask)
        syscalls.mount(b"none", DESK, b"", syscalls.MS_REMOUNT | syscalls.MS_BIND | OVERLAY_FLAGS)
        self.path = b":".join(f"{self.place}/{folder}".encode("utf-8", "surrogateescape") for folder in folders)
        flags = syscalls.OPEN_TREE_CLONE | syscalls.AT_RECURSIVE | posix.O_CLOEXEC
        self.tree = syscalls.open_tree(syscalls.AT_FDCWD, DESK, flags)

    def attach(self) -> None:
        """Attach the tree in a copy of the container's mount namespace that nobody else has."""
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount(b"none", b"/", b"", syscalls.MS_REC | syscalls.MS_SLAVE)
        syscalls.move_mount(self.tree, self.place.encode())

    def _make_programs(self, host: int) -> list[str]:
        """Make the directories with programs, and links for all else; return those that are for PATH."""
        root = posix.open(DESK + b"/.tree", posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
        folders = list(_real(root, self.planned["path"]))
        helpers = [folder for folder in _real(root, HELPERS) if folder not in folders]
        _mirror(root, [*folders, *helpers])
        own = host if self.planned["kind"] == "host" else root
        libraries = ":".join(f"{self.place}/.tree/{folder}" for folder in _libraries(own, root))
        rows = [*PROGRAMS, *(("git", "a", f"--exec-path={{}}/{folder}") for folder in helpers[:1])]
        if not self.has_bundle:
            bundles = [path for path in BUNDLES if _exists(root, path)][:1]
            rows += [
                ("*", "e", f"{name}={{}}{path}") for path in bundles for name in ("CURL_CA_BUNDLE", "SSL_CERT_FILE")
            ]
        if not self.has_shell:
            shells = [f"/{folder}/sh" for folder in folders if _exists(root, f"/{folder}/sh")][:1]
            rows += [("*", "e", f"SHELL={{}}{path}") for path in shells]
        if any(_exists(root, path) for path in UTF_8):
            rows.append(("*", "e", "LC_CTYPE=C.UTF-8"))
        for name, paths in KEPT:
            for path in [path for path in paths if _exists(root, path)][:1]:
                posix.symlink(f".tree{path}", f"{DESK.decode()}/{name}")
        rows += [("perl*", "e", f"PERL5LIB={path}") for path in [self._perl(root)] if path]
        words = [self.place, libraries, *(word.replace("{}", self.place) for row in rows for word in row), "", ""]
        _write_starter(self.starter, "\0".join(words).encode("utf-8", "surrogateescape"))
        _write_program(b"/.auditor", self.auditor.replace(MARK, self.place.encode().ljust(len(MARK), b"\0")))
        for folder in [*folders, *helpers]:
            _link_programs(root, folder, links=folder in folders)
        return folders

    def _perl(self, root: int) -> str:
        """List where the tools' perl has its modules: it knows them by absolute paths, which are the container's."""
        found = []
        for folder in PERL:
            parent, star, _ = folder.partition("/*")
            found += [f"{parent}/{name}" for name in sorted(_listed(root, parent))] if star else [folder]
        return ":".join(f"{self.place}/.tree/{folder}" for folder in _real(root, found))

    def difference(self, pid: int, target: list[bytes]) -> str:
        """Compare a process's mounts with the container's; name what is neither the container's nor of the tools."""
        known = {_mounted(line) for line in target}
        place, own = self.place.encode(), 0
        for line in read_mounts(pid):
            point, options = line.split(b" ")[4:6]
            if _mounted(line) in known:
                continue
            if point != place and not point.startswith(place + b"/"):
                return point.decode("ascii", "replace")
            own += 1
            if not {b"ro", b"nosuid", b"nodev"} <= set(options.split(b",")):
                return f"{point.decode('ascii', 'replace')} ({options.decode('ascii', 'replace')})"
        return "" if own else f"{self.place} (missing)"


def read_mounts(pid: "int | str") -> list[bytes]:
    """Read the mounts of a process (proc_pid_mountinfo(5))."""
    fd = posix.open(f"/proc/{pid}/mountinfo", posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        return read_all(fd).splitlines()
    finally:
        posix.close(fd)


def _mounted(line: bytes) -> bytes:
    """Leave out of a line of mountinfo what differs between copies: the ids, and to whom mounts spread."""
    before, _, after = line.partition(b" - ")
    return b" ".join(before.split(b" ")[2:6]) + b" - " + after


# --- the place ------------------------------------------------------------------------------------------------------


def _place(root: int) -> str:
    """Choose a directory of the container's that hides nothing: an empty one."""
    for path in PLACES:
        try:
            fd = _open_below(root, path, posix.O_RDONLY | posix.O_DIRECTORY, syscalls.RESOLVE_NO_SYMLINKS)
        except OSError as problem:
            if problem.errno in (2, 13, 20, 40):  # ENOENT, EACCES, ENOTDIR, ELOOP
                continue
            raise
        try:
            if not posix.listdir(fd):
                return path
        finally:
            posix.close(fd)
    raise EntryError(f"the container has no empty directory for the tools: none of {', '.join(PLACES)}")


def _open_below(root: int, path: str, flags: int, resolve: int = 0) -> int:
    """Open a path as if `root` were the root directory."""
    how = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS | resolve
    return syscalls.openat2(root, path.encode("utf-8", "surrogateescape"), flags | posix.O_CLOEXEC, how)


def _exists(root: int, path: str) -> bool:
    try:
        posix.close(_open_below(root, path, posix.O_PATH))
    except OSError as problem:
        if problem.errno in (2, 13, 20, 40):
            return False
        raise
    return True


# --- the files ------------------------------------------------------------------------------------------------------


def _open_source(path: str) -> int:
    """Open a directory or file of the host's that the Plan names."""
    try:
        return posix.open(path, posix.O_RDONLY | posix.O_NONBLOCK | posix.O_CLOEXEC)
    except OSError as problem:
        raise EntryError(f"the tools at {path} cannot be opened: {problem.strerror}") from problem


def _overlay(layers: list[int], where: bytes, context: bytes) -> None:
    """Show directories, the first uppermost, read-only in the tree.

    Without an upper layer the kernel wants two lower ones: an empty one is added. Names by descriptor keep the host's
    paths out of the container's mountinfo, and need no quoting.
    """
    none = posix.open(DESK + b"/.none", posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
    names = ":".join(f"/proc/self/fd/{fd}" for fd in [*layers, none])
    options = f"lowerdir={names}".encode() + context
    try:
        syscalls.mount(b"tools", DESK + b"/.tree/" + where, b"overlay", OVERLAY_FLAGS, options)
    except OSError as problem:
        reason = "this kernel has no overlayfs" if problem.errno == 19 else problem.strerror  # ENODEV
        raise EntryError(f"cannot mount the tools: {reason}") from problem
    finally:
        posix.close(none)


def _show_host(context: bytes) -> None:
    """Show of the host what HOST lists; its links (/bin to usr/bin) stay links."""
    for name in HOST:
        path, target = f"/{name}", DESK + b"/.tree/" + name.encode()
        try:
            mode = posix.lstat(path).st_mode
        except FileNotFoundError:
            continue
        _make_folders(b".tree/" + name.encode().rpartition(b"/")[0])
        if S_ISLNK(mode):
            posix.symlink(posix.readlink(path).lstrip("/"), target)
        elif S_ISDIR(mode):
            posix.mkdir(target)
            fd = _open_source(path)
            _overlay([fd], name.encode(), context)
            posix.close(fd)


def _make_folders(path: bytes) -> None:
    made = DESK
    for part in path.split(b"/"):
        made += b"/" + part
        try:
            posix.mkdir(made)
        except FileExistsError:
            continue


def _place_file(source: int, path: str) -> list[str]:
    """Copy one static program; a busybox also under the names of its applets."""
    size = posix.fstat(source).st_size
    if not 0 < size <= LARGEST_FILE:
        raise EntryError(f"{path} is empty or larger than 1 GiB")
    posix.mkdir(DESK + b"/bin")
    folder = posix.open(DESK + b"/bin", posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
    name, sent = path.rpartition("/")[2], 0
    copy = posix.open(name, posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC, 0o755, dir_fd=folder)
    while sent < size:
        sent += posix.sendfile(copy, source, sent, size - sent) or size
    posix.close(copy)
    for applet in _applets(source, size):
        if applet != name:
            posix.link(name, applet, src_dir_fd=folder, dst_dir_fd=folder)
    return ["bin"]


def _applets(source: int, size: int) -> "Iterator[str]":
    """Find the names of a busybox's applets: a sorted list in its data that begins with [ and [[.

    What is before it need not end in NUL: the list of busybox 1.37 follows a table of numbers.
    """
    text = posix.pread(source, min(size, 16 << 20), 0)
    _, found, rest = text.partition(b"[\0[[\0")
    if found:
        for name in [b"[", b"[[", *rest[:20_000].partition(b"\0\0")[0].split(b"\0")]:
            if name and name.decode("ascii", "replace").isprintable() and b"/" not in name:
                yield name.decode("ascii", "replace")


# --- the programs ---------------------------------------------------------------------------------------------------


def _real(root: int, folders: "list[str] | tuple[str, ...]") -> "dict[str, None]":
    """Name directories of the tree by their real paths in it, each once; what is missing is left out."""
    found: dict[str, None] = {}
    for folder in folders:
        try:
            fd = _open_below(root, folder, posix.O_PATH | posix.O_DIRECTORY)
        except OSError as problem:
            if problem.errno in (2, 13, 20, 40):
                continue
            raise
        found[posix.readlink(f"/proc/self/fd/{fd}")[len(DESK) + len("/.tree/") :]] = None
        posix.close(fd)
    found.pop("", None)
    return found


def _mirror(root: int, folders: list[str]) -> None:
    """Make the directories with programs, empty, and on the way to them a link to everything else."""
    parents = {""}
    for folder in folders:
        parts = folder.split("/")
        parents.update("/".join(parts[:count]) for count in range(1, len(parts)))
    for parent in sorted(parents):
        _make_folders(parent.encode("utf-8", "surrogateescape"))
        up = "../" * (parent.count("/") + 1) if parent else ""
        fd = _open_below(root, f"/{parent}", posix.O_RDONLY | posix.O_DIRECTORY)
        with posix.scandir(fd) as entries:
            for entry in entries:
                path = f"{parent}/{entry.name}".lstrip("/")
                if path in parents or path in folders or path in (".tree", ".none"):
                    continue
                to = posix.readlink(entry.name, dir_fd=fd) if entry.is_symlink() else f"{up}.tree/{path}"
                posix.symlink(up + to.lstrip("/") if to.startswith("/") else to, f"{DESK.decode()}/{path}")
        posix.close(fd)
    for folder in folders:
        _make_folders(folder.encode("utf-8", "surrogateescape"))


def _link_programs(root: int, folder: str, *, links: bool) -> None:
    """Give every program of a directory of the tree its name in the same directory outside of it.

    Most of git's helpers are links to git itself, which needs none of them.
    """
    source = _open_below(root, f"/{folder}", posix.O_RDONLY | posix.O_DIRECTORY)
    with posix.scandir(source) as entries:
        names = [each.name for each in entries if links or not each.is_symlink() or each.name.startswith("git-remote")]
    posix.close(source)
    if len(names) > MOST_NAMES:
        raise EntryError(f"the tools have more than {MOST_NAMES} programs in /{folder}")
    here = posix.open(DESK, posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
    there = posix.open(f"{DESK.decode()}/{folder}", posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
    for name in names:
        try:
            posix.link(".starter", name, src_dir_fd=here, dst_dir_fd=there)
        except FileExistsError:  # a directory with programs inside another
            continue
    posix.close(here)
    posix.close(there)


def _read_built(kind: str) -> bytes:
    """Read starter.c or auditor.c as it was built, from beside this module or out of a helper's archive with it."""
    name = f"starter.{syscalls.MACHINE}{kind}"
    try:
        data = globals()["__loader__"].get_data(f"{__file__.rpartition('/')[0]}/{name}")
    except OSError:
        raise EntryError(f"--tools has no {name}, and only a static program runs without it") from None
    return bytes(data)


def _write_starter(starter: bytes, settings: bytes) -> None:
    """Write the program behind all names, with its settings at the end of its one segment."""
    code = bytearray(starter)
    size = (len(code) + len(settings)).to_bytes(8, "little")
    code[40:48], code[60:64], code[96:112] = bytes(8), bytes(4), size + size  # no sections; p_filesz, p_memsz
    _write_program(b"/.starter", bytes(code) + settings)


def _write_program(name: bytes, data: bytes) -> None:
    """Write a file that can be executed at the desk."""
    copy = posix.open(DESK + name, posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC, 0o755)
    while data:
        data = data[posix.write(copy, data) :]
    posix.close(copy)


def _listed(root: int, folder: str) -> list[str]:
    """List a directory of the tree, which may be missing."""
    try:
        fd = _open_below(root, folder, posix.O_RDONLY | posix.O_DIRECTORY)
    except OSError as problem:
        if problem.errno in (2, 13, 20, 40):
            return []
        raise
    names = posix.listdir(fd)
    posix.close(fd)
    return names


def _libraries(own: int, root: int) -> "dict[str, None]":
    """List the directories in which the tools' loaders look for libraries, by real paths in the tree."""
    words: list[str] = []
    for line in _configuration(own, b"/etc/ld.so.conf"):
        if line.startswith("include"):
            folder, _, pattern = line.split()[-1].rpartition("/")
            if pattern == "*.conf":
                words += [word for name in _names(own, folder) for word in _configuration(own, name) if word[0] == "/"]
        elif line.startswith("/"):
            words.append(line)
    for line in _configuration(own, f"/etc/ld-musl-{syscalls.MACHINE}.path".encode()):
        words += line.split(":")
    return _real(root, [*words, *LIBRARIES])


def _configuration(root: int, path: bytes) -> list[str]:
    """Read the lines of a small file of settings."""
    text = read_inside(root, path).decode("utf-8", "surrogateescape")
    lines = (line.partition("#")[0].strip(WHITESPACE) for line in text.split("\n"))
    return [line for line in lines if line]


def _names(root: int, folder: str) -> list[bytes]:
    """List the .conf files of a directory, in order."""
    try:
        fd = _open_below(
            root, folder if folder.startswith("/") else f"/etc/{folder}", posix.O_RDONLY | posix.O_DIRECTORY
        )
    except FileNotFoundError:
        return []
    names = sorted(name for name in posix.listdir(fd) if name.endswith(".conf"))
    posix.close(fd)
    return [f"{folder if folder.startswith('/') else '/etc/' + folder}/{name}".encode() for name in names]
