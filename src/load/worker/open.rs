//! The connections of a request loop.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::RequestLoop;
use crate::load::connection::Connection;
use crate::load::deadline::Deadline;
use crate::load::dial::DialError;
use crate::load::harvest::Harvest;
use crate::tally::connections::OneConnection;

/// An open connection and what it has brought.
pub(super) struct Open {
    pub(super) connection: Connection,
    /// The connection's place among the run's addresses.
    pub(super) address: usize,
    pub(super) responses: Rc<Responses>,
}

impl Open {
    /// The same connection for a further request at the same time.
    fn share(&self) -> Option<Self> {
        Some(Self {
            connection: self.connection.share()?,
            address: self.address,
            responses: Rc::clone(&self.responses),
        })
    }
}

/// What a connection has brought; folded into the tally when its last user has gone.
pub(super) struct Responses {
    harvest: Rc<RefCell<Harvest>>,
    pub(super) of_connection: RefCell<OneConnection>,
    /// The number of the epoch to which they belong.
    pub(super) epoch: Cell<u32>,
}

impl Drop for Responses {
    fn drop(&mut self) {
        let mut harvest = self.harvest.borrow_mut();
        harvest.open -= 1;
        if self.epoch.get() == harvest.epoch_number {
            harvest.tally.close(self.of_connection.take());
        }
    }
}

impl RequestLoop {
    /// The connection that the next request goes over.
    pub(super) async fn connection(
        &mut self,
        slot: &mut Option<Open>,
        deadline: &mut Deadline,
    ) -> Result<Open, DialError> {
        let Some(multiplexed) = self.multiplexed.clone() else {
            return match slot.take() {
                Some(open) => Ok(open),
                None => self.dial(deadline).await,
            };
        };
        let mut current = multiplexed.lock().await;
        if let Some(open) = &mut *current
            && open.connection.is_reusable().await
            && let Some(shared) = open.share()
        {
            return Ok(shared);
        }
        let open = self.dial(deadline).await?;
        let shared = open.share();
        Ok(match shared {
            Some(shared) => {
                *current = Some(open);
                shared
            }
            None => open,
        })
    }

    /// Lets no further request use a connection that others share.
    pub(super) async fn discard(&self, failed: &Open) {
        if let Some(multiplexed) = &self.multiplexed {
            let mut current = multiplexed.lock().await;
            let is_it = |open: &mut Open| Rc::ptr_eq(&open.responses, &failed.responses);
            drop(current.take_if(is_it));
        }
    }

    pub(super) async fn dial(&mut self, deadline: &mut Deadline) -> Result<Open, DialError> {
        let addresses = &self.shared.addresses;
        let address = self.dials % addresses.len();
        self.dials = self.dials.wrapping_add(1);
        let dialler = &self.shared.dialler;
        let opened = Connection::open(dialler, &addresses[address], deadline, &self.lender).await;
        let mut harvest = self.harvest.borrow_mut();
        match &opened {
            Ok(_) => harvest.opened(address),
            Err(_) => harvest.addresses.refused(address),
        }
        let (connection, epoch) = (opened?, Cell::new(harvest.epoch_number));
        let responses = Rc::new(Responses {
            harvest: Rc::clone(&self.harvest),
            of_connection: RefCell::default(),
            epoch,
        });
        if self.shared.plan.snapshot.is_some() && !self.shared.plan.load.connection_use.is_fresh() {
            let mut kept = self.kept.borrow_mut();
            // Those that have closed are cleared away whenever the list would grow.
            if kept.len() == kept.capacity() {
                kept.retain(|one| one.strong_count() > 0);
            }
            kept.push(Rc::downgrade(&responses));
        }
        Ok(Open {
            connection,
            address,
            responses,
        })
    }
}
