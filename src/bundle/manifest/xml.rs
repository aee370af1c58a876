//! The little of XML that a manifest has: elements, attributes, text.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};
use std::borrow::Cow;
use std::ops::Range;

use crate::units::index;

/// A manifest has five levels.
const MAX_DEPTH: usize = 16;

/// What is wrong with an XML document, and where.
#[derive(Debug, thiserror::Error)]
#[error("byte {at}: {why}")]
pub struct XmlError {
    /// Byte of the document.
    pub at: u64,
    /// What is wrong.
    pub why: String,
}

/// An element.
#[derive(Debug, Default)]
pub(super) struct Element {
    pub(super) name: String,
    /// Names and values, in order.
    pub(super) attributes: Vec<(String, String)>,
    pub(super) children: Vec<Self>,
    /// All text directly in it, joined.
    pub(super) text: String,
    /// From the `<` of its start to the `>` of its end.
    pub(super) span: Range<usize>,
}

impl Element {
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |c| c.name == name)
    }

    /// As REXML writes it: attributes in single quotes, nothing between elements.
    pub(super) fn canonical(&self, out: &mut String) {
        out.push('<');
        out.push_str(&self.name);
        for (name, value) in &self.attributes {
            out.extend([" ", name, "='", &escaped(value), "'"]);
        }
        if self.children.is_empty() && self.text.trim().is_empty() {
            out.push_str("/>");
            return;
        }
        out.push('>');
        out.push_str(&escaped(self.text.trim()));
        for child in &self.children {
            child.canonical(out);
        }
        out.extend(["</", &self.name, ">"]);
    }
}

/// `text` as REXML escapes it.
pub(super) fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return text.into();
    }
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let text = text.replace('>', "&gt;").replace('"', "&quot;");
    text.replace('\'', "&apos;").into()
}

/// Reads a document and gives its root.
pub(super) fn parse(text: &str) -> Result<Element, XmlError> {
    let mut reader = Reader::from_str(text);
    // The document itself, as an element around the root.
    let mut open = vec![Element::default()];
    loop {
        let before = reader.buffer_position();
        let fail = |why: String| XmlError { at: before, why };
        let event = reader.read_event().map_err(|e| XmlError {
            at: reader.error_position(),
            why: e.to_string(),
        })?;
        let after = index(reader.buffer_position());
        let inside = open.last_mut().expect("the document is closed by nothing");
        match event {
            Event::Start(tag) => {
                if open.len() > MAX_DEPTH {
                    return Err(fail("elements are nested too deep for a manifest".into()));
                }
                open.push(element(&tag, index(before)..after).map_err(fail)?);
            }
            Event::Empty(tag) => {
                let empty = element(&tag, index(before)..after).map_err(fail)?;
                inside.children.push(empty);
            }
            Event::End(_) => {
                // The reader pairs tags: an end without a start is its error.
                let Some(mut closed) = open.pop().filter(|_| !open.is_empty()) else {
                    return Err(fail("an element ends that never began".into()));
                };
                closed.span.end = after;
                let outer = open.last_mut().expect("just looked at");
                outer.children.push(closed);
            }
            Event::Text(t) => inside.text.push_str(&t.xml10_content()),
            Event::CData(t) => inside.text.push_str(&t.xml10_content()),
            Event::GeneralRef(entity) => {
                if let Some(c) = entity.resolve_char_ref().map_err(|e| fail(e.to_string()))? {
                    inside.text.push(c);
                } else {
                    let name = entity.xml10_content();
                    let known = resolve_predefined_entity(&name);
                    let known = known.ok_or_else(|| fail(format!("unknown entity `{name}`")))?;
                    inside.text.push_str(known);
                }
            }
            Event::DocType(_) => {
                return Err(fail("a manifest has no document type".into()));
            }
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::Eof => break,
        }
    }
    let end = || XmlError {
        at: reader.buffer_position(),
        why: "the document ends too early".into(),
    };
    let document = open.pop().filter(|_| open.is_empty()).ok_or_else(end)?;
    let [root] = <[Element; 1]>::try_from(document.children).map_err(|_| XmlError {
        at: 0,
        why: "a document has one element at its root".into(),
    })?;
    Ok(root)
}

fn element(tag: &BytesStart<'_>, span: Range<usize>) -> Result<Element, String> {
    let mut attributes = Vec::new();
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(|e| e.to_string())?;
        let version = quick_xml::XmlVersion::default();
        let value = attribute.normalized_value(version);
        let value = value.map_err(|e| e.to_string())?;
        attributes.push((attribute.key.0.to_owned(), value.into_owned()));
    }
    Ok(Element {
        name: tag.name().0.to_owned(),
        attributes,
        span,
        ..Element::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_attributes_text_and_references_are_read() {
        let text = "<?xml version='1.0'?><!-- x --><a b=\"1&amp;2\"> <c>x&lt;&#65;<![CDATA[<]]></c><d/></a>";
        let a = parse(text).unwrap();
        assert_eq!((a.name.as_str(), a.attribute("b")), ("a", Some("1&2")));
        let c = a.named("c").next().unwrap();
        assert_eq!(c.text, "x<A<");
        assert_eq!(&text[c.span.clone()], "<c>x&lt;&#65;<![CDATA[<]]></c>");
        let mut out = String::new();
        a.canonical(&mut out);
        assert_eq!(out, "<a b='1&amp;2'><c>x&lt;A&lt;</c><d/></a>");
    }

    #[test]
    fn what_is_no_document_is_told_with_its_place() {
        for text in [
            "",
            "x",
            "<a>",
            "<a></b>",
            "</a>",
            "<a/><b/>",
            "<!DOCTYPE a><a/>",
            "<a>&x;</a>",
            "<a b></a>",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        let deep = "<a>".repeat(100_000);
        assert!(parse(&deep).unwrap_err().to_string().contains("too deep"));
    }
}
