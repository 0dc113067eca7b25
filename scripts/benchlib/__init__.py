"""What scripts/bench and scripts/bench-scan have in common: trees of logs, programs, measured runs,
targets, the page."""
