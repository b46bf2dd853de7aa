//! Bodies in content codings that nobody asked for.

use std::io::Write;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use ruzstd::encoding::CompressionLevel;

use super::answers::{POD, body, response};
use super::behaviours::Ends::{Attributed, Unidentified};
use super::behaviours::{Behaviour, answer};

pub(crate) fn gzip(plain: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain.as_ref()).expect("memory is there");
    encoder.finish().expect("memory is there")
}

fn zlib(plain: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain.as_ref()).expect("memory is there");
    encoder.finish().expect("memory is there")
}

fn coded(coding: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    response(&format!("Content-Encoding: {coding}\r\n"), body)
}

fn zstd(plain: impl AsRef<[u8]>) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(plain.as_ref(), CompressionLevel::Fastest)
}

/// The body that names [`POD`], as Node's `zlib.brotliCompressSync` writes it.
const BROTLI: &[u8] = b"\x1b/\x00\xf8\xc5\xec\x96\xeaBY\x1d\x9c\x13\xa2\x13\xea\x98o;K\x82:\xa8\xa2\xb2\xa1&\xb7\xe8\xf3\x1a\x0d\xf5S\xc9\xb1F\xb0 \x15@V6\x86\xff\xb7k\x0e";

pub(crate) fn all() -> Vec<Behaviour> {
    let name = body(POD);
    let zeros = vec![0; 64 << 20];
    let named = [name.as_bytes(), &zeros].concat();
    let page = gzip(&name);
    let long = gzip([name.as_bytes(), &random(100_000)].concat());
    vec![
        answer("gzip", Attributed, coded("gzip", &page)),
        answer("deflate", Attributed, coded("deflate", zlib(&name))),
        answer("zstd", Attributed, coded("zstd", zstd(&name))),
        answer("br", Attributed, coded("br", BROTLI)),
        answer(
            "zstd bomb behind the name",
            Attributed,
            coded("zstd", zstd(&named)),
        ),
        answer(
            "a name within bytes whose coding is not undone",
            Unidentified("200"),
            coded("gzip, dcz", &name),
        ),
        answer(
            "deflate bomb behind the name",
            Attributed,
            coded("deflate", zlib(&named)),
        ),
        answer(
            "gzip bomb behind the name",
            Attributed,
            coded("gzip", gzip(&named)),
        ),
        answer(
            "gzip bomb that names nobody",
            Unidentified("200"),
            coded("gzip", gzip(&zeros)),
        ),
        answer(
            "gzip bomb within gzip within gzip",
            Unidentified("200"),
            coded("gzip, gzip, gzip", gzip(gzip(gzip(&zeros)))),
        ),
        answer(
            "gzip members by the thousand",
            Unidentified("200"),
            coded("gzip", [gzip("").repeat(10_000), page.clone()].concat()),
        ),
        answer(
            "gzip cut off behind the name",
            Attributed,
            coded("gzip", &long[..long.len() / 2]),
        ),
        answer(
            "gzip cut off inside the name",
            Unidentified("200"),
            coded("gzip", &page[..page.len() - 24]),
        ),
        answer(
            "gzip with a wrong checksum",
            Attributed,
            coded("gzip", [&page[..page.len() - 8], &[0; 8]].concat()),
        ),
        answer(
            "said to be gzip, and is not",
            Unidentified("200"),
            coded("gzip", &name),
        ),
        answer(
            "said to be in a coding nobody knows",
            Unidentified("200"),
            coded("rot13", &name),
        ),
        answer(
            "codings by the thousand",
            Attributed,
            coded(&"identity, ".repeat(5000), &name),
        ),
    ]
}

/// Bytes that no coding makes smaller (a linear congruential generator with Knuth's multiplier).
fn random(count: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let step = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(step).take(count).collect()
}
