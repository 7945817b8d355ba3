//! Console of the boot loader of one board, over UDP.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;
use twotone_hal::{Certainty, Error, ErrorKind, FirmwareProgress, Result};
use twotone_wire::crs::boot::{
    Beacon, Command, Redirect, Transcript, XmodemError, XmodemSender, XmodemStep,
};

/// Longest time until the prompt of the boot loader, for each of the attempts.
const PROMPT_TIME: Duration = Duration::from_secs(1);

/// Number of answers to a beacon that are sent before the board is given up.
const PROMPT_ATTEMPTS: usize = 5;

/// Silence after which no more output is expected.
const SILENCE: Duration = Duration::from_millis(300);

/// Longest time of a command that does not erase, write or read the flash.
const ASK_TIME: Duration = Duration::from_secs(30);

/// Longest time until a block of a file is acknowledged, before it is repeated. It is long, because
/// acknowledgements have no number: one that comes later is taken for that of the repeated block.
const BLOCK_TIME: Duration = Duration::from_secs(5);

/// Size of the largest datagram of a board, in bytes.
const MOST_DATAGRAM: usize = 2048;

/// Console of a board.
#[derive(Debug)]
pub(super) struct Console {
    socket: UdpSocket,
    transcript: Transcript,
    /// Longest time of a command that erases, writes or reads the flash.
    flash_time: Duration,
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
        flash_time: Duration,
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
        let mut console = Self {
            socket,
            transcript: Transcript::default(),
            flash_time,
        };
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
        let advice = "switch the board off and on again; it waits for commands for some seconds";
        Err(Error::new(ErrorKind::Timeout, why).advise(advice))
    }

    /// Brings the boot loader back to its prompt. A transfer that was abandoned is ended.
    ///
    /// # Errors
    /// If the socket fails, or if no prompt comes.
    pub(super) async fn settle(&mut self) -> Result<()> {
        self.drain().await;
        for bytes in [&b""[..], XmodemSender::CANCEL, XmodemSender::CANCEL] {
            self.socket.send(bytes).await.map_err(lost)?;
            self.socket
                .send(Command::Wake.line().as_bytes())
                .await
                .map_err(lost)?;
            if let Ok(Ok(_)) = timeout(PROMPT_TIME, self.answer(Command::Wake)).await {
                self.drain().await;
                return Ok(());
            }
        }
        Err(Error::new(
            ErrorKind::Timeout,
            "the boot loader shows no prompt",
        ))
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

    /// Waits for the answer to a command.
    async fn answer(&mut self, command: Command) -> Result<String> {
        let mut datagram = [0; MOST_DATAGRAM];
        loop {
            if let Some(answer) = self.transcript.answer(command) {
                return Ok(answer);
            }
            match self.socket.recv(&mut datagram).await {
                Ok(size) => self.transcript.receive(&datagram[..size]),
                // The board has refused a datagram, since its boot loader does not listen (yet).
                // The callers limit the time of the wait.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(error) => return Err(lost(error)),
            }
        }
    }

    async fn answer_in_time(&mut self, command: Command) -> Result<String> {
        let time = match command {
            Command::Erase { .. } | Command::Write { .. } | Command::Read { .. } => self.flash_time,
            _ => ASK_TIME,
        };
        let answer = timeout(time, self.answer(command)).await.map_err(|_| {
            let (line, seconds) = (command.line(), time.as_secs_f64());
            let why = format!("no answer to `{}` in {seconds} s", line.trim_end());
            let certainty = Certainty::Unknown;
            Error::new(ErrorKind::Timeout, why).certainty_is(certainty)
        })??;
        command.check(&answer).map_err(|error| {
            Error::new(ErrorKind::Rejected, error.to_string()).certainty_is(Certainty::Unknown)
        })
    }

    /// Sends a command, checks its answer with [`Command::check`], and returns the result.
    ///
    /// # Errors
    /// If the socket fails, or if the answer does not come in time or does not show that the
    /// command succeeded.
    pub(super) async fn ask(&mut self, command: Command) -> Result<String> {
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

    /// Sends a file into the memory of the board.
    ///
    /// # Errors
    /// If the socket fails, or if the board ends the transfer, does not acknowledge a block, or
    /// does not confirm the whole file.
    pub(super) async fn load(&mut self, file: &[u8], progress: FirmwareProgress<'_>) -> Result<()> {
        let failed = |error: XmodemError| {
            Error::new(ErrorKind::ConnectionLost, error.to_string())
                .certainty_is(Certainty::NotExecuted)
        };
        self.socket
            .send(Command::Load.line().as_bytes())
            .await
            .map_err(lost)?;
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
                Ok(Ok(size)) => sender.receive(&datagram[..size]).map_err(failed)?,
                Ok(Err(error)) => return Err(lost(error)),
                Err(_) => sender.repeat().map_err(failed)?,
            };
            progress(sender.sent(), file.len());
        }
        self.transcript = Transcript::default();
        self.answer_in_time(Command::Load).await.map(drop)
    }
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
