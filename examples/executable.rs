//! The executable once more, for `scripts/release/build` in the profile `dev`: an example shares the libraries of the tests, which a
//! binary alone has with other features, and so compiled anew.

use std::process::ExitCode;

fn main() -> ExitCode {
    lbtest::run()
}
