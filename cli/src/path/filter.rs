// SPDX-License-Identifier: GPL-2.0

//! Which journeys are shown.

use nftrace_journeys::{End, Journey, Names, Observation};

use super::input::Input;

/// All conditions must hold; of one that is given several times, one.
#[derive(Debug, clap::Args)]
pub(crate) struct Filter {
    /// Only the journeys of this connection; may be given several times
    #[arg(long, value_name = "N")]
    connection: Vec<usize>,

    /// Only this journey; may be given several times
    #[arg(long, value_name = "N")]
    journey: Vec<usize>,

    /// Only what passed this namespace: a name, an inode number or a cookie
    #[arg(long, value_name = "NAME")]
    ns: Vec<String>,

    /// Only what had this port as its source or destination, before or after NAT
    #[arg(long)]
    port: Vec<u16>,

    /// Only packets that were dropped
    #[arg(long)]
    dropped: bool,
}

impl Filter {
    /// The journeys that fit.
    ///
    /// # Errors
    ///
    /// A number or a namespace that is not there.
    pub(super) fn choose<'a>(&self, input: &'a Input) -> anyhow::Result<Vec<&'a Journey>> {
        self.check(input)?;
        let fits = |journey: &&Journey| {
            let connection = journey.connection.or(journey.about);
            (self.connection.is_empty()
                || connection.is_some_and(|number| self.connection.contains(&number)))
                && (self.journey.is_empty() || self.journey.contains(&journey.number))
                && (!self.dropped || journey.end == End::Dropped)
                && (self.port.is_empty()
                    || journey.records.iter().any(|record| self.has_port(record)))
                && (self.ns.is_empty()
                    || journey
                        .records
                        .iter()
                        .any(|record| self.has_namespace(record, &*input.names)))
        };
        Ok(input.journeys.iter().filter(fits).collect())
    }

    fn check(&self, input: &Input) -> anyhow::Result<()> {
        let connections = &input.connections;
        for number in &self.connection {
            anyhow::ensure!(
                connections
                    .iter()
                    .any(|connection| connection.number == *number),
                "there is no connection {number}: {}",
                range(connections.len(), "connection"),
            );
        }
        for number in &self.journey {
            anyhow::ensure!(
                input
                    .journeys
                    .iter()
                    .any(|journey| journey.number == *number),
                "there is no journey {number}: {}",
                range(input.journeys.len(), "journey"),
            );
        }
        let records = || input.journeys.iter().flat_map(|journey| &journey.records);
        for wanted in &self.ns {
            if records().any(|record| is_called(record, wanted, &*input.names)) {
                continue;
            }
            let mut known: Vec<String> = records()
                .filter_map(|record| {
                    record
                        .name(&*input.names)
                        .or_else(|| record.namespace.label())
                })
                .map(|name| name.escape_debug().to_string())
                .collect();
            known.sort();
            known.dedup();
            anyhow::bail!(
                "no packet passed a namespace '{wanted}'; those passed are: {}",
                known.join(", ")
            );
        }
        Ok(())
    }

    fn has_port(&self, record: &Observation) -> bool {
        let ends = [record.src(), record.dst()];
        let mut ports = ends.into_iter().flatten().filter_map(|end| end.port);
        ports.any(|port| self.port.contains(&port))
    }

    fn has_namespace(&self, record: &Observation, names: &dyn Names) -> bool {
        self.ns
            .iter()
            .any(|wanted| is_called(record, wanted, names))
    }
}

fn range(most: usize, thing: &str) -> String {
    match most {
        0 => format!("there is no {thing} at all"),
        1 => format!("there is only {thing} 1"),
        _ => format!("there are {thing}s 1 to {most}"),
    }
}

fn is_called(record: &Observation, wanted: &str, names: &dyn Names) -> bool {
    let namespace = &record.namespace;
    record.name(names).as_deref() == Some(wanted)
        || namespace.label().as_deref() == Some(wanted)
        || namespace
            .cookie()
            .is_some_and(|cookie| cookie.to_string() == wanted)
}
