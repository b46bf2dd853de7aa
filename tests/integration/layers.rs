//! The file tree is a map of the design: modules import only what stands above them, and files that stand side by
//! side import each other in one direction alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A file as the path of its module: `["load", "worker"]`.
type Module = Vec<String>;

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

/// A file without its own tests, which other files' tests may use.
fn without_tests(text: &str) -> &str {
    let ends =
        ["", "pub(super) "].map(|public| text.find(&format!("#[cfg(test)]\n{public}mod tests {{")));
    &text[..ends.into_iter().flatten().min().unwrap_or(text.len())]
}

/// Every source file below `src` with its text, without comments.
fn files() -> BTreeMap<Module, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&root, &mut found);
    let read = |path: PathBuf| {
        let relative = path.strip_prefix(&root).unwrap().with_extension("");
        let parts = relative
            .iter()
            .map(|part| part.to_str().unwrap().to_owned());
        let module: Module = parts.filter(|part| part != "mod").collect();
        let text = fs::read_to_string(&path).unwrap();
        let lines = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        (module, lines.collect::<Vec<_>>().join("\n"))
    };
    found.into_iter().map(read).collect()
}

/// The paths in a tree such as `a::{b, c::d}`.
fn paths(prefix: &[String], tree: &str, found: &mut Vec<Module>) {
    let (head, inner) = match tree.split_once('{') {
        Some((head, inner)) => (head, inner.trim_end().strip_suffix('}')),
        None => (tree, None),
    };
    let names = head
        .split("::")
        .map(|name| name.split(" as ").next().unwrap().trim());
    let mut path = prefix.to_vec();
    path.extend(names.filter(|name| !name.is_empty()).map(str::to_owned));
    let Some(inner) = inner else {
        found.push(path);
        return;
    };
    let mut depth = 0;
    let parts = inner.split(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    });
    for part in parts.filter(|part| !part.trim().is_empty()) {
        paths(&path, part, found);
    }
}

/// The files that a file imports, other than itself; `own` is its module.
fn imports(own: &Module, text: &str, known: &BTreeMap<Module, String>) -> BTreeSet<Module> {
    // What tests need besides is no part of the program.
    let text = without_tests(text);
    let mut found = Vec::new();
    for (index, _) in text.match_indices("use ") {
        let tree = text[index + 4..].split(';').next().unwrap();
        paths(&[], tree, &mut found);
    }
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    for word in text
        .split(|c| !is_part(c))
        .filter(|word| word.contains("::"))
    {
        paths(&[], word, &mut found);
    }
    let target = |path: Module| -> Option<Module> {
        let supers = path.iter().take_while(|name| *name == "super").count();
        let mut target = match path.first()?.as_str() {
            "crate" => path[1..].to_vec(),
            "super" => [&own[..own.len().checked_sub(supers)?], &path[supers..]].concat(),
            _ => [&own[..], &path[..]].concat(),
        };
        while !target.is_empty() && !known.contains_key(&target) {
            target.pop();
        }
        (!target.is_empty() && target != *own).then_some(target)
    };
    found.into_iter().filter_map(target).collect()
}

/// The modules of the library, lowest first.
fn order(files: &BTreeMap<Module, String>) -> Vec<String> {
    let library = &files[&vec!["lib".to_owned()]];
    let declared = library.lines().filter_map(|line| {
        let (_, name) = line.split_once("mod ")?;
        name.strip_suffix(';').map(str::to_owned)
    });
    declared.collect()
}

#[test]
fn a_module_imports_only_modules_listed_above_it() {
    let files = files();
    let order = order(&files);
    let place = |module: &Module| order.iter().position(|known| *known == module[0]);
    let mut pairs = 0;
    for (own, text) in &files {
        let Some(stage) = place(own) else { continue };
        for other in imports(own, text, &files) {
            pairs += 1;
            assert!(place(&other).unwrap() <= stage, "{own:?} imports {other:?}");
        }
    }
    assert!(pairs > 500, "the check found only {pairs} imports");
}

/// A file may use what its folder's own file defines; between the others no imports run in a circle.
#[test]
fn files_do_not_import_each_other_in_circles() {
    let files = files();
    let mut open: BTreeMap<&Module, BTreeSet<Module>> = BTreeMap::new();
    for (own, text) in &files {
        let mut others = imports(own, text, &files);
        others.retain(|other| !own.starts_with(other));
        open.insert(own, others);
    }
    // What imports nothing that is left is on no circle, nor is what nothing that is left imports.
    loop {
        let left: BTreeSet<Module> = open.keys().map(|own| (*own).clone()).collect();
        for others in open.values_mut() {
            others.retain(|other| left.contains(other));
        }
        let imported: BTreeSet<Module> = open.values().flatten().cloned().collect();
        open.retain(|own, others| !others.is_empty() && imported.contains(*own));
        if open.len() == left.len() {
            break;
        }
    }
    assert!(open.is_empty(), "circles among {open:#?}");
}

/// The report takes its figures from the verdict, and the verdict from what was measured.
#[test]
fn what_is_reported_is_computed_elsewhere() {
    let files = files();
    for (own, text) in &files {
        let taboo: &[&str] = match &*own[0] {
            _ if own.last().is_some_and(|name| name == "tests") => &[],
            "report" => &["stats", "load"],
            "verdict" => &["load"],
            _ => &[],
        };
        for other in imports(own, text, &files) {
            assert!(!taboo.contains(&&*other[0]), "{own:?} imports {other:?}");
        }
    }
}

/// A file without its tests has no more lines; clippy holds functions and their parameters to limits of their own.
const MOST_LINES: usize = 450;

#[test]
fn a_file_holds_one_idea() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&root, &mut found);
    let longer = found.iter().filter_map(|path| {
        let text = fs::read_to_string(path).unwrap();
        let name = path.strip_prefix(&root).unwrap().display().to_string();
        let lines = without_tests(&text).lines().count();
        (lines > MOST_LINES && !name.ends_with("tests.rs")).then_some(name)
    });
    assert_eq!(longer.collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn main_is_short_and_clap_is_known_to_the_command_line_and_its_options_alone() {
    for (module, text) in files() {
        if module == ["main"] {
            assert!(text.lines().count() < 40);
        }
        // An option's flag stands beside its key, default and effect.
        let is_option = module.starts_with(&["plan".into(), "settings".into()]);
        let may =
            module[0] == "cli" || module == ["lib"] || is_option || module == ["stats", "judge"];
        assert!(may || !text.contains("clap::"), "{module:?} imports clap");
    }
}
