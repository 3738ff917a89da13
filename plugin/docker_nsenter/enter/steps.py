"""THE page: all that is done with power, in order, a reason per row: PREPARE, INSTALL, COMMAND, INIT, SUPERVISE.

Three processes share the work. The supervisor is what docker started: it stays on the host and holds the caller's
terminal. The installer is its child: it joins and drops, but stays in the host's pid namespace, so that nothing in the
container can see it. The command's process is forked from the installer when nothing is left to drop.
A row's label is its line in -D, and its "cannot …" when it fails.
"""

import posix
import sys

from . import command, config, stdio
from .channel import Channels
from .entry import Entry, encode, environment, install_filters, resolve
from .errors import CHANGES, ROOT, UNCONFINED, EntryError, say
from .hardening import exeseal, guard, readonly_host
from .linux import capabilities, capset, cgroups, landlock, lsm, mounts, namespaces, scheduling, seccomp, syscalls
from .target import ended, pin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Step = tuple[str, Callable[[Entry], None]]


# --- the supervisor, before anything is joined ---------------------------------------------------------------------


def _pin(entry: Entry) -> None:
    target = entry.plan["target"]
    entry.target = pin(target["pid"], target["container"], target["owner"])


def _choose_namespaces(entry: Entry) -> None:
    entry.joined = namespaces.differing(entry.target, entry.plan["namespaces"], entry.ours)
    entry.own_pids = entry.lacks("pid")
    for name, what in (("pid", "processes"), ("net", "network")):
        if entry.mixes(name) and not entry.lacks(name):
            say(f"--privileged: the container's programs get this machine's {what}")


def _shelter(entry: Entry) -> None:
    # map_files opens for CAP_CHECKPOINT_RESTORE in the initial user namespace only
    seen = "pid" in entry.joined or entry.own_pids
    most = entry.target.status["CapBnd"][0] | entry.plan["capabilities"]["add"] * entry.own_pids
    if entry.own.initial_userns and entry.host_mounts < 0 and seen and readonly_host.needed(most, entry.joined):
        entry.start_again()


def _hold(entry: Entry) -> None:
    if entry.plan["hold"]:
        from .held import hold  # only where it is asked for

        hold(entry)
        _choose_namespaces(entry)  # it may have changed them


def _open_cgroups(entry: Entry) -> None:
    wanted = entry.plan["cgroups"]
    only = "" if entry.own.initial_userns else entry.plan["target"]["container"]
    try:
        entry.cgroups = cgroups.Cgroups(entry.target, entry.own.cgroups, wanted=wanted, only=only)
    except PermissionError:
        if entry.own.initial_userns:
            raise
        raise cgroups.not_delegated() from None
    if wanted and entry.cgroups.frozen():
        raise EntryError(
            "the container is paused: nothing in it can run",
            {"docker": ["unpause", entry.plan["target"]["name"]]} if entry.plan["target"]["container"] else None,
        )


def _count_filters(entry: Entry) -> None:
    # brought by the Plan where the kernel does not hand out the container's
    entry.filters = [seccomp.Filter(bytes.fromhex(program), 0) for program in entry.plan["filters"]]
    if entry.filters:
        entry.filter_count = len(entry.filters)
        return
    entry.filter_count = seccomp.wanted_filters(entry.target, entry.plan["seccomp"])
    if entry.plan["hold"]:  # it has a tracer, who has to be the one that reads
        entry.filters = [seccomp.read_filter(entry.target.pid, index) for index in range(entry.filter_count)]
    looked = entry.plan["cgroups"]  # _open_cgroups has refused already
    if entry.filter_count and not looked and entry.cgroups and entry.cgroups.frozen(("freezer",)):
        raise EntryError("the container is paused, and its seccomp filter can only be copied while it runs", UNCONFINED)


def _entitle(entry: Entry) -> None:
    exeseal.entitle(entry.own.words, entry.title("supervisor"))


def _read_config(entry: Entry) -> None:
    entry.config = config.load(entry.host_root)


def _open_recordings(entry: Entry) -> None:
    if entry.plan["record"] or (entry.config["record"] == "relaxed" and entry.beyond):
        from .recorded import open_all  # only where there is one: it costs a millisecond

        open_all(entry)


