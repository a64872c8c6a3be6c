// SPDX-License-Identifier: GPL-2.0

use super::*;
use std::cell::Cell;
use std::sync::atomic::AtomicBool;

struct Heap(Header, Vec<Slot>);

impl Memory for Heap {
    fn header(&self) -> &Header {
        &self.0
    }
    fn slots(&self) -> &[Slot] {
        &self.1
    }
}

fn heap(slots: usize) -> Heap {
    Heap(Header::default(), (0..slots).map(|_| Slot::new()).collect())
}

fn ring(slots: usize) -> Ring<Heap> {
    Ring::new(heap(slots)).unwrap()
}

fn record(time: u64) -> Record {
    let mut record = Record::EMPTY;
    record.time = time;
    record.cookie = !time;
    record
}

fn produce(ring: &Ring<Heap>, time: u64) -> bool {
    ring.produce(|| time, record)
}

#[test]
fn records_come_out_in_the_order_in_which_they_went_in() {
    let ring = ring(4);
    let mut cursor = Cursor::newest(ring.view());
    for round in 0..10 {
        for i in 0..3 {
            assert!(produce(&ring, round * 3 + i));
        }
        for i in 0..3 {
            let frame = cursor.take(ring.view()).unwrap();
            assert_eq!(frame.record, record(round * 3 + i));
            assert_eq!((frame.position, frame.lost), (round * 3 + i, 0));
        }
        assert_eq!(cursor.next(ring.view()), Next::Empty);
    }
}

#[test]
fn a_reader_that_is_overtaken_learns_where_and_how_many_records_it_lost() {
    let ring = ring(4);
    let mut slow = Cursor::newest(ring.view());
    let mut quick = slow;
    for i in 0..7 {
        assert!(produce(&ring, i));
        assert_eq!(quick.take(ring.view()).unwrap().record.time, i);
    }
    let first = slow.take(ring.view()).unwrap();
    assert_eq!((first.record.time, first.lost), (3, 3));
    for i in 4..7 {
        let frame = slow.take(ring.view()).unwrap();
        assert_eq!((frame.record.time, frame.lost), (i, 0));
    }
    assert_eq!(slow.next(ring.view()), Next::Empty);
}

#[test]
fn who_comes_late_can_read_what_is_still_there() {
    let ring = ring(4);
    for i in 0..6 {
        produce(&ring, i);
    }
    let mut oldest = Cursor::oldest(ring.view());
    let mut newest = Cursor::newest(ring.view());
    assert_eq!(oldest.unread(ring.view()), 4);
    let frame = oldest.take(ring.view()).unwrap();
    assert_eq!(
        (frame.record.time, frame.lost),
        (2, 0),
        "it lost nothing: it was not there"
    );
    assert_eq!(newest.next(ring.view()), Next::Empty);
}

#[test]
fn a_reserved_slot_hides_itself_and_those_behind_it_until_it_is_written() {
    let ring = ring(4);
    let mut cursor = Cursor::newest(ring.view());
    let mut during = cursor;
    ring.produce(
        || 1,
        |time| {
            produce(&ring, 2);
            assert_eq!(during.next(ring.view()), Next::Busy);
            assert!(during.take(ring.view()).is_none());
            record(time)
        },
    );
    assert_eq!(cursor.next(ring.view()), Next::At(1));
    assert_eq!(cursor.take(ring.view()).unwrap().record.time, 1);
    assert_eq!(cursor.take(ring.view()).unwrap().record.time, 2);
}

#[test]
fn a_slot_that_is_being_written_for_a_whole_round_is_left_alone_and_the_loss_is_counted() {
    let ring = ring(4);
    let mut cursor = Cursor::newest(ring.view());
    ring.produce(
        || 0,
        |time| {
            for i in 1..4 {
                assert!(produce(&ring, i));
            }
            assert!(!produce(&ring, 4));
            assert!(!produce(&ring, 5));
            record(time)
        },
    );
    assert!(produce(&ring, 6));
    let frames: Vec<_> = std::iter::from_fn(|| cursor.take(ring.view())).collect();
    let times: Vec<_> = frames.iter().map(|frame| frame.record.time).collect();
    let lost: u64 = frames.iter().map(|frame| frame.lost).sum();
    assert_eq!(times.len() as u64 + lost, 7);
    assert_eq!(times.last(), Some(&6));
}

