// SPDX-License-Identifier: GPL-2.0

//! `queue NUMBER accept|drop`: listens on an NFQUEUE and decides about every packet,
//! one line each, until it is killed.

use std::io::Write as _;

use anyhow::{bail, Context as _, Result};
use nfq::{Queue, Verdict};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [number, verdict] = arguments.as_slice() else {
        bail!("usage: queue NUMBER accept|drop");
    };
    let verdict = match verdict.as_str() {
        "accept" => Verdict::Accept,
        "drop" => Verdict::Drop,
        other => bail!("{other}: accept or drop is wanted"),
    };
    let number = number.parse().context("the number of a queue is wanted")?;
    let mut queue = Queue::open()?;
    queue.bind(number)?;
    loop {
        let mut message = queue.recv()?;
        println!("{} bytes", message.get_payload().len());
        std::io::stdout().flush()?;
        message.set_verdict(verdict);
        queue.verdict(message)?;
    }
}
