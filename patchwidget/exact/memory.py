"""How much memory is free: on a device, and to this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

_UNKNOWN = 4 * 2**30
_ROOT = Path("/")


def free_bytes(device: torch.device, root: Path = _ROOT) -> int:
    """Free memory of a device; 4 GiB where the system does not tell.

    On a graphics card what torch keeps for itself but does not use counts as free; on a
    processor a container's limit counts too.

    Args:
        device: which.
        root: where the system's tables of memory lie.
    """
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(
            device
        )
        return torch.cuda.mem_get_info(device)[0] + unused
    table = root / "proc/meminfo"
    if device.type != "cpu" or not table.exists():
        return _UNKNOWN
    lines = dict(line.split(":") for line in table.read_text().splitlines())
    available = int(lines["MemAvailable"].split()[0]) * 1024
    return max(0, min([available, *_left_in_groups(root)]))


def _left_in_groups(root: Path) -> Iterator[int]:
    """What is left of each limit of the control groups that this process is in."""
    for folder, limit_name, used_name, cache_name in _groups(root):
        limit, used = _number(folder / limit_name), _number(folder / used_name)
        if limit is not None and used is not None:
            # Pages of files that nobody uses now are given up before a limit is hit.
            yield limit - used + _cached(folder / "memory.stat", cache_name)


def _groups(root: Path) -> Iterator[tuple[Path, str, str, str]]:
    """Folders of the process' groups, and what each calls limit, use and file pages."""
    table = root / "proc/self/cgroup"
    lines = table.read_text().splitlines() if table.exists() else []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        mounted = root / "sys/fs/cgroup"
        names = "memory.max", "memory.current", "inactive_file"
        if "memory" in controllers.split(","):
            mounted /= "memory"
            names = (
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
                "total_inactive_file",
            )
        elif controllers:
            continue
        own = mounted / path.lstrip("/")
        # Inside a container the path may be the host's: its own group is then the root.
        for folder in (own, *own.parents):
            if folder.is_relative_to(mounted):
                yield folder, *names


def _number(path: Path) -> int | None:
    """A file's number; None where there is no file, or "max" in it."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _cached(path: Path, name: str) -> int:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0
    return next((int(n) for key, n in map(str.split, lines) if key == name), 0)
