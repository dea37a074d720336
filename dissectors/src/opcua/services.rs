use super::code::{Kind, Service, is_bad, method_class};
use super::codec::{Decoder, Identifier, NodeId};
use super::identity;
use crate::{Class, Item, Limits, Object, ParseError, Token};

/// Names that are kept of one operation. The rest are read, so that the class is right, but not named.
const NAMES: usize = 64;
/// Bytes of names that are kept of one operation.
const NAMES_TEXT: usize = 8192;

/// AttributeId of the value of a node. OPC 10000-6, annex A.1.
const VALUE: u32 = 13;

/// The objects of one request, in buffers that are used again for the next.
#[derive(Debug, Default)]
pub(super) struct Names {
    space: &'static str,
    text: String,
    /// Where each name ends in `text`.
    ends: Vec<usize>,
}

impl Names {
    /// Forgets the names, keeps the buffers.
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
        self.space = "node";
    }

    fn push(&mut self, id: &NodeId<'_>, limits: &Limits) {
        if self.ends.len() < NAMES && self.text.len() < NAMES_TEXT {
            id.write(limits.text, &mut self.text);
            self.ends.push(self.text.len());
        }
    }

    /// Gives the names as objects. They live on the stack: a poll is answered without an allocation.
    pub(super) fn with<R>(&self, use_objects: impl FnOnce(&[Object<'_>]) -> R) -> R {
        if self.ends.len() <= 8 { self.fill::<8, R>(use_objects) } else { self.fill::<NAMES, R>(use_objects) }
    }

    fn fill<const N: usize, R>(&self, use_objects: impl FnOnce(&[Object<'_>]) -> R) -> R {
        let mut objects = [Object { space: self.space, item: Item::Range(0, 0) }; N];
        let mut from = 0;
        for (object, &end) in objects.iter_mut().zip(&self.ends) {
            object.item = Item::Name(self.text.get(from..end).unwrap_or_default());
            from = end;
        }
        use_objects(objects.get(..self.ends.len()).unwrap_or_default())
    }
}

/// What of a request's header tells it from other bytes. OPC 10000-4, 7.33 "RequestHeader".
struct RequestHeader {
    timestamp: i64,
    diagnostics: u32,
}

fn request_header(d: &mut Decoder<'_>) -> Result<RequestHeader, ParseError> {
    // The authentication token is a secret: it is passed over.
    d.node_id()?;
    let timestamp = d.r.le64i("request time stamp")?;
    d.r.le32("request handle")?;
    let diagnostics = d.r.le32("return diagnostics")?;
    d.string("audit entry id")?;
    d.r.le32("timeout hint")?;
    d.additional_header()?;
    Ok(RequestHeader { timestamp, diagnostics })
}

/// What of a response's header tells it from other bytes, and the service result. OPC 10000-4, 7.34.
struct ResponseHeader {
    timestamp: i64,
    result: u32,
}

fn response_header(d: &mut Decoder<'_>) -> Result<ResponseHeader, ParseError> {
    let timestamp = d.r.le64i("response time stamp")?;
    d.r.le32("request handle")?;
    let result = d.r.le32("service result")?;
    d.diagnostic_info()?;
    d.strings("string table")?;
    d.additional_header()?;
    Ok(ResponseHeader { timestamp, result })
}

/// Whether a body is in clear: the type id of a known service and a header that holds together.
///
/// Asked where nothing else tells (no OpenSecureChannel was captured, or it left the mode open). On random bytes the
/// type id alone is right once in 50 million times; with reserved bits, time and lengths it is never.
pub(super) fn is_clear(body: &[u8], limits: &Limits) -> bool {
    // From 1601 to 2200: an eightieth of all numbers.
    const YEAR_2200: i64 = 189_025_920_000_000_000;
    let time = |ticks: i64| (0..YEAR_2200).contains(&ticks);
    let mut d = Decoder::new(body, limits);
    match d.node_id().ok().and_then(|id| Kind::of(&id)) {
        Some(Kind::Request(_)) => {
            // Bits 0 to 9 are in use. OPC 10000-4, 7.33, returnDiagnostics.
            request_header(&mut d).is_ok_and(|header| time(header.timestamp) && header.diagnostics < 1 << 10)
        }
        Some(Kind::Response(_)) => {
            response_header(&mut d).is_ok_and(|header| time(header.timestamp) && header.result >> 30 != 3)
        }
        None => false,
    }
}

/// What the walk through a request found out.
pub(super) struct Walk {
    /// Class of the operation.
    pub(super) class: Class,
    /// The body was read to its end as this service defines it: what is left over is no part of it.
    pub(super) whole: bool,
}

/// Reads a request behind its type id: names what it is about, and keeps in `watched` which of the nodes that it
/// reads tell the server's identity (place in the list, node). `walk` is right even when the body breaks off.
pub(super) fn request(
    service: Service,
    d: &mut Decoder<'_>,
    limits: &Limits,
    names: &mut Names,
    watched: &mut Vec<(usize, u32)>,
    walk: &mut Walk,
) -> Result<(), ParseError> {
    names.clear();
    watched.clear();
    request_header(d)?;
    walk.whole = match service {
        Service::READ => {
            d.skip("max age and time stamps", 12)?;
            each(d, limits, |d, at| {
                let (node, attribute) = read_value_id(d)?;
                names.push(&node, limits);
                if attribute == VALUE && watched.len() < NAMES {
                    watched.extend(node.standard().filter(|id| identity::tells(*id)).map(|id| (at, id)));
                }
                Ok(())
            })?
        }
        Service::HISTORY_READ => {
            d.extension_object()?;
            d.skip("time stamps and release", 5)?;
            each(d, limits, |d, _| {
                names.push(&d.node_id()?, limits);
                d.string("index range")?;
                d.qualified_name()?;
                d.string("continuation point").map(|_| ())
            })?
        }
        Service::WRITE => each(d, limits, |d, _| {
            names.push(&d.node_id()?, limits);
            if d.r.le32("attribute id")? != VALUE {
                // Names, types, access rights: the address space, not the process.
                walk.class = Class::Config;
            }
            d.string("index range")?;
            d.data_value().map(|_| ())
        })?,
        Service::HISTORY_UPDATE => each(d, limits, |d, _| {
            // Each kind of details begins with the node. OPC 10000-11, 6.8.
            let (_, body) = d.extension_object()?;
            if let Ok(node) = Decoder::new(body, limits).node_id() {
                names.push(&node, limits);
            }
            Ok(())
        })?,
        Service::CALL => {
            names.space = "method";
            let mut gravest = None;
            each(d, limits, |d, _| {
                d.node_id()?;
                let method = d.node_id()?;
                names.push(&method, limits);
                gravest = gravest.max(Some(method_class(&method)));
                walk.class = gravest.unwrap_or(walk.class);
                d.array("input arguments", Decoder::variant)
            })?
        }
        Service::BROWSE => {
            d.node_id()?;
            d.skip("view and limit", 16)?;
            each(d, limits, |d, _| {
                names.push(&d.node_id()?, limits);
                d.skip("browse direction", 4)?;
                d.node_id()?;
                d.skip("browse masks", 9)
            })?
        }
        Service::TRANSLATE_BROWSE_PATHS => each(d, limits, |d, _| {
            names.push(&d.node_id()?, limits);
            d.array("relative path", |d| {
                d.node_id()?;
                d.skip("relative path flags", 2)?;
                d.qualified_name()
            })
        })?,
        Service::REGISTER_NODES | Service::UNREGISTER_NODES => each(d, limits, |d, _| {
            names.push(&d.node_id()?, limits);
            Ok(())
        })?,
        Service::CREATE_MONITORED_ITEMS => {
            d.skip("subscription and time stamps", 8)?;
            each(d, limits, |d, _| {
                names.push(&read_value_id(d)?.0, limits);
                d.skip("monitoring mode, handle and interval", 16)?;
                d.extension_object()?;
                d.skip("queue", 5)
            })?
        }
        Service::ADD_NODES => each(d, limits, |d, _| {
            let parent = d.expanded_node_id()?;
            d.node_id()?;
            let wanted = d.expanded_node_id()?;
            // A null id leaves the choice to the server: then the parent says where.
            names.push(if wanted.id == Identifier::Numeric(0) { &parent } else { &wanted }, limits);
            d.qualified_name()?;
            d.skip("node class", 4)?;
            d.extension_object()?;
            d.expanded_node_id().map(|_| ())
        })?,
        Service::ADD_REFERENCES => each(d, limits, |d, _| {
            names.push(&d.node_id()?, limits);
            d.node_id()?;
            d.skip("reference direction", 1)?;
            d.string("target server URI")?;
            d.expanded_node_id()?;
            d.skip("node class", 4)
        })?,
        Service::DELETE_NODES => each(d, limits, |d, _| {
            names.push(&d.node_id()?, limits);
            d.skip("delete target references", 1)
        })?,
        Service::DELETE_REFERENCES => each(d, limits, |d, _| {
            names.push(&d.node_id()?, limits);
            d.node_id()?;
            d.skip("reference direction", 1)?;
            d.expanded_node_id()?;
            d.skip("delete both directions", 1)
        })?,
        Service::PUBLISH => each(d, limits, |d, _| d.skip("acknowledgement", 8))?,
        Service::CLOSE_SESSION => {
            d.skip("delete subscriptions", 1)?;
            true
        }
        Service::CLOSE_SECURE_CHANNEL => true,
        _ => false,
    };
    Ok(())
}

/// The MessageSecurityMode that an OpenSecureChannel request in clear asks for: 1 none, 2 sign, 3 sign and encrypt.
/// OPC 10000-4, 5.6.2.
pub(super) fn requested_mode(body: &[u8], limits: &Limits) -> Option<u32> {
    let mut d = Decoder::new(body, limits);
    let id = d.node_id().ok()?;
    if Kind::of(&id)? != Kind::Request(Service::OPEN_SECURE_CHANNEL) {
        return None;
    }
    request_header(&mut d).ok()?;
    d.skip("protocol version and request type", 8).ok()?;
    d.r.le32("security mode").ok()
}

/// How the user signs on in ActivateSession, behind the request header; the token itself is passed over.
/// OPC 10000-4, 5.7.3; the ids are those of the binary encodings of 7.41 "UserIdentityToken parameters".
pub(super) fn token(d: &mut Decoder<'_>) -> Result<Option<Token>, ParseError> {
    d.string("signature algorithm")?;
    d.string("signature")?;
    d.array("software certificates", |d| {
        d.string("software certificate")?;
        d.string("software certificate signature").map(|_| ())
    })?;
    d.strings("locale ids")?;
    Ok(match d.extension_object()?.0.standard() {
        // "A null or empty user token shall always be interpreted as anonymous."
        Some(0 | 321) => Some(Token::Anonymous),
        Some(324) => Some(Token::Username),
        Some(327) => Some(Token::Certificate),
        Some(940) => Some(Token::Issued),
        _ => None,
    })
}

/// UserTokenType. OPC 10000-4, 7.43.
pub(super) fn token_type(kind: u32) -> Option<Token> {
    [Token::Anonymous, Token::Username, Token::Certificate, Token::Issued].get(usize::try_from(kind).ok()?).copied()
}

/// Node and attribute of a ReadValueId. OPC 10000-4, 7.29.
fn read_value_id<'a>(d: &mut Decoder<'a>) -> Result<(NodeId<'a>, u32), ParseError> {
    let node = d.node_id()?;
    let attribute = d.r.le32("attribute id")?;
    d.string("index range")?;
    d.qualified_name()?;
    Ok((node, attribute))
}

/// What follows the header of a request.
pub(super) fn behind_request_header(mut d: Decoder<'_>) -> Result<Decoder<'_>, ParseError> {
    request_header(&mut d)?;
    Ok(d)
}

/// Reads each element of an array with its place, as many as the limits allow. Whether that was all of them.
fn each<'a>(
    d: &mut Decoder<'a>,
    limits: &Limits,
    mut read: impl FnMut(&mut Decoder<'a>, usize) -> Result<(), ParseError>,
) -> Result<bool, ParseError> {
    let count = d.count("array longer than the message")?;
    for at in 0..count.min(limits.elements) {
        read(d, at)?;
    }
    Ok(count <= limits.elements)
}

/// Reads the header of a response, behind its type id: the service result.
pub(super) fn response(d: &mut Decoder<'_>) -> Result<u32, ParseError> {
    response_header(d).map(|header| header.result)
}

/// The first status of a response in which every result is bad. A service with several items succeeds as a whole
/// even when each of them was refused.
pub(super) fn all_bad(service: Service, d: &mut Decoder<'_>, limits: &Limits) -> Result<Option<u32>, ParseError> {
    let Some(result) = result(service) else { return Ok(None) };
    let mut first = None;
    for _ in 0..d.count("results")?.min(limits.elements) {
        let status = result(d)?;
        if !is_bad(status) {
            return Ok(None);
        }
        first.get_or_insert(status);
    }
    Ok(first)
}

type ReadResult = fn(&mut Decoder<'_>) -> Result<u32, ParseError>;

/// How one result of a service is read: its status, and the rest skipped. OPC 10000-4, section 5.
fn result(service: Service) -> Option<ReadResult> {
    fn then(
        d: &mut Decoder<'_>,
        skip: impl FnOnce(&mut Decoder<'_>) -> Result<(), ParseError>,
    ) -> Result<u32, ParseError> {
        let status = d.r.le32("status")?;
        // What follows a good status is not needed: one good result settles the outcome.
        if is_bad(status) {
            skip(d)?;
        }
        Ok(status)
    }
    Some(match service {
        Service::READ => |d| d.data_value(),
        Service::WRITE
        | Service::ADD_REFERENCES
        | Service::DELETE_NODES
        | Service::DELETE_REFERENCES
        | Service::SET_MONITORING_MODE
        | Service::DELETE_MONITORED_ITEMS
        | Service::SET_PUBLISHING_MODE
        | Service::DELETE_SUBSCRIPTIONS => |d| d.r.le32("status"),
        Service::HISTORY_READ => |d| {
            then(d, |d| {
                d.string("continuation point")?;
                d.extension_object().map(|_| ())
            })
        },
        Service::HISTORY_UPDATE => |d| {
            then(d, |d| {
                d.array("operation results", |d| d.skip("status", 4))?;
                d.array("diagnostics", Decoder::diagnostic_info)
            })
        },
        Service::CALL => |d| {
            then(d, |d| {
                d.array("argument results", |d| d.skip("status", 4))?;
                d.array("diagnostics", Decoder::diagnostic_info)?;
                d.array("output arguments", Decoder::variant)
            })
        },
        Service::BROWSE | Service::BROWSE_NEXT => |d| {
            then(d, |d| {
                d.string("continuation point")?;
                // References behind a bad status are not foreseen; were there any, the walk would end here.
                let references = d.count("references")?;
                if references == 0 { Ok(()) } else { Err(d.invalid("references with a bad status")) }
            })
        },
        Service::TRANSLATE_BROWSE_PATHS => |d| {
            then(d, |d| {
                d.array("targets", |d| {
                    d.expanded_node_id()?;
                    d.skip("remaining path", 4)
                })
            })
        },
        Service::CREATE_MONITORED_ITEMS => |d| {
            then(d, |d| {
                d.skip("monitored item", 16)?;
                d.extension_object().map(|_| ())
            })
        },
        Service::MODIFY_MONITORED_ITEMS => |d| {
            then(d, |d| {
                d.skip("monitored item", 12)?;
                d.extension_object().map(|_| ())
            })
        },
        Service::ADD_NODES => |d| then(d, |d| d.node_id().map(|_| ())),
        Service::TRANSFER_SUBSCRIPTIONS => |d| then(d, |d| d.array("sequence numbers", |d| d.skip("number", 4))),
        _ => return None,
    })
}
