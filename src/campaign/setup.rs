//! Set-up of boards: the properties that the map has for boards and modules are set, and read back.
//!
//! [`Campaign::setup`](super::Campaign::setup) does only this. Tunes and sweeps do it before they
//! begin, for the boards for which the map has properties.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tworoutine::Allowance;
use twotone_hal::{
    Batch, BoardHandle, ChannelId, Error, ErrorKind, ModuleId, PropertyKey, PropertyValue, Replies,
    Result, ToneFields,
};

use super::setup_report::{SetupReport, SetupSetting, SetupStatus};
use super::{Campaign, CampaignError, board_warnings_in_words};
use crate::Array;
use crate::map::{BoardEntry, HardwareMap};
use crate::record::Failure;
use crate::run::Count;

/// Largest number of channels that an error names.
const MOST_CHANNELS: usize = 8;

/// Result of the set-up of one board.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BoardSetup {
    /// Every property that the map has for the board and its modules, in the order in which they
    /// are set.
    pub settings: Vec<SetupSetting>,
    /// Warnings that the board sent with its answers, in its own words.
    pub board_warnings: Vec<String>,
}

impl BoardSetup {
    /// True if every property has the value of the map. In a dry run, true if every property could
    /// be compared.
    pub fn is_well(&self) -> bool {
        let settings = self.settings.iter();
        settings.clone().all(|one| one.status.is_well())
    }

    /// True if a property was changed, or may have been.
    pub(crate) fn has_changed(&self) -> bool {
        let mut settings = self.settings.iter();
        settings.any(|one| one.status == SetupStatus::Set || one.was_sent)
    }

    /// True if a property differs from the map.
    pub(super) fn has_differences(&self) -> bool {
        let mut settings = self.settings.iter();
        settings.any(|one| one.status == SetupStatus::Differs)
    }

    /// Returns a sentence for each property that was changed or could not be set, and for each
    /// warning of the board.
    pub fn in_words(&self) -> impl Iterator<Item = String> + '_ {
        let settings = self.settings.iter();
        let changes = settings.filter(|one| one.status != SetupStatus::AsInMap);
        let changes = changes.map(ToString::to_string);
        changes.chain(board_warnings_in_words(&self.board_warnings))
    }

    /// Error of a board that is not as the map says: that of the first property that could not be
    /// set.
    pub(super) fn failure(&self) -> Option<Error> {
        let mut settings = self.settings.iter();
        if let Some(failed) = settings.find(|one| !one.status.is_well()) {
            let mut failed = failed.clone();
            let error = failed.error.as_mut();
            let kind = error.as_ref().and_then(|error| error.kind);
            let advice = error.and_then(|error| error.advice.take());
            let advice = advice.unwrap_or_else(|| {
                "see what is wrong with `twotone setup`, or change the map".to_owned()
            });
            let kind = kind.unwrap_or(ErrorKind::Rejected);
            return Some(Error::new(kind, failed.to_string()).advise(advice));
        }
        self.has_differences().then(cancelled)
    }

    /// True if a request had no answer, so that the board was not asked further.
    fn is_unanswered(&self) -> bool {
        let mut kinds = self.settings.iter().filter_map(SetupSetting::error_kind);
        kinds.any(ErrorKind::is_unanswered)
    }

    /// True if a cancel has left something undone.
    fn was_cancelled(&self, dry_run: bool) -> bool {
        let mut settings = self.settings.iter();
        settings.any(|one| one.error_kind() == Some(ErrorKind::Cancelled))
            || (!dry_run && self.has_differences())
    }
}

fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "the set-up was cancelled")
}

/// Sets up the boards of the map.
pub(super) async fn run(
    campaign: Campaign,
    dry_run: bool,
) -> std::result::Result<SetupReport, CampaignError> {
    let map = campaign.map.of_boards_alone();
    if !dry_run {
        campaign.access.check()?;
    }
    let Some(mut array) = campaign.connect_identified(&map).await else {
        return Ok(SetupReport::interrupted(dry_run));
    };
    if !dry_run && campaign.access.lock {
        campaign.lock(&map, &mut array).await;
    }
    let setups = campaign.set_up(&mut array, dry_run).await;
    let is_cut = setups.values().any(|setup| setup.was_cancelled(dry_run));
    let mut report = SetupReport::of(&campaign.map, &array, setups, dry_run);
    report.interrupted = campaign.cancel.is_cancelled() && is_cut;
    report.ok &= !report.interrupted;
    Ok(report)
}

