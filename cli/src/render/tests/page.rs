// SPDX-License-Identifier: GPL-2.0

use serde::Deserialize;

use super::browser::Visit;
use super::{page_of, trace, Called, DROPPED, PUBLISHED};

/// What of a page is looked at: for each connection its title, and of each way drawn
/// the texts from top to bottom.
const DRAWN: &str = "
    return [...document.querySelectorAll('section')].map((section) => ({
        title: section.querySelector('.title').textContent,
        lanes: [...section.querySelectorAll('.namespace .place')].map((lane) => lane.textContent),
        ways: [...section.querySelectorAll('.route')].map((route) => ({
            caption: route.querySelector('.caption').textContent,
            hooks: [...route.querySelectorAll('.hook')].map((hook) => hook.textContent),
            devices: [...route.querySelectorAll('.devices')].map((text) => text.firstChild.textContent.trim()),
            nat: [...route.querySelectorAll('.change')].map((nat) => [...nat.querySelectorAll('text')].map((text) => text.textContent).join(' ')),
            notes: [...route.querySelectorAll('.note, .lost')].map((note) => note.textContent),
            end: [...route.querySelectorAll('.ending text')].map((line) => line.textContent),
        })),
        packets: section.querySelectorAll('tbody tr').length,
    }));";

#[derive(Debug, Deserialize)]
struct Section {
    title: String,
    lanes: Vec<String>,
    ways: Vec<Way>,
    packets: usize,
}

#[derive(Debug, Deserialize)]
struct Way {
    caption: String,
    hooks: Vec<String>,
    devices: Vec<String>,
    nat: Vec<String>,
    notes: Vec<String>,
    end: Vec<String>,
}

fn assert_quiet(visit: &Visit) {
    assert_eq!(visit.console, [""; 0], "the page complains");
    assert_eq!(
        visit.requests, [""; 0],
        "the page asks the network for something"
    );
}

#[test]
fn a_connection_is_drawn_with_its_hooks_in_order_its_nat_and_both_ends() {
    let page = page_of(
        &trace(PUBLISHED),
        &Called(4026532298, "web"),
        "published-port.log",
    );
    let visit = Visit::new(&page, DRAWN);
    assert_quiet(&visit);
    let sections: Vec<Section> = visit.seen();
    let [section] = &sections[..] else {
        panic!("one connection: {sections:?}");
    };
    assert_eq!(
        section.title,
        "connection 1 · tcp 10.10.10.3:38478 → 10.10.10.2:8081"
    );
    assert_eq!(section.lanes, ["netns 4026532248", "host", "web"]);
    assert_eq!(section.packets, 5);
    let [request, reply] = &section.ways[..] else {
        panic!("a way there and a way back: {:?}", section.ways);
    };
    assert_eq!(request.caption, "request · 3 packets · SYN, ACK, PSH ACK");
    assert_eq!(
        request.hooks,
        [
            "LOCAL_OUT",
            "POST_ROUTING",
            "PRE_ROUTING",
            "FORWARD",
            "POST_ROUTING",
            "PRE_ROUTING",
            "LOCAL_IN"
        ]
    );
    assert_eq!(request.devices[2..4], ["ens160 →", "ens160 → br0"]);
    assert_eq!(request.nat, ["DNAT 10.10.10.2:8081 → 172.17.0.2:8080"]);
    assert_eq!(request.end, ["delivered"]);
    assert_eq!(reply.caption, "reply · 2 packets · SYN ACK, PSH ACK");
    assert_eq!(reply.hooks.len(), 7);
    assert_eq!(reply.nat, ["UN-DNAT 172.17.0.2:8080 → 10.10.10.2:8081"]);
    assert_eq!(reply.end, ["delivered"]);
}

#[test]
fn a_drop_and_a_loss_are_drawn_where_they_are() {
    let page = page_of(&trace(DROPPED), &(), "dropped.log");
    let visit = Visit::new(&page, DRAWN);
    assert_quiet(&visit);
    let sections: Vec<Section> = visit.seen();
    let ways: Vec<&Way> = sections.iter().flat_map(|section| &section.ways).collect();
    assert_eq!(
        ways[0].hooks,
        ["LOCAL_OUT", "POST_ROUTING", "PRE_ROUTING", "FORWARD"]
    );
    assert_eq!(
        ways[0].end,
        ["dropped at FORWARD", "NETFILTER_DROP", "in nft_do_chain"]
    );
    assert!(
        ways.iter()
            .any(|way| way.notes.iter().any(|note| note == "12 records lost here")),
        "{ways:?}"
    );
    assert!(page.contains("nft list ruleset"), "what to look at is said");
}

