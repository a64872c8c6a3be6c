// SPDX-License-Identifier: GPL-2.0

//! `make demo`: one HTTP request through a published port into a container's
//! namespace and back, as the kernel log of a stock kernel shows it.
//!
//! Standard output gets the records, plain; what surrounds them goes to standard
//! error. It fails when a record is missing, or when there is one too many.

use std::process::ExitCode;

use nftrace_tests::scenario::expected::S1;
use nftrace_tests::scenario::{Journey, Trace};
use nftrace_tests::vm::Vm;

fn demo() -> Result<(), Box<dyn std::error::Error>> {
    eprintln!("nftrace: demo: booting a stock Debian kernel in a virtual machine (usually 15 to 30 s without KVM) ...");
    let report = Vm::new("demo")
        .script("tests/lab/s1.sh", &[])
        .run()
        .map_err(|failure| failure.to_string())?;
    let trace = Trace::of(&report)?;
    let journeys = trace.journeys(&S1)?;

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
    for line in report.file("roles.txt")?.lines() {
        eprintln!("namespace {line}");
    }
    for message in report
        .messages()
        .filter(|message| message.contains(" loaded: "))
    {
        eprintln!("{message}");
    }
    let show = |is_request| {
        let packets = journeys
            .iter()
            .filter(|journey: &&Journey| journey.is_request == is_request && journey.has_data());
        for record in packets.flat_map(|journey| &journey.records) {
            println!("{}", record.message);
        }
    };
    eprintln!("\nThe request, GET http://10.10.10.2:8081/ from outside:");
    show(true);
    eprintln!("\nThe reply:");
    show(false);
    let records: usize = journeys.iter().map(|journey| journey.records.len()).sum();
    eprintln!(
        "\nAll {records} records of all {} packets of the connection, none missing: {}",
        journeys.len(),
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
