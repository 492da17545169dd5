"""The machine as a record describes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regress import device
from regress.device import cpu

if TYPE_CHECKING:
    from pathlib import Path


def test_what_moves_the_same_code_is_another_machine() -> None:
    """Another minor Python, another thread count; a patch release is not."""
    here = device.environment({"TVM_NUM_THREADS": "1"}, "3.11.7")
    assert here.python == "3.11"
    assert device.environment({"TVM_NUM_THREADS": "1"}, "3.11.9").fingerprint == here.fingerprint
    assert device.environment({"TVM_NUM_THREADS": "1"}, "3.12.1").fingerprint != here.fingerprint
    assert device.environment({"TVM_NUM_THREADS": "2"}, "3.11.7").fingerprint != here.fingerprint
    assert device.environment({}, "3.11.7").fingerprint != here.fingerprint


def test_a_processor_is_named_with_its_numbers(tmp_path: Path) -> None:
    """Virtual machines cut the name: family, model and stepping tell two of them apart."""
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(
        "processor\t: 0\ncpu family\t: 25\nmodel\t\t: 17\nmodel name\t: AMD EPYC\nstepping\t: 1\n\n"
        "processor\t: 1\nmodel name\t: another\n",
        encoding="utf-8",
    )
    assert cpu.model_name(cpuinfo) == "AMD EPYC (25/17/1)"


def test_a_processor_without_a_description_is_named_by_its_architecture(tmp_path: Path) -> None:
    """There is always a name."""
    assert cpu.model_name(tmp_path / "none")
