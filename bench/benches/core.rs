// SPDX-License-Identifier: GPL-2.0

//! What the core costs on this machine, outside of the kernel: reading packets, asking
//! policies, compiling and verifying them, writing records.

use std::cell::LazyCell;
use std::hint::black_box;
use std::ops::Deref;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use nftrace_bench::judge::Judge;
use nftrace_bench::packets::{hits, misses, PacketTuple};
use nftrace_bench::render::{policy, Verdicts};
use nftrace_bench::rules::Family;
use nftrace_bench::shapes::Shape;
use nftrace_core::hook::{Family as HookFamily, Hook};
use nftrace_core::packet::{parse, Network, Packet};
use nftrace_core::policy::verify;
use nftrace_core::record::{Device, Kind, Record, Site};
use nftrace_core::ring::{Header, Memory, Ring, Slot};
use nftrace_tests::guest::compiled;

/// Packets of a trace: more than the first level of caches holds.
const PACKETS: usize = 2000;
const SEED: u64 = 1;

/// Up to so many rules there are packets for none of them.
const MISSES: usize = 1000;

fn packets(of: &[PacketTuple]) -> Vec<Packet> {
    of.iter().map(Judge::packet).collect()
}

fn parsing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    group.throughput(Throughput::Elements(PACKETS as u64));
    for (family, network) in [(Family::V4, Network::Ipv4), (Family::V6, Network::Ipv6)] {
        let set = Shape::Acl.generate(family, 1000, SEED);
        let trace = hits(&set, PACKETS, SEED);
        let trace: Vec<Vec<u8>> = trace.iter().map(PacketTuple::bytes).collect();
        group.bench_function(family.name(), |bencher| {
            bencher.iter(|| {
                for bytes in &trace {
                    black_box(parse(network, black_box(bytes), bytes.len())).ok();
                }
            });
        });
    }
}

/// Traces all of which hit, or miss.
fn classifying(criterion: &mut Criterion) {
    let shapes = || {
        let adversarial = [Shape::Uniform, Shape::Broad, Shape::Nested];
        Shape::REALISTIC.into_iter().chain(adversarial)
    };
    for (family, shape) in Family::ALL
        .into_iter()
        .flat_map(|family| shapes().map(move |shape| (family, shape)))
    {
        let mut group = criterion.benchmark_group(format!("classify/{}/{shape}", family.name()));
        group.throughput(Throughput::Elements(PACKETS as u64));
        group.sample_size(10);
        for count in [10, 100, 1000, 10_000, 100_000] {
            // Only what is asked for on the command line is made.
            let set = LazyCell::new(|| shape.generate(family, count, SEED));
            let judge = LazyCell::new(|| {
                Judge::new(&policy(&set, Verdicts::Drop)).expect("a sound policy")
            });
            let mut ask = |kind: &str, trace: &dyn Deref<Target = Vec<Packet>>| {
                group.bench_function(BenchmarkId::new(kind, count), |bencher| {
                    let tables = judge.tables();
                    bencher.iter(|| {
                        for packet in trace.iter() {
                            black_box(Judge::classify(&tables, black_box(packet)));
                        }
                    });
                });
            };
            ask(
                "hit",
                &LazyCell::new(|| packets(&hits(&set, PACKETS, SEED))),
            );
            // Of the others hardly any packet misses, and of no shape where the set is large.
            if Shape::REALISTIC.contains(&shape) && count <= MISSES {
                ask(
                    "miss",
                    &LazyCell::new(|| packets(&misses(&set, PACKETS, SEED))),
                );
            }
        }
    }
}

/// From the text on, as the command does it; and the kernel's proof alone.
fn loading(criterion: &mut Criterion) {
    for (family, shape) in [
        (Family::V4, Shape::Acl),
        (Family::V4, Shape::Containers),
        (Family::V6, Shape::Acl),
        (Family::V6, Shape::Containers),
    ] {
        let mut group = criterion.benchmark_group(format!("load/{}/{shape}", family.name()));
        group.sample_size(10);
        for count in [1000, 10_000, 100_000] {
            let text =
                LazyCell::new(|| policy(&shape.generate(family, count, SEED), Verdicts::Drop));
            group.throughput(Throughput::Elements(count as u64));
            group.bench_function(BenchmarkId::new("compile", count), |bencher| {
                bencher.iter(|| compiled(black_box(&text)).expect("a sound policy"));
            });
            let judge = LazyCell::new(|| Judge::new(&text).expect("a sound policy"));
            group.bench_function(BenchmarkId::new("verify", count), |bencher| {
                let tables = judge.tables();
                bencher.iter(|| verify(black_box(&tables)).expect("a sound policy"));
            });
        }
    }
}

struct Heap {
    header: Header,
    slots: Vec<Slot>,
}

impl Memory for Heap {
    fn header(&self) -> &Header {
        &self.header
    }

    fn slots(&self) -> &[Slot] {
        &self.slots
    }
}

/// Into a ring that nobody reads, with no clock.
fn recording(criterion: &mut Criterion) {
    let heap = Heap {
        header: Header::default(),
        slots: (0..4096).map(|_| Slot::new()).collect(),
    };
    let ring = Ring::new(heap).expect("a power of two");
    let mut group = criterion.benchmark_group("record");
    group.throughput(Throughput::Elements(PACKETS as u64));
    for (family, of) in [
        (Family::V4, HookFamily::Ipv4),
        (Family::V6, HookFamily::Ipv6),
    ] {
        let set = Shape::Acl.generate(family, 1000, SEED);
        let trace = packets(&hits(&set, PACKETS, SEED));
        let site = |time| Site {
            kind: Kind::Entry,
            hook: Hook::PreRouting,
            family: of,
            time,
            cookie: 1,
            inode: 1,
            dev: Device::NONE,
            input: Device::NONE,
            output: Device::NONE,
            skb: 1,
            len: 60,
            mark: 0,
            gso_segs: 0,
            cpu: 0,
            conntrack: None,
            socket: None,
            logged: false,
        };
        group.bench_function(family.name(), |bencher| {
            bencher.iter(|| {
                for packet in &trace {
                    let packet = black_box(packet);
                    black_box(
                        ring.produce(|| black_box(1), |time| Record::new(&site(time), packet)),
                    );
                }
            });
        });
    }
}

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    parsing(&mut criterion);
    classifying(&mut criterion);
    loading(&mut criterion);
    recording(&mut criterion);
    criterion.final_summary();
}
