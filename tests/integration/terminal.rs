//! What people see while a run is under way, on a terminal and in a log.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::program::lbtest;

/// The executable on a terminal of its own, 60 columns wide where nothing else is said, by util-linux's `script`.
struct Terminal {
    script: Child,
    keyboard: ChildStdin,
}

impl Terminal {
    const COLUMNS: usize = 60;

    fn run(arguments: &str, environment: &[(&str, &str)]) -> Self {
        Self::wide(Self::COLUMNS, arguments, environment)
    }

    fn wide(columns: usize, arguments: &str, environment: &[(&str, &str)]) -> Self {
        let program = env!("CARGO_BIN_EXE_lbtest");
        let inside = format!("stty cols {columns} rows 20; exec {program} {arguments}");
        let mut command = Command::new("script");
        command
            .args([
                "--quiet",
                "--flush",
                "--return",
                "--command",
                &inside,
                "/dev/null",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        for variable in ["NO_COLOR", "LC_ALL", "LC_CTYPE", "LANG", "CLICOLOR_FORCE"] {
            command.env_remove(variable);
        }
        command
            .env("TERM", "xterm")
            .envs(environment.iter().copied());
        let mut script = command.spawn().expect("script is there on every Debian");
        let keyboard = script.stdin.take().unwrap();
        Self { script, keyboard }
    }

    /// What is shown until `text` is.
    fn until(&mut self, text: &str) -> String {
        let screen = self.script.stdout.as_mut().unwrap();
        let mut seen = Vec::new();
        let mut byte = [0];
        while screen.read(&mut byte).unwrap() == 1 {
            seen.push(byte[0]);
            if seen.ends_with(text.as_bytes()) {
                break;
            }
        }
        String::from_utf8(seen).unwrap()
    }

    /// What is shown until the end, and the exit status.
    fn finish(mut self) -> (String, i32) {
        let mut rest = Vec::new();
        let screen = self.script.stdout.as_mut().unwrap();
        screen.read_to_end(&mut rest).unwrap();
        drop(self.keyboard);
        let status = self.script.wait().unwrap();
        (String::from_utf8(rest).unwrap(), status.code().unwrap())
    }
}

/// The paintings of the progress line.
fn painted(screen: &str) -> Vec<&str> {
    let parts = screen.split(['\r', '\n']);
    parts.filter(|part| part.contains(" requests  ")).collect()
}

#[test]
fn a_terminal_gets_one_line_that_fits_and_is_taken_away() {
    let run = "demo --expect v1=70,v2=30 -n 2000 --rate 1000/s";
    let (screen, status) = Terminal::run(run, &[("NO_COLOR", "1")]).finish();
    assert_eq!(status, 0, "{screen}");
    let painted = painted(&screen);
    assert!(!painted.is_empty(), "{screen}");
    for line in &painted {
        assert!(line.chars().count() < Terminal::COLUMNS, "{line}");
    }
    assert!(
        painted.iter().any(|line| line.contains("interim v1 ")),
        "{screen}"
    );
    // Neither a colour nor a cursor is moved about by an escape sequence.
    assert!(!screen.contains('\u{1b}'), "{screen:?}");
    let last = screen.rfind(" requests  ").unwrap();
    let after = &screen[last..];
    let verdict = after.find("PASS").unwrap();
    let blank = after[..verdict].split('\r').nth(1).unwrap();
    assert!(blank.len() > 20 && blank.trim().is_empty(), "{after:?}");
}

#[test]
fn eighty_columns_have_a_scale_of_the_share_and_a_log_has_none() {
    let run = "demo --expect v1=70,v2=30 -n 2000 --rate 1000/s";
    let (screen, status) = Terminal::wide(80, run, &[]).finish();
    assert_eq!(status, 0, "{screen}");
    let painted = painted(&screen);
    let has_scale = |line: &&&str| line.contains('|') && (line.contains('o') && line.contains('='));
    assert!(painted.iter().filter(has_scale).count() > 2, "{screen}");
    for line in painted {
        assert!(line.chars().count() < 80, "{line}");
    }
    let logged = lbtest(&["demo", "-n", "2000", "--rate", "400/s"]);
    assert!(
        logged.stderr.contains("interim") && !logged.stderr.contains('|'),
        "{logged:?}"
    );
}

#[test]
fn what_is_said_on_a_terminal_is_broken_between_words() {
    for run in [
        "demo --no-progress",
        "demo --expect v1=70,v2=30 --split v1=60,v2=40",
        "demo -v -n 1500 --page echo --identify json:/nope",
    ] {
        let (screen, _) = Terminal::wide(80, run, &[("NO_COLOR", "1")]).finish();
        let lines: Vec<&str> = screen.split(['\r', '\n']).collect();
        assert!(lines.len() > 5, "{screen}");
        for line in lines {
            // What is to be pasted stays whole.
            let is_command = line.starts_with("  lbtest ");
            assert!(line.chars().count() <= 80 || is_command, "{line}");
        }
    }
}

#[test]
fn ctrl_c_takes_the_line_away_and_reports_what_there_is() {
    let run = "demo --expect v1=70,v2=30 -z 60s --rate 500/s";
    let mut terminal = Terminal::run(run, &[]);
    let begun = terminal.until("interim v1");
    assert!(begun.contains(" requests  "), "{begun}");
    terminal.keyboard.write_all(b"\x03").unwrap();
    terminal.keyboard.flush().unwrap();
    let (screen, status) = terminal.finish();
    assert_eq!(status, 130, "{screen}");
    let verdict = screen.find("the run was cut short").unwrap();
    let cleared = screen[..verdict].rfind(" \r").unwrap();
    assert!(painted(&screen[cleared..]).is_empty(), "{screen}");
    // The verdict alone is coloured.
    assert!(screen.contains("\u{1b}[1m"), "{screen:?}");
}

#[test]
fn a_terminal_of_ascii_gets_ascii() {
    let run = "demo --expect v1=70,v2=30 -n 500";
    let (screen, status) = Terminal::run(run, &[("LC_ALL", "C")]).finish();
    assert_eq!(status, 3, "{screen}");
    assert!(screen.is_ascii(), "{screen}");
}

#[test]
fn a_log_gets_a_line_every_few_seconds_unless_none_is_wanted() {
    let run = [
        "demo",
        "--expect",
        "v1=70,v2=30",
        "-n",
        "400",
        "--rate",
        "100/s",
    ];
    let ran = lbtest(&run);
    let lines = ran.stderr.lines();
    let interim = lines.filter(|line| line.ends_with("(interim figures, no verdict)"));
    assert!(interim.count() > 0, "{ran:?}");
    assert!(!ran.stderr.contains('\r'), "{ran:?}");
    let quiet = lbtest(&[&run[..], &["--no-progress"]].concat());
    assert!(!quiet.stderr.contains("interim"), "{quiet:?}");
}
