// SPDX-License-Identifier: GPL-2.0

//! The agent against a kernel and a world of the test's own.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use nftrace_core::policy::control::Status;
use nftrace_device::Error;
use nftrace_policy::explain::{Meaning, Named};
use nftrace_policy::{compile, load_text, resolve, Document, Memory};

use super::follower::{Follower, Kernel, Meant, World};

/// A kernel that keeps what was loaded.
#[derive(Default)]
struct State {
    generation: u32,
    blob: Option<Vec<u8>>,
    /// How often something was loaded.
    loads: u32,
    on_trial: bool,
}

#[derive(Clone, Default)]
struct Fake(Rc<RefCell<State>>);

impl Kernel for Fake {
    fn status(&self) -> Result<Status, Error> {
        Ok(Status {
            generation: self.0.borrow().generation,
            ..Status::default()
        })
    }

    fn blob(&self) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.0.borrow().blob.clone())
    }

    fn load(&self, blob: &[u8], _: u64, expected: u32) -> Result<u32, Error> {
        let mut state = self.0.borrow_mut();
        if state.on_trial {
            return Err(Error::PolicyOnTrial);
        }
        if expected != state.generation {
            return Err(Error::PolicyStale);
        }
        state.generation += 1;
        state.loads += 1;
        state.blob = Some(blob.to_vec());
        Ok(state.generation)
    }
}

impl Fake {
    /// Somebody else loads something.
    fn overrule(&self) {
        let mut state = self.0.borrow_mut();
        state.generation += 1;
        state.blob = Some(vec![1]);
    }

    fn loads(&self) -> u32 {
        self.0.borrow().loads
    }
}

/// What the file says, and who is there.
#[derive(Default)]
struct Machine {
    text: String,
    containers: BTreeMap<String, Meaning>,
    cookies: BTreeSet<u64>,
    is_unclear: bool,
    /// To where the SSH connection goes over which the agent was started.
    ssh: Option<String>,
}

#[derive(Clone, Default)]
struct Around(Rc<RefCell<Machine>>);

impl World for Around {
    fn read(&self) -> Result<Document, String> {
        let text = self.0.borrow().text.clone();
        load_text("policy", &text, &Memory::default()).map_err(|report| report.to_string())
    }

    fn mean(&self, document: &Document) -> Result<Meant, String> {
        let machine = self.0.borrow();
        if machine.is_unclear {
            return Err("'web' may mean docker:web or podman:web: say which".to_owned());
        }
        let mut all = machine.containers.clone();
        let mut absent = BTreeMap::new();
        if !all.contains_key("web") {
            absent.insert(
                "container:web".to_owned(),
                "unknown container 'web'".to_owned(),
            );
            let nobody = Meaning {
                cookie: Some(0),
                addresses: Vec::new(),
            };
            all.insert("web".to_owned(), nobody);
        }
        let program = resolve(document, &Named::from(all)).map_err(|report| report.to_string())?;
        let names = machine.containers.get("web").map(|web| {
            let address = web.addresses[0].to_string();
            ("container:web".to_owned(), address)
        });
        // All that is dropped is what goes to the container.
        let is_cut = |ssh: &&String| names.as_ref().is_some_and(|(_, now)| now == *ssh);
        Ok(Meant {
            cut: machine.ssh.as_ref().filter(is_cut).cloned(),
            blob: compile(&program)?,
            names: names.into_iter().collect(),
            absent,
            namespaces: program.new.is_some().then(|| machine.cookies.clone()),
        })
    }
}

impl Around {
    fn with(text: &str) -> Self {
        let around = Self::default();
        around.say(text);
        around
    }

    fn say(&self, text: &str) {
        text.clone_into(&mut self.0.borrow_mut().text);
    }

    fn web_is(&self, address: Option<&str>) {
        let mut machine = self.0.borrow_mut();
        let meaning = address.map(|address| Meaning {
            cookie: Some(20),
            addresses: vec![address.parse().unwrap()],
        });
        machine.containers = meaning
            .into_iter()
            .map(|web| ("web".to_owned(), web))
            .collect();
    }
}

