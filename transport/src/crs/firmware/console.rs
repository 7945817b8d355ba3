//! Console of the boot loader of one board, over UDP.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{sleep, timeout};
use twotone_hal::{Certainty, Error, ErrorKind, FirmwareProgress, Result};
use twotone_wire::crs::boot::{
    Beacon, Command, MOST_DATAGRAM, Redirect, Transcript, XmodemError, XmodemSender, XmodemStep,
};

use crate::FirmwareOptions;

/// Longest time until the prompt of the boot loader, for each of the attempts.
const PROMPT_TIME: Duration = Duration::from_secs(1);

/// Number of answers to a beacon that are sent before the board is given up.
const PROMPT_ATTEMPTS: usize = 5;

/// Silence after which no more output is expected.
const SILENCE: Duration = Duration::from_millis(300);

/// Largest number of times that a command is sent whose answers are lost.
const ASK_ATTEMPTS: usize = 3;

/// Longest time until a block of a file is acknowledged, before it is repeated. It is long, because
/// acknowledgements have no number: one that comes later is taken for that of the repeated block.
const BLOCK_TIME: Duration = Duration::from_secs(5);

/// Console of a board.
#[derive(Debug)]
pub(super) struct Console {
    socket: UdpSocket,
    transcript: Transcript,
    /// Longest time of a command that erases, writes or reads the flash.
    flash_time: Duration,
    /// Longest time of another command, and of silence before a lost answer is looked for.
    answer_time: Duration,
    /// Number of the last [`Command::Sync`].
    syncs: u32,
}

fn lost(error: io::Error) -> Error {
    Error::new(
        ErrorKind::ConnectionLost,
        "the console of the boot loader is lost",
    )
    .caused_by(error)
    .certainty_is(Certainty::Unknown)
}

impl Console {
    /// Opens the console of the board that sent `beacon`. `from` is the address of the sender.
    ///
    /// # Errors
    /// If the board cannot be reached, or if no prompt comes.
    pub(super) async fn open(
        beacon: &Beacon,
        from: SocketAddr,
        options: &FirmwareOptions,
    ) -> Result<Self> {
        let failed = |error: io::Error| {
            let why = format!("the board at {from} cannot be answered");
            Error::new(ErrorKind::Unreachable, why).caused_by(error)
        };
        let address = own_address(from).await.map_err(failed)?;
        let socket = UdpSocket::bind((address, 0)).await.map_err(failed)?;
        let port = socket.local_addr().map_err(failed)?.port();
        let redirect = Redirect {
            version: beacon.version,
            address,
            in_port: port,
            out_port: port,
        };
        // From now on, the socket receives datagrams of this board only.
        socket.connect((from.ip(), port)).await.map_err(failed)?;
        let mut console = Self::new(socket, options);
        for _ in 0..PROMPT_ATTEMPTS {
            console
                .socket
                .send_to(&redirect.emit(), from)
                .await
                .map_err(failed)?;
            // The board may not listen yet, which the system may report as an error.
            let _ = console.socket.send(Command::Wake.line().as_bytes()).await;
            if let Ok(Ok(_)) = timeout(PROMPT_TIME, console.answer(Command::Wake)).await {
                console.drain().await;
                return Ok(console);
            }
        }
        let why = "the boot loader shows no prompt";
        Err(Error::new(ErrorKind::Timeout, why))
    }

    /// Opens again the console that another program had opened. `control` is the
    /// [`Console::control`] of that program. Waits without end until the boot loader answers.
    ///
    /// # Errors
    /// If `control` is not the text of a console, or this computer cannot use its address and port.
    pub(super) async fn reopen(control: &str, options: &FirmwareOptions) -> Result<Self> {
        let parsed = control.split_once(' ').and_then(|(own, board)| {
            let own: SocketAddr = own.parse().ok()?;
            Some((own, board.parse::<IpAddr>().ok()?))
        });
        let (own, board) = parsed.ok_or_else(|| {
            let why = format!("`{control}` is not the address of a console");
            Error::new(ErrorKind::InvalidArgument, why)
        })?;
        let failed = |error: io::Error| {
            let why = format!("the console of the board at {board} cannot be opened on {own}");
            Error::new(ErrorKind::Unreachable, why).caused_by(error)
        };
        let socket = UdpSocket::bind(own).await.map_err(failed)?;
        socket.connect((board, own.port())).await.map_err(failed)?;
        let mut console = Self::new(socket, options);
        while let Err(error) = console.settle().await {
            tracing::debug!(%error, %board, "the boot loader does not answer yet");
            sleep(PROMPT_TIME).await;
        }
        Ok(console)
    }

