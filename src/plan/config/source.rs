//! The text of a configuration file: its tables, its keys, and where in it something is wrong.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use regex::Regex;
use schemars::{JsonSchema, schema_for};
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use crate::plan::settings::Settings;

/// A file's name and text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a str,
}

/// Why a file is no configuration: one sentence that says where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    file: String,
    line: Option<usize>,
    what: String,
}

impl ConfigError {
    pub(super) fn new(file: &str, line: Option<usize>, what: &str) -> Self {
        let (file, what) = (file.to_owned(), what.to_owned());
        Self { file, line, what }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        write!(f, ": {}", self.what)
    }
}

impl Source<'_> {
    /// The line, from 1, of a byte of the text.
    pub(super) fn line(&self, at: usize) -> usize {
        let before = &self.text.as_bytes()[..at.min(self.text.len())];
        before.split(|&byte| byte == b'\n').count()
    }

    /// Something wrong at a byte of the text.
    pub(super) fn error(&self, at: Option<usize>, what: &str) -> ConfigError {
        ConfigError::new(self.file, at.map(|at| self.line(at)), what)
    }

    /// What the TOML parser says, in one line.
    pub(super) fn refused(&self, error: &toml::de::Error) -> ConfigError {
        let at = error.span().map(|span| span.start);
        self.error(at, &in_one_line(error.message()))
    }

    /// The table that `key` must be.
    pub(super) fn table<'t, 'i>(
        &self,
        key: &str,
        value: &'t Spanned<DeValue<'i>>,
    ) -> Result<&'t DeTable<'i>, ConfigError> {
        let found = value.get_ref();
        found.as_table().ok_or_else(|| {
            let what = format!("{key} is not a table but of type {}", found.type_str());
            self.error(Some(value.span().start), &what)
        })
    }

    /// Refuses keys that `T` has no field for, with the one that was probably meant.
    pub(super) fn known_keys<T: JsonSchema + 'static>(
        &self,
        place: &str,
        table: &DeTable<'_>,
    ) -> Result<(), ConfigError> {
        let known = keys::<T>();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        for key in table.keys() {
            if !known.contains(&&**key.get_ref()) {
                let what = format!("{place} has an {}", unknown("key", key.get_ref(), &known));
                return Err(self.error(Some(key.span().start), &what));
            }
        }
        Ok(())
    }

    /// Reads a table whose keys are known; `span` is where it stands.
    pub(super) fn read<T: DeserializeOwned>(
        &self,
        table: &DeTable<'_>,
        span: Range<usize>,
    ) -> Result<T, ConfigError> {
        let whole = Spanned::new(span, DeValue::Table(table.clone()));
        T::deserialize(ValueDeserializer::from(whole)).map_err(|error| self.unread(table, &error))
    }

    /// Reads the settings of a table whose keys are known; `span` is where it stands.
    pub(super) fn settings(
        &self,
        table: &DeTable<'_>,
        span: Range<usize>,
    ) -> Result<Settings, ConfigError> {
        let whole = Spanned::new(span, DeValue::Table(table.clone()));
        Settings::read(|| ValueDeserializer::from(whole.clone()))
            .map_err(|error| self.unread(table, &error))
    }

    /// A value of `table` is of the wrong kind: names its key.
    fn unread(&self, table: &DeTable<'_>, error: &toml::de::Error) -> ConfigError {
        let at = error.span().map_or(0, |span| span.start);
        let holds_error = |value: &Spanned<DeValue<'_>>| value.span().contains(&at);
        let key = table.iter().find(|(_, value)| holds_error(value));
        let message = in_one_line(error.message());
        let what = match key {
            Some((key, _)) => format!("{}: {message}", key.get_ref()),
            None => message,
        };
        self.error(Some(at), &what)
    }
}

/// The fields of `T`, as its schema has them, which is made once.
fn keys<T: JsonSchema + 'static>() -> Arc<Vec<String>> {
    static KNOWN: Mutex<BTreeMap<TypeId, Arc<Vec<String>>>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let keys = known.entry(TypeId::of::<T>()).or_insert_with(|| {
        let schema = schema_for!(T);
        let properties = schema.get("properties").and_then(|found| found.as_object());
        Arc::new(properties.map_or_else(Vec::new, |fields| fields.keys().cloned().collect()))
    });
    Arc::clone(keys)
}

/// Whether `T` has a field of this name.
pub(super) fn is_key<T: JsonSchema + 'static>(name: &str) -> bool {
    keys::<T>().iter().any(|key| key == name)
}

/// A name that is none of the known ones, with the one that was probably meant.
pub(super) fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    let likeness = |known: &&&str| strsim::jaro_winkler(&name.replace('-', "_"), known);
    let nearest = known
        .iter()
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
        .filter(|nearest| likeness(nearest) > 0.8);
    let remedy = match nearest {
        Some(nearest) => format!("did you mean '{nearest}'?"),
        None => format!("known are {}", known.join(", ")),
    };
    format!("unknown {what} '{}': {remedy}", name.escape_debug())
}

fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A sentence about flags, said of the keys of the file.
pub(super) fn in_keys(sentence: &str) -> String {
    let known = keys::<Settings>();
    let short = [("-H", "header"), ("-m", "method"), ("-d", "data")];
    let flag = Regex::new(r"(^|\s)(-{1,2}[A-Za-z][a-z0-9-]*)").expect("the pattern is constant");
    let key = |found: &regex::Captures<'_>| {
        let written = &found[2];
        let long = written.trim_start_matches('-').replace('-', "_");
        let key = short
            .iter()
            .find(|(flag, _)| *flag == written)
            .map(|(_, key)| (*key).to_owned())
            .or_else(|| known.contains(&long).then_some(long));
        format!("{}{}", &found[1], key.as_deref().unwrap_or(written))
    };
    flag.replace_all(sentence, key).into_owned()
}
