//! Batches: ordered lists of typed operations on a board. A board has modules, and a module has
//! channels with one tone each.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use std::time::Duration;

use crate::replies::Entry;
use crate::tones::ToneUpdate;
use crate::{
    Acquire, ChannelId, Error, ErrorKind, Hertz, ModuleId, OperationKind, PropertyValue, Replies,
    RepliesBuilder, Result, ToneFields,
};

/// One operation of a batch. The methods of [`Batch`] build it, and boards execute it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Op {
    /// Describe the board: its kind, its modules and its operations.
    Describe,
    /// Change tones. The updates are the entries of [`Batch::tone_updates`] in the range `updates`.
    SetTones {
        /// The module whose tones change.
        module: ModuleId,
        /// Range of the updates in [`Batch::tone_updates`].
        updates: Range<usize>,
    },
    /// Read tones back.
    ReadTones {
        /// The module to read.
        module: ModuleId,
        /// The first channel.
        first: ChannelId,
        /// Number of channels.
        count: u16,
        /// Settings to read of each channel.
        fields: ToneFields,
    },
    /// Switch off every tone of a module, and set the offset, the phase and the rotation of each to
    /// 0 (see [`ToneUpdate`]). If these three are read back afterwards, a board may report them as
    /// 0 or as never set.
    ClearTones {
        /// The module to clear.
        module: ModuleId,
    },
    /// Set the NCO, the oscillator to whose frequency the tones of a module are relative.
    SetNco {
        /// The module.
        module: ModuleId,
        /// The absolute frequency.
        frequency: Hertz,
    },
    /// Read the NCO back.
    ReadNco {
        /// The module.
        module: ModuleId,
    },
    /// Acquire samples, and return the mean and the standard deviation of each channel.
    AcquireMean {
        /// The module.
        module: ModuleId,
        /// Number of samples, and the channels to acquire.
        acquire: Acquire,
    },
    /// Acquire samples and return all of them.
    AcquireSamples {
        /// The module.
        module: ModuleId,
        /// Number of samples, and the channels to acquire.
        acquire: Acquire,
    },
    /// Set the channels that the fast stream of a module sends.
    SetFastStream {
        /// The module.
        module: ModuleId,
        /// The channels, in the order in which they are sent. Without channels the stream is off.
        channels: Vec<ChannelId>,
    },
    /// Read the channels that the fast stream of a module sends.
    ReadFastStream {
        /// The module.
        module: ModuleId,
    },
    /// Read the board's time.
    ReadClock,
    /// Read every sensor and every supply rail of the board.
    ReadHousekeeping,
    /// Let time pass on the board before the next operation.
    Wait {
        /// The module whose next operation waits.
        module: ModuleId,
        /// The shortest time to wait.
        time: Duration,
    },
    /// Set a property that the kind of the board has, and read it back.
    SetProperty {
        /// The module; `None` for a property of the board as a whole.
        module: Option<ModuleId>,
        /// Name of the property.
        name: &'static str,
        /// The value.
        value: PropertyValue,
    },
    /// Read a property that the kind of the board has.
    ReadProperty {
        /// The module; `None` for a property of the board as a whole.
        module: Option<ModuleId>,
        /// Name of the property.
        name: &'static str,
    },
    /// An operation that no board has, for tests of the code that must refuse it.
    #[cfg(feature = "mock")]
    #[doc(hidden)]
    Unknown {
        /// The module that the operation acts on, if any.
        module: Option<ModuleId>,
        /// Repeatability of the operation.
        safety: Safety,
    },
}

/// Conditions under which an operation may be sent again if its answer was lost, from the most to
/// the least repeatable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Safety {
    /// The operation changes nothing. It may be repeated at any time.
    Read,
    /// The operation sets an absolute value. It may be repeated until a later operation has been
    /// sent.
    AbsoluteSet,
    /// The operation has an effect each time that it is executed, such as a heater pulse or a flash
    /// of the firmware. It is repeated only if it was surely not executed.
    Once,
}

impl Safety {
    /// True if the operation may change something on the board.
    pub fn writes(self) -> bool {
        match self {
            Self::Read => false,
            Self::AbsoluteSet | Self::Once => true,
        }
    }
}

