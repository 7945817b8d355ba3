//! Boot loader of a simulated board, with its console, memory and flash. It does no I/O.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::mem;

use md5::{Digest as _, Md5};

use super::{ERASE_BLOCK, FLASH_SIZE, Flash, FlashStep, PROMPT, XmodemReceiver};

/// Address in memory to which files are loaded.
const LOAD_ADDRESS: usize = 0x800_0000;

/// Size of the memory from [`LOAD_ADDRESS`] on that commands may use.
const MEMORY: usize = 0x1000_0000;

/// Longest line of input, as in the real boot loader.
const LONGEST_LINE: usize = 512;

/// Boot loader at its prompt.
///
/// [`Uboot::receive`] takes the datagrams of the host, and [`Uboot::output`] returns the datagrams
/// for the host. [`Uboot::work`] erases and writes the flash step by step, so that the caller
/// decides how long an erasure or a write takes, and can end it in the middle.
/// [`Uboot::into_flash`] then returns the flash.
#[derive(Debug)]
pub struct Uboot {
    flash: Flash,
    /// Bytes from [`LOAD_ADDRESS`] on, up to the last one that was written.
    memory: Vec<u8>,
    variables: HashMap<String, usize>,
    probed: bool,
    line: String,
    /// Last line, which an empty line repeats.
    last: String,
    output: VecDeque<Vec<u8>>,
    loading: Option<XmodemReceiver>,
    job: Option<Job>,
    /// Commands of the present line that are not executed yet.
    pending: VecDeque<String>,
    reset: bool,
}

/// An erasure or a write under way. `source` is an offset in the memory; all others are offsets in
/// the flash.
#[derive(Debug, Clone, Copy)]
enum Job {
    Erase {
        at: usize,
        end: usize,
    },
    Write {
        source: usize,
        start: usize,
        at: usize,
        end: usize,
    },
}

impl Uboot {
    /// Boot loader of a board with this flash. It has just printed its first prompt.
    pub fn new(flash: Flash) -> Self {
        let mut uboot = Self {
            flash,
            memory: Vec::new(),
            variables: HashMap::from([(String::from("loadaddr"), LOAD_ADDRESS)]),
            probed: false,
            line: String::new(),
            last: String::new(),
            output: VecDeque::new(),
            loading: None,
            job: None,
            pending: VecDeque::new(),
            reset: false,
        };
        uboot.prompt();
        uboot
    }

    /// Takes a datagram of the host: input of the console, or a part of a file that is loaded.
    /// Datagrams that come during an erasure or a write are lost, as on a board.
    pub fn receive(&mut self, datagram: &[u8]) {
        if let Some(receiver) = &mut self.loading {
            let answers = receiver.receive(datagram);
            self.output.extend(answers.into_iter().map(<[u8]>::to_vec));
            self.finish_load();
            return;
        }
        if self.job.is_some() {
            return;
        }
        for byte in datagram {
            match byte {
                b'\n' | b'\r' => {
                    let line = mem::take(&mut self.line);
                    self.print(&format!("{line}\r\n"));
                    if !line.is_empty() {
                        self.last = line;
                    }
                    let commands = self
                        .last
                        .split(';')
                        .map(|command| command.trim().to_owned());
                    self.pending.extend(commands);
                    if self.last.split(';').any(is_done_once) {
                        self.last.clear();
                    }
                    self.run();
                }
                // The editor of lines takes control characters as commands.
                0..0x20 => {}
                byte if self.line.len() < LONGEST_LINE => self.line.push(char::from(*byte)),
                _ => {}
            }
        }
    }

    /// Returns the next datagram for the host.
    pub fn output(&mut self) -> Option<Vec<u8>> {
        self.output.pop_front()
    }

    /// True while the boot loader waits for the first block of a file. A real boot loader then
    /// sends [`XmodemReceiver::START`] every few seconds. Here, the caller sends it.
    pub fn waits_for_file(&self) -> bool {
        self.loading.as_ref().is_some_and(|file| !file.has_begun())
    }

    /// True after the command to restart.
    pub fn is_reset(&self) -> bool {
        self.reset
    }

    /// Returns the next step of an erasure or a write, if one is under way.
    pub fn next_step(&self) -> Option<FlashStep> {
        Some(match self.job? {
            Job::Erase { at, .. } => FlashStep::erase(at),
            Job::Write { at, end, .. } => FlashStep::write(at, end),
        })
    }

