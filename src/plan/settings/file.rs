//! The files that options name.

use std::fs;
use std::io::Read;
use std::path::Path;

use super::SettingsError;

/// The largest file that an option may name; whatever never ends stops here.
const MOST_FILE_BYTES: u64 = 64 << 20;

/// What the file that `flag` names holds.
pub(super) fn read(flag: &'static str, path: &Path) -> Result<Vec<u8>, SettingsError> {
    let mut content = Vec::new();
    let file = fs::File::open(path).map_err(|why| unusable(flag, path, why))?;
    file.take(MOST_FILE_BYTES + 1)
        .read_to_end(&mut content)
        .map_err(|why| unusable(flag, path, why))?;
    if content.len() as u64 > MOST_FILE_BYTES {
        return Err(unusable(flag, path, "it is larger than 64 MiB"));
    }
    Ok(content)
}

pub(super) fn unusable(
    flag: &'static str,
    path: &Path,
    why: impl std::fmt::Display,
) -> SettingsError {
    SettingsError::File {
        flag,
        path: path.to_string_lossy().escape_debug().to_string(),
        why: why.to_string(),
    }
}
