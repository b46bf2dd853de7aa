//! A report's destination, opened before load is sent.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::cli::CommandError;

/// A report's destination, opened before load is sent and replaced as a whole afterwards.
#[derive(Debug)]
pub(in crate::cli) enum Sink {
    Stdout,
    /// A regular file: written beside its place and renamed into it.
    Replaced(NamedTempFile, PathBuf),
    /// A file that others add to as well: written to at its end.
    Appended(fs::File, PathBuf),
    /// A device or pipe: written to directly.
    Direct(fs::File),
}

/// Names of stdout that some use for `-`.
const STDOUT: [&str; 4] = ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];

impl Sink {
    /// Opens the destination of a report that `flag` names, if it does.
    pub(in crate::cli) fn open_report(
        flag: &str,
        path: Option<&Path>,
    ) -> Result<Option<Self>, CommandError> {
        let open = |path| Self::open(path).map_err(|error| refused(flag, path, &error));
        path.map(open).transpose()
    }

    /// Opens a file that is added to.
    pub(super) fn appending(flag: &str, path: &Path) -> Result<Self, CommandError> {
        let opened = OpenOptions::new().append(true).create(true).open(path);
        opened
            .map(|file| Self::Appended(file, path.to_owned()))
            .map_err(|error| refused(flag, path, &error))
    }

    fn open(path: &Path) -> io::Result<Self> {
        if STDOUT.iter().any(|name| path.as_os_str() == *name) {
            return Ok(Self::Stdout);
        }
        if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let path = match fs::canonicalize(path) {
            Ok(found) if fs::metadata(&found)?.is_file() => {
                drop(OpenOptions::new().write(true).open(&found)?);
                found
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
            // No plain file; or a pipe, whose name in /dev/fd leads nowhere.
            Ok(_) | Err(_) => return direct(path).map(Self::Direct),
        };
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        fs::metadata(folder)?;
        let mut builder = tempfile::Builder::new();
        // Less the umask, as any new file.
        builder.permissions(fs::Permissions::from_mode(0o666));
        let file = builder.prefix(".lbtest-").tempfile_in(folder)?;
        if let Ok(replaced) = fs::metadata(&path) {
            file.as_file().set_permissions(replaced.permissions())?;
        }
        Ok(Self::Replaced(file, path))
    }

    /// What two sinks must not share; `None` for a device or pipe.
    pub(super) fn place(&self) -> Option<PathBuf> {
        match self {
            Self::Stdout => Some(PathBuf::from("-")),
            Self::Replaced(_, path) | Self::Appended(_, path) => {
                let folder = path
                    .parent()
                    .filter(|folder| !folder.as_os_str().is_empty());
                let folder = fs::canonicalize(folder.unwrap_or(Path::new("."))).ok()?;
                Some(folder.join(path.file_name()?))
            }
            Self::Direct(_) => None,
        }
    }

    pub(in crate::cli) fn write(
        self,
        rendered: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        match self {
            Self::Stdout => rendered(&mut io::stdout().lock()),
            Self::Appended(mut file, _) | Self::Direct(mut file) => rendered(&mut file),
            Self::Replaced(mut file, path) => {
                rendered(&mut io::BufWriter::new(&mut file))?;
                file.persist(path).map_err(|error| error.error)?;
                Ok(())
            }
        }
    }
}

/// Opens a device or pipe. A named pipe that nobody reads would be waited for: it is an error.
fn direct(path: &Path) -> io::Result<fs::File> {
    let probe = OpenOptions::new()
        .append(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path);
    match probe {
        Err(error) if error.raw_os_error() == Some(libc::ENXIO) => Err(io::Error::new(
            io::ErrorKind::BrokenPipe,
            "nobody reads this pipe: start its reader first",
        )),
        // Held until the other is open: its end would be the reader's.
        probe => OpenOptions::new()
            .append(true)
            .open(path)
            .inspect(|_| drop(probe)),
    }
}

fn refused(flag: &str, path: &Path, error: &io::Error) -> CommandError {
    CommandError::usage(format!(
        "{flag} {}: {error}; name a file that can be written, or - for stdout",
        path.display()
    ))
}