impl Campaign {
    /// Sets up the connected boards for which the map has properties. If one of them differs from
    /// the map, the boards are first watched for other programs, if the campaign asks for that.
    ///
    /// After a cancel, no further property is read or set. A property that is being set is awaited,
    /// until the campaign is abandoned.
    pub(super) async fn set_up(
        &self,
        array: &mut Array,
        dry_run: bool,
    ) -> BTreeMap<String, BoardSetup> {
        let boards = array.boards().iter();
        let entries = boards.filter_map(|board| self.map.board(board.name()));
        let unread = entries
            .filter(|entry| entry.has_properties())
            .map(|entry| (entry.name.clone(), unread(entry, &cancelled(), false)));
        let mut setups = self.each_board(array, unread.collect(), false).await;
        let mut differing = setups.clone();
        differing.retain(|_, setup| setup.has_differences() && !setup.is_unanswered());
        if dry_run || differing.is_empty() || self.cancel.is_cancelled() {
            return setups;
        }
        if self.access.watch {
            let watching = array.refuse_boards_set_by_others(super::access::WATCHED);
            let _ = self.unless_cancelled(watching).await;
        }
        setups.extend(self.each_board(array, differing, true).await);
        for (name, _) in setups.iter().filter(|(_, setup)| setup.has_changed()) {
            // A kept connection has the description from before the change.
            self.connections.forget(name);
        }
        setups
    }

    /// Compares each board of `setups` with the map, each in its own context, and sets what differs
    /// if `sets` is true. Where a cancel comes first, `setups` stay as they are.
    async fn each_board(
        &self,
        array: &Array,
        setups: BTreeMap<String, BoardSetup>,
        sets: bool,
    ) -> BTreeMap<String, BoardSetup> {
        let working = setups.into_iter().filter_map(|(name, done)| {
            let entry = self.map.board(&name)?.clone();
            let board = array.answered(&name)?.handle().clone();
            let mut count = Count::default();
            count.warnings.clone_from(&done.board_warnings);
            let mut setting_up = SettingUp {
                board,
                sets,
                cancel: self.cancel.clone(),
                abandon: self.abandon.clone(),
                time: Allowance::new(self.module_deadline()),
                unanswered: None,
                count,
                done,
            };
            let setting_up = tworoutine::spawn(async move {
                setting_up.all(&entry).await;
                setting_up.done.board_warnings = setting_up.count.warnings;
                setting_up.done
            });
            Some((name, setting_up))
        });
        let working: Vec<_> = working.collect();
        let mut setups = BTreeMap::new();
        for (name, setup) in working {
            let setup = match setup.await {
                Ok(setup) => setup,
                Err(ended) => {
                    let error = Error::new(ErrorKind::Panicked, ended.to_string());
                    let entry = self.map.board(&name);
                    entry.map_or_else(BoardSetup::default, |entry| unread(entry, &error, sets))
                }
            };
            setups.insert(name, setup);
        }
        setups
    }

    /// Sets up the boards of a tune or a sweep, and gives them the modules of the map. A board that
    /// could not be set up is not used.
    pub(super) async fn set_up_for_run(&self, array: &mut Array) {
        let setups = self.set_up(array, false).await;
        let mut changed = BTreeSet::new();
        for (name, setup) in setups {
            match setup.failure() {
                Some(error) => array.give_up(&name, error.during("set up the board").on(&name)),
                None if setup.has_changed() => drop(changed.insert(name.clone())),
                None => {}
            }
            array.note_setup(name, setup);
        }
        let connecting = array.connect_anew(&self.map, &changed);
        let mut connected = self.unless_cancelled(connecting).await.unwrap_or_default();
        for name in changed {
            let no_answer = || Err(cancelled().during("connect").on(&name));
            connected.entry(name.clone()).or_insert_with(no_answer);
        }
        array.take_modules_of(&self.map, connected).await;
    }
}

