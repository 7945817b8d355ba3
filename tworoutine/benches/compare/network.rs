//! Measurement of a round trip over a loopback socket, and a check that background tasks make
//! progress while no thread waits for a future.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tworoutine::prelude::*;

use crate::table::{Row, median, timed};

pub(crate) fn rows(rows: &mut Vec<Row>, python: &dyn Fn(&str) -> Option<f64>) {
    let address = echo_server();
    let us = |seconds: f64| Some(seconds * 1e6);
    rows.push(
        Row::new(
            "loopback round trip, plain thread",
            "us",
            us(waited(address)),
        )
        .peer("blocking std sockets", us(blocking(address))),
    );

    let ticks = Arc::new(AtomicU64::new(0));
    let counter = ticks.clone();
    let ticking = tworoutine::runtime().spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(1)).await;
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    std::thread::sleep(Duration::from_millis(100));
    ticking.abort();
    let stopped = ticks.load(Ordering::Relaxed) == 0;
    rows.push(
        Row::new(
            "background tasks that stop while nobody waits",
            "",
            Some(f64::from(stopped)),
        )
        .limit(0.0),
    );
    rows.push(
        Row::new(
            "background tasks that stop while nobody waits",
            "",
            Some(f64::from(stopped)),
        )
        .peer("python, nest_asyncio", python("background")),
    );
}

/// Starts a server that sends back the bytes that it receives, and returns its address.
fn echo_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener binds to a free port");
    let address = listener.local_addr().expect("a listener has an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection is made");
            stream.set_nodelay(true).expect("TCP_NODELAY can be set");
            std::thread::spawn(move || {
                let mut bytes = [0; 64];
                while let Ok(()) = stream.read_exact(&mut bytes) {
                    if stream.write_all(&bytes).is_err() {
                        break;
                    }
                }
            });
        }
    });
    address
}

const TRIPS: u32 = 2000;

fn waited(address: SocketAddr) -> f64 {
    let mut stream = async { tokio::net::TcpStream::connect(address).await }
        .wait()
        .expect("a connection is made");
    stream.set_nodelay(true).expect("TCP_NODELAY can be set");
    let mut trips = || {
        for _ in 0..TRIPS {
            let trip = async {
                let mut bytes = [1; 64];
                stream.write_all(&bytes).await?;
                stream.read_exact(&mut bytes).await
            };
            trip.wait().expect("the bytes come back");
        }
    };
    median(7, || timed(&mut trips)) / f64::from(TRIPS)
}

fn blocking(address: SocketAddr) -> f64 {
    let mut stream = TcpStream::connect(address).expect("a connection is made");
    stream.set_nodelay(true).expect("TCP_NODELAY can be set");
    let mut trips = || {
        for _ in 0..TRIPS {
            let mut bytes = [1; 64];
            stream.write_all(&bytes).expect("the bytes are sent");
            stream.read_exact(&mut bytes).expect("the bytes come back");
        }
    };
    median(7, || timed(&mut trips)) / f64::from(TRIPS)
}
