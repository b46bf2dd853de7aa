//! What a newcomer meets: the help, the demo's lesson, completions and manual pages.

use std::fs;
use std::process::Command;

use crate::program::{command, lbtest};

/// The help at the width of a terminal of 24 lines and 80 columns.
fn help(arguments: &[&str]) -> String {
    let output = command(arguments).env("COLUMNS", "80").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_short_help_fits_a_screen_and_the_long_one_has_every_flag() {
    let short = help(&["-h"]);
    assert!(short.lines().count() <= 24, "{short}");
    assert!(
        short.lines().all(|line| line.chars().count() <= 80),
        "{short}"
    );
    let examples = short.lines().filter(|line| line.starts_with("  lbtest "));
    assert_eq!(examples.count(), 3, "{short}");
    for flag in ["--expect", "--host", "--requests", "--json", "--help"] {
        assert!(short.contains(flag), "{flag}: {short}");
    }
    let long = help(&["--help"]);
    for flag in [
        "--max-unattributed",
        "--resolve",
        "--junit",
        "--no-progress",
        "--version",
    ] {
        assert!(long.contains(flag), "{flag}: {long}");
    }
    for subcommand in ["demo", "analyze", "completions", "man"] {
        assert!(short.contains(subcommand), "{subcommand}: {short}");
        let line = format!("\n  {subcommand} ");
        assert!(long.contains(&line), "{subcommand}: {long}");
    }
    assert!(
        !long.contains('\u{1b}') && !short.contains('\u{1b}'),
        "colour in a pipe"
    );
}

/// What the short help names exists, and every subcommand stands in it.
#[test]
fn the_short_help_is_true() {
    let (short, long) = (help(&["-h"]), help(&["--help"]));
    let flags = short.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    let flags: Vec<&str> = flags.filter(|word| word.starts_with("--")).collect();
    assert!(flags.len() > 10, "{short}");
    for flag in flags {
        assert!(
            long.contains(&format!("{flag} ")) || long.contains(&format!("{flag}\n")),
            "{flag}"
        );
    }
    let listed = long.split("\nCommands:\n").nth(1).unwrap();
    let listed = listed.split("\n\n").next().unwrap();
    let names = listed.lines().filter(|line| !line.starts_with("   "));
    for line in names {
        let name = line.split_whitespace().next().unwrap();
        assert!(
            name == "help" || short.contains(&format!(" {name}")),
            "{name}: {short}"
        );
    }
}

#[test]
fn helps_keep_to_the_width_and_to_ascii() {
    for arguments in [&["--help"][..], &["demo", "--help"], &["ingress", "-h"]] {
        let output = command(arguments)
            .env("COLUMNS", "60")
            .env("LC_ALL", "C")
            .output()
            .unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(help.is_ascii(), "{help}");
        // A word that is longer than a line keeps its length.
        let long = help.lines().filter(|line| line.len() > 60);
        let long: Vec<&str> = long.filter(|line| line.trim().contains(' ')).collect();
        assert!(long.len() < 4, "{long:#?}");
    }
}

#[test]
fn colour_is_for_terminals_that_want_it() {
    let always = |variable: Option<(&str, &str)>, arguments: &[&str]| {
        let output = command(arguments).envs(variable).output().unwrap();
        String::from_utf8(output.stdout).unwrap().contains('\u{1b}')
    };
    assert!(always(Some(("CLICOLOR_FORCE", "1")), &["--help"]));
    assert!(!always(Some(("NO_COLOR", "1")), &["--help"]));
    assert!(!always(None, &["--help"]));
}

#[test]
fn an_ascii_terminal_gets_ascii() {
    let arguments = [
        "analyze",
        "--expect",
        "v1=70,v2=30",
        "--observed",
        "v1=69,v2=30",
    ];
    let told = |locale: &str| {
        let output = command(&arguments).env("LC_ALL", locale).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let (plain, rich) = (told("C"), told("C.UTF-8"));
    assert!(plain.is_ascii() && plain.contains("> 0.001"), "{plain}");
    assert!(!rich.is_ascii() && rich.contains("X²"), "{rich}");
}

#[test]
fn a_misspelt_word_is_answered_with_the_one_that_was_meant() {
    for (arguments, meant) in [
        (&["dmeo"][..], "did you mean 'demo'?"),
        (&["completion", "bash"], "did you mean 'completions'?"),
        (&["demo", "--expct", "a=1"], "'--expect'"),
        (&["demo", "--judge", "equivalense"], "'equivalence'"),
        (&["demo", "--max-p99", "v22=1s"], "it has v1, v2"),
    ] {
        let ran = lbtest(arguments);
        assert_eq!(ran.status, 2, "{ran:?}");
        assert!(ran.stderr.contains(meant), "{ran:?}");
        assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
    }
}

#[test]
fn the_demo_teaches_commands_that_do_what_it_says_of_them() {
    let ran = lbtest(&["demo"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.stdout.contains("v1 70 %, v2 30 %"), "{ran:?}");
    let (_, lesson) = ran.stderr.split_once("What happened:").unwrap();
    let taught: Vec<(&str, &str)> = lesson
        .lines()
        .zip(lesson.lines().skip(1))
        .filter_map(|(line, meaning)| Some((line.strip_prefix("  lbtest ")?, meaning)))
        .collect();
    assert_eq!(taught.len(), 3, "{lesson}");
    for (line, meaning) in taught {
        // This one stands for the reader's own ingress.
        if line.contains("ADDRESS") {
            continue;
        }
        let arguments: Vec<&str> = line.split_whitespace().collect();
        let expected = i32::from(meaning.contains("exit status 1"));
        assert_eq!(lbtest(&arguments).status, expected, "{line}");
    }
    assert!(!ran.stdout.contains("What happened:"), "{ran:?}");
    let quiet = lbtest(&["demo", "--expect", "v1=70,v2=30", "--no-progress"]);
    assert!(!quiet.stderr.contains("What happened:"), "{quiet:?}");
}

#[test]
fn every_shell_gets_completions_and_an_unknown_one_is_refused() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ran = lbtest(&["completions", shell]);
        assert_eq!(ran.status, 0, "{shell}");
        for word in ["tolerance", "analyze"] {
            assert!(ran.stdout.contains(word), "{shell} lacks {word}");
        }
    }
    let script = lbtest(&["completions", "bash"]).stdout;
    let asked = format!(
        "{script}\nCOMP_WORDS=(lbtest --toler) COMP_CWORD=1; _lbtest lbtest --toler lbtest; echo \"${{COMPREPLY[*]}}\""
    );
    let bash = Command::new("bash").args(["-c", &asked]).output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&bash.stdout).trim(),
        "--tolerance",
        "{bash:?}"
    );
    // A subcommand stands where zsh's script expects the URL, and a URL where fish's expects a subcommand.
    let zsh = lbtest(&["completions", "zsh"]).stdout;
    let start = zsh.split_once("_lbtest() {\n").unwrap().1;
    let first = start.lines().next().unwrap();
    assert!(first.contains("$words[2] == (demo|ingress|"), "{first}");
    let fish = lbtest(&["completions", "fish"]).stdout;
    let last = fish.rfind("function __fish_lbtest_needs_command").unwrap();
    assert!(fish[last..].contains("\"$cmd[2]\" demo ingress"), "{fish}");
    let refused = lbtest(&["completions", "tcsh"]);
    assert_eq!(refused.status, 2);
    assert!(refused.stderr.contains("zsh"), "{refused:?}");
}

