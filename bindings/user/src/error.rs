// SPDX-License-Identifier: GPL-2.0

//! What can go wrong with the device, each with what to do about it.

use std::path::{Path, PathBuf};

use nftrace_core::abi::ABI;
use nftrace_core::policy::dynamic::{MAX_BYTES, MAX_RANGES};
use nftrace_core::policy::Refusal;
use rustix::io::Errno;

/// What can go wrong with the device.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such device.
    #[error("{}: the nftrace module is not loaded; load it: insmod nftrace.ko", path.display())]
    NotLoaded {
        /// Where the device should be.
        path: PathBuf,
    },
    /// The user may not use it.
    #[error(
        "{}: permission denied: reading and controlling the trace needs CAP_NET_ADMIN in the \
         initial user namespace; run it as root of the host", path.display()
    )]
    Permission {
        /// Where the device is.
        path: PathBuf,
    },
    /// The file is something else.
    #[error("{}: this is not the device of the nftrace module", path.display())]
    NotTheDevice {
        /// What was opened.
        path: PathBuf,
    },
    /// Module and command are of different versions.
    #[error(
        "the loaded module speaks version {module} of the interface and this command version {ABI}; \
         unload the module (rmmod nftrace) and load the one that this command was built with"
    )]
    Abi {
        /// The module's version.
        module: u32,
    },
    /// The version is the same and yet a frame has another size.
    #[error(
        "the loaded module's frames have {module} bytes and this command's {command}, though both say \
         version {ABI} of the interface; build the module and the command from the same sources"
    )]
    FrameSize {
        /// Bytes of the module's frames.
        module: u32,
        /// Bytes of the command's.
        command: usize,
    },
    /// The module found the filter to be broken.
    #[error(
        "the module refused the filter; the kernel log says why: dmesg | grep nftrace: | tail"
    )]
    FilterRefused,
    /// The filter has more bytes than the module takes.
    #[error(
        "the filter is too large for the module; use fewer conditions, or a shorter expression"
    )]
    FilterTooLarge,
    /// The module found the compiled policy not to be sound.
    #[error(
        "the module refused the policy{}; the old one stays in force; report this",
        reason(refusal)
    )]
    PolicyRefused {
        /// Why.
        refusal: Option<Refusal>,
    },
    /// The policy has more bytes than the module takes.
    #[error("the policy is too large for the module: compiled it may have 64 MiB; the old one stays in force")]
    PolicyTooLarge,
    /// Some packet would cost more steps than the module allows.
    #[error("a packet could cost {bound} steps with this policy, more than the module allows; the old one stays in force. Rules that differ in nothing but devices, marks, sockets or connections are asked one by one: join them with sets, or raise the module's parameter max_bound")]
    PolicyTooSlow {
        /// How many.
        bound: u32,
    },
    /// The kernel has not so much memory.
    #[error("the kernel has no memory for the policy; the old one stays in force")]
    PolicyNoMemory,
    /// Something is missing that the policy's rules need.
    #[error(
        "the policy needs {missing} of the kernel, which cannot be loaded; see 'modprobe' and the \
         kernel's configuration; the old policy stays in force"
    )]
    PolicyNeeds {
        /// What is missing: names of kernel modules.
        missing: String,
    },
    /// The hooks of the bridge family are not there.
    #[error(
        "the policy has rules for bridges, but the module was loaded without their hooks; load it \
         with: insmod nftrace.ko bridge=1; the old policy stays in force"
    )]
    PolicyNeedsBridge,
    /// Another policy is on trial.
    #[error(
        "another policy is on trial: end that first, with 'nftrace confirm' or 'nftrace rollback'"
    )]
    PolicyOnTrial,
    /// The policy in force is not the one that was expected.
    #[error(
        "somebody else has changed the policy meanwhile; nothing was done: look at 'nftrace history', \
         and try again"
    )]
    PolicyStale,
    /// No policy is in force.
    #[error("no policy is in force; 'nftrace load FILE' loads one")]
    NoPolicy,
    /// The policy in force has no dynamic set of that name.
    #[error("the policy in force has no dynamic set '{name}'; 'nftrace set list' shows those that it has")]
    NoSet {
        /// Which one was asked for.
        name: String,
    },
    /// More elements at once than the module takes.
    #[error(
        "these are too many: a dynamic set has at most {MAX_RANGES} ranges; nothing was changed"
    )]
    SetTooMany,
    /// The set would have more elements than the module allows.
    #[error("{}; nothing was changed", full(name, *all))]
    SetFull {
        /// The set.
        name: String,
        /// All sets of the policy together are meant.
        all: bool,
    },
    /// The kernel has not so much memory.
    #[error("the kernel has no memory for the set; nothing was changed")]
    SetNoMemory,
    /// There is no such generation.
    #[error("{}", no_generation(*generation))]
    NoGeneration {
        /// Which one was asked for; none for whichever there is.
        generation: Option<u32>,
    },
    /// A read ended inside a frame.
    #[error(
        "the module handed over {bytes} bytes, which are no whole number of frames; report this"
    )]
    Partial {
        /// How many bytes came.
        bytes: usize,
    },
    /// The module describes rings that cannot be.
    #[error("the module describes its rings in a way that cannot be; report this")]
    Rings,
    /// Anything else that the kernel said.
    #[error("{action}: {errno}")]
    Kernel {
        /// What was tried.
        action: &'static str,
        /// What the kernel answered. (Not as `source`: who prints the chain would print it twice.)
        errno: Errno,
    },
}

