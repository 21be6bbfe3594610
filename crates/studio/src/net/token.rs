//! The access token: where it comes from, whose it is.

use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use crossbeam_channel::{Receiver, Sender};
use tiller_hub::error::HubError;
use tiller_hub::stop::Stop;
use tiller_hub::token::Tokens;
use tiller_protocol::asset::{Secret, TokenSource, TokenState};
use tiller_protocol::message::Event;
use tiller_protocol::problem::Problem;

use crate::problem;
use crate::studio::Shared;

/// Orders that may wait; more than a person gives while the keyring asks for its password.
const QUEUE: usize = 16;

/// The thread that talks to the keyring, which may wait for a person.
pub(super) struct TokenDesk {
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
    stop: Stop,
}

/// Whose token it is.
#[derive(PartialEq)]
enum Owner {
    /// The hub has not been asked, or has not answered.
    Unasked,
    /// The hub knows no owner.
    Nobody,
    /// This user.
    Named(String),
}

enum Order {
    Tell,
    Learn,
    Set(Secret),
}

/// Starts it.
///
/// # Errors
/// When the system gives no thread.
pub(super) fn start(shared: Arc<Shared>) -> Result<TokenDesk, Problem> {
    let (orders, inbox) = crossbeam_channel::bounded(QUEUE);
    let stop = Stop::new();
    let stopped = stop.clone();
    let thread = Builder::new()
        .name("token".to_owned())
        .spawn(move || run(&shared, &inbox, &stopped))
        .map_err(|error| problem::no_thread(&error))?;
    Ok(TokenDesk { orders: Some(orders), thread: Some(thread), stop })
}

impl TokenDesk {
    /// Says whether there is a token.
    pub(super) fn tell(&self) {
        self.send(Order::Tell);
    }

    /// The hub was asked for something else: then it may be asked whose token it is, too.
    pub(super) fn learn(&self) {
        self.send(Order::Learn);
    }

    /// Keeps a token, or forgets it.
    pub(super) fn set(&self, secret: Secret) {
        self.send(Order::Set(secret));
    }

    /// Ends the thread.
    pub(super) fn end(mut self) {
        self.stop.set();
        self.orders = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the thread of the access token ended with a panic");
        }
    }

    fn send(&self, order: Order) {
        let is_full = self.orders.as_ref().is_none_or(|orders| orders.try_send(order).is_err());
        if is_full {
            log::warn!("the keyring still waits for earlier orders");
        }
    }
}

fn run(shared: &Shared, inbox: &Receiver<Order>, stop: &Stop) {
    let mut owner = Owner::Unasked;
    for order in inbox {
        if stop.is_set() {
            return;
        }
        let Some(tokens) = &shared.net.tokens else {
            shared.outbox.post(Event::Token(TokenState::default()));
            continue;
        };
        let (is_told, may_ask) = (!matches!(order, Order::Learn), !matches!(order, Order::Tell));
        let state = match order {
            Order::Learn if owner != Owner::Unasked => continue,
            Order::Tell | Order::Learn => tokens.state(),
            Order::Set(secret) => {
                owner = Owner::Unasked;
                set(shared, tokens, &secret)
            }
        };
        if may_ask && owner == Owner::Unasked && state.source != TokenSource::None {
            owner = ask(shared, stop);
        }
        if !is_told && owner == Owner::Unasked {
            continue;
        }
        let user = if let Owner::Named(user) = &owner { Some(user.clone()) } else { None };
        shared.outbox.post(Event::Token(TokenState { user, ..state }));
    }
}

fn set(shared: &Shared, tokens: &Tokens, secret: &Secret) -> TokenState {
    match tokens.set(secret) {
        Ok(state) => state,
        Err(error) => {
            shared.outbox.post(Event::Failed { job: None, problem: problem::hub(&error) });
            tokens.state()
        }
    }
}

/// Asks the hub whose token it is.
fn ask(shared: &Shared, stop: &Stop) -> Owner {
    let Ok(hub) = shared.net.hub() else { return Owner::Unasked };
    match hub.user(stop) {
        Ok(Some(user)) => Owner::Named(user),
        Ok(None) => Owner::Nobody,
        Err(error @ HubError::BadToken) => {
            shared.outbox.post(Event::Failed { job: None, problem: problem::hub(&error) });
            Owner::Nobody
        }
        Err(error) => {
            log::info!("The hub does not say whose token it is: {error}");
            Owner::Unasked
        }
    }
}
