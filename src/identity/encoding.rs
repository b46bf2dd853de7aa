//! Bodies that come compressed although none was asked for (RFC 9110 §8.4): what they say in plain.

use std::borrow::Cow;
use std::io::Read;

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

use super::rule::before_the_cut;

/// Codings upon codings are undone up to this depth.
const MOST_CODINGS: usize = 4;

/// `body` without its content codings, at most `limit` bytes of it: a small body can stand for a huge
/// one. Of a longer or broken one what comes before it ends is kept, up to [`before_the_cut`]; a coding that is not known (`br`, `zstd`) is left.
#[must_use]
pub fn decoded<'a>(headers: &HeaderMap, body: &'a [u8], limit: usize) -> Cow<'a, [u8]> {
    let mut plain = Cow::Borrowed(body);
    if !headers.contains_key(CONTENT_ENCODING) {
        return plain;
    }
    let values = headers.get_all(CONTENT_ENCODING).iter();
    let listed = values.filter_map(|value| value.to_str().ok());
    let codings: Vec<&str> = listed
        .flat_map(|value| value.split(','))
        .take(MOST_CODINGS)
        .collect();
    for name in codings.into_iter().rev() {
        plain = match Coding::parse(name) {
            Some(Coding::Identity) => continue,
            Some(Coding::Gzip) => Cow::Owned(read(MultiGzDecoder::new(&*plain), limit)),
            Some(Coding::Deflate) if is_zlib(&plain) => {
                Cow::Owned(read(ZlibDecoder::new(&*plain), limit))
            }
            // What some servers take deflate for: without zlib's frame (RFC 9110 §8.4.1.2).
            Some(Coding::Deflate) => Cow::Owned(read(DeflateDecoder::new(&*plain), limit)),
            None => break,
        };
    }
    plain
}

/// Whether [`decoded`] undoes every coding of a `Content-Encoding`.
#[must_use]
pub fn is_undone(codings: &str) -> bool {
    codings.split(',').all(|name| Coding::parse(name).is_some())
}

/// A content coding that can be undone.
enum Coding {
    Identity,
    Gzip,
    Deflate,
}

impl Coding {
    fn parse(name: &str) -> Option<Self> {
        match name.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Some(Self::Identity),
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "deflate" => Some(Self::Deflate),
            _ => None,
        }
    }
}

/// Whether the stream begins as zlib's do: method 8, and a header that is a multiple of 31 (RFC 1950 §2.2).
fn is_zlib(stream: &[u8]) -> bool {
    matches!(stream, [first, second, ..]
        if first & 0x0f == 8 && (u16::from(*first) * 256 + u16::from(*second)) % 31 == 0)
}

fn read(decoder: impl Read, limit: usize) -> Vec<u8> {
    let mut plain = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX);
    // On an error `plain` holds what came before it.
    let ended = decoder.take(most).read_to_end(&mut plain);
    if ended.is_err() || plain.len() == limit {
        plain.truncate(before_the_cut(&plain).len());
    }
    plain
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use http::HeaderValue;

    use super::*;

    const PAGE: &[u8] = b"<p>Pod Name: challenge-app-v2-6b8464cddd-nnjmj</p>";

    fn gzipped(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn plain(codings: &'static str, body: &[u8], limit: usize) -> Vec<u8> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(codings));
        decoded(&headers, body, limit).into_owned()
    }

    #[test]
    fn gzip_and_both_kinds_of_deflate_are_undone() {
        assert_eq!(plain("gzip", &gzipped(PAGE), 4096), PAGE);
        assert_eq!(plain("GZIP, gzip", &gzipped(&gzipped(PAGE)), 4096), PAGE);
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(PAGE).unwrap();
        assert_eq!(plain("deflate", &zlib.finish().unwrap(), 4096), PAGE);
        let mut raw = DeflateEncoder::new(Vec::new(), Compression::default());
        raw.write_all(PAGE).unwrap();
        assert_eq!(plain("deflate", &raw.finish().unwrap(), 4096), PAGE);
    }

    #[test]
    fn what_is_not_coded_or_not_known_stays_as_it_is() {
        assert_eq!(plain("identity", PAGE, 4096), PAGE);
        assert_eq!(plain("br", PAGE, 4096), PAGE);
        assert!(is_undone("gzip, identity") && !is_undone("gzip, br"));
        assert!(matches!(
            decoded(&HeaderMap::new(), PAGE, 4096),
            Cow::Borrowed(PAGE)
        ));
    }

    #[test]
    fn a_bomb_is_read_up_to_the_limit() {
        let bomb = gzipped(&gzipped(&vec![b'<'; 64 << 20]));
        assert!(bomb.len() < 4096, "{}", bomb.len());
        assert_eq!(plain("gzip, gzip", &bomb, 1 << 20).len(), 1 << 20);
    }

    #[test]
    fn a_body_that_breaks_off_says_what_came_before() {
        let whole = gzipped(&PAGE.repeat(1000));
        let half = plain("gzip", &whole[..whole.len() / 2], 1 << 20);
        assert!(half.starts_with(PAGE));
        assert!(plain("gzip", b"no gzip", 4096).is_empty());
    }
}
