//! The runs that have ended, of which the last ones are shown, and kept in a file where the configuration names one.
//!
//! The file is replaced as a whole, so that it holds either what it held or what it is to hold, whenever the process ends.
//! It is for people: no verdict is given from it.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use crate::format::cut;
use crate::report::{SCHEMA_VERSION, VerdictName};

/// So many runs of a check are shown: those of two hours, at the interval by default.
pub(super) const MOST_RUNS: usize = 24;
/// The most that is kept of a sentence or of a split.
const MOST_BYTES_OF_TEXT: usize = 300;
/// A history of thousands of checks is smaller.
const MOST_BYTES: u64 = 64 << 20;
/// After a failure the file is tried again so often.
const RETRY: Duration = Duration::from_secs(5);
/// The last write may take this long when the gate stops.
const LAST: Duration = Duration::from_secs(2);

/// A run that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ended {
    /// The check's name.
    pub(super) check: String,
    /// What it said.
    pub(super) verdict: VerdictName,
    /// When it ended, to the millisecond, which tells it from the check's other runs.
    #[serde(with = "rfc3339")]
    pub(super) finished_at: SystemTime,
    /// The expected split.
    pub(super) expect: String,
    /// The most important reason.
    pub(super) why: String,
}

impl Ended {
    pub(super) fn new(
        check: &str,
        verdict: VerdictName,
        finished_at: SystemTime,
        (expect, why): (&str, &str),
    ) -> Self {
        Self {
            check: check.to_owned(),
            verdict,
            finished_at,
            expect: cut(expect, MOST_BYTES_OF_TEXT),
            why: cut(why, MOST_BYTES_OF_TEXT),
        }
    }

    /// When it ended, as addresses and the file have it.
    pub(super) fn stamp(&self) -> String {
        humantime::format_rfc3339_millis(self.finished_at).to_string()
    }
}

mod rfc3339 {
    use std::time::SystemTime;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        time: &SystemTime,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_rfc3339_millis(*time))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<SystemTime, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_rfc3339(&text).map_err(D::Error::custom)
    }
}

/// The file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    schema_version: u32,
    /// Those of all checks, each check's oldest first.
    runs: Vec<Ended>,
}

/// Why a file cannot hold the history.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// It is a folder, a device or a pipe.
    #[error("is not a file")]
    NoFile,
    /// The system does not let it be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// It holds something else, which must not be lost.
    #[error(
        "holds something else than the history of lbtest serve, and would be replaced: name another file"
    )]
    NotOurs,
}

/// Reads the history; a file that is not there yet has none.
pub(super) fn load(path: &Path) -> Result<Vec<Ended>, HistoryError> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
        Ok(found) if !found.is_file() => return Err(HistoryError::NoFile),
        Ok(_) => {}
    }
    let mut text = Vec::new();
    File::open(path)?.take(MOST_BYTES).read_to_end(&mut text)?;
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let read: Result<Document, _> = serde_json::from_slice(&text);
    let document = read
        .ok()
        .filter(|read| read.schema_version == SCHEMA_VERSION);
    Ok(document.ok_or(HistoryError::NotOurs)?.runs)
}

