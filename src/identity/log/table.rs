//! A text that is a table of counts: `uniq -c`, or a name and its number on every line.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::bytes::Regex;

use super::super::rule::Rules;
use super::super::workload::is_generated_name;
use super::answer::{self, Line};
use super::error::is_error;
use super::{Answers, Misread, add, doubt_about_counts, shown};

/// A table of more rows is none.
const MOST_ROWS: usize = 10_000;

/// Where a row has its count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    First,
    Last,
}

#[derive(Debug)]
struct Row {
    form: Form,
    count: u64,
    /// Who is counted, and the word before the name.
    name: Option<(String, String)>,
    /// What is counted, where that is one word: a name where no row has one.
    word: Option<String>,
}

/// A table, as long as the lines may be one.
#[derive(Debug)]
pub(super) struct Table<'r> {
    rules: &'r Rules,
    labels: &'r [String],
    rows: Vec<Row>,
    /// Whether a line was no row.
    is_broken: bool,
    /// Rows that are aligned as `uniq -c` does.
    aligned: u64,
    /// The number of the next row, where all so far were numbered one by one.
    next_number: Option<u64>,
    headings: u64,
    /// The first line that names nobody.
    first_unnamed: Option<String>,
}

impl<'r> Table<'r> {
    pub(super) fn new(rules: &'r Rules, labels: &'r [String]) -> Self {
        Self {
            rules,
            labels,
            rows: Vec::new(),
            is_broken: false,
            aligned: 0,
            next_number: None,
            headings: 0,
            first_unnamed: None,
        }
    }

    pub(super) fn push(&mut self, raw: &[u8], line: &Line) {
        if self.is_broken {
            return;
        }
        let Some((form, count, who)) = parse(raw) else {
            self.is_broken = !line.named.is_empty() || is_error(raw);
            self.headings += 1;
            self.first_unnamed.get_or_insert_with(|| shown(raw));
            return;
        };
        let is_aligned = raw.starts_with(b" ") && form == Form::First;
        let is_numbered = match self.next_number {
            _ if form == Form::Last => false,
            Some(next) => count == next,
            None => self.rows.is_empty() && count <= 1,
        };
        self.next_number = is_numbered.then_some(count + 1);
        self.aligned += u64::from(is_aligned);
        if self.rows.len() == MOST_ROWS {
            self.is_broken = true;
            return;
        }
        let who = who.trim_ascii();
        let name = self.name(who);
        let is_sum = ["total", "sum", "all", "in all"]
            .iter()
            .any(|sum| who.eq_ignore_ascii_case(sum.as_bytes()));
        if !(is_sum || who.is_empty() && name.is_none()) {
            if name.is_none() {
                self.first_unnamed.get_or_insert_with(|| shown(raw));
            }
            let word = word(who).filter(|_| is_aligned);
            self.rows.push(Row {
                form,
                count,
                name,
                word,
            });
        }
    }

    fn name(&self, who: &[u8]) -> Option<(String, String)> {
        let line = answer::of_line(self.rules, who);
        match &line.named[..] {
            [one] => return Some((one.name.clone(), one.context.clone())),
            [_, ..] => return None,
            [] => {}
        }
        let who = std::str::from_utf8(who)
            .ok()?
            .trim_matches(['"', '\'', '|', ' ']);
        let stands_for_itself =
            self.labels.iter().any(|label| label == who) || is_generated_name(who);
        stands_for_itself.then(|| (who.to_owned(), String::new()))
    }

