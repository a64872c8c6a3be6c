// SPDX-License-Identifier: GPL-2.0

//! Names on machines that are folders, with engines that are threads.

mod fake;
mod fixture;

use nftrace_journeys::{Names as _, NamespaceId};

use self::fake::{inspected, listed, serve, version, Framing};
use self::fixture::{Machine, HOST};
use super::resolve::ResolveError;
use super::{Kind, Names};

const A: u32 = 4_026_532_001;
const B: u32 = 4_026_532_002;
const C: u32 = 4_026_532_003;

fn id(letter: char) -> String {
    letter.to_string().repeat(64)
}

fn name(names: &Names, inode: u32) -> Option<String> {
    let cookie = u64::from(inode - HOST) + 7;
    names.name(&NamespaceId::Cookie { cookie, inode })
}

fn list(containers: &[String]) -> (&'static str, String) {
    (
        "/containers/json?all=true",
        format!("[{}]", containers.join(",")),
    )
}

/// Docker: `web` with a network of its own, `proxy` in the host's, `old` that does not run.
fn docker(machine: &Machine, framing: Framing) {
    machine.process(200, "nginx", A, &format!("/docker/{}", id('a')));
    machine.process(201, "envoy", HOST, &format!("/docker/{}", id('b')));
    serve(
        &machine.docker(),
        framing,
        &[
            ("/version", version("Engine")),
            list(&[
                listed(&id('a'), "web", "running"),
                listed(&id('b'), "proxy", "running"),
                listed(&id('c'), "old", "exited"),
            ]),
            (
                &format!("/containers/{}/json", id('a')),
                inspected(200, "bridge"),
            ),
            (
                &format!("/containers/{}/json", id('b')),
                inspected(201, "host"),
            ),
        ],
    );
}

fn podman(machine: &Machine, containers: &[(char, &str, u32, u32)]) {
    let mut answers = vec![("/version".to_owned(), version("Podman Engine"))];
    let mut all = Vec::new();
    for &(letter, name, pid, inode) in containers {
        let id = id(letter);
        machine.process(
            pid,
            name,
            inode,
            &format!("/machine.slice/libpod-{id}.scope/container"),
        );
        all.push(listed(&id, name, "running"));
        answers.push((format!("/containers/{id}/json"), inspected(pid, "bridge")));
    }
    let (path, body) = list(&all);
    answers.push((path.to_owned(), body));
    let answers: Vec<(&str, String)> = answers
        .iter()
        .map(|(path, body)| (path.as_str(), body.clone()))
        .collect();
    serve(&machine.podman(), Framing::Chunked, &answers);
}

#[test]
fn containers_have_their_engines_names_however_it_sends_them() {
    for framing in [Framing::Length, Framing::Chunked] {
        let machine = Machine::new();
        docker(&machine, framing);
        let names = machine.names();
        assert_eq!(names.unseen, [""; 0]);
        assert_eq!(name(&names, A).as_deref(), Some("web"));
        assert_eq!(name(&names, HOST).as_deref(), Some("host"));
        assert_eq!(names.namespaces.len(), 2);
        let web = names.resolve("container:web").unwrap();
        assert_eq!((web.kind(), web.inode), (Some(Kind::Docker), A));
        assert_eq!(names.resolve_process("docker:web").unwrap().1, Some(200));
    }
}

#[test]
fn a_container_in_the_hosts_network_is_found_by_its_name_and_is_not_the_hosts() {
    let machine = Machine::new();
    docker(&machine, Framing::Length);
    let names = machine.names();
    assert_eq!(names.resolve("container:proxy").unwrap().inode, HOST);
    assert_eq!(
        names.resolve_process("container:proxy").unwrap().1,
        Some(201)
    );
    assert_eq!(name(&names, HOST).as_deref(), Some("host"));
}

#[test]
fn a_namespace_that_nobody_named_has_no_name() {
    let machine = Machine::new();
    machine.process(300, "sleep", A, "/user.slice/user-0.slice/session-1.scope");
    let names = machine.names();
    assert_eq!(
        names.lookup(None, Some(A)).unwrap().processes[0].comm,
        "sleep"
    );
    assert_eq!(name(&names, A), None);
    assert_eq!(name(&names, B), None);
    assert_eq!(names.name(&NamespaceId::Pointer(0xffff)), None);
}

#[test]
fn the_names_of_dead_containers_are_remembered_as_of_the_dead() {
    let machine = Machine::new();
    docker(&machine, Framing::Length);
    machine.names();
    machine.end(200);
    std::fs::remove_file(machine.docker()).unwrap();
    let names = machine.names();
    assert_eq!(name(&names, A).as_deref(), Some("web (gone)"));
    assert!(names.resolve("web").unwrap().gone);

    // Another gets its inode number, but not its cookie.
    machine.process(400, "other", A, "/");
    let reused = NamespaceId::Cookie {
        cookie: 9999,
        inode: A,
    };
    assert_eq!(machine.names().name(&reused), None);
}