#[test]
fn a_click_on_a_station_shows_its_record_and_the_search_leaves_what_fits() {
    let page = page_of(&trace(DROPPED), &(), "dropped.log");
    let visit = Visit::new(
        &page,
        "const press = (what) => what.dispatchEvent(new MouseEvent('click', {bubbles: true}));
         press(document.querySelectorAll('.stop')[3]);
         const list = [...document.querySelectorAll('aside:not([hidden]) dl > *')].map((item) => item.textContent);
         const search = document.getElementById('search');
         const left = (text) => {
             search.value = text;
             search.dispatchEvent(new Event('input'));
             return [...document.querySelectorAll('section')].filter((section) => !section.hidden).length;
         };
         const found = [left(''), left('br1'), left('FORWARD nft_do'), left('172.17.0.3'), left('nowhere')];
         const none = document.getElementById('none').hidden;
         left('');
         press(document.getElementById('dropped'));
         return {list, found, none, dropped: left('')};",
    );
    assert_quiet(&visit);
    #[derive(Deserialize)]
    struct Seen {
        list: Vec<String>,
        found: Vec<usize>,
        none: bool,
        dropped: usize,
    }
    let seen: Seen = visit.seen();
    let value = |key: &str| {
        let at = seen.list.iter().position(|item| item == key);
        at.map_or("", |at| &seen.list[at + 1])
    };
    assert_eq!(value("addresses"), "172.17.0.2:40000 → 172.18.0.2:8080");
    assert_eq!(value("in"), "br0");
    assert_eq!(value("out"), "br1");
    assert_eq!(seen.found, [2, 1, 1, 1, 0]);
    assert!(!seen.none, "that nothing was found is said");
    assert_eq!(seen.dropped, 1);
}

#[test]
fn names_from_outside_stay_text_and_run_nothing() {
    const NAME: &str = "</script><script nonce=\"nftrace\">document.title='owned'</script><img src=http://192.0.2.1/x onerror=\"document.title='owned'\">'\"&amp;";
    const DEVICE: &str = "\"><b>x</b>'";
    let log = DROPPED.replace("br1", DEVICE);
    let page = page_of(&trace(&log), &Called(4026532298, NAME), NAME);
    let visit = Visit::new(
        &page,
        "return {
             title: document.title,
             place: document.querySelector('.namespace title').textContent,
             devices: [...document.querySelectorAll('.devices')].map((text) => text.textContent).join(' '),
             elements: [...document.querySelectorAll('script, img, b')].map((element) => element.tagName),
         };",
    );
    assert_quiet(&visit);
    #[derive(Deserialize)]
    struct Seen {
        title: String,
        place: String,
        devices: String,
        elements: Vec<String>,
    }
    let seen: Seen = visit.seen();
    assert_eq!(seen.title, format!("Journeys: {NAME}"));
    assert_eq!(seen.place, format!("{NAME} (4026532298)"));
    assert!(seen.devices.contains(DEVICE), "{}", seen.devices);
    // The data, the page's script and the one that looks.
    assert_eq!(seen.elements, ["SCRIPT"; 3]);
}

#[test]
fn the_browser_tells_of_a_page_that_complains_and_of_one_that_asks_the_network() {
    let page = "<!DOCTYPE html><body><img src=\"http://127.0.0.1:9/picture\"><script>console.error('no')</script></body>";
    let visit = Visit::new(page, "return 1;");
    assert!(
        visit.console.iter().any(|line| line.contains("no")),
        "{:?}",
        visit.console
    );
    assert!(
        visit.requests.iter().any(|url| url.contains("/picture")),
        "{:?}",
        visit.requests
    );
}

#[test]
fn of_very_much_a_page_has_the_first_and_says_so() {
    let packet = |number: usize, port: usize| {
        let lines = DROPPED.lines().filter(|line| line.contains("skb=aa00aa01"));
        let changed = lines.map(|line| {
            line.replace("skb=aa00aa01", &format!("skb={number:08x}"))
                .replace(":40000", &format!(":{port}"))
        });
        changed.collect::<Vec<_>>().join("\n") + "\n"
    };
    let connections: String = (1..=501)
        .map(|number| packet(number, 1000 + number))
        .collect();
    let page = page_of(&trace(&connections), &(), "many");
    assert!(page.contains("501 journeys · 501 connections"));
    assert!(page.contains("The first 500 of 501 connections are drawn"));
    assert_eq!(page.matches("<section").count(), 500);

    let packets: String = (1..=201).map(|number| packet(number, 40000)).collect();
    let page = page_of(&trace(&packets), &(), "many");
    assert!(page.contains("201 packets, of each way the first 200"));
    assert_eq!(page.matches("<tr tabindex").count(), 200);
}
