//! The thread that writes, and what stands before and behind it.

use std::collections::VecDeque;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::future::Future;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::segment::{FRAME, HEAD, Segment, flush_folder, frame};
use crate::{AppendError, OpenError, Record, Settings};

/// The most records that become durable with one flush.
const GROUP: usize = 1024;

/// The bytes after which a group is written although more wait.
const GROUP_BYTES: usize = 4 * 1024 * 1024;

/// How long a group gathers while records come one upon the other: about as long as a flush takes. Whoever comes alone does not wait.
const GATHER: Duration = Duration::from_micros(150);

/// Segments that a new spool begins with: one in use, one to go on in.
const FIRST: usize = 2;

/// Where records are appended. Clones append to the same spool; when the last is gone, what was appended becomes durable and the
/// folder is given back.
#[derive(Debug)]
pub struct Spool<R> {
    queue: mpsc::UnboundedSender<Command<R>>,
    shared: Arc<Shared>,
}

impl<R> Clone for Spool<R> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            shared: Arc::clone(&self.shared),
        }
    }
}

/// A spool that was opened.
#[derive(Debug)]
pub struct Spooled<R> {
    /// Where to append.
    pub spool: Spool<R>,
    /// What is durable, that which an earlier process left first.
    pub shipments: Shipments<R>,
    /// How many records an earlier process left.
    pub left: usize,
}

#[derive(Debug)]
enum Command<R> {
    Append(R, oneshot::Sender<Result<(), AppendError>>),
    /// Answer when what came before is durable.
    Flush(oneshot::Sender<Result<(), AppendError>>),
    /// Nothing waits: wipe what was written.
    Rest,
}

/// What the threads tell one another.
#[derive(Debug, Default)]
struct Shared {
    /// Bytes that are durable and not shipped.
    waiting: AtomicU64,
    most_waiting: AtomicU64,
    failed: AtomicBool,
    /// Records that were appended, and that were shipped, since the spool was opened.
    appended: AtomicU64,
    uses: Mutex<Uses>,
}

/// Segments by their uses.
#[derive(Debug, Default)]
struct Uses {
    /// Complete ones with records that are not shipped, oldest first: the number of the last record of each, and the segment.
    full: VecDeque<(u64, Segment)>,
    /// Ones to write anew.
    free: VecDeque<Segment>,
    /// Records that are shipped.
    shipped: u64,
}

impl Uses {
    /// Gives complete segments of which everything is shipped free.
    fn release(&mut self) {
        while self.full.front().is_some_and(|(last, _)| *last <= self.shipped) {
            if let Some((_, segment)) = self.full.pop_front() {
                self.free.push_back(segment);
            }
        }
    }
}

/// Resolves when the record survives a crash, or cannot be made to. The record was taken whether this is awaited or not.
#[derive(Debug)]
pub struct Durable(oneshot::Receiver<Result<(), AppendError>>);

impl Future for Durable {
    type Output = Result<(), AppendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(context)
            .map(|answer| answer.unwrap_or(Err(AppendError::Failed)))
    }
}

