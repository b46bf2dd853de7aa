//! What `lbtest compare` reports: two routing tables, rule by rule.

use std::fmt::Write;

use schemars::JsonSchema;
use serde::Serialize;

use super::escape::{markdown, terminal};
use crate::format;

/// The version of this contract.
pub const SCHEMA_VERSION: u32 = 1;

/// Two routing tables, as `compare --json` writes them.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct CompareReport {
    /// The version of this contract.
    pub schema_version: u32,
    /// The number of rules with the same split on both sides.
    pub same: u64,
    /// The number of rules with another split.
    pub differs: u64,
    /// The number of rules that are in the old manifests alone.
    pub only_old: u64,
    /// The number of rules that are in the new manifests alone.
    pub only_new: u64,
    /// The number of rules of which that can't be told.
    pub unclear: u64,
    /// The rules: those of the old manifests in their order, then those of the new that have no counterpart.
    pub rules: Vec<ComparedRule>,
    /// What the manifests say beside the split, which is not compared.
    pub notes: Vec<String>,
}

/// How a rule compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compared {
    /// Its requests get the same split on both sides.
    Same,
    /// They get another.
    Differs,
    /// The new manifests have no such rule, and what they do with its requests is another thing.
    OnlyOld,
    /// The same of the old manifests.
    OnlyNew,
    /// It can't be told.
    Unclear,
}

/// A rule, on both sides.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ComparedRule {
    /// How it compares.
    pub result: Compared,
    /// The host; `null` for any.
    pub host: Option<String>,
    /// The path as it is written.
    pub path: String,
    /// What else it asks for, such as `header x-canary: always`.
    pub conditions: Vec<String>,
    /// The old rule that takes its requests.
    pub old: Option<RuleSide>,
    /// The new rule that takes them.
    pub new: Option<RuleSide>,
    /// Why it compares so, and how two forms mean the same, for a person.
    pub reasons: Vec<String>,
}

/// The rule of one side.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct RuleSide {
    /// The rule with its weights, for a person.
    pub rule: String,
    /// The file that it stands in.
    pub file: String,
    /// Its backends.
    pub backends: Vec<RuleBackend>,
}

/// A backend of a rule.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct RuleBackend {
    /// Its name.
    pub name: String,
    /// Its share of the rule's requests.
    pub share: f64,
}

impl Compared {
    /// The word for a person.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Differs => "differs",
            Self::OnlyOld => "only old",
            Self::OnlyNew => "only new",
            Self::Unclear => "unclear",
        }
    }
}

impl ComparedRule {
    /// Host, path and what else it asks for, for a person.
    fn place(&self) -> String {
        let host = self.host.as_deref().unwrap_or("any host");
        let conditions = self.conditions.iter().map(|asked| format!(", {asked}"));
        format!("{host} {}{}", self.path, conditions.collect::<String>())
    }
}

impl CompareReport {
    /// The report of `rules`.
    pub fn new(rules: Vec<ComparedRule>, notes: Vec<String>) -> Self {
        let count = |result| rules.iter().filter(|rule| rule.result == result).count() as u64;
        Self {
            schema_version: SCHEMA_VERSION,
            same: count(Compared::Same),
            differs: count(Compared::Differs),
            only_old: count(Compared::OnlyOld),
            only_new: count(Compared::OnlyNew),
            unclear: count(Compared::Unclear),
            rules,
            notes,
        }
    }

    /// Whether every rule was shown to be the same.
    pub fn is_same(&self) -> bool {
        self.same == self.rules.len() as u64
    }

    /// The text: what is not the same with both sides, what is in a line, and the counts.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for rule in &self.rules {
            let _ = writeln!(
                out,
                "{:<8}  {}",
                rule.result.word(),
                terminal(&rule.place())
            );
            if rule.result != Compared::Same {
                for (name, side) in [("old", &rule.old), ("new", &rule.new)] {
                    let message = side
                        .as_ref()
                        .map_or("no rule takes its requests", |side| &side.rule);
                    let _ = writeln!(out, "          {name}: {}", terminal(message));
                }
            }
            for reason in &rule.reasons {
                let _ = writeln!(out, "          {}", terminal(reason));
            }
        }
        for note in &self.notes {
            let _ = writeln!(out, "note: {}", terminal(note));
        }
        let _ = writeln!(out, "{}", self.counts());
        out
    }

    /// As [`CompareReport::text`], for a job's summary.
    pub fn markdown(&self) -> String {
        let word = if self.is_same() {
            "same routing"
        } else {
            "other routing"
        };
        let mut out = format!("## lbtest compare: {word}\n\n{}.\n\n", self.counts());
        out.push_str("| result | rule | old | new | why |\n|:--|:--|:--|:--|:--|\n");
        for rule in &self.rules {
            let side =
                |side: &Option<RuleSide>| side.as_ref().map_or("–".to_owned(), RuleSide::shares);
            let cells = [
                rule.place(),
                side(&rule.old),
                side(&rule.new),
                rule.reasons.join("; "),
            ];
            let cells = cells.map(|cell| markdown(&cell));
            let _ = writeln!(out, "| {} | {} |", rule.result.word(), cells.join(" | "));
        }
        for note in &self.notes {
            let _ = writeln!(out, "\n- {}", markdown(note));
        }
        out
    }

    fn counts(&self) -> String {
        let rules = format::count(self.rules.len() as u64, "rule");
        let mut message = format!("{rules}: {} the same", self.same);
        for (count, what) in [
            (self.differs, "with another split"),
            (self.only_old, "in old alone"),
            (self.only_new, "in new alone"),
            (self.unclear, "unclear"),
        ] {
            if count > 0 {
                let _ = write!(message, ", {count} {what}");
            }
        }
        message
    }
}

impl RuleSide {
    /// `shop 97 %, shop-next 3 %`.
    fn shares(&self) -> String {
        let share =
            |backend: &RuleBackend| format!("{} {}", backend.name, format::percent(backend.share));
        self.backends
            .iter()
            .map(share)
            .collect::<Vec<_>>()
            .join(", ")
    }
}
