// SPDX-License-Identifier: GPL-2.0

//! Who calls: what is asked of the module, in which ways.

use std::fs::File;
use std::io::Write as _;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};

use anyhow::{ensure, Context as _, Result};
use nftrace_core::abi::{
    Buffer, Info, Stats, ABI, FRAME_SIZE, IOC_GET_FILTER, IOC_INFO, IOC_SEEK, IOC_SET_FILTER,
    IOC_STATS,
};
use nftrace_core::policy::control::{
    Change, Load, SetChange, SetList, Status, ANY, END_PANIC, IOC_BLOB, IOC_CHANGE, IOC_COUNTS,
    IOC_HISTORY, IOC_LOAD, IOC_SET_CHANGE, IOC_SET_LIST, IOC_STATUS,
};
use nftrace_core::trace;
use nftrace_device::misuse::{map_anyhow, seek, tun, Arena, Coverage, Where};
use nftrace_device::Device;
use nftrace_tests::checksum::checksum;
use nftrace_tests::guest::{compiled, device};
use nftrace_tests::random::Random;
use nftrace_tests::vectors::{self, Vector};
use rustix::io::Errno;
use zerocopy::IntoBytes as _;

use crate::choices::{Choices, Found};
use crate::told::Told;
use crate::{Budget, PARAMETERS};

/// Where a request's buffer begins in the arena.
const BUFFER: usize = 1024;

const COMMANDS: [u32; 13] = [
    IOC_INFO,
    IOC_STATS,
    IOC_SEEK,
    IOC_SET_FILTER,
    IOC_GET_FILTER,
    IOC_LOAD,
    IOC_STATUS,
    IOC_CHANGE,
    IOC_BLOB,
    IOC_COUNTS,
    IOC_HISTORY,
    IOC_SET_CHANGE,
    IOC_SET_LIST,
];

const POLICIES: [&str; 6] = [
    "drop udp to any port 9 at local_out",
    "set banned dynamic = { 10.2.0.0/16, 2001:db8::/64 }\nset known dynamic = {}\n\
     accept from @known\ndrop from @banned at pre_routing",
    "accept established at forward\ndefault drop at forward",
    "set a = { 10.0.0.0/8, 2001:db8::/32 }\nreject from @a at local_in limit 5/s log",
    "shadow drop udp to 127.0.0.1 port 1-40000 at local_in limit 100/s\ndrop icmp at local_in",
    "accept tcp from 10.1.1.1 port 1\ndrop udp to any port 10-1000\naccept icmp\n\
     drop to 10.1.0.0/17\naccept from fd00::/16\ndrop to fd00::1\ndrop from 10.9.0.0/16\n\
     drop from 10.8.0.0/16 to 10.7.0.0/16\ndrop to 10.6.0.0/16\ndrop from 10.5.0.0/16",
];

fn errno(error: std::io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}

/// Puts the right checksum into what is a header of IPv4, if it has one.
fn put_checksum(bytes: &mut [u8]) {
    let len = bytes
        .first()
        .map_or(0, |first| usize::from(first & 0xf) * 4);
    let Some(header) = bytes.get_mut(..len).filter(|header| header.len() >= 20) else {
        return;
    };
    header[10..12].fill(0);
    let sum = checksum(&[header]);
    header[10..12].copy_from_slice(&sum);
}

/// One thread.
pub(crate) struct Caller {
    random: Random<Choices>,
    arena: Arena,
    device: Device,
    /// What is written there is a packet that comes in.
    tun: File,
    packets: Vec<Vector>,
    blobs: Vec<Vec<u8>>,
    /// And what they were before.
    parameters: Vec<(PathBuf, Vec<u8>)>,
    told: Told,
}

impl Caller {
    pub(crate) fn new(seed: u64, thread: u64) -> Result<Self> {
        let blob = |text: &&str| Ok(compiled(text)?.bytes().to_vec());
        let mut parameters: Vec<_> = Path::new(PARAMETERS)
            .read_dir()
            .context(PARAMETERS)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter_map(|path| Some((path.clone(), std::fs::read(path).ok()?)))
            .collect();
        parameters.sort();
        ensure!(!parameters.is_empty(), "the module has no parameters");
        Ok(Self {
            random: Random::of(Choices::new(seed * 2 + thread)),
            arena: Arena::new()?,
            device: device()?,
            tun: tun(&format!("pester{thread}"))?,
            packets: vectors::load(),
            blobs: POLICIES.iter().map(blob).collect::<Result<_>>()?,
            parameters,
            told: Told::default(),
        })
    }