def _choose_place(entry: Entry) -> None:
    planned = entry.plan["tools"]
    if planned is None:
        return
    if "mnt" not in entry.joined:
        raise EntryError("--tools: the process already has this machine's files and programs")
    from .toolbox.tools import Tools

    entry.tools = Tools(planned, entry.target.root(), entry.host_mounts, entry.files_label)


def _reset_scheduling(entry: Entry) -> None:
    """Reset it in the supervisor, whose children inherit it: who may not is told here."""
    if not entry.limits:
        return
    entry.kept = scheduling.reset()
    if entry.kept:
        say(f"the command keeps the caller's {', '.join(entry.kept)}: this process may not reset it")
    if entry.limits.lower:
        say(f"some limits are lower than the container's, as yours can't be raised: {entry.limits.lower}")


def _prepare_environment(entry: Entry) -> None:
    entry.environment = environment(entry)


def _prepare_stdio(entry: Entry) -> None:
    plan = entry.plan
    if plan["connect"]:
        from .forwarded import Forwarded  # only where there is one

        entry.connector = Forwarded(entry)
        return
    uid = entry.host_id(entry.credentials.uid, "uid_map") if entry.credentials else posix.geteuid()
    root = entry.target.root() if "mnt" in plan["namespaces"] else entry.open_root()
    labels = entry.label, entry.files_label
    entry.io = stdio.prepare(plan, root, labels, uid, initial_userns=entry.own.initial_userns)
    if entry.credentials:
        stdio.give_to(entry.io, uid)


PREPARE: "tuple[Step, ...]" = (
    ("pin the container's process", _pin),  # a pidfd: docker's number may be reused, or another kernel's
    ("choose the namespaces", _choose_namespaces),
    ("protect the host's files", _shelter),  # from containers that may open what a process has mapped
    ("hold the process at its end", _hold),  # for --at-exit; what follows reads what it is by then
    ("open the container's cgroups", _open_cgroups),  # before the copy: a frozen process never stops for a tracer
    ("count the container's seccomp filters", _count_filters),
    ("work out the restrictions", resolve),  # reads the container's passwd and group with bounds
    ("guard the command", guard.choose),  # and what the container lacks, from whoever has its ids and capabilities
    ("read what this machine demands", _read_config),  # the host's file, root's alone
    ("choose a place for the tools", _choose_place),
    ("reset the priority and processors", _reset_scheduling),
    ("prepare the environment", _prepare_environment),
    ("prepare standard input and output", _prepare_stdio),  # before setns: the ids to chown to are the host's
    ("open the recordings", _open_recordings),  # by the caller's rights, and never inside the container
    ("name this process after the container", _entitle),  # for who looks at ps
)


# --- the installer: joins and drops, unseen by the container ---------------------------------------------------------


def _copy_filters(entry: Entry) -> None:
    target, brought = entry.target, entry.plan["filters"]
    entry.filters = entry.filters or seccomp.copy(target, entry.filter_count)
    pretends = not brought and any(seccomp.pretends(each.program) for each in entry.filters)
    if pretends and seccomp.configured(target) is None:
        raise EntryError(
            "the process's seccomp filter fakes successful system calls, and the process may have installed it itself",
            UNCONFINED,
        )
    entry.forbids_fork = not all(seccomp.allows(each.program, *syscalls.FORK_SIBLING) for each in entry.filters)
    # who holds SYS_PTRACE may look into the visible process: it must have its filter at once
    watched = target.status["CapBnd"][0] & capabilities.SYS_PTRACE
    entry.late_filters = not watched and (entry.no_new_privs or (entry.forbids_fork and not entry.own.initial_userns))


def _raise_limits(entry: Entry) -> None:
    if entry.limits:
        entry.limits.raise_hard()


def _gather_tools(entry: Entry) -> None:
    if entry.tools:
        entry.tools.gather()


def _seal_importer(entry: Entry) -> None:
    sys.meta_path.clear()
    sys.path.clear()
    sys.path_hooks.clear()


def _clone_proc(entry: Entry) -> None:
    if "proc" in entry.plan["mounts"] and "pid" in entry.joined:
        fd = posix.open("ns/mnt", posix.O_RDONLY | posix.O_CLOEXEC, dir_fd=entry.target.proc)
        entry.proc_tree = mounts.clone_proc(fd)


