"""Starts programs and measures them, for measure.py. A process of its own and without imports, because the peak memory
of a program starts at what its parent has: about 5 MB after a fork from here, 8 MB after a spawn, which is quicker.

Reads one request a line, fields apart by NUL: `fork` or `spawn`, files for stdout and stderr, the number of variables,
the variables, the command with its whole path. Answers with wall and CPU nanoseconds, peak KiB and the exit code.
"""
import posix
import sys
import time

CREATE = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC


def forked(files, command, environment):
    pid = posix.fork()
    if pid == 0:
        try:
            for number, path in enumerate(files, 1):
                posix.dup2(posix.open(path, CREATE, 0o644), number)
            posix.execve(command[0], command, environment)
        finally:
            posix._exit(127)
    return pid


def spawned(files, command, environment):
    actions = [(posix.POSIX_SPAWN_OPEN, number, path, CREATE, 0o644) for number, path in enumerate(files, 1)]
    return posix.posix_spawn(command[0], command, environment, file_actions=actions)


for line in sys.stdin:
    how, out, err, count, *rest = line.rstrip("\n").split("\0")
    variables, command = rest[:int(count)], rest[int(count):]
    environment = dict(variable.split("=", 1) for variable in variables)
    start = forked if how == "fork" else spawned
    begun = time.perf_counter_ns()
    pid = start([out, err], command, environment)
    _, status, used = posix.wait4(pid, 0)
    wall = time.perf_counter_ns() - begun
    cpu = int((used.ru_utime + used.ru_stime) * 1e9)
    print(wall, cpu, used.ru_maxrss, posix.waitstatus_to_exitcode(status), flush=True)
