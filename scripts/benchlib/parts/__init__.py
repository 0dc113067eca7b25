"""The parts of scripts/bench. Each has `measure(options)` and gives its Results."""
