//! One value out of a JSON text, by JSON pointer (RFC 6901), without building the document.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A parsed JSON pointer: the keys and indices on the way to a value; none of them is the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pointer(Vec<String>);

impl Pointer {
    /// Reads `/a/b/0`; in a key `~1` stands for `/` and `~0` for `~`. `None` if the text is no pointer.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self(Vec::new()));
        }
        text.strip_prefix('/')?
            .split('/')
            .map(|token| {
                let escapes_are_known = token
                    .split('~')
                    .skip(1)
                    .all(|rest| rest.starts_with(['0', '1']));
                escapes_are_known.then(|| token.replace("~1", "/").replace("~0", "~"))
            })
            .collect::<Option<Vec<_>>>()
            .map(Self)
    }

    /// The string or number that the pointer leads to in `body`; a number is written as JSON would.
    ///
    /// Of equal keys the first counts, and what follows the value need not be valid, so that a body cut
    /// short gives the same answer as the whole. Time is linear in `body`; a string without escapes is
    /// borrowed from it.
    pub(super) fn find<'a>(&self, body: &'a [u8]) -> Option<Cow<'a, str>> {
        // A mark of the byte order is no JSON, and may be ignored (RFC 8259 §8.1).
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        let mut found = None;
        let walk = Walk {
            path: &self.0,
            found: &mut found,
        };
        // An error after the value does not take it back, and before it leaves `found` empty.
        let _ = walk.deserialize(&mut serde_json::Deserializer::from_slice(body));
        found
    }
}

/// Descends along `path` and leaves the scalar at its end in `found`.
struct Walk<'p, 'f, 'de> {
    path: &'p [String],
    found: &'f mut Option<Cow<'de, str>>,
}

impl<'de> Walk<'_, '_, 'de> {
    fn arrive(self, value: impl FnOnce() -> Cow<'de, str>) {
        if self.path.is_empty() {
            *self.found = Some(value());
        }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.arrive(|| value.to_string().into());
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.arrive(|| value.to_string().into());
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.arrive(|| value.to_string().into());
        Ok(())
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<(), E> {
        self.arrive(|| value.into());
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.arrive(|| value.to_owned().into());
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((key, rest)) = self.path.split_first() else {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(());
        };
        while let Some(is_next) = map.next_key_seed(Equals(key))? {
            if is_next && self.found.is_none() {
                map.next_value_seed(Walk {
                    path: rest,
                    found: self.found,
                })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        // RFC 6901: an index has no leading zero.
        let index = self.path.split_first().and_then(|(token, rest)| {
            let canonical = token == "0" || !token.starts_with(['0', '+']);
            let index: usize = token.parse().ok().filter(|_| canonical)?;
            Some((index, rest))
        });
        if let Some((index, rest)) = index {
            for _ in 0..index {
                if elements.next_element::<IgnoredAny>()?.is_none() {
                    return Ok(());
                }
            }
            elements.next_element_seed(Walk {
                path: rest,
                found: self.found,
            })?;
        }
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

/// Whether a key equals this text.
struct Equals<'k>(&'k str);

impl<'de> DeserializeSeed<'de> for Equals<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Equals<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object's key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(pointer: &str, body: &str) -> Option<String> {
        let pointer = Pointer::parse(pointer).unwrap();
        pointer.find(body.as_bytes()).map(Cow::into_owned)
    }

    /// The document of RFC 6901, section 5, with scalars as values.
    const RFC: &str = r#"{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8}"#;

    #[test]
    fn the_examples_of_rfc_6901_resolve() {
        for (pointer, value) in [
            ("/foo/0", "bar"),
            ("/foo/1", "baz"),
            ("/", "0"),
            ("/a~1b", "1"),
            ("/c%d", "2"),
            ("/e^f", "3"),
            ("/g|h", "4"),
            ("/i\\j", "5"),
            ("/k\"l", "6"),
            ("/ ", "7"),
            ("/m~0n", "8"),
        ] {
            assert_eq!(find(pointer, RFC).as_deref(), Some(value), "{pointer}");
        }
        for pointer in [
            "/foo", "", "/foo/2", "/foo/01", "/foo/-", "/foo/+1", "/bar", "/foo/0/x",
        ] {
            assert_eq!(find(pointer, RFC), None, "{pointer}");
        }
        assert_eq!(find("", r#""pod-0""#).as_deref(), Some("pod-0"));
    }

    #[test]
    fn texts_that_are_no_pointer_are_refused() {
        for text in ["pod", "a/b", "/~", "/a~2", "/a~/b"] {
            assert_eq!(Pointer::parse(text), None, "{text}");
        }
        // "~01" is "~1", not "/".
        assert_eq!(Pointer::parse("/~01"), Some(Pointer(vec!["~1".into()])));
    }

    #[test]
    fn strings_are_borrowed_numbers_are_written_and_other_values_are_nothing() {
        let body = br#"{"a":"x","b":"\u0078","c":12,"d":-1.5,"e":true,"f":null,"g":{},"h":[]}"#;
        let at = |pointer| Pointer::parse(pointer).unwrap().find(body);
        assert!(matches!(at("/a"), Some(Cow::Borrowed("x"))));
        assert!(matches!(at("/b"), Some(Cow::Owned(text)) if text == "x"));
        assert_eq!(at("/c").as_deref(), Some("12"));
        assert_eq!(at("/d").as_deref(), Some("-1.5"));
        for pointer in ["/e", "/f", "/g", "/h"] {
            assert_eq!(at(pointer), None);
        }
    }

    #[test]
    fn the_first_of_equal_keys_counts_and_a_cut_body_gives_the_same_answer() {
        let body = r#"{"pod":"a","pod":"b","rest":[1,2"#;
        assert_eq!(find("/pod", body).as_deref(), Some("a"));
        assert_eq!(find("/pod", r#"{"pod":"a"#), None);
    }

    #[test]
    fn a_mark_of_the_byte_order_is_ignored() {
        assert_eq!(
            find("/pod", "\u{feff}{\"pod\":\"a\"}").as_deref(),
            Some("a")
        );
    }

    #[test]
    fn nesting_without_end_is_survived() {
        for body in [
            "[".repeat(1 << 20),
            r#"{"a":"#.repeat(1 << 18),
            format!(r#"{{"x":{}"#, "[".repeat(1 << 20)),
        ] {
            assert_eq!(find("/pod", &body), None);
            assert_eq!(find(&"/a".repeat(1000), &body), None);
        }
    }
}
