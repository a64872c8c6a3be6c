// SPDX-License-Identifier: GPL-2.0

//! Says in a guest which datagrams arrive: `arrivals FIRST LAST READY STOP` listens on these
//! ports in both families, makes the file READY when it does, and when somebody has made the
//! file STOP it prints a line `PORT PAYLOAD` for each.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV6, UdpSocket};
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::net::{bind, socket, sockopt, AddressFamily, SocketType};

/// One of each family: a socket of both gets no IPv4 multicast.
fn sockets(port: u16) -> anyhow::Result<[UdpSocket; 2]> {
    let six = socket(AddressFamily::INET6, SocketType::DGRAM, None)?;
    sockopt::set_ipv6_v6only(&six, true)?;
    bind(&six, &SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0))?;
    let four = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?;
    Ok([four, six.into()])
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [first, last, ready, stop] = &arguments[..] else {
        anyhow::bail!("usage: arrivals FIRST LAST READY STOP");
    };
    let mut listening = Vec::new();
    for port in first.parse::<u16>()?..=last.parse()? {
        for socket in sockets(port)? {
            socket.set_nonblocking(true)?;
            listening.push((port, socket));
        }
    }
    std::fs::write(ready, "")?;
    while !Path::new(stop).exists() {
        thread::sleep(Duration::from_millis(50));
    }
    let mut buffer = [0; 2048];
    for (port, socket) in listening {
        while let Ok((len, _)) = socket.recv_from(&mut buffer) {
            println!("{port} {}", String::from_utf8_lossy(&buffer[..len]));
        }
    }
    Ok(())
}