    /// Calls, as long as there are any; where it is asked what they reach, more of those that find something.
    pub(crate) fn calls(mut self, budget: Budget, is_guided: bool, found: &Found) -> Result<Told> {
        let coverage = is_guided.then(Coverage::of_this_thread).transpose()?;
        let mut done = 0;
        while budget.allows(done) {
            done += 1;
            self.random.source().begin(found);
            if let Some(coverage) = &coverage {
                coverage.begin();
            }
            self.act()?;
            if let Some(coverage) = &coverage {
                self.random.source().reached(coverage.edges(), found);
            }
        }
        Ok(self.told)
    }

    fn act(&mut self) -> Result<()> {
        match self.random.below(28) {
            0 => self.device = device()?,
            1 => self.map(),
            2 | 3 => self.read()?,
            4 => self.seek(),
            5 => self.parameter(),
            6 | 7 => self.anything(),
            8..=10 => self.filter(),
            11..=14 => self.load(),
            15 => self.set(),
            16..=21 => self.packet(),
            _ => self.ask(),
        }
        Ok(())
    }

    /// A number that is right, nearly so or not at all.
    fn near(&mut self, right: u32) -> u32 {
        match self.random.below(100) {
            0 => right.wrapping_add(1),
            1 => right.wrapping_sub(1),
            2 => 0,
            3 => u32::MAX,
            4 => right ^ (1 << self.random.below(32)),
            5 => u32::try_from(self.random.below(1 << 20)).unwrap_or(0),
            _ => right,
        }
    }

    fn place(&mut self, right: usize) -> Where {
        match self.random.below(100) {
            0 => Where::Null,
            1 => Where::Kernel,
            2 => Where::Nowhere,
            // So that what is there ends before all was written or read.
            3 => Where::Here(Arena::SIZE - self.random.below(64)),
            4 => Where::Here(Arena::SIZE),
            5 => Where::Here(right + 1),
            _ => Where::Here(right),
        }
    }

    /// A length with fewer bits than that, each as often.
    fn len(&mut self, bits: usize) -> usize {
        let bits = self.random.below(bits);
        self.random.below(1 << bits)
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let len = self.random.below(most);
        (0..len)
            .map(|_| self.random.number().to_le_bytes()[0])
            .collect()
    }

    /// Some bytes of it become others.
    fn damage(&mut self, bytes: &mut [u8]) {
        if !self.random.one_in(3) || bytes.is_empty() {
            return;
        }
        for _ in 0..=self.random.below(3) {
            let at = self.random.below(bytes.len());
            bytes[at] = match self.random.below(4) {
                0 => 0,
                1 => 0xff,
                2 => bytes[at] ^ (1 << self.random.below(8)),
                _ => self.random.number().to_le_bytes()[0],
            };
        }
    }

    fn call(&mut self, what: &'static str, command: u32, request: &[u8]) {
        let (buffer, argument) = (self.place(BUFFER), self.place(0));
        let result = self
            .arena
            .ioctl(&self.device, command, request, buffer, Some(argument));
        self.told.note(what, result);
    }

    /// A buffer of so many bytes.
    fn buffer(&mut self, len: usize) -> Buffer {
        Buffer {
            abi: self.near(ABI),
            len: self.near(u32::try_from(len).unwrap_or(u32::MAX)),
            address: 0,
        }
    }

    fn anything(&mut self) {
        let known = *self.random.pick(&COMMANDS);
        let command = match self.random.below(4) {
            0 => known,
            1 => known ^ (1 << self.random.below(32)),
            2 => (known & !0xff) | u32::try_from(self.random.below(256)).unwrap_or(0),
            _ => {
                (known & !(0x3fff << 16))
                    | (u32::try_from(self.random.below(256)).unwrap_or(0) << 16)
            }
        };
        let request = self.bytes(256);
        self.call("any", command, &request);
    }