fn reason(refusal: &Option<Refusal>) -> String {
    refusal
        .as_ref()
        .map_or_else(String::new, |refusal| format!(": {refusal}"))
}

fn full(name: &str, all: bool) -> String {
    if all {
        let most = MAX_BYTES >> 20;
        format!("all dynamic sets together would take more than {most} MiB of the kernel's memory")
    } else {
        format!("the set '{name}' would have more than {MAX_RANGES} ranges")
    }
}

fn no_generation(generation: Option<u32>) -> String {
    match generation {
        Some(generation) => format!(
            "generation {generation} is not there, or not on trial; 'nftrace history' shows which \
             there are"
        ),
        None => {
            "there is nothing to restore or to confirm; 'nftrace history' shows what was".to_owned()
        }
    }
}

/// What may fail with an [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// What it means that the device at `path` could not be opened.
    pub(crate) fn of_open(path: &Path, errno: Errno) -> Self {
        let path = path.to_owned();
        match errno {
            Errno::NOENT | Errno::NODEV | Errno::NXIO => Self::NotLoaded { path },
            Errno::ACCESS | Errno::PERM => Self::Permission { path },
            Errno::ISDIR | Errno::NOTDIR => Self::NotTheDevice { path },
            errno => Self::Kernel {
                action: "opening the device",
                errno,
            },
        }
    }

    /// What it means that setting the filter failed.
    pub(crate) fn of_filter(errno: Errno) -> Self {
        match errno {
            Errno::INVAL => Self::FilterRefused,
            Errno::TOOBIG => Self::FilterTooLarge,
            errno => Self::kernel("setting the filter")(errno),
        }
    }

    pub(crate) fn kernel(action: &'static str) -> impl FnOnce(Errno) -> Self {
        move |errno| Self::Kernel { action, errno }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(errno: Errno) -> String {
        Error::of_open(Path::new("/dev/nftrace"), errno).to_string()
    }

    #[test]
    fn a_missing_module_is_said_with_how_to_load_it_whatever_the_kernel_calls_it() {
        for errno in [Errno::NOENT, Errno::NODEV, Errno::NXIO] {
            let text = message(errno);
            assert!(
                text.contains("not loaded") && text.contains("insmod nftrace.ko"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_missing_permission_is_said_with_the_capability_that_is_needed() {
        for errno in [Errno::ACCESS, Errno::PERM] {
            let text = message(errno);
            assert!(
                text.contains("/dev/nftrace") && text.contains("CAP_NET_ADMIN"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_difference_of_versions_names_both() {
        let text = Error::Abi { module: 77 }.to_string();
        assert!(
            text.contains("version 77") && text.contains(&format!("version {ABI}")),
            "{text}"
        );
    }

    #[test]
    fn a_refused_filter_and_one_that_is_too_large_are_told_apart() {
        assert!(matches!(
            Error::of_filter(Errno::INVAL),
            Error::FilterRefused
        ));
        assert!(matches!(
            Error::of_filter(Errno::TOOBIG),
            Error::FilterTooLarge
        ));
        assert!(matches!(
            Error::of_filter(Errno::NOMEM),
            Error::Kernel { .. }
        ));
    }

    #[test]
    fn what_the_kernel_answered_is_told_once() {
        let error = Error::kernel("changing the policy")(Errno::NOMEM);
        assert!(error
            .to_string()
            .starts_with("changing the policy: Cannot allocate memory"));
        assert!(std::error::Error::source(&error).is_none());
    }
}
