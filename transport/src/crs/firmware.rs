//! Firmware of CRS boards: flashed in the boot window, over the console of the boot loader.
//!
//! The board must be in its boot window, in which it sends beacons. A power cycle begins the
//! window. XMODEM transfers the image into the memory of the board, and the board computes the
//! digest of the image there. Only after that, the flash is erased and written. Finally the flash
//! is read back into memory, behind the image, and the digest of what was read is compared with
//! that of the image. A board has only one place for an image, so a loss of power between the
//! erasure and the end of the write is fatal.
//!
//! | file | content |
//! |---|---|
//! | `beacons` | the socket that receives the beacons of all boards |
//! | `console` | commands and transfers of one board |

pub(super) mod beacons;
mod console;

use std::fmt::{self, Write as _};
use std::pin::pin;
use std::sync::Arc;

use async_trait::async_trait;
use md5::{Digest as _, Md5};
use twotone_hal::{
    Certainty, Error, ErrorKind, Firmware, FirmwareAnswer, FirmwareError, FirmwareIdentity,
    FirmwareImage, FirmwareProgress, FirmwareRelease, FirmwareResult, PowerLoss, Result,
    same_serial,
};
use twotone_wire::crs::boot::{Beacon, Command, ERASE_BLOCK, check_image, is_for_simulated_boards};

use self::beacons::Beacons;
use self::console::Console;
use super::FAMILY;
use crate::{BoardPlace, FirmwareOptions, deadline};

/// First release whose `boot.bin` a board can start from its flash.
const FIRST_RELEASE: &str = "1.7.0";

