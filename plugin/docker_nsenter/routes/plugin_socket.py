"""Know docker, which started us, by what tells that it is gone: its socket for plugins."""

import posix

PARENT = "parent"


def docker_socket() -> str:
    """Name what tells that docker is gone: its socket for plugins, or itself when it is too old for one (25.0)."""
    socket = posix.environ.get(b"DOCKER_CLI_PLUGIN_SOCKET", b"")
    if not socket and b"DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND" in posix.environ:
        return PARENT
    return socket.decode("utf-8", "surrogateescape")