const POLICY: &str = "drop to container:web\ndrop in container:web\n";

fn started(around: &Around) -> (Fake, Follower<Fake, Around>) {
    let kernel = Fake::default();
    let mut follower = Follower::start(kernel.clone(), around.clone(), false).unwrap();
    follower.said();
    (kernel, follower)
}

#[test]
fn a_container_that_gets_another_address_has_the_policy_loaded_anew() {
    let around = Around::with(POLICY);
    around.web_is(Some("172.17.0.2"));
    let (kernel, mut follower) = started(&around);
    follower.refresh();
    assert_eq!((kernel.loads(), follower.said().len()), (1, 0));
    around.web_is(Some("172.17.0.3"));
    follower.refresh();
    assert_eq!(
        follower.said(),
        [
            "container:web: 172.17.0.3 (was 172.17.0.2)",
            "generation 2 is in force"
        ]
    );
    assert_eq!(follower.status(), "generation 2 in force");
}

#[test]
fn a_container_that_is_not_there_is_warned_of_once_and_held_when_it_comes() {
    let around = Around::with(POLICY);
    let kernel = Fake::default();
    let mut follower = Follower::start(kernel.clone(), around.clone(), false).unwrap();
    let said = follower.said().join("\n");
    assert!(
        said.contains("warning: container:web means nothing now: unknown"),
        "{said}"
    );
    assert_eq!(
        follower.status(),
        "generation 1 in force, 1 name means nothing now"
    );
    follower.refresh();
    assert_eq!(follower.said(), [""; 0]);
    around.web_is(Some("172.17.0.2"));
    follower.refresh();
    assert_eq!(kernel.loads(), 2);
    assert_eq!(follower.status(), "generation 2 in force");
}

#[test]
fn somebody_elses_policy_is_never_overwritten() {
    let around = Around::with(POLICY);
    around.web_is(Some("172.17.0.2"));
    let (kernel, mut follower) = started(&around);
    kernel.overrule();
    around.web_is(Some("172.17.0.3"));
    follower.refresh();
    let said = follower.said().join("\n");
    assert!(
        said.contains("somebody else has put generation 2 in force"),
        "{said}"
    );
    follower.refresh();
    assert_eq!((kernel.loads(), follower.said().len()), (1, 0));
    assert!(follower.status().starts_with("waiting"));

    // A rollback to ours goes on, with the names of now.
    kernel.0.borrow_mut().generation = 1;
    follower.refresh();
    assert_eq!(kernel.loads(), 2);
    assert!(follower.said()[0].contains("in force again"));
}

#[test]
fn a_sighup_takes_the_policy_back() {
    let around = Around::with(POLICY);
    let (kernel, mut follower) = started(&around);
    kernel.overrule();
    follower.refresh();
    follower.reread();
    assert_eq!((kernel.loads(), kernel.0.borrow().generation), (2, 3));
    assert!(follower.status().starts_with("generation 3"));
}

#[test]
fn a_file_that_is_wrong_leaves_the_policy_in_force_and_followed() {
    let around = Around::with(POLICY);
    around.web_is(Some("172.17.0.2"));
    let (kernel, mut follower) = started(&around);
    around.say("dorp to container:web\n");
    follower.reread();
    let said = follower.said().join("\n");
    assert!(
        said.contains("dorp") && said.contains("stays in force"),
        "{said}"
    );
    assert_eq!(kernel.loads(), 1);
    around.web_is(Some("172.17.0.3"));
    follower.refresh();
    assert_eq!(kernel.loads(), 2);
}

