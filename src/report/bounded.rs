//! Lists, maps and texts of bounded length: what comes from outside is refused before it takes more memory than what
//! this program writes.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// The longest text, in bytes: names and addresses are far shorter, splits of many backends are not.
const MOST_TEXT: usize = 64 << 10;

/// A list of at most `MOST`.
pub(super) fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>, const MOST: usize>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    deserializer.deserialize_seq(Bounded::<T, MOST>(PhantomData))
}

/// A list of at most `MOST` names.
pub(super) fn names<'de, D: Deserializer<'de>, const MOST: usize>(
    deserializer: D,
) -> Result<Vec<String>, D::Error> {
    let names: Vec<Name> = list::<D, Name, MOST>(deserializer)?;
    Ok(names.into_iter().map(|Name(name)| name).collect())
}

#[derive(serde::Deserialize)]
struct Name(#[serde(deserialize_with = "name")] String);

/// A map of at most `MOST`, from names.
pub(super) fn map<'de, D: Deserializer<'de>, T: Deserialize<'de>, const MOST: usize>(
    deserializer: D,
) -> Result<BTreeMap<String, T>, D::Error> {
    deserializer.deserialize_map(BoundedMap::<T, MOST>(PhantomData))
}

/// A text of at most 64 KiB.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    within(String::deserialize(deserializer)?, MOST_TEXT)
}

/// A name of at most 253 bytes.
pub(super) fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    within(
        String::deserialize(deserializer)?,
        crate::identity::MAX_NAME_LENGTH,
    )
}

fn within<E: Error>(text: String, most: usize) -> Result<String, E> {
    if text.len() > most {
        return Err(E::custom(format_args!("is longer than {most} bytes")));
    }
    Ok(text)
}

struct Bounded<T, const MOST: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for Bounded<T, MOST> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {MOST} entries")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(row) = rows.next_element()? {
            if list.len() == MOST {
                return Err(A::Error::custom(format_args!(
                    "has more than {MOST} entries"
                )));
            }
            list.push(row);
        }
        Ok(list)
    }
}

struct BoundedMap<T, const MOST: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for BoundedMap<T, MOST> {
    type Value = BTreeMap<String, T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {MOST} names with a value each")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut rows: A) -> Result<Self::Value, A::Error> {
        let mut map = BTreeMap::new();
        while let Some((key, value)) = rows.next_entry::<String, T>()? {
            if map.len() == MOST {
                return Err(A::Error::custom(format_args!(
                    "has more than {MOST} entries"
                )));
            }
            map.insert(within(key, crate::identity::MAX_NAME_LENGTH)?, value);
        }
        Ok(map)
    }
}
