"""What the builder does to a model between TVM's own passes: fusion, facts for the record, memory planning."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import tvm
from tvm import relax, tirx
from tvm.relax.dpl.pattern import GlobalVarPattern, TuplePattern, is_op, wildcard

from regress.worker.compat import StringImm, name_of

if TYPE_CHECKING:
    from tvm.relax.transform import PatternCheckContext

MOST_EPILOGUE_ARGUMENTS = 2
"""Tensors that may be fused behind a matmul here: a bias and a residual."""


def callee(call: relax.Expr) -> str:
    """The name of the function that a `call_tir` calls."""
    return name_of(call.args[0])


def _call_tir(arguments: list[Any]) -> Any:  # noqa: ANN401
    return is_op("relax.call_tir")(GlobalVarPattern(), TuplePattern(arguments), add_constraint=False)


def _is_dequantize_matmul(context: PatternCheckContext) -> bool:
    matched = context.annotated_expr
    return callee(matched["weight"]).startswith("dequantize") and "matmul" in callee(matched["matmul"])


def _dequantize_matmul(epilogue_arguments: int) -> tuple[Any, ...]:
    """Pattern of a matmul, with that many tensors fused behind it, whose weight is dequantized on the spot."""
    weight = _call_tir([wildcard(), wildcard()])
    matmul = _call_tir([wildcard(), weight, *(wildcard() for _ in range(epilogue_arguments))])
    return "dequantize_matmul", matmul, {"weight": weight, "matmul": matmul}, _is_dequantize_matmul


@tvm.transform.module_pass(opt_level=0, name="FuseDequantizeMatmul")
class FuseDequantizeMatmul:
    """Makes one kernel of a weight's dequantization and the matmul that reads it.

    TVM's own fusion leaves them apart, so that decode would write every dequantized weight to memory and read it
    back. Runs after `FuseTIR`, on `call_tir` pairs. A dequantization that is left over is an error: slower, and
    nobody would see why.
    """

    def transform_module(self, mod: tvm.IRModule, _context: tvm.transform.PassContext) -> tvm.IRModule:
        """The module with every pair fused."""
        patterns = [_dequantize_matmul(count) for count in range(MOST_EPILOGUE_ARGUMENTS + 1)]
        fused = tvm.transform.Sequential(
            [
                relax.transform.FuseOpsByPattern(patterns),
                relax.transform.FuseTIR(),
                relax.transform.DeadCodeElimination(),
            ]
        )(mod)
        left = [name for name in function_names(fused) if name.startswith("dequantize") and "take" not in name]
        if left and not all("matmul" in name for name in left):
            raise RuntimeError(f"FuseDequantizeMatmul left {', '.join(left)} unfused")
        return fused


def function_names(mod: tvm.IRModule) -> list[str]:
    """The names of all functions of a module, sorted."""
    return sorted(name_of(variable) for variable in mod.functions)


@tvm.transform.module_pass(opt_level=0, name="AttachBounds")
class AttachBounds:
    """Tells memory planning how large each symbolic size can get."""

    def __init__(self, bounds: dict[str, int]) -> None:
        self._bounds = bounds

    def transform_module(self, mod: tvm.IRModule, _context: tvm.transform.PassContext) -> tvm.IRModule:
        """The module with the bounds on every Relax function."""
        for name, function in list(mod.functions.items()):
            if isinstance(function, relax.Function):
                bounded = function.with_attr("tir_var_upper_bound", self._bounds)
                mod[name] = bounded.with_attr("relax.memory_plan_dynamic_func_output", True)  # noqa: FBT003
        return mod


@tvm.transform.module_pass(opt_level=0, name="DeclareNoAlias")
class DeclareNoAlias:
    """Declares that no kernel gets the same memory twice, which holds for every call the builder's models make.

    Two of TVM's own attention kernels for processors lack the declaration, and TVM's LLVM code generator then drops
    it for every other function of the library too: sums leave the registers, and prefill is 2.5 times slower.
    """

    def transform_module(self, mod: tvm.IRModule, _context: tvm.transform.PassContext) -> tvm.IRModule:
        """The module with the declaration on every kernel."""
        for variable, function in list(mod.functions.items()):
            if isinstance(function, tirx.PrimFunc):
                mod[variable] = function.with_attr("tirx.noalias", True)  # noqa: FBT003
        return mod


@tvm.transform.module_pass(opt_level=0, name="CollectKernels")
class CollectKernels:
    """Notes the SHA-256 of every kernel's scheduled source; changes nothing.

    Attributes:
        kernels: Name to digest, filled when the pass runs.
    """

    def __init__(self) -> None:
        self.kernels: dict[str, str] = {}

    def transform_module(self, mod: tvm.IRModule, _context: tvm.transform.PassContext) -> tvm.IRModule:
        """The module as it is."""
        for variable, function in mod.functions.items():
            if isinstance(function, tirx.PrimFunc):
                name = name_of(variable)
                self.kernels[name] = hashlib.sha256(function.script().encode()).hexdigest()
        return mod


@tvm.transform.module_pass(opt_level=0, name="AttachMetadata")
class AttachMetadata:
    """Adds `_metadata`, a function that returns the model's description as JSON, planned memory included.

    Attributes:
        planned_memory: Function to the bytes of temporary memory planned for it, filled when the pass runs.
    """

    def __init__(self, metadata: dict[str, Any]) -> None:
        self._metadata = metadata
        self.planned_memory: dict[str, int] = {}

    def transform_module(self, mod: tvm.IRModule, _context: tvm.transform.PassContext) -> tvm.IRModule:
        """The module with `_metadata`."""
        for variable, function in mod.functions.items():
            if isinstance(function, relax.Function):
                name = name_of(variable)
                self.planned_memory[name] = _storage_bytes(function)
        metadata = {**self._metadata, "memory_usage": self.planned_memory}
        builder = relax.BlockBuilder()
        with builder.function("_metadata", params=[]):
            builder.emit_func_output(StringImm(json.dumps(metadata)))
        mod["_metadata"] = builder.finalize()["_metadata"]
        return mod


def _storage_bytes(function: relax.Function) -> int:
    """Bytes of all storage of known size that a function allocates, after memory planning."""
    allocate = tvm.ir.Op.get("relax.memory.alloc_storage")
    sizes: list[int] = []

    def visit(expr: relax.Expr) -> None:
        if isinstance(expr, relax.Call) and expr.op == allocate:
            size = expr.args[0].values[0]
            if isinstance(size, tirx.IntImm):
                sizes.append(int(size))

    relax.analysis.post_order_visit(function, visit)
    return sum(sizes)