    /// Does the next step of an erasure or a write, if one is under way. After the last step it
    /// prints the answer, executes further commands of the same line, and prints the prompt.
    pub fn work(&mut self) {
        match (self.job, self.next_step()) {
            (Some(Job::Erase { at, end }), _) => {
                self.flash.erase(at);
                let at = at + ERASE_BLOCK;
                self.job = (at < end).then_some(Job::Erase { at, end });
                if self.job.is_none() {
                    self.print(&format!("SF: {end} bytes @ 0x0 Erased: OK\r\n"));
                }
            }
            (
                Some(Job::Write {
                    source,
                    start,
                    at,
                    end,
                }),
                Some(FlashStep::Write { size, .. }),
            ) => {
                let bytes = self.memory_at(source + at - start, size);
                self.flash.write(at, &bytes);
                let at = at + size;
                self.job = (at < end).then_some(Job::Write {
                    source,
                    start,
                    at,
                    end,
                });
                if self.job.is_none() {
                    let size = end - start;
                    self.print(&format!("device 0 offset {start:#x}, size {size:#x}\r\n"));
                    self.print(&format!("SF: {size} bytes @ {start:#x} Written: OK\r\n"));
                }
            }
            _ => return,
        }
        if self.job.is_none() {
            self.run();
        }
    }

    /// Returns the flash for changes that the boot loader does not make, such as faults.
    pub fn flash_mut(&mut self) -> &mut Flash {
        &mut self.flash
    }

    /// Ends the boot loader, and returns the flash in its present state.
    pub fn into_flash(self) -> Flash {
        self.flash
    }

    fn print(&mut self, text: &str) {
        self.output.push_back(text.as_bytes().to_vec());
    }

    fn prompt(&mut self) {
        self.print(&format!("{PROMPT} "));
    }

    /// Executes the commands of the line, until one takes time.
    fn run(&mut self) {
        while let Some(command) = self.pending.pop_front() {
            if let Err(text) = self.execute(&command) {
                // The rest of the line is executed all the same, as on a board.
                self.print(&format!("{text}\r\n"));
            }
            if self.loading.is_some() || self.job.is_some() {
                return;
            }
            if self.reset {
                self.pending.clear();
                return;
            }
        }
        self.prompt();
    }

    fn execute(&mut self, command: &str) -> Result<(), String> {
        let words: Vec<&str> = command.split_whitespace().collect();
        match words.as_slice() {
            [] => Ok(()),
            ["loadx"] => {
                self.print(&format!(
                    "## Ready for binary (xmodem) download to {LOAD_ADDRESS:#010x} at 115200 bps...\r\n"
                ));
                self.loading = Some(XmodemReceiver::default());
                self.output.push_back(XmodemReceiver::START.to_vec());
                Ok(())
            }
            ["md5sum", at, size] => {
                let (at, size) = (self.address(at)?, self.number(size)?);
                let bytes = self.memory_at(at, size);
                let mut digest = String::new();
                for byte in Md5::digest(&bytes) {
                    let _ = write!(digest, "{byte:02x}");
                }
                let first = LOAD_ADDRESS + at;
                let last = (first + size).saturating_sub(1);
                self.print(&format!(
                    "md5 for {first:08x} ... {last:08x} ==> {digest}\r\n"
                ));
                Ok(())
            }
            ["setexpr", name, value, "+", more] => {
                let sum = self.number(value)?.checked_add(self.number(more)?);
                let sum = sum.ok_or("the sum is too large")?;
                self.variables.insert((*name).to_owned(), sum);
                Ok(())
            }
            ["sf", words @ ..] => self.flash_command(words),
            ["mmc", ..] => Err(String::from("MMC: no card present")),
            ["echo", words @ ..] => {
                self.print(&format!("{}\r\n", words.join(" ")));
                Ok(())
            }
            ["reset"] => {
                self.print("resetting ...\r\n");
                self.reset = true;
                Ok(())
            }
            [word, ..] => Err(format!("Unknown command '{word}' - try 'help'")),
        }
    }

