"""What there is to say of a device: an NVIDIA GPU, a Jetson, or none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regress.doctor.facts import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from regress.doctor.facts import Facts, GpuState, JetsonState, Level

_DRIVERS = {12: 525, 13: 580}
"""Major version of CUDA to the first driver that runs it."""
_HARMLESS = {"gpu_idle", "applications_clocks_setting", "display_clock_setting"}
"""Reasons for a lower clock that are nobody's trouble: nothing to do, or told so, which has a line of its own."""
_GUARDED = {"clock", "clock_max", "reasons", "throttles", "processes", "power_mode"}
"""Counters without which a throttled or shared device goes unseen."""
_NEARLY = 0.99


def device(facts: Facts) -> Iterator[Finding]:
    """One finding for each thing that can be wrong with the device that is here."""
    if facts.jetson is not None:
        yield from _jetson(facts, facts.jetson)
    elif isinstance(facts.gpu, str):
        yield _no_gpu(facts, facts.gpu)
    else:
        yield from _gpu(facts, facts.gpu)


def _no_gpu(facts: Facts, reason: str) -> Finding:
    if not facts.needs.gpu:
        return Finding(name="gpu", level="ok", text=f"not needed, no case targets cuda: {reason}")
    remedy = f"install {_wanted_driver(facts.cuda_needed)}, or choose a baseline without target cuda"
    return Finding(name="gpu", level="fail", text=reason, remedy=remedy)


def _wanted_driver(cuda: int) -> str:
    number = f", {_DRIVERS[cuda]} or newer" if cuda in _DRIVERS else ""
    return f"a driver of NVIDIA's that runs CUDA {cuda}{number}"


def _gpu(facts: Facts, gpu: GpuState) -> Iterator[Finding]:
    capability = f", compute capability {gpu.compute_capability}" if gpu.compute_capability else ""
    memory = f", {gpu.memory_bytes / 2**30:.0f} GiB" if gpu.memory_bytes else ""
    yield Finding(name="gpu", level="ok", text=f"{gpu.name}{capability}{memory}")
    yield _driver(facts, gpu)
    yield _mig(facts, gpu)
    yield _tenants(gpu)
    yield _clocks(gpu)
    yield _throttling(gpu)
    yield _power_limit(facts, gpu)
    yield _persistence(gpu)
    yield _ecc(gpu)
    yield _counters({**gpu.unreadable, **gpu.reading.unreadable})


def _driver(facts: Facts, gpu: GpuState) -> Finding:
    """Whether the driver runs the CUDA that toolchains bring: TVM sees no device on an older one, and says no word."""
    text = f"driver {gpu.driver or 'of unknown version'}, CUDA up to {gpu.cuda or 'unknown'}"
    remedy = f"install {_wanted_driver(facts.cuda_needed)}"
    if gpu.cuda is None:
        return Finding(name="driver", level="warn", text=text, remedy=remedy)
    if int(gpu.cuda.partition(".")[0]) < facts.cuda_needed:
        text += f": the toolchains are of CUDA {facts.cuda_needed}, and see no device on it"
        return Finding(name="driver", level="fail" if facts.needs.gpu else "warn", text=text, remedy=remedy)
    return Finding(name="driver", level="ok", text=text)


def _mig(facts: Facts, gpu: GpuState) -> Finding:
    if not gpu.reading.mig:
        return Finding(
            name="mig", level="ok", text="off" if gpu.reading.mig is False else "not a GPU that can be split"
        )
    if facts.needs.device.mig:
        return Finding(name="mig", level="ok", text="on, as the baseline has it")
    text = "on: an instance is a part of the GPU, whose power its neighbours share, so no replicate is kept"
    remedy = "sudo nvidia-smi -mig 0, or mig = true under [device] of the baseline"
    return Finding(name="mig", level=_blocking(facts), text=text, remedy=remedy)


def _blocking(facts: Facts) -> Level:
    """How grave it is that the guard would discard whatever is measured on the GPU."""
    return "fail" if facts.needs.gpu else "warn"


def _tenants(gpu: GpuState) -> Finding:
    others = gpu.reading.others
    if others is None:
        return Finding(name="tenants", level="warn", text="cannot be told", remedy="look yourself: nvidia-smi")
    if others:
        text = f"{others} other process{'es compute' if others > 1 else ' computes'} on the GPU"
        return Finding(name="tenants", level="warn", text=text, remedy="end them, or wait: nvidia-smi names them")
    return Finding(name="tenants", level="ok", text="nobody else computes on the GPU")


def _clocks(gpu: GpuState) -> Finding:
    now, most, told = gpu.reading.clock_hz, gpu.reading.clock_max_hz, gpu.clock_application_hz
    text = f"{_mhz(now)} now, at most {_mhz(most)}"
    if told is not None and most is not None and told < _NEARLY * most:
        text += f", but told to run at {_mhz(told)}"
        return Finding(name="clocks", level="warn", text=text, remedy="sudo nvidia-smi -rac")
    return Finding(name="clocks", level="ok", text=text)


def _throttling(gpu: GpuState) -> Finding:
    reasons = gpu.reading.reasons
    if reasons is None:
        return Finding(name="throttling", level="warn", text="cannot be told", remedy="nvidia-smi -q -d PERFORMANCE")
    held = sorted(reasons - _HARMLESS)
    if held:
        text = f"held down now by {', '.join(held)}"
        remedy = "let it cool down, and see to power and air: nvidia-smi -q -d PERFORMANCE,POWER,TEMPERATURE"
        return Finding(name="throttling", level="warn", text=text, remedy=remedy)
    return Finding(name="throttling", level="ok", text="nothing holds the clocks down")


