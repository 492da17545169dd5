"""A stand-in for MLC-LLM as of the end of 2023: the same command and files, none of its code.

It takes exactly the arguments of `python -m mlc_llm.build`, refuses all others as that does, and writes the files that
it wrote, under the same names. But for one thing: the library has the functions of a present-day one, so that it can be
measured. What that era's libraries export is another KV cache, which the harness `vm` cannot drive.
"""