impl<R: Record> Spool<R> {
    /// Opens the spool of a folder and starts the thread that writes to it. Blocks while it reads what is there.
    ///
    /// # Errors
    /// Another process has it; a file is damaged; the disk.
    pub fn open(settings: &Settings) -> Result<Spooled<R>, OpenError> {
        let folder = settings.folder.clone();
        let io = |source| OpenError::Io {
            folder: folder.clone(),
            source,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(io)?;
        let lock = lock(&folder)?;
        let found = Found::read(&folder, settings.segment_bytes)?;

        let (queue, commands) = mpsc::unbounded_channel();
        let (durable, records) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared::default());
        shared.most_waiting.store(settings.waiting_bytes, Ordering::Relaxed);
        let left = found.frames.len();
        let mut place = 0;
        for (path, offset, bytes) in &found.frames {
            let record = R::decode(bytes).ok_or_else(|| OpenError::Damaged {
                path: path.clone(),
                offset: *offset,
            })?;
            place += 1;
            let size = bytes.len() as u64 + FRAME as u64;
            shared.waiting.fetch_add(size, Ordering::Relaxed);
            // The receiver is here.
            let _ = durable.send(Entry { place, size, record });
        }
        shared.appended.store(place, Ordering::Relaxed);
        let mut free = found.free;
        while free.len() < FIRST {
            free.push_back(create(&folder, settings.segment_bytes).map_err(io)?);
        }
        {
            let mut uses = shared.uses.lock().unwrap_or_else(PoisonError::into_inner);
            uses.full = found.full;
            uses.free = free;
        }
        let mut writer = Writer {
            folder: folder.clone(),
            segment_bytes: settings.segment_bytes,
            shared: Arc::clone(&shared),
            durable,
            number: found.number,
            segment: None,
            at: 0,
            place,
            buffer: Vec::new(),
        };
        writer.turn().map_err(io)?;
        thread::Builder::new()
            .name("spool".to_owned())
            .spawn(move || {
                let _lock = lock;
                writer.run(commands);
            })
            .map_err(io)?;
        Ok(Spooled {
            spool: Self {
                queue,
                shared: Arc::clone(&shared),
            },
            shipments: Shipments {
                records,
                shared,
                next: None,
                taken: 0,
                bytes: 0,
            },
            left,
        })
    }

    /// Takes a record at once, behind all that were appended before.
    pub fn append(&self, record: R) -> Durable {
        self.append_below(record, self.shared.most_waiting.load(Ordering::Relaxed))
    }

    /// The same for a record that follows from one that was taken, and for which there is room when new ones are refused.
    pub fn append_owed(&self, record: R) -> Durable {
        let most = self.shared.most_waiting.load(Ordering::Relaxed);
        self.append_below(record, most.saturating_mul(2))
    }

    fn append_below(&self, record: R, most: u64) -> Durable {
        let (answer, durable) = oneshot::channel();
        let refused = if self.shared.failed.load(Ordering::Relaxed) {
            Some(AppendError::Failed)
        } else if self.shared.waiting.load(Ordering::Relaxed) > most {
            Some(AppendError::Full)
        } else {
            None
        };
        if let Some(error) = refused {
            // The receiver is here.
            let _ = answer.send(Err(error));
        } else {
            self.shared.waiting.fetch_add(record.weight() as u64, Ordering::Relaxed);
            // Without a writer the answer is dropped, which says so.
            let _ = self.queue.send(Command::Append(record, answer));
        }
        Durable(durable)
    }

    /// How many records were appended and are durable, with those that an earlier process left: to be compared with
    /// [`Shipments::shipped`].
    pub fn durable(&self) -> u64 {
        self.shared.appended.load(Ordering::Acquire)
    }

    /// Bytes that are durable and wait to be shipped.
    pub fn waiting_bytes(&self) -> u64 {
        self.shared.waiting.load(Ordering::Relaxed)
    }

    /// Resolves when everything that was appended before is durable, or could not be made so.
    pub fn flushed(&self) -> Durable {
        let (answer, durable) = oneshot::channel();
        // Without a writer the answer is dropped, which says so.
        let _ = self.queue.send(Command::Flush(answer));
        Durable(durable)
    }

    /// By which whoever ships lets the spool rest, without keeping it open.
    pub fn resting(&self) -> Resting<R> {
        Resting(self.queue.downgrade())
    }
}

/// Lets a spool rest. Does not keep it open.
#[derive(Debug)]
pub struct Resting<R>(mpsc::WeakUnboundedSender<Command<R>>);

impl<R> Resting<R> {
    /// Wipes what was written, if all of it is shipped: what lies on the disk for long holds nothing. To be called when nothing has
    /// come for a while.
    pub fn rest(&self) {
        if let Some(queue) = self.0.upgrade() {
            // Without a writer there is nothing to wipe.
            let _ = queue.send(Command::Rest);
        }
    }
}