impl Op {
    /// The module that the operation acts on; `None` if the operation concerns the whole board.
    pub fn module(&self) -> Option<ModuleId> {
        match *self {
            Self::SetTones { module, .. }
            | Self::ReadTones { module, .. }
            | Self::ClearTones { module }
            | Self::SetNco { module, .. }
            | Self::ReadNco { module }
            | Self::AcquireMean { module, .. }
            | Self::AcquireSamples { module, .. }
            | Self::SetFastStream { module, .. }
            | Self::ReadFastStream { module }
            | Self::Wait { module, .. } => Some(module),
            Self::SetProperty { module, .. } | Self::ReadProperty { module, .. } => module,
            Self::Describe | Self::ReadClock | Self::ReadHousekeeping => None,
            #[cfg(feature = "mock")]
            Self::Unknown { module, .. } => module,
        }
    }

    /// Kind of the operation, as a board lists it in [`crate::Description::operations`].
    pub fn kind(&self) -> OperationKind {
        match self {
            Self::Describe => OperationKind::Describe,
            Self::SetTones { .. } | Self::ReadTones { .. } | Self::ClearTones { .. } => {
                OperationKind::Tones
            }
            Self::SetNco { .. } | Self::ReadNco { .. } => OperationKind::Nco,
            Self::AcquireMean { .. } | Self::AcquireSamples { .. } => OperationKind::Samples,
            Self::SetFastStream { .. } | Self::ReadFastStream { .. } => OperationKind::FastStream,
            Self::ReadClock => OperationKind::Clock,
            Self::ReadHousekeeping => OperationKind::Housekeeping,
            Self::Wait { .. } => OperationKind::Wait,
            Self::SetProperty { .. } | Self::ReadProperty { .. } => OperationKind::Properties,
            #[cfg(feature = "mock")]
            Self::Unknown { .. } => OperationKind::Unknown,
        }
    }

    /// Conditions under which the operation may be sent again if its answer was lost.
    pub fn safety(&self) -> Safety {
        match *self {
            Self::SetTones { .. }
            | Self::ClearTones { .. }
            | Self::SetNco { .. }
            | Self::SetFastStream { .. }
            | Self::SetProperty { .. } => Safety::AbsoluteSet,
            Self::Describe
            | Self::ReadTones { .. }
            | Self::ReadNco { .. }
            | Self::AcquireMean { .. }
            | Self::AcquireSamples { .. }
            | Self::ReadFastStream { .. }
            | Self::ReadClock
            | Self::ReadHousekeeping
            | Self::ReadProperty { .. }
            | Self::Wait { .. } => Safety::Read,
            #[cfg(feature = "mock")]
            Self::Unknown { safety, .. } => safety,
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Describe => f.write_str("describe"),
            Self::SetTones { module, updates } => {
                write!(f, "set {} tones on module {module}", updates.len())
            }
            Self::ReadTones {
                module,
                first,
                count,
                ..
            } => {
                write!(
                    f,
                    "read {count} tones from channel {first} of module {module}"
                )
            }
            Self::ClearTones { module } => write!(f, "clear the tones of module {module}"),
            Self::SetNco { module, frequency } => {
                write!(f, "set the NCO of module {module} to {frequency}")
            }
            Self::ReadNco { module } => write!(f, "read the NCO of module {module}"),
            Self::AcquireMean { module, acquire } | Self::AcquireSamples { module, acquire } => {
                write!(f, "acquire {} samples on module {module}", acquire.samples)
            }
            Self::SetFastStream { module, channels } if channels.is_empty() => {
                write!(f, "switch off the fast stream of module {module}")
            }
            Self::SetFastStream { module, channels } => {
                let channels = ChannelId::list(channels);
                write!(
                    f,
                    "set the fast stream of module {module} to the channels {channels}"
                )
            }
            Self::ReadFastStream { module } => {
                write!(f, "read the fast stream of module {module}")
            }
            Self::ReadClock => f.write_str("read the clock"),
            Self::ReadHousekeeping => f.write_str("read the housekeeping"),
            Self::Wait { module, time } => {
                write!(f, "wait {} s on module {module}", time.as_secs_f64())
            }
            Self::SetProperty {
                module: Some(module),
                name,
                value,
            } => write!(f, "set `{name}` of module {module} to {value}"),
            Self::SetProperty { name, value, .. } => write!(f, "set `{name}` to {value}"),
            Self::ReadProperty {
                module: Some(module),
                name,
            } => write!(f, "read `{name}` of module {module}"),
            Self::ReadProperty { name, .. } => write!(f, "read `{name}`"),
            #[cfg(feature = "mock")]
            Self::Unknown { .. } => f.write_str("do something unknown"),
        }
    }
}

/// Type of an operation, with the type of its reply. The types that implement this trait, such as
/// [`crate::SetTones`], are enums without variants. They serve only as the type parameter of a
/// [`Ticket`].
pub trait Operation {
    /// Reply to the operation, borrowed from the [`Replies`] to its batch.
    type Reply<'a>;

