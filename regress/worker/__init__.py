"""Scripts run by a toolchain's own Python: they need the standard library, numpy and the toolchain, nothing else."""
