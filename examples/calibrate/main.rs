//! Measures how often the verdict is wrong, and writes the table: `cargo run --release --example calibrate`.
//!
//! `--quick` makes it from fewer seeded runs; `--output DIRECTORY` writes elsewhere than to `docs`; `--only PART`
//! measures `clients`, `dependent`, `even`, `pinned`, `sequential`, `two` or `within` anew, and leaves the rest of the table as it is;
//! `table` measures nothing, and writes what is published in the words of today.

mod suite;
mod table;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;
use std::{env, fs, io};

use suite::dependent::{FEW_ORDERS, ORDERS};
use suite::missing::SETTINGS;
use suite::pinned::{Alike, Pinning};
use suite::row::Row;
use suite::sequential::{LARGE_ALPHA, TRUTHS};
use suite::{ALPHA, Effort, Expectation, SPLITS};

/// What can be measured by itself.
const PARTS: [&str; 8] = [
    "clients",
    "dependent",
    "even",
    "pinned",
    "sequential",
    "table",
    "two",
    "within",
];

/// What the arguments ask for.
struct Options {
    effort: Effort,
    output: PathBuf,
    only: Option<String>,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            effort: Effort::FULL,
            output: PathBuf::from("docs"),
            only: None,
        };
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--quick" => options.effort = Effort::QUICK,
                "--only" => {
                    let part = arguments
                        .next()
                        .filter(|part| PARTS.contains(&part.as_str()));
                    let known = PARTS.join(", ");
                    options.only = Some(part.ok_or(format!("--only needs one of {known}"))?);
                }
                "--output" => {
                    let directory = arguments.next().ok_or("--output needs a directory")?;
                    options.output = directory.into();
                }
                other => {
                    return Err(format!(
                        "{other} is unknown: use --quick, --only PART or --output DIRECTORY"
                    ));
                }
            }
        }
        Ok(options)
    }
}

fn main() -> ExitCode {
    let options = match Options::parse(env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            say(&error);
            return ExitCode::from(2);
        }
    };
    let rows = match options.only.as_deref() {
        Some("clients") => suite::clients::rows(),
        Some("dependent") => dependent(options.effort),
        Some("even") => even(options.effort),
        Some("pinned") => pinned(options.effort),
        Some("sequential") => sequential(options.effort),
        Some("table") => Vec::new(),
        Some("two") => two(options.effort),
        Some("within") => within(options.effort),
        _ => measured(options.effort),
    };
    let written = match options.only {
        Some(_) => beside_the_published(&options.output, &rows),
        None => Ok(rows.clone()),
    };
    if let Err(error) = written.and_then(|all| write(&options.output, &all)) {
        say(&format!(
            "cannot write to {}: {error}",
            options.output.display()
        ));
        return ExitCode::from(2);
    }
    let broken: Vec<&Row> = rows
        .iter()
        .filter(|row| row.method.starts_with("lbtest") && row.holds() == Some(false))
        .collect();
    for row in &broken {
        say(&format!("above its bound: {}", row.csv()));
    }
    ExitCode::from(u8::from(!broken.is_empty()))
}

#[expect(
    clippy::too_many_lines,
    reason = "the parts of the suite, one after the other"
)]
fn measured(effort: Effort) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut part = |name: &str, made: &mut dyn FnMut() -> Vec<Row>| {
        let start = Instant::now();
        let made = made();
        say(&format!(
            "{name}: {} rows in {:.1} s",
            made.len(),
            start.elapsed().as_secs_f64()
        ));
        rows.extend(made);
    };
    for weights in SPLITS {
        let expectation = Expectation::new(weights);
        let name = suite::written(expectation.shares());
        part(&format!("fixed {name}"), &mut || {
            let requests = expectation.requests().into_iter();
            requests
                .flat_map(|n| suite::fixed::errors(&expectation, n, effort))
                .collect()
        });
        part(&format!("missing {name}"), &mut || {
            // With four backends the planned run takes too long to judge 20,000 times in each setting.
            let (last, settings) = match weights.len() {
                2 => (expectation.planned(), &SETTINGS[..]),
                3 => (expectation.planned(), &SETTINGS[1..]),
                _ => (5000, &SETTINGS[1..2]),
            };
            let requests = [200, 1000, last].into_iter();
            requests
                .flat_map(|n| suite::missing::errors(&expectation, n, settings, effort))
                .collect()
        });
    }
    let usual = Expectation::new(&[70.0, 30.0]);
    part("other judges", &mut || {
        let two = SPLITS.into_iter().filter(|weights| weights.len() == 2);
        two.flat_map(suite::fixed::other_judges).collect()
    });
    part("sequential", &mut || sequential(effort));
    part("drift", &mut || {
        let mut rows = Vec::new();
        for weights in [&[70.0, 30.0][..], &[50.0, 30.0, 20.0]] {
            let expectation = Expectation::new(weights);
            let shares = expectation.shares();
            rows.extend(suite::drifting::verdicts(
                &expectation,
                [shares; 2],
                effort.few,
            ));
        }
        let changed: [&[f64]; 2] = [&[0.5, 0.5], &[0.9, 0.1]];
        rows.extend(suite::drifting::verdicts(&usual, changed, effort.few));
        rows
    });
    part("dependent", &mut || dependent(effort));
    part("pinned", &mut || pinned(effort));
    part("clients", &mut suite::clients::rows);
    part("even", &mut || even(effort));
    part("within", &mut || within(effort));
    part("two", &mut || two(effort));
    part("curves", &mut || {
        let mut rows = suite::curves::size_by_requests(&[70.0, 30.0]);
        rows.extend(suite::curves::size_by_requests(&[99.0, 1.0]));
        rows
    });
    rows
}

