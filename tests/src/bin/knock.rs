// SPDX-License-Identifier: GPL-2.0

//! Sends and receives in a guest:
//!
//! - `knock send udp|tcp FROM_PORT ADDRESS PORT COUNT SIZE`: so many datagrams of that
//!   size, or one segment that opens a connection; nothing is expected back
//! - `knock sink|echo FIRST LAST READY`: behind these ports of TCP and UDP; what comes is
//!   sent back or not; makes the file READY when it listens
//! - `knock try LIST`: for each line `tcp|udp ADDRESS PORT` of the file the same line and what
//!   came of it: passes, silence, or what the sender was told

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use anyhow::{bail, Context as _};
use rustix::net::{bind, connect, socket_with, AddressFamily, SocketFlags, SocketType};

/// So long a patient sender waits: the first segment is sent again meanwhile.
const PATIENCE: Duration = Duration::from_secs(4);

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["send", protocol, from, address, port, count, size] => {
            let to = SocketAddr::new(address.parse()?, port.parse()?);
            send(protocol, from.parse()?, to, count.parse()?, size.parse()?)
        }
        [how @ ("sink" | "echo"), first, last, ready] => {
            receive(how == "echo", first.parse()?, last.parse()?, ready)
        }
        ["try", list] => knock(&std::fs::read_to_string(list)?),
        _ => bail!(
            "usage: knock send udp|tcp FROM_PORT ADDRESS PORT COUNT SIZE | sink|echo FIRST LAST READY | try LIST"
        ),
    }
}

fn unspecified(like: SocketAddr, port: u16) -> SocketAddr {
    let address: IpAddr = if like.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    SocketAddr::new(address, port)
}

fn send(
    protocol: &str,
    from: u16,
    to: SocketAddr,
    count: usize,
    size: usize,
) -> anyhow::Result<()> {
    let from = unspecified(to, from);
    if protocol == "udp" {
        let socket = UdpSocket::bind(from)?;
        for _ in 0..count {
            socket.send_to(&vec![0; size], to)?;
        }
        return Ok(());
    }
    let family = if to.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::NONBLOCK, None)?;
    bind(&socket, &from)?;
    // Nobody answers; it ends before the segment is sent again.
    if let Err(error) = connect(&socket, &to) {
        anyhow::ensure!(error == rustix::io::Errno::INPROGRESS, "{error}");
    }
    thread::sleep(Duration::from_millis(200));
    Ok(())
}

fn receive(echoes: bool, first: u16, last: u16, ready: &str) -> anyhow::Result<()> {
    let mut listeners = Vec::new();
    let mut sockets = Vec::new();
    for port in first..=last {
        listeners.push(TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))?);
        let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port))?;
        socket.set_nonblocking(true)?;
        sockets.push(socket);
    }
    std::fs::write(ready, "")?;
    let mut buffer = [0; 2048];
    loop {
        for socket in &sockets {
            while let Ok((len, from)) = socket.recv_from(&mut buffer) {
                if echoes {
                    // Whoever does not take the answer is not ours to worry about.
                    let _ = socket.send_to(&buffer[..len], from);
                }
            }
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn outcome(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::TimedOut | ErrorKind::WouldBlock => "silence",
        ErrorKind::ConnectionRefused => "refused",
        ErrorKind::HostUnreachable => "no-host",
        ErrorKind::NetworkUnreachable => "no-net",
        ErrorKind::PermissionDenied => match error.raw_os_error() {
            Some(1) => "not-permitted",
            _ => "prohibited",
        },
        _ => return format!("{error}").replace(' ', "-"),
    }
    .to_owned()
}

fn udp(to: SocketAddr) -> std::io::Result<()> {
    let socket = UdpSocket::bind(unspecified(to, 0))?;
    socket.connect(to)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send(b"knock")?;
    socket.recv(&mut [0; 16]).map(|_| ())
}

fn attempt(line: &str) -> anyhow::Result<String> {
    let words: Vec<&str> = line.split(' ').collect();
    let [protocol, address, port] = words[..] else {
        bail!("{line}: a protocol, an address and a port are wanted");
    };
    let to = SocketAddr::new(address.parse()?, port.parse()?);
    let result = match protocol {
        "tcp" => TcpStream::connect_timeout(&to, PATIENCE).map(|_| ()),
        _ => udp(to),
    };
    Ok(match result {
        Ok(()) => "passes".to_owned(),
        Err(error) => outcome(&error),
    })
}

fn knock(list: &str) -> anyhow::Result<()> {
    thread::scope(|scope| {
        let attempts: Vec<_> = list
            .lines()
            .map(|line| (line, scope.spawn(move || attempt(line))))
            .collect();
        for (line, thread) in attempts {
            let joined = thread.join().ok().context("a thread panicked")?;
            println!("{line} {}", joined?);
        }
        Ok(())
    })
}
