//! One HTTP exchange as the faces see it: what was received, what is answered and how it is
//! delivered. No sockets here; `server` has them.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use crate::world::Vendor;

/// A request as it came off the wire.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) at: DateTime<Utc>,
    /// The present of what is asked about.
    pub(crate) world: DateTime<Utc>,
    pub(crate) method: String,
    /// Path of the target; the whole address, if the client named it as it would to a proxy.
    pub(crate) path: String,
    /// The query as it was sent, still encoded.
    pub(crate) query: String,
    /// Names in lower case; a name may come more than once.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

impl Received {
    /// The first header of this name, without the blanks around its value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(header, _)| header == name)
            .map(|(_, value)| value.trim())
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
}

/// How an answer reaches the client, if it does.
#[derive(Clone, Debug)]
pub(crate) enum Delivery {
    Whole(Reply),
    /// After this time.
    Late(Reply, Duration),
    /// With the length of the whole, but only half of the body before the connection ends.
    Half(Reply),
    /// So many bytes of filling after the head of an answer.
    Huge(Reply, usize),
    /// The client waits until it gives up.
    Never,
    /// The connection ends.
    Reset,
}

impl Delivery {
    /// The HTTP status, if there is an answer.
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Whole(reply)
            | Self::Late(reply, _)
            | Self::Half(reply)
            | Self::Huge(reply, _) => Some(reply.status),
            Self::Never | Self::Reset => None,
        }
    }
}

/// What [`Cloud::ask`](crate::Cloud::ask) brings back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers, with their names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body as it was sent.
    pub body: Bytes,
}

/// Why an answer does not arrive as it should; on a socket each of these looks like itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undelivered {
    /// It comes after this time.
    Late(Answer, Duration),
    /// Its connection ends after half of the body.
    Half(Answer),
    /// Its body is filling of this length.
    Huge(Answer, usize),
    /// It never comes.
    Never,
    /// The connection ends before it.
    Reset,
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        let headers = reply.headers.into_iter();
        Self {
            status: reply.status,
            headers: headers
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
            body: reply.body,
        }
    }
}

/// What a face makes of a request.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) delivery: Delivery,
    pub(crate) record: RecordedRequest,
    /// Documented rules that the request breaks.
    pub(crate) violations: Vec<String>,
}

/// A request that the cloud has seen.
#[derive(Clone, Debug)]
pub struct RecordedRequest {
    /// When it was read, on the cloud's clock.
    pub at: DateTime<Utc>,
    /// Whose cloud was asked.
    pub vendor: Vendor,
    /// The vendor's name of the operation; empty if the request names none.
    pub operation: String,
    /// Region named in the parameters.
    pub region: Option<String>,
    /// Instance named in the parameters.
    pub instance: Option<String>,
    /// Key that the request claims to be signed with.
    pub access_key_id: Option<String>,
    /// HTTP method.
    pub method: String,
    /// Parameters from the query and from a form.
    pub params: BTreeMap<String, String>,
    /// What was answered.
    pub verdict: Verdict,
    /// The client's number of the attempt.
    pub nonce: Option<String>,
    /// The key exists and the signature is its.
    pub signature_valid: bool,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// HTTP status; `None` if the request stays without an answer.
    pub status: Option<u16>,
    /// The vendor's error code, if the answer holds one.
    pub code: Option<String>,
}
