//! Channels of fast streams on the command line.

use std::collections::BTreeMap;

use serde::Serialize;
use twotone::hal::{ChannelId, ModuleId};

/// Largest number of samples of a channel in a capture.
pub(super) const MOST_SAMPLES: u64 = 1_000_000_000_000;

/// A channel of a fast stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct FastChannel {
    pub(super) module: ModuleId,
    channel: ChannelId,
}

/// Reads a module and a channel, as in `1:3`.
pub(super) fn parse_channel(text: &str) -> Result<FastChannel, String> {
    let read = || {
        let (module, channel) = text.trim().split_once(':')?;
        Some(FastChannel {
            module: ModuleId::new(module.parse().ok()?).ok()?,
            channel: ChannelId::new(channel.parse().ok()?).ok()?,
        })
    };
    read().ok_or_else(|| "a module and a channel, both from 1, as in 1:3".to_owned())
}

/// Returns the channels of each module, in ascending order.
pub(super) fn by_module(channels: &[FastChannel]) -> BTreeMap<ModuleId, Vec<ChannelId>> {
    let mut modules: BTreeMap<ModuleId, Vec<ChannelId>> = BTreeMap::new();
    for FastChannel { module, channel } in channels {
        modules.entry(*module).or_default().push(*channel);
    }
    for channels in modules.values_mut() {
        channels.sort_unstable();
        channels.dedup();
    }
    modules
}
