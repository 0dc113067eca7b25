//! The `tallyd` command.

fn main() {}