#[test]
fn a_container_whose_engine_does_not_answer_is_not_said_to_be_gone() {
    let machine = Machine::new();
    // As Podman runs it for a user: no control group tells of it.
    podman(&machine, &[('d', "web", 500, A)]);
    machine.write("proc/500/cgroup", "0::/user.slice\n");
    assert_eq!(name(&machine.names(), A).as_deref(), Some("web"));
    std::fs::remove_file(machine.podman()).unwrap();
    drop(std::os::unix::net::UnixListener::bind(machine.podman()).unwrap());
    let names = machine.names();
    assert_eq!(name(&names, A).as_deref(), Some("web"));
    assert_eq!(names.unseen.len(), 1, "{:?}", names.unseen);
}

#[test]
fn what_is_remembered_of_another_boot_is_not_used() {
    let machine = Machine::new();
    docker(&machine, Framing::Length);
    machine.names();
    machine.end(200);
    std::fs::remove_file(machine.docker()).unwrap();
    machine.write("proc/sys/kernel/random/boot_id", "boot-2\n");
    assert_eq!(name(&machine.names(), A), None);
}

#[test]
fn a_restarted_container_is_meant_by_its_name_and_not_the_dead_one() {
    let machine = Machine::new();
    machine.netns("blue", A);
    machine.names();
    std::fs::remove_file(machine.path("run/netns/blue")).unwrap();
    machine.netns("blue", B);
    let names = machine.names();
    assert_eq!(names.resolve("blue").unwrap().inode, B);
    assert_eq!(name(&names, A).as_deref(), Some("blue (gone)"));
    assert_eq!(name(&names, B).as_deref(), Some("blue"));
}

#[test]
fn a_name_of_two_engines_is_shown_with_the_engine_and_has_to_be_asked_so() {
    let machine = Machine::new();
    docker(&machine, Framing::Length);
    podman(&machine, &[('d', "web", 500, B)]);
    let names = machine.names();
    assert_eq!(name(&names, A).as_deref(), Some("docker:web"));
    assert_eq!(name(&names, B).as_deref(), Some("podman:web"));
    assert_eq!(names.resolve("podman:web").unwrap().inode, B);
    let error = names.resolve("container:web").unwrap_err();
    assert_eq!(
        error.to_string(),
        "'container:web' may mean docker:web or podman:web: say which"
    );
}

#[test]
fn the_start_of_an_id_is_enough_where_it_is_one_containers() {
    let machine = Machine::new();
    podman(&machine, &[('d', "one", 500, A), ('e', "two", 501, B)]);
    let names = machine.names();
    assert_eq!(names.resolve("container:eee").unwrap().inode, B);
    assert_eq!(names.resolve(&id('d')).unwrap().inode, A);
    assert!(matches!(
        names.resolve("ee"),
        Err(ResolveError::Unknown { .. })
    ));
}

#[test]
fn an_unknown_container_is_answered_with_names_that_are_near() {
    let machine = Machine::new();
    podman(
        &machine,
        &[('d', "shop-web-1", 500, A), ('e', "cache", 501, B)],
    );
    let names = machine.names();
    let said = |spec: &str| names.resolve(spec).unwrap_err().to_string();
    assert_eq!(
        said("container:cahce"),
        "unknown container 'cahce': did you mean cache? ('nftrace ns' lists what there is)"
    );
    assert!(
        said("web").contains("did you mean shop-web-1?"),
        "{}",
        said("web")
    );
    assert_eq!(
        said("nothing-like-it"),
        "unknown namespace 'nothing-like-it'; 'nftrace ns' lists what there is"
    );
}

#[test]
fn a_container_that_does_not_run_is_told_from_one_that_is_not_there() {
    let machine = Machine::new();
    docker(&machine, Framing::Length);
    let error = machine.names().resolve("container:old").unwrap_err();
    assert_eq!(
        error.to_string(),
        "container 'old' does not run, so it has no namespace: start it first"
    );
}

#[test]
fn an_engine_that_does_not_answer_is_said_and_its_files_tell_the_names() {
    let machine = Machine::new();
    let a = id('a');
    machine.process(200, "nginx", A, &format!("/system.slice/docker-{a}.scope"));
    machine.process(
        300,
        "app",
        B,
        &format!("/machine.slice/libpod-{}.scope", id('b')),
    );
    machine.write(
        &format!("var/lib/docker/containers/{a}/config.v2.json"),
        r#"{"Name":"/web"}"#,
    );
    machine.write(
        "var/lib/containers/storage/overlay-containers/containers.json",
        &format!(r#"[{{"id":"{}","names":["pod-app"]}}]"#, id('b')),
    );
    // A socket of which nobody takes calls.
    drop(std::os::unix::net::UnixListener::bind(machine.docker()).unwrap());
    let names = machine.names();
    assert_eq!(name(&names, A).as_deref(), Some("web"));
    assert_eq!(name(&names, B).as_deref(), Some("pod-app"));
    assert_eq!(names.unseen.len(), 1);
    assert!(
        names.unseen[0].starts_with("Docker could not be asked"),
        "{:?}",
        names.unseen
    );
}

#[test]
fn a_pod_and_its_containers_are_named_from_containerds_bundles() {
    let machine = Machine::new();
    let annotations = |kind: &str, name: &str| {
        format!(
            r#"{{"annotations":{{"io.kubernetes.cri.container-type":"{kind}",
                "io.kubernetes.cri.sandbox-name":"shop-1","io.kubernetes.cri.sandbox-namespace":"prod",
                "io.kubernetes.cri.container-name":"{name}"}}}}"#
        )
    };
    let parts = [
        (200, "pause", 'a', "sandbox"),
        (201, "nginx", 'b', "container"),
    ];
    for (pid, comm, letter, kind) in parts {
        let id = id(letter);
        machine.process(
            pid,
            comm,
            A,
            &format!("/kubepods.slice/cri-containerd-{id}.scope"),
        );
        machine.write(
            &format!("run/containerd/io.containerd.runtime.v2.task/k8s.io/{id}/config.json"),
            &annotations(kind, comm),
        );
    }
    let names = machine.names();
    assert_eq!(name(&names, A).as_deref(), Some("prod/shop-1"));
    assert_eq!(
        names
            .resolve_process("container:prod/shop-1/nginx")
            .unwrap()
            .1,
        Some(201)
    );
    assert_eq!(names.resolve("pod:prod/shop-1").unwrap().inode, A);
}

