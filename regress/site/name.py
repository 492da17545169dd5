"""What a series is called: the runner, and the key of the case."""

from __future__ import annotations

from regress.site.facts import Fact


class Keyed:
    """What has the key of a case: `<model>/<quantization>/<target>/p<prompt tokens>+<new tokens>`."""

    __slots__ = ()
    key: str

    @property
    def model(self) -> str:
        """The model's name."""
        return self.key.split("/")[0]

    @property
    def quantization(self) -> str:
        """The quantization's name."""
        return self.key.split("/")[1]

    @property
    def target(self) -> str:
        """The target's name."""
        return self.key.split("/")[2]

    @property
    def workload(self) -> str:
        """Prompt and new tokens, such as `p1024+128`."""
        return self.key.split("/")[3]


class SeriesName(Fact, Keyed, frozen=True):
    """Which series it is: the runner's nickname, and the key of the case."""

    runner: str
    key: str


def tokens(workload: str) -> tuple[int, int]:
    """Tokens of the prompt and new ones of a workload such as `p1024+128`."""
    prompt, _, new = workload.removeprefix("p").partition("+")
    return int(prompt), int(new)
