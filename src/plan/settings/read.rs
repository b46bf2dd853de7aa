//! Settings in a configuration file: a quantity is a number or the text that the command line takes, a
//! repeatable option one text, a list of them, or a table.

use std::fmt;
use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::claim::stickiness::SessionBy;
use crate::plan::pace::Rate;
use crate::plan::preparation::Warmup;
use crate::plan::quantity;

/// A number, or the text that the command line takes for one.
#[derive(Debug)]
pub(in crate::plan) struct Quantity(String);

impl Quantity {
    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Number".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "number"],
            "description": "A number, or the text that the command line takes for one: 500 or \"10k\", 2.5 or \"2500ms\".",
        })
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;
        impl Visitor<'_> for Written {
            type Value = Quantity;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a number")
            }

            fn visit_str<E>(self, text: &str) -> Result<Quantity, E> {
                Ok(Quantity(text.to_owned()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Quantity, E> {
                Ok(Quantity(number.to_string()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Quantity, E> {
                Ok(Quantity(number.to_string()))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Quantity, E> {
                Ok(Quantity(number.to_string()))
            }
        }
        deserializer.deserialize_any(Written)
    }
}

/// What keeps a session on its backend.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "Sessions")]
#[serde(untagged)]
pub(super) enum Switch {
    /// `true`: whatever cookies the responses set. `false`: sessions are not checked.
    Whether(bool),
    /// "cookie:NAME" or "header:NAME".
    By(String),
}

/// What carries sessions that are to stay on their backends; `true` stands for the cookies.
pub(super) fn session_by<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SessionBy>, D::Error> {
    let wrong = |_| D::Error::custom("write true, false, \"cookie:NAME\" or \"header:NAME\"");
    match Switch::deserialize(deserializer).map_err(wrong)? {
        Switch::Whether(false) => Ok(None),
        Switch::Whether(true) => Ok(Some(SessionBy::Cookies)),
        Switch::By(text) => text.parse().map(Some).map_err(D::Error::custom),
    }
}

/// One text, a list of them, or a table whose rows are joined to texts.
#[derive(Debug)]
pub(super) struct Texts(Vec<Row>);

/// A text, or a key with its value.
#[derive(Debug)]
enum Row {
    Text(String),
    Pair(String, String),
}

impl JsonSchema for Texts {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "List".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "What the command line takes: one text, a list of them, or a table.",
            "anyOf": [
                {"type": "string", "description": "As on the command line."},
                {
                    "type": "array",
                    "items": {"type": "string"},
                    "description": "As often as the option is given there.",
                },
                {
                    "type": "object",
                    "additionalProperties": {"type": ["string", "number"]},
                    "description": "Each key with its value, such as {v1 = 70, v2 = 30}.",
                },
            ],
        })
    }
}

impl Texts {
    pub(super) fn joined(self, sign: &str) -> Vec<String> {
        let joined = |row| match row {
            Row::Text(text) => text,
            Row::Pair(key, value) => format!("{key}{sign}{value}"),
        };
        self.0.into_iter().map(joined).collect()
    }
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;
        impl<'de> Visitor<'de> for Written {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a list of texts or a table")
            }

            fn visit_str<E>(self, text: &str) -> Result<Texts, E> {
                Ok(Texts(vec![Row::Text(text.to_owned())]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Texts, A::Error> {
                let mut rows = Vec::new();
                while let Some(text) = items.next_element()? {
                    rows.push(Row::Text(text));
                }
                Ok(Texts(rows))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Texts, A::Error> {
                let mut rows = Vec::new();
                while let Some((key, Quantity(value))) = table.next_entry()? {
                    rows.push(Row::Pair(key, value));
                }
                Ok(Texts(rows))
            }
        }
        deserializer.deserialize_any(Written)
    }
}

/// What `read` makes of a number or text.
pub(in crate::plan) fn quantity<'de, D, T, E>(
    deserializer: D,
    read: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    E: fmt::Display,
{
    let Quantity(text) = Quantity::deserialize(deserializer)?;
    read(&text).map_err(D::Error::custom)
}

macro_rules! quantities {
    ($($name:ident: $value:ty = $read:expr;)*) => {$(
        pub(super) fn $name<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<$value>, D::Error> {
            quantity(deserializer, $read).map(Some)
        }
    )*};
}

quantities! {
    count: NonZeroU64 = quantity::count;
    small_count: NonZeroUsize = quantity::small_count;
    threads: NonZeroUsize = quantity::threads;
    bytes: usize = quantity::bytes;
    duration: Duration = quantity::duration;
    percentage: f64 = quantity::percentage;
    error_rate: f64 = quantity::error_rate;
    percentage_points: f64 = quantity::percentage_points;
    rate: Rate = str::parse;
    warmup: Warmup = str::parse;
}

/// The expected weights, as the text that the command line takes.
pub(super) fn weights<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    pairs(deserializer).map(|pairs| Some(pairs.join(",")))
}

/// Texts that the table form joins as `KEY=VALUE`.
pub(super) fn pairs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Texts::deserialize(deserializer)?.joined("="))
}

/// Texts that the table form joins as `KEY: VALUE`.
pub(super) fn headers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Texts::deserialize(deserializer)?.joined(": "))
}

/// Texts without a table form.
pub(super) fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let texts = Texts::deserialize(deserializer)?;
    let text = |row| match row {
        Row::Text(text) => Ok(text),
        Row::Pair(..) => Err(D::Error::custom(
            "a table: write one text or a list of texts",
        )),
    };
    texts.0.into_iter().map(text).collect()
}
