//! The `lbtest` executable.

fn main() {}
