//! The thread of a capture that calibrates rows and writes them, and its queue. A row has one
//! sample of each channel of a module.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use tokio::sync::oneshot;
use twotone_hal::{Error, ErrorKind, Result, StreamBlock};

use super::calibrated::Calibrator;
use super::receive::Intake;
use super::{CaptureParams, Provenance, Stop};
use crate::record::{
    COUNTERS_FOLDER, CounterRow, CounterWriter, Failure, RecordError, RunDirectory, RunFile,
    SAMPLES_FOLDER, SampleColumns, SampleRows, SampleWriter,
};

/// Result of the writer thread after the end of its queue.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) run: RunDirectory,
    /// Files, by the index of their module.
    pub(super) files: HashMap<usize, WrittenFile>,
    /// First error of writing.
    pub(super) error: Option<RecordError>,
}

/// A module's file.
#[derive(Debug, Default)]
pub(super) struct WrittenFile {
    pub(super) name: String,
    /// Reason that the file is incomplete, if it is.
    pub(super) error: Option<Failure>,
    /// Number of rows that were not written.
    pub(super) unwritten: u64,
}

/// Queue of rows and counters to be written. The queue holds at most `most_bytes` of rows, and
/// sending never waits.
#[derive(Debug)]
pub(super) struct Queue {
    sender: mpsc::Sender<Message>,
    state: Arc<State>,
    most_bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    bytes: AtomicUsize,
    failed: AtomicBool,
}

enum Message {
    Begin(usize, SampleColumns),
    Rows(usize, SampleRows, usize),
    Counters(usize, Vec<CounterRow>),
}

/// Starts the writer, which ends when the queue is dropped.
pub(super) fn start(
    intake: &Intake,
    run: RunDirectory,
    params: &CaptureParams,
    provenance: &Provenance,
) -> Result<(Queue, oneshot::Receiver<Written>)> {
    let (sender, messages) = mpsc::channel();
    let state = Arc::new(State::default());
    let queue = Queue {
        sender,
        state: Arc::clone(&state),
        most_bytes: params.queue_bytes,
    };
    let boards = intake.boards.iter().map(|board| {
        let mut notes = provenance.clone();
        notes.insert("board".to_owned(), board.name.clone());
        let found = board.streams.as_ref().ok();
        if let Some(serial) = found.and_then(|found| found.source.serial) {
            notes.insert("serial".to_owned(), format!("{serial:04}"));
        }
        (board.name.clone(), notes)
    });
    let modules = intake.modules.iter();
    let writer = Writer {
        run,
        boards: boards.collect(),
        modules: modules
            .map(|module| (module.board, module.plan.module.number()))
            .collect(),
        samples: HashMap::new(),
        counters: HashMap::new(),
        files: HashMap::new(),
        error: None,
        abandon: params.abandon.clone(),
        state,
    };
    let (done, written) = oneshot::channel();
    thread::Builder::new()
        .name("capture".to_owned())
        .spawn(move || drop(done.send(writer.run(&messages))))
        .map_err(|error| {
            Error::new(ErrorKind::Storage, "no thread to write with").caused_by(error)
        })?;
    Ok((queue, written))
}

impl Queue {
    /// Tells the writer to begin the file of a module, with these columns.
    pub(super) fn begin(&self, module: usize, columns: SampleColumns) {
        self.send(Message::Begin(module, columns));
    }

    /// Sends rows to be written. Returns false if the queue has no space for them.
    pub(super) fn offer(&self, module: usize, rows: SampleRows) -> bool {
        let samples = size_of::<i32>() * (rows.i.len() + rows.q.len());
        let bytes = samples + StreamBlock::ROW_BYTES * rows.len();
        if self.state.bytes.load(Ordering::Relaxed) + bytes > self.most_bytes {
            return false;
        }
        self.state.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.send(Message::Rows(module, rows, bytes))
    }

    /// Sends the sample counters of a board to be written.
    pub(super) fn count(&self, board: usize, rows: Vec<CounterRow>) {
        self.send(Message::Counters(board, rows));
    }

    /// True if a file could not be written.
    pub(super) fn has_failed(&self) -> bool {
        self.state.failed.load(Ordering::Relaxed)
    }

    fn send(&self, message: Message) -> bool {
        // The writer ends early only if it panics. `capture` reports the panic at the end.
        self.sender.send(message).is_ok()
    }
}