/// Puts the history in place of what the file holds.
fn save(path: &Path, runs: Vec<Ended>) -> io::Result<()> {
    let document = Document {
        schema_version: SCHEMA_VERSION,
        runs,
    };
    let text = serde_json::to_vec(&document)?;
    // A link stays one.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let mut builder = tempfile::Builder::new();
    let mut file = builder
        .prefix(".lbtest-")
        .tempfile_in(folder.unwrap_or(Path::new(".")))?;
    file.write_all(&text)?;
    // Renamed before its bytes are on the disk, it would be empty after a loss of power.
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Writes the history down beside everything else, one time after the other: a disk that hangs holds up nothing.
#[derive(Debug)]
pub(super) struct Keeper {
    path: Option<PathBuf>,
    is_due: bool,
    writing: Option<JoinHandle<io::Result<()>>>,
    failed: Option<Instant>,
}

impl Keeper {
    /// The history is written for the first time at once: a file that cannot be written is to be told at the beginning.
    pub(super) fn new(path: Option<PathBuf>) -> Self {
        Self {
            is_due: path.is_some(),
            path,
            writing: None,
            failed: None,
        }
    }

    /// There is more to write down.
    pub(super) fn changed(&mut self) {
        self.is_due = self.path.is_some();
    }

    /// Begins to write, if that is due and may be.
    pub(super) fn begin(&mut self, runs: impl FnOnce() -> Vec<Ended>) {
        let waits = self.failed.is_some_and(|failed| failed.elapsed() < RETRY);
        let Some(path) = self.path.as_ref().filter(|_| self.is_due && !waits) else {
            return;
        };
        if self.writing.is_none() {
            let (path, runs) = (path.clone(), runs());
            self.is_due = false;
            self.writing = Some(tokio::task::spawn_blocking(move || save(&path, runs)));
        }
    }

    /// Waits for the end of what is being written, for ever if nothing is. `None` where there is nothing to tell: it went as
    /// the time before.
    ///
    /// Dropping the future loses nothing.
    pub(super) async fn written(&mut self) -> Option<io::Result<()>> {
        let Some(writing) = &mut self.writing else {
            return std::future::pending().await;
        };
        let written = writing
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)));
        self.writing = None;
        let had_failed = self.failed.is_some();
        self.failed = written.is_err().then(Instant::now);
        self.is_due |= written.is_err();
        (written.is_err() != had_failed).then_some(written)
    }

    /// Writes down what is left when the gate stops.
    pub(super) async fn finish(&mut self, runs: impl Fn() -> Vec<Ended>) {
        self.failed = None;
        let last = async {
            loop {
                self.begin(&runs);
                if self.writing.is_none() || self.written().await.is_some_and(|end| end.is_err()) {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(LAST, last).await;
    }
}

#[cfg(test)]
mod tests {
    use super::super::moment::tests::at;
    use super::*;

    fn run(second: u64) -> Ended {
        let message = ("v1=70,v2=30", "v1 69.4 %, v2 30.6 %: matches 70/30");
        Ended::new("shop", VerdictName::Pass, at(second).wall, message)
    }

    #[test]
    fn what_was_saved_is_loaded_and_a_file_that_is_not_there_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.json");
        assert_eq!(load(&path).unwrap(), []);
        let runs = vec![run(1), run(2)];
        save(&path, runs.clone()).unwrap();
        assert_eq!(load(&path).unwrap(), runs);
        // Nothing is left beside it.
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        fs::write(&path, "").unwrap();
        assert_eq!(load(&path).unwrap(), []);
    }

    #[test]
    fn a_file_that_holds_something_else_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes");
        for text in [
            "hello",
            "{}",
            "[]",
            "{\"schema_version\":2,\"runs\":[]}",
            "{\"schema_version\":1,\"runs\":[]}x",
        ] {
            fs::write(&path, text).unwrap();
            assert!(matches!(load(&path), Err(HistoryError::NotOurs)), "{text}");
        }
        assert!(matches!(load(folder.path()), Err(HistoryError::NoFile)));
        assert!(matches!(
            load(Path::new("/dev/full")),
            Err(HistoryError::NoFile)
        ));
    }

    #[test]
    fn a_link_to_the_file_stays_one() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        save(&file, vec![run(1)]).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        save(&link, vec![run(2)]).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(load(&file).unwrap(), [run(2)]);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_write_that_fails_is_told_once_and_so_is_the_first_that_goes_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("later").join("history.json");
        let mut keeper = Keeper::new(Some(path.clone()));
        keeper.begin(|| vec![run(1)]);
        assert!(matches!(keeper.written().await, Some(Err(_))));
        // Not again at once.
        keeper.begin(|| vec![run(1)]);
        assert!(keeper.writing.is_none());
        keeper.failed = Instant::now().checked_sub(RETRY);
        keeper.begin(|| vec![run(1)]);
        assert!(keeper.written().await.is_none());
        fs::create_dir(path.parent().unwrap()).unwrap();
        keeper.failed = Instant::now().checked_sub(RETRY);
        keeper.begin(|| vec![run(1), run(2)]);
        assert!(matches!(keeper.written().await, Some(Ok(()))));
        assert_eq!(load(&path).unwrap().len(), 2);
        // Nothing is written that is written already.
        keeper.begin(|| panic!("nothing is due"));
        keeper.changed();
        keeper.finish(|| vec![run(3)]).await;
        assert_eq!(load(&path).unwrap(), [run(3)]);
    }

    #[test]
    fn long_texts_are_cut() {
        let long = "a".repeat(1000);
        let kept = Ended::new("shop", VerdictName::Fail, at(1).wall, (&long, &long));
        assert!(kept.why.len() < 310 && kept.expect.len() < 310);
    }
}
