"""Build flags, recipes and addresses."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from factories import make_environment, make_toolchain, sha

from regress import supervisor
from regress.artifact import Model
from regress.bench import HARNESS_MODULES
from regress.build import BUILDER_MODULES, Order
from regress.errors import ConfigError
from regress.model import LocalModel
from regress.recipe import (
    FLAGS,
    MLC_FLAGS,
    Builder,
    Recipe,
    check_arch,
    check_context,
    check_recipe,
    complete_flags,
    other_flags,
    own_flags,
)
from regress.record import Workload
from regress.toolchain import InstalledToolchain

if TYPE_CHECKING:
    from regress.record import Harness


def test_flags_are_completed_with_their_defaults() -> None:
    """What is given stands, the rest is the default."""
    assert complete_flags({"schedule": "none"}, "b") == {**FLAGS, "schedule": "none"}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"shedule": "none"}, "b.shedule: unknown build flag; did you mean 'schedule'?"),
        ({"arch": "hopper"}, "b.arch: 'hopper' is neither found nor an architecture such as sm_90a"),
        ({"schedule": "fast"}, "b.schedule: 'fast' is not one of tuned, dlight, none"),
        ({"prefill_chunk_size": "-1"}, "b.prefill_chunk_size: '-1' is not a whole number"),
        ({"prefill_chunk_size": "0"}, "b.prefill_chunk_size: 0 tokens at once are none"),
    ],
)
def test_a_bad_flag_is_named(flags: dict[str, str], message: str) -> None:
    """Key, value and what it could have been."""
    with pytest.raises(ConfigError) as caught:
        complete_flags(flags, "b")
    assert str(caught.value) == message


def test_each_builder_has_flags_of_its_own() -> None:
    """A flag of the other one is unknown, and the nearest of its own is named."""
    assert complete_flags({"flashinfer": "1"}, "b", "mlc") == {**MLC_FLAGS, "flashinfer": "1"}
    for flags, builder, message in (
        (
            {"cuda_graph": "1"},
            "mlc",
            "b.cuda_graph: unknown build flag of the builder 'mlc'; did you mean 'cudagraph'?",
        ),
        ({"flashinfer": "1"}, "tvm", "b.flashinfer: unknown build flag"),
        ({"flashinfer": "on"}, "mlc", "b.flashinfer: 'on' is not one of 0, 1"),
        ({"conv_template": "a b"}, "mlc", "b.conv_template: 'a b' is no name of a template"),
    ):
        with pytest.raises(ConfigError) as caught:
            complete_flags(flags, "b", builder)  # type: ignore[arg-type]
        assert str(caught.value) == message


def test_a_flag_that_two_builders_have_has_one_default() -> None:
    """So that flags are told from their defaults without asking who built."""
    assert all(FLAGS[name] == MLC_FLAGS[name] for name in FLAGS.keys() & MLC_FLAGS)
    assert own_flags({**MLC_FLAGS, "cutlass": "1"}) == {"cutlass": "1"}
    assert other_flags(MLC_FLAGS, {"cudagraph": "0"}) == ["cudagraph"]


def test_an_architecture_can_be_asked_for_where_the_target_leaves_a_choice() -> None:
    flags = complete_flags({"arch": "sm_90a"}, "b")
    check_arch("cuda", flags, "b")
    check_arch("llvm", complete_flags({}, "b"), "b")
    for target in ("llvm", "cuda-sm_90"):
        with pytest.raises(ConfigError, match=f"b.flags.arch: target '{target}' leaves no choice"):
            check_arch(target, flags, "b")


def test_a_workload_must_fit_the_context() -> None:
    """24 + 8 tokens need 32; a context of 0 is the model's own."""
    workload = Workload(prompt_tokens=24, new_tokens=8)
    check_context(workload, {"context_window_size": "32"}, "b")
    check_context(workload, {"context_window_size": "0"}, "b")
    with pytest.raises(ConfigError, match=r"b.flags.context_window_size: 31 is less than the workload's 32 tokens"):
        check_context(workload, {"context_window_size": "31"}, "b")


@pytest.mark.parametrize(
    ("quantization", "target", "message"),
    [
        ("q4f16_2", "llvm", "b.quantization: unknown 'q4f16_2'; did you mean 'q4f16_1'?"),
        ("q4f16_1", "cpu", "b.target: unknown 'cpu'"),
    ],
)
def test_an_unknown_recipe_is_named(quantization: str, target: str, message: str) -> None:
    """Before anything is installed."""
    with pytest.raises(ConfigError) as caught:
        check_recipe(quantization, target, "b")
    assert str(caught.value) == message


