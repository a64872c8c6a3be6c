// SPDX-License-Identifier: GPL-2.0

//! What nftrace needs of the kernel, and whether it is there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nftrace_device::{Device, DEFAULT_PATH};

use super::finding::{Finding, Severity};

const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_ADMIN: u32 = 21;

/// All there is to say of the system.
pub(super) fn findings(root: &Path) -> Vec<Finding> {
    let release = read(&root.join("proc/sys/kernel/osrelease")).unwrap_or_default();
    let loaded = root.join("sys/module/nftrace").exists();
    let mut findings = vec![kernel(root, &release), module(root, loaded)];
    if loaded {
        findings.push(device());
    } else {
        findings.extend(refusals(root));
    }
    findings.extend(capabilities(
        &read(&root.join("proc/self/status")).unwrap_or_default(),
    ));
    findings
}

fn read(path: &Path) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

fn kernel(root: &Path, release: &str) -> Finding {
    let Some((config, file)) = config(root, release) else {
        return Finding::new(
            Severity::Note,
            "kernel",
            format!("kernel {release}: its configuration is nowhere to be read"),
        )
        .meaning("whether it can have modules in Rust is not known");
    };
    let yes = |option: &str| config.lines().any(|line| line == format!("{option}=y"));
    if !yes("CONFIG_RUST") {
        return Finding::new(
            Severity::Problem,
            "kernel",
            format!(
                "kernel {release} has no Rust (CONFIG_RUST in {})",
                file.display()
            ),
        )
        .meaning("the nftrace module cannot be built for it, nor loaded")
        .remedy("boot a kernel with CONFIG_RUST=y, as Debian's from 7.2 on");
    }
    Finding::new(
        Severity::Ok,
        "kernel",
        format!(
            "kernel {release} has Rust (CONFIG_RUST=y in {})",
            file.display()
        ),
    )
}

/// The kernel's configuration, where somebody left it.
fn config(root: &Path, release: &str) -> Option<(String, PathBuf)> {
    let packed = Path::new("proc/config.gz");
    if root.join(packed).exists() {
        let unpacked = Command::new("gzip")
            .arg("-dc")
            .arg(root.join(packed))
            .output()
            .ok();
        if let Some(output) = unpacked.filter(|output| output.status.success()) {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            return Some((text, Path::new("/").join(packed)));
        }
    }
    [
        format!("boot/config-{release}"),
        format!("usr/lib/modules/{release}/config"),
        format!("lib/modules/{release}/config"),
        format!("lib/modules/{release}/build/.config"),
    ]
    .iter()
    .find_map(|file| Some((read(&root.join(file))?, Path::new("/").join(file))))
}

fn module(root: &Path, loaded: bool) -> Finding {
    if !loaded {
        return Finding::new(
            Severity::Problem,
            "module",
            "the nftrace module is not loaded",
        )
        .meaning("nothing is traced")
        .remedy("insmod nftrace.ko, built for the running kernel ('make' in nftrace's sources)");
    }
    let parameter = |name: &str| {
        let file = root.join("sys/module/nftrace/parameters").join(name);
        read(&file).filter(|value| !value.is_empty())
    };
    let bridge = match parameter("bridge").as_deref() {
        Some("1" | "Y") => ", with the bridge family's hooks",
        _ => "",
    };
    let version = read(&root.join("sys/module/nftrace/version"));
    let version = version.map_or_else(String::new, |version| format!(" {version}"));
    Finding::new(
        Severity::Ok,
        "module",
        format!("the nftrace module{version} is loaded{bridge}"),
    )
}

fn device() -> Finding {
    match Device::open(Path::new(DEFAULT_PATH)) {
        Ok(device) => Finding::new(
            Severity::Ok,
            "device",
            format!(
                "{DEFAULT_PATH} is there; module and command are both {}",
                device.version()
            ),
        ),
        Err(error) => Finding::new(Severity::Problem, "device", error.to_string())
            .meaning("records can be read from the kernel's log only"),
    }
}

