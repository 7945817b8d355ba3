//! Look-ups of names that end in `.local`, with a responder on the loopback interface.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use twotone_transport::{ConnectOptions, CrsBoard, Host, look_up, look_up_ipv4};
use twotone_wire::mdns::{Announced, GROUP, LONGEST_MESSAGE, Message, Name, PORT};

/// A host that answers for some names, and records the names that it is asked for. All tests of
/// this computer share the group, so that the names contain the number of this process.
struct Responder {
    asked: Arc<Mutex<Vec<Name>>>,
}

/// Name of a host of this process.
fn own(name: &str) -> String {
    format!("{name}-{}.local", std::process::id())
}

fn socket(at: SocketAddrV4) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket.set_multicast_all_v4(false).unwrap();
    socket.set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
    socket.bind(&at.into()).unwrap();
    socket
}

impl Responder {
    /// Answers for these names, with these addresses.
    fn start(names: &[(&str, Ipv4Addr)]) -> Self {
        let receiver = socket(SocketAddrV4::new(GROUP, PORT));
        receiver
            .join_multicast_v4(&GROUP, &Ipv4Addr::LOCALHOST)
            .unwrap();
        let receiver = UdpSocket::from(receiver);
        let sender = UdpSocket::from(socket(SocketAddrV4::new(Ipv4Addr::LOCALHOST, PORT)));
        let hosts = names.iter().map(|(name, address)| {
            let service: Name = "_http._tcp.local".parse().unwrap();
            Announced {
                host: own(name).parse().unwrap(),
                address: *address,
                instance: service.with_first(name).unwrap(),
                service,
                port: 80,
                texts: Default::default(),
            }
        });
        let hosts: Vec<_> = hosts.collect();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&asked);
        std::thread::spawn(move || {
            let mut bytes = [0; LONGEST_MESSAGE];
            while let Ok((length, _)) = receiver.recv_from(&mut bytes) {
                let Ok(query) = Message::parse(&bytes[..length]) else {
                    continue;
                };
                if !query.is_answer {
                    let names = query.questions.iter().map(|question| question.name.clone());
                    heard.lock().unwrap().extend(names);
                }
                for host in &hosts {
                    if let Some(answer) = host.answer(&query, false) {
                        let to = SocketAddr::from((GROUP, PORT));
                        sender.send_to(&answer.emit().unwrap(), to).unwrap();
                    }
                }
            }
        });
        Self { asked }
    }

    /// Number of times that a name was asked for.
    fn times(&self, name: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|asked| asked.as_str() == name).count()
    }
}

#[tokio::test]
async fn a_name_that_the_system_does_not_know_is_asked_for_and_kept() {
    let board = Ipv4Addr::new(127, 9, 8, 7);
    let responder = Responder::start(&[("kept", board)]);
    let name = own("kept");
    for spelling in [name.clone(), name.to_uppercase(), format!("{name}.")] {
        let found = look_up(&spelling, 8080).await.unwrap();
        assert_eq!(found, [SocketAddr::from((board, 8080))]);
    }
    assert_eq!(responder.times(&name), 1, "it is kept");
    let host = format!("{name}:81").parse().unwrap();
    assert_eq!(look_up_ipv4(&host).await.unwrap(), board);
}

#[tokio::test]
async fn many_callers_share_the_questions() {
    let board = Ipv4Addr::new(127, 9, 8, 6);
    let names: Vec<_> = (0..300).map(|index| format!("many{index}")).collect();
    let hosts: Vec<_> = names.iter().map(|name| (name.as_str(), board)).collect();
    let responder = Responder::start(&hosts);
    let owned: Vec<_> = names.iter().map(|name| own(name)).collect();
    let looks = owned.iter().cycle().take(900).map(|name| look_up(name, 80));
    for found in futures::future::join_all(looks).await {
        assert_eq!(found.unwrap(), [SocketAddr::from((board, 80))]);
    }
    let most = owned.iter().map(|name| responder.times(name)).max();
    assert!(most <= Some(3), "{most:?}");
}

#[tokio::test]
async fn other_names_are_never_asked_for_on_the_network() {
    let responder = Responder::start(&[]);
    for name in ["no-such-board.invalid", "localhost", "127.0.0.1"] {
        drop(look_up(name, 80).await);
    }
    let error = look_up(&own("nobody"), 80).await.unwrap_err().to_string();
    assert!(
        error.contains("by multicast DNS within 3 s; the system says:"),
        "{error}"
    );
    let asked = responder.asked.lock().unwrap();
    assert!(
        asked.iter().all(|name| name.as_str().ends_with(".local")),
        "{asked:?}"
    );
}

#[tokio::test]
async fn an_address_that_does_not_answer_is_asked_for_again() {
    let address = Ipv4Addr::new(127, 9, 8, 5);
    let responder = Responder::start(&[("silent", address)]);
    // The kernel drops further connections to a listener whose queue is full.
    let silent = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
    silent.bind(&SocketAddr::from((address, 0)).into()).unwrap();
    silent.listen(0).unwrap();
    let at = silent.local_addr().unwrap().as_socket().unwrap();
    let _queued = std::net::TcpStream::connect(at).unwrap();

    let name = own("silent");
    look_up(&name, at.port()).await.unwrap();
    look_up(&name, at.port()).await.unwrap();
    assert_eq!(responder.times(&name), 1, "it is kept");
    let host: Host = format!("{name}:{}", at.port()).parse().unwrap();
    let options = ConnectOptions::default().connect_timeout(Duration::from_millis(200));
    let error = CrsBoard::connect("a", host, options).await.unwrap_err();
    assert!(error.to_string().contains("within 0.2 s"), "{error}");
    look_up(&name, at.port()).await.unwrap();
    assert_eq!(responder.times(&name), 2);
}