    /// What the table counts; `None` where the text is none.
    pub(super) fn finish(mut self) -> Result<Option<Answers>, Misread> {
        if !self.is_broken
            && self
                .rows
                .iter()
                .all(|row| row.name.is_none() && row.word.is_some())
        {
            for row in &mut self.rows {
                row.name = row.word.take().map(|word| (word, String::new()));
            }
            self.first_unnamed = None;
        }
        let named: Vec<(&str, &str)> = self
            .rows
            .iter()
            .filter_map(|row| row.name.as_ref())
            .map(|(name, context)| (name.as_str(), context.as_str()))
            .collect();
        let is_numbered = self.rows.len() >= 3 && self.next_number.is_some();
        if is_numbered || named.is_empty() {
            return Ok(None);
        }
        if self.is_broken {
            return if self.aligned > 0 && self.next_number.is_none() {
                Err(doubt_about_counts())
            } else {
                Ok(None)
            };
        }
        let mut contexts = BTreeMap::new();
        let has_one_context = named
            .iter()
            .all(|&(name, context)| *contexts.entry(name).or_insert(context) == context);
        let is_distinct = contexts.len() == named.len();
        let is_aligned = self.aligned == self.rows.len() as u64 && self.aligned > 0;
        let first = self.rows[0].form;
        let is_one_form = self.rows.iter().all(|row| row.form == first);
        if !is_aligned && self.rows.len() > 1 && self.are_no_counts() {
            // Something else beside every answer, unless every name comes once.
            return if is_distinct {
                Err(doubt_about_counts())
            } else {
                Ok(None)
            };
        }
        if !has_one_context || !is_one_form || self.headings > 1 || !(is_distinct || is_aligned) {
            return Err(doubt_about_counts());
        }
        self.counted().map(Some)
    }

    /// Whether the numbers are rather statuses, or belong to the name, as a version does.
    fn are_no_counts(&self) -> bool {
        let mut numbers: Vec<u64> = self.rows.iter().map(|row| row.count).collect();
        numbers.sort_unstable();
        numbers.dedup();
        if numbers.len() <= 4 && numbers.iter().all(|number| (100..600).contains(number)) {
            return numbers.len() == 1 || self.rows.len() > 2 * numbers.len();
        }
        let mut number_of = BTreeMap::new();
        let named = self
            .rows
            .iter()
            .filter_map(|row| Some((&row.name.as_ref()?.0, row.count)));
        let belongs = named
            .clone()
            .all(|(name, count)| *number_of.entry(name).or_insert(count) == count);
        belongs && number_of.len() < named.count()
    }

    fn counted(self) -> Result<Answers, Misread> {
        let mut answers = Answers {
            note: Some("its rows carry counts, which were added up"),
            passed_over: self.headings,
            first_unnamed: self.first_unnamed,
            ..Answers::default()
        };
        for row in self.rows {
            match row.name {
                Some((name, _)) => add(&mut answers.named, &name, row.count)?,
                None => answers.unnamed = answers.unnamed.saturating_add(row.count),
            }
        }
        Ok(answers)
    }
}

/// A text that is one word and no number.
fn word(text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?;
    let is_word = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    is_word.then(|| text.to_owned())
}

/// A row: its form, its count, and what else it says.
fn parse(raw: &[u8]) -> Option<(Form, u64, &[u8])> {
    static FIRST: LazyLock<Regex> =
        LazyLock::new(|| expression(r#"^\s*\|?\s*"?(\d{1,18})"?(?:\s*[x×:=,;|]\s*|\s+)(\S.*)$"#));
    static LAST: LazyLock<Regex> = LazyLock::new(|| {
        expression(
            r#"^\s*\|?\s*(\S.*?)\s*(?:[\s:=,;|]|->|=>)\s*[x×(]?"?(\d{1,18})"?\s*(?:\)|\||x|×|times|requests|responses|hits)?\s*$"#,
        )
    });
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse().ok();
    if let Some(found) = FIRST.captures(raw) {
        return Some((
            Form::First,
            number(found.get(1)?.as_bytes())?,
            found.get(2)?.as_bytes(),
        ));
    }
    if raw.iter().any(|byte| !byte.is_ascii_whitespace())
        && raw.trim_ascii().iter().all(u8::is_ascii_digit)
    {
        return Some((Form::First, number(raw.trim_ascii())?, b""));
    }
    let found = LAST.captures(raw)?;
    Some((
        Form::Last,
        number(found.get(2)?.as_bytes())?,
        found.get(1)?.as_bytes(),
    ))
}

fn expression(text: &str) -> Regex {
    Regex::new(text).expect("the expression is one")
}
