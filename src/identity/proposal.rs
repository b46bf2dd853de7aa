//! What to identify backends by where responses name no pod: a version, a colour, whatever differs between them.
//!
//! A proposal is a guess to be read and pasted by a person. It is tried on the responses before it is made, by the rule's
//! own code, and never used without being asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::finder::Sample;
use super::rule::Rules;
use super::workload::{is_generated_name, workload};
use crate::headers::Headers;
use crate::observation::status::is_refusal;

/// More values than this are no backends.
const MOST_VALUES: usize = 8;
/// Fewer responses do not tell what differs.
const LEAST: usize = 4;
/// As many bytes before a value are its context at most.
const CONTEXT: usize = 24;
/// What a value is written in, as a regular expression.
const VALUE: &str = "([A-Za-z0-9][A-Za-z0-9._-]*)";
/// Headers that say nothing of who answered.
const OTHER_HEADERS: [&str; 7] = [
    "date",
    "content-length",
    "content-type",
    "connection",
    "keep-alive",
    "age",
    "set-cookie",
];

/// Options that tell the backends apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The rule for `--identify`.
    pub identify: String,
    /// `(label, value)` for `--backend`; empty where the values are the labels.
    pub backends: Vec<(String, String)>,
}

impl Proposal {
    /// What tells `labels`, with the shares expected of them, apart in `samples`; `None` where nothing clearly does.
    pub fn of(labels: &[String], shares: &[f64], samples: &[Sample]) -> Option<Self> {
        let samples: Vec<&Sample> = samples
            .iter()
            .filter(|sample| !is_refusal(sample.status))
            .collect();
        if samples.len() < LEAST {
            return None;
        }
        let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for sample in &samples {
            for (rule, value) in spots(sample) {
                values.entry(rule).or_default().push(value);
            }
        }
        let ways = values
            .into_iter()
            .filter(|(_, values)| values.len() == samples.len())
            .filter_map(|(rule, values)| {
                let counts = counted(&values);
                let rank = rank(labels, &counts, &rule)?;
                reads(&rule, &samples, &values).then_some((rank, rule, counts))
            });
        let (_, identify, counts) = ways
            .min_by(|(a, rule_a, _), (b, rule_b, _)| (a, rule_a.len()).cmp(&(b, rule_b.len())))?;
        Some(Self {
            identify,
            backends: backends(labels, shares, &counts),
        })
    }

    /// The options as a shell takes them.
    pub fn options(&self) -> String {
        let mut message = format!("--identify {}", quoted(&self.identify));
        for (label, value) in &self.backends {
            message.push_str(" --backend ");
            message.push_str(&quoted(&format!("{label}={value}")));
        }
        message
    }
}

/// A rule that reads a pod's name, and the name that it reads first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameRule {
    /// The rule for `--identify`.
    pub identify: String,
    pub name: String,
    /// Whether it reads several workloads in the samples.
    pub differs: bool,
}

impl NameRule {
    /// One for each name of a pod in the first sample that can be read in all of them; where some lead to several
    /// workloads, those alone.
    pub fn of(samples: &[Sample]) -> Vec<Self> {
        let Some(first) = samples.first() else {
            return Vec::new();
        };
        let mut found: BTreeMap<String, Self> = BTreeMap::new();
        let mut spots: Vec<_> = spots(first).into_iter().collect();
        spots.sort_by_key(|(rule, _)| rule.len());
        for (identify, name) in spots {
            if let Some(workloads) = workloads(&identify, &name, samples) {
                let rule = Self {
                    identify,
                    name: name.clone(),
                    differs: workloads > 1,
                };
                found.entry(name).or_insert(rule);
            }
        }
        let some_differ = found.values().any(|rule| rule.differs);
        let rules = found.into_values();
        rules.filter(|rule| rule.differs || !some_differ).collect()
    }
}

/// How many workloads a rule reads in the samples, if it reads a pod in all of them, and `name` in the first.
fn workloads(rule: &str, name: &str, samples: &[Sample]) -> Option<usize> {
    if !is_generated_name(name) {
        return None;
    }
    let rules = Rules::parse(&[rule.to_owned()]).ok()?;
    let mut found = BTreeSet::new();
    for (number, sample) in samples.iter().enumerate() {
        let read = rules.identify(Headers::from(&sample.headers), &sample.body)?;
        if number == 0 && read != name || !is_generated_name(&read) {
            return None;
        }
        found.insert(workload(&read).to_owned());
    }
    Some(found.len())
}

