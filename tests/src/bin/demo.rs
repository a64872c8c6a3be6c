// SPDX-License-Identifier: GPL-2.0

//! `make demo`: one HTTP request through a published port into a container's
//! namespace and back, on a stock kernel, as `nftrace path` shows it.
//!
//! Standard output gets the journeys of the packets with data; what surrounds them
//! goes to standard error. It fails when any record of the connection is missing, or
//! when there is one too many.

use std::process::{Command, ExitCode};

use nftrace_tests::command;
use nftrace_tests::scenario::Run;
use nftrace_tests::vm::{message, Vm};
use serde_json::Value;

/// The journeys of the packets that push data, by number.
fn with_data(journeys: &str) -> Vec<u64> {
    let data = |line: &str| {
        let journey: Value = serde_json::from_str(line).ok()?;
        let flags = journey["records"][0]["flags"].as_str()?;
        flags.contains('P').then(|| journey["journey"].as_u64())?
    };
    journeys.lines().filter_map(data).collect()
}

fn demo() -> Result<(), Box<dyn std::error::Error>> {
    let command = command::binary()?;
    eprintln!("nftrace: demo: booting a stock Debian kernel in a virtual machine (usually 20 to 40 s without KVM) ...");
    let report = Vm::new("demo")
        .script("tests/lab/scenarios.sh", &["s1:ipv4"])
        .with_command()
        .run()
        .map_err(|failure| failure.to_string())?;
    let run = Run::of(&report, "s1-ipv4")?;
    let taken = run.check()?;
    run.check_log()?;

    eprintln!(
        "
    outside               host                                  ctr
   +------------+        +--------------------------------+    +-------------+
   | eth0       |--------| ens160          br0 -- veth0   |----| eth0        |
   | 10.10.10.3 |        | 10.10.10.2      172.17.0.1     |    | 172.17.0.2  |
   +------------+        |  DNAT :8081 -> 172.17.0.2:8080 |    | httpd :8080 |
                         +--------------------------------+    +-------------+

# insmod nftrace.ko
# nftrace trace set --port 8080,8081
# nftrace record web.nft -- curl http://10.10.10.2:8081/
# nftrace path web.nft
"
    );
    let recording = run.folder().join("trace.nft");
    let mut path = Command::new(command);
    path.arg("path").arg(&recording);
    for number in with_data(&run.file("journeys.json")?) {
        path.args(["--journey", &number.to_string()]);
    }
    let status = path.status()?;
    if !status.success() {
        return Err(format!("nftrace path: {status}").into());
    }
    let packets: usize = taken.iter().map(|taken| taken.packets.len()).sum();
    let log = run.file("kernel.log")?;
    let records = log
        .lines()
        .map(message)
        .filter(|message| message.starts_with("nftrace: v1 "))
        .count();
    eprintln!(
        "\nThese are the packets with data. All {records} records of all {packets} packets of the connection, \
         none missing:\n  ./nftrace path {}\nand a page with drawings: make command, then\n  \
         ./nftrace path --html=web.html {}",
        recording.display(),
        recording.display()
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
