//! Where the body of a response ends (RFC 9112 §6.3).
//!
//! What can be read in two ways is refused: whoever stands between may have read it in the other.

/// Where the body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    Empty,
    /// After so many bytes.
    Length(u64),
    /// With the last of its chunks.
    Chunked,
    /// With the connection.
    Close,
}

/// Why it can't be told where a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// A length is no number, or one that no body has.
    #[error("its Content-Length is not a number")]
    BadLength,
    /// There is more than one length.
    #[error("it has more than one Content-Length")]
    Lengths,
    /// There are a length and codings.
    #[error("it has both Content-Length and Transfer-Encoding")]
    Both,
    /// The codings can't be undone: chunks lie within another, or within chunks.
    #[error("its Transfer-Encoding is not understood")]
    Codings,
    /// HTTP/1.0 has no codings.
    #[error("Transfer-Encoding is not part of HTTP/1.0")]
    OldCodings,
}

/// A greater length fits no file, and overflows where others count with a sign.
const MOST: u64 = i64::MAX.cast_unsigned();

/// What the header lines of a response say of its length.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lengths {
    length: Length,
    codings: Codings,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Length {
    #[default]
    Unsaid,
    Said(u64),
    Bad,
    Several,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Codings {
    #[default]
    None,
    /// Some, and none of them is chunked.
    Others,
    /// The last one is chunked.
    Chunked,
    Bad,
}

impl Lengths {
    /// Takes the value of a `Content-Length`.
    pub(super) fn take_length(&mut self, value: &[u8]) {
        self.length = match self.length {
            Length::Unsaid if value.contains(&b',') => Length::Several,
            Length::Unsaid => number(value).map_or(Length::Bad, Length::Said),
            Length::Said(_) | Length::Bad | Length::Several => Length::Several,
        };
    }

    /// Takes the value of a `Transfer-Encoding`.
    pub(super) fn take_codings(&mut self, value: &[u8]) {
        for coding in value.split(|&byte| byte == b',') {
            let is_chunked = coding.trim_ascii().eq_ignore_ascii_case(b"chunked");
            self.codings = match self.codings {
                Codings::None | Codings::Others if !coding.is_ascii() => Codings::Bad,
                Codings::None | Codings::Others if is_chunked => Codings::Chunked,
                Codings::None | Codings::Others => Codings::Others,
                Codings::Chunked | Codings::Bad => Codings::Bad,
            };
        }
    }

    /// What they come to; `is_current` is HTTP/1.1.
    pub(super) fn framing(self, is_current: bool) -> Result<Framing, FramingError> {
        match (self.length, self.codings) {
            (Length::Unsaid, Codings::None) => Ok(Framing::Close),
            (Length::Said(0), Codings::None) => Ok(Framing::Empty),
            (Length::Said(length), Codings::None) => Ok(Framing::Length(length)),
            (Length::Bad, Codings::None) => Err(FramingError::BadLength),
            (Length::Several, Codings::None) => Err(FramingError::Lengths),
            (Length::Unsaid, _) if !is_current => Err(FramingError::OldCodings),
            (Length::Unsaid, Codings::Others) => Ok(Framing::Close),
            (Length::Unsaid, Codings::Chunked) => Ok(Framing::Chunked),
            (Length::Unsaid, Codings::Bad) => Err(FramingError::Codings),
            _ => Err(FramingError::Both),
        }
    }
}

/// A number of digits alone: no sign, and no space within.
fn number(value: &[u8]) -> Option<u64> {
    let digit = |byte: &u8| char::from(*byte).to_digit(10);
    let number = value.iter().try_fold(0_u64, |number, byte| {
        number.checked_mul(10)?.checked_add(digit(byte)?.into())
    })?;
    (!value.is_empty() && number <= MOST).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_lines(lines: &[(&str, &[u8])]) -> Result<Framing, FramingError> {
        let mut lengths = Lengths::default();
        for (name, value) in lines {
            match *name {
                "length" => lengths.take_length(value),
                _ => lengths.take_codings(value),
            }
        }
        lengths.framing(true)
    }

    #[test]
    fn a_length_is_one_number_of_digits() {
        for (value, expected) in [
            (&b"0"[..], Ok(Framing::Empty)),
            (b"007", Ok(Framing::Length(7))),
            (b"9223372036854775807", Ok(Framing::Length(MOST))),
            (b"9223372036854775808", Err(FramingError::BadLength)),
            (b"18446744073709551616", Err(FramingError::BadLength)),
            (b"", Err(FramingError::BadLength)),
            (b"+7", Err(FramingError::BadLength)),
            (b"-7", Err(FramingError::BadLength)),
            (b"7 7", Err(FramingError::BadLength)),
            (b"0x7", Err(FramingError::BadLength)),
            (b"7, 7", Err(FramingError::Lengths)),
        ] {
            assert_eq!(of_lines(&[("length", value)]), expected, "{value:?}");
        }
        let twice = [("length", &b"7"[..]), ("length", b"7")];
        assert_eq!(of_lines(&twice), Err(FramingError::Lengths));
    }

    #[test]
    fn chunks_are_the_last_coding_and_stand_alone_for_the_length() {
        let codings = |values: &[&'static [u8]]| {
            let lines: Vec<_> = values.iter().map(|&value| ("codings", value)).collect();
            of_lines(&lines)
        };
        assert_eq!(codings(&[b"Chunked"]), Ok(Framing::Chunked));
        assert_eq!(codings(&[b"gzip , chunked"]), Ok(Framing::Chunked));
        assert_eq!(codings(&[b"gzip", b"chunked"]), Ok(Framing::Chunked));
        assert_eq!(codings(&[b"identity"]), Ok(Framing::Close));
        for refused in [
            &[&b"chunked, gzip"[..]][..],
            &[b"chunked, chunked"],
            &[b"chunked", b"chunked"],
            &[b"chunked", b""],
            &[b"\xe9, chunked"],
        ] {
            assert_eq!(codings(refused), Err(FramingError::Codings), "{refused:?}");
        }
        let both = [("codings", &b"chunked"[..]), ("length", b"7")];
        assert_eq!(of_lines(&both), Err(FramingError::Both));
        let mut old = Lengths::default();
        old.take_codings(b"chunked");
        assert_eq!(old.framing(false), Err(FramingError::OldCodings));
    }
}