/// `word` as a POSIX shell reads it back.
pub fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/:=@,+".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Every rule that reads a word of the response, and the word; of equal rules the first.
fn spots(sample: &Sample) -> BTreeMap<String, String> {
    let mut spots = BTreeMap::new();
    for (header, value) in &sample.headers {
        if let Ok(value) = value.to_str()
            && !OTHER_HEADERS.contains(&header.as_str())
            && is_value(value.trim())
        {
            spots
                .entry(format!("header:{header}"))
                .or_insert_with(|| value.trim().to_owned());
        }
    }
    for (rule, value) in json_values(&sample.body) {
        if is_value(&value) {
            spots.entry(rule).or_insert(value);
        }
    }
    let body = String::from_utf8_lossy(&sample.body);
    for Word {
        context,
        value,
        is_first,
    } in words(&body)
    {
        let start = if context.is_empty() { "^" } else { "" };
        let rule = format!("{}{VALUE}", regex::escape(context));
        if is_first && !context.is_empty() {
            let anchored = spots.entry(format!("(?m)^{rule}"));
            anchored.or_insert_with(|| value.to_owned());
        }
        let rule = spots.entry(format!("{start}{rule}"));
        rule.or_insert_with(|| value.to_owned());
    }
    spots
}

/// Keys that name who answered, as a rule, the surest first.
const TELLING: [&str; 10] = [
    "pod", "hostname", "version", "instance", "backend", "server", "host", "name", "color",
    "colour",
];

/// Rules that read the texts of a JSON body, and the texts; those behind telling keys come first, the most telling before others.
pub fn json_values(body: &[u8]) -> Vec<(String, String)> {
    let mut values = Vec::new();
    let whole = serde_json::from_slice(body).ok();
    if let Some(document) = whole.or_else(|| serde_json::from_slice(&mended(body)?).ok()) {
        walk(&document, "json:", &mut values);
    }
    let place = |(rule, _): &(String, String)| {
        let key = rule.rsplit('/').next().unwrap_or_default();
        // Of all pods alike.
        let key = key.to_ascii_lowercase().replace("namespace", "");
        let found = TELLING.iter().position(|word| key.contains(word));
        found.unwrap_or(TELLING.len())
    };
    values.sort_by_key(place);
    values
}

/// The beginning of a JSON text that was cut, up to its last whole value, made whole.
fn mended(cut: &[u8]) -> Option<Vec<u8>> {
    let mut open = Vec::new();
    let (mut is_text, mut is_escaped) = (false, false);
    let mut last = None;
    for (at, &byte) in cut.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            _ if is_text => {}
            b'{' => open.push(b'}'),
            b'[' => open.push(b']'),
            b'}' | b']' => {
                open.pop();
            }
            b',' => last = Some((at, open.clone())),
            _ => {}
        }
    }
    let (at, open) = last?;
    let mut mended = cut.get(..at)?.to_vec();
    mended.extend(open.iter().rev());
    Some(mended)
}

/// More values than this are not looked at.
const MOST_PLACES: usize = 64;

fn walk(document: &Value, at: &str, values: &mut Vec<(String, String)>) {
    if values.len() >= MOST_PLACES {
        return;
    }
    match document {
        Value::Object(fields) => {
            for (key, value) in fields {
                let key = key.replace('~', "~0").replace('/', "~1");
                walk(value, &format!("{at}/{key}"), values);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                walk(value, &format!("{at}/{index}"), values);
            }
        }
        Value::String(text) if at.contains('/') => values.push((at.to_owned(), text.clone())),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A word of a text.
#[derive(Debug, Clone, Copy)]
struct Word<'a> {
    /// What stands before it in its line, from the word before on.
    context: &'a str,
    value: &'a str,
    /// Whether the context begins the line.
    is_first: bool,
}

/// The words of a text.
fn words(text: &str) -> impl Iterator<Item = Word<'_>> {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    text.lines().enumerate().flat_map(move |(line, text)| {
        let mut found = Vec::new();
        let (mut before, mut at) = (0, 0);
        while let Some(gap) = text[at..].find(|c: char| c.is_ascii_alphanumeric()) {
            let start = at + gap;
            let length = text[start..]
                .find(|c| !is_inner(c))
                .unwrap_or(text.len() - start);
            let end = start + length;
            let context = &text[before..start];
            // What begins a later line is found by nothing that stands before it.
            let is_found = context.len() <= CONTEXT && (line == 0 || !context.is_empty());
            if is_found && !is_of_time(context, &text[start..end]) {
                found.push(Word {
                    context,
                    value: &text[start..end],
                    is_first: before == 0,
                });
            }
            (before, at) = (start, end);
        }
        found
    })
}

