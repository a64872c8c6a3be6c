// SPDX-License-Identifier: GPL-2.0

//! Judges a kernel log: which line says that something went wrong?

use std::sync::LazyLock;

use regex::Regex;

/// A line of the kernel log that fails a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What it is, in a word or two.
    pub what: &'static str,
    /// The line itself.
    pub line: String,
}

/// What each kind of fault looks like. An oops prints several of these lines;
/// the first in the log is the one that is reported.
const FAULTS: &[(&str, &str)] = &[
    ("KASAN", r"KASAN: "),
    ("UBSAN", r"UBSAN: "),
    ("KFENCE", r"KFENCE: .* in "),
    ("BUG", r"\bBUG: |\bBUG in |kernel BUG at "),
    (
        "Oops",
        r"\bOops: |Internal error: Oops|general protection fault",
    ),
    ("WARNING", r"\bWARNING: "),
    ("Rust panic", r"panicked at "),
    ("panic", r"Kernel panic - not syncing"),
    ("RCU stall", r"rcu.*(stall|starved)|RCU.*stall"),
    ("soft lockup", r"soft lockup"),
    ("hard lockup", r"hard LOCKUP|Hard LOCKUP"),
    (
        "hung task",
        r"blocked (in .*)?for more than \d+ seconds|hung_task: ",
    ),
    (
        "lockdep",
        r"possible circular locking|inconsistent lock state|suspicious RCU usage",
    ),
    ("scheduling while atomic", r"scheduling while atomic"),
    ("leaked device", r"unregister_netdevice: waiting for "),
    ("out of memory", r"Out of memory: |invoked oom-killer"),
];

/// Lines that repeat what the kernel was asked for.
const ASKED: [&str; 2] = ["ommand line: ", "RCU CPU stall warnings timeout set to "];

/// Bits of /proc/sys/kernel/tainted that say the same even when the log was
/// cleared. Out-of-tree and unsigned modules (bits 12, 13) are what we test.
const TAINTS: &[(u32, &str)] = &[
    (5, "bad page"),
    (7, "Oops"),
    (9, "WARNING"),
    (14, "soft lockup"),
];

static PATTERNS: LazyLock<Vec<(&'static str, Regex)>> = LazyLock::new(|| {
    let compile = |&(what, pattern)| {
        (
            what,
            Regex::new(pattern).expect("a constant that the tests below compile"),
        )
    };
    FAULTS.iter().map(compile).collect()
});

/// The first fault in a kernel log or on a console, if there is one.
pub fn inspect<'a>(lines: impl IntoIterator<Item = &'a str>) -> Option<Fault> {
    let fault = |line: &'a str| {
        // What we asked of the kernel on its command line is no fault of its.
        if ASKED.iter().any(|asked| line.contains(asked)) {
            return None;
        }
        let (what, _) = PATTERNS
            .iter()
            .find(|(_, pattern)| pattern.is_match(line))?;
        Some(Fault {
            what,
            line: line.to_owned(),
        })
    };
    lines.into_iter().find_map(fault)
}

/// The fault, if any, that the text of /proc/sys/kernel/tainted gives away.
pub(super) fn inspect_taint(text: &str) -> Option<Fault> {
    let taint: u64 = text.trim().parse().ok()?;
    let &(_, what) = TAINTS.iter().find(|(bit, _)| (taint >> bit) & 1 == 1)?;
    Some(Fault {
        what,
        line: format!("the kernel says that it is tainted: {taint}"),
    })
}

