// SPDX-License-Identifier: GPL-2.0

//! `make demo`: one HTTP request through a published port into a container's
//! namespace and back, as the kernel log of a stock kernel shows it.
//!
//! Standard output gets the records, plain; what surrounds them goes to standard
//! error. It fails when a record is missing, or when there is one too many.

use std::process::ExitCode;

use nftrace_tests::scenario::Run;
use nftrace_tests::vm::{message, Vm};

fn demo() -> Result<(), Box<dyn std::error::Error>> {
    eprintln!("nftrace: demo: booting a stock Debian kernel in a virtual machine (usually 15 to 30 s without KVM) ...");
    let report = Vm::new("demo")
        .script("tests/lab/scenarios.sh", &["s1:ipv4"])
        .run()
        .map_err(|failure| failure.to_string())?;
    let run = Run::of(&report, "s1-ipv4")?;
    let taken = run.check_log()?;

    eprintln!(
        "
    outside               host                                  container
   +------------+        +--------------------------------+    +-------------+
   | eth0       |--------| ens160          br0 -- veth0   |----| eth0        |
   | 10.10.10.3 |        | 10.10.10.2      172.17.0.1     |    | 172.17.0.2  |
   +------------+        |  DNAT :8081 -> 172.17.0.2:8080 |    | httpd :8080 |
                         +--------------------------------+    +-------------+
"
    );
    for line in run.file("roles.txt")?.lines() {
        eprintln!("namespace {line}");
    }
    let log = run.file("kernel.log")?;
    for message in log.lines().map(message) {
        if message.contains(" loaded: ") {
            eprintln!("{message}");
        }
    }
    let titles = [
        "The request, GET http://10.10.10.2:8081/ from outside:",
        "The reply:",
    ];
    for (title, taken) in titles.iter().zip(&taken) {
        eprintln!("\n{title}");
        let packets = taken.packets.iter().filter(|packet| packet.data);
        for message in packets.flat_map(|packet| &packet.messages) {
            println!("{message}");
        }
    }
    let packets = || taken.iter().flat_map(|taken| &taken.packets);
    let records: usize = packets().map(|packet| packet.messages.len()).sum();
    eprintln!(
        "\nAll {records} records of all {} packets of the connection, none missing: {}",
        packets().count(),
        report.files.with_file_name("kernel.log").display()
    );
    Ok(())
}

fn main() -> ExitCode {
    match demo() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("nftrace: demo: {error}");
            ExitCode::FAILURE
        }
    }
}
