// SPDX-License-Identifier: GPL-2.0

//! `nftrace show`

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use nftrace_core::policy::control::{Count, Status, PANIC_ACCEPT, PANIC_DROP};
use nftrace_core::policy::layout::PLACES;
use nftrace_core::policy::{Place, Tables};
use nftrace_policy::{rule_text_of, text_of};
use serde::Serialize;

use super::kept::{kept, tables};
use super::live::{ranges, sizes, Size};
use super::source::size;
use crate::names::Names;
use crate::output;
use crate::source::DeviceArgs;

/// Shows the policy in force
///
/// It is printed as it was loaded, one statement a line, so that it can be loaded again.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// An earlier generation that is still kept, as 'nftrace history' shows them
    generation: Option<u32>,
    /// With how many packets and bytes each rule decided about, and when last
    #[arg(long, short, conflicts_with = "generation")]
    counters: bool,
    /// With the counters of each namespace, too
    #[arg(long, requires = "counters")]
    namespaces: bool,
    /// Sets with all their elements, however many they are
    #[arg(long)]
    full: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceArgs,
}

/// What was counted of one rule or default.
#[derive(Clone, Debug, Default, Serialize)]
struct Counted {
    packets: u64,
    bytes: u64,
    /// Seconds since the last packet; none: there was none.
    last: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    namespaces: Vec<CountedIn>,
}

#[derive(Clone, Debug, Serialize)]
struct CountedIn {
    name: String,
    ns: u32,
    cookie: u64,
    packets: u64,
    bytes: u64,
    last: Option<f64>,
}

#[derive(Clone, Debug, Serialize)]
struct Rule {
    number: u32,
    text: String,
    #[serde(flatten)]
    counted: Option<Counted>,
}

#[derive(Clone, Debug, Serialize)]
struct Default {
    of: String,
    #[serde(flatten)]
    counted: Counted,
}

