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
    let describe = |locale: &str| {
        let output = command(&arguments).env("LC_ALL", locale).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let (plain, rich) = (describe("C"), describe("C.UTF-8"));
    assert!(plain.is_ascii() && plain.contains("<= 0.001"), "{plain}");
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
    assert!(ran.stdout.contains("matches 70/30"), "{ran:?}");
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

#[test]
fn without_arguments_the_first_steps_are_said() {
    let output = command(&[]).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(
        message.starts_with("error: --expect is missing"),
        "{message}"
    );
    assert!(message.contains("\n  lbtest demo "), "{message}");
}

#[test]
fn the_first_line_says_what_was_observed_and_quiet_leaves_it_alone() {
    let output = command(&["demo", "--quiet"]).output().unwrap();
    let message = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        message,
        "PASS  v1 69.4 %, v2 30.6 %: matches 70/30, off by less than 5 pp\n"
    );
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.is_empty(), "{said}");
}

#[test]
fn a_run_is_announced_on_one_short_line_and_in_full_when_asked() {
    for (arguments, is_said) in [(&["demo"][..], false), (&["demo", "-v"], true)] {
        let output = command(arguments).output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        let first = message.lines().next().unwrap();
        assert!(
            first.starts_with("3664 requests to http://127.0.0.1:"),
            "{first}"
        );
        assert_eq!(first.chars().count() <= 80, !is_said, "{first}");
        assert_eq!(
            first.ends_with("wrong in at most 1 run in 1000"),
            !is_said,
            "{first}"
        );
        assert_eq!(
            first.contains("passes at most 1 run in 1000"),
            is_said,
            "{first}"
        );
        let zone = "shifts between 1 pp and 4 pp fail in 2, 25, 73, 97 % of the runs";
        assert_eq!(message.contains(zone), is_said, "{message}");
    }
}

#[test]
fn a_run_that_fails_says_what_to_do_next_and_one_that_passes_nothing() {
    let next = |more: &[&str]| {
        let message = lbtest(&[&["demo", "--expect", "v1=70,v2=30"], more].concat()).stdout;
        message.lines().last().unwrap().to_owned()
    };
    assert_eq!(
        next(&["--split", "v1=60,v2=40"]),
        "next: see which weights the ingress has; lbtest lint FILES tells what it ignores"
    );
    assert_eq!(
        next(&["--split", "v1=30,v2=70"]),
        "next: see which backend is which, and then its weight"
    );
    assert!(next(&[]).starts_with("connections: "));
    // A change is told once, and why it happens.
    let shift = [
        "demo",
        "--expect",
        "v1=70,v2=30",
        "--shift",
        "1832:v1=50,v2=50",
    ];
    let changed = lbtest(&shift).stdout;
    assert_eq!(changed.matches("changed at about").count(), 1, "{changed}");
    assert!(changed.contains("  * as happens when "), "{changed}");
    // What failed is said once, by what explains it.
    let failing = lbtest(&["demo", "--expect", "v1=70,v2=30", "--fault", "v2=503:100%"]).stdout;
    let said = failing.matches("503 × ").count();
    let of_the_totals = failing.matches("statuses: ").count();
    assert_eq!(said - of_the_totals, 1, "{failing}");
    assert!(!failing.contains("have no identity"), "{failing}");
}

