//! The pods' own logs of a marked run → evidence: a line that carries a request's mark tells who answered it, and when in
//! the order of the requests that was.
//!
//! Which pod wrote a line says the prefix of `kubectl logs --prefix` or `docker compose logs`, else the file's name. Memory is
//! two bytes a request.

use std::io::{self, BufRead};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use memchr::memmem::Finder;

use crate::format::count;
use crate::identity::MAX_NAME_LENGTH;
use crate::identity::assignment::Mappings;
use crate::identity::log::{LineReader, shown};
use crate::identity::workload::is_deployment_pod;
use crate::merge::marked::MarkedRun;
use crate::tally::pods::{GroupId, Interner, PodRegistry};
use crate::tally::sequence::Sequence;
use crate::tally::windows::Windows;
use crate::verdict::diagnosis::Finding;
use crate::verdict::{Evidence, unmeasured};

/// Nobody has logged the request yet.
const NOBODY: u16 = u16::MAX;
/// Several groups have.
const SEVERAL: u16 = u16::MAX - 1;
/// A run of more requests is not joined: half a GiB.
const MOST_REQUESTS: u64 = 1 << 28;

/// The logs of the pods that answered a marked run.
#[derive(Debug)]
pub struct MarkedLogs<'r> {
    run: &'r MarkedRun,
    mark: Finder<'static>,
    registry: Arc<PodRegistry>,
    interner: Interner,
    /// Who logged each request, from the first that counts.
    by: Vec<u16>,
    summary: MarkedSummary,
}

/// How the logs were read.
#[derive(Debug, Default, Clone)]
pub struct MarkedSummary {
    /// Lines, blank ones apart.
    pub lines: u64,
    /// Lines with the mark of a request that counts.
    pub marked: u64,
    /// Lines of requests that do not: warm-up, and those before a rate limiter was kept to.
    pub set_aside: u64,
    /// Marked lines of which nothing says which pod wrote them.
    pub nameless: u64,
    /// The first of them, escaped.
    pub first_nameless: Option<String>,
    /// Lines beyond the first of a request in the same workload.
    pub repeated: u64,
    /// Requests that have lines.
    pub found: u64,
    /// Requests that several workloads have logged, so that it is not known whom the split chose.
    pub moved: u64,
    /// Requests that were written and have no line.
    pub missing: u64,
    /// Requests that were written.
    pub sent: u64,
}

impl<'r> MarkedLogs<'r> {
    /// Nothing is read yet; pods are grouped as `mappings` says. `None` where the run is too large.
    pub fn new(run: &'r MarkedRun, mappings: Mappings) -> Option<Self> {
        let registry = PodRegistry::shared(mappings);
        let counted = &run.measured.counted;
        let sent = counted.attributed() + counted.unattributed();
        let requests = (run.marks.last + 1).saturating_sub(run.marks.first);
        let requests = usize::try_from(Some(requests).filter(|&n| n <= MOST_REQUESTS)?).ok()?;
        let mark = format!("{}.", run.marks.run);
        Some(Self {
            run,
            mark: Finder::new(mark.as_bytes()).into_owned(),
            interner: Interner::new(Arc::clone(&registry)),
            registry,
            by: vec![NOBODY; requests],
            summary: MarkedSummary {
                sent,
                ..MarkedSummary::default()
            },
        })
    }

    /// Reads a log; `file` is where it lies, if it lies in a file.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(&mut self, reader: impl BufRead, file: Option<&Path>) -> io::Result<()> {
        let pod = file.and_then(pod_of_file);
        let mut lines = LineReader::new(reader);
        while let Some(line) = lines.next()? {
            let line = line.trim_ascii();
            self.summary.lines += u64::from(!line.is_empty());
            if let Some(number) = self.number(line) {
                let pod = pod_of_line(line).or(pod.as_deref());
                self.take(line, number, pod);
            }
        }
        Ok(())
    }

    /// The number of the request that the line is of.
    fn number(&self, line: &[u8]) -> Option<u64> {
        let rest = &line[self.mark.find(line)? + self.mark.needle().len()..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
    }

    fn take(&mut self, line: &[u8], number: u64, pod: Option<&str>) {
        let place = number.checked_sub(self.run.marks.first);
        let place = place.and_then(|place| usize::try_from(place).ok());
        let Some(by) = place.and_then(|place| self.by.get_mut(place)) else {
            self.summary.set_aside += 1;
            return;
        };
        self.summary.marked += 1;
        let Some(pod) = pod else {
            self.summary.nameless += 1;
            self.summary
                .first_nameless
                .get_or_insert_with(|| shown(line));
            return;
        };
        let pod = self.interner.intern(pod);
        let GroupId(group) = self.interner.group(pod);
        match *by {
            NOBODY => *by = group,
            known if known == group => self.summary.repeated += 1,
            _ => *by = SEVERAL,
        }
    }

    /// What all logs say together.
    pub fn evidence(self) -> (Evidence, MarkedSummary) {
        let Self {
            run,
            registry,
            by,
            mut summary,
            ..
        } = self;
        let groups = registry.groups();
        let mut observed = vec![0; groups.len()];
        let sequence = Sequence::new(by.len() as u64);
        let mut windows = Windows::default();
        for (place, &group) in (0..).zip(&by) {
            match group {
                NOBODY => {}
                SEVERAL => summary.moved += 1,
                group => {
                    let group = usize::from(group);
                    observed[group] += 1;
                    sequence.record(place, group);
                    windows.record(place, group, Duration::ZERO);
                }
            }
        }
        summary.found = observed.iter().sum::<u64>() + summary.moved;
        summary.missing = summary.sent.saturating_sub(summary.found);
        let blocks = windows.blocks().iter();
        let evidence = Evidence {
            groups,
            observed,
            unattributed: summary.missing + summary.moved,
            cut_short: unmeasured::cut_short(&run.measured),
            windows: blocks.map(|block| block.counts.clone()).collect(),
            sequence: sequence.codes(),
            ..Evidence::default()
        };
        (evidence, summary)
    }
}