#[test]
fn a_container_that_containerd_runs_under_a_name_of_its_users_choice_goes_by_it() {
    let machine = Machine::new();
    let bundle = "run/containerd/io.containerd.runtime.v2.task";
    let named = "a-name-longer-than-an-id-is-shown";
    for (pid, name, inode, folder) in [
        (200, named, A, "default"),
        (201, "db", B, "default"),
        (202, "db", C, "k8s.io"),
    ] {
        machine.process(pid, "httpd", inode, &format!("/{folder}/{name}"));
        machine.write(
            &format!("{bundle}/{folder}/{name}/init.pid"),
            &pid.to_string(),
        );
    }
    // It ended when nobody looked, and another has its number.
    machine.process(203, "sshd", HOST, "/system.slice/ssh.service");
    machine.write(&format!("{bundle}/default/old/init.pid"), "203");
    let names = machine.names();
    assert_eq!(name(&names, A).as_deref(), Some(named));
    let (found, pid) = names
        .resolve_process(&format!("containerd:{named}"))
        .unwrap();
    assert_eq!((found.inode, pid), (A, Some(200)));
    // The same in two of its namespaces, which know nothing of each other.
    assert!(name(&names, B).unwrap().starts_with("containerd:db["));
    assert!(name(&names, C).unwrap().starts_with("containerd:db["));
    assert!(names.resolve("old").is_err());
}

#[test]
fn a_unit_names_a_namespace_only_if_all_of_it_is_there() {
    let machine = Machine::new();
    machine.process(100, "sshd", HOST, "/system.slice/ssh.service");
    machine.process(101, "ip", A, "/system.slice/ssh.service");
    machine.process(102, "private", B, "/system.slice/private.service");
    machine.process(
        103,
        "systemd",
        C,
        "/machine.slice/systemd-nspawn@deb.service/payload",
    );
    let names = machine.names();
    assert_eq!(name(&names, A), None);
    assert_eq!(name(&names, B).as_deref(), Some("private.service"));
    assert_eq!(name(&names, C).as_deref(), Some("deb"));
    assert_eq!(names.resolve("unit:private").unwrap().inode, B);
}

#[test]
fn a_process_number_of_another_machine_is_not_believed() {
    let machine = Machine::new();
    docker(&machine, Framing::Length);
    // 200 belongs to somebody else here.
    machine.end(200);
    machine.process(200, "other", B, &format!("/docker/{}", id('f')));
    let names = machine.names();
    assert_ne!(name(&names, B).as_deref(), Some("web"));
    assert!(names.unseen[0].contains("docker:web"), "{:?}", names.unseen);
}

#[test]
fn numbers_mean_inodes_and_cookies() {
    let machine = Machine::new();
    machine.netns("blue", A);
    let names = machine.names();
    let cookie = u64::from(A - HOST) + 7;
    for spec in [
        A.to_string(),
        cookie.to_string(),
        format!("inode:{A}"),
        format!("cookie:{cookie}"),
        "netns:blue".to_owned(),
    ] {
        assert_eq!(
            names.resolve(&spec).map(|found| found.inode),
            Ok(A),
            "{spec}"
        );
    }
    assert!(names.resolve("cookie:1").is_err());
    assert!(names
        .resolve("pid:many")
        .unwrap_err()
        .to_string()
        .contains("not a number"));
    let absent = names.resolve("pid:4194305").unwrap_err();
    assert_eq!(absent.to_string(), "there is no process 4194305");
}

#[test]
fn a_snapshot_reads_back_as_it_was_written() {
    let machine = Machine::new();
    docker(&machine, Framing::Length);
    let names = machine.names();
    let text = serde_json::to_string(&names).unwrap();
    let again: Names = serde_json::from_str(&text).unwrap();
    assert_eq!(again.namespaces, names.namespaces);
    assert_eq!(name(&again, A).as_deref(), Some("web"));
}
