//! The `lbtest` executable: parse, run, return an exit status.

use std::process::ExitCode;

fn main() -> ExitCode {
    lbtest::run()
}