impl MarkedSummary {
    /// What the reader of a verdict should know of the logs.
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let requests = |number| count(number, "request");
        let mut add = |code, number: u64, message: String| {
            if number > 0 {
                findings.push(Finding::new(code, message).with("requests", number as f64));
            }
        };
        add(
            "requests_without_line",
            self.missing,
            format!(
                "{} of {} without a line in the logs, which count as answers without an identity: is the log of every \
                 pod there, from the beginning of the run on?",
                self.missing,
                requests(self.sent)
            ),
        );
        add(
            "retried_elsewhere",
            self.moved,
            format!(
                "{} in the logs of several backends: the ingress tried again, and whom the split chose is unknown",
                requests(self.moved)
            ),
        );
        add(
            "repeated_lines",
            self.repeated,
            format!(
                "{} of requests that the same backend had logged before: retries, or several lines a request; each \
                 request counts once",
                count(self.repeated, "line")
            ),
        );
        add(
            "lines_without_pod",
            self.nameless,
            format!(
                "nothing says which pod wrote {}; the first: \"{}\"; add --prefix to kubectl logs, or give files \
                 with the pods' names",
                count(self.nameless, "marked line"),
                self.first_nameless.as_deref().unwrap_or_default()
            ),
        );
        findings
    }
}

/// The pod before a line: `[pod/NAME/CONTAINER] ` of kubectl, `NAME CONTAINER ` of stern for the pods of a Deployment, after the
/// namespace where it reads several, `NAME  | ` of docker compose.
fn pod_of_line(line: &[u8]) -> Option<&str> {
    let head = &line[..line.len().min(2 * MAX_NAME_LENGTH + 64)];
    if let Some(rest) = head.strip_prefix(b"[pod/") {
        let end = memchr::memchr2(b'/', b']', rest)?;
        return pod(&rest[..end]);
    }
    let mut words = head.splitn(4, |&byte| byte == b' ');
    let (first, second, third) = (words.next()?, words.next()?, words.next()?);
    let of_stern = |name, container| {
        pod(name).filter(|name| is_deployment_pod(name) && pod(container).is_some())
    };
    of_stern(first, second)
        .or_else(|| of_stern(second, third))
        .or_else(|| {
            let end = memchr::memmem::find(head, b" | ")?;
            pod(head[..end].trim_ascii_end())
        })
}

/// What may be the name of a pod.
fn pod(name: &[u8]) -> Option<&str> {
    let name = std::str::from_utf8(name).ok()?;
    is_pod(name).then_some(name)
}

/// The pod that a file is named after, as `NAME.log`, or as on a node, `NAME_NAMESPACE_CONTAINER-ID.log`.
fn pod_of_file(file: &Path) -> Option<String> {
    let name = file.file_name()?.to_str()?;
    let name = name.split('_').next()?;
    let name = [".log", ".txt"]
        .iter()
        .find_map(|end| name.strip_suffix(end))
        .unwrap_or(name);
    is_pod(name).then(|| name.to_owned())
}

fn is_pod(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    !name.is_empty() && name.len() <= MAX_NAME_LENGTH && name.bytes().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pod_stands_before_the_line_or_in_the_files_name() {
        for (line, pod) in [
            (
                "[pod/shop-7c5d-x7kfd/app] 10.0.0.1 - -",
                Some("shop-7c5d-x7kfd"),
            ),
            ("shop-v2-1  | 10.0.0.1 - -", Some("shop-v2-1")),
            (
                "shop-7c5ddbdf54-x7kfd app 10.0.0.1 - - [29/Nov",
                Some("shop-7c5ddbdf54-x7kfd"),
            ),
            (
                "prod shop-7c5ddbdf54-x7kfd app {}",
                Some("shop-7c5ddbdf54-x7kfd"),
            ),
            ("info request-1 handled", None),
            ("2026-11-29 02:34:08 GET /", None),
            ("10.0.0.1 - - \"GET /?a | b\"", None),
            ("[pod/\u{1b}[2J/app] x", None),
            ("", None),
        ] {
            assert_eq!(pod_of_line(line.as_bytes()), pod, "{line}");
        }
        for (file, pod) in [
            ("logs/shop-7c5d-x7kfd.log", Some("shop-7c5d-x7kfd")),
            ("shop-0_default_app-0123.log", Some("shop-0")),
            ("shop-0", Some("shop-0")),
            ("a b.log", None),
            ("..", None),
        ] {
            assert_eq!(pod_of_file(Path::new(file)).as_deref(), pod, "{file}");
        }
    }
}
