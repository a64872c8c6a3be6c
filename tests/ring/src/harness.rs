// SPDX-License-Identifier: GPL-2.0

//! What is tried with each ring, the sound one and those with a fault.

/// The function `check` for the `ring` that stands beside it.
#[macro_export]
macro_rules! harness {
    () => {
        use self::ring::{Cursor, Header, Memory, Ring, Slot, View};
        use std::sync::atomic::{AtomicU64, Ordering};
        use std::sync::Arc;
        use $crate::record::Record;

        struct Heap(Header, Vec<Slot>);

        impl Memory for Heap {
            fn header(&self) -> &Header {
                &self.0
            }
            fn slots(&self) -> &[Slot] {
                &self.1
            }
        }

        /// What a reader was given.
        struct Reader {
            cursor: Cursor,
            taken: u64,
            lost: u64,
            time: u64,
            next: u64,
        }

        impl Reader {
            /// Takes a record if there is one: whole, later than those before it, and
            /// behind the one before it but for what was lost.
            fn look(&mut self, view: View<'_>) -> bool {
                let Some(frame) = self.cursor.take(view) else {
                    return false;
                };
                let Record { time, maker } = frame.record;
                assert_eq!(maker / 16, time, "broken: a torn record");
                assert!(time > self.time, "broken: times go back");
                assert!(
                    frame.position >= self.next,
                    "broken: a position comes again"
                );
                let passed = frame.position - self.next;
                assert!(frame.lost >= passed, "broken: a loss that is not told");
                self.time = time;
                self.next = frame.position + 1;
                self.taken += 1;
                self.lost += frame.lost;
                true
            }
        }

        /// Tries all orders of a case.
        ///
        /// # Panics
        ///
        /// When one of them breaks what the ring promises.
        pub fn check(case: $crate::Case) {
            let mut model = loom::model::Builder::new();
            model.preemption_bound = case.preemptions;
            model.check(move || once(case));
        }

        fn once(case: $crate::Case) {
            let slots = (0..case.slots).map(|_| Slot::new()).collect();
            let ring = Ring::new(Heap(Header::default(), slots)).expect("a power of two");
            let ring = Arc::new(ring);
            // Not loom's: what a clock says is seen by everybody at once.
            let clock = Arc::new(AtomicU64::new(1));
            let mut reader = Reader {
                cursor: Cursor::newest(ring.view()),
                taken: 0,
                lost: 0,
                time: 0,
                next: 0,
            };
            let producers: Vec<_> = (1_u64..)
                .zip(case.producers)
                .map(|(id, count)| {
                    let (ring, clock) = (Arc::clone(&ring), Arc::clone(&clock));
                    let tick = move || clock.fetch_add(1, Ordering::SeqCst);
                    let record = move |time| Record {
                        time,
                        maker: time * 16 + id,
                    };
                    loom::thread::spawn(move || {
                        (0..*count).filter(|_| ring.produce(&tick, record)).count() as u64
                    })
                })
                .collect();
            // Not this thread: loom has it wait until another one does something.
            let seen = Arc::clone(&ring);
            let looking = loom::thread::spawn(move || {
                for _ in 0..case.looks {
                    reader.look(seen.view());
                }
                reader
            });
            let added: u64 = producers
                .into_iter()
                .map(|one| one.join().expect("no producer panics"))
                .sum();
            let made: u64 = case.producers.iter().sum();
            let mut reader = looking.join().expect("no reader panics");
            assert_eq!(
                ring.view().added(),
                added,
                "broken: records that nobody added"
            );
            assert_eq!(
                ring.view().total(),
                made,
                "broken: what was made is there or lost"
            );
            while reader.look(ring.view()) {}
            let gap = reader.cursor.take_gap(ring.view());
            reader.lost += gap.map_or(0, |gap| gap.lost);
            assert_eq!(reader.taken + reader.lost, made, "broken: taken and lost");
        }
    };
}
