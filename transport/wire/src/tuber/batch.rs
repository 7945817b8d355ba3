//! Writing of requests. A request asks a server for one thing, such as the call of a method. A
//! batch is a list of requests in one message. The requests are written directly into a buffer that
//! is reused.

use bytes::{Bytes, BytesMut};

use super::emit::{Encode, Slot};
use super::format::Format;
use super::keys;
use super::put::{ARRAY, MAP, OPEN_ARRAY, put_key, put_null, put_str, set_head};

/// Object of a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Object<'a> {
    /// An object by its name, one of those that [`BatchWriter::list_objects`] asks for.
    Name(&'a str),
    /// An object inside another one. Each step is an attribute, or an item of a container that is
    /// an attribute.
    Path(&'a [Step<'a>]),
}

impl<'a> From<&'a str> for Object<'a> {
    fn from(name: &'a str) -> Self {
        Object::Name(name)
    }
}

impl<'a> From<&'a [Step<'a>]> for Object<'a> {
    fn from(path: &'a [Step<'a>]) -> Self {
        Object::Path(path)
    }
}

/// One step of a path to an object.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step<'a> {
    /// An attribute.
    Attribute(&'a str),
    /// The item of a container at a position from 0. The container is this attribute.
    Item(&'a str, u64),
    /// The item of a container with a key. The container is this attribute.
    Key(&'a str, &'a str),
    /// An item of nested containers. Each index selects an item one level deeper.
    Items(&'a str, &'a [Index<'a>]),
}

/// Index of an item of a container.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Index<'a> {
    /// The item at a position, counted from 0.
    At(u64),
    /// The item under a key.
    Under(&'a str),
}

/// Writer of a batch of requests.
///
/// Calls are written directly into one buffer. No call allocates memory once the buffer has grown
/// to the size of a batch. The memory of a batch is reused after its body was sent and dropped.
///
/// ```
/// use twotone_wire::tuber::{BatchWriter, Format};
///
/// let mut batch = BatchWriter::new(Format::Json);
/// batch.call("Dfmux", "set_frequency").arg(1e6).kwarg("channel", 1).kwarg("module", 1);
/// batch.property("Dfmux", "UNITS");
/// assert_eq!(batch.calls(), 2);
/// let body = batch.finish();
/// assert!(body.starts_with(br#"[{"object":"Dfmux","method":"set_frequency","args":[1000000.0]"#));
/// ```
#[derive(Debug)]
pub struct BatchWriter {
    format: Format,
    buffer: BytesMut,
    calls: usize,
    /// Position and number of keys of the request that is being written.
    request: Option<(usize, u64)>,
    list: Option<List>,
}

#[derive(Debug)]
struct List {
    head: usize,
    count: u64,
    major: u8,
}

impl BatchWriter {
    /// Creates a writer of a batch that is empty.
    pub fn new(format: Format) -> Self {
        Self {
            format,
            buffer: BytesMut::new(),
            calls: 0,
            request: None,
            list: None,
        }
    }

    /// Drops all requests since the last [`BatchWriter::finish`] and starts a new batch.
    pub fn begin(&mut self, format: Format) {
        self.format = format;
        self.buffer.clear();
        self.calls = 0;
        self.request = None;
        self.list = None;
    }

    /// Format in which the batch is written.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Number of requests written so far. The answer has as many elements.
    pub fn calls(&self) -> usize {
        self.calls
    }

    /// Length of the batch so far, in bytes.
    pub fn bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Adds a call of a method. Arguments are added to the returned [`Call`]: positional ones
    /// first, then named ones.
    pub fn call<'a>(&mut self, object: impl Into<Object<'a>>, method: &str) -> Call<'_> {
        self.open_request();
        self.object(object.into());
        self.key(keys::METHOD);
        put_str(self.format, &mut self.buffer, method);
        Call(self)
    }

    /// Asks for the value of a property, or for the description of a method by its name.
    pub fn property<'a>(&mut self, object: impl Into<Object<'a>>, property: &str) {
        self.open_request();
        self.object(object.into());
        self.key(keys::PROPERTY);
        put_str(self.format, &mut self.buffer, property);
    }

    /// Asks for the full description of an object.
    pub fn resolve<'a>(&mut self, object: impl Into<Object<'a>>) {
        self.open_request();
        self.object(object.into());
        self.key(keys::RESOLVE);
        Slot::new(self.format, &mut self.buffer).bool(true);
    }

    /// Asks for the names of the server's objects.
    pub fn list_objects(&mut self) {
        self.open_request();
    }

    /// Ends the batch, returns its body, and starts an empty batch in the same format.
    ///
    /// This writer reuses the memory of the body after the body was dropped.
    pub fn finish(&mut self) -> Bytes {
        self.close_request();
        self.open_batch();
        match self.format {
            Format::Json => self.buffer.extend_from_slice(b"]"),
            Format::Cbor => {
                let count = u32::try_from(self.calls).unwrap_or(u32::MAX);
                self.buffer[1..5].copy_from_slice(&count.to_be_bytes());
            }
        }
        let body = self.buffer.split().freeze();
        self.begin(self.format);
        body
    }

    /// Writes the head of the batch. This is done with the first request and not in
    /// [`BatchWriter::begin`]: the first write checks if the memory of the last body can be reused.
    /// The later this check is made, the more likely the last body has been dropped.
    fn open_batch(&mut self) {
        if self.buffer.is_empty() {
            // In CBOR, [`BatchWriter::finish`] sets the length, so the head has a field of 32 bits.
            self.buffer.extend_from_slice(match self.format {
                Format::Json => b"[",
                Format::Cbor => &OPEN_ARRAY,
            });
        }
    }

    fn open_request(&mut self) {
        self.close_request();
        self.open_batch();
        if self.format == Format::Json && self.calls > 0 {
            self.buffer.extend_from_slice(b",");
        }
        self.calls += 1;
        self.request = Some((self.buffer.len(), 0));
        self.buffer.extend_from_slice(match self.format {
            Format::Json => b"{",
            Format::Cbor => &[MAP],
        });
    }

    fn close_request(&mut self) {
        self.close_list();
        let Some((head, keys)) = self.request.take() else {
            return;
        };
        match self.format {
            Format::Json => self.buffer.extend_from_slice(b"}"),
            Format::Cbor => set_head(&mut self.buffer, head, MAP, keys),
        }
    }

    /// Writes a key of the request.
    fn key(&mut self, key: &str) {
        if let Some((_, keys)) = &mut self.request {
            *keys += 1;
            if self.format == Format::Json && *keys > 1 {
                self.buffer.extend_from_slice(b",");
            }
            put_key(self.format, &mut self.buffer, key);
        }
    }

    fn object(&mut self, object: Object<'_>) {
        self.key(keys::OBJECT);
        let slot = Slot::new(self.format, &mut self.buffer);
        match object {
            Object::Name(name) => slot.str(name),
            Object::Path(path) => {
                let mut steps = slot.seq();
                for step in path {
                    let one;
                    let (name, indices) = match step {
                        Step::Attribute(name) => {
                            steps.item().str(name);
                            continue;
                        }
                        Step::Item(name, index) => {
                            one = [Index::At(*index)];
                            (name, &one[..])
                        }
                        Step::Key(name, key) => {
                            one = [Index::Under(key)];
                            (name, &one[..])
                        }
                        Step::Items(name, indices) => (name, *indices),
                    };
                    let mut parts = steps.item().seq();
                    parts.item().str(name);
                    for index in indices {
                        match index {
                            Index::At(position) => parts.item().u64(*position),
                            Index::Under(key) => parts.item().str(key),
                        }
                    }
                }
            }
        }
    }

    /// Counts an argument, and opens its list unless it is open. `major`, a major type of CBOR,
    /// selects the list: `args` or `kwargs`. Returns true if the list was opened.
    fn count_argument(&mut self, major: u8) -> bool {
        if let Some(list) = &mut self.list
            && list.major == major
        {
            list.count += 1;
            return false;
        }
        self.close_list();
        self.key(if major == MAP {
            keys::KWARGS
        } else {
            keys::ARGS
        });
        self.list = Some(List {
            head: self.buffer.len(),
            count: 1,
            major,
        });
        self.buffer.extend_from_slice(match (self.format, major) {
            (Format::Json, MAP) => b"{",
            (Format::Json, _) => b"[",
            (Format::Cbor, MAP) => &[MAP],
            (Format::Cbor, _) => &[ARRAY],
        });
        true
    }

    fn close_list(&mut self) {
        let Some(list) = self.list.take() else { return };
        match self.format {
            Format::Json if list.major == MAP => self.buffer.extend_from_slice(b"}"),
            Format::Json => self.buffer.extend_from_slice(b"]"),
            Format::Cbor => set_head(&mut self.buffer, list.head, list.major, list.count),
        }
    }

    fn value(&mut self, value: impl Encode) {
        let before = self.buffer.len();
        value.encode(Slot::new(self.format, &mut self.buffer));
        if self.buffer.len() == before {
            put_null(self.format, &mut self.buffer);
        }
    }
}

