//! The form of a module's packets, which may not change while it is captured.

/// The form of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) channels: usize,
    pub(super) stage: u8,
}

/// The forms that packets of a module had.
#[derive(Debug, Default)]
pub(super) struct Forms {
    last: Option<Form>,
    changes: u64,
    /// The forms before and after the first change, and the sequence number after it.
    first: Option<(Form, Form, u32)>,
}

impl Forms {
    /// Takes note of a packet's form; true if it is another than before.
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

    /// Changes, and so many packets that lacked channels of the file, in words.
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
