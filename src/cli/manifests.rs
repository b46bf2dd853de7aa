//! Files, folders, standard input and kubectl → manifests, and what they say → settings.

use std::fs::{self, File};
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use super::kubectl::{self, Fetch};
use super::{CommandError, output};
use crate::manifest::{
    Choice, Expectation, Input, Kustomization, MAX_BYTES, ManifestError, Manifests, PassedOver,
    PlannedRun, Pods, path_of,
};
use crate::plan::Plan;
use crate::plan::settings::{ExpectEven, Settings};
use crate::plan::target::Protocol;
use crate::report::Finding;
use crate::report::escape::terminal;
use crate::split::Split;
use crate::verdict::diagnosis;

/// What standard input is called.
const STDIN: &str = "standard input";

impl From<ManifestError> for CommandError {
    fn from(error: ManifestError) -> Self {
        // Names and values come from files that anyone may have written.
        Self::usage(terminal(&error.to_string()))
    }
}

/// Manifests, and the expectation that was read from them.
pub(super) struct Resolved {
    manifests: Manifests,
    pub(super) expectation: Expectation,
}

/// What is wrong with the objects that an expectation comes from, for the report of `plan`'s run.
pub(super) fn findings(
    resolved: Option<Resolved>,
    plan: &Plan,
) -> Result<Vec<Finding>, CommandError> {
    let Some(Resolved {
        manifests,
        expectation,
    }) = resolved
    else {
        return Ok(Vec::new());
    };
    let requests = plan.budget.requests.map(std::num::NonZeroU64::get);
    let planned = PlannedRun {
        requests: &|_| requests,
        max_duration: plan.budget.max_duration,
    };
    let source = &expectation.source;
    if expectation.is_grpc && plan.target.protocol != Protocol::Grpc {
        return Err(CommandError::usage(terminal(&format!(
            "{source} takes gRPC calls alone, and leaves their method open: say one with --grpc SERVICE/METHOD"
        ))));
    }
    let found = manifests.concerning(&expectation, &planned);
    let mut findings: Vec<_> = found
        .iter()
        .map(|found| diagnosis::Finding {
            evidence: found.evidence.clone(),
            ..diagnosis::Finding::new(found.code, found.sentence())
        })
        .collect();
    if !expectation.conditions.is_empty() {
        let message = format!(
            "only requests with {} take {source}: send them with -H, -m or the URL",
            expectation.conditions.join(", ")
        );
        findings.push(diagnosis::Finding::new("route_has_conditions", message));
    }
    Ok(findings.into_iter().map(Finding::from).collect())
}

/// Settings with what the manifests of `--expect-from` say of them.
pub(super) fn resolve(settings: Settings) -> Result<(Settings, Option<Resolved>), CommandError> {
    let expected = &settings.expectation;
    if expected.expect_from.is_empty() {
        if settings.promise.route.is_some() {
            return Err(CommandError::usage(
                "--route chooses among the routes of --expect-from, which is missing",
            ));
        }
        if expected.step.is_some() {
            return Err(CommandError::usage(
                "--step chooses a step of a rollout in --expect-from, which is missing",
            ));
        }
        return Ok((settings, None));
    }
    let manifests = read("--expect-from", &expected.expect_from)?;
    tell_passed_over(&manifests);
    if expected.is_even_alone() {
        return even(settings, &manifests);
    }
    let split = expected.expect.as_ref().map(|_| settings.split());
    let split = split.transpose()?;
    let choice = choice(&settings);
    let (expectation, pods) = match expected.expect_even {
        Some(_) => manifests.pods_within(choice, split.as_ref())?,
        None => (manifests.expectation(choice, split.as_ref())?, Vec::new()),
    };
    // Where backends are called as the manifests call them, the source ends with the same split.
    let split = expectation.split.to_string();
    let source = expectation.source.strip_suffix(&*split);
    let source = source.map_or(&*expectation.source, |source| source.trim_end_matches(": "));
    output::note(&terminal(&format!("expecting {split} from {source}")));
    let settings = expectation
        .settings(settings)
        .map_err(CommandError::usage)?;
    let settings = even_within(settings, &expectation.split, &pods)?;
    Ok((
        settings,
        Some(Resolved {
            manifests,
            expectation,
        }),
    ))
}