/// Returns the set-up of a board about which nothing is known, for the reason `error`. `was_sent`
/// is true if properties may have been set.
fn unread(entry: &BoardEntry, error: &Error, was_sent: bool) -> BoardSetup {
    let settings = wanted(entry).map(|(key, module, value)| SetupSetting {
        error: Some(Failure::from(error)),
        was_sent,
        ..SetupSetting::unread(key, module, value)
    });
    BoardSetup {
        settings: settings.collect(),
        board_warnings: Vec::new(),
    }
}

/// Returns the properties that the map has for a board: those of the board first, each in the order
/// in which they must be set.
pub(super) fn wanted(
    entry: &BoardEntry,
) -> impl Iterator<Item = (&'static PropertyKey, Option<ModuleId>, &PropertyValue)> {
    let keys = entry.kind.family().properties.iter();
    let of_board = keys.clone().filter(|key| !key.of_module);
    let of_board =
        of_board.filter_map(move |key| Some((key, None, entry.properties.get(key.name)?)));
    let modules = entry.modules.iter().flat_map(move |module| {
        let keys = keys.clone().filter(|key| key.of_module);
        keys.filter_map(move |key| {
            let value = module.properties.get(key.name)?;
            Some((key, Some(module.module), value))
        })
    });
    of_board.chain(modules)
}

/// Set-up of one board under way.
struct SettingUp {
    board: BoardHandle,
    /// True if properties are set, false if they are only compared.
    sets: bool,
    /// Token that ends the requests that only read.
    cancel: CancellationToken,
    /// Token that ends all requests.
    abandon: CancellationToken,
    /// Time for the board.
    time: Allowance,
    /// Kind of the error of the last request, if the board did not answer it.
    unanswered: Option<ErrorKind>,
    count: Count,
    done: BoardSetup,
}

impl SettingUp {
    /// Compares or sets every property, until the campaign is cancelled or the board does not
    /// answer.
    async fn all(&mut self, entry: &BoardEntry) {
        let wanted: Vec<_> = wanted(entry).collect();
        let mut last = "";
        for (index, (key, module, value)) in wanted.into_iter().enumerate() {
            if let Some(kind) = self.unanswered.filter(|_| !self.cancel.is_cancelled()) {
                let setting = &mut self.done.settings[index];
                if setting.status != SetupStatus::AsInMap {
                    let why = format!("not asked after `{last}`, which had no answer");
                    setting.status = SetupStatus::NotSet;
                    setting.error = Some(Failure::of_kind(kind, why));
                }
                continue;
            }
            if self.cancel.is_cancelled() {
                return;
            }
            let setting = self.one(key, module, value, entry).await;
            // What was compared before is still known if a cancel has ended the request.
            if setting.was_sent || setting.error_kind() != Some(ErrorKind::Cancelled) {
                self.done.settings[index] = setting;
            }
            last = key.name;
        }
    }

    /// Compares one property with the map, and sets it if it differs.
    async fn one(
        &mut self,
        key: &'static PropertyKey,
        module: Option<ModuleId>,
        value: &PropertyValue,
        entry: &BoardEntry,
    ) -> SetupSetting {
        let mut setting = SetupSetting::unread(key, module, value);
        match self.read(key, module).await {
            Ok(before) => setting.before = before,
            Err(error) => {
                setting.error = Some(Failure::from(&error));
                // The modules of a bank that is not in use yet cannot be read.
                let is_early = !self.sets && self.done.has_differences();
                if is_early && self.lacks(module).await {
                    setting.status = SetupStatus::Differs;
                }
                return setting;
            }
        }
        let before = setting.before.as_ref();
        if before.is_some_and(|before| key.is_same(value, before)) {
            setting.after.clone_from(&setting.before);
            setting.status = SetupStatus::AsInMap;
            return setting;
        }
        setting.status = SetupStatus::Differs;
        if !self.sets {
            return setting;
        }
        setting.status = SetupStatus::NotSet;
        if key.needs_silence
            && let Err(error) = self.check_silence(module, entry).await
        {
            setting.after.clone_from(&setting.before);
            setting.error = Some(Failure::from(&error));
            return setting;
        }
        setting.was_sent = true;
        let set = self.set(key, module, value).await;
        let after = match set {
            Ok(after) => Ok(after),
            Err(error) => {
                setting.error = Some(Failure::from(&error));
                self.read(key, module).await
            }
        };
        setting.after = after.unwrap_or_default();
        let is_set = setting
            .after
            .as_ref()
            .is_some_and(|after| key.is_same(value, after));
        if is_set {
            setting.status = SetupStatus::Set;
            setting.error = None;
        } else if setting.error.is_none() {
            let error = Error::new(ErrorKind::Rejected, "the board keeps another value");
            setting.error = Some(Failure::from(&error));
        }
        setting
    }

