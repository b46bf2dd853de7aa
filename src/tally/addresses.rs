//! What each address of the target brought, since one of several may be configured differently.

use super::grow;

/// What one address brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressTally {
    /// Connections that were opened.
    pub connections: u64,
    pub failed_dials: u64,
    /// Identified responses by group; missing entries are 0.
    pub observed: Vec<u64>,
    /// Whole responses without an identity.
    pub unidentified: u64,
    /// Requests on open connections that brought no whole response.
    pub failed: u64,
}

impl AddressTally {
    fn merge(&mut self, other: &Self) {
        self.connections += other.connections;
        self.failed_dials += other.failed_dials;
        grow(&mut self.observed, other.observed.len().saturating_sub(1));
        super::add(&mut self.observed, &other.observed);
        self.unidentified += other.unidentified;
        self.failed += other.failed;
    }
}

/// What the addresses of a run brought; `by_address[i]` belongs to the run's address `i`, and a missing
/// entry brought nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    by_address: Vec<AddressTally>,
}

impl Addresses {
    /// Counts an opened connection.
    pub fn connected(&mut self, address: usize) {
        self.entry(address).connections += 1;
    }

    /// Counts a failed dial.
    pub fn refused(&mut self, address: usize) {
        self.entry(address).failed_dials += 1;
    }

    /// Counts a whole response of `group`, `None` for one without an identity.
    pub fn responded(&mut self, address: usize, group: Option<usize>) {
        let entry = self.entry(address);
        match group {
            Some(group) => {
                grow(&mut entry.observed, group);
                entry.observed[group] += 1;
            }
            None => entry.unidentified += 1,
        }
    }

    /// Counts a request that brought no whole response.
    pub fn failed(&mut self, address: usize) {
        self.entry(address).failed += 1;
    }

    /// Adds what one address brought elsewhere.
    pub fn add(&mut self, address: usize, other: &AddressTally) {
        self.entry(address).merge(other);
    }

    /// Forgets the answers, and keeps the connections.
    pub fn start_over(&mut self) {
        for address in &mut self.by_address {
            *address = AddressTally {
                connections: address.connections,
                failed_dials: address.failed_dials,
                ..AddressTally::default()
            };
        }
    }

    /// Adds what another thread counted.
    pub fn merge(&mut self, other: &Self) {
        for (address, theirs) in other.by_address.iter().enumerate() {
            self.entry(address).merge(theirs);
        }
    }

    /// What address `index` brought.
    pub fn get(&self, index: usize) -> AddressTally {
        self.by_address.get(index).cloned().unwrap_or_default()
    }

    fn entry(&mut self, address: usize) -> &mut AddressTally {
        grow(&mut self.by_address, address);
        &mut self.by_address[address]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_of_threads_add_up_by_address() {
        let mut one = Addresses::default();
        one.connected(1);
        one.responded(1, Some(2));
        let mut other = Addresses::default();
        other.responded(1, Some(0));
        other.responded(1, None);
        other.refused(0);
        other.failed(1);
        one.merge(&other);
        assert_eq!(one.get(0).failed_dials, 1);
        let second = one.get(1);
        assert_eq!(second.observed, [1, 0, 1]);
        assert_eq!(
            (second.connections, second.unidentified, second.failed),
            (1, 1, 1)
        );
        assert_eq!(one.get(7), AddressTally::default());
    }
}
