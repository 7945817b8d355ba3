//! Number of channels of a board.
//!
//! A board that is set to short packets has 128 channels in place of 1024, and no method of the
//! board returns the number. One sample of any module shows the number, since the packets of all
//! modules have the same length. A module that does not stream gives no sample, and a module that
//! does not answer must not delay the others. So the next module is asked if a module refuses, or
//! does not answer soon. If no module gives a sample, the amplitudes of all channels are read: the
//! first refusal shows the number.

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
use crate::tuber::broken;

/// The most channels that a module can have.
pub(super) const MOST: u16 = 1024;

/// Time without an answer after which the next module is asked as well.
const NEXT_AFTER: Duration = Duration::from_millis(300);

/// Longest time to wait for a sample of any module.
const SAMPLES_WITHIN: Duration = Duration::from_secs(2);

/// Number of channels of each of `modules`, or the reason why it is not known.
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
    // The first module is asked on the existing connection.
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
        asked.extend(
            left.next()
                .map(|module| sample(asker.on_new_connection(), module, by)),
        );
        if asked.is_empty() {
            return Err(why.unwrap_or_else(|| "there are no modules".to_owned()));
        }
    }
}

/// Number of channels in one sample of `module`.
async fn sample(asker: Asker<'_>, module: u8, by: tokio::time::Instant) -> Result<u16> {
    let write = |out: &mut BatchWriter| {
        out.call(OBJECT, "get_samples")
            .arg(1u32)
            .kwarg("module", module);
    };
    let answer = asker.exchange(write, by).await?;
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

/// Number of channels whose amplitude can be read, if all channels after them are refused.
async fn by_reading(asker: &Asker<'_>, modules: &[u8]) -> Option<u16> {
    for &module in modules {
        let all: Vec<_> = (1..=MOST)
            .map(|channel| Question::Amplitude(module, channel))
            .collect();
        let Ok((_, answers)) = asker.on_new_connection().ask(&all).await else {
            continue;
        };
        let there = answers.iter().take_while(|answer| answer.is_ok()).count();
        if there > 0 && answers[there..].iter().all(Result::is_err) {
            return u16::try_from(there).ok();
        }
    }
    None
}
