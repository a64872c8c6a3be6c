// SPDX-License-Identifier: GPL-2.0

//! `nftrace exec`

mod supervise;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{anyhow, bail, Context};
use rustix::process::{pidfd_open, Pid, PidfdFlags};
use rustix::thread::{
    move_into_link_name_space, move_into_thread_name_spaces, LinkNameSpaceType, ThreadNameSpaceType,
};

use self::supervise::Supervisor;
use crate::names::{identify, Names};

/// The shell's codes for a program that is there but does not start, and for one that is not.
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// Runs a program in the network namespace of a container, or in all its namespaces
///
/// The exit code is the program's: 127 when it is not found, 126 when it cannot be
/// run, 128+N when signal N ends it.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    /// Enter its mount namespace too: its files instead of the host's
    #[arg(long, conflicts_with = "netns")]
    mount: bool,
    /// Enter its UTS namespace too: its host name
    #[arg(long, conflicts_with = "netns")]
    uts: bool,
    /// Enter its IPC namespace too
    #[arg(long, conflicts_with = "netns")]
    ipc: bool,
    /// Enter its PID namespace too: its process numbers
    #[arg(long, conflicts_with = "netns")]
    pidns: bool,
    /// Enter its user namespace first, as a user must who is not root
    #[arg(long, conflicts_with = "netns")]
    user: bool,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Target {
    /// The container, by its name or the start of its id; docker:NAME where two engines have it
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
    /// A process whose namespaces to enter
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    pid: Option<i32>,
    /// A file that is a network namespace, or a namespace as `nftrace ns` names it
    #[arg(short, long, value_name = "PATH|NAME")]
    netns: Option<String>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let supervisor = Supervisor::new();
    args.enter()?;
    let (program, arguments) = args.command.split_first().expect("clap requires one");
    let mut command = Command::new(program);
    command.args(arguments);
    let error = if args.pidns {
        // Who enters a PID namespace stays outside; only its children are in.
        match supervisor.run(&mut command) {
            Ok(code) => return Ok(code),
            Err(error) => error,
        }
    } else {
        command.exec()
    };
    eprintln!("nftrace: {}: {error}", Path::new(program).display());
    Ok(ExitCode::from(match error.kind() {
        ErrorKind::NotFound => NOT_FOUND,
        _ => NOT_EXECUTABLE,
    }))
}

/// What is entered.
enum Door {
    Network(File),
    Process(OwnedFd),
}

impl Args {
    fn enter(&self) -> anyhow::Result<()> {
        let (door, what) = self.door()?;
        let result = match &door {
            Door::Network(file) => {
                move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
            }
            Door::Process(pidfd) => move_into_thread_name_spaces(pidfd.as_fd(), self.types()),
        };
        result.map_err(|errno| refused(&what, &errno.into()))
    }

    fn types(&self) -> ThreadNameSpaceType {
        let mut types = ThreadNameSpaceType::NETWORK;
        types.set(ThreadNameSpaceType::MOUNT, self.mount);
        types.set(ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME, self.uts);
        types.set(ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION, self.ipc);
        types.set(ThreadNameSpaceType::PROCESS_ID, self.pidns);
        types.set(ThreadNameSpaceType::USER, self.user);
        types
    }

    fn door(&self) -> anyhow::Result<(Door, String)> {
        if let Some(pid) = self.target.pid {
            return Ok((process(pid)?, format!("the namespaces of process {pid}")));
        }
        if let Some(name) = &self.target.container {
            let spec = if name.contains(':') {
                name.clone()
            } else {
                format!("container:{name}")
            };
            let (namespace, pid) = Names::snapshot().resolve_process(&spec)?;
            let pid = pid.and_then(|pid| i32::try_from(pid).ok());
            let Some(pid) = pid else {
                bail!("no process of container '{name}' can be seen: is it gone?");
            };
            let door = process(pid)?;
            // The process may have ended since, and its number be another's.
            let found = identify(Path::new(&format!("/proc/{pid}/ns/net")));
            if found.is_ok_and(|found| found.inode != namespace.inode) {
                bail!("container '{name}' has just ended");
            }
            return Ok((door, format!("container '{name}'")));
        }
        let spec = self.target.netns.as_deref().unwrap_or_default();
        let namespace = Names::snapshot().resolve(spec)?;
        let path = namespace.path().with_context(|| {
            if namespace.gone {
                format!("namespace '{spec}' is gone")
            } else {
                format!("namespace '{spec}' has no process and no mount to enter it by")
            }
        })?;
        let what = format!("namespace '{spec}'");
        let file = File::open(&path).map_err(|error| refused(&what, &error))?;
        Ok((Door::Network(file), what))
    }
}

fn refused(what: &str, error: &io::Error) -> anyhow::Error {
    if error.kind() == ErrorKind::PermissionDenied {
        anyhow!("cannot enter {what}: {error}; run as root, or with CAP_SYS_ADMIN")
    } else {
        anyhow!("cannot enter {what}: {error}")
    }
}

fn process(pid: i32) -> anyhow::Result<Door> {
    let number = Pid::from_raw(pid);
    let pidfd = number.map(|pid| pidfd_open(pid, PidfdFlags::empty()));
    match pidfd {
        Some(Ok(pidfd)) => Ok(Door::Process(pidfd)),
        Some(Err(rustix::io::Errno::SRCH)) | None => bail!("there is no process {pid}"),
        Some(Err(errno)) => bail!("process {pid}: {}", io::Error::from(errno)),
    }
}