    /// Text with which another program can open the console again: the address and port of this
    /// computer, to which the board sends, and the address of the board.
    pub(super) fn control(&self) -> Option<String> {
        let (own, board) = (
            self.socket.local_addr().ok()?,
            self.socket.peer_addr().ok()?,
        );
        Some(format!("{own} {}", board.ip()))
    }

    fn new(socket: UdpSocket, options: &FirmwareOptions) -> Self {
        Self {
            socket,
            transcript: Transcript::default(),
            flash_time: options.flash_time,
            answer_time: options.answer_time,
            syncs: 0,
        }
    }

    /// Brings the boot loader back to its prompt. A transfer that was abandoned is ended.
    ///
    /// # Errors
    /// If the socket fails, or if no prompt comes.
    pub(super) async fn settle(&mut self) -> Result<()> {
        self.drain().await;
        for bytes in [&b""[..], XmodemSender::CANCEL, XmodemSender::CANCEL] {
            self.socket.send(bytes).await.map_err(lost)?;
            let sync = self.send_sync().await?;
            if let Ok(Ok(_)) = timeout(PROMPT_TIME, self.answer(sync)).await {
                self.drain().await;
                return Ok(());
            }
        }
        Err(Error::new(
            ErrorKind::Timeout,
            "the boot loader shows no prompt",
        ))
    }

    /// Sends a command that only shows if the boot loader takes commands.
    async fn send_sync(&mut self) -> Result<Command> {
        self.syncs += 1;
        let sync = Command::Sync { number: self.syncs };
        let line = sync.line();
        self.socket.send(line.as_bytes()).await.map_err(lost)?;
        Ok(sync)
    }

    /// True if the board has a loopback address, which only simulated boards have.
    pub(super) fn is_on_this_machine(&self) -> bool {
        self.socket
            .peer_addr()
            .is_ok_and(|board| board.ip().is_loopback())
    }

    /// Discards output, such as the prompts of earlier attempts, until the board is silent.
    async fn drain(&mut self) {
        let mut datagram = [0; MOST_DATAGRAM];
        while let Ok(Ok(_)) = timeout(SILENCE, self.socket.recv(&mut datagram)).await {}
        self.transcript = Transcript::default();
    }

    /// Waits for a datagram, and adds it to the transcript.
    async fn receive(&mut self) -> Result<()> {
        let mut datagram = [0; MOST_DATAGRAM];
        loop {
            match self.socket.recv(&mut datagram).await {
                Ok(size) => {
                    self.transcript.receive(&datagram[..size]);
                    return Ok(());
                }
                // The board has refused a datagram, since its boot loader does not listen (yet).
                // The callers limit the time of the wait.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(error) => return Err(lost(error)),
            }
        }
    }

    /// Waits for the answer to a command.
    async fn answer(&mut self, command: Command) -> Result<String> {
        loop {
            if let Some(answer) = self.transcript.answer(command) {
                return Ok(answer);
            }
            self.receive().await?;
        }
    }

    /// As [`Self::answer`]. In a long silence it looks if the boot loader is ready for another
    /// command, so that a lost answer is not waited for.
    async fn answer_or_sync(&mut self, command: Command) -> Result<Option<String>> {
        let mut sync = None;
        loop {
            if let Some(answer) = self.transcript.answer(command) {
                return Ok(Some(answer));
            }
            if sync.is_some_and(|sync| self.transcript.answer(sync).is_some()) {
                return Ok(None);
            }
            match timeout(self.answer_time, self.receive()).await {
                Ok(received) => received?,
                Err(_) => sync = Some(self.send_sync().await?),
            }
        }
    }

    async fn answer_in_time(&mut self, command: Command) -> Result<String> {
        let time = match command {
            Command::Erase { .. } | Command::Write { .. } | Command::Read { .. } => self.flash_time,
            _ => self.answer_time,
        };
        let no_answer = |why: &str| {
            let why = format!("no answer to `{}`{why}", command.line().trim_end());
            Error::new(ErrorKind::Timeout, why).certainty_is(Certainty::Unknown)
        };
        let answer = match timeout(time, self.answer_or_sync(command)).await {
            Ok(answer) => answer?.ok_or_else(|| no_answer(", but to a later command"))?,
            Err(_) => return Err(no_answer(&format!(" in {} s", time.as_secs_f64()))),
        };
        command.check(&answer).map_err(|error| {
            Error::new(ErrorKind::Rejected, error.to_string()).certainty_is(Certainty::Unknown)
        })
    }

