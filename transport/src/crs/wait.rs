//! Execution of waits, operations that let time pass on the board.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use twotone_hal::{ChannelId, Error, ErrorKind, ModuleId, RepliesBuilder, Result, Safety};
use twotone_wire::crs::sample_rate_hz;
use twotone_wire::tuber::{Answer, BatchWriter, Limits};

use super::CrsBoard;
use super::describe::{OBJECT, Survey};
use super::reader::Reader;
use crate::deadline;
use crate::http::Post;
use crate::link::Sent;
use crate::tuber::broken;

/// Longest time of one request of a wait. Requests for a module are sent one after the other. So a
/// later request, for example one that switches tones off, is delayed by at most this time.
const SLICE: Duration = Duration::from_secs(1);

/// Largest number of samples of one request, so that its answer stays small.
const MOST_SAMPLES: u64 = 10_000;

impl CrsBoard {
    /// Lets `time` pass on the board, by acquiring samples of one channel and discarding them. A
    /// simulated board may count its time by its samples, and then returns at once.
    pub(super) async fn wait_on_board(
        &self,
        module: ModuleId,
        time: Duration,
        survey: &Survey,
        replies: &mut RepliesBuilder<'_>,
    ) -> Result<()> {
        let rate = survey.stage.map(sample_rate_hz).ok_or_else(|| {
            let message = "the board does not say the rate of its samples";
            Error::new(ErrorKind::Unsupported, message)
        })?;
        let mut left = (time.as_secs_f64() * rate).ceil() as u64;
        let slice = (SLICE.as_secs_f64() * rate).ceil() as u64;
        let link = self.link(Some(module))?;
        while left > 0 {
            let samples = left.min(slice).min(MOST_SAMPLES);
            let acquiring = Duration::from_secs_f64(samples as f64 / rate);
            let mut writer = BatchWriter::new(survey.format);
            writer
                .call(OBJECT, "get_samples")
                .arg(samples)
                .kwarg("channel", ChannelId::FIRST.number())
                .kwarg("module", module.number());
            let calls = writer.calls();
            let post = Post {
                sent: Some(Arc::new(Sent::new(survey.epoch, Vec::new()))),
                acquiring,
                ..Post::new(writer.finish(), survey.format)
            };
            let within = self.options.request_timeout.saturating_add(acquiring);
            let deadline = deadline::after(Instant::now(), within);
            let answer = link.exchange(post, Safety::Read, deadline).await?;
            let content_type = answer.content_type.as_deref();
            let mut read =
                Answer::new(content_type, &answer.body, &Limits::ANSWER).map_err(broken)?;
            let mut elements = read.elements(calls).map_err(broken)?;
            let mut reader = Reader::new(&mut elements);
            let done = reader.done();
            reader.pass_warnings_to(replies);
            done?;
            left -= samples;
        }
        replies.done()
    }
}
