// SPDX-License-Identifier: GPL-2.0

//! KVM or not: /dev/kvm may be there and still not run our kernel, as in many
//! machines that are virtual themselves. So the real kernel is started with it once,
//! and the answer is kept in the cache for as long as nothing of it changes.

use std::env;
use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{bail, Context, Result};

use super::images::{cache, Images};

/// QEMU, by the name under which it is found.
pub(super) const QEMU: &str = "qemu-system-x86_64";

/// What guest-init prints when it is asked for `nftrace.probe`.
const READY: &str = "nftrace: probe: user space runs";

/// Seconds. A kernel that works under KVM is there after one or two.
const PATIENCE: &str = "15";

/// How the guest's instructions are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accel {
    /// By the processor.
    Kvm,
    /// By QEMU's translator.
    Tcg,
}

impl Accel {
    /// What the environment says, else what the probe found.
    pub(super) fn get(images: &Images) -> Result<Self> {
        match env::var("NFTRACE_ACCEL").as_deref() {
            Ok("kvm") => Ok(Self::Kvm),
            Ok("tcg") => Ok(Self::Tcg),
            Err(_) | Ok("") => {
                static FOUND: Mutex<Option<Accel>> = Mutex::new(None);
                let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(*found.get_or_insert_with(|| remembered(images)))
            }
            Ok(other) => bail!("NFTRACE_ACCEL={other} is unknown: use kvm or tcg"),
        }
    }

    /// The name of the accelerator for vmtest's `arch`: for any other than the
    /// host's own it leaves KVM alone, which is what makes TCG possible at all.
    pub(super) fn arch(self) -> &'static str {
        match self {
            Self::Kvm => env::consts::ARCH,
            Self::Tcg => "tcg",
        }
    }

    /// QEMU's arguments. vmtest gives its own for KVM.
    pub(super) fn args(self) -> Vec<&'static str> {
        match self {
            Self::Kvm => Vec::new(),
            Self::Tcg => vec!["-accel", "tcg,thread=multi", "-cpu", "max"],
        }
    }

    /// The same where the guest's clock shall go with what the guest does.
    pub(super) fn exact_args(self) -> Vec<&'static str> {
        match self {
            Self::Kvm => Vec::new(),
            Self::Tcg => Self::counting_args("max"),
        }
    }

    /// An emulated processor of that model: an instruction takes a nanosecond, and
    /// nobody waits for what is idle.
    pub(super) fn counting_args(cpu: &str) -> Vec<&str> {
        vec![
            "-accel",
            "tcg,thread=single",
            "-cpu",
            cpu,
            "-icount",
            "shift=0,sleep=off",
        ]
    }
}

/// The answer in the cache if it was given for this very machine, QEMU and kernel.
fn remembered(images: &Images) -> Accel {
    let file = cache().join("accel");
    let key = key(images);
    if let Ok(text) = fs::read_to_string(&file) {
        match text.split_once('\n') {
            Some(("kvm", rest)) if rest == key => return Accel::Kvm,
            Some(("tcg", rest)) if rest == key => return Accel::Tcg,
            _ => {}
        }
    }
    let accel = match probe(images) {
        Ok(()) => Accel::Kvm,
        Err(why) => {
            eprintln!("nftrace: no KVM, so machines are emulated: {why:#}");
            Accel::Tcg
        }
    };
    let name = if accel == Accel::Kvm { "kvm" } else { "tcg" };
    let part = file.with_extension(format!("{}.partial", std::process::id()));
    // A cache that cannot be written costs another probe and nothing else.
    let _ = fs::write(&part, format!("{name}\n{key}")).and_then(|()| fs::rename(&part, &file));
    accel
}

fn key(images: &Images) -> String {
    let qemu = Command::new(QEMU)
        .arg("--version")
        .output()
        .map(|output| output.stdout);
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    format!(
        "{}{}{}\n{}\nkvm {}\n",
        String::from_utf8_lossy(&qemu.unwrap_or_default()),
        fs::read_to_string("/proc/version").unwrap_or_default(),
        processor
            .lines()
            .find(|line| line.starts_with("model name"))
            .unwrap_or_default(),
        images.kernel.display(),
        File::options()
            .read(true)
            .write(true)
            .open("/dev/kvm")
            .is_ok(),
    )
}

/// Boots the kernel under KVM to its first program.
fn probe(images: &Images) -> Result<()> {
    File::options()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .context("/dev/kvm")?;
    let output = Command::new("timeout")
        .args(["--signal=KILL", PATIENCE, QEMU])
        .args([
            "-nodefaults",
            "-display",
            "none",
            "-no-reboot",
            "-enable-kvm",
            "-cpu",
            "host",
        ])
        .args(["-smp", "2", "-m", "512M", "-serial", "stdio"])
        .args(["-append", "console=ttyS0 quiet panic=-1 nftrace.probe"])
        .arg("-kernel")
        .arg(&images.kernel)
        .arg("-initrd")
        .arg(&images.initramfs)
        .stdin(Stdio::null())
        .output()
        .context(QEMU)?;
    if String::from_utf8_lossy(&output.stdout).contains(READY) {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    match errors.lines().next() {
        Some(line) => bail!("{line}"),
        None => bail!("the kernel does not reach its first program in {PATIENCE} s"),
    }
}