/// A line of the kernel log without its time: `[    1.234567] text` is `text`.
#[must_use]
pub fn message(line: &str) -> &str {
    line.strip_prefix('[')
        .and_then(|rest| rest.split_once("] "))
        .map_or(line, |(_, message)| message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
[    0.000000] Linux version 7.3.4+deb13-amd64 (debian-kernel@lists.debian.org)
[    0.000000] Command line: console=0,115200 loglevel=7 panic=-1 quiet oops=panic rcupdate.rcu_expedited=1
[    0.041000] Kernel command line: console=0,115200 panic=-1 oops=panic rcupdate.rcu_cpu_stall_timeout=60
[    0.112000] rcu: Hierarchical RCU implementation.
[    0.112000] rcu: \tRCU restricting CPUs from NR_CPUS=8192 to nr_cpu_ids=2.
[    0.112000] \tRCU CPU stall warnings timeout set to 90 (rcu_cpu_stall_timeout).
[    0.112000] rcu: RCU calculated value of scheduler-enlistment delay is 25 jiffies.
[    0.212000] kfence: initialized - using 2097152 bytes for 255 objects at 0x(____ptrval____)-0x(____ptrval____)
[    2.101000] RAS: Correctable Errors collector initialized.
[    6.900000] vmtest: Init done
[    8.100000] nftrace: loading out-of-tree module taints kernel.
[    8.100100] nftrace: module verification failed: signature and/or required key missing - tainting kernel
[    8.250000] nftrace: v1 hook=PRE_ROUTING pf=ipv4 ns=4026531833 cookie=1 dev=ens160 in=ens160 out=- proto=tcp \
src=10.10.10.3:38478 dst=10.10.10.2:8081 flags=S len=60 skb=5f3a9c10 mark=0x0 verdict=accept rule=-
[    9.300000] br0: port 1(veth0) entered forwarding state";

    /// One line of each kind, as 7.x kernels and older ones print it.
    const BAD: &[(&str, &str)] = &[
        ("WARNING", "WARNING: CPU: 1 PID: 412 at net/netfilter/core.c:611 __nf_unregister_net_hook+0x1a/0x2b0"),
        ("WARNING", "WARNING: net/core/skbuff.c:1119 at skb_release_head_state+0x8c/0xa0, CPU#0: curl/412"),
        ("WARNING", "WARNING: possible recursive locking detected"),
        ("BUG", "BUG: kernel NULL pointer dereference, address: 0000000000000010"),
        ("BUG", "BUG: unable to handle page fault for address: ffffffffc0a51000"),
        ("BUG", "BUG: sleeping function called from invalid context at include/linux/sched/mm.h:321"),
        ("BUG", "kernel BUG at net/core/skbuff.c:212!"),
        ("Oops", "Oops: 0002 [#1] SMP NOPTI"),
        ("Oops", "Oops: general protection fault, probably for non-canonical address 0xdead000000000122: 0000 [#1] SMP"),
        ("Oops", "general protection fault: 0000 [#1] SMP PTI"),
        ("KASAN", "BUG: KASAN: slab-use-after-free in nf_hook_slow+0x1f0/0x2a0"),
        ("KFENCE", "KFENCE: use-after-free read in nf_hook_slow+0x40/0xe0"),
        ("UBSAN", "UBSAN: array-index-out-of-bounds in net/ipv4/ip_input.c:12:3"),
        ("panic", "Kernel panic - not syncing: sysrq triggered crash"),
        ("Rust panic", "rust_kernel: panicked at nftrace.rs:12:9:"),
        ("RCU stall", "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:"),
        ("RCU stall", "rcu: INFO: rcu_preempt self-detected stall on CPU"),
        ("RCU stall", "rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 1-.... }"),
        ("RCU stall", "rcu: rcu_preempt kthread starved for 5252 jiffies! g1 f0x0 RCU_GP_WAIT_FQS(5)"),
        ("soft lockup", "watchdog: soft lockup - CPU#0 stuck for 26s! [insmod:401]"),
        ("BUG", "watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [insmod:401]"),
        ("hard lockup", "watchdog: CPU0: Watchdog detected hard LOCKUP on cpu 0"),
        ("hung task", "INFO: task rmmod:512 blocked for more than 120 seconds."),
        ("hung task", "INFO: task rmmod:512 blocked in I/O wait for more than 120 seconds."),
        ("leaked device", "unregister_netdevice: waiting for eth0 to become free. Usage count = 2"),
        ("out of memory", "Out of memory: Killed process 331 (curl) total-vm:12kB"),
    ];

    #[test]
    fn a_good_log_passes() {
        assert_eq!(inspect(GOOD.lines()), None);
    }

    #[test]
    fn every_kind_of_fault_is_found_in_a_log_that_is_otherwise_good() {
        for (what, text) in BAD {
            let line = format!("[   12.345678] {text}");
            let fault = inspect(GOOD.lines().chain([line.as_str()]).chain(GOOD.lines()));
            let fault = fault.unwrap_or_else(|| panic!("not found: {line}"));
            assert_eq!((fault.what, fault.line), (*what, line));
        }
    }

    #[test]
    fn the_first_of_several_faults_is_the_one_reported() {
        let log = [
            "[    1.0] WARNING: one",
            "[    1.1] Kernel panic - not syncing: two",
        ];
        assert_eq!(inspect(log).map(|fault| fault.what), Some("WARNING"));
    }

    #[test]
    fn a_module_of_our_own_is_no_taint_but_a_warning_is() {
        assert_eq!(inspect_taint("0\n"), None);
        assert_eq!(inspect_taint("12288\n"), None);
        assert_eq!(
            inspect_taint("12800\n").map(|fault| fault.what),
            Some("WARNING")
        );
        assert_eq!(inspect_taint("128").map(|fault| fault.what), Some("Oops"));
    }

    #[test]
    fn a_message_is_a_line_without_its_time() {
        assert_eq!(
            message("[    8.100000] nftrace: v1 src=[fd00::2]:1 x"),
            "nftrace: v1 src=[fd00::2]:1 x"
        );
        assert_eq!(message("no time"), "no time");
    }
}
