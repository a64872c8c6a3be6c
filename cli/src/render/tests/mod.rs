// SPDX-License-Identifier: GPL-2.0

use nftrace_journeys::{read_log, Builder, Journey, Names, NamespaceId, Options, Trace};

use super::*;

mod browser;
mod lines;
mod page;
mod text;

const PUBLISHED: &str = include_str!("../../../tests/logs/published-port.log");
const DROPPED: &str = include_str!("../../../tests/logs/dropped.log");

/// The journeys of a kernel log.
fn trace(log: &str) -> Trace {
    let mut builder = Builder::new(Options::FILE);
    read_log(log.lines()).for_each(|input| builder.feed(input));
    builder.finish()
}

/// Calls one namespace so.
struct Called(u32, &'static str);

impl Names for Called {
    fn name(&self, namespace: &NamespaceId) -> Option<String> {
        (namespace.inode() == Some(self.0)).then(|| self.1.to_owned())
    }
}

fn page_of(trace: &Trace, names: &dyn Names, label: &str) -> String {
    let journeys: Vec<&Journey> = trace.journeys.iter().collect();
    page(
        &groups(&journeys, &trace.connections, names),
        label,
        trace.lost,
    )
}
