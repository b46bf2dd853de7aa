//! Answers out of a saved text: who answered how often, and how many answers named nobody.
//!
//! What such a text is, nobody says. It is cut into units first: a page of HTML, a value of JSON, what stands between
//! two markers (`Request # 1`, or `Resquest # 1`, as a well-known script spells it) or two heads (`HTTP/1.1 200 OK`), or a
//! line. A page or value is one answer. Lines are answers where each names somebody in one way (`count`), and a table of
//! counts is counted as one.
//!
//! What could be read in two ways is refused ([`Misread`]): a verdict on counts that were misread is worse than none.

mod answer;
mod count;
mod error;
mod record;
mod repeat;
mod table;
mod unit;

use std::collections::BTreeMap;
use std::io::{self, BufRead};

use super::finder::Sample;
use super::place::Place;
use super::rule::Rules;
use count::Lines;
use record::Records;
use table::Table;
pub(crate) use unit::LineReader;
use unit::{Cutter, Unit};

/// How much of one answer is kept for identification, in bytes; the same bound holds for a line.
pub const MAX_RESPONSE_LENGTH: usize = 1 << 20;
/// More names than this are no pods.
const MOST_NAMES: usize = 1 << 16;
/// What is said of pods' own logs.
const OWN_LOG: &str = "only requests were counted, as it is the pods' own log";
/// So many answers are kept to see what they tell.
const MOST_SAMPLES: usize = 64;
/// As many characters of a line are shown.
const SHOWN: usize = 120;

/// What a text says.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    /// Answers by the name that they give, sorted.
    pub named: BTreeMap<String, u64>,
    /// Answers that name nobody.
    pub unnamed: u64,
    /// Lines that are no answers.
    pub passed_over: u64,
    /// The first line that names nobody, answer or not.
    pub first_unnamed: Option<String>,
    /// What was counted, where that needs saying.
    pub note: Option<&'static str>,
    /// Where the first name was found that has none of the usual forms.
    pub place: Option<Place>,
    /// The first answers that name a pod of another workload too.
    pub several: Vec<Sample>,
}

impl Answers {
    /// The answers that name somebody.
    pub fn named_in_all(&self) -> u64 {
        self.named
            .values()
            .fold(0, |sum: u64, &count| sum.saturating_add(count))
    }
}

/// Why a text is not judged.
#[derive(Debug, thiserror::Error)]
pub enum Misread {
    /// It could not be read.
    #[error("stdin: {0}")]
    Io(#[from] io::Error),
    /// It is the output of something that does not tell who answered.
    #[error("this is {0}, which does not say who answered what")]
    Foreign(&'static str),
    /// It could be read in more than one way; the fragment says how.
    #[error("{0}")]
    Doubt(String),
    /// Nothing in it names anybody.
    #[error("no line of {lines} names a pod; the first: \"{first}\"")]
    Nobody {
        /// How many lines there are.
        lines: u64,
        /// The first, escaped.
        first: String,
        /// What the first answers look like.
        samples: Vec<Sample>,
    },
}

/// Reads the answers that a text records; `labels` are names that may stand for themselves.
///
/// Memory is bounded, whatever the text: by [`MAX_RESPONSE_LENGTH`] and by the number of names.
///
/// # Errors
/// The text could not be read, or not in one way alone.
pub fn read(reader: impl BufRead, rules: &Rules, labels: &[String]) -> Result<Answers, Misread> {
    let mut reading = Reading::new(rules, labels);
    let mut lines = LineReader::new(reader);
    let mut cutter = Cutter::default();
    while let Some(line) = lines.next()? {
        if reading.line == 0 && line.trim_ascii().is_empty() {
            continue;
        }
        reading.line += 1;
        reading.show(line);
        let mut refused = Ok(());
        cutter.push(line, &mut |unit| {
            if refused.is_ok() {
                refused = reading.take(unit);
            }
        });
        refused?;
    }
    let mut refused = Ok(());
    cutter.finish(&mut |unit| {
        if refused.is_ok() {
            refused = reading.take(unit);
        }
    });
    refused?;
    reading.finish(&cutter)
}

/// What has been read so far.
struct Reading<'r> {
    rules: &'r Rules,
    /// Pages, values and what stands between markers.
    whole: BTreeMap<String, u64>,
    whole_unnamed: u64,
    records: Records,
    lines: Lines,
    table: Table<'r>,
    line: u64,
    first: Option<String>,
    first_unnamed: Option<String>,
    samples: Vec<Sample>,
    several: Vec<Sample>,
    /// How many answers were looked at for several.
    heeded: usize,
    place: Option<Place>,
}

impl<'r> Reading<'r> {
    fn new(rules: &'r Rules, labels: &'r [String]) -> Self {
        Self {
            rules,
            whole: BTreeMap::new(),
            whole_unnamed: 0,
            records: Records::default(),
            lines: Lines::default(),
            table: Table::new(rules, labels),
            line: 0,
            first: None,
            first_unnamed: None,
            samples: Vec::new(),
            several: Vec::new(),
            heeded: 0,
            place: None,
        }
    }