/// Which of the manifests' routes and steps is meant.
pub(super) fn choice(settings: &Settings) -> Choice<'_> {
    let request = &settings.request;
    Choice {
        route: settings.promise.route.as_deref(),
        host: request.host.as_deref(),
        path: request.url.as_deref().and_then(path_of),
        step: settings.expectation.step,
    }
}

/// Settings with the pods of each backend of `split`, as the manifests count them.
fn even_within(
    mut settings: Settings,
    split: &Split,
    pods: &[Option<Pods>],
) -> Result<Settings, CommandError> {
    let backends = split.labels().iter().zip(split.shares()).zip(pods);
    let positive = backends.filter(|&((_, &share), _)| share > 0.0);
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for ((label, _), pods) in positive {
        let counted = pods.as_ref();
        let number = counted.and_then(|pods| NonZeroUsize::new(pods.number));
        match counted.zip(number) {
            Some((pods, number)) => known.push((label.clone(), number, pods)),
            None => unknown.push(label.as_str()),
        }
    }
    let expect_even = match settings.expectation.expect_even.take() {
        Some(ExpectEven::Backends(given)) => {
            for (label, number, pods) in &known {
                let is_other =
                    |(own, asked): &&(String, NonZeroUsize)| own == label && asked != number;
                if let Some((_, asked)) = given.iter().find(is_other) {
                    return Err(CommandError::usage(terminal(&format!(
                        "--expect-even={label}={asked}, but {} of {label} in the manifests are {number}: drop one of \
                         them",
                        pods.source
                    ))));
                }
            }
            ExpectEven::Backends(given)
        }
        Some(ExpectEven::WhoAnswers) if unknown.is_empty() => {
            let parts = known
                .iter()
                .map(|(label, number, pods)| format!("{number} pods of {label} ({})", pods.source));
            let parts: Vec<String> = parts.collect();
            output::note(&terminal(&format!(
                "expecting equal shares of {}",
                parts.join(", ")
            )));
            let counted = known
                .iter()
                .map(|(label, number, _)| (label.clone(), *number));
            ExpectEven::Backends(counted.collect())
        }
        Some(ExpectEven::WhoAnswers) => {
            output::note(&terminal(&format!(
                "the manifests do not say how many pods {} has: those that answer are counted",
                unknown.join(", ")
            )));
            ExpectEven::WhoAnswers
        }
        Some(of_which) => of_which,
        None => return Ok(settings),
    };
    let names = known
        .into_iter()
        .map(|(label, _, pods)| (label, pods.names.clone()));
    settings.expectation.expect_even = Some(expect_even);
    settings.manifests.pods_by_backend = names.collect();
    Ok(settings)
}

/// Settings with the pods of the manifests, and with the route to them where there is one.
fn even(
    settings: Settings,
    manifests: &Manifests,
) -> Result<(Settings, Option<Resolved>), CommandError> {
    let (pods, expectation) = manifests.pods(choice(&settings))?;
    let Some(pods) = pods else {
        return Err(CommandError::usage(
            "--expect-from: the manifests have no Pods, EndpointSlices or workloads with replicas to count: say how \
             many there are with --expect-even=N",
        ));
    };
    let number = match settings.expectation.expect_even {
        Some(ExpectEven::Pods(number)) if number.get() != pods.number => {
            return Err(CommandError::usage(format!(
                "--expect-even={number}, but {} of the manifests are {}: drop one of them",
                pods.source, pods.number
            )));
        }
        _ => NonZeroUsize::new(pods.number).ok_or_else(|| {
            CommandError::usage("--expect-from: none of the manifests' Pods is ready")
        })?,
    };
    output::note(&terminal(&format!(
        "expecting equal shares of {number} pods: {} of the manifests",
        pods.source
    )));
    let mut settings = match expectation {
        Some(found) => found.settings(settings).map_err(CommandError::usage)?,
        None => settings,
    };
    let expected = &mut settings.expectation;
    expected.expect = None;
    expected.expect_from.clear();
    expected.expect_even = Some(ExpectEven::Pods(number));
    settings.promise.backend.clear();
    settings.manifests.pods = pods.names;
    Ok((settings, None))
}

