//! Answers by client: those of one may depend on each other, those of different ones do not.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::tally::connections::{Connections, OneConnection};

/// So many clients are told apart. Those beyond join one that is known: clusters of several clients are independent
/// of each other as well, so that the verdict stays valid.
const MOST_CLIENTS: usize = 1 << 14;
/// Longer addresses are told apart by so many of their bytes.
const LONGEST: usize = 64;

/// Answers by client.
#[derive(Debug, Default)]
pub(super) struct Clients {
    places: HashMap<Box<[u8]>, usize, RandomState>,
    open: Vec<OneConnection>,
}

impl Clients {
    /// Counts an answer of `group`, `None` for one without an identity.
    pub(super) fn record(&mut self, client: &[u8], group: Option<usize>) {
        let client = &client[..client.len().min(LONGEST)];
        let place = if let Some(&place) = self.places.get(client) {
            place
        } else if self.places.len() < MOST_CLIENTS {
            let place = self.open.len();
            self.places.insert(client.into(), place);
            self.open.push(OneConnection::default());
            place
        } else {
            // Not the map's own order of keys: a client must always join the same one.
            let hash = self.places.hasher().hash_one(client);
            usize::try_from(hash % MOST_CLIENTS as u64).expect("below MOST_CLIENTS")
        };
        self.open[place].record(group);
    }

    /// How many are told apart.
    pub(super) fn count(&self) -> u64 {
        self.open.len() as u64
    }

    /// The sums over all of them.
    pub(super) fn closed(self) -> Connections {
        let mut closed = Connections::default();
        for one in self.open {
            closed.close(one);
        }
        closed
    }
}