/// Returns the access to the firmware of boards, in the order of `boards`, each a name and a place.
/// All boards share one socket.
pub(crate) fn firmware_of(
    boards: &[(&str, BoardPlace<'_>)],
    options: &FirmwareOptions,
) -> Vec<Arc<dyn Firmware>> {
    let beacons = Arc::new(Beacons::new(options.beacons.unwrap_or(beacons::USUAL)));
    let boards = boards.iter().map(|(name, place)| {
        let firmware = CrsFirmware {
            name: (*name).to_owned(),
            serial: place.serial.map(str::to_owned),
            crate_serial: place.crate_serial.map(str::to_owned),
            options: *options,
            beacons: Arc::clone(&beacons),
            session: Arc::default(),
        };
        Arc::new(firmware) as Arc<dyn Firmware>
    });
    boards.collect()
}

/// Firmware of a CRS board.
struct CrsFirmware {
    name: String,
    serial: Option<String>,
    crate_serial: Option<String>,
    options: FirmwareOptions,
    beacons: Arc<Beacons>,
    session: Arc<tokio::sync::Mutex<Session>>,
}

/// State of the access to a board, once its console is open.
#[derive(Default)]
struct Session {
    console: Option<Console>,
    /// Size of the image in the memory of the board, whose digest the board has confirmed.
    staged: Option<usize>,
    /// Effect of a loss of power, once this client has begun to change the flash.
    power_loss: Option<PowerLoss>,
}

impl Session {
    /// The console, or an error if the board was not identified.
    fn console(&mut self) -> Result<&mut Console> {
        let why = "the board is not under control: identify it first";
        self.console
            .as_mut()
            .ok_or_else(|| Error::new(ErrorKind::InvalidArgument, why))
    }

    /// Effect of a loss of power now.
    fn power_loss(&self) -> PowerLoss {
        self.power_loss.unwrap_or(PowerLoss::Harmless)
    }

    /// Erases and writes the flash. The effect of a loss of power is kept up to date.
    async fn commit(&mut self) -> Result<()> {
        let why = "no image is in the memory of the board";
        let none = || Error::new(ErrorKind::InvalidArgument, why);
        let size = self.staged.ok_or_else(none)?;
        let changed = self.power_loss.is_some();
        let console = self.console()?;
        if changed {
            // An earlier step may have lost its answer, which may still come.
            console.settle().await?;
        }
        console.ask(Command::Probe).await?;
        // The board erases as soon as it has the command, even if its answer is lost.
        if self.power_loss != Some(PowerLoss::Fatal) {
            self.power_loss = Some(PowerLoss::Unknown);
        }
        self.console()?.ask(Command::Erase { size }).await?;
        self.power_loss = Some(PowerLoss::Fatal);
        self.console()?.ask(Command::Write { size }).await?;
        // Until the flash is read back, only the answer of the board shows that the flash is
        // complete.
        self.power_loss = Some(PowerLoss::Unknown);
        Ok(())
    }

    /// Reads the flash back, and compares its digest with `digest`.
    async fn verify(&mut self, size: usize, digest: &str) -> Result<()> {
        let changed = self.power_loss.is_some();
        let console = self.console()?;
        if changed {
            // An earlier step may have lost its answer, which may still come.
            console.settle().await?;
        }
        // The flash is read into memory behind the image, so that the digest of the image is not
        // mistaken for the digest of the flash.
        let offset = size.next_multiple_of(ERASE_BLOCK);
        console.ask(Command::Probe).await?;
        console.ask(Command::Read { offset, size }).await?;
        let found = console.ask(Command::Digest { offset, size }).await?;
        if found == digest {
            self.power_loss = Some(PowerLoss::Harmless);
            return Ok(());
        }
        if self.power_loss.is_some() {
            // This client has changed the flash, so it holds neither the old nor the new image.
            self.power_loss = Some(PowerLoss::Fatal);
        }
        let why = format!("the flash reads back with the digest {found}, not {digest}");
        Err(Error::new(ErrorKind::Protocol, why).certainty_is(Certainty::Executed))
    }
}

impl CrsFirmware {
    /// Answer or error of a step, with the effect of a loss of power.
    fn answer<T>(&self, session: &Session, step: &str, result: Result<T>) -> FirmwareResult<T> {
        let power_loss = session.power_loss();
        match result {
            Ok(value) => Ok(FirmwareAnswer::new(value, power_loss)),
            Err(error) => {
                let error = error.on(&self.name).during(step);
                Err(FirmwareError::new(error, power_loss))
            }
        }
    }

    /// The serial number, by which the beacon of the board is recognised.
    fn serial(&self) -> Result<&str> {
        self.serial.as_deref().ok_or_else(|| {
            let why = "the serial number of the board is not in the map";
            Error::new(ErrorKind::InvalidArgument, why)
                .advise("write the key `serial` of the board into the hardware map")
        })
    }

    /// Refuses a board whose crate is not the crate in the map.
    fn check_crate(&self, beacon: &Beacon) -> Result<()> {
        match (&self.crate_serial, &beacon.crate_serial) {
            (Some(expected), Some(found)) if same_serial(expected) != same_serial(found) => {
                let why = format!("the board is in crate {found}, not in crate {expected}");
                Err(Error::new(ErrorKind::InvalidArgument, why))
            }
            _ => Ok(()),
        }
    }

    async fn take_console(&self) -> Result<(Console, FirmwareIdentity)> {
        let serial = self.serial()?;
        let end = deadline::within(self.options.window);
        let taken = deadline::until(end, async {
            loop {
                let (beacon, from) = self.beacons.wait_for(serial).await?;
                self.check_crate(&beacon)?;
                match Console::open(&beacon, from, &self.options).await {
                    Ok(console) => return Ok((console, beacon)),
                    // The window may have ended in between. The next window is as good.
                    Err(error) if error.kind() == ErrorKind::Timeout => {
                        tracing::warn!(board = self.name, %error, "waiting for the next beacon");
                    }
                    Err(error) => return Err(error),
                }
            }
        });
        let (console, beacon) = taken.await.map_err(|_| {
            let seconds = self.options.window.as_secs_f64();
            let why = format!(
                "the board with serial number {serial} did not announce itself in {seconds} s, or \
                 took no commands"
            );
            Error::new(ErrorKind::Timeout, why)
                .certainty_is(Certainty::NotExecuted)
                .advise("run the command again: it says when the board may be switched off and on")
        })??;
        let mut identity = FirmwareIdentity::new(FAMILY.name);
        identity.serial = Some(beacon.serial);
        identity.crate_serial = beacon.crate_serial;
        identity.control = console.control();
        Ok((console, identity))
    }

    /// Takes the console that another program had taken, or waits for a beacon, whichever comes
    /// first. If one of them fails, the other one still has the whole window.
    async fn take_again(&self, control: &str) -> Result<Taken> {
        let end = deadline::within(self.options.window);
        let reopened = async {
            let opened = deadline::until(end, Console::reopen(control, &self.options)).await;
            let console = opened.unwrap_or_else(|_| {
                let seconds = self.options.window.as_secs_f64();
                let why = format!(
                    "in {seconds} s the boot loader did not answer, of which an earlier program \
                     had control"
                );
                Err(Error::new(ErrorKind::Timeout, why))
            })?;
            let mut identity = FirmwareIdentity::new(FAMILY.name);
            identity.serial = self.serial.clone();
            identity.control = console.control();
            Ok((console, identity, Some(PowerLoss::Unknown)))
        };
        // A board that sends beacons has started, so that its flash is complete.
        let started = async {
            let (console, identity) = self.take_console().await?;
            Ok((console, identity, None))
        };
        let (mut reopened, mut started) = (pin!(reopened), pin!(started));
        // The errors are in one order, whichever comes first.
        let errors: [Error; 2] = tokio::select! {
            taken = reopened.as_mut() => match taken {
                Ok(taken) => return Ok(taken),
                Err(error) => match started.await {
                    Ok(taken) => return Ok(taken),
                    Err(of_start) => [of_start, error],
                },
            },
            taken = started.as_mut() => match taken {
                Ok(taken) => return Ok(taken),
                Err(of_start) => match reopened.await {
                    Ok(taken) => return Ok(taken),
                    Err(error) => [of_start, error],
                },
            },
        };
        let why = errors.each_ref().map(Error::causes).join("; ");
        // A silence is the usual case, and another cause is what a person can remove.
        let is_other = |error: &&Error| error.kind() != ErrorKind::Timeout;
        let other = errors.iter().find(is_other);
        let first = other.and_then(|error| error.advice());
        let first = first.map(|first| format!("{first}; or "));
        let advice = "look at the serial console of the board before it loses its power";
        Err(
            Error::new(other.map_or(ErrorKind::Timeout, Error::kind), why)
                .certainty_is(Certainty::NotExecuted)
                .advise(first.unwrap_or_default() + advice),
        )
    }
}

/// Console of a board, its identity, and the effect of a loss of power, as in [`Session`].
type Taken = (Console, FirmwareIdentity, Option<PowerLoss>);

#[async_trait]
impl Firmware for CrsFirmware {
    fn name(&self) -> &str {
        &self.name
    }

    fn check(&self, image: &FirmwareImage) -> Result<()> {
        let checked = check(image).and_then(|()| self.serial().map(drop));
        checked.map_err(|error| error.on(&self.name).during("check"))
    }

    async fn listen(&self) -> Result<()> {
        let listening = self.beacons.listen().await.map(drop);
        listening.map_err(|error| error.on(&self.name).during("identify"))
    }

    async fn identify(&self) -> FirmwareResult<FirmwareIdentity> {
        let mut session = self.session.lock().await;
        // A board that sends beacons has started, so that its flash is complete. A board that sends
        // none may be the one whose flash this client began to change.
        let taken = self.take_console().await.map(|(console, identity)| {
            *session = Session {
                console: Some(console),
                ..Session::default()
            };
            identity
        });
        self.answer(&session, "identify", taken)
    }

    async fn identify_again(&self, control: &str) -> FirmwareResult<FirmwareIdentity> {
        let mut session = self.session.lock().await;
        *session = Session {
            power_loss: Some(PowerLoss::Unknown),
            ..Session::default()
        };
        let taken = self.take_again(control).await;
        let taken = taken.map(|(console, identity, power_loss)| {
            *session = Session {
                console: Some(console),
                staged: None,
                power_loss,
            };
            identity
        });
        self.answer(&session, "identify", taken)
    }

    async fn stage(
        &self,
        image: &FirmwareImage,
        progress: FirmwareProgress<'_>,
    ) -> FirmwareResult<()> {
        let mut session = self.session.lock().await;
        session.staged = None;
        let staged = async {
            check(image)?;
            if is_for_simulated_boards(&image.bytes) && !session.console()?.is_on_this_machine() {
                let why = "the image is for simulated boards: a real board would not start with it";
                return Err(Error::new(ErrorKind::InvalidArgument, why));
            }
            let size = image.bytes.len();
            let digest = md5(&image.bytes);
            let console = session.console()?;
            console.load(&image.bytes, progress).await?;
            let found = console.ask(Command::Digest { offset: 0, size }).await?;
            if found != digest {
                let why = format!("the board computed the digest {found}, not {digest}");
                return Err(Error::new(ErrorKind::Protocol, why));
            }
            Ok(size)
        };
        let staged = staged.await.map(|size| session.staged = Some(size));
        self.answer(&session, "stage", staged)
    }

    async fn commit(&self) -> FirmwareResult<()> {
        // The write runs in a task, so that it continues if the caller drops this future.
        let mut session = Arc::clone(&self.session).lock_owned().await;
        let committed = tworoutine::runtime().spawn(async move {
            let committed = session.commit().await;
            (committed, session)
        });
        match committed.await {
            Ok((committed, session)) => self.answer(&session, "commit", committed),
            Err(failed) => {
                let why = format!("the task that writes the flash ended early: {failed}");
                let error = Error::new(ErrorKind::Panicked, why).certainty_is(Certainty::Unknown);
                let error = error.on(&self.name).during("commit");
                Err(FirmwareError::new(error, PowerLoss::Unknown))
            }
        }
    }

    async fn verify(&self, image: &FirmwareImage) -> FirmwareResult<()> {
        let mut session = self.session.lock().await;
        let verified = session.verify(image.bytes.len(), &md5(&image.bytes)).await;
        self.answer(&session, "verify", verified)
    }

    async fn boot(&self) -> FirmwareResult<()> {
        let mut session = self.session.lock().await;
        let booted = async {
            if session.power_loss() != PowerLoss::Harmless {
                let why = "the flash is not known to be complete: the board would not start again";
                return Err(Error::new(ErrorKind::InvalidArgument, why)
                    .advise("commit and verify again before a restart"));
            }
            session.console()?.reset().await
        };
        let booted = booted.await;
        if booted.is_ok() {
            *session = Session::default();
        }
        self.answer(&session, "boot", booted)
    }
}

impl fmt::Debug for CrsFirmware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CrsFirmware({})", self.name)
    }
}

/// Checks the kind, the release and the form of an image.
fn check(image: &FirmwareImage) -> Result<()> {
    let refused = |why: String| Error::new(ErrorKind::InvalidArgument, why);
    if image.kind != FAMILY.name {
        let (kind, name) = (&image.kind, FAMILY.name);
        return Err(refused(format!(
            "the image is for boards of the kind {kind}, not {name}"
        )));
    }
    let Some(release) = FirmwareRelease::parse(&image.release) else {
        let release = &image.release;
        return Err(refused(format!(
            "`{release}` is not a release such as {FIRST_RELEASE}"
        )));
    };
    // A candidate of the first release comes before it.
    if FirmwareRelease::parse(FIRST_RELEASE).is_none_or(|first| release < first) {
        return Err(refused(format!(
            "the image of release {release} makes a board unusable: only images from \
             {FIRST_RELEASE} on start from the flash"
        )));
    }
    check_image(&image.bytes).map_err(|error| refused(error.to_string()))
}

/// MD5 digest in hexadecimal digits: the digest that the boot loader can compute.
fn md5(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(32);
    for byte in Md5::digest(bytes) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}