def _join(entry: Entry) -> None:
    if entry.host_mounts >= 0 and "mnt" not in entry.joined:
        readonly_host.leave(entry.host_mounts)
    namespaces.join(entry.target, entry.joined)


def _still_alive(entry: Entry) -> None:
    if not entry.target.alive():
        raise ended()


def _own_keyring(entry: Entry) -> None:
    """Join runc's keyring of the container with its files, else a nameless new one: host programs have other keys."""
    container = entry.plan["target"]["container"] if "mnt" in entry.joined else ""
    try:
        syscalls.keyctl(syscalls.KEYCTL_JOIN_SESSION_KEYRING, b"_ses." + container.encode() if container else 0)
    except OSError as problem:
        if problem.errno != 38:  # ENOSYS: a kernel without keys has none to leak
            raise


def _mount(entry: Entry) -> None:
    show_sys = "sys" in entry.plan["mounts"] and "net" in entry.joined
    if entry.proc_tree < 0 and not show_sys:
        return
    mounts.unshare()
    if entry.proc_tree >= 0:
        syscalls.move_mount(entry.proc_tree, b"/proc")  # over the host's
    if show_sys:
        mounts.show_sys()


def _attach_tools(entry: Entry) -> None:
    if entry.tools:
        entry.tools.attach()


def _part_processes(entry: Entry) -> None:
    if entry.own_pids:
        syscalls.unshare(syscalls.CLONE_NEWPID)


def _part_sockets(entry: Entry) -> None:
    if entry.lacks("net"):
        landlock.scope_sockets()


def _leave_files(entry: Entry) -> None:
    if entry.connector:
        entry.connector.leave_files(entry.joined)


def _take_stdio(entry: Entry) -> None:
    stdio.take_over(entry.io)


def _change_directory(entry: Entry) -> None:
    """Go there with root's rights, as runc does; what refuses root (NFS, FUSE) is tried again as the user."""
    wanted = entry.plan["directory"]
    if entry.credentials:
        posix.umask(0o022)
    if wanted is None or entry.arrived:
        return
    try:
        posix.chdir(encode(wanted))
        entry.arrived = True
    except OSError as problem:
        if isinstance(problem, PermissionError) and not entry.dropped:
            return
        raise EntryError(f"cannot change to the working directory {wanted}: {problem.strerror}", ROOT) from None


def _check_directory(entry: Entry) -> None:
    _change_directory(entry)
    if "mnt" not in entry.joined:
        return
    try:
        inside = posix.getcwdb().startswith(b"/")
    except FileNotFoundError:  # what glibc makes of the kernel's "(unreachable)"
        inside = False
    if not inside:  # of the root that we joined: CVE-2024-21626
        raise EntryError("the working directory lies outside the container")


def _drop(entry: Entry) -> None:
    capset.drop_bounding(entry.bounding)
    syscalls.prctl(syscalls.PR_SET_KEEPCAPS, 1)
    who = entry.credentials
    if who:
        syscalls.setgroups(who.groups)
        syscalls.setresgid(who.gid, who.gid, who.gid)
        syscalls.setresuid(who.uid, who.uid, who.uid)
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)  # changed ids reset it; /proc/PID/mem and exe stay out of reach
    if entry.no_new_privs:
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    needed = 0 if entry.no_new_privs or not entry.filters else capabilities.SYS_ADMIN  # seccomp(2) asks for it
    held = entry.permitted | needed
    capset.set_process(held, held, entry.ambient)
    capset.set_ambient(entry.ambient)
    entry.dropped = True


def _close_rest(entry: Entry) -> None:
    """Really close what only close-on-exec guarded until now: the command's process is visible before its execve."""
    keep = sorted({*entry.keep, *(entry.cgroups.tasks if entry.cgroups else ())})
    first = 3
    for fd in keep:
        if fd > first:
            syscalls.close_range(first, fd - 1, 0)
        first = fd + 1
    syscalls.close_range(first, 0xFFFFFFFF, 0)


