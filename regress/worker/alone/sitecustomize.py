"""Lets MLC-LLM's commands run without its native library; Python imports it first where this folder is on its path.

The library is the engine and the tokenizers. To convert weights, to write a configuration and to compile, MLC-LLM needs
its Python and TVM alone; but its package registers the engine's classes when it is imported, and `gen_config` asks the
library what kind of tokenizer the model has. So that a checkout that nobody compiled can build a model, the classes go
unregistered, as TVM's own do where it is without a compiler, and the tokenizer is said to be of the usual kind.

It is done here because the commands start further ones, such as the search for devices, which import the package, too.
"""

import json
import os

import tvm  # noqa: F401  # MLC-LLM's own order: TVM's libraries come first
from tvm_ffi import register_global_func, registry

# What MLC-LLM takes where it recognises nothing. No rate of the harness `vm` depends on it, which gives tokens.
_USUAL = {"token_postproc_method": "byte_fallback", "prepend_space_in_encode": False, "strip_space_in_decode": False}

os.environ["SKIP_LOADING_MLCLLM_SO"] = "1"
registry._SKIP_UNKNOWN_OBJECTS = True  # noqa: SLF001  # as TVM itself does where it has classes without a library
register_global_func("mlc.tokenizers.DetectTokenizerInfo", lambda _path: json.dumps(_USUAL))