    fn seek(&mut self) {
        let to = usize::try_from(self.near(1)).unwrap_or(0);
        self.told.note("seek", seek(&self.device, to));
    }

    fn read(&mut self) -> Result<()> {
        self.device.set_nonblocking(true)?;
        if self.random.one_in(4) {
            self.record()?;
        }
        let (to, frames) = (self.place(0), self.random.below(40));
        let len = frames * FRAME_SIZE + self.random.below(3) * 100;
        let result = self.arena.read(&self.device, to, len);
        if let Ok(read) = result {
            ensure!(
                read % FRAME_SIZE == 0 && read <= len,
                "{read} bytes of {len}"
            );
        }
        self.told.note("read", result);
        Ok(())
    }

    /// So that there is something to be read, unless the other thread is in the way: all is
    /// traced, and a packet sent.
    fn record(&self) -> Result<()> {
        let all = trace::Header {
            flags: trace::ENABLED,
            ..trace::Header::default()
        };
        let _ = self.device.set_filter(all.as_bytes());
        let _ = UdpSocket::bind("127.0.0.1:0")?.send_to(b"x", ("127.0.0.1", 9));
        Ok(())
    }

    fn map(&mut self) {
        let size = usize::try_from(self.device.info().ring_size).unwrap_or(4096);
        let len = match self.random.below(4) {
            0 => size + 4096,
            1 => (self.random.below(size / 4096) + 1) * 4096,
            2 => self.random.below(size) + 1,
            _ => size,
        };
        let offset = match self.random.below(3) {
            0 => (self.random.below(64) * 4096) as u64,
            _ => (self.random.below(4) * size) as u64,
        };
        let may = u32::try_from(self.random.below(8)).unwrap_or(0);
        let is_shared = !self.random.one_in(3);
        let first = self.random.below(len);
        let result = map_anyhow(&self.device, len, may, is_shared, offset, first);
        self.told.note("map", result);
    }

    fn parameter(&mut self) {
        let (path, before) = self.random.pick(&self.parameters).clone();
        const VALUES: [&str; 11] = [
            "8080",
            "1-65535",
            "1,2,3-9",
            "",
            "0",
            "1",
            "v1",
            "classic",
            "open",
            "-1",
            "99999999999",
        ];
        let value = match self.random.below(4) {
            0 => self.bytes(5000),
            _ => self.random.pick(&VALUES).as_bytes().to_vec(),
        };
        let result = std::fs::write(&path, value).map_err(errno);
        self.told.note("parameter", result);
        let read = std::fs::read(&path).map(drop).map_err(errno);
        self.told.note("parameter read", read);
        // Else no policy may cost anything, soon.
        if !self.random.one_in(40) {
            let _ = std::fs::write(&path, before.trim_ascii_end());
        }
    }

    fn filter(&mut self) {
        let counts = [4, 3, 2, 2, 2, 3, 5].map(|most| self.random.below(most));
        let sizes = [4, 4, 20, 8, 16, 8, 1];
        let [ports, protocols, prefixes, namespaces, devices, instructions, text] =
            counts.map(|count| u32::try_from(count).unwrap_or(0));
        let header = trace::Header {
            flags: u32::try_from(self.random.below(8)).unwrap_or(0),
            ports,
            protocols,
            prefixes,
            namespaces,
            devices,
            instructions,
            text,
        };
        let mut bytes = header.as_bytes().to_vec();
        for (count, size) in counts.into_iter().zip(sizes) {
            for word in 0..count * size {
                // Small numbers, so that they often are ports, protocols and operations.
                let small = word % 4 == 0;
                let byte = self.random.number().to_le_bytes()[0];
                bytes.push(if small { byte % 120 } else { 0 });
            }
        }
        self.damage(&mut bytes);
        self.arena.put(BUFFER, &bytes);
        let request = self.buffer(bytes.len());
        self.call("filter", IOC_SET_FILTER, request.as_bytes());
    }

