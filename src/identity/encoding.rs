//! Bodies that come compressed although none was asked for (RFC 9110 §8.4): what they say in plain.

use std::borrow::Cow;
use std::io::Read;

use brotli_decompressor::{BrotliDecoderParameter, Decompressor};
use flate2::bufread::GzDecoder;
use flate2::read::{DeflateDecoder, ZlibDecoder};
use http::header::{CONTENT_ENCODING, TRANSFER_ENCODING};
use ruzstd::decoding::StreamingDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};

use super::rule::before_the_cut;
use crate::headers::Headers;

/// Codings upon codings are undone up to this depth.
const MOST_CODINGS: usize = 4;

/// A body stands for at most so many times its length: what deflate can reach (RFC 1951: 258 bytes in two bits).
const MOST_RATIO: usize = 1032;

/// However short it is, a body may stand for so many bytes.
const SHORT: usize = 64 << 10;

/// How far back a zstd body may refer, in bytes (RFC 9659 §3).
const ZSTD_WINDOW: u64 = 8 << 20;

/// So many frames of a zstd body are read, and members of a gzip body: each costs something, and may hold nothing.
const MOST_FRAMES: usize = 16;

/// `body` without its codings, at most `limit` bytes of it: a small body can stand for a huge
/// one. Of a longer or broken one what comes before it ends is kept, up to [`before_the_cut`]. `None` where a coding
/// can't be undone: compressed bytes can look like a name that nobody wrote.
pub fn decoded<'a, 'h>(
    headers: impl Into<Headers<'h>>,
    body: &'a [u8],
    limit: usize,
) -> Option<Cow<'a, [u8]>> {
    let headers = headers.into();
    let mut plain = Cow::Borrowed(body);
    if !is_coded(headers) {
        return Some(plain);
    }
    let codings = codings(headers).collect::<Option<Vec<_>>>()?;
    if codings.len() > MOST_CODINGS {
        return None;
    }
    for coding in codings.into_iter().rev() {
        let most = limit.min(SHORT.max(plain.len().saturating_mul(MOST_RATIO)));
        plain = Cow::Owned(coding.undo(&plain, most));
    }
    Some(plain)
}

/// `message` without the coding that `name` says, as [`decoded`]; `None` where that can't be undone.
pub fn decoded_of(name: &[u8], message: &[u8], limit: usize) -> Option<Vec<u8>> {
    let most = limit.min(SHORT.max(message.len().saturating_mul(MOST_RATIO)));
    Coding::parse(name).map(|coding| coding.undo(message, most))
}

/// The codings of a body that [`decoded`] does not undo, as its headers list them.
pub fn not_undone<'h>(headers: impl Into<Headers<'h>>) -> Option<String> {
    let headers = headers.into();
    decoded(headers, &[], 0).is_none().then(|| {
        let listed = listed(headers).map(String::from_utf8_lossy);
        listed.collect::<Vec<_>>().join(", ")
    })
}

fn is_coded(headers: Headers<'_>) -> bool {
    headers.contains(&CONTENT_ENCODING) || headers.contains(&TRANSFER_ENCODING)
}

/// What was done to the body, the first first; a transfer coding comes last (RFC 9112 §6.1).
fn listed(headers: Headers<'_>) -> impl Iterator<Item = &[u8]> {
    let content = headers.get_all(&CONTENT_ENCODING);
    content.chain(headers.get_all(&TRANSFER_ENCODING))
}

/// The codings that change the bytes; `None` stands for one that can't be undone.
fn codings(headers: Headers<'_>) -> impl Iterator<Item = Option<Coding>> {
    let names = listed(headers).flat_map(|value| value.split(|&byte| byte == b','));
    names
        .map(Coding::parse)
        .filter(|coding| !matches!(coding, Some(Coding::Identity)))
}