def _install_early(entry: Entry) -> None:
    """Install and let SYS_ADMIN go before anything of ours can be seen."""
    if entry.filters and not entry.late_filters:
        install_filters(entry)


INSTALL: "tuple[Step, ...]" = (
    ("copy the container's seccomp filter", _copy_filters),  # a tracer that lives on would be one to fear
    ("set the security label", lambda entry: lsm.set_exec(entry.label)),  # for a child; needs the host's /proc
    ("raise the limits to the container's", _raise_limits),  # needs SYS_RESOURCE on the host
    ("show the container's /proc", _clone_proc),
    ("gather the tools", _gather_tools),  # of the host's files, while they are still ours, in a tree of their own
    ("stop Python's imports", _seal_importer),  # after setns one would run the container's files (CVE-2019-14271)
    ("join the namespaces", _join),
    ("check that the container still runs", _still_alive),
    ("join a session keyring", _own_keyring),  # the caller's keys stay out of reach (keyrings(7))
    ("mount /proc and /sys", _mount),
    ("attach the tools", _attach_tools),  # in a copy of the container's mount namespace that nobody else has
    ("separate the container's programs from the host's processes", _part_processes),  # without its pid namespace
    ("separate the container's programs from the host's sockets", _part_sockets),  # abstract ones: no file guards them
    ("leave all files behind", _leave_files),  # what connects for --forward opens none
    ("set up standard input and output", _take_stdio),
    ("change to the working directory", _change_directory),
    ("drop to the container's user and capabilities", _drop),  # bounding first: it needs SETPCAP
    ("check the working directory", _check_directory),
    ("close every other file", _close_rest),
    ("install the container's seccomp filter", _install_early),
)


# --- the command's process: visible in the container, with nothing left to take away ---------------------------------


COMMAND: "tuple[Step, ...]" = (
    ("join the container's cgroups", command.join_cgroups),  # after the fork: a full pids limit stops forks, not joins
    ("begin a session", command.own_session),
    ("apply the container's limits", command.settle_limits),  # last: a small one would stop the installer's fork
    ("end with the plugin", command.die_together),  # after the last change of ids, which clears it
    ("install the container's seccomp filter", command.install_late),
)


# --- the first process of a pid namespace of the command's own: what is no init would ignore its signals --------------


INIT: "tuple[Step, ...]" = (
    ("join the container's cgroups", command.join_cgroups),
    ("close its standard input and output", command.own_nothing),
    ("end with the plugin", command.die_together),
    ("install the container's seccomp filter", command.install_late),
)


ROLES = {"install": INSTALL, "init": INIT, "command": COMMAND}


def take(role: str, entry: Entry, channels: Channels) -> None:
    """Take the steps of a role; the first that fails is told and ends this process."""
    for number, (_, action) in enumerate(ROLES[role]):
        try:
            action(entry)
        except EntryError as refusal:
            change = CHANGES.index(refusal.change) if refusal.change in CHANGES else 0
            channels.say("W", role, number, change, refusal.sentence[:500])
            posix._exit(125)
        except OSError as problem:
            channels.say("F", role, number, problem.errno, problem.filename or "system call")
            posix._exit(125)


# --- the supervisor, from the fork to the go: what it does to its children, and to itself ----------------------------

# What is done, and by which function: these wait for words of the children, so launch.py has the order
SUPERVISE: "tuple[tuple[str, str], ...]" = (
    ("fork the installer, into the container's v2 cgroup where it can be", "processes.start"),
    ("suspend a filter that forbids the fork, for the fork", "launch.Launch._let_fork"),  # a late one would be seen
    ("put the command's process into its v2 cgroup", "linux.cgroups.Cgroups.attach"),  # where the fork could not
    ("set the command's oom_score_adj", "linux.limits.Limits.score"),  # only the root of the host may lower it
    ("read everything back", "verify.Check.confirm"),  # from the host's /proc: what a child says is not believed
    ("attach the watcher of --why", "tracing.tracer.Tracer.attach"),
    ("give up all power but to signal the command", "linux.capset.hold"),  # OpenSSH's privilege separation
    ("tell the journal", "session.journal.Journal.start"),  # before the go, or what is demanded would come too late
    ("start a guardian where the label changes", "session.guardian.begin"),  # execve clears the death signal then
)