    /// Sends a command, checks its answer with [`Command::check`], and returns the result. If there
    /// is no answer, or one that shows no success, the command or a part of its answer may be lost,
    /// and a command that can be repeated is sent again.
    ///
    /// # Errors
    /// If the socket fails, or if the answer does not come in time or does not show that the
    /// command succeeded.
    pub(super) async fn ask(&mut self, command: Command) -> Result<String> {
        let mut attempts = 1;
        loop {
            let lost = [ErrorKind::Timeout, ErrorKind::Rejected];
            let error = match self.ask_once(command).await {
                Err(error) if lost.contains(&error.kind()) => error,
                asked => return asked,
            };
            if attempts == ASK_ATTEMPTS || !command.can_be_repeated() {
                return Err(error);
            }
            tracing::warn!(%error, "the command is repeated");
            if self.settle().await.is_err() {
                return Err(error);
            }
            attempts += 1;
        }
    }

    async fn ask_once(&mut self, command: Command) -> Result<String> {
        // A late answer to an earlier command would be taken for the answer to this one.
        let mut late = [0; MOST_DATAGRAM];
        while self.socket.try_recv(&mut late).is_ok() {}
        self.transcript = Transcript::default();
        self.socket
            .send(command.line().as_bytes())
            .await
            .map_err(lost)?;
        self.answer_in_time(command).await
    }

    /// Restarts the board. If the command is lost, it is sent again.
    ///
    /// # Errors
    /// If the board does not confirm the restart. If the confirmation may be lost, the certainty is
    /// [`Certainty::Unknown`]. If the command was not sent, it is [`Certainty::NotExecuted`].
    pub(super) async fn reset(&mut self) -> Result<()> {
        let not_sent = |error: Error| error.certainty_is(Certainty::NotExecuted);
        self.settle().await.map_err(not_sent)?;
        let mut attempts = 1;
        loop {
            let error = match self.ask(Command::Reset).await {
                Err(error) if error.kind() == ErrorKind::Timeout => error,
                asked => return asked.map(drop),
            };
            // A boot loader that still takes commands has not restarted.
            if attempts == ASK_ATTEMPTS || self.settle().await.is_err() {
                return Err(error);
            }
            attempts += 1;
        }
    }

    /// Sends a file into the memory of the board. The content must be checked afterwards.
    ///
    /// # Errors
    /// If the socket fails, or if the board ends the transfer or does not acknowledge a block.
    pub(super) async fn load(&mut self, file: &[u8], progress: FirmwareProgress<'_>) -> Result<()> {
        let failed = |error: XmodemError| {
            Error::new(ErrorKind::ConnectionLost, error.to_string())
                .certainty_is(Certainty::NotExecuted)
        };
        let line = Command::Load.line();
        self.transcript = Transcript::default();
        self.socket.send(line.as_bytes()).await.map_err(lost)?;
        let mut sender = XmodemSender::new(file);
        let mut step = XmodemStep::Wait;
        let mut datagram = [0; MOST_DATAGRAM];
        loop {
            match &step {
                XmodemStep::Send(bytes) => {
                    self.socket.send(bytes).await.map_err(lost)?;
                }
                XmodemStep::Wait => {}
                XmodemStep::Done => break,
            }
            step = match timeout(BLOCK_TIME, self.socket.recv(&mut datagram)).await {
                Ok(Ok(size)) => {
                    if sender.is_at_end() {
                        self.transcript.receive(&datagram[..size]);
                        // The acknowledgement of the end may be lost.
                        if let Some(answer) = self.transcript.answer(Command::Load) {
                            return confirmed(&answer);
                        }
                    }
                    sender.receive(&datagram[..size]).map_err(failed)?
                }
                Ok(Err(error)) => return Err(lost(error)),
                Err(_) => {
                    if !sender.has_begun() {
                        self.socket.send(line.as_bytes()).await.map_err(lost)?;
                    }
                    sender.repeat().map_err(failed)?
                }
            };
            progress(sender.sent(), file.len());
        }
        match self.answer_in_time(Command::Load).await {
            // Only the confirmation was lost.
            Err(error) if error.kind() == ErrorKind::Timeout => self.settle().await,
            answered => answered.map(drop),
        }
    }
}

/// Checks the answer of the board to a file.
fn confirmed(answer: &str) -> Result<()> {
    let checked = Command::Load.check(answer).map(drop);
    checked.map_err(|error| Error::new(ErrorKind::Rejected, error.to_string()))
}

/// The address of this machine from which the board is reached.
async fn own_address(board: SocketAddr) -> io::Result<Ipv4Addr> {
    let probe = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    // Connecting a UDP socket only chooses the route; nothing is sent.
    probe.connect(board).await?;
    match probe.local_addr()?.ip() {
        IpAddr::V4(address) => Ok(address),
        IpAddr::V6(_) => Err(io::Error::from(io::ErrorKind::Unsupported)),
    }
}