/// Reads the manifests at `paths`: files, folders, `-`, or `kubectl:NAMESPACE`.
pub(super) fn read(option: &str, paths: &[String]) -> Result<Manifests, CommandError> {
    let mut inputs = Vec::new();
    let mut left = MAX_BYTES;
    for path in paths {
        if path == "-" {
            if inputs.iter().any(|input: &Input| input.name == STDIN) {
                return Err(CommandError::usage(format!(
                    "{option} -: standard input can be read once"
                )));
            }
            inputs.push(bounded(STDIN, io::stdin().lock(), &mut left, false)?);
            continue;
        }
        if let Some(namespace) = path.strip_prefix(kubectl::PREFIX) {
            let mut fetch = Fetch::begin(namespace)?;
            inputs.push(bounded(path, fetch.output(), &mut left, false)?);
            fetch.end()?;
            continue;
        }
        let refused =
            |error: io::Error| CommandError::usage(terminal(&format!("{option} {path}: {error}")));
        let path = Path::new(path);
        let is_folder = fs::metadata(path).map_err(refused)?.is_dir();
        let files = if is_folder {
            manifests_in(path).map_err(refused)?
        } else {
            vec![path.to_owned()]
        };
        if files.is_empty() {
            return Err(CommandError::usage(terminal(&format!(
                "{option} {}: the folder has no .yaml, .yml or .json file, nor have those below it",
                path.display()
            ))));
        }
        for file in files {
            let opened = File::open(&file).map_err(refused)?;
            inputs.push(bounded(
                &file.display().to_string(),
                opened,
                &mut left,
                is_folder,
            )?);
        }
    }
    let manifests = Manifests::read(&inputs)?;
    if manifests.objects().is_empty()
        && let Some(first) = manifests.passed_over().first()
    {
        return Err(CommandError::usage(terminal(&format!(
            "{option}: none of the {} files is a manifest; {}: {}",
            inputs.len(),
            first.file,
            first.reason
        ))));
    }
    Ok(manifests)
}

/// How many files that were passed over are named one by one.
const MAX_NAMED: usize = 10;

/// Says which files are no manifests.
pub(super) fn tell_passed_over(manifests: &Manifests) {
    let passed_over = manifests.passed_over();
    for PassedOver { file, reason } in passed_over.iter().take(MAX_NAMED) {
        output::note(&terminal(&format!("note: {file} is passed over: {reason}")));
    }
    if passed_over.len() > MAX_NAMED {
        let more = passed_over.len() - MAX_NAMED;
        output::note(&format!(
            "note: {more} more files are passed over; lint --json lists them"
        ));
    }
}

/// How deep folders are looked into.
const MAX_DEPTH: usize = 32;

/// The manifests of a folder and of those below it, by name; what is hidden, links to folders, and what a
/// kustomization calls a patch are left out.
fn manifests_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    collect(folder, 0, &mut files)?;
    Ok(files)
}

fn collect(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut entries: Vec<_> = fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(fs::DirEntry::path);
    let mut patches = Vec::new();
    let mut own = Vec::new();
    for entry in entries {
        let path = entry.path();
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if entry.file_type()?.is_dir() {
            if depth < MAX_DEPTH && entry.file_name() != "node_modules" {
                collect(&path, depth + 1, files)?;
            }
            continue;
        }
        let extension = path.extension().and_then(std::ffi::OsStr::to_str);
        if !matches!(extension, Some("yaml" | "yml" | "json")) || !path.is_file() {
            continue;
        }
        if path.file_stem().is_some_and(|stem| stem == "kustomization") {
            let text = fs::read(&path).unwrap_or_default();
            let read = Kustomization::read(&text);
            patches.extend(read.patches.iter().map(|patch| folder.join(patch)));
            if let Some(field) = read.changes {
                output::note(&terminal(&format!(
                    "note: {} changes objects ({field}), and they are read as their own files say: to read what it makes \
                     of them, give the output of kubectl kustomize {}",
                    path.display(),
                    folder.display()
                )));
            }
        } else {
            own.push(path);
        }
    }
    own.retain(|path| !patches.contains(path));
    files.append(&mut own);
    Ok(())
}

/// Reads at most `left` bytes, and takes them off it.
fn bounded(
    name: &str,
    source: impl Read,
    left: &mut u64,
    is_found: bool,
) -> Result<Input, CommandError> {
    let mut bytes = Vec::new();
    let read = source.take(*left + 1).read_to_end(&mut bytes);
    let length = read.map_err(|error| {
        CommandError::usage(terminal(&format!("{name} cannot be read: {error}")))
    })?;
    *left = left
        .checked_sub(length as u64)
        .ok_or_else(|| CommandError::from(ManifestError::too_large(name)))?;
    Ok(Input {
        name: name.to_owned(),
        bytes,
        is_found,
    })
}