#[test]
fn manual_pages_are_printed_and_written() {
    let page = lbtest(&["man"]);
    assert_eq!(page.status, 0);
    assert!(page.stdout.contains(".TH lbtest 1"), "{page:?}");
    assert!(lbtest(&["man", "plan"]).stdout.contains("power"));
    let refused = lbtest(&["man", "nothing"]);
    assert_eq!(refused.status, 2);
    assert!(refused.stderr.contains("analyze"), "{refused:?}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("man1");
    assert_eq!(
        lbtest(&["man", "--output", path.to_str().unwrap()]).status,
        0
    );
    for name in [
        "lbtest.1",
        "lbtest-demo.1",
        "lbtest-analyze.1",
        "lbtest-man.1",
    ] {
        let page = fs::read_to_string(path.join(name)).unwrap();
        assert!(page.contains(".SH NAME"), "{name}");
    }
    for page in fs::read_dir(&path).unwrap() {
        let page = page.unwrap().path();
        let mut mandoc = Command::new("mandoc");
        let checked = mandoc.args(["-Tlint", "-Wwarning"]).arg(&page).output();
        let checked = checked.expect("scripts/test packages installs mandoc");
        assert!(checked.status.success(), "{page:?}: {checked:?}");
    }
    let ran = lbtest(&["man", "--output", "/proc/nothing"]);
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.contains("--output"), "{ran:?}");
}
