"""A stand-in for MLC-LLM as of 2026: the same commands, files and engine, none of its code.

MLC-LLM's wheels are on no package index, so that tests cannot install it. This package takes exactly the arguments that
`mlc_llm convert_weight`, `gen_config`, `compile`, `MLCEngine` and `EngineConfig` take, refuses all others as they do,
and writes files of the same names and forms. What is inside is this project's own small model: see `small_build.py` and
`small_runtime.py`.
"""

from mlc_llm import base as base  # as MLC-LLM does, before anything else
from mlc_llm.serve import MLCEngine as MLCEngine