    fn load(&mut self) {
        let mut blob = match self.random.below(12) {
            0 => self.bytes(2000),
            // So that sets are there to be changed.
            1..=5 => self.blobs[1].clone(),
            _ => self.random.pick(&self.blobs).clone(),
        };
        if !self.random.one_in(3) {
            self.damage(&mut blob);
        }
        self.arena.put(BUFFER, &blob);
        let mut request = Load {
            abi: self.near(ABI),
            len: self.near(u32::try_from(blob.len()).unwrap_or(u32::MAX)),
            epoch: self.random.number() >> self.random.below(64),
            trial: self.near(0),
            expected: self.near(u32::MAX),
            ..Load::default()
        };
        if self.random.one_in(4) {
            self.damage(&mut request.as_mut_bytes()[40..]);
        }
        self.call("load", IOC_LOAD, request.as_bytes());
    }

    /// One of the vectors, as it is or damaged, to this host, or to one behind it.
    fn packet(&mut self) {
        let vector = self.random.pick(&self.packets);
        let (mut bytes, is_ipv4) = (vector.bytes.clone(), vector.ethertype == 0x0800);
        if self.random.one_in(3) {
            if let Some(last) = bytes.get_mut(if is_ipv4 { 19 } else { 39 }) {
                *last ^= 0x80;
            }
        }
        self.damage(&mut bytes);
        if self.random.one_in(8) {
            bytes.truncate(self.random.below(bytes.len() + 1));
        }
        if self.random.one_in(8) {
            bytes.extend(self.bytes(3000));
        }
        // Else nobody looks at it.
        if is_ipv4 && !self.random.one_in(8) {
            put_checksum(&mut bytes);
        }
        let written = self.tun.write(&bytes).map_err(errno);
        self.told.note("packet", written);
    }

    /// A change of a dynamic set, or what is in it.
    fn set(&mut self) {
        let name = *self
            .random
            .pick(&["banned", "banned", "known", "known", "none", ""]);
        let name = std::array::from_fn(|at| name.as_bytes().get(at).copied().unwrap_or(0));
        if self.random.one_in(3) {
            let len = self.len(10);
            let request = SetList {
                buffer: self.buffer(len),
                name,
                ..SetList::default()
            };
            self.call("set told", IOC_SET_LIST, request.as_bytes());
            return;
        }
        // Each range behind the one before it, mostly.
        let count = self.random.below(40);
        let mut bytes = Vec::new();
        for number in 0..count {
            let low = u32::try_from(number * 10).unwrap_or(0);
            bytes.extend(low.to_ne_bytes());
            bytes.extend((low + u32::from(self.random.one_in(2))).to_ne_bytes());
        }
        self.damage(&mut bytes);
        self.arena.put(BUFFER, &bytes);
        let mut request = SetChange {
            abi: self.near(ABI),
            what: self.near(1).wrapping_add(u32::from(self.random.one_in(2))),
            generation: self.near(ANY),
            count4: self.near(u32::try_from(count).unwrap_or(0)),
            count6: self.near(0),
            name,
            ..SetChange::default()
        };
        if self.random.one_in(4) {
            self.damage(&mut request.as_mut_bytes()[32..]);
        }
        self.call("set", IOC_SET_CHANGE, request.as_bytes());
    }

    /// What tells something, or changes what is in force.
    fn ask(&mut self) {
        let len = self.len(17);
        let buffer = self.buffer(len);
        match self.random.below(8) {
            0 => self.call("info", IOC_INFO, Info::default().as_bytes()),
            1 => self.call("stats", IOC_STATS, Stats::default().as_bytes()),
            2 => self.call("filter told", IOC_GET_FILTER, buffer.as_bytes()),
            3 => self.call("status", IOC_STATUS, Status::default().as_bytes()),
            4 => {
                let mut request = buffer.as_bytes().to_vec();
                let generation = self.random.below(200) as u64;
                request.extend(generation.to_le_bytes());
                self.call("policy told", IOC_BLOB, &request);
            }
            5 => self.call("counts", IOC_COUNTS, buffer.as_bytes()),
            6 => self.call("history", IOC_HISTORY, buffer.as_bytes()),
            _ => {
                // It has no address in it: the arena's stands where the generation is.
                let request = Change {
                    abi: self.near(ABI),
                    what: u32::try_from(self.random.below(9)).unwrap_or(0),
                    ..Change::default()
                };
                self.call("change", IOC_CHANGE, request.as_bytes());
                // In a panic nothing is loaded.
                if !self.random.one_in(4) {
                    let _ = self.device.change_policy(END_PANIC, None);
                }
            }
        }
    }
}