def _power_limit(facts: Facts, gpu: GpuState) -> Finding:
    limit, usual, required = gpu.reading.power_limit_w, gpu.reading.power_limit_default_w, facts.needs.device.power_mode
    if limit is None:
        return Finding(name="power limit", level="ok", text="none that can be read")
    if required is not None:
        return _required_mode(
            facts, "power limit", gpu.reading.power_mode, f"sudo nvidia-smi -pl {required.split()[0]}"
        )
    if usual is not None and limit < _NEARLY * usual:
        text = f"{limit:.0f} W, by default it is {usual:.0f} W"
        return Finding(name="power limit", level="warn", text=text, remedy=f"sudo nvidia-smi -pl {usual:.0f}")
    return Finding(name="power limit", level="ok", text=f"{limit:.0f} W")


def _required_mode(facts: Facts, name: str, mode: str | None, remedy: str) -> Finding:
    """Whether the device is in the power mode of the baseline: the guard keeps no replicate of another."""
    required = facts.needs.device.power_mode
    if mode in (None, required):
        return Finding(name=name, level="ok", text=f"{mode or 'cannot be told'}, the baseline requires {required}")
    text = f"{mode}, the baseline requires {required}: no replicate is kept"
    return Finding(name=name, level=_blocking(facts), text=text, remedy=remedy)


def _persistence(gpu: GpuState) -> Finding:
    if gpu.persistence is False:
        text = "off: the driver unloads between workers, and takes clocks and settings with it"
        return Finding(name="persistence", level="warn", text=text, remedy="sudo nvidia-smi -pm 1")
    return Finding(name="persistence", level="ok", text="on" if gpu.persistence else "cannot be told")


def _ecc(gpu: GpuState) -> Finding:
    if gpu.ecc is None:
        return Finding(name="ecc", level="ok", text="the GPU has none")
    text = "on" if gpu.ecc else "off"
    if gpu.ecc_pending not in (None, gpu.ecc):
        text += f", but {'on' if gpu.ecc_pending else 'off'} after the next boot: memory will have another speed"
        remedy = f"sudo nvidia-smi -e {int(gpu.ecc)}, or boot before references are taken"
        return Finding(name="ecc", level="warn", text=text, remedy=remedy)
    return Finding(name="ecc", level="ok", text=text)


def _jetson(facts: Facts, jetson: JetsonState) -> Iterator[Finding]:
    yield Finding(name="gpu", level="ok", text=jetson.model)
    yield _jetson_linux(jetson, facts.cuda_needed)
    yield _power_mode(facts, jetson)
    yield _jetson_clocks(jetson)
    yield _counters(jetson.reading.unreadable)


def _jetson_linux(jetson: JetsonState, cuda_needed: int) -> Finding:
    text = f"Jetson Linux {jetson.release or 'of unknown release'}, CUDA up to {jetson.cuda or 'unknown'}"
    if jetson.cuda is not None and jetson.cuda < cuda_needed:
        text += f": the toolchains are of CUDA {cuda_needed}"
        remedy = "declare a toolchain of wheels made for this JetPack"
        return Finding(name="driver", level="warn", text=text, remedy=remedy)
    return Finding(name="driver", level="ok", text=text)


def _power_mode(facts: Facts, jetson: JetsonState) -> Finding:
    mode, remedy = jetson.power_mode, "sudo nvpmodel -m 0, then sudo jetson_clocks"
    if facts.needs.device.power_mode is not None:
        asked = "sudo nvpmodel -m with the number that /etc/nvpmodel.conf gives it, then sudo jetson_clocks"
        return _required_mode(facts, "power mode", mode, asked)
    if mode is None:
        return Finding(name="power mode", level="warn", text="cannot be told", remedy=remedy)
    if not mode.upper().startswith("MAXN"):
        return Finding(
            name="power mode", level="warn", text=f"{mode}, not MAXN: it can halve every rate", remedy=remedy
        )
    return Finding(name="power mode", level="ok", text=mode)


def _jetson_clocks(jetson: JetsonState) -> Finding:
    now, most = jetson.reading.clock_hz, jetson.reading.clock_max_hz
    text = f"{_mhz(now)} now, at most {_mhz(most)}"
    if now is not None and most is not None and now < _NEARLY * most:
        return Finding(name="clocks", level="warn", text=f"{text}: not pinned", remedy="sudo jetson_clocks")
    return Finding(name="clocks", level="ok", text=text)


def _counters(unreadable: Mapping[str, str]) -> Finding:
    """Whether the counters can be read by which the guard tells that a device was disturbed."""
    missing = {name: reason for name, reason in unreadable.items() if name != "mig"}  # most GPUs cannot be split
    if not missing:
        return Finding(name="counters", level="ok", text="all can be read")
    text = "cannot be read: " + ", ".join(f"{name} ({reason})" for name, reason in sorted(missing.items()))
    if not _GUARDED & missing.keys():
        return Finding(name="counters", level="ok", text=f"{text}; what disturbs a measurement is seen without")
    remedy = "what they would show goes unseen; a container needs the driver capability 'utility'"
    return Finding(name="counters", level="warn", text=text, remedy=remedy)


def _mhz(hz: float | None) -> str:
    return "unknown" if hz is None else f"{hz / 1e6:,.0f} MHz"
