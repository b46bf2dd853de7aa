//! The commands of README, tutorial and pages of tasks, run as they stand. Some of them start real servers.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use lbtest::parts::{Config, Handle, Ingress};
use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};

/// A block of a page: its info string (`sh`, `text` and so on) and what stands in it.
struct Block {
    info: String,
    text: String,
}

impl Block {
    /// The exit status that the last command's comment states.
    fn status(&self) -> u8 {
        let stated = self.text.trim_end().rsplit_once("# exit status ");
        stated.map_or(0, |(_, status)| status.parse().unwrap())
    }
}

fn blocks(markdown: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut block: Option<Block> = None;
    for event in Parser::new(markdown) {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                let info = info.into_string();
                let text = String::new();
                block = Some(Block { info, text });
            }
            Event::Start(Tag::CodeBlock(CodeBlockKind::Indented)) => {
                panic!("a block without an info string: what it is cannot be told")
            }
            Event::Text(text) => {
                if let Some(block) = &mut block {
                    block.text.push_str(&text);
                }
            }
            Event::End(TagEnd::CodeBlock) => blocks.extend(block.take()),
            _ => {}
        }
    }
    blocks
}

/// A script that runs the blocks of commands in turn, in one shell, and holds each to its status.
fn script(blocks: &[Block]) -> String {
    // What the commands start ends with them. `cargo run --release` would build for minutes what is built already.
    let mut script = String::from(
        "set -u\n\
         trap 'kill $(jobs -p) 2>/dev/null' EXIT\n\
         cargo() { [ \"$1 $2 $3\" = 'run --release --' ] || exit 99; shift 3; lbtest \"$@\"; }\n\
         ended() { [ $2 = $3 ] || { echo \"block $1 ended with $2 instead of $3\"; exit 1; }; }\n",
    );
    for (index, block) in blocks.iter().enumerate() {
        if block.info == "sh" {
            let (text, status) = (block.text.trim_end(), block.status());
            let _ = writeln!(script, "{text}\nended {} $? {status}", index + 1);
        }
    }
    script
}

/// Runs a page's commands in a scratch folder that looks like the checkout, with `url` for `INGRESS_URL`, and looks for the
/// first line of everything that is shown as output.
fn walk(page: &str, url: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let blocks = blocks(&fs::read_to_string(root.join(page)).unwrap());
    let scratch = tempfile::tempdir().unwrap();
    let executable = env!("CARGO_BIN_EXE_lbtest");
    for name in ["scripts", "tests", "schema", ".venv"] {
        symlink(root.join(name), scratch.path().join(name)).unwrap();
    }
    for folder in ["bin", "target/release"] {
        fs::create_dir_all(scratch.path().join(folder)).unwrap();
        symlink(executable, scratch.path().join(folder).join("lbtest")).unwrap();
    }
    let path = scratch.path().join("bin").display().to_string();
    let path = format!("{path}:{}", std::env::var("PATH").unwrap());
    let output = Command::new("timeout")
        .args(["--kill-after=5", "900", "bash", "-c"])
        .arg(format!("exec 2>&1\n{}", script(&blocks)))
        .current_dir(scratch.path())
        .env("PATH", path)
        .env("INGRESS_URL", url)
        .env("LC_ALL", "C.UTF-8")
        .env_remove("LBTEST_URL")
        .env_remove("LBTEST_HOST")
        .env_remove("LBTEST_CONFIG")
        .env_remove("LBTEST_RUN_ID")
        .env_remove("JOB_COMPLETION_INDEX")
        .env_remove("GITHUB_ACTIONS")
        .env("GITHUB_STEP_SUMMARY", scratch.path().join("summary.md"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let message = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{page}: {message}");
    for shown in blocks.iter().filter(|block| block.info == "text") {
        let line = shown.text.lines().next().unwrap();
        assert!(
            message.contains(line),
            "{page} shows {line:?}, not {message}"
        );
    }
    let known = ["sh", "sh,suite", "text", "toml", "yaml", "http"];
    for block in &blocks {
        assert!(
            known.contains(&block.info.as_str()),
            "{page}: {}",
            block.info
        );
    }
}

/// An ingress whose draws are fixed by its seed: what its splits are found to be is the same in every run.
fn ingress() -> Handle {
    Ingress::start(&Config::new("v1=70,v2=30".parse().unwrap())).unwrap()
}

#[test]
fn the_readme_runs_as_it_stands() {
    let ingress = ingress();
    walk("README.md", &format!("http://{}/", ingress.addr()));
}

#[test]
fn the_readmes_second_command_is_what_ci_runs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = blocks(&fs::read_to_string(root.join("README.md")).unwrap());
    let suite: Vec<&str> = readme
        .iter()
        .filter(|block| block.info == "sh,suite")
        .map(|block| block.text.as_str())
        .collect();
    assert_eq!(suite, ["scripts/test\n"]);
    let ci = fs::read_to_string(root.join(".ci/run")).unwrap();
    assert!(ci.contains("\nrun_step tests scripts/test\n"), "{ci}");
}

#[test]
fn the_tutorial_runs_as_it_stands() {
    let ingress = ingress();
    walk("docs/tutorial.md", &format!("http://{}/", ingress.addr()));
}

#[test]
fn the_exercises_page_runs_as_it_stands() {
    let ingress = ingress();
    walk("docs/challenge.md", &format!("http://{}/", ingress.addr()));
}

#[test]
fn the_pages_of_tasks_run_as_they_stand() {
    let ingress = ingress();
    let url = format!("http://{}/", ingress.addr());
    for name in ["reach", "manifests", "servers"] {
        walk(&format!("docs/how-to/{name}.md"), &url);
    }
}

#[test]
fn a_command_that_ends_otherwise_is_noticed() {
    let page = "```sh\nfalse # exit status 1\n```\n```sh\nfalse\n```\n";
    let output = Command::new("bash")
        .args(["-c", &script(&blocks(page))])
        .output()
        .unwrap();
    let message = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        (output.status.code(), message.as_str()),
        (Some(1), "block 2 ended with 1 instead of 0\n")
    );
}
