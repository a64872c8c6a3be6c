// SPDX-License-Identifier: GPL-2.0

//! Keeps one policy in force, as its names are meant now.

use std::collections::{BTreeMap, BTreeSet};

use nftrace_core::policy::control::Status;
use nftrace_device::{Device, Error, Loading};
use nftrace_policy::{Blob, Document};

/// What holds policies.
pub(super) trait Kernel {
    fn status(&self) -> Result<Status, Error>;
    /// The blob in force.
    fn blob(&self) -> Result<Option<Vec<u8>>, Error>;
    /// Loads a blob if the generation in force is the expected one; its generation.
    fn load(&self, blob: &[u8], epoch: u64, expected: u32) -> Result<u32, Error>;
}

impl Kernel for Device {
    fn status(&self) -> Result<Status, Error> {
        Device::status(self)
    }

    fn blob(&self) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.policy(None)?.map(|(_, bytes)| bytes))
    }

    fn load(&self, blob: &[u8], epoch: u64, expected: u32) -> Result<u32, Error> {
        let loading = Loading {
            epoch,
            trial: None,
            expected: Some(expected),
            // It is the same policy, and what was banned stays so.
            keep_sets: true,
        };
        self.load_policy(blob, &loading)
            .map(|taken| taken.generation)
    }
}

/// A policy as its names are meant at one moment.
#[derive(Clone, Debug)]
pub(super) struct Meant {
    pub(super) blob: Blob,
    /// What names mean, as text.
    pub(super) names: BTreeMap<String, String>,
    /// Names that mean nothing now, and why.
    pub(super) absent: BTreeMap<String, String>,
    /// All namespaces, where the policy says something else of new ones.
    pub(super) namespaces: Option<BTreeSet<u64>>,
    /// The SSH connection over which we were started, if it cuts that, and how.
    pub(super) cut: Option<String>,
}

/// What names mean.
pub(super) trait World {
    /// Reads the file.
    fn read(&self) -> Result<Document, String>;
    /// What it means now.
    fn mean(&self, document: &Document) -> Result<Meant, String>;
}

/// What is in force because of us.
struct Loaded {
    generation: u32,
    blob: Blob,
    namespaces: Option<BTreeSet<u64>>,
    /// It cuts our own connection, which lives all the same.
    cuts: bool,
}

/// Keeps one policy in force.
pub(super) struct Follower<K, W> {
    kernel: K,
    world: W,
    /// Whatever it cuts.
    is_forced: bool,
    document: Document,
    loaded: Option<Loaded>,
    /// The generation that somebody else has put in the place of ours.
    overruled: Option<u32>,
    names: BTreeMap<String, String>,
    absent: BTreeMap<String, String>,
    /// What went wrong the last time: it is said once.
    trouble: Option<String>,
    /// What is to be said.
    said: Vec<String>,
}

impl<K: Kernel, W: World> Follower<K, W> {
    /// Reads the policy and puts it in force.
    ///
    /// # Errors
    ///
    /// It cannot be.
    pub(super) fn start(kernel: K, world: W, is_forced: bool) -> Result<Self, String> {
        let document = world.read()?;
        let mut follower = Self {
            kernel,
            world,
            is_forced,
            document,
            loaded: None,
            overruled: None,
            names: BTreeMap::new(),
            absent: BTreeMap::new(),
            trouble: None,
            said: Vec::new(),
        };
        follower.adopt_or_load()?;
        Ok(follower)
    }

    /// What has to be said since the last time.
    pub(super) fn said(&mut self) -> Vec<String> {
        std::mem::take(&mut self.said)
    }

    /// How things are, on one line.
    pub(super) fn status(&self) -> String {
        let generation = self.loaded.as_ref().map_or(0, |loaded| loaded.generation);
        match (self.overruled, self.absent.len()) {
            (Some(0), _) => {
                "waiting: the policy was flushed or rolled back by somebody else".to_owned()
            }
            (Some(other), _) => {
                format!("waiting: generation {other}, which is not ours, is in force")
            }
            (None, 0) => format!("generation {generation} in force"),
            (None, 1) => format!("generation {generation} in force, 1 name means nothing now"),
            (None, absent) => {
                format!("generation {generation} in force, {absent} names mean nothing now")
            }
        }
    }

    /// Reads the file again. Where it is wrong, or cannot be put in force, everything
    /// stays as it was.
    pub(super) fn reread(&mut self) {
        let document = match self.world.read() {
            Ok(document) => document,
            Err(error) => {
                self.said.push(error);
                let stays = "the file is wrong: the policy that was read before stays in force";
                self.said.push(stays.to_owned());
                return;
            }
        };
        let before = std::mem::replace(&mut self.document, document);
        if let Err(error) = self.adopt_or_load() {
            self.document = before;
            self.said.push(error);
            self.said
                .push("the policy that was read before stays".to_owned());
        }
    }

