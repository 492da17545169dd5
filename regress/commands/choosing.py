"""`--case`: the cases of a baseline that a command line chooses."""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING

import msgspec

from regress.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from regress.baseline import Baseline


def chosen_cases(baseline: Baseline, patterns: Sequence[str]) -> Baseline:
    """The baseline with those cases alone whose keys match any of the patterns; all of it where there are none.

    Args:
        baseline: All cases.
        patterns: Keys, in which `*`, `?` and `[...]` stand for what they stand for in file names.

    Raises:
        UsageError: No case matches one of them.
    """
    keys = [case.key for case in baseline.cases]
    for pattern in patterns:
        if not fnmatch.filter(keys, pattern):
            hint = f"known: {', '.join(keys)}"
            raise UsageError(f"--case: no case '{pattern}'{did_you_mean(pattern, keys)}", hint=hint)
    if not patterns:
        return baseline
    cases = [case for case in baseline.cases if any(fnmatch.fnmatchcase(case.key, pattern) for pattern in patterns)]
    return msgspec.structs.replace(baseline, cases=tuple(cases))


def only_case(baseline: Baseline, pattern: str | None) -> Baseline:
    """The baseline with one case alone: the first that matches, or its first one where `None`.

    Raises:
        UsageError: It has no such case.
    """
    cases = chosen_cases(baseline, [pattern] if pattern else []).cases
    return msgspec.structs.replace(baseline, cases=cases[:1])


def require_token_ids(baseline: Baseline) -> None:
    """Raises `UsageError` where prompts are given as token ids, and a case is measured by what takes text alone."""
    other = next((case.key for case in baseline.cases if case.harness == "chat"), None)
    if other is not None:
        raise UsageError(f"--prompt: '{other}' is driven by ChatModule, which takes text and no token ids")


def require_own_builds(baseline: Baseline, command: str) -> None:
    """Raises `UsageError` where a command that builds with flags of our own builder has a case of another one."""
    other = next((case.key for case in baseline.cases if case.builder != "tvm"), None)
    if other is not None:
        raise UsageError(f"{command}: '{other}' is built by MLC-LLM, which does not take the flags that it needs")
