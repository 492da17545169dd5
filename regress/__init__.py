"""Performance-regression checks for quantized LLMs built with MLC-LLM and Apache TVM."""

__version__ = "0.1.0"
