//! The file tree is a map of the design: modules import only what stands above them.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every source file below `src` with its stage (the first part of its path) and its text.
fn files() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&root, &mut found);
    let read = |path: PathBuf| {
        let relative = path.strip_prefix(&root).unwrap();
        let first = relative.components().next().unwrap().as_os_str();
        let stage = first.to_str().unwrap().trim_end_matches(".rs").to_owned();
        let text = fs::read_to_string(&path).unwrap();
        (stage, path, text)
    };
    found.into_iter().map(read).collect()
}

#[test]
fn a_module_imports_only_modules_listed_above_it() {
    let files = files();
    let library = files.iter().find(|(stage, ..)| stage == "lib").unwrap();
    let order: Vec<&str> = library
        .2
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .collect();
    let place = |module: &str| order.iter().position(|known| *known == module);
    let mut imports = 0;
    for (stage, path, text) in &files {
        let Some(own) = place(stage) else { continue };
        for (index, _) in text.match_indices("crate::") {
            let rest = &text[index + "crate::".len()..];
            let module = rest
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .next()
                .unwrap();
            let Some(other) = place(module) else { continue };
            imports += 1;
            assert!(
                other <= own,
                "{} imports {module}, which stands below {stage}",
                path.display()
            );
        }
    }
    assert!(imports > 50, "the check found only {imports} imports");
}

#[test]
fn main_is_short_and_clap_is_known_to_the_command_line_alone() {
    for (stage, path, text) in files() {
        if stage == "main" {
            assert!(text.lines().count() < 40);
        }
        if stage != "cli" {
            assert!(
                !text.contains("clap::") || stage == "lib",
                "{} imports clap",
                path.display()
            );
        }
    }
}