    fn show(&mut self, line: &[u8]) {
        if self.first.is_none() && !line.trim_ascii().is_empty() {
            self.first = Some(shown(line));
        }
    }

    fn take(&mut self, unit: Unit<'_>) -> Result<(), Misread> {
        match unit {
            Unit::Whole(text) => {
                if let Some(foreign) = answer::foreign_value(text) {
                    return Err(Misread::Foreign(foreign));
                }
                if answer::counts_something(text) {
                    return Err(doubt_about_counts());
                }
                if let Some((name, place)) = answer::of_unit(self.rules, text) {
                    self.place = self.place.take().or(place);
                    self.heed(&name, text);
                    if !self.records.takes(text, &name)? {
                        add(&mut self.whole, &name, 1)?;
                    }
                } else {
                    self.whole_unnamed += 1;
                    self.unnamed(text);
                }
            }
            Unit::Line { raw, text } => {
                if self.line <= unit::HEAD
                    && let Some(foreign) = answer::foreign_line(text)
                {
                    return Err(Misread::Foreign(foreign));
                }
                let found = answer::of_line(self.rules, text);
                self.table.push(raw, &found);
                match found.named.first() {
                    Some(first) => {
                        self.place = self.place.take().or_else(|| first.place.clone());
                        self.heed(&first.name, text);
                    }
                    None => self.unnamed(text),
                }
                self.lines.push(text, &found)?;
            }
        }
        Ok(())
    }

    /// Keeps an answer if it names a pod of another workload beside `name`.
    fn heed(&mut self, name: &str, text: &[u8]) {
        if !self.rules.are_builtin() || self.heeded >= MOST_SAMPLES {
            return;
        }
        self.heeded += 1;
        if Place::is_besides(name, &http::HeaderMap::new(), text, &|_| false) {
            self.several.push(sample(text));
        }
    }

    fn unnamed(&mut self, text: &[u8]) {
        self.first_unnamed.get_or_insert_with(|| shown(text));
        // Three digits alone are a status that was printed after the answer.
        let is_status = text.len() == 3 && text.iter().all(u8::is_ascii_digit);
        if !is_status && self.samples.len() < MOST_SAMPLES {
            self.samples.push(sample(text));
        }
    }

    fn finish(mut self, cutter: &Cutter) -> Result<Answers, Misread> {
        let are_cut = cutter.has_markers || cutter.has_heads;
        let besides = self.records.finish(&mut self.whole)?;
        let mut answers = match self.table.finish()? {
            Some(counted) if self.whole.is_empty() && self.whole_unnamed == 0 => counted,
            Some(_) => return Err(doubt_about_counts()),
            None => Answers {
                first_unnamed: self.first_unnamed,
                ..self.lines.finish(self.whole.values().sum(), are_cut)?
            },
        };
        for (name, count) in self.whole {
            add(&mut answers.named, &name, count)?;
        }
        answers.unnamed += self.whole_unnamed;
        answers.passed_over += besides;
        if besides > 0 {
            answers.note = Some(OWN_LOG);
        }
        answers.place = self.place;
        answers.several = self.several;
        if answers.named.is_empty() && self.line > 0 && !cutter.has_markers {
            return Err(Misread::Nobody {
                lines: self.line,
                first: self.first.unwrap_or_default(),
                samples: self.samples,
            });
        }
        Ok(answers)
    }
}

fn sample(text: &[u8]) -> Sample {
    Sample {
        status: 200,
        headers: http::HeaderMap::new(),
        body: text[..text.len().min(2048)].to_vec(),
    }
}

fn add(counts: &mut BTreeMap<String, u64>, name: &str, count: u64) -> Result<(), Misread> {
    if let Some(known) = counts.get_mut(name) {
        *known = known.saturating_add(count);
    } else if counts.len() < MOST_NAMES {
        counts.insert(name.to_owned(), count);
    } else {
        return Err(Misread::Doubt(format!(
            "it gives more than {MOST_NAMES} names, and so many are no pods"
        )));
    }
    Ok(())
}

fn doubt_about_counts() -> Misread {
    Misread::Doubt("its rows seem to carry counts, and which is which is not clear".to_owned())
}

/// The beginning of a text, for a person to see.
pub(crate) fn shown(text: &[u8]) -> String {
    let line = text
        .trim_ascii()
        .split(|&byte| byte == b'\n')
        .next()
        .unwrap_or_default();
    let text = String::from_utf8_lossy(&line[..line.len().min(4 * SHOWN)]);
    let mut shown: String = text
        .trim_end()
        .chars()
        .take(SHOWN)
        .collect::<String>()
        .escape_debug()
        .collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests;