    async fn read(
        &mut self,
        key: &'static PropertyKey,
        module: Option<ModuleId>,
    ) -> Result<Option<PropertyValue>> {
        let mut batch = Batch::new();
        let ticket = batch.read_property(module, key.name);
        let replies = self.run(&batch).await?;
        Ok(replies.get(ticket).cloned())
    }

    async fn set(
        &mut self,
        key: &'static PropertyKey,
        module: Option<ModuleId>,
        value: &PropertyValue,
    ) -> Result<Option<PropertyValue>> {
        let mut batch = Batch::new();
        let ticket = batch.set_property(module, key.name, value.clone());
        let replies = self.run(&batch).await?;
        Ok(replies.get(ticket).cloned())
    }

    async fn run(&mut self, batch: &Batch) -> Result<Replies> {
        let sets = batch.ops().iter().any(|op| op.safety().writes());
        let answer = self.until_ended(sets, self.board.run(batch)).await;
        self.count.note(&answer);
        let kind = answer.as_ref().err().map(Error::kind);
        self.unanswered = kind.filter(|kind| kind.is_unanswered());
        answer
    }

    /// Awaits the answer to a request, up to the end of the time for the board. A cancel ends a
    /// request that does not set.
    async fn until_ended<T>(
        &self,
        sets: bool,
        asked: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let end = match sets {
            true => &self.abandon,
            false => &self.cancel,
        };
        tokio::select! {
            biased;
            () = end.cancelled() => Err(cancelled()),
            answer = self.time.within(asked) => answer.unwrap_or_else(|_| {
                Err(Error::new(ErrorKind::Timeout, "the time for the board is over"))
            }),
        }
    }

    /// True if the board has no such module at present.
    async fn lacks(&self, module: Option<ModuleId>) -> bool {
        let Some(module) = module else {
            return false;
        };
        let described = self.until_ended(false, self.board.describe()).await;
        described.is_ok_and(|described| described.module(module).is_err())
    }

    /// Checks that all tones of the module, or of all modules of the board, are off.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] with the channels that are on, and the errors of the board.
    async fn check_silence(&mut self, module: Option<ModuleId>, entry: &BoardEntry) -> Result<()> {
        let described = self.until_ended(false, self.board.describe()).await?;
        for one in described.modules {
            if module.is_some_and(|module| module != one.module) {
                continue;
            }
            let mut batch = Batch::new();
            let fields = ToneFields::AMPLITUDE;
            let ticket = batch.read_tones(one.module, ChannelId::FIRST, one.channels, fields);
            let replies = self.run(&batch).await?;
            let on = replies.get(ticket).iter().filter(|tone| tone.is_on());
            let on: Vec<_> = on.map(|tone| tone.channel.to_string()).collect();
            if on.is_empty() {
                continue;
            }
            let more = match on.len().saturating_sub(MOST_CHANNELS) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let on = on[..on.len().min(MOST_CHANNELS)].join(", ");
            let why = format!(
                "tones of module {} are on (channel {on}{more}), and the change would move their \
                 power or phase",
                one.module
            );
            let error = Error::new(ErrorKind::Limit, why);
            return Err(error.advise(match entry.module(one.module) {
                Some(_) => "switch them off first (`twotone off`)".to_owned(),
                None => format!(
                    "switch them off first (`twotone off` with a map that lists module {})",
                    one.module
                ),
            }));
        }
        Ok(())
    }
}

/// True if the map has a property for any board.
pub(super) fn is_needed(map: &HardwareMap) -> bool {
    map.boards().iter().any(BoardEntry::has_properties)
}