#[derive(Debug)]
struct Entry<R> {
    /// Its number among all records since the spool was opened, from one.
    place: u64,
    size: u64,
    record: R,
}

/// Durable records in order, to be shipped.
#[derive(Debug)]
pub struct Shipments<R> {
    records: mpsc::UnboundedReceiver<Entry<R>>,
    shared: Arc<Shared>,
    /// The one that comes next, where it was looked at already.
    next: Option<Entry<R>>,
    /// The place of the last record that was taken, and the bytes of those that are taken and not shipped.
    taken: u64,
    bytes: u64,
}

impl<R> Shipments<R> {
    /// Waits for records and takes of those that are there at most `most`, with together at most `bytes`, but one in any case; none when
    /// the spool is closed and everything taken. If it is dropped while it waits, nothing is taken.
    pub async fn take(&mut self, into: &mut Vec<R>, most: usize, bytes: u64) -> usize {
        if self.next.is_none() {
            self.next = self.records.recv().await;
        }
        let (mut count, mut size) = (0, 0);
        while let Some(entry) = self
            .next
            .take_if(|next| count < most && (count == 0 || size + next.size <= bytes))
        {
            count += 1;
            size += entry.size;
            self.taken = entry.place;
            self.bytes += entry.size;
            into.push(entry.record);
            self.next = self.records.try_recv().ok();
        }
        count
    }

    /// Everything that was taken is elsewhere, and will not come again. Returns how many records are shipped since the spool was
    /// opened.
    pub fn shipped(&mut self) -> u64 {
        self.shared.waiting.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = 0;
        let mut uses = self.shared.uses.lock().unwrap_or_else(PoisonError::into_inner);
        uses.shipped = self.taken;
        uses.release();
        self.taken
    }

    /// How many records wait to be taken.
    pub fn len(&self) -> usize {
        self.records.len() + usize::from(self.next.is_some())
    }

    /// Whether none waits to be taken.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn lock(folder: &Path) -> Result<File, OpenError> {
    let io = |source| OpenError::Io {
        folder: folder.to_owned(),
        source,
    };
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(folder.join("lock"))
        .map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(folder.to_owned())),
        Err(TryLockError::Error(error)) => Err(io(error)),
    }
}

/// Makes a segment under a name that none has.
fn create(folder: &Path, bytes: u64) -> io::Result<Segment> {
    let mut names = (0..).map(|name: u32| folder.join(format!("{name:06}.segment")));
    let name = names.find(|name| !name.exists());
    let segment = Segment::create(name.ok_or(io::ErrorKind::AlreadyExists)?, bytes)?;
    flush_folder(folder)?;
    Ok(segment)
}

/// What an earlier process left.
struct Found {
    /// The next number of a use.
    number: u64,
    full: VecDeque<(u64, Segment)>,
    free: VecDeque<Segment>,
    /// Records with where they stand.
    frames: Vec<(PathBuf, u64, Vec<u8>)>,
}

