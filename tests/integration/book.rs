//! The documentation: every page in the table of contents, links whole, the reference in step with the code.

mod identity;
mod links;
mod reference;

use std::fs;
use std::path::{Path, PathBuf};

/// Bytes of a picture differ from machine to machine; what it says does not.
#[test]
fn the_pictures_of_the_readme_show_what_lbtest_says_now() {
    let check = std::process::Command::new("python3")
        .args(["scripts/pictures", "--check"])
        .current_dir(root())
        .env("LBTEST", env!("CARGO_BIN_EXE_lbtest"))
        .output()
        .unwrap();
    assert!(check.status.success(), "{check:?}");
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(
        readme.lines().count() <= 150,
        "the README is for a first look"
    );
}

/// The root of the checkout.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Markdown file below `folder`, sorted.
fn pages(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(pages(&path));
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
    found.sort();
    found
}
