"""What a build made, and of what: the manifest beside a model library, and what a check compares of it."""

from __future__ import annotations

from typing import Literal

from regress.stored import Bytes, Count, Positive, Sha256, Stored


class Model(Stored, frozen=True):
    """Where weights came from.

    Attributes:
        source: `hf:REPO@REVISION` with the commit it resolved to, `synthetic:PRESET`, or `path:NAME` (the
            folder's name alone).
        name: Short name for keys and pages, such as `llama-2-7b`.
        digest: SHA-256 over the configuration and the weights.
    """

    source: str
    name: str
    digest: Sha256


class Kernel(Stored, frozen=True):
    """One compiled function of a model library and the SHA-256 of its scheduled source."""

    name: str
    sha256: Sha256


class Finding(Stored, frozen=True):
    """Something that was asked of a build and is not in it, though the build said nothing.

    Attributes:
        code: `fell_back` where slower kernels stand in for those asked for; `unfused_dequantize` where a decode step
            writes dequantized weights to memory before it multiplies by them.
        text: What, as one sentence.
    """

    code: Literal["fell_back", "unfused_dequantize"]
    text: str


class MlcBuild(Stored, frozen=True):
    """How MLC-LLM built an artifact.

    Attributes:
        era: Which of its commands it has: one for everything until 2024 (`legacy`), or one per step.
        commands: What was run, behind `python -m`, in the build's folder.
        optimisations: Its optimisation flags in force, after its own corrections; empty where it does not tell.
        patched: What was changed in a copy of the model's files, by file and key.
        findings: What was asked for and is not there.
        native_library: Whether its native library was there; building needs none, and then the tokenizer is a guess.
    """

    era: Literal["legacy", "now"]
    commands: tuple[str, ...]
    optimisations: dict[str, str]
    patched: dict[str, str]
    findings: tuple[Finding, ...]
    native_library: bool = True


class BuildFacts(Stored, frozen=True):
    """What is known of a build without running it; the fields are those of `Artifact`.

    Attributes:
        model_lib_bytes: Size of `lib.so`.
        model_lib_sha256: Digest of `lib.so`.
        param_bytes: Size of all parameters as stored.
        bits_per_param: Bits that one parameter takes.
        planned_memory_bytes: Temporary memory the compiler planned, per exported function.
        kv_cache: Name of the exported function that makes the KV cache.
        kernels: Name to SHA-256 of the scheduled source.
        resolved_target: The whole target the compiler was given.
    """

    model_lib_bytes: Count
    model_lib_sha256: Sha256
    param_bytes: Count
    bits_per_param: Positive
    planned_memory_bytes: dict[str, Bytes]
    kv_cache: str
    kernels: dict[str, Sha256]
    resolved_target: str


class Artifact(Stored, frozen=True, omit_defaults=True):
    """What a build made, and of what: the manifest that lies beside the model library.

    Attributes:
        digest: The artifact's address: SHA-256 over toolchain, model, quantization, target, flags and builder.
        toolchain: Fingerprint of the toolchain.
        model: The weights.
        quantization: As MLC names it, such as `q4f16_1`.
        target: As the case names it, such as `llvm` or `cuda`.
        resolved_target: The whole target the compiler was given.
        flags: Build flags in force.
        builder: SHA-256 of the builder's own source.
        build_duration_s: Wall time of quantization and compilation, in seconds.
        model_lib_bytes: Size of `lib.so`.
        model_lib_sha256: Digest of `lib.so`.
        param_bytes: Size of all parameters as stored.
        param_count: Number of parameters before quantization.
        bits_per_param: `8 * param_bytes / param_count`, or as MLC-LLM counts it: it may store less than it loads.
        planned_memory_bytes: Temporary memory the compiler planned, per exported function.
        kv_cache: Name of the exported function that makes the KV cache.
        kernels: Compiled functions, sorted by name.
        mlc: How MLC-LLM built it; `None` where we did, with TVM alone.
    """

    digest: Sha256
    toolchain: Sha256
    model: Model
    quantization: str
    target: str
    resolved_target: str
    flags: dict[str, str]
    builder: Sha256
    build_duration_s: Positive
    model_lib_bytes: Count
    model_lib_sha256: Sha256
    param_bytes: Count
    param_count: Count
    bits_per_param: Positive
    planned_memory_bytes: dict[str, Bytes]
    kv_cache: str
    kernels: tuple[Kernel, ...]
    mlc: MlcBuild | None = None

    @property
    def facts(self) -> BuildFacts:
        """What the deterministic gates compare."""
        return BuildFacts(
            model_lib_bytes=self.model_lib_bytes,
            model_lib_sha256=self.model_lib_sha256,
            param_bytes=self.param_bytes,
            bits_per_param=self.bits_per_param,
            planned_memory_bytes=self.planned_memory_bytes,
            kv_cache=self.kv_cache,
            kernels={kernel.name: kernel.sha256 for kernel in self.kernels},
            resolved_target=self.resolved_target,
        )
