"""What MLC-LLM's package does when it is imported: it loads its native library, and registers the library's classes."""

from __future__ import annotations

import os

from mlc_llm import libinfo

if os.environ.get("SKIP_LOADING_MLCLLM_SO", "0") == "0":
    libinfo.find_lib_path("mlc_llm_module")
if not libinfo.find_lib_path("mlc_llm_module", optional=True):
    # Without the library there is no such type to register a class for; a stand-in has none in any case.
    import tvm_ffi

    tvm_ffi.register_object("mlc.serve.Data")(type("Data", (tvm_ffi.Object,), {}))
