//! Set-up of boards: the properties that the map has for boards and modules are set, and read back.
//!
//! [`Campaign::setup`](super::Campaign::setup) does only this. Tunes and sweeps do it before they
//! begin, for the boards for which the map has properties.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use twotone_hal::{
    Batch, BoardHandle, ChannelId, Error, ErrorKind, ModuleId, PropertyKey, PropertyValue, Result,
    ToneFields,
};

use super::setup_report::{SetupReport, SetupSetting, SetupStatus};
use super::{Campaign, CampaignError, board_warnings_in_words};
use crate::Array;
use crate::map::{BoardEntry, HardwareMap};
use crate::record::Failure;

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
    pub(super) fn has_changed(&self) -> bool {
        let mut settings = self.settings.iter();
        settings.any(|one| one.status == SetupStatus::Set || one.was_sent)
    }

    /// True if a property differs from the map.
    fn has_differences(&self) -> bool {
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

    /// First reason that a property does not have the value of the map.
    fn failure(&self) -> Option<String> {
        let mut settings = self.settings.iter();
        let failed = settings.find(|one| !one.status.is_well())?;
        Some(failed.to_string())
    }
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
    for (name, setup) in &setups {
        if setup.has_changed() {
            // A kept connection has the description from before the change.
            campaign.connections.forget(name);
        }
    }
    let mut report = SetupReport::of(&campaign.map, &array, setups, dry_run);
    report.interrupted = campaign.cancel.is_cancelled();
    report.ok &= !report.interrupted;
    Ok(report)
}

impl Campaign {
    /// Sets up the connected boards for which the map has properties. If one of them differs from
    /// the map, the boards are first watched for other programs, if the campaign asks for that.
    pub(super) async fn set_up(
        &self,
        array: &mut Array,
        dry_run: bool,
    ) -> BTreeMap<String, BoardSetup> {
        let mut setups = self.each_board(array, false).await;
        let differs = setups.values().any(BoardSetup::has_differences);
        if dry_run || !differs || self.cancel.is_cancelled() {
            return setups;
        }
        if self.access.watch {
            let watching = array.refuse_boards_set_by_others(super::access::WATCHED);
            let _ = self.unless_cancelled(watching).await;
        }
        if !self.cancel.is_cancelled() {
            setups.extend(self.each_board(array, true).await);
        }
        setups
    }

    /// Compares every board with the map, each in its own context, and sets what differs if `sets`
    /// is true.
    async fn each_board(&self, array: &Array, sets: bool) -> BTreeMap<String, BoardSetup> {
        let working = array.boards().iter().filter_map(|board| {
            let entry = self.map.board(board.name())?.clone();
            if !entry.has_properties() {
                return None;
            }
            let (handle, name) = (board.handle().clone(), entry.name.clone());
            let setting_up = tworoutine::spawn(async move {
                let mut setting_up = SettingUp::of(handle, sets);
                setting_up.all(&entry).await;
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
                    unknown(entry, &error)
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
        let changed = setups.iter().filter(|(_, setup)| setup.has_changed());
        let changed = changed.map(|(name, _)| name.clone()).collect();
        array.take_modules_of(&self.map, &changed).await;
        for (name, setup) in setups {
            if let Some(why) = setup.failure() {
                let error = Error::new(ErrorKind::Rejected, why)
                    .advise("see what is wrong with `twotone setup`, or change the map");
                array.give_up(&name, error.during("set up the board").on(&name));
            }
            array.note_setup(name, setup);
        }
    }
}

/// Returns the set-up of a board about which nothing is known.
fn unknown(entry: Option<&BoardEntry>, error: &Error) -> BoardSetup {
    let wanted = entry.into_iter().flat_map(wanted);
    let settings = wanted.map(|(key, module, value)| SetupSetting {
        error: Some(Failure::from(error)),
        was_sent: true,
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
    done: BoardSetup,
}

impl SettingUp {
    fn of(board: BoardHandle, sets: bool) -> Self {
        Self {
            board,
            sets,
            done: BoardSetup::default(),
        }
    }

    async fn all(&mut self, entry: &BoardEntry) {
        let wanted: Vec<_> = wanted(entry)
            .map(|(key, module, value)| (key, module, value.clone()))
            .collect();
        for (key, module, value) in wanted {
            let setting = self.one(key, module, &value).await;
            self.done.settings.push(setting);
        }
    }

    /// Compares one property with the map, and sets it if it differs.
    async fn one(
        &mut self,
        key: &'static PropertyKey,
        module: Option<ModuleId>,
        value: &PropertyValue,
    ) -> SetupSetting {
        let mut setting = SetupSetting::unread(key, module, value);
        match self.read(key, module).await {
            Ok(before) => setting.before = before,
            // The modules of a bank that is not in use yet cannot be read.
            Err(_) if !self.sets && module.is_some() && self.done.has_differences() => {
                setting.status = SetupStatus::Differs;
                return setting;
            }
            Err(error) => {
                setting.error = Some(Failure::from(&error));
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
            && let Err(error) = self.check_silence(module).await
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

    async fn run(&mut self, batch: &Batch) -> Result<twotone_hal::Replies> {
        let answer = self.board.run(batch).await;
        let warnings = match &answer {
            Ok(replies) => replies.warnings(),
            Err(error) => error.warnings(),
        };
        let known = &mut self.done.board_warnings;
        for warning in warnings {
            if !known.contains(warning) {
                known.push(warning.clone());
            }
        }
        answer
    }

    /// Checks that all tones of the module, or of all modules of the board, are off.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] with the channels that are on, and the errors of the board.
    async fn check_silence(&mut self, module: Option<ModuleId>) -> Result<()> {
        let described = self.board.describe().await?;
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
            return Err(error.advise("switch them off first (`twotone off`)"));
        }
        Ok(())
    }
}

/// True if the map has a property for any board.
pub(super) fn is_needed(map: &HardwareMap) -> bool {
    map.boards().iter().any(BoardEntry::has_properties)
}
