"""Paths as the members of a circuit, and the order in which they join one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from patchwidget.nodes import Extent
from patchwidget.paths import Path, Writer
from patchwidget.paths.chosen import check, single_path
from patchwidget.paths.path import ARROW, obstacle


def are_paths(members: Sequence[object]) -> bool:
    """Whether members are paths, and not nodes.

    Raises:
        ValueError: if some are and others are not.
    """
    paths = [one for one in members if _is_path(one)]
    others = [one for one in members if not _is_path(one)]
    if paths and others:
        raise ValueError(
            f"{paths[0]} is a path and {others[0]} is none: name nodes or paths, not both. "
            "A path leads from a writer to a reader, 'L1H2 -> L4H0.q'"
        )
    return bool(paths)


def _is_path(member: object) -> bool:
    return isinstance(member, Path) or (isinstance(member, str) and ARROW in member)


def paths_in_order(
    given: Sequence[object],
    labels: Mapping[str, int],
    extent: Extent,
    *,
    parallel: bool,
) -> tuple[Path, ...]:
    """The paths that a user names, in that order.

    Args:
        given: paths or their names.
        labels: names of positions.
        extent: what the model has.
        parallel: whether the blocks' MLPs read the same stream as attention does.

    Raises:
        ValueError: if one is given twice, runs backwards, has several ends, or some are
            cut by position and others are not.
        IndexError: if the model has no such writer or reader.
    """
    paths = tuple(single_path(one, labels) for one in given)
    for path in paths:
        check(path, extent)
    return _checked(paths, parallel=parallel)


def _checked(paths: tuple[Path, ...], *, parallel: bool) -> tuple[Path, ...]:
    seen: set[Path] = set()
    for path in paths:
        (writer,), (reader,) = path.writers, path.readers
        reason = obstacle(writer, reader, parallel=parallel)
        if reason is not None:
            raise ValueError(reason)
        if path in seen:
            raise ValueError(f"{path} is given twice: name each member once")
        seen.add(path)
    cut_of(path.writers[0] for path in paths)
    return paths


def cut_of(writers: Iterable[Writer]) -> str | None:
    """How paths are cut: `"pos"`, or None where they are of all positions.

    Args:
        writers: at which they start.

    Raises:
        ValueError: if some are cut by position and others are not.
    """
    cuts = {None if one.pos is None else "pos": one for one in writers}
    if len(cuts) > 1:
        one, other = cuts.values()
        raise ValueError(
            f"paths from {one} and from {other} are cut differently: name all paths at the "
            "positions at which they are written, or all of them as wholes"
        )
    (cut,) = cuts
    return cut
