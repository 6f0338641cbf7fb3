//! The elements of an XML document, one after the other, in bounded memory.
//!
//! No entity but the five of XML itself and characters by number is ever replaced, none that the document declares, and
//! no file or address that it names is opened.

use std::io::{self, BufRead, Read};

use quick_xml::{
    Error, Reader, XmlVersion,
    events::{BytesStart, Event},
};

use super::record::{Unread, Why, short};

/// The longest tag, text or comment that is read, in bytes. Plugins of Nessus print megabytes.
pub(super) const LONGEST_PIECE: usize = 4 * 1024 * 1024;
/// No document that is read here goes deeper than ten.
const DEEPEST: usize = 64;
/// No element that is read here has more than twenty.
const MOST_ATTRIBUTES: usize = 64;

/// What comes next in a document.
#[derive(Debug)]
pub(super) enum Node {
    Open(Tag),
    /// Only while [`Xml::texts`] is set.
    Text(String),
    /// The end of the element that was opened last and not yet closed.
    Close,
}

/// The beginning of an element.
#[derive(Debug)]
pub(super) struct Tag {
    pub(super) name: String,
    /// From 1.
    pub(super) line: u64,
    /// 1 for the root.
    pub(super) depth: usize,
    attributes: Vec<(String, String)>,
}

impl Tag {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn require(&self, name: &'static str) -> Result<&str, Why> {
        self.get(name).ok_or(Why::Missing(name))
    }
}

pub(super) struct Xml<R> {
    reader: Reader<Bounded<R>>,
    buffer: Vec<u8>,
    depth: usize,
    root: &'static str,
    /// Whether texts are told.
    pub(super) texts: bool,
    begun: bool,
    ended: bool,
}

impl<R: BufRead> Xml<R> {
    /// A document whose root element must have this name.
    pub(super) fn new(reader: R, root: &'static str) -> Self {
        let mut reader = Reader::from_reader(Bounded {
            inner: reader,
            line: 1,
            left: LONGEST_PIECE,
        });
        reader.config_mut().expand_empty_elements = true;
        Self {
            reader,
            buffer: Vec::new(),
            depth: 0,
            root,
            texts: false,
            begun: false,
            ended: false,
        }
    }

    /// The line that has been reached.
    pub(super) fn line(&self) -> u64 {
        self.reader.get_ref().line
    }

    fn node(&mut self) -> Result<Option<Node>, Why> {
        loop {
            self.reader.get_mut().left = LONGEST_PIECE;
            let line = self.line();
            self.buffer.clear();
            let event = match self.reader.read_event_into(&mut self.buffer) {
                Ok(event) => event,
                Err(error) => return Err(why(&error, self.reader.get_mut())),
            };
            match event {
                Event::Start(start) => {
                    self.depth += 1;
                    if self.depth > DEEPEST {
                        return Err(Why::TooDeep);
                    }
                    let tag = tag(&start, line, self.depth);
                    if self.depth == 1 {
                        self.begun = true;
                        if tag.name != self.root {
                            return Err(Why::value("the root element of such a document", &tag.name));
                        }
                    }
                    return Ok(Some(Node::Open(tag)));
                }
                Event::End(_) => {
                    self.depth = self.depth.saturating_sub(1);
                    return Ok(Some(Node::Close));
                }
                Event::Text(text) if self.texts => {
                    return Ok(Some(Node::Text(text.into_inner().into_owned())));
                }
                Event::Eof if self.depth > 0 || !self.begun => return Err(Why::CutOff),
                Event::Eof => return Ok(None),
                _ => {}
            }
        }
    }
}

impl<R: BufRead> Iterator for Xml<R> {
    type Item = Result<Node, Unread>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let node = self.node().transpose()?;
        let line = self.line();
        self.ended = node.is_err();
        Some(node.map_err(|why| Unread { line, why }))
    }
}

fn tag(start: &BytesStart<'_>, line: u64, depth: usize) -> Tag {
    let mut attributes = start.attributes();
    // Its check for names that occur twice takes the square of their number.
    let attributes = attributes.with_checks(false).take(MOST_ATTRIBUTES).flatten();
    let attributes = attributes.filter_map(|attribute| {
        let value = attribute.normalized_value(XmlVersion::Implicit1_0).ok()?;
        Some((attribute.key.as_ref().to_owned(), value.into_owned()))
    });
    Tag {
        name: start.name().as_ref().to_owned(),
        line,
        depth,
        attributes: attributes.collect(),
    }
}

fn why<R: BufRead>(error: &Error, reader: &mut Bounded<R>) -> Why {
    if reader.left == 0 {
        return Why::Xml(short("an element or a text of more than 4 MiB"));
    }
    match error {
        Error::Io(error) => Why::Reading(short(&error.to_string())),
        Error::Syntax(_) if reader.inner.fill_buf().is_ok_and(<[u8]>::is_empty) => Why::CutOff,
        error => Why::Xml(short(&error.to_string())),
    }
}

/// A reader that counts lines and gives no more than the bytes of one piece.
struct Bounded<R> {
    inner: R,
    line: u64,
    left: usize,
}

impl<R: BufRead> Read for Bounded<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut piece = self.fill_buf()?;
        let length = piece.read(out)?;
        self.consume(length);
        Ok(length)
    }
}

impl<R: BufRead> BufRead for Bounded<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let left = self.left;
        let piece = self.inner.fill_buf()?;
        if left == 0 && !piece.is_empty() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(piece.get(..left).unwrap_or(piece))
    }

    fn consume(&mut self, amount: usize) {
        if let Ok(piece) = self.inner.fill_buf() {
            let taken = piece.get(..amount).unwrap_or(piece);
            self.line += taken.iter().filter(|byte| **byte == b'\n').count() as u64;
        }
        self.left = self.left.saturating_sub(amount);
        self.inner.consume(amount);
    }
}
