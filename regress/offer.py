"""An offer: one changed file as a commit on a branch of its own, at a remote; the working folder stays as it is."""

from __future__ import annotations

import tempfile
from pathlib import Path

from regress import git
from regress.errors import PublishError

FILE_MODE = "100644"


def offer(path: Path, *, remote: str, branch: str, message: str, again: bool) -> str | None:
    """The commit that was pushed; `None` where the remote has the branch already.

    Made twice from the same commit and the same file, it is the same commit.

    Args:
        path: The file, in a work tree; its content there is committed, nothing else.
        remote: Name or address of the remote.
        branch: The branch.
        message: The commit's message.
        again: Whether a branch that is there is replaced.

    Raises:
        PublishError: The file lies in no repository, or the remote does not take the branch.
    """
    here = git.Git(folder=path.resolve().parent, env=git.environment(git.reaching(git.here())))
    ref = f"refs/heads/{branch}"
    there = here("ls-remote", "--", remote, ref, timeout_s=git.NETWORK_S)
    if not there.ok:
        raise PublishError(f"bump: {branch}: the remote '{remote}' cannot be reached", cause=there.cause)
    if there.text and not again:
        return None
    commit = _commit(here, path.resolve(), message)
    pushed = here("push", "--quiet", "--force", "--", remote, f"{commit}:{ref}", timeout_s=git.NETWORK_S)
    if not pushed.ok:
        hint = "in the workflow's job: permissions: contents: write"
        raise PublishError(f"bump: {branch}: the remote '{remote}' does not take it", cause=pushed.cause, hint=hint)
    return commit


def _commit(here: git.Git, path: Path, message: str) -> str:
    """A commit of the file on top of the one that is checked out, dated as that one."""
    prefix = _said(here, "rev-parse", "--show-prefix")
    date = _said(here, "show", "--no-patch", "--format=%cI", "HEAD")
    with tempfile.TemporaryDirectory() as folder:
        env = {"GIT_INDEX_FILE": str(Path(folder, "index")), "GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
        blob = _said(here, "hash-object", "-w", "--no-filters", "--", path.name)
        _said(here, "read-tree", "HEAD", env=env)
        _said(here, "update-index", "--add", "--cacheinfo", f"{FILE_MODE},{blob},{prefix}{path.name}", env=env)
        tree = _said(here, "write-tree", env=env)
        return _said(here, "commit-tree", tree, "-p", "HEAD", "-m", message, env=env)


def _said(here: git.Git, *arguments: str, env: dict[str, str] | None = None) -> str:
    answer = here(*arguments, env=env)
    if not answer.ok:
        raise PublishError(f"bump: git {arguments[0]} failed in {here.folder}", cause=answer.cause)
    return answer.text
