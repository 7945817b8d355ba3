//! Number of channels of a board.
//!
//! With short packets a board has 128 channels and not 1024, and no method says so. One sample of
//! any module shows it, as the packets of all modules have one length. A module that is not
//! streamed gives no sample, and one that hangs must not hold up the work on the others. So the
//! next module is asked if an answer is refused, or does not come soon. If no module gives a
//! sample, channels are read back up to the first one that the board refuses.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use twotone_hal::{Error, ErrorKind, Result};
use twotone_wire::tuber::{Answer, BatchWriter, Limits};

use super::describe::OBJECT;
use super::question::Question;
use super::reader::last_line;
use super::survey::Asker;
use crate::deadline;
use crate::http::Post;
use crate::tuber::broken;

/// The most channels that a module can have.
pub(super) const MOST: u16 = 1024;

/// Time without an answer after which the next module is asked as well.
const NEXT_AFTER: Duration = Duration::from_millis(300);

/// Longest time for all samples together.
const SAMPLES_WITHIN: Duration = Duration::from_secs(2);

/// Number of channels of each of `modules`, or the reason that it is not known.
pub(super) async fn count(asker: &Asker<'_>, modules: &[u8]) -> Result<u16, String> {
    match by_samples(asker, modules).await {
        Ok(channels) => Ok(channels),
        Err(why) => by_reading(asker, modules).await.ok_or(why),
    }
}

async fn by_samples(asker: &Asker<'_>, modules: &[u8]) -> Result<u16, String> {
    let mut left = modules.iter().copied();
    let mut asked = FuturesUnordered::new();
    let mut why = None;
    let by = asker.deadline.min(deadline::within(SAMPLES_WITHIN));
    let patience = deadline::left(by);
    let too_late = asker.wait(patience);
    tokio::pin!(too_late);
    // The first one on the connection at hand.
    asked.extend(left.next().map(|module| sample(asker.clone(), module, by)));
    loop {
        let next = async {
            if left.len() > 0 {
                asker.wait(NEXT_AFTER).await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            Some(counted) = asked.next() => match counted {
                Ok(channels) => return Ok(channels),
                Err(error) => drop(why.get_or_insert(error.message().to_owned())),
            },
            () = &mut too_late => {
                return Err(why.unwrap_or_else(|| format!("no sample came within {patience:.1?}")));
            }
            () = next => {}
        }
        asked.extend(left.next().map(|module| sample(asker.apart(), module, by)));
        if asked.is_empty() {
            return Err(why.unwrap_or_else(|| "there are no modules".to_owned()));
        }
    }
}

/// The channels of one sample.
async fn sample(asker: Asker<'_>, module: u8, by: tokio::time::Instant) -> Result<u16> {
    let mut writer = BatchWriter::new(asker.format);
    writer
        .call(OBJECT, "get_samples")
        .arg(1u32)
        .kwarg("module", module);
    let post = Post::new(writer.finish(), asker.format);
    let answer = asker.exchange(post, by).await?;
    let content_type = answer.content_type.as_deref();
    let mut read = Answer::new(content_type, &answer.body, &Limits::ANSWER).map_err(broken)?;
    let mut elements = read.elements(1).map_err(broken)?;
    let rejected = |message: &str| Error::new(ErrorKind::Rejected, last_line(message));
    let Some(element) = elements.next().map_err(broken)? else {
        return Err(rejected(elements.refusal().unwrap_or("no answer")));
    };
    let mut samples = element.outcome.map_err(|message| rejected(&message))?;
    let mut values = Vec::new();
    let mut entries = samples.entries().map_err(broken)?;
    while let Some((key, value)) = entries.next().map_err(broken)? {
        if key == "i" {
            value.f64_into(&mut values).map_err(broken)?;
        }
    }
    let channels = u16::try_from(values.len()).ok();
    let channels = channels.filter(|channels| *channels > 0);
    channels.ok_or_else(|| {
        let message = format!("a sample has {} channels", values.len());
        Error::new(ErrorKind::Protocol, message)
    })
}

/// The channels that can be read back, up to the first that is refused with all behind it.
async fn by_reading(asker: &Asker<'_>, modules: &[u8]) -> Option<u16> {
    for &module in modules {
        let all: Vec<_> = (1..=MOST)
            .map(|channel| Question::Amplitude(module, channel))
            .collect();
        let Ok((_, said)) = asker.apart().ask(&all).await else {
            continue;
        };
        let there = said.iter().take_while(|said| said.is_ok()).count();
        if there > 0 && said[there..].iter().all(Result::is_err) {
            return u16::try_from(there).ok();
        }
    }
    None
}