struct Writer {
    run: RunDirectory,
    /// Names of the boards, with the notes on the origin in their files.
    boards: Vec<(String, Provenance)>,
    /// For each module of the capture, the index of its board and its number.
    modules: Vec<(usize, u8)>,
    samples: HashMap<usize, (SampleWriter<RunFile>, Calibrator)>,
    counters: HashMap<usize, CounterWriter<RunFile>>,
    files: HashMap<usize, WrittenFile>,
    /// First error, after which nothing more is written.
    error: Option<RecordError>,
    abandon: Stop,
    state: Arc<State>,
}

impl Writer {
    /// Writes rows and counters until the queue ends. After the first error no more rows and
    /// counters are written. In any case, all files are properly finished.
    fn run(mut self, messages: &mpsc::Receiver<Message>) -> Written {
        for message in messages {
            if let Err(error) = self.write(message) {
                self.state.failed.store(true, Ordering::Relaxed);
                self.error.get_or_insert(error);
            }
        }
        for (module, (samples, _)) in self.samples.drain() {
            if let Err(error) = samples.finish().and_then(RunFile::finish) {
                let file = self.files.entry(module).or_default();
                file.error = Some(Failure::from(&error));
                self.error.get_or_insert(error);
            }
        }
        for (_, counters) in self.counters.drain() {
            if let Err(error) = counters.finish().and_then(RunFile::finish) {
                self.error.get_or_insert(error);
            }
        }
        Written {
            run: self.run,
            files: self.files,
            error: self.error,
        }
    }

    fn write(&mut self, message: Message) -> Result<(), RecordError> {
        match message {
            Message::Rows(module, rows, bytes) => {
                let written = self.write_rows(module, rows);
                self.state.bytes.fetch_sub(bytes, Ordering::Relaxed);
                written
            }
            _ if self.error.is_some() => Ok(()),
            Message::Begin(module, columns) => self.begin(module, columns),
            Message::Counters(board, rows) => self.count(board, &rows),
        }
    }

    fn write_rows(&mut self, module: usize, mut rows: SampleRows) -> Result<(), RecordError> {
        let count = rows.len() as u64;
        let file = self.files.entry(module).or_default();
        let is_over = self.error.is_some() || self.abandon.is_cancelled();
        let Some((samples, calibrator)) = self.samples.get_mut(&module).filter(|_| !is_over) else {
            file.unwritten += count;
            return Ok(());
        };
        calibrator.calibrate(&mut rows);
        let written = samples.write(rows);
        if written.is_err() {
            file.unwritten += count;
            // The incomplete rows are removed, so that there is space for the ends of all files.
            if let Err(error) = samples.get_mut().rewind() {
                file.error = Some(Failure::from(&error));
                self.samples.remove(&module);
            }
        }
        written
    }

    fn begin(&mut self, module: usize, columns: SampleColumns) -> Result<(), RecordError> {
        let (board, number) = self.modules[module];
        let (name, provenance) = &self.boards[board];
        let mut provenance = provenance.clone();
        provenance.insert("module".to_owned(), number.to_string());
        let file = format!("{SAMPLES_FOLDER}/{name}/module-{number}.arrow");
        let calibrator = Calibrator::new(&columns);
        let created = self.files.entry(module).or_default();
        created.name.clone_from(&file);
        let samples = self
            .run
            .create(&file)
            .and_then(|created| SampleWriter::new(created, &file, columns, &provenance));
        created.error = samples.as_ref().err().map(Failure::from);
        self.samples.insert(module, (samples?, calibrator));
        Ok(())
    }

    fn count(&mut self, board: usize, rows: &[CounterRow]) -> Result<(), RecordError> {
        // If a user has removed the run directory, its open files could still be written, but
        // nobody could open them again. So this is an error.
        self.run.is_there()?;
        if !self.counters.contains_key(&board) {
            let (name, provenance) = &self.boards[board];
            let file = format!("{COUNTERS_FOLDER}/{name}.arrow");
            let writer = CounterWriter::new(self.run.create(&file)?, &file, provenance)?;
            self.counters.insert(board, writer);
        }
        let counters = self.counters.get_mut(&board);
        counters.map_or(Ok(()), |counters| {
            counters.write(rows).or_else(|error| {
                counters.get_mut().rewind()?;
                Err(error)
            })
        })
    }
}