/// A coding that can be undone.
#[derive(Clone, Copy)]
enum Coding {
    Identity,
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Coding {
    fn parse(name: &[u8]) -> Option<Self> {
        match &*name.trim_ascii().to_ascii_lowercase() {
            // Chunks are put together before anyone looks at a body.
            b"" | b"identity" | b"chunked" => Some(Self::Identity),
            b"gzip" | b"x-gzip" => Some(Self::Gzip),
            b"deflate" => Some(Self::Deflate),
            b"br" => Some(Self::Brotli),
            b"zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    fn undo(self, body: &[u8], most: usize) -> Vec<u8> {
        match self {
            Self::Identity => body.to_vec(),
            Self::Gzip => read(Members::new(body), most),
            Self::Deflate if is_zlib(body) => read(ZlibDecoder::new(body), most),
            // What some servers take deflate for: without zlib's frame (RFC 9110 §8.4.1.2).
            Self::Deflate => read(DeflateDecoder::new(body), most),
            Self::Brotli => {
                let mut decoder = Decompressor::new(body, 4096);
                // RFC 7932 has no windows beyond 16 MiB.
                decoder.set_parameter(BrotliDecoderParameter::BROTLI_DECODER_PARAM_LARGE_WINDOW, 0);
                read(decoder, most)
            }
            Self::Zstd => read(Frames::new(body), most),
        }
    }
}

/// Whether the stream begins as zlib's do: method 8, and a header that is a multiple of 31 (RFC 1950 §2.2).
fn is_zlib(stream: &[u8]) -> bool {
    matches!(stream, [first, second, ..]
        if first & 0x0f == 8 && (u16::from(*first) * 256 + u16::from(*second)) % 31 == 0)
}

/// The members of a gzip body, one after the other (RFC 1952 §2.2).
struct Members<'a> {
    member: Option<GzDecoder<&'a [u8]>>,
    left: usize,
}

impl<'a> Members<'a> {
    fn new(body: &'a [u8]) -> Self {
        Self {
            member: Some(GzDecoder::new(body)),
            left: MOST_FRAMES,
        }
    }
}

impl Read for Members<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while let Some(member) = &mut self.member {
            let count = member.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            let rest = *member.get_ref();
            self.left -= 1;
            if self.left == 0 && !rest.is_empty() {
                return Err(std::io::ErrorKind::InvalidData.into());
            }
            self.member = (!rest.is_empty()).then(|| GzDecoder::new(rest));
        }
        Ok(0)
    }
}

/// The frames of a zstd body, one after the other.
struct Frames<'a> {
    rest: &'a [u8],
    frame: Option<StreamingDecoder<&'a [u8], ruzstd::decoding::FrameDecoder>>,
    left: usize,
}

impl<'a> Frames<'a> {
    fn new(body: &'a [u8]) -> Self {
        Self {
            rest: body,
            frame: None,
            left: MOST_FRAMES,
        }
    }
}