/// What may keep an unsigned module from being loaded.
fn refusals(root: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    let lockdown = read(&root.join("sys/kernel/security/lockdown")).unwrap_or_default();
    let mode = lockdown.split(['[', ']']).nth(1).unwrap_or("none");
    if mode != "none" {
        findings.push(
            Finding::new(
                Severity::Problem,
                "lockdown",
                format!("the kernel is locked down ({mode})"),
            )
            .meaning("it loads signed modules only, and nftrace.ko is not signed")
            .remedy("sign the module with a key that this machine trusts (mokutil), or switch Secure Boot off"),
        );
    } else if enforces_signatures(root) {
        findings.push(
            Finding::new(
                Severity::Problem,
                "signatures",
                "the kernel loads signed modules only",
            )
            .meaning("nftrace.ko is not signed (module.sig_enforce)")
            .remedy("sign the module with a key that this machine trusts"),
        );
    }
    if secure_boot(root) && mode == "none" {
        findings.push(
            Finding::new(Severity::Note, "secure-boot", "Secure Boot is on")
                .meaning("many kernels then refuse modules that are not signed"),
        );
    }
    findings
}

fn enforces_signatures(root: &Path) -> bool {
    read(&root.join("sys/module/module/parameters/sig_enforce")).as_deref() == Some("Y")
}

/// Four bytes of attributes, then the value.
fn secure_boot(root: &Path) -> bool {
    let variable = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
    fs::read(root.join(variable)).is_ok_and(|bytes| bytes.get(4) == Some(&1))
}

fn capabilities(status: &str) -> Option<Finding> {
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    let effective = u64::from_str_radix(effective.trim(), 16).ok()?;
    let missing: Vec<&str> = [
        (CAP_NET_ADMIN, "CAP_NET_ADMIN"),
        (CAP_SYS_ADMIN, "CAP_SYS_ADMIN"),
    ]
    .into_iter()
    .filter(|(number, _)| effective & (1 << number) == 0)
    .map(|(_, name)| name)
    .collect();
    (!missing.is_empty()).then(|| {
        Finding::new(
            Severity::Warning,
            "capabilities",
            format!("this user lacks {}", missing.join(" and ")),
        )
        .meaning("not all namespaces can be entered, and hooks and records not be read")
        .remedy("run as root")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        root
    }

    fn subjects(findings: &[Finding], severity: Severity) -> Vec<&str> {
        let of = findings
            .iter()
            .filter(|finding| finding.severity == severity);
        of.map(|finding| finding.subject).collect()
    }

    #[test]
    fn a_kernel_without_rust_and_module_is_two_problems() {
        let root = tree(&[
            ("proc/sys/kernel/osrelease", b"6.12.1\n"),
            ("boot/config-6.12.1", b"# CONFIG_RUST is not set\n"),
            ("proc/self/status", b"CapEff:\t000001ffffffffff\n"),
        ]);
        let findings = findings(root.path());
        assert_eq!(subjects(&findings, Severity::Problem), ["kernel", "module"]);
        assert!(findings[0].found.contains("6.12.1"), "{findings:?}");
        assert!(findings
            .iter()
            .all(|f| f.severity == Severity::Ok || f.meaning.is_some()));
    }

    #[test]
    fn a_locked_kernel_is_told_before_somebody_tries() {
        let root = tree(&[
            ("proc/sys/kernel/osrelease", b"7.3.4\n"),
            ("boot/config-7.3.4", b"CONFIG_RUST=y\n"),
            (
                "sys/kernel/security/lockdown",
                b"none [integrity] confidentiality\n",
            ),
        ]);
        let findings = findings(root.path());
        assert_eq!(
            subjects(&findings, Severity::Problem),
            ["module", "lockdown"]
        );
        assert_eq!(subjects(&findings, Severity::Ok), ["kernel"]);
    }

    #[test]
    fn secure_boot_is_the_fifth_byte() {
        let variable = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
        assert!(secure_boot(tree(&[(variable, &[6, 0, 0, 0, 1])]).path()));
        assert!(!secure_boot(tree(&[(variable, &[6, 0, 0, 0, 0])]).path()));
    }

    #[test]
    fn a_user_without_rights_is_told_which() {
        let finding = capabilities("Name:\tx\nCapEff:\t0000000000001000\n").unwrap();
        assert_eq!(finding.found, "this user lacks CAP_SYS_ADMIN");
        assert_eq!(capabilities("CapEff:\t000001ffffffffff\n"), None);
    }
}