#[test]
fn losses_behind_the_last_record_are_told_once() {
    let ring = ring(4);
    let mut cursor = Cursor::newest(ring.view());
    ring.produce(
        || 0,
        |time| {
            (1..4).for_each(|i| assert!(produce(&ring, i)));
            assert!(!produce(&ring, 4));
            record(time)
        },
    );
    while cursor.take(ring.view()).is_some() {}
    // The slot of record 0 was committed after the loss, so that frame knew of it.
    assert_eq!(cursor.take_gap(ring.view()), None);

    let mut late = Cursor::newest(ring.view());
    ring.produce(
        || 5,
        |time| {
            (6..9).for_each(|i| assert!(produce(&ring, i)));
            record(time)
        },
    );
    while late.take(ring.view()).is_some() {}
    ring.0.header().lost.fetch_add(2, Ordering::Relaxed);
    let gap = late.take_gap(ring.view()).unwrap();
    assert_eq!((gap.lost, gap.record), (2, Record::EMPTY));
    assert_eq!(late.take_gap(ring.view()), None);
}

#[test]
fn who_is_overtaken_between_the_clock_and_the_reservation_reads_the_clock_again() {
    let ring = ring(4);
    let mut cursor = Cursor::newest(ring.view());
    let clock = Cell::new(0);
    let tick = || {
        clock.set(clock.get() + 1);
        clock.get()
    };
    let overtaken = Cell::new(false);
    ring.produce(
        || {
            let time = tick();
            if !overtaken.replace(true) {
                ring.produce(tick, record);
            }
            time
        },
        record,
    );
    let times = [(); 2].map(|()| cursor.take(ring.view()).unwrap().record.time);
    assert_eq!(times, [2, 3]);
}

#[test]
fn a_number_of_slots_that_is_no_power_of_two_is_refused() {
    assert!(Ring::new(heap(0)).is_none());
    assert!(Ring::new(heap(3)).is_none());
}

#[test]
fn several_rings_are_read_in_the_order_of_times() {
    let rings = [ring(4), ring(4)];
    let view = |n: usize| rings.get(n).map(Ring::view);
    let mut cursors = [0, 1].map(|n| Cursor::newest(rings[n].view()));
    for (ring, time) in [(1, 10), (0, 20), (1, 20), (0, 30)] {
        assert!(produce(&rings[ring], time));
    }
    let mut seen = Vec::new();
    while let Merged::Frame(number, frame) = merge(&mut cursors, view, 25) {
        seen.push((number, frame.record.time));
    }
    assert_eq!(seen, [(1, 10), (0, 20), (1, 20)]);
    assert_eq!(merge(&mut cursors, view, 25), Merged::Empty);
}

/// Four producers against a quick and a slow reader: nothing is torn, doubled or
/// reordered within a producer, and for each reader produced = read + lost.
#[test]
fn produced_is_read_plus_lost_for_each_reader_under_concurrent_producers() {
    const PRODUCERS: u64 = 4;
    const EACH: u64 = 50_000;
    let ring = ring(64);
    let done = AtomicBool::new(false);
    let read = |pause: bool| {
        let mut cursor = Cursor::default();
        let (mut taken, mut lost) = (0, 0);
        let mut last = [None; 4];
        loop {
            let finished = done.load(Ordering::Acquire);
            while let Some(frame) = cursor.take(ring.view()) {
                let found = frame.record;
                assert_eq!(found, record(found.time), "torn");
                let id = usize::try_from(found.time >> 32).unwrap();
                assert!(last[id].is_none_or(|last| last < found.time), "order");
                last[id] = Some(found.time);
                taken += 1;
                lost += frame.lost;
                if pause && taken % 16 == 0 {
                    std::thread::sleep(std::time::Duration::from_micros(50));
                }
            }
            if finished {
                lost += cursor.take_gap(ring.view()).map_or(0, |gap| gap.lost);
                return (taken, lost);
            }
            std::thread::yield_now();
        }
    };
    std::thread::scope(|scope| {
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|id| {
                let ring = &ring;
                scope.spawn(move || {
                    (0..EACH).filter(|i| produce(ring, (id << 32) | i)).count() as u64
                })
            })
            .collect();
        let readers = [scope.spawn(|| read(false)), scope.spawn(|| read(true))];
        let added: u64 = producers.into_iter().map(|p| p.join().unwrap()).sum();
        assert_eq!(added, ring.view().added());
        assert_eq!(added + ring.view().refused(), PRODUCERS * EACH);
        done.store(true, Ordering::Release);
        for reader in readers {
            let (taken, lost) = reader.join().unwrap();
            assert_eq!(taken + lost, PRODUCERS * EACH);
        }
    });
}
