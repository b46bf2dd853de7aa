//! An object of JSON a line: a few of its members are picked, the others are passed over without being kept.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::entry::{Entry, Slot};

/// The members that are wanted, by name.
#[derive(Debug, Default)]
pub(super) struct Picker {
    members: Vec<Member>,
}

#[derive(Debug, Default)]
struct Member {
    name: String,
    slot: Slot,
    members: Vec<Member>,
}

impl Picker {
    /// Wants `a.b`: the member `b` of `a`, or the one that is called so with its dot.
    pub(super) fn add(&mut self, path: &str, slot: Slot) {
        add(&mut self.members, &mut std::iter::once(path), slot);
        if path.contains('.') {
            add(&mut self.members, &mut path.split('.'), slot);
        }
    }

    /// Reads a line; `false` where it is no object.
    pub(super) fn read(&self, line: &[u8], entry: &mut Entry) -> bool {
        entry.clear();
        let mut reader = serde_json::Deserializer::from_slice(line);
        let picked = Pick {
            slot: Slot::default(),
            members: &self.members,
            entry,
        };
        line.starts_with(b"{") && picked.deserialize(&mut reader).is_ok() && reader.end().is_ok()
    }
}

fn add(members: &mut Vec<Member>, path: &mut dyn Iterator<Item = &str>, slot: Slot) {
    let Some(name) = path.next() else { return };
    let place = members.iter().position(|member| member.name == name);
    let place = place.unwrap_or_else(|| {
        members.push(Member {
            name: name.to_owned(),
            ..Member::default()
        });
        members.len() - 1
    });
    let mut path = path.peekable();
    if path.peek().is_some() {
        add(&mut members[place].members, &mut path, slot);
    } else {
        members[place].slot = slot;
    }
}

/// Reads one value into the entry.
struct Pick<'p, 'e> {
    slot: Slot,
    members: &'p [Member],
    entry: &'e mut Entry,
}

impl<'de> DeserializeSeed<'de> for Pick<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.members.is_empty() && !self.slot.is_wanted() {
            return deserializer.deserialize_ignored_any(IgnoredAny).map(|_| ());
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Pick<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.entry.put(self.slot, value.to_string().as_bytes());
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.entry.put(self.slot, value.to_string().as_bytes());
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.entry.put(self.slot, value.to_string().as_bytes());
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.entry.put(self.slot, value.as_bytes());
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.entry.put(self.slot, b"");
        Ok(())
    }

    /// Headers are lists; the first value counts.
    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<(), A::Error> {
        let _ = values.next_element_seed(self)?;
        while values.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Key(name)) = map.next_key()? {
            let member = self.members.iter().find(|member| member.name == name);
            match member {
                Some(member) => map.next_value_seed(Pick {
                    slot: member.slot,
                    members: &member.members,
                    entry: self.entry,
                })?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// The name of a member, borrowed from the line where it has no escapes.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Key<'k>(#[serde(borrow)] Cow<'k, str>);
