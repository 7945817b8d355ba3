//! Description of changes of the form of a module's samples (the number of channels and the
//! decimation stage) during a capture.

use twotone_hal::{ChannelId, StreamForm, StreamStatus};

/// Describes changes of the form of a stream, and the number of samples that lack channels of the
/// file.
pub(super) fn doubt(status: &StreamStatus) -> Option<String> {
    let change = status.first_form_change.map(|change| {
        let (before, after) = (shape(change.before), shape(change.after));
        let times = match status.form_changes {
            1 => String::new(),
            changes => format!(" {changes} times, first"),
        };
        let sequence = change.sequence;
        format!(
            "its packets changed their form{times} from {before} to {after}, at sample {sequence}"
        )
    });
    let misfit = status.counters.misfit;
    let lacking = (misfit > 0)
        .then(|| format!("{misfit} samples lack channels of the file and are not in it"));
    let both = [change, lacking].into_iter().flatten();
    let both = both.collect::<Vec<_>>().join("; ");
    (!both.is_empty()).then_some(both)
}

/// Describes the form of a stream.
fn shape(form: StreamForm) -> String {
    let chosen: Vec<_> = form.chosen.into_iter().flatten().collect();
    let samples = form.packet_samples;
    match &chosen[..] {
        [] => format!("{} channels at stage {}", form.channels, form.stage),
        [one] => format!("channel {one} in packets of {samples} samples"),
        some => {
            let channels = ChannelId::list(some);
            format!("channels {channels} in packets of {samples} samples")
        }
    }
}
