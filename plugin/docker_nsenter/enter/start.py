"""Say from where stage 2 starts: who sends the Plan, who waits for the command, and where this machine's files are.

There are three ways in. Docker's process becomes stage 2 while a child of it plans (routes/bootstrap.py). A sealed copy
of the interpreter is executed where sealing in place can't be, or in a mount namespace whose files are read-only
(hardening/readonly_host.py): its words are those of `words`. In a helper container, helper.py forks it.
"""

SEVERAL = b"M"  # what the document of several Plans begins with (document.py); a single Plan begins with a brace


class Start:
    """Hold what stage 2 is started with."""

    planner = 0  # the child that sends the Plan, 0 where that lies in `plan_fd` already
    docker = ""  # what tells that docker is gone: the name of its socket for plugins, `parent`, `fd:N`; '' for nobody
    parent = 0  # docker's process where that has started us
    host_mounts = -1  # a descriptor of this machine's mount namespace, where ours is another
    host_root = "/"  # the way to this machine's files from here
    sealed = False  # this interpreter is out of the container's reach already (hardening/exeseal.py)

    def __init__(self, plan_fd: int, **more: "int | str | bool") -> None:
        """Take the descriptor that the Plan can be read from, and what differs from an ordinary start."""
        self.plan_fd = plan_fd
        self.__dict__.update(more)

    def words(self) -> list[str]:
        """Write the words of another start of the interpreter."""
        return [str(self.plan_fd), str(self.planner), self.docker, str(self.host_mounts)]


def read(words: list[str]) -> Start:
    """Read the words of a start; ValueError when they are none."""
    plan_fd, planner, docker, *mounts = words
    return Start(int(plan_fd), planner=int(planner), docker=docker, host_mounts=int(mounts[0]) if mounts else -1)