/// Runs that stop by themselves, and what is compared with them.
fn sequential(effort: Effort) -> Vec<Row> {
    let mut rows = Vec::new();
    for weights in SPLITS {
        let expectation = Expectation::new(weights);
        rows.extend(match weights {
            [70.0, 30.0] => suite::sequential::enumerated(&expectation, ALPHA, &TRUTHS),
            [_, _] => suite::sequential::enumerated(&expectation, ALPHA, &[]),
            _ => suite::sequential::simulated(&expectation, 0.0, &[], effort.few),
        });
    }
    let usual = Expectation::new(&[70.0, 30.0]);
    let truths: Vec<Vec<f64>> = TRUTHS
        .iter()
        .map(|&first| vec![first, 1.0 - first])
        .collect();
    rows.extend(suite::sequential::enumerated(&usual, LARGE_ALPHA, &[]));
    rows.extend(suite::sequential::simulated(
        &usual, 0.0, &truths, effort.few,
    ));
    rows.extend(suite::sequential::simulated(&usual, 0.01, &[], effort.few));
    rows.extend(suite::conformance::rows());
    rows.extend(suite::curves::power());
    rows.extend(suite::curves::stopping_times());
    rows
}

/// Answers that depend on those before them.
fn dependent(effort: Effort) -> Vec<Row> {
    let mut rows = suite::dependent::cells(&[70.0, 30.0], &ORDERS, effort.few, print_cells);
    for weights in [&[50.0, 30.0, 20.0][..], &[40.0, 30.0, 15.0, 10.0, 5.0]] {
        rows.extend(suite::dependent::cells(
            weights,
            &FEW_ORDERS,
            effort.few,
            print_cells,
        ));
    }
    rows
}

/// Pods that are to share the requests equally.
fn even(effort: Effort) -> Vec<Row> {
    let pods = suite::even::PODS.into_iter();
    pods.flat_map(|pods| suite::even::errors(pods, effort, print_cells))
        .collect()
}

/// The same of the pods of a split's backends.
fn within(effort: Effort) -> Vec<Row> {
    let pods = suite::even::PODS.into_iter();
    pods.flat_map(|pods| suite::within::errors(pods, effort, print_cells))
        .collect()
}

/// Two ingresses that are asked the same.
fn two(effort: Effort) -> Vec<Row> {
    let splits = SPLITS.into_iter().map(Expectation::new);
    splits
        .flat_map(|expectation| suite::two::errors(&expectation, effort))
        .collect()
}

/// Connections of several requests, whose responses are alike or not.
fn pinned(effort: Effort) -> Vec<Row> {
    let usual = Expectation::new(&[70.0, 30.0]);
    let mut truths = usual.shifted();
    truths.insert(0, usual.shares().to_vec());
    let mut rows = Vec::new();
    for pinning in suite::pinned::patterns() {
        for truth in &truths {
            rows.extend(suite::pinned::errors(&usual, truth, &pinning, effort.few));
        }
    }
    let three = Expectation::new(&[50.0, 30.0, 20.0]);
    for chance in [1.0, 0.5, 0.1, 0.0] {
        let few = Pinning::new("50x20", &[(50, 20)], Alike::Stick(chance));
        rows.extend(suite::pinned::errors(
            &three,
            three.shares(),
            &few,
            effort.few,
        ));
    }
    rows
}

/// The published rows, with those of the same parts in place of them; a new one stands behind the one before it.
fn beside_the_published(output: &Path, rows: &[Row]) -> io::Result<Vec<Row>> {
    let text = fs::read_to_string(output.join("calibration.csv"))?;
    let parts: Vec<&str> = rows.iter().map(|row| row.part).collect();
    let published = text.lines().skip(1).filter_map(Row::read);
    let is_kept =
        |old: &Row| !parts.contains(&old.part) || rows.iter().any(|new| new.is_cell_of(old));
    let mut all: Vec<Row> = published.filter(is_kept).collect();
    let mut next = all.len();
    for new in rows {
        if let Some(place) = all.iter().position(|old| new.is_cell_of(old)) {
            all[place] = new.clone();
            next = place + 1;
        } else {
            all.insert(next, new.clone());
            next += 1;
        }
    }
    Ok(all)
}

fn write(output: &Path, rows: &[Row]) -> io::Result<()> {
    fs::create_dir_all(output)?;
    let lines = rows.iter().map(Row::csv);
    let csv: String = [Row::HEADER.to_owned()]
        .into_iter()
        .chain(lines)
        .map(|line| line + "\n")
        .collect();
    fs::write(output.join("calibration.csv"), csv)?;
    fs::write(output.join("calibration.md"), table::markdown(rows))?;
    let explanation = output.join("statistics.md");
    if let Ok(text) = fs::read_to_string(&explanation) {
        let text = table::with_comparison(&text, rows)
            .ok_or_else(|| io::Error::other("statistics.md has no place for the comparison"))?;
        fs::write(explanation, text)?;
    }
    Ok(())
}

/// Says what was measured before the next cell begins.
fn print_cells(rows: &[Row]) {
    for row in rows {
        say(&row.csv());
    }
}

#[expect(clippy::print_stderr, reason = "an example tells how far it is")]
fn say(line: &str) {
    eprintln!("{line}");
}
