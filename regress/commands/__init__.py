"""What each command does: one function per command, from parsed arguments to an exit code."""
