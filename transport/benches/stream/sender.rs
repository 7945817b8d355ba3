//! The sender: a process that sends prepared packets in place of boards, as its parent process, the
//! benchmark, requests.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use socket2::{Domain, Socket, Type};
use twotone_wire::crs::{PacketLength, ReadoutHeader, Stamp, StampSource};

/// Command-line argument that makes this program the sender.
pub(crate) const ARGUMENT: &str = "--send";

/// Position of the sequence number in a packet.
const SEQUENCE: std::ops::Range<usize> = 12..16;

/// The sending process. It ends when the pipe from its parent closes.
pub(crate) struct Child {
    process: std::process::Child,
    orders: Option<ChildStdin>,
    answers: ChildStdout,
}

impl Child {
    pub(crate) fn start() -> Self {
        let program = std::env::current_exe().expect("a program");
        let process = Command::new(program)
            .arg(ARGUMENT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut process = process.expect("a sender");
        Self {
            orders: process.stdin.take(),
            answers: process.stdout.take().expect("a pipe"),
            process,
        }
    }

    /// Sends this many packets, and returns when all are in the kernel's buffer.
    pub(crate) fn burst(&mut self, packets: usize) {
        self.stream(packets, packets);
        self.acknowledge(packets);
        self.done();
    }

    /// Begins to send this many packets. At most `window` packets are unacknowledged at a time.
    pub(crate) fn stream(&mut self, packets: usize, window: usize) {
        self.order(packets);
        self.order(window);
    }

    /// Acknowledges that this many packets have been received.
    pub(crate) fn acknowledge(&mut self, received: usize) {
        self.order(received);
    }

    /// Waits until all packets have been sent.
    pub(crate) fn done(&mut self) {
        self.answers.read_exact(&mut [0]).expect("an answer");
    }

    fn order(&mut self, number: usize) {
        let orders = self.orders.as_mut().expect("a pipe");
        let number = (number as u64).to_le_bytes();
        orders.write_all(&number).expect("a sender that runs");
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        drop(self.orders.take());
        let _ended = self.process.wait();
    }
}

/// The socket and the packet of one module.
struct Module {
    socket: std::rc::Rc<Socket>,
    packet: Vec<u8>,
    sequence: u32,
}

impl Module {
    fn send(&mut self) {
        self.packet[SEQUENCE].copy_from_slice(&self.sequence.to_le_bytes());
        self.sequence = self.sequence.wrapping_add(1);
        self.socket.send(&self.packet).expect("a packet sent");
    }
}

/// Runs the sending process.
pub(crate) fn run() {
    let mut modules = modules();
    let mut orders = std::io::stdin().lock();
    let mut order = move || {
        let mut number = [0; 8];
        let read = orders.read_exact(&mut number);
        read.is_ok().then(|| u64::from_le_bytes(number))
    };
    let mut next = 0;
    while let (Some(packets), Some(window)) = (order(), order()) {
        let mut received = 0;
        for sent in 0..packets {
            while sent - received >= window {
                let Some(acknowledged) = order() else {
                    return;
                };
                received = acknowledged;
            }
            let count = modules.len();
            modules[next % count].send();
            next += 1;
        }
        while received < packets {
            let Some(acknowledged) = order() else {
                return;
            };
            received = acknowledged;
        }
        let mut answers = std::io::stdout().lock();
        answers.write_all(&[1]).expect("a pipe");
        answers.flush().expect("a pipe");
    }
}

fn modules() -> Vec<Module> {
    let mut modules = Vec::new();
    for source in super::sources() {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).expect("a socket");
        socket
            .set_multicast_if_v4(&Ipv4Addr::LOCALHOST)
            .expect("an option");
        socket.set_multicast_ttl_v4(0).expect("an option");
        let own = SocketAddrV4::new(source.address, 0);
        socket.bind(&own.into()).expect("an address");
        let group = SocketAddrV4::new(super::group(), super::PORT);
        socket.connect(&group.into()).expect("a group");
        let socket = std::rc::Rc::new(socket);
        for module in 0..super::MODULES {
            let header = ReadoutHeader {
                length: PacketLength::Long,
                serial: source.serial,
                modules: super::MODULES,
                stage: 6,
                module,
                stamp: Stamp {
                    year: 26,
                    day: 1,
                    ..Stamp::default()
                }
                .with_source(StampSource::Test, true),
                ..ReadoutHeader::default()
            };
            let samples: Vec<_> = (0..1024).map(|n| (n * 1000, -n * 777)).collect();
            let mut packet = vec![0; header.buffer_len()];
            header
                .emit(&samples, &mut packet)
                .expect("room for a packet");
            modules.push(Module {
                socket: std::rc::Rc::clone(&socket),
                packet,
                sequence: u32::MAX - 1000,
            });
        }
    }
    modules
}
