//! Implementation of [`ReadBack`] for the modules of a CRS board. Settings are read back to check
//! that the board still has them. One of them is the marker, an offset of an unused channel that is
//! lost if the board restarts.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::Instant;
use twotone_hal::{
    Certainty, ChannelId, Epoch, Error, ErrorKind, Hertz, ModuleId, Radians, Result, Rounding,
    Setting, SettingKey,
};
use twotone_wire::tuber::{Answer, BatchWriter, DecodeError, Format, Limits};

use super::describe::OBJECT;
use super::life::{BoardLife, ModuleMemory};
use crate::continuity::{Epochs, ReadBack};
use crate::http::{Answer as Received, Post};
use crate::link::Line;
use crate::tuber::broken;

/// Largest differences between the values that are set and those that the board reads back. The
/// difference for amplitudes is half a step of 16 bits.
const ROUNDING: Rounding = Rounding {
    frequency: Hertz(1.0),
    amplitude: 1.0 / 65_536.0,
    angle: Radians(0.01 * std::f64::consts::PI / 180.0),
};

/// One module of a CRS board.
pub(super) struct CrsReadBack {
    pub(super) module: ModuleId,
    pub(super) memory: Arc<ModuleMemory>,
    pub(super) life: Arc<BoardLife>,
}

#[async_trait]
impl ReadBack for CrsReadBack {
    fn module(&self) -> ModuleId {
        self.module
    }

    fn epochs(&self) -> &Epochs {
        self.life.epochs()
    }

    fn rounding(&self) -> Rounding {
        ROUNDING
    }

    fn last_channel(&self) -> ChannelId {
        self.life.survey().last_channel()
    }

    fn marker(&self) -> Hertz {
        Hertz(self.memory.marker_offset())
    }

    fn take_last_channel(&self, epoch: Epoch) -> bool {
        self.memory.take_marker(epoch)
    }

    async fn read(
        &self,
        line: &mut Line,
        deadline: Instant,
        keys: &[SettingKey],
    ) -> Result<Vec<Option<f64>>> {
        // The format is JSON, which every server accepts. The server may accept CBOR no longer,
        // since it may have been replaced after it was asked for its formats.
        let mut writer = BatchWriter::new(Format::Json);
        let survey = self.life.survey();
        for key in keys {
            survey.write_get(&mut writer, self.module, *key);
        }
        let calls = writer.calls();
        let post = Post::new(writer.finish(), writer.format());
        let mut values = values(calls, &line.read(&post, deadline).await?)?;
        for (key, value) in keys.iter().zip(&mut values) {
            if matches!(key.setting, Setting::Phase | Setting::Rotation) {
                *value = value.map(f64::to_radians);
            }
        }
        Ok(values)
    }

    async fn write_marker(&self, line: &mut Line, deadline: Instant) -> Result<()> {
        let mut writer = BatchWriter::new(Format::Json);
        writer
            .call(OBJECT, "set_frequency")
            .arg(self.memory.marker_offset())
            .kwarg("channel", self.last_channel().number())
            .kwarg("module", self.module.number());
        let calls = writer.calls();
        let post = Post::new(writer.finish(), writer.format());
        let answer = line.write(&post, deadline).await?;
        values(calls, &answer).map(drop)
    }
}

/// Numbers in an answer, one for each call.
fn values(calls: usize, answer: &Received) -> Result<Vec<Option<f64>>> {
    let mut values = Vec::with_capacity(calls);
    let content_type = answer.content_type.as_deref();
    let mut read = Answer::new(content_type, &answer.body, &Limits::ANSWER).map_err(unreadable)?;
    let mut elements = read.elements(calls).map_err(unreadable)?;
    if let Some(refusal) = elements.refusal() {
        return Err(Error::new(ErrorKind::Rejected, refusal));
    }
    while let Some(element) = elements.next().map_err(unreadable)? {
        match element.outcome {
            Ok(mut value) => values.push(value.opt_f64().map_err(unreadable)?),
            Err(message) => return Err(Error::new(ErrorKind::Rejected, message)),
        }
    }
    Ok(values)
}

/// The error for an answer that cannot be read. It is reported for the request that waits for the
/// reading, and that request has not been sent.
fn unreadable(error: DecodeError) -> Error {
    broken(error).certainty_is(Certainty::NotExecuted)
}
