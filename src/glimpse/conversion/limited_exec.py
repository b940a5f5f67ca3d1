"""Started by :mod:`glimpse.conversion.limited` as a script: limits this process, then becomes another program.

Arguments: the id of the parent process, CPU seconds, bytes of address space, bytes of a file; then the program with its
arguments. It imports only the standard library, because it starts without the packages of the service.
"""

import ctypes
import errno
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
#: The program needs its files and the standard streams.
_OPEN_FILES = 64
#: Bytes of the stack of a thread, which count as address space.
_STACK = 2 << 20
#: Exit code if the program cannot be started, as shells have it.
CANNOT_RUN = 127


def main(arguments: list[str]) -> None:
    """Limit this process and become the program; return only if it was not started."""
    parent, cpu_seconds, address_space, file_size = map(int, arguments[:4])
    libc = ctypes.CDLL(None, use_errno=True)
    _leave_network(libc)
    _require(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    # after the change of namespaces, which may take it back
    _require(libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    if os.getppid() != parent:
        return  # it died before
    # the soft limit ends it with a signal that says why
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
    resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
    resource.setrlimit(resource.RLIMIT_STACK, (_STACK, _STACK))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))
    os.execv(arguments[4], arguments[4:])  # noqa: S606 - there is nothing for a shell to do


def _leave_network(libc: ctypes.CDLL) -> None:
    """Enter a network namespace without any interface, where the host allows it.

    Without root this takes a user namespace, which hosts and containers may forbid.
    """
    for flags in (_CLONE_NEWUSER | _CLONE_NEWNET, _CLONE_NEWNET):
        if libc.unshare(flags) == 0:
            return
    reason = errno.errorcode.get(ctypes.get_errno(), "unknown reason")
    sys.stderr.write(f"this host does not allow network namespaces: {reason}\n")


def _require(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except OSError as error:
        sys.stderr.write(f"{error}\n")
    sys.exit(CANNOT_RUN)