impl Found {
    fn read(folder: &Path, segment_bytes: u64) -> Result<Self, OpenError> {
        let io = |source| OpenError::Io {
            folder: folder.to_owned(),
            source,
        };
        let mut paths: Vec<PathBuf> = fs::read_dir(folder)
            .map_err(io)?
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "segment"))
            .collect();
        paths.sort();
        let mut used = Vec::new();
        let mut free = VecDeque::new();
        let mut last_empty = 0;
        for path in paths {
            let mut segment = Segment::open(path).map_err(io)?;
            let content = segment.read().map_err(io)?;
            match content.number {
                // Begun and not written to: it is as good as a new one, but its number was used.
                Some(number) if content.frames.is_empty() => {
                    last_empty = last_empty.max(number);
                    segment.wipe(segment_bytes).map_err(io)?;
                    free.push_back(segment);
                }
                Some(number) => used.push((number, segment, content)),
                None => {
                    // Never used, wiped, or its first flush did not come to an end.
                    segment.wipe(segment_bytes).map_err(io)?;
                    free.push_back(segment);
                }
            }
        }
        used.sort_by_key(|(number, ..)| *number);
        let newest = used.last().map_or(0, |(number, ..)| *number);
        let next = newest.max(last_empty) + 1;
        let mut found = Self {
            number: next,
            full: VecDeque::new(),
            free,
            frames: Vec::new(),
        };
        for (number, mut segment, content) in used {
            // Whoever goes on in a new segment completes the one before it first.
            if number != newest && !content.complete {
                return Err(OpenError::Damaged {
                    path: segment.path.clone(),
                    offset: content.end,
                });
            }
            let mut offset = HEAD;
            for bytes in content.frames {
                let length = bytes.len() as u64;
                found.frames.push((segment.path.clone(), offset, bytes));
                offset += length + FRAME as u64;
            }
            let last = found.frames.len() as u64;
            if number == newest && !content.complete {
                // What a flush that did not come to an end left behind the last record must not look like one later.
                segment.complete(number, content.end).map_err(io)?;
                segment.flush().map_err(io)?;
            }
            found.full.push_back((last, segment));
        }
        Ok(found)
    }
}

struct Writer<R> {
    folder: PathBuf,
    segment_bytes: u64,
    shared: Arc<Shared>,
    durable: mpsc::UnboundedSender<Entry<R>>,
    /// The number of the next use of a segment.
    number: u64,
    segment: Option<Segment>,
    at: u64,
    /// The place of the last record.
    place: u64,
    buffer: Vec<u8>,
}

/// A record whose frame stands in the buffer.
struct Framed<R> {
    size: u64,
    record: R,
    answer: oneshot::Sender<Result<(), AppendError>>,
}

