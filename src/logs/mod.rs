//! Access logs of other programs → evidence: each line is an answer, and the upstream that it names is who gave it.
//!
//! A [`Format`] is a row of a table; `template` reads lines of text and `json` objects into the same `Entry`.
//! Clients repeat themselves, so lines are gathered by client (`clients`), and the verdict rests on the variance
//! between them. Lines stand in the order in which responses ended: it says nothing of bursts, and of a change only what
//! such an order cannot do by itself. Memory is bounded, however long the log.

mod clients;
mod entry;
mod filter;
mod format;
mod json;
mod marked;
mod template;
mod time;

use std::collections::BTreeMap;
use std::io::{self, BufRead};
use std::sync::Arc;
use std::time::Duration;

use crate::format::count as counted;
use crate::identity::MAX_NAME_LENGTH;
use crate::identity::assignment::Mappings;
use crate::identity::log::{LineReader, shown};
use crate::tally::count;
use crate::tally::pods::{Interner, PodRegistry};
use crate::tally::windows::Windows;
use crate::verdict::decision::Shared;
use crate::verdict::diagnosis::Finding;
use crate::verdict::{Evidence, OrderedBy};
use clients::Clients;
use entry::{Entry, Named};
pub use filter::{Filter, Statuses};
pub use format::{Format, NAMES};
pub use marked::{MarkedLogs, MarkedSummary};
pub use time::parse as parse_time;

/// How a log is read.
#[derive(Debug)]
pub struct Log {
    /// How its lines are written.
    pub format: Format,
    /// Which of them are meant.
    pub filter: Filter,
    /// Whether each line is taken for a draw of its own, as of a load test, whoever asked.
    pub is_independent: bool,
}

/// What a log says.
#[derive(Debug, Default)]
pub struct Read {
    /// What is judged.
    pub evidence: Evidence,
    /// How it was read.
    pub summary: Summary,
}

/// How a log was read: what its reader should know besides the counts.
#[derive(Debug, Default, Clone)]
pub struct Summary {
    /// Lines, blank ones apart.
    pub lines: u64,
    /// Lines that the filter leaves out.
    pub left_out: u64,
    /// Lines that do not fit the format.
    pub unfit: u64,
    /// The first of them, escaped.
    pub first_unfit: Option<String>,
    /// Lines that fit and name no upstream.
    pub unrouted: u64,
    /// The first of them, escaped.
    pub first_unrouted: Option<String>,
    /// Lines of which a retry went to another upstream, and which count for the first.
    pub retried: u64,
    /// Lines that name the last of several upstreams alone, so that the first is unknown.
    pub moved: u64,
    /// Answers whose client is not named.
    pub clientless: u64,
    /// Clients that were told apart; beyond the bound several count as one.
    pub clients: u64,
    /// Answers by the name of the upstream, for the first names.
    pub upstreams: BTreeMap<String, u64>,
}

/// So many upstreams are told by name.
const MOST_TOLD: usize = 16;

impl Log {
    /// Reads the answers of a log, grouped as `mappings` says.
    ///
    /// # Errors
    /// The log could not be read.
    pub fn read(&self, reader: impl BufRead, mappings: Mappings) -> io::Result<Read> {
        let registry = PodRegistry::shared(mappings);
        let mut reading = Reading::new(self, Arc::clone(&registry));
        let mut lines = LineReader::new(reader);
        while let Some(line) = lines.next()? {
            reading.take(line);
        }
        let clients = std::mem::take(&mut reading.clients);
        let mut summary = reading.summary;
        summary.clients = clients.count();
        let groups = registry.groups();
        reading.observed.resize(groups.len(), 0);
        let blocks = reading.windows.blocks().iter();
        let evidence = Evidence {
            groups,
            observed: reading.observed,
            unattributed: summary.unfit + summary.unrouted + summary.moved,
            connections: (!self.is_independent).then(|| clients.closed()),
            shared_by: Shared::Client,
            windows: blocks.map(|block| block.counts.clone()).collect(),
            ordered_by: OrderedBy::End,
            ..Evidence::default()
        };
        Ok(Read { evidence, summary })
    }
}

/// What has been read so far.
struct Reading<'l> {
    log: &'l Log,
    entry: Entry,
    interner: Interner,
    observed: Vec<u64>,
    answered: u64,
    windows: Windows,
    clients: Clients,
    summary: Summary,
}

