//! Form of a module's packets, and its changes during a capture.

/// Form of a packet: its number of channels, and the decimation stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) channels: usize,
    pub(super) stage: u8,
}

/// Forms that the packets of a module had.
#[derive(Debug, Default)]
pub(super) struct Forms {
    last: Option<Form>,
    changes: u64,
    /// The forms before and after the first change, and the sequence number after it.
    first: Option<(Form, Form, u32)>,
}

impl Forms {
    /// Takes note of a packet's form; true if it differs from that of the packet before.
    pub(super) fn take(&mut self, form: Form, sequence: u32) -> bool {
        if self.last == Some(form) {
            return false;
        }
        if let Some(before) = self.last.replace(form) {
            self.changes += 1;
            self.first.get_or_insert((before, form, sequence));
        }
        true
    }

    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// Describes changes of the form, and the `misfit` samples that lack channels of the file.
    pub(super) fn doubt(&self, misfit: u64) -> Option<String> {
        let shape = |form: Form| format!("{} channels at stage {}", form.channels, form.stage);
        let change = self.first.map(|(before, after, sequence)| {
            let (before, after) = (shape(before), shape(after));
            let times = match self.changes {
                1 => String::new(),
                changes => format!(" {changes} times, first"),
            };
            format!("its packets changed their form{times} from {before} to {after}, at sample {sequence}")
        });
        let lacking = (misfit > 0)
            .then(|| format!("{misfit} samples lack channels of the file and are not in it"));
        let both = [change, lacking].into_iter().flatten();
        let both = both.collect::<Vec<_>>().join("; ");
        (!both.is_empty()).then_some(both)
    }
}
