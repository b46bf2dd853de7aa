//! A body in chunks (RFC 9112 §7.1).

use httparse::{EMPTY_HEADER, Status};

/// What the extensions of all chunks may come to.
const MOST_EXTENSION_BYTES: usize = 16 * 1024;
/// What the trailers may come to, and how many there may be.
const MOST_TRAILER_BYTES: usize = 16 * 1024;
const MOST_TRAILERS: usize = 100;

/// Why bytes are not chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChunksError {
    /// A size is no hexadecimal number of 64 bits, or something else stands beside it.
    #[error("the size of a chunk is not a number")]
    Size,
    /// A line does not end as it should.
    #[error("a chunk does not end where it should")]
    Line,
    /// Extensions go on for ever.
    #[error("the extensions of chunks go on beyond 16 KiB")]
    Extensions,
    /// Trailers go on for ever.
    #[error("the trailers go on beyond 16 KiB or 100 lines")]
    Trailers,
    /// What follows the last chunk is not made of header lines.
    #[error("the trailers are not header lines")]
    Syntax,
}

/// What is known so far of a body in chunks.
#[derive(Debug, Default)]
pub struct Chunks {
    place: Place,
    /// What is left of the chunk, or its size as far as it has been read.
    left: u64,
    extension_bytes: usize,
    /// What follows the last chunk, if anything does.
    trailers: Vec<u8>,
    trailer_lines: usize,
}

/// The place of the next byte.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    #[default]
    FirstDigit,
    Size,
    BehindSize,
    Extension,
    SizeLineFeed,
    Data,
    DataReturn,
    DataLineFeed,
    EndOrTrailer,
    Trailer,
    TrailerLineFeed,
    EndLineFeed,
    End,
}

/// What the next bytes are.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<'a> {
    /// Part of the body.
    Data(&'a [u8]),
    /// All of it was there.
    End,
    /// More has to come.
    More,
}