def test_mlc_knows_more_quantizations() -> None:
    """Those of all its eras, as far as the bench worker can read their parameters."""
    check_recipe("q4f16_ft", "cuda", "b", "mlc")
    with pytest.raises(ConfigError, match=r"b.quantization: unknown 'q4bf16_1'"):
        check_recipe("q4bf16_1", "cuda", "b", "mlc")


def order(**changes: object) -> Order:
    recipe = Recipe(model="synthetic:x", quantization="q4f16_1", target="llvm", flags=tuple(sorted(FLAGS.items())))
    toolchain = InstalledToolchain(
        identity=make_toolchain(), python=Path("python"), env={}, folder=None, failure=None, cached=True
    )
    local = LocalModel(folder=Path("m"), identity=Model(source="synthetic:x", name="x", digest=sha("x")))
    fields: dict[str, object] = {
        "recipe": recipe,
        "local": local,
        "toolchain": toolchain,
        "machine": make_environment(),
        **changes,
    }
    return Order(**fields)  # type: ignore[arg-type]


def test_an_address_follows_what_decides_the_code_and_nothing_else() -> None:
    """Another processor or flag is another artifact; another kernel release or thread setting is not."""
    here = order().address
    assert order().address == here
    assert order(machine=make_environment(kernel="7.0", settings={"TVM_NUM_THREADS": "1"})).address == here
    assert order(machine=make_environment(cpu="another")).address != here
    flags = tuple(sorted({**FLAGS, "schedule": "none"}.items()))
    recipe = Recipe(model="synthetic:x", quantization="q4f16_1", target="llvm", flags=flags)
    assert order(recipe=recipe).address != here
    other = LocalModel(folder=Path("m"), identity=Model(source="synthetic:x", name="x", digest=sha("y")))
    assert order(local=other).address != here
    flags = tuple(sorted(MLC_FLAGS.items()))
    recipe = Recipe(model="synthetic:x", quantization="q4f16_1", target="llvm", flags=flags, builder="mlc")
    assert order(recipe=recipe).address != here


def test_an_artifact_for_the_gpu_that_is_here_is_of_its_power_mode() -> None:
    """It decides how many multiprocessors a Jetson has; what runs on a processor, or is made for any GPU, is spared."""

    def addresses(target: str) -> set[str]:
        flags = tuple(sorted(FLAGS.items()))
        recipe = Recipe(model="synthetic:x", quantization="q4f16_1", target=target, flags=flags)
        modes: list[dict[str, object]] = [{}, {"power_mode": "MAXN"}, {"power_mode": "MODE_15W"}, {"mig": True}]
        return {order(recipe=recipe, machine=make_environment(**mode)).address for mode in modes}

    assert [len(addresses(target)) for target in ("cuda", "cuda-sm_87", "llvm")] == [4, 1, 1]


def test_an_artifact_is_immutable() -> None:
    """Stored objects cannot be edited in place."""
    with pytest.raises(AttributeError):
        make_toolchain().name = "x"  # type: ignore[misc]
    assert msgspec.structs.replace(make_toolchain(), name="x").name == "x"


def imported_workers(name: str) -> set[str]:
    """The workers' modules that one of them imports."""
    tree = ast.parse((supervisor.WORKERS / f"{name}.py").read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    modules = {node.module.removeprefix("regress.worker.") for node in imports if node.module}
    modules |= {alias.name for node in imports if node.module == "regress.worker" for alias in node.names}
    return modules & {path.stem for path in supervisor.WORKERS.glob("*.py")}


CUDA_SOURCES = {path.relative_to(supervisor.WORKERS).as_posix() for path in supervisor.WORKERS.glob("cuda/*.cu")}


def all_imported(name: str) -> set[str]:
    """A worker and the modules that it imports, and those that they do; how it is asked and answers is left out."""
    wanted, found = [name], set[str]()
    while wanted:
        found.add(name := wanted.pop())
        wanted += imported_workers(name) - found
    return found - {"protocol"}


@pytest.mark.parametrize(("builder", "sources"), [("tvm", CUDA_SOURCES), ("mlc", {"alone/sitecustomize.py"})])
def test_a_builders_digest_covers_all_that_it_imports(builder: Builder, sources: set[str]) -> None:
    """A module left out could change what is built, and an old artifact would be taken for the new one."""
    assert all_imported(f"build_{builder}") | sources == set(BUILDER_MODULES[builder])


@pytest.mark.parametrize("harness", ["vm", "engine", "chat"])
def test_a_harness_digest_covers_all_that_it_imports(harness: Harness) -> None:
    """A module left out could change what is measured, and an old reference would be taken for a valid one."""
    # `weights` quantizes for a builder, too; to read what was quantized does not depend on it.
    assert all_imported(f"bench_{harness}") - {"quantize"} == set(HARNESS_MODULES[harness])
