//! One store, by its address: the whole API that this release speaks, one call each.

mod append;
mod read;

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, IF_NONE_MATCH};
use http::{HeaderValue, Method, StatusCode};
use logstore_api::fence::{FenceAnswer, FenceRequest, FramesQuery, PlaceAnswer, PlaceQuery};
use logstore_api::namespace::{
    NamespaceEntry, NamespaceInfo, NamespaceList, PutNamespace, SealAnswer, SealRequest, TrimAnswer, TrimRequest,
};
use logstore_api::record::{AppendAnswer, DurableAnswer, GetRequest};
use logstore_api::status::StoreStatus;
use logstore_api::{MEDIA_ENVELOPES, MEDIA_WIRE_FRAMES, NamespaceName};
use serde::Serialize;
use uuid::Uuid;

pub use append::{AppendError, AppendOptions, Payload, ProducerSequence};
pub use read::{Got, IndexRange, InvalidReadFrom, ReadAnswer, ReadFrom, ReadOptions, ReadUntil};

use crate::Error;
use crate::base_url::BaseUrl;
use crate::http::{Call, Http, Timeouts};
use crate::query::{Query, durability_text, namespace_path};

const MEDIA_JSON: &str = "application/json";

/// One store. A clone is cheap and shares the connections; each request under way has one of its own.
#[derive(Clone, Debug)]
pub struct Store {
    http: Http,
}

/// A list of namespaces, one page of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListOptions {
    /// Only names that begin with this.
    pub prefix: Option<String>,
    /// Only names behind this one.
    pub after: Option<NamespaceName>,
    /// At most so many; as many as the store gives at once where left out.
    pub limit: Option<u64>,
}

impl Store {
    /// The store at `http://host:port`, or `host[:port]`, where the port is 8000 unless given. Nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::InvalidUrl`].
    pub fn new(url: &str) -> Result<Self, Error> {
        Self::with_timeouts(url, Timeouts::default())
    }

    /// The same, with other times to wait for it.
    ///
    /// # Errors
    /// [`Error::InvalidUrl`].
    pub fn with_timeouts(url: &str, timeouts: Timeouts) -> Result<Self, Error> {
        Ok(Self { http: Http::new(BaseUrl::parse(url)?, timeouts) })
    }

    /// Its address, `http://host:port`.
    #[must_use]
    pub fn url(&self) -> &str {
        self.http.base()
    }

    /// Creates a namespace, or gives it this configuration. Says whether it was created.
    ///
    /// # Errors
    /// `namespace_exists`, where it does and `only_create` was asked; any other [`Error`].
    pub async fn put_namespace(
        &self,
        name: &NamespaceName,
        put: &PutNamespace,
        only_create: bool,
    ) -> Result<(bool, NamespaceInfo), Error> {
        let mut call = Call::new(Method::PUT, namespace_path(name, "")).body(MEDIA_JSON, json(put));
        if only_create {
            call = call.header(IF_NONE_MATCH, HeaderValue::from_static("*"));
        }
        let answer = self.http.send(call).await?;
        Ok((answer.status == StatusCode::CREATED, answer.json()?))
    }

    /// Describes a namespace.
    ///
    /// # Errors
    /// `namespace_not_found`; any other [`Error`].
    pub async fn namespace(&self, name: &NamespaceName) -> Result<NamespaceInfo, Error> {
        self.http.send(Call::new(Method::GET, namespace_path(name, ""))).await?.json()
    }