#[test]
fn names_that_cannot_be_made_out_leave_what_is_in_force() {
    let around = Around::with(POLICY);
    around.web_is(Some("172.17.0.2"));
    let (kernel, mut follower) = started(&around);
    around.0.borrow_mut().is_unclear = true;
    follower.refresh();
    let said = follower.said().join("\n");
    assert!(
        said.contains("say which") && said.contains("trying again"),
        "{said}"
    );
    follower.refresh();
    assert_eq!(
        (kernel.loads(), follower.said().len()),
        (1, 0),
        "it is said once"
    );
    around.0.borrow_mut().is_unclear = false;
    around.web_is(Some("172.17.0.3"));
    follower.refresh();
    assert_eq!(kernel.loads(), 2);
}

#[test]
fn a_trial_of_somebody_else_is_waited_for() {
    let around = Around::with(POLICY);
    around.web_is(Some("172.17.0.2"));
    let (kernel, mut follower) = started(&around);
    around.web_is(Some("172.17.0.3"));
    kernel.0.borrow_mut().on_trial = true;
    follower.refresh();
    assert!(follower.said().join("\n").contains("on trial"));
    kernel.0.borrow_mut().on_trial = false;
    follower.refresh();
    assert_eq!(kernel.loads(), 2);
}

#[test]
fn a_new_namespace_ends_to_be_new_where_the_policy_minds() {
    for (text, loads) in [("default accept-until-known in new\n", 2), (POLICY, 1)] {
        let around = Around::with(text);
        around.web_is(Some("172.17.0.2"));
        let (kernel, mut follower) = started(&around);
        around.0.borrow_mut().cookies.insert(77);
        follower.refresh();
        follower.refresh();
        assert_eq!(kernel.loads(), loads, "{text}");
        // That one goes away is no reason.
        around.0.borrow_mut().cookies.clear();
        follower.refresh();
        assert_eq!(kernel.loads(), loads, "{text}");
    }
}

#[test]
fn what_is_in_force_already_is_not_loaded_again() {
    let around = Around::with(POLICY);
    around.web_is(Some("172.17.0.2"));
    let (kernel, follower) = started(&around);
    drop(follower);
    let mut again = Follower::start(kernel.clone(), around.clone(), false).unwrap();
    assert_eq!(kernel.loads(), 1);
    around.web_is(Some("172.17.0.3"));
    again.refresh();
    assert_eq!(kernel.loads(), 2);
}

#[test]
fn a_wrong_file_at_the_start_loads_nothing() {
    let kernel = Fake::default();
    let wrong = Follower::start(kernel.clone(), Around::with("dorp\n"), false);
    assert!(wrong.err().is_some_and(|error| error.contains("dorp")));
    assert_eq!(kernel.loads(), 0);
}

#[test]
fn what_would_cut_the_connection_of_its_own_admin_is_not_loaded_unless_forced() {
    let around = Around::with(POLICY);
    around.web_is(Some("192.0.2.1"));
    around.0.borrow_mut().ssh = Some("192.0.2.1".to_owned());
    let kernel = Fake::default();
    let refused = Follower::start(kernel.clone(), around.clone(), false);
    let error = refused.err().expect("not loaded");
    assert!(
        error.contains("would cut the SSH connection") && error.contains("--force"),
        "{error}"
    );
    assert_eq!(kernel.loads(), 0);
    Follower::start(kernel.clone(), around, true).unwrap();
    assert_eq!(kernel.loads(), 1);
}

#[test]
fn a_name_that_comes_to_mean_the_admins_own_connection_leaves_the_policy_as_it_was() {
    let around = Around::with(POLICY);
    around.web_is(Some("172.17.0.2"));
    around.0.borrow_mut().ssh = Some("192.0.2.1".to_owned());
    let (kernel, mut follower) = started(&around);
    around.web_is(Some("192.0.2.1"));
    for times in [2, 0] {
        follower.refresh();
        assert_eq!(
            follower.said().len(),
            times,
            "it is said once, and what holds"
        );
    }
    follower.reread();
    assert_eq!(kernel.loads(), 1);
    around.web_is(Some("172.17.0.3"));
    follower.refresh();
    assert_eq!(kernel.loads(), 2);
}
