"""From the figures of a file to imports: what the file does not say, whoever imports it must."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time
from typing import TYPE_CHECKING

from regress.errors import ConfigError, UsageError
from regress.foreign.figures import in_utc, quoted
from regress.imported import NAME, SCHEMA, TOOLCHAIN, Imported, Source, as_name, decode_imported, named
from regress.record import Workload, case_key, encode
from regress.redact import printable, publishable
from regress.stored import RUNNER_NAME

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from regress.foreign.figures import Figures
    from regress.record import Harness

_MOST_SAID = 500
"""Characters that are kept of what a row says besides."""
_PARTS = ("model", "quantization", "target")
"""What stands in a key."""


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """What whoever imports a file says of it; what is given here holds, whatever the file says, but for the harness.

    Attributes:
        runner: Nickname of the machine.
        model: Short name of the model, as keys have it.
        quantization: As MLC-LLM names it.
        target: `cuda`, `llvm` ...
        harness: What drove MLC-LLM's builds, for rows that do not say.
        device: Name of the device.
        toolchain: Name of what was measured.
        day: When it was measured, for files that do not say.
    """

    runner: str
    model: str | None = None
    quantization: str | None = None
    target: str | None = None
    harness: Harness | None = None
    device: str | None = None
    toolchain: str | None = None
    day: date | None = None

    def checked(self) -> Attribution:
        """The same.

        Raises:
            UsageError: A name is none that a key can have.
        """
        if not re.fullmatch(RUNNER_NAME, self.runner):
            raise UsageError(f"import: --runner '{self.runner}': a runner's name holds letters, digits and . _ - only")
        for option in _PARTS:
            given = getattr(self, option)
            if given is not None and not re.fullmatch(NAME, given, re.ASCII):
                raise UsageError(f"import: --{option} '{given}': a part of a key holds letters, digits and . _ - only")
        if self.toolchain is not None and not re.fullmatch(TOOLCHAIN, self.toolchain, re.ASCII):
            raise UsageError(f"import: --toolchain '{self.toolchain}': a name holds letters, digits and . _ + - only")
        return self


def imports(found: Sequence[Figures], attribution: Attribution, source: Source) -> list[Imported]:
    """The imports of all rows of a file.

    Args:
        found: Its rows.
        attribution: What is said of it besides.
        source: Where its first row stands.

    Raises:
        ConfigError, UsageError, HistoryError: A row and the attribution do not say all, or say what cannot be.
    """
    _require_one_model(found, attribution)
    made = [_imported(each, attribution, source, row) for row, each in enumerate(found, start=1)]
    return list({each.id: each for each in made}.values())


def _require_one_model(found: Sequence[Figures], attribution: Attribution) -> None:
    """Refuses to call different models, or quantizations, by one name."""
    for option in _PARTS:
        said = list(dict.fromkeys(getattr(each, option) for each in found))
        if getattr(attribution, option) is not None and len(said) > 1:
            several = ", ".join(map(quoted, said))
            raise UsageError(
                f"import: --{option}: the file has several: {several}", hint="import a file for each of them"
            )


def _imported(figures: Figures, attribution: Attribution, source: Source, row: int) -> Imported:
    model, quantization, target = (_part(figures, attribution, option) for option in _PARTS)
    workload = Workload(prompt_tokens=figures.prompt_tokens, new_tokens=figures.new_tokens)
    made = Imported(
        schema=SCHEMA,
        id="-",
        recorded_at=_moment(figures, attribution),
        runner=attribution.runner,
        source=Source(file=source.file, sha256=source.sha256, format=source.format, row=row),
        toolchain=_said(figures, attribution, "toolchain"),
        device=_said(figures, attribution, "device"),
        case=case_key(
            model=model,
            builder=_builder(figures, attribution),
            quantization=quantization,
            target=target,
            workload=workload,
        ),
        runs=figures.runs,
        values=dict(figures.values),
        said={key: publishable(printable(text))[:_MOST_SAID] for key, text in figures.said.items()},
    )
    return decode_imported(encode(named(made)), figures.where)


def _builder(figures: Figures, attribution: Attribution) -> str:
    """Who built it, as it stands in a key, and what drove it: rates of two harnesses are of two cases."""
    builder, _, driver = (as_name(figures.builder).lower() or "mlc").partition("-")
    if builder != "mlc":
        return as_name(figures.builder).lower()
    driver = driver or attribution.harness or ""
    if not driver:
        raise ConfigError(
            f"{figures.where}: harness: the file does not say what drove MLC-LLM's build",
            hint="say it: --harness chat for ChatModule (until 2024), engine for MLCEngine",
        )
    return builder if driver == "vm" else f"{builder}-{driver}"


def _part(figures: Figures, attribution: Attribution, option: str) -> str:
    name = as_name(_said(figures, attribution, option))
    if not re.fullmatch(NAME, name, re.ASCII):
        raise ConfigError(f"{figures.where}: {option}: '{name}' is no name", hint=f"name it: --{option} NAME")
    return name


def _said(figures: Figures, attribution: Attribution, option: str) -> str:
    """What holds of a row: what was given, else what it says."""
    found: str = getattr(attribution, option) or getattr(figures, option).strip()
    if not found:
        raise ConfigError(f"{figures.where}: {option}: the file does not say it", hint=f"say it: --{option} NAME")
    return found


def _moment(figures: Figures, attribution: Attribution) -> datetime:
    if figures.measured_at is not None:
        if attribution.day is not None:
            raise UsageError(f"import: --date: {figures.where} says when it was measured")
        return figures.measured_at
    if attribution.day is None:
        raise ConfigError(f"{figures.where}: nothing says when it was measured", hint="say it: --date YYYY-MM-DD")
    return in_utc(datetime.combine(attribution.day, time()), "import: --date")