    fn flash_command(&mut self, words: &[&str]) -> Result<(), String> {
        match words {
            ["probe", ..] => {
                self.probed = true;
                self.print(
                    "SF: Detected mt25qu512a with page size 512 Bytes, erase size 128 KiB, total 64 MiB\r\n",
                );
                Ok(())
            }
            _ if !self.probed => Err(String::from("No SPI flash selected. Please run `sf probe'")),
            ["erase", at, size] => {
                let (at, end) = self.place(at, size)?;
                if at % ERASE_BLOCK != 0 || end % ERASE_BLOCK != 0 {
                    return Err(String::from(
                        "SF: erase offset/size not multiple of erase size",
                    ));
                }
                self.job = (at < end).then_some(Job::Erase { at, end });
                Ok(())
            }
            ["write", source, at, size] => {
                let source = self.address(source)?;
                let (start, end) = self.place(at, size)?;
                self.job = (start < end).then_some(Job::Write {
                    source,
                    start,
                    at: start,
                    end,
                });
                Ok(())
            }
            ["read", target, at, size] => {
                let target = self.address(target)?;
                let (at, end) = self.place(at, size)?;
                let bytes = self.flash.read(at, end - at);
                let after = target + bytes.len();
                if after > MEMORY {
                    return Err(String::from("the memory ends before"));
                }
                self.memory.resize(self.memory.len().max(after), 0);
                self.memory[target..after].copy_from_slice(&bytes);
                self.print(&format!(
                    "device 0 offset {at:#x}, size {:#x}\r\n",
                    end - at
                ));
                self.print(&format!("SF: {} bytes @ {at:#x} Read: OK\r\n", end - at));
                Ok(())
            }
            _ => Err(String::from(
                "sf - SPI flash sub-system\r\nUsage: sf probe|erase|write|read",
            )),
        }
    }

    /// Offset and end, in the flash, of the `size` bytes from `at` on.
    fn place(&self, at: &str, size: &str) -> Result<(usize, usize), String> {
        let at = self.number(at)?;
        let end = at.checked_add(self.number(size)?);
        let end = end.filter(|end| *end <= FLASH_SIZE);
        let end = end.ok_or("ERROR: attempting operation past flash size")?;
        Ok((at, end))
    }

    /// Distance of an address from [`LOAD_ADDRESS`].
    fn address(&self, word: &str) -> Result<usize, String> {
        let distance = self.number(word)?.checked_sub(LOAD_ADDRESS);
        let distance = distance.filter(|distance| *distance < MEMORY);
        distance.ok_or_else(|| format!("no memory for files at {word}"))
    }

    /// Value of a hexadecimal number, or of a variable after `$`.
    fn number(&self, word: &str) -> Result<usize, String> {
        let value = match word.strip_prefix('$') {
            Some(name) => {
                let name = name.trim_start_matches('{').trim_end_matches('}');
                self.variables.get(name).copied()
            }
            None => usize::from_str_radix(word.strip_prefix("0x").unwrap_or(word), 16).ok(),
        };
        value.ok_or_else(|| format!("`{word}` is not a number"))
    }

    /// Copy of bytes of the memory. Bytes that were never written are zero.
    fn memory_at(&self, at: usize, size: usize) -> Vec<u8> {
        let size = size.min(MEMORY.saturating_sub(at));
        let there = self.memory.get(at..).unwrap_or_default();
        let mut bytes = there[..there.len().min(size)].to_vec();
        bytes.resize(size, 0);
        bytes
    }

    /// Ends a transfer that is complete or that the sender has cancelled.
    fn finish_load(&mut self) {
        if self
            .loading
            .as_ref()
            .is_some_and(XmodemReceiver::is_cancelled)
        {
            self.loading = None;
            self.print("## Binary (xmodem) download aborted\r\n");
            self.run();
            return;
        }
        let Some(file) = self.loading.as_mut().and_then(XmodemReceiver::finish) else {
            return;
        };
        self.loading = None;
        let size = file.len();
        self.memory.resize(self.memory.len().max(size), 0);
        self.memory[..size].copy_from_slice(&file);
        self.variables.insert(String::from("filesize"), size);
        self.print(&format!(
            "## Total Size      = {size:#010x} = {size} Bytes\r\n"
        ));
        self.print(&format!("## Start Addr      = {LOAD_ADDRESS:#010x}\r\n"));
        self.run();
    }
}

/// True if an empty line does not repeat the command.
fn is_done_once(command: &str) -> bool {
    matches!(command.trim(), "loadx" | "reset")
}

#[cfg(test)]
mod tests;