impl<R: Record> Writer<R> {
    fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command<R>>) {
        let mut gathered = Vec::with_capacity(GROUP);
        let mut framed = Vec::with_capacity(GROUP);
        let mut last = 0;
        while commands.blocking_recv_many(&mut gathered, GROUP) > 0 {
            // Many come: with a flush for each few of them, processor time would go into waking whoever waits, one by one.
            if last > 1 && gathered.len() < last {
                #[expect(clippy::disallowed_methods, reason = "a thread of its own, which does nothing else")]
                thread::sleep(GATHER);
                while gathered.len() < GROUP
                    && let Ok(command) = commands.try_recv()
                {
                    gathered.push(command);
                }
            }
            last = gathered.len();
            for command in gathered.drain(..) {
                match command {
                    Command::Append(record, answer) => self.frame(record, answer, &mut framed),
                    Command::Flush(answer) => {
                        self.group(&mut framed);
                        let failed = self.shared.failed.load(Ordering::Relaxed);
                        let _ = answer.send(if failed { Err(AppendError::Failed) } else { Ok(()) });
                    }
                    Command::Rest => {
                        self.group(&mut framed);
                        if let Err(error) = self.rest() {
                            self.fail(&error);
                        }
                    }
                }
            }
            self.group(&mut framed);
        }
    }

    /// Puts a record into the buffer, after writing what does not fit into the segment together with it.
    fn frame(&mut self, record: R, answer: oneshot::Sender<Result<(), AppendError>>, framed: &mut Vec<Framed<R>>) {
        if self.buffer.len() >= GROUP_BYTES {
            self.group(framed);
        }
        let start = self.buffer.len();
        let number = self.used();
        let mut encoded = frame(&mut self.buffer, number, self.segment_bytes, |out| record.encode(out));
        let room = self.segment_bytes.saturating_sub(self.at + FRAME as u64);
        if encoded.is_some() && self.buffer.len() as u64 > room {
            self.buffer.truncate(start);
            self.group(framed);
            if let Err(error) = self.turn() {
                self.fail(&error);
            }
            let number = self.used();
            encoded = frame(&mut self.buffer, number, self.segment_bytes, |out| record.encode(out));
        }
        match encoded {
            Some(size) => framed.push(Framed { size, record, answer }),
            None => {
                self.shared.waiting.fetch_sub(record.weight() as u64, Ordering::Relaxed);
                // Whoever appended it and has gone needs no answer.
                let _ = answer.send(Err(AppendError::TooLarge));
            }
        }
    }

    /// The number of the present use.
    fn used(&self) -> u64 {
        self.number - 1
    }

    /// Makes what stands in the buffer durable, and answers.
    fn group(&mut self, framed: &mut Vec<Framed<R>>) {
        if framed.is_empty() {
            return;
        }
        let written = if self.shared.failed.load(Ordering::Relaxed) {
            Err(io::Error::other("an earlier flush failed"))
        } else {
            self.write()
        };
        if let Err(error) = &written {
            self.fail(error);
        }
        for Framed {
            size,
            mut record,
            answer,
        } in framed.drain(..)
        {
            // From here on it weighs what it takes.
            self.shared.waiting.fetch_sub(record.weight() as u64, Ordering::Relaxed);
            if written.is_err() {
                let _ = answer.send(Err(AppendError::Failed));
                continue;
            }
            record.is_durable();
            self.place += 1;
            let place = self.place;
            self.shared.waiting.fetch_add(size, Ordering::Relaxed);
            self.shared.appended.store(place, Ordering::Release);
            // First to the shipper: whoever has the answer may ask for what was shipped. Without a shipper it stays on the disk.
            let _ = self.durable.send(Entry { place, size, record });
            let _ = answer.send(Ok(()));
        }
        self.buffer.clear();
    }

    fn write(&mut self) -> io::Result<()> {
        let segment = self
            .segment
            .as_mut()
            .ok_or_else(|| io::Error::other("there is no segment"))?;
        segment.write(&self.buffer, self.at)?;
        segment.flush()?;
        self.at += self.buffer.len() as u64;
        Ok(())
    }

    /// Completes the present segment and goes on in another one.
    fn turn(&mut self) -> io::Result<()> {
        if let Some(mut segment) = self.segment.take() {
            segment.complete(self.used(), self.at)?;
            segment.flush()?;
            let mut uses = self.shared.uses.lock().unwrap_or_else(PoisonError::into_inner);
            uses.full.push_back((self.place, segment));
            uses.release();
        }
        let free = {
            let mut uses = self.shared.uses.lock().unwrap_or_else(PoisonError::into_inner);
            uses.free.pop_front()
        };
        let mut next = match free {
            Some(segment) => segment,
            None => create(&self.folder, self.segment_bytes)?,
        };
        next.begin(self.number)?;
        next.flush()?;
        self.segment = Some(next);
        self.number += 1;
        self.at = HEAD;
        Ok(())
    }

    /// Wipes every segment, if nothing waits.
    fn rest(&mut self) -> io::Result<()> {
        let all_shipped = {
            let uses = self.shared.uses.lock().unwrap_or_else(PoisonError::into_inner);
            uses.shipped == self.place
        };
        if !all_shipped || self.at == HEAD {
            return Ok(());
        }
        self.wipe()?;
        // Into a wiped one; the present one becomes a full one of which everything is shipped, and thereby free.
        self.turn()?;
        self.wipe()
    }

    /// Wipes the segments that are free, and gives up those that one burst needed and nobody will need for long.
    fn wipe(&self) -> io::Result<()> {
        let mut free = {
            let mut uses = self.shared.uses.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut uses.free)
        };
        for segment in free.split_off(FIRST.min(free.len())) {
            fs::remove_file(&segment.path)?;
        }
        for segment in &mut free {
            segment.wipe(self.segment_bytes)?;
        }
        let mut uses = self.shared.uses.lock().unwrap_or_else(PoisonError::into_inner);
        uses.free.append(&mut free);
        Ok(())
    }

    fn fail(&self, error: &io::Error) {
        if !self.shared.failed.swap(true, Ordering::Relaxed) {
            tracing::error!(%error, folder = %self.folder.display(), "the disk of the spool failed; nothing is recorded any more");
        }
    }
}
