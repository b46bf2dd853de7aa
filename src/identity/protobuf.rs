//! A field of a protobuf message by its numbers, without a schema
//! (<https://protobuf.dev/programming-guides/encoding/>).

use std::borrow::Cow;

/// Messages within messages are looked into up to this depth.
const MOST_DEPTH: usize = 16;

/// The way to a field: its number in the message, and before it those of the messages around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FieldPath(Vec<u64>);

/// What a field holds, as far as it can be a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Other,
}

impl FieldPath {
    /// Reads `3.1`; `None` where it is not made of field numbers.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let number = |part: &str| {
            let number = part.parse().ok()?;
            // 29 bits.
            (1..=536_870_911).contains(&number).then_some(number)
        };
        let numbers: Option<Vec<u64>> = text.split('.').map(number).collect();
        numbers
            .filter(|numbers| numbers.len() <= MOST_DEPTH)
            .map(Self)
    }

    /// The text or number of the first such field in a message. Time is linear in the message, for each number.
    pub(super) fn find<'a>(&self, message: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        let (&last, outer) = self.0.split_last()?;
        let mut message = message;
        for &number in outer {
            message = match first(message, number)? {
                Value::Bytes(inner) => inner,
                Value::Number(_) | Value::Other => return None,
            };
        }
        match first(message, last)? {
            Value::Bytes(text) => Some(Cow::Borrowed(text)),
            Value::Number(number) => Some(Cow::Owned(number.to_string().into_bytes())),
            Value::Other => None,
        }
    }
}

/// The first field with this number; `None` also where the message is none before that.
fn first(mut rest: &[u8], wanted: u64) -> Option<Value<'_>> {
    while !rest.is_empty() {
        let key = varint(&mut rest)?;
        let value = match key & 7 {
            0 => Value::Number(varint(&mut rest)?),
            1 => take(&mut rest, 8).map(|_| Value::Other)?,
            2 => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                Value::Bytes(take(&mut rest, length)?)
            }
            5 => take(&mut rest, 4).map(|_| Value::Other)?,
            // Groups, which nobody writes any more, and what is none.
            _ => return None,
        };
        if key >> 3 == wanted {
            return Some(value);
        }
    }
    None
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(taken)
}

/// At most ten bytes, seven bits each, the lowest first.
fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, behind) = rest.split_first()?;
        *rest = behind;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(path: &str, message: &[u8]) -> Option<String> {
        let found = FieldPath::parse(path).unwrap().find(message)?;
        Some(String::from_utf8(found.into_owned()).unwrap())
    }

    #[test]
    fn a_field_is_found_behind_others_and_in_messages() {
        // 1: 150, 2: 64 bits, 5: 32 bits, 3: {1: "web-0"}
        let message = b"\x08\x96\x01\x11........\x2d....\x1a\x07\x0a\x05web-0";
        assert_eq!(find("3.1", message).as_deref(), Some("web-0"));
        assert_eq!(find("1", message).as_deref(), Some("150"));
        for path in ["2", "4", "3.2", "1.1", "3.1.1"] {
            assert_eq!(find(path, message), None, "{path}");
        }
    }

    #[test]
    fn what_is_no_message_has_no_field() {
        for message in [
            &b"\x1a\x07\x0a"[..],
            b"\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x0b\x0c",
            b"",
        ] {
            assert_eq!(find("3.1", message), None, "{message:?}");
        }
        for path in ["", "0", "a", "1.", "1..2", "536870912"] {
            assert!(FieldPath::parse(path).is_none(), "{path}");
        }
    }
}