/// Whether a word is a part of a date or of a time of day.
fn is_of_time(context: &str, value: &str) -> bool {
    static BEFORE: LazyLock<Regex> = LazyLock::new(|| {
        let months = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec";
        let expression = format!(r"^(?:\d{{1,4}}|{months}|\d{{4}}-\d\d-\d\dT\d\d)[:/]$");
        Regex::new(&expression).expect("the expression is one")
    });
    static DATE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^\d{4}-\d\d-\d\d").expect("the expression is one"));
    BEFORE.is_match(context) || DATE.is_match(value)
}

fn is_value(value: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    value.starts_with(|c: char| c.is_ascii_alphanumeric()) && value.bytes().all(is_inner)
}

/// The distinct values, the most frequent first.
fn counted(values: &[String]) -> Vec<(String, usize)> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for value in values {
        *counts.entry(value).or_default() += 1;
    }
    let mut counts: Vec<_> = counts
        .into_iter()
        .map(|(value, count)| (value.to_owned(), count))
        .collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}

/// How little speaks for values as backends, 0 being the most that can; `None` where they can't be.
fn rank(labels: &[String], counts: &[(String, usize)], rule: &str) -> Option<u8> {
    let responses: usize = counts.iter().map(|(_, count)| count).sum();
    if counts.len() < 2 || counts.len() > MOST_VALUES || 2 * counts.len() > responses {
        return None;
    }
    if are_labels(labels, counts) {
        return Some(0);
    }
    if counts.len() != labels.len() {
        return None;
    }
    let rule = rule.to_ascii_lowercase();
    let says_so = ["version", "colo", "track", "release", "variant", "slot"]
        .iter()
        .any(|word| rule.contains(word));
    Some(if says_so { 1 } else { 2 })
}

/// Whether every value is a label, or a pod whose workload is called after one, and of several labels at that.
fn are_labels(labels: &[String], counts: &[(String, usize)]) -> bool {
    let label_of = |(value, _): &(String, usize)| {
        let workload = workload(value);
        labels.iter().position(|label| {
            let stem = workload.strip_suffix(label.as_str());
            value == label || stem.is_some_and(|stem| stem.is_empty() || stem.ends_with('-'))
        })
    };
    let known: Option<BTreeSet<usize>> = counts.iter().map(label_of).collect();
    known.is_some_and(|known| known.len() > 1)
}

/// Which value is which label: by their names, else by how often they come.
fn backends(
    labels: &[String],
    shares: &[f64],
    counts: &[(String, usize)],
) -> Vec<(String, String)> {
    if are_labels(labels, counts) {
        return Vec::new();
    }
    let major = |text: &str| -> String {
        let text = text.trim_start_matches(|c: char| !c.is_ascii_digit());
        text.chars().take_while(char::is_ascii_digit).collect()
    };
    let by_number = |label: &String| {
        let mut fitting = counts
            .iter()
            .filter(|(value, _)| !major(label).is_empty() && major(value) == major(label));
        fitting.next().filter(|_| fitting.next().is_none())
    };
    let named: Option<Vec<_>> = labels
        .iter()
        .map(|label| Some((label.clone(), by_number(label)?.0.clone())))
        .collect();
    named.unwrap_or_else(|| {
        let mut order: Vec<usize> = (0..labels.len()).collect();
        order.sort_by(|&a, &b| shares[b].total_cmp(&shares[a]));
        let pair =
            |(label, (value, _)): (usize, &(String, usize))| (labels[label].clone(), value.clone());
        order.into_iter().zip(counts).map(pair).collect()
    })
}

