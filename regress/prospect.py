"""What a check would do on this machine, and what keeps it from a verdict: the values of `check --dry-run`."""

from __future__ import annotations

from typing import Literal

from regress import errors
from regress.config import Standing  # noqa: TC001  # msgspec reads the annotations at run time
from regress.stored import Stored

Against = Literal["stored", "published", "side_by_side", "nothing"]


class Obstacle(Stored, frozen=True):
    """What keeps a check, or one case of it, from a verdict: a code, a sentence, and what can be done about it."""

    reason: str
    text: str
    hint: str | None = None


class ToolchainProspect(Stored, frozen=True):
    """The toolchain that would be measured.

    Attributes:
        name: Its name.
        kind: How it comes to be.
        state: Whether it is installed, and works; `absent` ones are installed first.
        packages: What it is made of, as it is declared.
    """

    name: str
    kind: str
    state: Standing
    packages: tuple[str, ...]


class CaseProspect(Stored, frozen=True):
    """One case.

    Attributes:
        key: Its key.
        build: What would be built for it, flags that are not the defaults included; cases may share one.
        against: What it would be compared with.
        reference: What that is: a toolchain, or the source of published rates; empty for nothing.
        published: Metric to the published value, where it would be compared with that.
        looks: Numbers of replicates, or blocks side by side, after which a verdict may be given.
        tolerances: Metric to the largest loss that passes, as a fraction.
        obstacle: What keeps it from a verdict; `None` where nothing does.
    """

    key: str
    build: str
    against: Against
    reference: str
    published: dict[str, float]
    looks: tuple[int, ...]
    tolerances: dict[str, float]
    obstacle: Obstacle | None


class Prospect(Stored, frozen=True):
    """All that a check would do.

    Attributes:
        baseline: The baseline file.
        runner: Its runner.
        toolchain: What would be measured.
        beside: Name of the toolchain whose artifact would be measured side by side from the start; `None` for none.
        device: This machine's device.
        required: The state that its device must be in, by key of `[device]`.
        cases: The cases, in the baseline's order.
        obstacles: What keeps all of them from a verdict.
    """

    baseline: str
    runner: str
    toolchain: ToolchainProspect
    beside: str | None
    device: str
    required: dict[str, str | float]
    cases: tuple[CaseProspect, ...]
    obstacles: tuple[Obstacle, ...]

    @property
    def possible(self) -> bool:
        """Whether every case could get a verdict here."""
        return not self.obstacles and all(case.obstacle is None for case in self.cases)

    @property
    def exit_code(self) -> int:
        """The exit code that says it."""
        return errors.EXIT_PASS if self.possible else errors.EXIT_INCONCLUSIVE