    #[doc(hidden)]
    fn reply<'a>(entry: &'a Entry, replies: &'a Replies) -> Option<Self::Reply<'a>>;
}

/// Type of an operation that no board has.
#[cfg(feature = "mock")]
#[doc(hidden)]
#[derive(Debug)]
pub enum UnknownOp {}

#[cfg(feature = "mock")]
impl Operation for UnknownOp {
    type Reply<'a> = ();

    fn reply<'a>(entry: &'a Entry, _: &'a Replies) -> Option<()> {
        matches!(entry, Entry::Done).then_some(())
    }
}

/// Key to the reply of one operation of one batch.
pub struct Ticket<O> {
    pub(crate) index: usize,
    operation: PhantomData<fn() -> O>,
}

impl<O> Ticket<O> {
    /// The position of the operation in its batch, counted from 0.
    pub fn index(&self) -> usize {
        self.index
    }
}

impl<O> Clone for Ticket<O> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<O> Copy for Ticket<O> {}
impl<O> fmt::Debug for Ticket<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ticket({})", self.index)
    }
}

/// An ordered list of operations that a board runs strictly in order, in as few round trips as its
/// protocol allows. Methods such as [`Batch::set_tones`] and [`Batch::acquire_mean`] add
/// operations. Each returns a ticket for the reply of its operation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    ops: Vec<Op>,
    tones: Vec<ToneUpdate>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// The operations, in order.
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// The updates of all [`Op::SetTones`] of this batch. Each [`Op::SetTones`] has the range of
    /// its own updates in this list.
    pub fn tone_updates(&self) -> &[ToneUpdate] {
        &self.tones
    }

    /// True if the batch has no operation.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Number of operations.
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Empties the batch and keeps its memory, for loops that send one batch in each step.
    pub fn clear(&mut self) {
        self.ops.clear();
        self.tones.clear();
    }

    /// Refuses the batch if it has an operation that the caller does not know. Boards, and wrappers
    /// around boards, call this method before they send anything, because they cannot execute,
    /// record or check an operation that they do not know.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] with the first operation for which `knows` returns false. The
    /// error names `board` as the board.
    pub fn refuse_unknown(&self, board: &str, knows: impl Fn(&Op) -> bool) -> Result<()> {
        self.check_each(board, |op| match knows(op) {
            true => Ok(()),
            false => Err(Error::new(
                ErrorKind::Unsupported,
                "this program cannot run the operation",
            )),
        })
    }

    /// Checks the operations in order, before anything is sent.
    ///
    /// # Errors
    /// The first error of `check`. The error names the operation and `board`, and its number of
    /// executed operations is 0.
    pub fn check_each(&self, board: &str, mut check: impl FnMut(&Op) -> Result<()>) -> Result<()> {
        let named = |error: Error, op: &Op| error.during(op.to_string()).on(board).after(0);
        let mut ops = self.ops.iter();
        ops.try_for_each(|op| check(op).map_err(|error| named(error, op)))
    }

    /// Runs the batch on a board that executes one operation at a time. `answer` executes an
    /// operation, and adds its reply to the builder.
    ///
    /// # Errors
    /// The first error of `answer`, after which no operation is executed. It names the operation
    /// and `board`, and has the number of operations that were executed before.
    /// [`ErrorKind::Protocol`] if `answer` left an operation without an answer.
    pub fn answer_each(
        &self,
        board: &str,
        mut answer: impl FnMut(&Op, &mut RepliesBuilder<'_>) -> Result<()>,
    ) -> Result<Replies> {
        let mut replies = RepliesBuilder::new(self);
        for (done, op) in self.ops.iter().enumerate() {
            let answered = answer(op, &mut replies);
            answered.map_err(|error| error.during(op.to_string()).on(board).after(done))?;
        }
        replies.finish().map_err(|error| error.on(board))
    }

    /// Adds an operation that no board has, for tests of the code that must refuse it.
    #[cfg(feature = "mock")]
    #[doc(hidden)]
    pub fn unknown(&mut self, module: Option<ModuleId>, safety: Safety) -> Ticket<UnknownOp> {
        self.push(Op::Unknown { module, safety })
    }

    pub(crate) fn push<O>(&mut self, op: Op) -> Ticket<O> {
        self.ops.push(op);
        Ticket {
            index: self.ops.len() - 1,
            operation: PhantomData,
        }
    }

    pub(crate) fn push_tones(
        &mut self,
        updates: impl IntoIterator<Item = ToneUpdate>,
    ) -> Range<usize> {
        let start = self.tones.len();
        self.tones.extend(updates);
        start..self.tones.len()
    }
}