#[derive(Debug, Serialize)]
struct Shown {
    generation: u32,
    /// When it was loaded, in seconds since 1970; of that in force only.
    #[serde(skip_serializing_if = "Option::is_none")]
    loaded: Option<f64>,
    /// Seconds until the one before it is restored.
    #[serde(skip_serializing_if = "Option::is_none")]
    trial: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    panic: Option<&'static str>,
    text: String,
    rules: Vec<Rule>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    defaults: Vec<Default>,
    /// Dynamic sets, and how large they are now.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    sets: BTreeMap<String, Size>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let device = args.device.open()?;
    let status = device.status()?;
    let Some((generation, blob)) = kept(&device, args.generation)? else {
        if let Some(generation) = args.generation {
            anyhow::bail!("generation {generation} is not kept; see 'nftrace history'");
        }
        return nothing(args.json);
    };
    let tables = tables(&blob)?;
    let counted = match args.counters {
        true => Some(Counters::of(&device.counts()?, args.namespaces)?),
        false => None,
    };
    let mut shown = shown(generation, &status, &tables, counted.as_ref());
    shown.sets.extend(sizes(&device, generation, &tables)?);
    let mut out = output::standard();
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&shown)?)?;
    } else {
        print(&mut out, args, &shown, &tables)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn nothing(json: bool) -> anyhow::Result<ExitCode> {
    let mut out = output::standard();
    if json {
        writeln!(
            out,
            "{}",
            serde_json::json!({ "generation": 0, "rules": [] })
        )?;
    } else {
        writeln!(
            out,
            "# no policy is in force: everything passes; 'nftrace load FILE' loads one"
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What was counted, by slot.
struct Counters(BTreeMap<u32, Counted>);

fn age(last: u64) -> Option<f64> {
    let since = || nftrace_device::monotonic().saturating_sub(last);
    (last != 0).then(|| Duration::from_nanos(since()).as_secs_f64())
}

impl Counters {
    fn of(counts: &[Count], namespaces: bool) -> anyhow::Result<Self> {
        let names = namespaces.then(Names::snapshot);
        let mut slots = BTreeMap::<u32, Counted>::new();
        for count in counts {
            let slot = slots.entry(count.slot).or_default();
            if count.cookie == 0 {
                (slot.packets, slot.bytes) = (count.packets, count.bytes);
                slot.last = age(count.last);
                continue;
            }
            let Some(names) = &names else {
                continue;
            };
            let found = names.lookup(Some(count.cookie), Some(count.inode));
            slot.namespaces.push(CountedIn {
                name: found
                    .and_then(|found| names.display(found))
                    .unwrap_or_else(|| format!("cookie:{}", count.cookie)),
                ns: count.inode,
                cookie: count.cookie,
                packets: count.packets,
                bytes: count.bytes,
                last: age(count.last),
            });
        }
        Ok(Self(slots))
    }

    fn slot(&self, slot: u32) -> Counted {
        self.0.get(&slot).cloned().unwrap_or_default()
    }
}

fn shown(
    generation: u32,
    status: &Status,
    tables: &Tables<'_>,
    counters: Option<&Counters>,
) -> Shown {
    let is_current = generation == status.generation;
    let rules = (0..).zip(tables.rules).map(|(slot, rule)| Rule {
        number: slot + 1,
        text: rule_text_of(tables, rule),
        counted: counters.map(|counters| counters.slot(slot)),
    });
    let seconds = |milliseconds: u64| Duration::from_millis(milliseconds).as_secs_f64();
    Shown {
        generation,
        loaded: is_current.then(|| Duration::from_nanos(status.time).as_secs_f64()),
        trial: (is_current && status.trial != 0).then(|| seconds(status.trial)),
        panic: panic_of(status),
        text: text_of(tables),
        rules: rules.collect(),
        defaults: counters
            .map(|counters| defaults(tables, counters))
            .unwrap_or_default(),
        sets: BTreeMap::new(),
    }
}

fn panic_of(status: &Status) -> Option<&'static str> {
    match status.panic {
        PANIC_ACCEPT => Some("accept"),
        PANIC_DROP => Some("drop"),
        _ => None,
    }
}

/// Defaults that decided about something.
fn defaults(tables: &Tables<'_>, counters: &Counters) -> Vec<Default> {
    let verdict = |number: u8| if number == 0 { "accept" } else { "drop" };
    let header = tables.header;
    let rules = u32::try_from(tables.rules.len()).unwrap_or(u32::MAX);
    let of_places = Place::all().zip(header.defaults).map(|(place, number)| {
        let bridge = if place.is_bridge { "bridge " } else { "" };
        let hook = place.hook.name().to_lowercase();
        format!("default {} at {bridge}{hook}", verdict(number))
    });
    let others = [
        "default of new namespaces".to_owned(),
        format!("default malformed {}", verdict(header.malformed)),
        format!("default fragments {}", verdict(header.fragments)),
    ];
    debug_assert_eq!(others.len() + PLACES, 13);
    (rules..)
        .zip(of_places.chain(others))
        .map(|(slot, of)| Default {
            of,
            counted: counters.slot(slot),
        })
        .filter(|default| default.counted.packets != 0)
        .collect()
}

/// A long list of elements as its beginning.
fn terse(line: &str) -> String {
    const LONG: usize = 160;
    if !line.starts_with("set ") || line.len() <= LONG {
        return line.to_owned();
    }
    let elements: Vec<&str> = line.split(", ").collect();
    let mut short = String::new();
    let mut count = 0;
    for element in &elements {
        if short.len() + element.len() > LONG / 2 {
            break;
        }
        short += element;
        short += ", ";
        count += 1;
    }
    format!(
        "{short}… {} more; --full shows them }}",
        elements.len() - count
    )
}

/// How large a dynamic set is now, behind the statement that declares it.
fn size_now(line: &str, sets: &BTreeMap<String, Size>) -> String {
    let mut words = line.split(' ');
    let name = match (words.next(), words.next(), words.next()) {
        (Some("set"), Some(name), Some("dynamic")) => name,
        _ => return String::new(),
    };
    match sets.get(name) {
        Some(size) => format!("  # {} now: nftrace set list {name}", ranges(size.total())),
        None => String::new(),
    }
}

fn since(seconds: Option<f64>) -> String {
    match seconds {
        None => "never".to_owned(),
        Some(seconds) if seconds < 60.0 => format!("{seconds:.1} s ago"),
        Some(seconds) if seconds < 3600.0 => format!("{:.0} min ago", seconds / 60.0),
        Some(seconds) => format!("{:.0} h ago", seconds / 3600.0),
    }
}

fn counts(packets: u64, bytes: u64, last: Option<f64>) -> String {
    format!("{packets:>10} {bytes:>12} {:>12}", since(last))
}

fn print(
    out: &mut impl std::io::Write,
    args: &Args,
    shown: &Shown,
    tables: &Tables<'_>,
) -> anyhow::Result<()> {
    let mut title = format!("# generation {}: {}", shown.generation, size(tables));
    if let Some(loaded) = shown.loaded {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs_f64(loaded);
        title += &format!(", loaded {}", humantime::format_rfc3339_seconds(time));
    }
    writeln!(out, "{title}")?;
    if let Some(trial) = shown.trial {
        writeln!(
            out,
            "# on trial for another {trial:.0} s; 'nftrace confirm' keeps it"
        )?;
    }
    if let Some(panic) = shown.panic {
        writeln!(out, "# but panic {panic}: it decides nothing")?;
    }
    let Some(()) = args.counters.then_some(()) else {
        for line in shown.text.lines() {
            let line = if args.full {
                line.to_owned()
            } else {
                terse(line)
            };
            writeln!(out, "{line}{}", size_now(&line, &shown.sets))?;
        }
        return Ok(());
    };
    writeln!(out, "#  packets        bytes         last  rule")?;
    let mut rules = shown.rules.iter().peekable();
    for line in shown.text.lines() {
        let Some(rule) = rules.next_if(|rule| rule.text == line) else {
            continue;
        };
        let counted = rule.counted.clone().unwrap_or_default();
        print_counted(out, &rule.text, &counted)?;
    }
    for default in &shown.defaults {
        print_counted(out, &default.of, &default.counted)?;
    }
    Ok(())
}

fn print_counted(
    out: &mut impl std::io::Write,
    what: &str,
    counted: &Counted,
) -> anyhow::Result<()> {
    let Counted {
        packets,
        bytes,
        last,
        namespaces,
    } = counted;
    writeln!(out, "{}  {what}", counts(*packets, *bytes, *last)).context("writing")?;
    for one in namespaces {
        let text = counts(one.packets, one.bytes, one.last);
        writeln!(out, "{text}    in {}", one.name)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_set_is_shown_by_its_beginning_and_a_rule_whole() {
        let elements: Vec<String> = (0..200).map(|n| format!("10.0.0.{n}")).collect();
        let set = format!("set many = {{ {} }}", elements.join(", "));
        let short = terse(&set);
        assert!(
            short.starts_with("set many = { 10.0.0.0, 10.0.0.1, "),
            "{short}"
        );
        assert!(short.len() < 160 && short.contains("more"), "{short}");
        let rule = format!("drop from {{ {} }}", elements.join(", "));
        assert_eq!(terse(&rule), rule);
    }

    #[test]
    fn a_dynamic_set_is_shown_with_its_size_now() {
        let sets = BTreeMap::from([("banned".to_owned(), Size { ipv4: 2, ipv6: 1 })]);
        assert_eq!(
            size_now("set banned dynamic = { 192.0.2.7 }", &sets),
            "  # 3 ranges now: nftrace set list banned"
        );
        assert_eq!(size_now("set banned = { 192.0.2.7 }", &sets), "");
        assert_eq!(size_now("drop from @banned", &sets), "");
    }

    #[test]
    fn what_was_never_hit_says_so() {
        assert!(counts(0, 0, None).ends_with("never"));
        assert!(counts(3, 180, Some(90.0)).ends_with("2 min ago"));
    }
}
