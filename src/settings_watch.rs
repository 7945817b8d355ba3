//! Watch for other programs, on this host or another, that change settings of the same boards.
//!
//! A program locks its boards on its host, so other programs on this host leave them alone.
//! Programs on other hosts do not see this lock. Boards keep no record of their users, but their
//! settings can be read. If the settings change between two readings, and this program has set
//! nothing, then another program has.

use std::time::Duration;

use tokio::time::{sleep, timeout};
use twotone_hal::{Batch, ChannelId, Error, ErrorKind, ToneFields, ToneState};
use twotone_transport::ConnectOptions;

use crate::ArrayBoard;
use crate::run::Target;

const FIELDS: ToneFields = ToneFields {
    offset: true,
    amplitude: true,
    ..ToneFields::AMPLITUDE
};

/// Advice if another program changes the settings of a board.
pub(crate) const ADVICE: &str = "end that program first (with --ignore-others both would set it)";

/// Longest time for reading the settings of a module. If reading takes longer, the settings count
/// as unread.
const READ_WITHIN: Duration = Duration::from_millis(2500);

/// Settings of a module: the frequency of its NCO in hertz, if it has one, and its tones.
type Settings = (Option<f64>, Vec<ToneState>);

/// Result of watching a board.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    /// Reason to set nothing on the board, if its settings have changed.
    pub(crate) changed: Option<String>,
    /// Sentences about modules that could not be watched.
    pub(crate) doubts: Vec<String>,
}

/// Watches the settings of all boards for the duration `time`. All boards and modules are watched
/// at the same time, and none waits for another. A module that does not answer makes this take a
/// few seconds longer.
pub(crate) async fn watch(boards: &[ArrayBoard], time: Duration) -> Vec<Watched> {
    let watching = boards.iter().map(|watched| {
        let watched = watched.clone();
        tworoutine::spawn(async move { board(&watched, time).await })
    });
    let watching: Vec<_> = watching.collect();
    let mut found = Vec::with_capacity(watching.len());
    for board in watching {
        found.push(board.await.unwrap_or_default());
    }
    found
}

async fn board(board: &ArrayBoard, time: Duration) -> Watched {
    let first = twice(board, time).await;
    let mut taken = board.targets().iter().filter(|one| one.was_taken_over());
    let (Some(_), Some(target)) = (&first.changed, taken.next()) else {
        return first;
    };
    // The change may come from the last requests of the program from which the board was taken
    // over. So the board is watched once more, after the time in which it may still execute them.
    let life = ConnectOptions::default().request_life;
    sleep(target.request_life.unwrap_or(life)).await;
    twice(board, time).await
}

/// Reads the settings of a board twice, `time` apart.
async fn twice(board: &ArrayBoard, time: Duration) -> Watched {
    let all = vec![true; board.targets().len()];
    let before = read(board, &all).await;
    sleep(time).await;
    // A module that has not answered is not read again, because there is no earlier reading to
    // compare.
    let answered: Vec<_> = before.iter().map(Result::is_ok).collect();
    let after = read(board, &answered).await;
    let mut watched = Watched::default();
    for ((target, before), after) in board.targets().iter().zip(before).zip(after) {
        match before.and_then(|before| Ok((before, after?))) {
            Ok((before, after)) => {
                let changed = || changed(target, &before, &after);
                watched.changed = watched.changed.or_else(changed);
            }
            // Requests to the board are refused, because this program must not use it. The reason
            // is reported elsewhere.
            Err(error) if error.kind() == ErrorKind::Busy => {}
            Err(error) => watched.doubts.push(format!(
                "it is not known if another program sets module {}: its settings could not be read \
                 before the run: {error:#}",
                target.module
            )),
        }
    }
    watched
}

/// Reads the settings of those modules of a board for which `wanted` is true, at the same time.
async fn read(board: &ArrayBoard, wanted: &[bool]) -> Vec<Result<Settings, Error>> {
    let reading = board.targets().iter().zip(wanted).map(|(target, wanted)| {
        let described = board.description().module(target.module);
        let channels = described.as_ref().map_or(0, |module| module.channels);
        let has_nco = described.is_ok_and(|module| module.nco.is_some());
        let target = target.clone();
        let module = async move {
            match timeout(READ_WITHIN, module(&target, channels, has_nco)).await {
                Ok(read) => read,
                Err(_) => Err(silent()),
            }
        };
        wanted.then(|| tworoutine::spawn(module))
    });
    let reading: Vec<_> = reading.collect();
    let mut settings = Vec::with_capacity(reading.len());
    for module in reading {
        settings.push(match module {
            Some(module) => module.await.unwrap_or_else(|ended| {
                let message = ended.message().unwrap_or("its context was shut down");
                Err(Error::new(ErrorKind::Panicked, message.to_owned()))
            }),
            None => Err(silent()),
        });
    }
    settings
}

fn silent() -> Error {
    let seconds = READ_WITHIN.as_secs_f64();
    Error::new(ErrorKind::Timeout, format!("no answer within {seconds} s"))
}

async fn module(target: &Target, channels: u16, has_nco: bool) -> Result<Settings, Error> {
    let mut batch = Batch::new();
    let nco = has_nco.then(|| batch.read_nco(target.module));
    let tones = batch.read_tones(target.module, ChannelId::FIRST, channels, FIELDS);
    let replies = target.board.run(&batch).await?;
    let nco = nco.map(|nco| replies.get(nco).frequency.0);
    Ok((nco, replies.get(tones).to_vec()))
}

/// True if two readings of a setting are the same. Two readings of NaN count as the same.
fn is_same(before: Option<f64>, after: Option<f64>) -> bool {
    before == after
        || before
            .zip(after)
            .is_some_and(|(one, other)| one.is_nan() && other.is_nan())
}

/// Returns the reason to set nothing on a board whose module has changed between two readings, or
/// `None` if the module has not changed.
fn changed(target: &Target, before: &Settings, after: &Settings) -> Option<String> {
    let ((nco, tones), (nco_after, tones_after)) = (before, after);
    let what = if is_same(*nco, *nco_after) {
        let mut pairs = tones.iter().zip(tones_after);
        let (tone, _) = pairs.find(|(before, after)| {
            let hertz = |tone: &ToneState| tone.offset.map(|offset| offset.0);
            let same_offset = is_same(hertz(before), hertz(after));
            !same_offset || !is_same(before.amplitude, after.amplitude)
        })?;
        format!("its channel {}", tone.channel)
    } else {
        "its NCO".to_owned()
    };
    Some(format!(
        "another program sets module {} right now, perhaps on another host ({what} changed while \
         nothing was sent)",
        target.module
    ))
}
