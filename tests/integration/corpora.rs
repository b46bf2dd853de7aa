//! The inputs of the fuzz targets, without the fuzzer: those that it found worth keeping, and those that once broke something.

use std::fs;
use std::path::{Path, PathBuf};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

#[path = "../../fuzz/targets.rs"]
mod targets;

/// The files below a folder, in the order of their names.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    found.sort();
    found
}

#[test]
#[expect(
    clippy::print_stderr,
    reason = "it names the input that a panic came from"
)]
fn every_input_of_the_fuzz_targets_is_parsed_as_it_must() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (name, target) in targets::TARGETS {
        let inputs = files(&corpora.join(name));
        assert!(inputs.len() >= 5, "{name}: {} inputs", inputs.len());
        for input in inputs {
            // The last line before a panic names its input.
            eprintln!("{}", input.display());
            target(&fs::read(&input).unwrap());
        }
    }
}

#[test]
fn every_fuzz_target_has_its_executable() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
    let stems: Vec<String> = files(&folder)
        .iter()
        .map(|file| file.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(stems, targets::TARGETS.map(|(name, _)| name));
}

/// Pieces that mean something to one parser or another.
const WORDS: [&[u8]; 12] = [
    b"\xff\xfe",
    b"\0",
    b"\r\n",
    b"[",
    b"]",
    b"{",
    b"}",
    b"\"",
    b":",
    b"-1",
    b"18446744073709551616",
    b"\xe2\x80\xae",
];

/// The input with one to four places changed: a bit, a word, a piece left out, doubled, or cut off.
fn mutated(input: &[u8], random: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..random.random_range(1..5) {
        let place = random.random_range(0..=bytes.len());
        let end = (place + random.random_range(0..32)).min(bytes.len());
        match random.random_range(0..5) {
            0 if place < bytes.len() => bytes[place] ^= 1 << random.random_range(0..8),
            1 => bytes
                .splice(
                    place..end,
                    WORDS[random.random_range(0..WORDS.len())].iter().copied(),
                )
                .for_each(drop),
            2 => bytes.drain(place..end).for_each(drop),
            3 => {
                let piece = bytes[place..end].to_vec();
                bytes.splice(place..place, piece).for_each(drop);
            }
            _ => bytes.truncate(place),
        }
    }
    bytes
}

#[test]
fn no_parser_panics_on_inputs_that_are_nearly_right() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut random = ChaCha8Rng::seed_from_u64(12);
    for (name, target) in targets::TARGETS {
        for input in files(&corpora.join(name)) {
            let input = fs::read(input).unwrap();
            // Large ones are slow to parse, and the same as small ones to an index.
            let times = if input.len() > 1 << 14 { 10 } else { 200 };
            for _ in 0..times {
                let bytes = mutated(&input, &mut random);
                if let Err(panic) = std::panic::catch_unwind(|| target(&bytes)) {
                    let kept = std::env::temp_dir().join(format!("lbtest-panic-{name}"));
                    fs::write(&kept, &bytes).unwrap();
                    panic!("{name}: {}: {panic:?}", kept.display());
                }
            }
        }
    }
}
