//! Answers by lines: which lines are answers, and which answer a page is that names its pod several times.

use std::collections::{BTreeMap, HashMap};

use super::answer::{self, Line};
use super::error::is_error;
use super::{Answers, MAX_RESPONSE_LENGTH, Misread, add};

/// Text in so many ways is not told apart.
const MOST_CONTEXTS: usize = 64;
/// So many stretches of one name, or rounds of the words that names follow, say how often an answer repeats it.
const STRETCHES: u64 = 8;

/// So many bytes more between two names than between others are a further answer.
const UNEVEN: usize = 12;

/// What lines say so far.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The words that names follow, by number.
    contexts: HashMap<String, u8>,
    /// The words that each name follows, as bits.
    contexts_of: HashMap<String, u64>,
    named: BTreeMap<String, u64>,
    /// Lines that name somebody, and those of them with numbers besides.
    naming: u64,
    with_numbers: u64,
    period: Period,
    order: Order,
    stretches: Stretches,
    /// Lines that name one pod several times, and whether any names several.
    repeating: u64,
    is_mixed: bool,
    /// Lines that name two pods in two ways.
    contradictory: Option<String>,
    /// Lines that name nobody: errors, others, and what pods wrote besides requests.
    errors: u64,
    others: u64,
    besides: u64,
    is_of_pods: bool,
}

/// Answers that name their pod in several lines, always in the same order.
#[derive(Debug, Default)]
struct Period {
    pattern: Vec<u8>,
    is_complete: bool,
    is_broken: bool,
    at: usize,
    name: String,
    named: BTreeMap<String, u64>,
}

/// Whether the words that names follow come in turn.
#[derive(Debug, Default)]
struct Order {
    pattern: Vec<u8>,
    is_complete: bool,
    is_broken: bool,
    at: usize,
    rounds: u64,
}

/// How often a name comes in a row.
#[derive(Debug, Default)]
pub(super) struct Stretches {
    name: String,
    length: u64,
    divisor: u64,
    number: u64,
}

impl Lines {
    pub(super) fn push(&mut self, text: &[u8], line: &Line) -> Result<(), Misread> {
        self.is_of_pods |= line.is_of_pod;
        if line.named.is_empty() {
            if line.is_of_pod {
                self.besides += 1;
            } else if is_error(text) {
                self.errors += 1;
            } else {
                self.others += 1;
            }
            return Ok(());
        }
        if text.len() >= MAX_RESPONSE_LENGTH || line.named.len() >= answer::MOST_IN_A_LINE {
            return Err(Misread::Doubt(
                "one of its lines is too long to be read whole".to_owned(),
            ));
        }
        let gaps = || line.named.iter().skip(1).map(|one| one.gap);
        if gaps().max() > gaps().min().map(|least| least + UNEVEN) {
            return Err(Misread::Doubt(format!(
                "one of its lines holds several answers, and more between some of them than between others, such as answers that \
                 name nobody: \"{}\"; end each with a new line",
                super::shown(text)
            )));
        }
        self.naming += 1;
        let mut digits = text.iter().filter(|byte| byte.is_ascii_digit()).count();
        let first = &line.named[0];
        for one in &line.named {
            digits -= one
                .name
                .bytes()
                .filter(u8::is_ascii_digit)
                .count()
                .min(digits);
            if one.name != first.name && one.context != first.context {
                self.contradictory.get_or_insert_with(|| super::shown(text));
            }
            self.occurs(&one.context, &one.name)?;
        }
        self.with_numbers += u64::from(digits > 0);
        if let [_, _, ..] = &line.named[..]
            && line.named.iter().all(|one| one.context == first.context)
        {
            self.repeating += 1;
            self.is_mixed |= line.named.iter().any(|one| one.name != first.name);
        }
        Ok(())
    }

    fn occurs(&mut self, context: &str, name: &str) -> Result<(), Misread> {
        let known = self.contexts.len();
        let context = match self.contexts.get(context) {
            Some(&number) => number,
            None if known < MOST_CONTEXTS => {
                let number = u8::try_from(known).unwrap_or(u8::MAX);
                self.contexts.insert(context.to_owned(), number);
                number
            }
            None => {
                return Err(Misread::Doubt(
                    "names stand behind too many different words, and which of them answered is not clear".to_owned(),
                ));
            }
        };
        add(&mut self.named, name, 1)?;
        *self.contexts_of.entry(name.to_owned()).or_default() |= 1 << context;
        self.period.push(context, name)?;
        self.order.push(context);
        self.stretches.push(name);
        Ok(())
    }

