//! Measures how often the verdict is wrong, and writes the table: `cargo run --release --example calibrate`.
//!
//! `--quick` makes it from fewer seeded runs; `--output DIRECTORY` writes elsewhere than to `docs`; `--only PART`
//! measures `clients`, `dependent`, `drift`, `even`, `pinned`, `sequential`, `two` or `within` anew, and leaves the rest of the table
//! as it is; `table` measures nothing, and writes what is published, and what a run that did not end has measured, in the words of
//! today. The seed of a cell comes from its name alone, so that it has the same rates whatever else is measured.

mod suite;
mod table;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;
use std::{env, fs, io};

use suite::drifting::Course;
use suite::missing::SETTINGS;
use suite::pinned::{Alike, Pinning};
use suite::row::{Lasting, Row};
use suite::sequential::{LARGE_ALPHA, TRUTHS};
use suite::{ALPHA, Effort, Expectation, SPLITS};

/// What can be measured by itself.
const PARTS: [&str; 9] = [
    "clients",
    "dependent",
    "drift",
    "even",
    "pinned",
    "sequential",
    "table",
    "two",
    "within",
];

/// What was measured by a run that has not ended yet.
const UNFINISHED: &str = "calibration.unfinished.csv";

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
        Some("clients") => clients(options.effort, &options.output),
        Some("dependent") => dependent(options.effort, &options.output),
        Some("drift") => drift(options.effort),
        Some("even") => even(options.effort),
        Some("pinned") => pinned(options.effort),
        Some("sequential") => sequential(options.effort),
        Some("table") => unfinished(&options.output),
        Some("two") => two(options.effort),
        Some("within") => within(options.effort),
        _ => measured(options.effort, &options.output),
    };
    let written = match options.only.as_deref() {
        Some(part) => beside_the_published(&options.output, &rows, part == "table"),
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

fn measured(effort: Effort, output: &Path) -> Vec<Row> {
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
    part("other judges", &mut || {
        let two = SPLITS.into_iter().filter(|weights| weights.len() == 2);
        two.flat_map(suite::fixed::other_judges).collect()
    });
    part("sequential", &mut || sequential(effort));
    part("drift", &mut || drift(effort));
    part("dependent", &mut || dependent(effort, output));
    part("pinned", &mut || pinned(effort));
    part("clients", &mut || clients(effort, output));
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

/// Splits that change during the run, and that do not.
fn drift(effort: Effort) -> Vec<Row> {
    let mut rows = Vec::new();
    for weights in [&[70.0, 30.0][..], &[50.0, 30.0, 20.0]] {
        let expectation = Expectation::new(weights);
        rows.extend(suite::drifting::verdicts(
            &expectation,
            Course::Steady,
            effort.few,
        ));
    }
    let usual = Expectation::new(&[70.0, 30.0]);
    for course in [
        Course::Step(&[0.5, 0.5], &[0.9, 0.1]),
        Course::Step(&[0.7545, 0.2455], &[0.6455, 0.3545]),
        Course::Step(&[0.75, 0.25], &[0.65, 0.35]),
        Course::Step(&[0.72, 0.28], &[0.68, 0.32]),
        Course::Linear(&[0.8, 0.2], &[0.6, 0.4]),
        Course::Linear(&[0.75, 0.25], &[0.65, 0.35]),
        Course::Linear(&[0.73, 0.27], &[0.67, 0.33]),
        Course::Alternating(&[0.9, 0.1], &[0.5, 0.5], 32),
        Course::Wave(&[0.73, 0.27], &[0.67, 0.33]),
    ] {
        rows.extend(suite::drifting::verdicts(&usual, course, effort.few));
    }
    rows
}

/// The cells that a run has measured which has not ended.
fn unfinished(output: &Path) -> Vec<Row> {
    let text = fs::read_to_string(output.join(UNFINISHED)).unwrap_or_default();
    text.lines().filter_map(Row::read).collect()
}

/// Answers that depend on those before them.
fn dependent(effort: Effort, output: &Path) -> Vec<Row> {
    lasting(suite::dependent::cells(), effort, output)
}

/// Logs whose clients keep to a backend, or do not.
fn clients(effort: Effort, output: &Path) -> Vec<Row> {
    lasting(suite::clients::KINDS, effort, output)
}

/// Each cell is written down when it ends, and what stands there already is not measured again, so that a run that was
/// interrupted counts.
fn lasting(
    cells: impl IntoIterator<Item = impl Lasting>,
    effort: Effort,
    output: &Path,
) -> Vec<Row> {
    let path = output.join(UNFINISHED);
    let known = unfinished(output);
    let mut rows = Vec::new();
    for cell in cells {
        let is_known = |row: &&Row| cell.is_of(row) && row.runs == Some(effort.few);
        let mut measured: Vec<Row> = known.iter().filter(is_known).cloned().collect();
        if measured.is_empty() {
            measured = cell.rates(effort.few);
            let lines: String = measured.iter().map(|row| row.csv() + "\n").collect();
            let file = fs::OpenOptions::new().create(true).append(true).open(&path);
            if let Err(error) = file.and_then(|mut file| file.write_all(lines.as_bytes())) {
                say(&format!("cannot write to {}: {error}", path.display()));
            }
        }
        rows.extend(measured);
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

/// The published rows, with those of the same parts in place of them, in the order of the new ones.
/// `is_part` says that there may be more cells of these parts.
fn beside_the_published(output: &Path, rows: &[Row], is_part: bool) -> io::Result<Vec<Row>> {
    let text = fs::read_to_string(output.join("calibration.csv"))?;
    let parts: Vec<&str> = rows.iter().map(|row| row.part).collect();
    let published = text.lines().skip(1).filter_map(Row::read);
    let is_new = |old: &Row| rows.iter().any(|new| new.is_cell_of(old));
    let mut all: Vec<Row> = published
        .filter(|old| is_part || !parts.contains(&old.part) || is_new(old))
        .collect();
    let places = all.iter().filter(|old| is_new(old)).count();
    let end = all
        .iter()
        .rposition(is_new)
        .map_or(all.len(), |last| last + 1);
    all.splice(end..end, rows.iter().skip(places).cloned());
    let replaced = all.iter_mut().filter(|old| is_new(old));
    for (old, new) in replaced.zip(rows) {
        *old = new.clone();
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
    match fs::remove_file(output.join(UNFINISHED)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
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
