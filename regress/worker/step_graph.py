"""A decode step as one CUDA graph, the KV cache's attention in it.

TVM's `RewriteCUDAGraph` captures what stands between two calls of the KV cache: such a call runs on the host. What it
launches, though, depends on nothing but how many pages the sequence has. Lengths, positions and page numbers are read
on the device, from arrays that lie where they lie for that many pages. So a step is captured whole, once for each
number of pages, and launched again for every other token of a page.

That holds for one sequence in the one KV cache of a loaded library, as `vm_model` has it.
"""

from __future__ import annotations

from typing import Any

import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator
from tvm.script import relax as R  # noqa: N812  # TVMScript's own names
from tvm.script import tirx as T  # noqa: N812

from regress.worker.compat import types_of, with_body
from regress.worker.vm_model import PAGE_SIZE

_DECODE, _PAGES = "decode", "pages_of"
_ATTENTION, _CAPTURED = "vm.builtin.attention_kv_cache_attention_with_fused_qkv", "captured_attention"
_LENGTH = "vm.builtin.attention_kv_cache_get_total_sequence_length"
_LAUNCH = "vm.builtin.cuda_graph.run_or_capture"
_MAKE_SHAPE, _GIVEN = "vm.builtin.make_shape", 0
"""TVM's function that makes a shape, and its code for a size that is given, and not taken from its heap."""


@tvm.transform.module_pass(opt_level=0, name="CaptureStep")
class CaptureStep:
    """`RewriteCUDAGraph`, with all of `decode` behind its first layer's attention in one graph.

    Runs after memory planning. The first layer's attention stays outside: by it the cache copies lengths and positions
    to the device.
    """

    def transform_module(self, mod: tvm.IRModule, _context: tvm.transform.PassContext) -> tvm.IRModule:
        """The module with what stays in its place captured."""
        # The pass leaves out what is called `vm.builtin`, and believes that arguments from `num_input` on stay in their
        # place: the KV cache does, too.
        decode = _Rename(mod, _ATTENTION, _CAPTURED, skip=1).visit_expr(_with_late_weights(mod[_DECODE]))
        mod.update_func(mod.get_global_var(_DECODE), decode.with_attr("num_input", 1))
        mod = relax.transform.RewriteCUDAGraph()(mod)
        for variable, function in list(mod.functions.items()):
            if isinstance(function, relax.Function):
                mod.update_func(variable, _Rename(mod, _CAPTURED, _ATTENTION).visit_expr(function))
        decode = mod[_DECODE]
        mod.update_func(mod.get_global_var(_DECODE), _KeyByPages(mod, decode.params[1]).visit_expr(decode))
        mod[_PAGES] = _pages_of
        return mod


def _with_late_weights(decode: relax.Function) -> relax.Function:
    """The function with each weight taken from the tuple of all of them right before it is used first.

    The weights of the captured layers are then taken where these are captured, and not in every step.
    """
    (block,) = decode.body.blocks
    weights = decode.params[-1]
    taken = {
        binding.var: binding
        for binding in block.bindings
        if isinstance(binding.value, relax.TupleGetItem) and binding.value.tuple_value.same_as(weights)
    }
    bindings = []
    for binding in block.bindings:
        if binding.var in taken:
            continue
        bindings += [taken.pop(used) for used in relax.analysis.free_vars(binding.value) if used in taken]
        bindings.append(binding)
    return with_body(decode, relax.SeqExpr([relax.BindingBlock(bindings)], decode.body.body))


@T.prim_func(s_tir=True)
def _pages_of(length: T.int64) -> T.int64:
    T.func_attr({"tirx.is_host_func": True, "global_symbol": _PAGES})
    return (length + PAGE_SIZE - 1) // PAGE_SIZE


@mutator
class _Rename(PyExprMutator):
    """Calls of one external function become calls of another, the first few aside."""

    def __init__(self, mod: tvm.IRModule, old: str, new: str, skip: int = 0) -> None:
        super().__init__(mod)
        self._old, self._new, self._skip = old, new, skip

    def visit_call_(self, call: relax.Call) -> relax.Expr:
        """The call, renamed where it is meant."""
        if _external(call.op) != self._old:
            return call
        if self._skip:
            self._skip -= 1
            return call
        return relax.Call(relax.ExternFunc(self._new), call.args, call.attrs)


@mutator
class _KeyByPages(PyExprMutator):
    """The launch of a graph gets the sequence's number of pages as its key."""

    def __init__(self, mod: tvm.IRModule, kv_cache: relax.Var) -> None:
        super().__init__(mod)
        self._kv_cache = kv_cache

    def visit_call_(self, call: relax.Call) -> relax.Expr:
        """The call, with the key where it launches a graph."""
        if not call.args or _external(call.args[0]) != _LAUNCH:
            return call
        length = self._emit(_LENGTH, self._kv_cache)
        key = self._emit(_MAKE_SHAPE, relax.op.null_value(), _int(1), _int(_GIVEN), self._emit(_PAGES, length))
        launch, arguments = call.args
        return relax.Call(call.op, [launch, relax.Tuple([*arguments.fields, key])], call.attrs, types_of(call))

    def _emit(self, function: str, *arguments: relax.Expr) -> relax.Var:
        return self.builder_.emit(relax.Call(relax.ExternFunc(function), list(arguments)))


def _external(function: Any) -> str:  # noqa: ANN401
    """The name of an external function, else nothing."""
    return str(function.global_symbol) if isinstance(function, relax.ExternFunc) else ""


def _int(value: int) -> relax.Expr:
    return R.prim_value(value)