/// A call to which arguments can be added. The call is complete even if no argument is added.
#[derive(Debug)]
pub struct Call<'w>(&'w mut BatchWriter);

impl<'w> Call<'w> {
    /// Adds a positional argument.
    #[expect(
        clippy::return_self_not_must_use,
        reason = "the argument is written at once"
    )]
    pub fn arg(self, value: impl Encode) -> Self {
        if !self.0.count_argument(ARRAY) && self.0.format == Format::Json {
            self.0.buffer.extend_from_slice(b",");
        }
        self.0.value(value);
        self
    }

    /// Adds a named argument. After it, only named arguments can be added.
    pub fn kwarg(self, name: &str, value: impl Encode) -> Kwargs<'w> {
        Kwargs(self.0).kwarg(name, value)
    }
}

/// A call to which only named arguments can be added.
#[derive(Debug)]
pub struct Kwargs<'w>(&'w mut BatchWriter);

impl Kwargs<'_> {
    /// Adds a named argument. The caller must not use a name twice.
    #[expect(
        clippy::return_self_not_must_use,
        reason = "the argument is written at once"
    )]
    pub fn kwarg(self, name: &str, value: impl Encode) -> Self {
        if !self.0.count_argument(MAP) && self.0.format == Format::Json {
            self.0.buffer.extend_from_slice(b",");
        }
        put_key(self.0.format, &mut self.0.buffer, name);
        self.0.value(value);
        self
    }
}