    /// What the lines come to, beside so many answers that are no lines. `are_cut` says that lines are none.
    pub(super) fn finish(mut self, whole: u64, are_cut: bool) -> Result<Answers, Misread> {
        if let Some(line) = self.contradictory {
            return Err(Misread::Doubt(format!(
                "a line names two pods in different ways: \"{line}\""
            )));
        }
        let is_one_way = self
            .contexts_of
            .values()
            .all(|contexts| contexts.is_power_of_two());
        if !is_one_way && !self.period.is_whole() {
            let mut words: Vec<&str> = self
                .contexts
                .keys()
                .map(String::as_str)
                .filter(|word| !word.is_empty())
                .collect();
            words.sort_unstable();
            words.truncate(4);
            return Err(Misread::Doubt(format!(
                "pods are named in several ways (after {}), and not in step, so that answers can't be told from lines",
                words.join(", ").escape_debug()
            )));
        }
        if is_one_way {
            self.doubt_one_way()?;
        } else {
            self.named = std::mem::take(&mut self.period.named);
        }
        let named: u64 = self.named.values().sum::<u64>() + whole;
        // Where an answer has one line, any other line is an answer, too.
        let are_answers = self.others < named && !are_cut;
        Ok(Answers {
            named: self.named,
            unnamed: self.errors + if are_answers { self.others } else { 0 },
            passed_over: self.besides + if are_answers { 0 } else { self.others },
            note: self.is_of_pods.then_some(super::OWN_LOG),
            ..Answers::default()
        })
    }

    /// Whether answers may name their pod more than once, or lines may be no answers.
    fn doubt_one_way(&mut self) -> Result<(), Misread> {
        let distinct = self.named.len() as u64;
        if self.naming >= 2 && distinct == self.naming && self.with_numbers == self.naming {
            return Err(Misread::Doubt(
                "every name comes once, with numbers beside it, as in a list of pods or of counts"
                    .to_owned(),
            ));
        }
        if distinct > self.order.pattern.len() as u64 && self.order.is_regular() {
            return Err(Misread::Doubt(
                "names come in turn behind different words, as happens when one answer names several pods".to_owned(),
            ));
        }
        let times = self.stretches.times();
        if (self.repeating > 0 && !self.is_mixed) || times > 1 {
            return Err(Misread::Doubt(
                "every name comes several times in a row, as happens when one answer names its pod more than once".to_owned(),
            ));
        }
        Ok(())
    }
}

impl Period {
    fn push(&mut self, context: u8, name: &str) -> Result<(), Misread> {
        if self.is_broken {
            return Ok(());
        }
        if !self.is_complete {
            if self.pattern.contains(&context) {
                self.is_complete = true;
                self.count()?;
            } else {
                self.is_broken = !self.pattern.is_empty() && self.name != name;
                self.pattern.push(context);
                name.clone_into(&mut self.name);
                return Ok(());
            }
        }
        if self.at == 0 {
            name.clone_into(&mut self.name);
        }
        self.is_broken = self.pattern[self.at] != context || self.name != name;
        self.at += 1;
        if self.at == self.pattern.len() && !self.is_broken {
            self.at = 0;
            self.count()?;
        }
        Ok(())
    }

    fn count(&mut self) -> Result<(), Misread> {
        add(&mut self.named, &self.name, 1)
    }

    /// Whether every answer named one pod in all of its lines.
    fn is_whole(&mut self) -> bool {
        if !self.is_complete && !self.is_broken && !self.pattern.is_empty() {
            self.named.insert(self.name.clone(), 1);
        }
        !self.is_broken && self.at == 0
    }
}

impl Order {
    fn push(&mut self, context: u8) {
        if self.is_broken {
            return;
        }
        if !self.is_complete && !self.pattern.contains(&context) {
            self.pattern.push(context);
            return;
        }
        self.is_complete = true;
        self.is_broken = self.pattern[self.at] != context;
        self.at = (self.at + 1) % self.pattern.len();
        self.rounds += u64::from(self.at == 0);
    }

    fn is_regular(&self) -> bool {
        !self.is_broken && self.pattern.len() > 1 && self.rounds >= STRETCHES
    }
}

impl Stretches {
    pub(super) fn push(&mut self, name: &str) {
        if self.name != name {
            self.end();
            name.clone_into(&mut self.name);
        }
        self.length += 1;
    }

    fn end(&mut self) {
        if self.length > 0 {
            let (mut a, mut b) = (self.divisor, self.length);
            while b > 0 {
                (a, b) = (b, a % b);
            }
            self.divisor = a;
            self.number += 1;
            self.length = 0;
        }
    }

    /// How often every name comes in a row, at least; 1 where too few stretches tell.
    pub(super) fn times(&mut self) -> u64 {
        self.end();
        if self.number >= STRETCHES {
            self.divisor
        } else {
            1
        }
    }
}
