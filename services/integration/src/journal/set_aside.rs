//! Records that the database refuses, whatever is tried: they are set aside in a file beside the journal, so that they hold up no other.
//!
//! None of them is lost. A record stands in the file before the journal forgets it, and each start tries all of them again; those
//! that are taken then are gone from it. A line is a JSON document: when and why the record was refused, what it is, and the record
//! as it lay on the disk.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use egov_spool::Record as _;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::entry::Entry;

/// Where they are.
const FILE: &str = "set-aside.jsonl";

/// Where those are that are being tried again since the start.
const AGAIN: &str = "set-aside.again.jsonl";

/// What is read of a line.
#[derive(Deserialize)]
struct Line {
    /// In base64.
    record: String,
}

/// The file of a journal.
#[derive(Clone, Debug)]
pub(super) struct SetAside {
    folder: PathBuf,
    /// How many there are, with those that are being tried again.
    waiting: Arc<AtomicU64>,
    /// How many were set aside since the start.
    put: Arc<AtomicU64>,
}

impl SetAside {
    /// The file in the folder of a journal, and the records that earlier processes set aside: they are to be tried again, and then
    /// [`tried_again`](Self::tried_again) called. Blocks.
    pub(super) fn open(folder: &Path) -> io::Result<(Self, Vec<Entry>)> {
        let lines = lines_in(folder)?;
        let (mut again, mut strange) = (String::new(), String::new());
        let mut entries = Vec::new();
        for line in &lines {
            let entry = read(line);
            let to = if entry.is_some() { &mut again } else { &mut strange };
            to.push_str(line);
            to.push('\n');
            entries.extend(entry);
        }
        if !strange.is_empty() {
            tracing::error!(folder = %folder.display(), "a line of {FILE} cannot be read and stays where it is");
        }
        // In this order: a crash in between leaves lines twice, and a record that comes twice is harmless.
        replace(folder, AGAIN, &again)?;
        replace(folder, FILE, &strange)?;
        let aside = Self {
            folder: folder.to_owned(),
            waiting: Arc::new(AtomicU64::new(lines.len() as u64)),
            put: Arc::default(),
        };
        Ok((aside, entries))
    }

    /// How many there are.
    pub(super) fn waiting(&self) -> &Arc<AtomicU64> {
        &self.waiting
    }

    /// How many were set aside since the start.
    pub(super) fn since_start(&self) -> u64 {
        self.put.load(Ordering::Relaxed)
    }

    /// Everything that was to be tried again is taken, or was set aside once more. Blocks.
    pub(super) fn tried_again(&self, records: usize) -> io::Result<()> {
        replace(&self.folder, AGAIN, "")?;
        self.waiting.fetch_sub(records as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Sets a record aside: returns when it survives a crash. After a failure the same is tried anew with `after_failure`. Blocks.
    pub(super) fn put(&self, record: &Refused, after_failure: bool) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(self.folder.join(FILE))?;
        // What was written of the line before must not become its beginning.
        let apart = if after_failure { "\n" } else { "" };
        file.write_all(format!("{apart}{}\n", record.0).as_bytes())?;
        file.sync_all()?;
        File::open(&self.folder)?.sync_all()?;
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.put.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// A record that is refused, as its line.
#[derive(Clone, Debug)]
pub(super) struct Refused(String);

impl Refused {
    pub(super) fn new(entry: &Entry, time: Timestamp, refused: &str) -> Self {
        let mut record = Vec::new();
        entry.encode(&mut record);
        let line = json!({
            "time": time.to_string(),
            "refused": refused,
            "exchange_id": entry.exchange().exchange_id.to_string(),
            // Whether it says how the exchange ended, or that it began.
            "end": matches!(entry, Entry::End { .. }),
            "record": STANDARD.encode(record),
        });
        Self(line.to_string())
    }
}

/// How many records of exchanges are set aside in the folder of a journal, because the database refuses them.
///
/// # Errors
/// The system's.
pub fn records_set_aside(folder: &Path) -> io::Result<usize> {
    Ok(lines_in(folder)?.len())
}

fn read(line: &str) -> Option<Entry> {
    let line: Line = serde_json::from_str(line).ok()?;
    Entry::decode(&STANDARD.decode(line.record).ok()?)
}

/// The lines of both files, each record once: it stands there twice while it is tried again, and when a process ended before it was
/// taken out.
fn lines_in(folder: &Path) -> io::Result<Vec<String>> {
    let mut lines = lines_of(&folder.join(AGAIN))?;
    lines.extend(lines_of(&folder.join(FILE))?);
    let mut seen = HashSet::new();
    lines.retain(|line| serde_json::from_str::<Line>(line).map_or(true, |line| seen.insert(line.record)));
    Ok(lines)
}

/// The lines of a file; none if it is not there.
fn lines_of(path: &Path) -> io::Result<Vec<String>> {
    let content = match fs::read(path) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let text = String::from_utf8_lossy(&content);
    Ok(text
        .lines()
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect())
}

/// Makes this the content of a file, whole or not at all; without content there is no file.
fn replace(folder: &Path, name: &str, content: &str) -> io::Result<()> {
    let path = folder.join(name);
    if content.is_empty() {
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            removed => removed?,
        }
    } else {
        let new = folder.join(format!("{name}.new"));
        let mut file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(content.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
    }
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::super::load::tests::entry;
    use super::*;

    fn ids(entries: &[Entry]) -> Vec<u128> {
        entries
            .iter()
            .map(|entry| entry.exchange().exchange_id.as_u128())
            .collect()
    }

    #[test]
    fn what_is_set_aside_is_tried_again_at_each_start_until_it_is_taken_and_nothing_else_is_touched() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let refused = |number| Refused::new(&entry(number, false, true), Timestamp::UNIX_EPOCH, "SQLSTATE 23514");
        let (aside, again) = SetAside::open(folder).unwrap();
        assert!(again.is_empty() && records_set_aside(folder).unwrap() == 0);
        aside.put(&refused(1), false).unwrap();
        // A crash in the middle of a line, and what is no record.
        fs::OpenOptions::new()
            .append(true)
            .open(folder.join(FILE))
            .and_then(|mut file| file.write_all(b"{\"time\":\"1970"))
            .unwrap();
        aside.put(&refused(2), true).unwrap();
        assert_eq!(aside.waiting().load(Ordering::Relaxed), 2);

        for _ in 0..2 {
            // Also when the process ends before it has tried them.
            let (_, again) = SetAside::open(folder).unwrap();
            assert_eq!(ids(&again), [1, 2]);
            assert_eq!(records_set_aside(folder).unwrap(), 3);
        }
        let (aside, again) = SetAside::open(folder).unwrap();
        aside.put(&refused(2), false).unwrap();
        // Twice in the files, and one record, also if the process ends now.
        assert_eq!(records_set_aside(folder).unwrap(), 3);
        assert_eq!(ids(&SetAside::open(folder).unwrap().1), [1, 2]);
        aside.put(&refused(2), false).unwrap();
        aside.tried_again(again.len()).unwrap();
        let (_, again) = SetAside::open(folder).unwrap();
        assert_eq!(ids(&again), [2]);
        assert_eq!(records_set_aside(folder).unwrap(), 2, "it, and what cannot be read");
    }
}