/// Whether the rule, as it would be used, reads these values.
fn reads(rule: &str, samples: &[&Sample], values: &[String]) -> bool {
    let Ok(rules) = Rules::parse(&[rule.to_owned()]) else {
        return false;
    };
    samples.iter().zip(values).all(|(sample, value)| {
        let headers = Headers::from(&sample.headers);
        rules.identify(headers, &sample.body).as_deref() == Some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proposed(labels: &[&str], bodies: &[&str]) -> Option<String> {
        let labels: Vec<String> = labels.iter().map(ToString::to_string).collect();
        let sample = |body: &&str| Sample {
            status: 200,
            headers: http::HeaderMap::new(),
            body: body.as_bytes().to_vec(),
        };
        let samples: Vec<Sample> = bodies.iter().map(sample).collect();
        Proposal::of(&labels, &[0.7, 0.3], &samples).map(|proposal| proposal.options())
    }

    #[test]
    fn what_differs_between_responses_is_offered_ready_to_paste() {
        for (one, other, expected) in [
            (
                "Good day from v1!",
                "Good day from v2!",
                "--identify 'from ([A-Za-z0-9][A-Za-z0-9._-]*)'",
            ),
            (
                "\"blue\"",
                "\"yellow\"",
                "--identify '\"([A-Za-z0-9][A-Za-z0-9._-]*)' --backend v1=blue --backend v2=yellow",
            ),
            (
                "{\"id\":7,\"version\":\"2.0.1\"}",
                "{\"id\":7,\"version\":\"1.4.0\"}",
                "--identify json:/version --backend v1=1.4.0 --backend v2=2.0.1",
            ),
            (
                "Hello from web-v1-0",
                "Hello from web-v2-1",
                "--identify 'from ([A-Za-z0-9][A-Za-z0-9._-]*)'",
            ),
            (
                "[30/Nov/2026:07:00:12 +0000] \"GET /\" 10.42.1.7:80",
                "[30/Nov/2026:07:01:14 +0000] \"GET /\" 10.42.2.9:80",
                "--identify 'GET /\" ([A-Za-z0-9][A-Za-z0-9._-]*)' --backend v1=10.42.1.7 --backend v2=10.42.2.9",
            ),
            (
                "blue",
                "green",
                "--identify '^([A-Za-z0-9][A-Za-z0-9._-]*)' --backend v1=blue --backend v2=green",
            ),
        ] {
            let message = proposed(&["v1", "v2"], &[one, one, other, one, one, other]);
            assert_eq!(message.as_deref(), Some(expected), "{one}");
        }
    }

    #[test]
    fn the_texts_of_a_json_body_are_offered_those_first_that_may_name_who_answered() {
        let rules = |body: &str| -> Vec<String> {
            let values = json_values(body.as_bytes());
            values.into_iter().map(|(rule, _)| rule).collect()
        };
        let body = r#"{"id":"7","ok":true,"app":{"a/b":"x","version":"2.0"},"n":[1,"y"]}"#;
        let expected = [
            "json:/app/version",
            "json:/app/a~1b",
            "json:/id",
            "json:/n/1",
        ];
        assert_eq!(rules(body), expected);
        assert!(rules("hello").is_empty() && rules("{\"cut").is_empty());
        let cut = &body[..body.len() - 5];
        assert_eq!(rules(cut), expected[..3]);
        assert_eq!(rules(r#"{"a":{"pod":"x, }","b":["y\"#), ["json:/a/pod"]);
        assert_eq!(
            rules(r#"{"namespace":"shop","host":"a","podName":"x"}"#),
            ["json:/podName", "json:/host", "json:/namespace"]
        );
    }

    #[test]
    fn of_several_pods_those_that_differ_are_offered() {
        let rules = |bodies: &[&str]| -> Vec<(String, String)> {
            let sample = |body: &&str| Sample {
                status: 200,
                headers: http::HeaderMap::new(),
                body: body.as_bytes().to_vec(),
            };
            let samples: Vec<Sample> = bodies.iter().map(sample).collect();
            let rules = NameRule::of(&samples).into_iter();
            rules.map(|rule| (rule.identify, rule.name)).collect()
        };
        let of = |rule: &str, name: &str| (format!("{rule}{VALUE}"), name.to_owned());
        let (edge, shop) = ("edge-6d4b75cb6d-hp8mk", "shop-7c5ddbdf54-x7kfd");
        let one = "via edge-6d4b75cb6d-hp8mk to shop-7c5ddbdf54-x7kfd";
        assert_eq!(rules(&[one, one]), [of("via ", edge), of("to ", shop)]);
        let other = "via edge-6d4b75cb6d-hp8mk to shop-v2-6b8464cddd-nnjmj";
        assert_eq!(rules(&[one, other]), [of("to ", shop)]);
        // A key that ends another one is told apart by the start of its line.
        let keyed = "edge-pod: edge-6d4b75cb6d-hp8mk\npod: shop-7c5ddbdf54-x7kfd\n";
        let expected = [of("edge\\-pod: ", edge), of("(?m)^pod: ", shop)];
        assert_eq!(rules(&[keyed]), expected);
        assert_eq!(rules(&["hello"]), []);
    }

    #[test]
    fn what_does_not_tell_two_backends_apart_is_not_offered() {
        assert_eq!(proposed(&["v1", "v2"], &["same"; 8]), None);
        assert_eq!(
            proposed(&["v1", "v2"], &["a 1", "a 2", "a 3", "a 4", "a 5", "a 6"]),
            None
        );
        assert_eq!(proposed(&["v1", "v2"], &["blue", "green"]), None, "too few");
        assert_eq!(
            proposed(
                &["v1", "v2"],
                &["it's a", "it's b", "it's c", "it's a", "it's b", "it's c"]
            ),
            None
        );
    }
}
