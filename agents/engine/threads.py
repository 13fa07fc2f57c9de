"""How many threads to compute with.

llama.cpp's threads spin while they wait for each other. More of them than free cores is a trap: two processes
of two threads on two cores fall to a twentieth of their speed and less. So: one thread a process wherever
processes share cores (tests, several nodes on one machine), and otherwise the physical cores.
`OMP_WAIT_POLICY=passive` in the environment avoids the spinning, at a fifth of the speed of a single answer.
"""

import os
from pathlib import Path

_CPUS = Path("/sys/devices/system/cpu")
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def physical_cores() -> int:
    """Physical cores this process may use, by affinity, siblings and the container's quota; at least 1."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    cores = {_siblings(cpu) for cpu in allowed}
    return max(1, min(len(cores), _quota()))


def _siblings(cpu: int) -> str:
    try:
        return (_CPUS / f"cpu{cpu}/topology/thread_siblings_list").read_text()
    except OSError:
        return str(cpu)


def _quota() -> int:
    try:
        limit, period = _QUOTA.read_text().split()
        return int(limit) // int(period)
    except (OSError, ValueError):  # no such file, or "max"
        return os.cpu_count() or 1