    /// Loads the policy, whatever is in force; but for what is in force as it is.
    fn adopt_or_load(&mut self) -> Result<(), String> {
        let status = self.kernel.status().map_err(|error| error.to_string())?;
        let meant = self.world.mean(&self.document)?;
        let current = self.kernel.blob().map_err(|error| error.to_string())?;
        let is_in_force = current.is_some_and(|blob| blob == meant.blob.bytes());
        if is_in_force && meant.namespaces.is_none() && status.trial == 0 {
            let generation = status.generation;
            self.said.push(format!(
                "generation {generation} is in force, and is the policy"
            ));
            self.tell(&meant);
            self.overruled = None;
            self.trouble = None;
            self.loaded = Some(Loaded {
                generation,
                blob: meant.blob,
                namespaces: None,
                cuts: meant.cut.is_some(),
            });
            return Ok(());
        }
        self.permit(&meant)?;
        self.load(&status, status.generation, meant)
            .map_err(|error| error.to_string())
    }

    fn load(&mut self, status: &Status, expected: u32, meant: Meant) -> Result<(), Error> {
        let blob = meant.blob.bytes();
        let generation = self.kernel.load(blob, status.epoch, expected)?;
        self.tell(&meant);
        self.said
            .push(format!("generation {generation} is in force"));
        self.overruled = None;
        self.trouble = None;
        self.loaded = Some(Loaded {
            generation,
            blob: meant.blob,
            namespaces: meant.namespaces,
            cuts: meant.cut.is_some(),
        });
        Ok(())
    }

    /// Refuses what cuts the connection over which we were started, if nothing that is
    /// in force because of us does so already.
    fn permit(&self, meant: &Meant) -> Result<(), String> {
        let was_cut = self.loaded.as_ref().is_some_and(|loaded| loaded.cuts);
        match &meant.cut {
            Some(cut) if !self.is_forced && !was_cut => Err(format!(
                "not loaded: this would cut the SSH connection over which the agent was started:\n  \
                 {cut}\nLet that pass, or start the agent with --force"
            )),
            _ => Ok(()),
        }
    }

    /// Loads the policy anew where its names mean something else than when it was loaded.
    pub(super) fn refresh(&mut self) {
        if let Err(error) = self.try_refresh() {
            if self.trouble.as_ref() != Some(&error) {
                let generation = self.loaded.as_ref().map_or(0, |loaded| loaded.generation);
                self.said.push(error.clone());
                self.said.push(format!(
                    "generation {generation} stays in force as it is; trying again"
                ));
                self.trouble = Some(error);
            }
        }
    }

    fn try_refresh(&mut self) -> Result<(), String> {
        // Before names are looked up: what comes later is new to the policy.
        let status = self.kernel.status().map_err(|error| error.to_string())?;
        let Some(loaded) = &self.loaded else {
            return Ok(());
        };
        if status.generation != loaded.generation {
            self.overrule(status.generation);
            return Ok(());
        }
        if self.overruled.take().is_some() {
            let ours = loaded.generation;
            self.said.push(format!(
                "generation {ours}, which is ours, is in force again"
            ));
        }
        let meant = self.world.mean(&self.document)?;
        let has_new = match (&meant.namespaces, &loaded.namespaces) {
            (Some(now), Some(known)) => !now.is_subset(known),
            _ => false,
        };
        if meant.blob == loaded.blob && !has_new {
            self.tell(&meant);
            self.trouble = None;
            return Ok(());
        }
        self.permit(&meant)?;
        let expected = loaded.generation;
        match self.load(&status, expected, meant) {
            Err(Error::PolicyStale) => {
                let now = self.kernel.status().map_err(|error| error.to_string())?;
                self.overrule(now.generation);
                Ok(())
            }
            result => result.map_err(|error| error.to_string()),
        }
    }

    /// Somebody else has changed the policy: that is theirs to do.
    fn overrule(&mut self, generation: u32) {
        if self.overruled == Some(generation) {
            return;
        }
        self.overruled = Some(generation);
        let what = match generation {
            0 => "somebody else has taken the policy out of force".to_owned(),
            other => format!("somebody else has put generation {other} in force"),
        };
        self.said.push(format!(
            "{what} ('nftrace history' shows who): names are not followed until ours is in force \
             again, or SIGHUP has the file loaded"
        ));
    }

    /// Says what names mean now and did not before.
    fn tell(&mut self, meant: &Meant) {
        for (name, means) in &meant.names {
            match self.names.get(name) {
                Some(before) if before == means => {}
                Some(before) => self.said.push(format!("{name}: {means} (was {before})")),
                None => self.said.push(format!("{name}: {means}")),
            }
        }
        for (name, why) in &meant.absent {
            if self.absent.get(name) != Some(why) {
                self.said
                    .push(format!("warning: {name} means nothing now: {why}"));
            }
        }
        self.names.clone_from(&meant.names);
        self.absent.clone_from(&meant.absent);
    }
}