#[test]
fn the_table_of_backends_fits_a_terminal_whatever_the_names() {
    let name = "a-deployment-with-a-name-of-fifty-three-characters-v2";
    let expect = format!("{name}=70,v1=30");
    let output = command(&["demo", "--expect", &expect, "--fault", "v1=503:2%"])
        .output()
        .unwrap();
    let message = String::from_utf8(output.stdout).unwrap();
    let table = message
        .lines()
        .skip_while(|line| !line.starts_with("backend "));
    let table: Vec<&str> = table.take(3).collect();
    assert_eq!(table.len(), 3, "{message}");
    for line in table {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn the_plan_shows_the_shifts_that_matter_for_the_split() {
    let message = lbtest(&["plan", "--expect", "v1=99,v2=1"]).stdout;
    for shift in ["  0.1 pp ", "  0.5 pp ", "  0.6 pp "] {
        assert!(message.contains(shift), "{message}");
    }
    // Beyond it all is certain.
    assert_eq!(message.matches("  100.00 %").count(), 1, "{message}");
    // A tolerance of more than half of the smallest share is that half.
    let prices = message.split("tolerance  requests").nth(1).unwrap();
    let requests = prices
        .lines()
        .filter_map(|line| line.split_whitespace().nth(2));
    let requests: Vec<u64> = requests.filter_map(|number| number.parse().ok()).collect();
    assert_eq!(requests.len(), 4, "{prices}");
    assert!(requests.is_sorted_by(|a, b| a > b), "{prices}");
}

#[test]
fn a_flag_of_another_client_is_answered_with_lbtests_own() {
    for (arguments, remedy) in [
        (&["-L"][..], "redirects are never followed"),
        (&["--vus", "50"], "write -c N"),
        (&["--iterations", "9"], "write -n N"),
        (&["--insecure-skip-tls-verify"], "write -k"),
        (&["--no-tui"], "write --no-progress"),
        (&["--disable-keepalive"], "a connection of its own"),
        (&["-disable-keepalive"], "a connection of its own"),
        (&["-host", "a"], "write --host NAME"),
        (&["-h2"], "write --http2"),
        (&["-s"], "write --quiet"),
        (&["--latency"], "latencies stand in every report"),
        (&["--qps", "9"], "write -q R"),
        (&["-G"], "put the query into the URL"),
        (&["--interface", "eth0"], "the local address"),
        (&["-0"], "only HTTP/1.1 and --http2"),
        (&["--data-raw", "x"], "write -d TEXT"),
        (&["-x", "http://proxy/"], "--connect-to"),
        (&["-d", "30s"], "write -z for that"),
        (&["-d1m30s"], "write -z for that"),
    ] {
        let ran = lbtest(&[&["demo"], arguments].concat());
        assert_eq!(ran.status, 2, "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains(remedy), "{arguments:?}: {ran:?}");
        assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
    }
}

#[test]
fn what_curl_calls_so_means_the_same() {
    let report = |more: &[&str]| {
        let demo = ["demo", "-n", "20", "-o", "json"];
        lbtest(&[&demo[..], more].concat()).json()
    };
    // The embedded ingress shows nothing of a request, so that it is enough that each is taken.
    let habits = ["-X", "POST", "-u", "me:secret", "-A", "curl/8", "--http1.1"];
    let message = report(&habits);
    assert_eq!(message["requests"]["attributed"], 20, "{message}");
    assert_eq!(
        message["target"]["protocol"].as_str().unwrap_or("http/1.1"),
        "http/1.1"
    );
    let line = message["command_line"].as_str().unwrap();
    assert!(
        line.contains("'--user=me:…'") && !line.contains("secret"),
        "{line}"
    );
}

#[test]
fn the_environment_names_a_file_of_checks_and_says_whether_to_colour() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("checks.toml");
    fs::write(
        &file,
        "[target]\nexpect = \"v1=70,v2=30\"\nurl = \"http://127.0.0.1:9/\"\n",
    )
    .unwrap();
    let run = |more: &[(&str, &str)]| {
        let mut command = command(&["--no-progress"]);
        command
            .env("LBTEST_CONFIG", &file)
            .envs(more.iter().copied());
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(4), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(run(&[]).starts_with("COULD NOT MEASURE  "));
    assert!(run(&[("CLICOLOR_FORCE", "1")]).starts_with('\u{1b}'));
    assert!(!run(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]).contains('\u{1b}'));
}

#[test]
fn a_rule_that_finds_nothing_is_named_and_one_that_would_is_proposed() {
    for (page, proposed) in [
        ("podinfo", ": --identify json:/hostname"),
        // Its pod stands behind what is shown of it.
        ("echo", ": --identify json:/pod or "),
    ] {
        let message = lbtest(&[
            "demo",
            "--identify",
            "json:/nope",
            "--page",
            page,
            "-n",
            "20",
        ]);
        assert_eq!(message.status, 4, "{message:?}");
        assert!(
            message
                .stdout
                .contains("--identify json:/nope matched nothing in them"),
            "{message:?}"
        );
        assert!(message.stdout.contains(proposed), "{message:?}");
    }
}

#[test]
fn the_short_help_of_the_demo_is_shorter_than_the_long_one() {
    let (short, long) = (help(&["demo", "-h"]), help(&["demo", "--help"]));
    assert!(short.lines().count() <= 60, "{short}");
    assert!(long.lines().count() > 200, "{long}");
    for heading in [
        "Target:",
        "Identification:",
        "Load:",
        "Connection:",
        "Gates:",
    ] {
        assert!(
            long.contains(&format!("\n{heading}\n")),
            "{heading}: {long}"
        );
    }
    assert!(
        !long.contains("[default: ") && !long.contains("<http"),
        "{long}"
    );
}

#[test]
fn a_slow_run_is_told_what_stopping_early_would_save() {
    let message = lbtest(&["plan", "--expect", "v1=70,v2=30", "--rate", "10/s"]).stdout;
    assert!(
        message.contains("; --sequential would take about 1600 requests (2 m 35 s)"),
        "{message}"
    );
    let quick = lbtest(&["plan", "--expect", "v1=70,v2=30", "--rate", "1000/s"]).stdout;
    assert!(!quick.contains("--sequential"), "{quick}");
}