impl Read for Frames<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            if let Some(frame) = &mut self.frame {
                let count = frame.read(buffer)?;
                if count > 0 || buffer.is_empty() {
                    return Ok(count);
                }
                self.rest = frame.get_ref();
                self.frame = None;
            }
            if self.rest.is_empty() {
                return Ok(0);
            }
            if self.left == 0 {
                return Err(std::io::ErrorKind::InvalidData.into());
            }
            self.left -= 1;
            match StreamingDecoder::new_with_max_window_size(self.rest, ZSTD_WINDOW) {
                Ok(frame) => self.frame = Some(frame),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    // A header of 8 bytes, and as many as it says (RFC 8878 §3.1.2).
                    let skipped = usize::try_from(length)
                        .map_or(usize::MAX, |length| length.saturating_add(8));
                    self.rest = self.rest.get(skipped..).unwrap_or_default();
                }
                Err(error) => return Err(std::io::Error::other(error)),
            }
        }
    }
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
    use http::HeaderMap;
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use http::HeaderValue;
    use ruzstd::encoding::CompressionLevel;

    use super::*;

    const PAGE: &[u8] = b"<p>Pod Name: challenge-app-v2-6b8464cddd-nnjmj</p>";

    /// [`PAGE`] as Node's `zlib.brotliCompressSync` writes it.
    const BROTLI: &[u8] = b"\x8b\x18\x80<p>Pod Name: challenge-app-v2-6b8464cddd-nnjmj</p>\x03";

    fn zstd(plain: &[u8]) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(plain, CompressionLevel::Fastest)
    }

    fn gzipped(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn plain(codings: &'static str, body: &[u8], limit: usize) -> Vec<u8> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(codings));
        decoded(&headers, body, limit).unwrap().into_owned()
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
    fn brotli_and_zstd_are_undone() {
        assert_eq!(plain("br", BROTLI, 4096), PAGE);
        assert_eq!(plain("zstd", &zstd(PAGE), 4096), PAGE);
        // Frames come one after the other, and some are to be skipped.
        let skip = b"\x50\x2a\x4d\x18\x03\0\0\0abc";
        let frames = [skip, &zstd(b"<p>")[..], &zstd(PAGE)].concat();
        assert_eq!(plain("zstd", &frames, 4096), [b"<p>", PAGE].concat());
        let broken = [&zstd(PAGE)[..], b"no frame"].concat();
        assert_eq!(plain("zstd", &broken, 4096), before_the_cut(PAGE));
        assert!(plain("br", b"no brotli", 4096).is_empty());
    }

    #[test]
    fn the_members_of_a_gzip_body_are_read_up_to_a_number() {
        let members = |count| [gzipped(b"<p>"), gzipped(b"").repeat(count), gzipped(PAGE)].concat();
        assert_eq!(plain("gzip", &members(14), 4096), [b"<p>", PAGE].concat());
        // The rest is not looked at: each empty member costs as much as a full one.
        assert_eq!(
            plain("gzip", &members(45_000), 4096),
            before_the_cut(b"<p>")
        );
    }

    #[test]
    fn what_is_not_coded_stays_as_it_is() {
        assert_eq!(plain("identity", PAGE, 4096), PAGE);
        assert!(matches!(
            decoded(&HeaderMap::new(), PAGE, 4096),
            Some(Cow::Borrowed(PAGE))
        ));
    }

    #[test]
    fn of_a_coding_that_cannot_be_undone_nothing_is_read() {
        for codings in [
            "rot13",
            "gzip, rot13",
            "rot13, gzip",
            "dcb",
            "gzip, gzip, gzip, gzip, gzip",
            "\u{e9}",
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_ENCODING, HeaderValue::from_str(codings).unwrap());
            assert_eq!(decoded(&headers, PAGE, 4096), None, "{codings}");
            assert_eq!(not_undone(&headers).as_deref(), Some(codings));
        }
    }

    #[test]
    fn a_transfer_coding_counts_like_a_content_coding() {
        let mut headers = HeaderMap::new();
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("gzip, chunked"));
        let body = gzipped(PAGE);
        assert_eq!(decoded(&headers, &body, 4096).as_deref(), Some(PAGE));
        headers.insert(
            TRANSFER_ENCODING,
            HeaderValue::from_static("compress, chunked"),
        );
        assert_eq!(decoded(&headers, PAGE, 4096), None);
    }

    #[test]
    fn a_short_body_stands_for_no_more_than_deflate_could_make_of_it() {
        let page = [PAGE, &vec![b'<'; 64 << 20]].concat();
        let bomb = zstd(&page);
        let read = plain("zstd", &bomb, usize::MAX);
        assert!(read.starts_with(PAGE));
        assert_eq!(read.len(), SHORT.max(bomb.len() * MOST_RATIO));
    }

    #[test]
    fn bytes_that_came_in_disorder_end_no_run() {
        let whole = zstd(&PAGE.repeat(20));
        for (codings, body) in [("zstd", &whole[..]), ("br", BROTLI)] {
            for place in 0..body.len() {
                for flip in [1, 0x80, 0xff] {
                    let mut bent = body.to_vec();
                    bent[place] ^= flip;
                    let _ = plain(codings, &bent, 1 << 20);
                    let _ = plain(codings, &bent[..place], 1 << 20);
                }
            }
        }
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
