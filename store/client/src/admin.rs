//! A store's admin port.

use http::Method;
use logstore_api::Problem;

use crate::Error;
use crate::base_url::BaseUrl;
use crate::http::{Call, Http, Timeouts};

/// The admin port of one store.
#[derive(Clone, Debug)]
pub struct Admin {
    http: Http,
}

/// Whether a store takes requests.
#[derive(Clone, Debug, PartialEq)]
pub enum Readiness {
    /// It does.
    Ready,
    /// It does not yet, or not any more.
    NotReady(Box<Problem>),
}

impl Admin {
    /// The admin port at `http://host:port`. Nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::InvalidUrl`].
    pub fn new(url: &str, timeouts: Timeouts) -> Result<Self, Error> {
        Ok(Self { http: Http::new(BaseUrl::parse(url)?, timeouts) })
    }

    /// Asks `/readyz`.
    ///
    /// # Errors
    /// Where no store answers.
    pub async fn ready(&self) -> Result<Readiness, Error> {
        match self.http.send(Call::new(Method::GET, "/readyz")).await {
            Ok(_) => Ok(Readiness::Ready),
            Err(Error::Refused { problem, .. } | Error::Unknown { problem, .. }) => Ok(Readiness::NotReady(problem)),
            Err(error) => Err(error),
        }
    }
}
