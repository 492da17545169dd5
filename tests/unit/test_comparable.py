"""What keeps two measurements from being compared."""

from __future__ import annotations

from typing import Any

from factories import make_environment, make_record, make_reference, sha
from site_entries import make_baseline

from regress.comparable import Circumstances, differences, incomparable
from regress.verdict import Reference


def circumstances(**changes: Any) -> Circumstances:  # noqa: ANN401
    """Those of the record that a factory makes."""
    reference = make_reference(make_record())
    assert reference.harness is not None
    assert reference.method is not None
    given = {
        "subject": "this",
        "environment": make_environment(),
        "harness": reference.harness,
        "method": reference.method,
        "model_digest": None,
    }
    return Circumstances(**{**given, **changes})


def reason(found: Circumstances, reference: Reference) -> str | None:
    answer = incomparable(found, make_baseline(make_record()), reference)
    return answer[0] if answer else None


def test_the_same_machine_worker_and_method_can_be_compared() -> None:
    """Weights that nobody knows yet are no obstacle; other ones are."""
    reference = make_reference(make_record())
    assert reason(circumstances(), reference) is None
    assert reason(circumstances(model_digest=reference.model_digest), reference) is None
    assert reason(circumstances(model_digest=sha("other")), reference) == "other_model"


def test_each_difference_has_its_reason() -> None:
    reference = make_reference(make_record())
    other = make_environment(fingerprint=sha("other"))
    assert reason(circumstances(environment=other), reference) == "other_environment"
    assert reason(circumstances(harness=sha("x")), reference) == "other_harness"
    assert reason(circumstances(method=sha("x")), reference) == "other_method"


def test_published_rates_hold_for_their_device_alone() -> None:
    """A part of its name is enough; of the machine nothing else matters."""
    published = Reference(form="one_sample", name="a page", sessions=({},), device="AGX Orin")
    board = make_environment(fingerprint=sha("board"), device="NVIDIA Jetson AGX Orin Developer Kit")
    assert reason(circumstances(environment=board), published) is None
    assert reason(circumstances(), published) == "other_environment"


def test_what_differs_between_machines_is_named() -> None:
    """A kernel's release and some MiB of memory are no difference."""
    there = make_environment(driver="570.1", settings={"TVM_NUM_THREADS": "1"})
    here = make_environment(kernel="7.0", memory_bytes=there.memory_bytes + 2**20, python="3.12")
    assert list(differences(there, here)) == [
        "python: 3.11 there, 3.12 here",
        "driver: 570.1 there, not known here",
        "settings: TVM_NUM_THREADS=1 there, none here",
    ]
    # 64 GiB are 68.7 GB
    assert list(differences(there, make_environment(driver="570.1", settings=there.settings, memory_bytes=10**9))) == [
        "memory: 69 GB there, 1 GB here"
    ]