    /// Lists namespaces in byte order of their names, one page.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn namespaces(&self, options: &ListOptions) -> Result<NamespaceList, Error> {
        let ListOptions { prefix, after, limit } = options;
        let query = Query::default()
            .with_some("prefix", prefix.as_deref())
            .with_some("after", after.as_ref())
            .with_some("limit", *limit);
        self.http.send(Call::new(Method::GET, "/v1/namespaces").query(query)).await?.json()
    }

    /// Lists all namespaces whose names begin with `prefix`.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn all_namespaces(&self, prefix: &str) -> Result<Vec<NamespaceEntry>, Error> {
        let prefix = (!prefix.is_empty()).then(|| prefix.to_owned());
        let mut options = ListOptions { prefix, ..ListOptions::default() };
        let mut entries = Vec::new();
        loop {
            let NamespaceList { namespaces, next } = self.namespaces(&options).await?;
            entries.extend(namespaces);
            match next {
                Some(next) => options.after = Some(next),
                None => return Ok(entries),
            }
        }
    }

    /// Deletes a namespace and its records; only in this incarnation, where one is given.
    ///
    /// # Errors
    /// `namespace_not_found`; `precondition_failed` where it lives in another incarnation; any other [`Error`].
    pub async fn delete_namespace(&self, name: &NamespaceName, incarnation: Option<Uuid>) -> Result<(), Error> {
        let query = Query::default().with_some("incarnation", incarnation);
        self.http.send(Call::new(Method::DELETE, namespace_path(name, "")).query(query)).await?;
        Ok(())
    }

    /// Drops the records before an offset.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn trim(&self, name: &NamespaceName, request: &TrimRequest) -> Result<TrimAnswer, Error> {
        let call = Call::new(Method::POST, namespace_path(name, "/trim")).body(MEDIA_JSON, json(request));
        self.http.send(call).await?.json()
    }

    /// Ends the active segment of a partition, where it holds anything.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn seal(&self, name: &NamespaceName, request: &SealRequest) -> Result<SealAnswer, Error> {
        let call = Call::new(Method::POST, namespace_path(name, "/seal")).body(MEDIA_JSON, json(request));
        self.http.send(call).await?.json()
    }

    /// Waits until the record at an offset survives a power loss, or the time is over: the answer says which. The
    /// partition may be left out where there is one.
    ///
    /// # Errors
    /// `beyond_end`, `frozen`; any other [`Error`].
    pub async fn durable(
        &self,
        name: &NamespaceName,
        partition: Option<u32>,
        after: u64,
        wait: Duration,
    ) -> Result<DurableAnswer, Error> {
        let query = Query::default()
            .with("after", after)
            .with_some("partition", partition)
            .with("wait", format!("{}ms", wait.as_millis()));
        let call = Call::new(Method::GET, namespace_path(name, "/durable")).query(query).wait(wait);
        self.http.send(call).await?.json()
    }

    /// What the store says about itself.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn status(&self) -> Result<StoreStatus, Error> {
        self.http.send(Call::new(Method::GET, "/v1/status")).await?.json()
    }

    /// Appends to a namespace that the store orders by itself.
    ///
    /// # Errors
    /// [`AppendError`] says whether the records may be there all the same. `not_the_writer` where the namespace has
    /// several copies: use a [`Writer`](crate::Writer).
    pub async fn append(
        &self,
        name: &NamespaceName,
        payload: &Payload,
        options: &AppendOptions,
    ) -> Result<AppendAnswer, AppendError> {
        let answer = self.http.send(append::call(name, payload, options)).await;
        answer.and_then(|answer| answer.json()).map_err(AppendError::new)
    }

    /// Reads records from a place on, or newest first down to it.
    ///
    /// # Errors
    /// `trimmed`, `damaged` or `beyond_end` where there is nothing to be had at this place; any other [`Error`].
    pub async fn read(&self, name: &NamespaceName, from: ReadFrom, options: &ReadOptions) -> Result<ReadAnswer, Error> {
        let call = Call::new(Method::GET, read::path(name))
            .query(read::query(from, options))
            .header(ACCEPT, HeaderValue::from_static(MEDIA_ENVELOPES))
            .wait(options.wait.unwrap_or_default());
        read::parse(&self.http.send(call).await?, options.order)
    }

    /// Many records by their offsets: one entry for each, in the order asked for.
    ///
    /// An entry `batch_too_large` did not fit into the answer; ask for it again in another call.
    ///
    /// # Errors
    /// `batch_too_large` where there are more offsets than one call may have; any other [`Error`].
    pub async fn get(&self, name: &NamespaceName, request: &GetRequest) -> Result<Vec<Got>, Error> {
        let call = Call::new(Method::POST, namespace_path(name, "/records/get"))
            .body(MEDIA_JSON, json(request))
            .header(ACCEPT, HeaderValue::from_static(MEDIA_ENVELOPES));
        read::parse_got(&self.http.send(call).await?, &request.offsets)
    }

    /// The bytes of one record; the partition may be left out where there is one.
    ///
    /// # Errors
    /// `record_not_found`, `trimmed`, `damaged`; any other [`Error`].
    pub async fn record(&self, name: &NamespaceName, partition: Option<u32>, offset: u64) -> Result<Bytes, Error> {
        let query = Query::default().with_some("partition", partition);
        let call = Call::new(Method::GET, namespace_path(name, &format!("/records/{offset}"))).query(query);
        Ok(self.http.send(call).await?.body)
    }

    /// Looks where a namespace's log ends on this copy, and under whose reign it is.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn look(&self, name: &NamespaceName) -> Result<FenceAnswer, Error> {
        let query = Query::default().with("namespace", name);
        self.http.send(Call::new(Method::GET, "/v1/fence").query(query)).await?.json()
    }

    /// Makes this copy promise to accept nothing from an earlier reign.
    ///
    /// # Errors
    /// `fenced`, where it has promised that to a later one; any other [`Error`].
    pub async fn fence(&self, request: &FenceRequest) -> Result<FenceAnswer, Error> {
        self.http.send(Call::new(Method::POST, "/v1/fence").body(MEDIA_JSON, json(request))).await?.json()
    }

    /// Places frames at exactly these numbers. The same place again changes nothing and is answered the same.
    ///
    /// # Errors
    /// `fenced`, `frame_mismatch`, `diverged`; any other [`Error`].
    pub async fn place(&self, query: &PlaceQuery, frames: Bytes) -> Result<PlaceAnswer, Error> {
        let PlaceQuery { namespace, partition, incarnation, epoch, writer, frame, previous, confirmed, durability } =
            query;
        let query = Query::default()
            .with("namespace", namespace)
            .with("partition", partition)
            .with("incarnation", incarnation)
            .with("epoch", epoch)
            .with("writer", writer)
            .with("frame", frame)
            .with("previous", previous)
            .with("confirmed", confirmed)
            .with("durability", durability_text(*durability));
        let call = Call::new(Method::POST, "/v1/place").query(query).body(MEDIA_WIRE_FRAMES, frames);
        self.http.send(call).await?.json()
    }

    /// Frames of the log, one after the other, as they are on the wire; none at its end.
    ///
    /// # Errors
    /// `trimmed`, `beyond_end`; any other [`Error`].
    pub async fn frames(&self, query: &FramesQuery) -> Result<Bytes, Error> {
        let FramesQuery { namespace, partition, from, until } = query;
        let query = Query::default()
            .with("namespace", namespace)
            .with("partition", partition)
            .with("from", from)
            .with_some("until", *until);
        Ok(self.http.send(Call::new(Method::GET, "/v1/frames").query(query)).await?.body)
    }
}

fn json(body: &impl Serialize) -> Bytes {
    serde_json::to_vec(body).expect("the contract's types are JSON").into()
}