impl<'l> Reading<'l> {
    fn new(log: &'l Log, registry: Arc<PodRegistry>) -> Self {
        Self {
            log,
            entry: Entry::default(),
            interner: Interner::new(registry),
            observed: Vec::new(),
            answered: 0,
            windows: Windows::default(),
            clients: Clients::default(),
            summary: Summary::default(),
        }
    }

    fn take(&mut self, line: &[u8]) {
        let line = line.trim_ascii();
        if line.is_empty() {
            return;
        }
        self.summary.lines += 1;
        if !self.log.format.read(line, &mut self.entry) {
            self.summary.unfit += 1;
            self.summary.first_unfit.get_or_insert_with(|| shown(line));
            self.nobody();
            return;
        }
        if !self.log.filter.takes(&self.entry) {
            self.summary.left_out += 1;
            return;
        }
        match self.entry.named() {
            Named::One { name, is_retried } if name.len() <= MAX_NAME_LENGTH => {
                self.summary.retried += u64::from(is_retried);
                let upstreams = &mut self.summary.upstreams;
                if let Some(count) = upstreams.get_mut(name) {
                    *count += 1;
                } else if upstreams.len() < MOST_TOLD {
                    upstreams.insert(name.to_owned(), 1);
                }
                let group = self.interner.group_of(name);
                self.somebody(group);
            }
            Named::Moved => {
                self.summary.moved += 1;
                self.nobody();
            }
            Named::One { .. } | Named::Nobody => {
                self.summary.unrouted += 1;
                self.summary
                    .first_unrouted
                    .get_or_insert_with(|| shown(line));
                self.nobody();
            }
        }
    }

    fn somebody(&mut self, group: usize) {
        count(&mut self.observed, group, 1);
        self.windows.record(self.answered, group, Duration::ZERO);
        self.answered += 1;
        let client = self.entry.client();
        self.summary.clientless += u64::from(client.is_empty());
        if !self.log.is_independent {
            self.clients.record(client, Some(group));
        }
    }

    fn nobody(&mut self) {
        if !self.log.is_independent && !self.entry.client().is_empty() {
            self.clients.record(self.entry.client(), None);
        }
    }
}

impl Summary {
    /// What the reader of a verdict should know of the log.
    #[expect(clippy::too_many_lines, reason = "each call is a finding")]
    pub fn findings(&self, is_independent: bool) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut add = |code, number: u64, message: String| {
            if number > 0 {
                findings.push(Finding::new(code, message).with("lines", number as f64));
            }
        };
        let first = |line: &Option<String>| line.clone().unwrap_or_default();
        let lines = |number| counted(number, "line");
        add(
            "lines_not_read",
            self.unfit,
            format!(
                "{} of {} not of the format, which count as answers without an identity; the first: \"{}\"",
                self.unfit,
                lines(self.lines),
                first(&self.first_unfit)
            ),
        );
        add(
            "lines_without_upstream",
            self.unrouted,
            format!(
                "{} without an upstream, so that the proxy answered by itself; the first: \"{}\"; --status, \
                 --path and --host leave lines out",
                lines(self.unrouted),
                first(&self.first_unrouted)
            ),
        );
        add(
            "retried_requests",
            self.retried,
            format!(
                "{} tried on several upstreams; the first of each counts, since that is whom the split chose",
                counted(self.retried, "request")
            ),
        );
        add(
            "retried_elsewhere",
            self.moved,
            format!(
                "{} retried, of which the log names the last upstream alone: whom the split chose is unknown",
                counted(self.moved, "request")
            ),
        );
        let answers = self.answers();
        if is_independent {
            add(
                "assumed_independent",
                answers,
                format!(
                    "{} taken for a draw each, as --independent says: where clients or connections keep to a backend, \
                     the error rates do not hold",
                    lines(answers)
                ),
            );
        } else {
            add(
                "clients_unknown",
                self.clientless,
                format!(
                    "{} without a client, whose requests may depend on each other, count as one client's: have \
                     the client's address logged, or, where each request was drawn by itself, say --independent",
                    lines(self.clientless)
                ),
            );
        }
        findings
    }

    /// The lines that name who answered.
    pub fn answers(&self) -> u64 {
        self.lines - self.left_out - self.unfit - self.unrouted - self.moved
    }
}

#[cfg(test)]
mod tests;
