// SPDX-License-Identifier: GPL-2.0

//! The harness itself: a machine comes up, and each way to fail is told apart.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{kill_process, Pid, Signal};

use nftrace_tests::checkout::top;
use nftrace_tests::vm::{Failure, Reason, Vm};

fn vm(name: &str, end: &str) -> Vm {
    Vm::new(name)
        .script("tests/lab/harness.sh", &[end])
        .without_module()
        .timeout(Duration::from_secs(30))
}

/// The failure of a machine that must fail, after which no QEMU may be left.
fn failure(vm: &Vm) -> Box<Failure> {
    let failure = vm.run().expect_err("this machine must fail");
    let pid = fs::read_to_string(failure.folder.join("qemu.pid")).expect("QEMU was started");
    let process = Path::new("/proc").join(pid.trim());
    assert!(
        !process.exists(),
        "QEMU is still there: {}",
        process.display()
    );
    failure
}

#[test]
fn a_script_that_ends_well_leaves_its_output_its_files_and_a_kernel_log() {
    let report = vm("harness: well", "well")
        .env("GREETING", "it's a word with $signs")
        .run()
        .unwrap_or_else(|failure| panic!("{failure}"));
    eprintln!(
        "first command after {:?}, all over after {:?}",
        report.boot, report.total
    );
    assert!(report.stdout.contains("lo "), "{}", report.stdout);
    assert_eq!(
        report.file("greeting.txt").unwrap(),
        "it's a word with $signs\n"
    );
    assert!(report
        .messages()
        .any(|message| message.starts_with("Linux version ")));
}

#[test]
fn a_machine_that_ends_before_the_script_starts_is_started_anew() {
    let vm = vm("harness: again", "well").env("GREETING", "at last");
    let folder = top().join("target/vm/harness-again");
    // Of an earlier run: it would be another process's number by now.
    let _ = fs::remove_dir_all(&folder);
    let machine = thread::spawn(move || vm.run());
    let late = Instant::now() + Duration::from_secs(120);
    let first = loop {
        assert!(Instant::now() < late, "QEMU was not started");
        let number = fs::read_to_string(folder.join("qemu.pid")).unwrap_or_default();
        if let Some(pid) = number.trim().parse().ok().and_then(Pid::from_raw) {
            break pid;
        }
        thread::sleep(Duration::from_millis(10));
    };
    kill_process(first, Signal::KILL).expect("QEMU can be ended");
    let report = machine.join().expect("the harness does not panic");
    let report = report.unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(report.file("greeting.txt").unwrap(), "at last\n");
    let last = fs::read_to_string(folder.join("qemu.pid")).expect("QEMU was started again");
    assert_ne!(last.trim(), first.as_raw_nonzero().to_string());
}

#[test]
fn a_script_that_fails_is_reported_with_its_exit_code_and_its_last_words() {
    let failure = failure(&vm("harness: fail", "fail"));
    assert!(matches!(failure.reason, Reason::Exit(3)), "{failure}");
    assert!(failure.to_string().contains("exit code 3"), "{failure}");
    assert!(failure.to_string().contains("about to fail"), "{failure}");
}

#[test]
fn a_kernel_that_panics_is_reported_with_the_end_of_its_log() {
    let failure = failure(&vm("harness: crash", "crash"));
    assert!(matches!(failure.reason, Reason::Kernel(_)), "{failure}");
    assert!(
        failure
            .to_string()
            .contains("Kernel panic - not syncing: sysrq triggered crash"),
        "{failure}"
    );
    assert!(failure.to_string().contains("Call Trace"), "{failure}");
}

#[test]
fn a_warning_fails_a_test_whose_script_ends_well() {
    let failure = failure(&vm("harness: complain", "complain"));
    assert!(
        matches!(&failure.reason, Reason::Kernel(fault) if fault.what == "WARNING"),
        "{failure}"
    );
}

#[test]
fn a_script_that_never_ends_is_a_timeout() {
    let failure = failure(&vm("harness: sleep", "sleep").timeout(Duration::from_secs(2)));
    assert!(matches!(failure.reason, Reason::Timeout(_)), "{failure}");
}

#[test]
fn a_guest_that_does_not_answer_any_more_is_given_up_and_ended() {
    let vm = vm("harness: hang", "hang")
        .timeout(Duration::from_secs(3))
        .grace(Duration::from_secs(2));
    let failure = failure(&vm);
    assert!(matches!(failure.reason, Reason::Hung { .. }), "{failure}");
}