impl Chunks {
    /// Takes bytes off `rest` until there are data, or all is taken.
    ///
    /// # Errors
    /// They are no chunks.
    pub fn next<'a>(&mut self, rest: &mut &'a [u8]) -> Result<Next<'a>, ChunksError> {
        loop {
            if self.place == Place::End {
                return Ok(Next::End);
            }
            if rest.is_empty() {
                return Ok(Next::More);
            }
            if self.place == Place::Data {
                return Ok(Next::Data(self.data(rest)));
            }
            if let Some((&byte, behind)) = rest.split_first() {
                *rest = behind;
                self.place = self.step(byte)?;
            }
        }
    }

    fn data<'a>(&mut self, rest: &mut &'a [u8]) -> &'a [u8] {
        let there = usize::try_from(self.left).map_or(rest.len(), |left| left.min(rest.len()));
        let (data, behind) = rest.split_at(there);
        *rest = behind;
        self.left -= there as u64;
        if self.left == 0 {
            self.place = Place::DataReturn;
        }
        data
    }

    /// The place behind a byte.
    fn step(&mut self, byte: u8) -> Result<Place, ChunksError> {
        Ok(match (self.place, byte) {
            (Place::FirstDigit | Place::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                self.add_digit(byte).ok_or(ChunksError::Size)?;
                Place::Size
            }
            (Place::Size | Place::BehindSize, b' ' | b'\t') => Place::BehindSize,
            (Place::Size | Place::BehindSize, b';') => Place::Extension,
            (Place::Size | Place::BehindSize | Place::Extension, b'\r') => Place::SizeLineFeed,
            (Place::FirstDigit | Place::Size | Place::BehindSize, _) => {
                return Err(ChunksError::Size);
            }
            (Place::Extension, byte) if byte != b'\n' => {
                self.extension_bytes += 1;
                if self.extension_bytes >= MOST_EXTENSION_BYTES {
                    return Err(ChunksError::Extensions);
                }
                Place::Extension
            }
            (Place::SizeLineFeed, b'\n') if self.left == 0 => Place::EndOrTrailer,
            (Place::SizeLineFeed, b'\n') => Place::Data,
            (Place::DataReturn, b'\r') => Place::DataLineFeed,
            (Place::DataLineFeed, b'\n') => Place::FirstDigit,
            (
                Place::EndOrTrailer | Place::Trailer | Place::TrailerLineFeed | Place::EndLineFeed,
                byte,
            ) => {
                return self.step_in_trailers(byte);
            }
            _ => return Err(ChunksError::Line),
        })
    }

    fn step_in_trailers(&mut self, byte: u8) -> Result<Place, ChunksError> {
        let place = match (self.place, byte) {
            (Place::EndOrTrailer, b'\r') => Place::EndLineFeed,
            (Place::Trailer, b'\r') => Place::TrailerLineFeed,
            (Place::EndOrTrailer | Place::Trailer, _) => Place::Trailer,
            (Place::TrailerLineFeed, b'\n') => {
                self.trailer_lines += 1;
                Place::EndOrTrailer
            }
            (Place::EndLineFeed, b'\n') => Place::End,
            _ => return Err(ChunksError::Line),
        };
        // The blank line at the end is kept where it ends trailers.
        if place == Place::Trailer || !self.trailers.is_empty() {
            self.trailers.push(byte);
        }
        if self.trailers.len() >= MOST_TRAILER_BYTES || self.trailer_lines > MOST_TRAILERS {
            return Err(ChunksError::Trailers);
        }
        if place == Place::End {
            self.check_trailers()?;
        }
        Ok(place)
    }

    fn add_digit(&mut self, digit: u8) -> Option<()> {
        let digit = char::from(digit).to_digit(16)?;
        self.left = self.left.checked_mul(16)?.checked_add(digit.into())?;
        Some(())
    }

    fn check_trailers(&self) -> Result<(), ChunksError> {
        if self.trailers.is_empty() {
            return Ok(());
        }
        let mut lines = [EMPTY_HEADER; MOST_TRAILERS];
        let lines = &mut lines[..self.trailer_lines];
        match httparse::parse_headers(&self.trailers, lines) {
            Ok(Status::Complete((length, _))) if length == self.trailers.len() => Ok(()),
            _ => Err(ChunksError::Syntax),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body, and what is left behind it; in pieces of so many bytes.
    fn decode(bytes: &[u8], piece: usize) -> Result<Option<(Vec<u8>, usize)>, ChunksError> {
        let (mut chunks, mut body) = (Chunks::default(), Vec::new());
        let mut taken = 0;
        for piece in bytes.chunks(piece) {
            let mut rest = piece;
            loop {
                match chunks.next(&mut rest)? {
                    Next::Data(data) => body.extend_from_slice(data),
                    Next::End => {
                        return Ok(Some((body, bytes.len() - taken - piece.len() + rest.len())));
                    }
                    Next::More => break,
                }
            }
            taken += piece.len();
        }
        Ok(None)
    }

    #[test]
    fn a_body_is_the_same_however_it_is_cut() {
        let bytes =
            b"5\r\nhello\r\n00c ;a=\"b\"\r\n, the\r\nworld\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\nnext";
        for piece in 1..bytes.len() {
            let whole = Some((b"hello, the\r\nworld".to_vec(), 4));
            assert_eq!(decode(bytes, piece), Ok(whole), "{piece}");
        }
        for length in 0..bytes.len() - 4 {
            assert_eq!(decode(&bytes[..length], 3), Ok(None), "{length}");
        }
    }

    #[test]
    fn what_is_not_in_chunks_is_refused() {
        let long = |start: &str, part: &str| start.to_owned() + &part.repeat(20_000);
        for (bytes, expected) in [
            ("\r\n".to_owned(), ChunksError::Size),
            ("-1\r\n".to_owned(), ChunksError::Size),
            ("0x1\r\n".to_owned(), ChunksError::Size),
            ("5 5\r\n".to_owned(), ChunksError::Size),
            ("5\nhello".to_owned(), ChunksError::Size),
            ("10000000000000000\r\n".to_owned(), ChunksError::Size),
            ("5\rhello".to_owned(), ChunksError::Line),
            ("5;a\nhello".to_owned(), ChunksError::Line),
            ("5\r\nhello!\r\n".to_owned(), ChunksError::Line),
            ("0\r\n\rx".to_owned(), ChunksError::Line),
            ("0\r\nX: a\rx".to_owned(), ChunksError::Line),
            ("0\r\nno colon\r\n\r\n".to_owned(), ChunksError::Syntax),
            ("0\r\nA: b\n\nC: d\r\n\r\n".to_owned(), ChunksError::Syntax),
            (long("5;", "x"), ChunksError::Extensions),
            (long("0\r\n", "x"), ChunksError::Trailers),
            (long("0\r\n", "a:\r\n"), ChunksError::Trailers),
        ] {
            assert_eq!(decode(bytes.as_bytes(), 7), Err(expected), "{bytes:.20}");
        }
    }
}
