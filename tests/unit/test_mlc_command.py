"""Why a command of MLC-LLM failed, in one line."""

from __future__ import annotations

import pytest

from regress.worker.mlc_command import reason


@pytest.mark.parametrize(
    ("status", "lines", "expected"),
    [
        (-9, ["Compiling"], "mlc_llm compile was killed by SIGKILL, as the kernel does when memory runs out"),
        (-11, [], "mlc_llm compile was killed by SIGSEGV"),
        (1, [], "mlc_llm compile: it said nothing (exit status 1)"),
        (
            1,
            ["Traceback (most recent call last):", "tvm.error.InternalError: Check failed", "  at x.cc:1", ""],
            "mlc_llm compile: tvm.error.InternalError: Check failed (exit status 1)",
        ),
        (
            2,
            ["usage: mlc_llm compile", "mlc_llm compile: error: unrecognized arguments: --opts"],
            "mlc_llm compile: mlc_llm compile: error: unrecognized arguments: --opts (exit status 2)",
        ),
        (
            2,
            ["x: error: argument --quantization: invalid choice: 'q8f16_1' (choose from 'q0f16', 'q4f16_1')"],
            "mlc_llm compile: this MLC-LLM knows no quantization 'q8f16_1'; it knows 'q0f16', 'q4f16_1'",
        ),
        (
            2,
            [
                "x: error: argument --quantization: invalid choice: 'q8f16_1' (choose from q0f16, q4f16_1)"
            ],  # Python 3.12
            "mlc_llm compile: this MLC-LLM knows no quantization 'q8f16_1'; it knows q0f16, q4f16_1",
        ),
    ],
)
def test_a_failure_names_the_command_and_the_cause(status: int, lines: list[str], expected: str) -> None:
    assert reason("mlc_llm compile", status, lines) == expected
