//! The layer that is read, and those that wait for it.

use std::path::PathBuf;

use bytes::Bytes;

use super::digested::Receipt;
use super::error::ArchiveError;
use super::filter::{Filter, Filtered};
use super::folder::{FolderReader, How};
use super::layer::LayerReader;
use super::oci::LayerBlob;
use super::reader::{ArchiveReader, Opened};
use super::rootfs::Item;
use crate::pool::Pool;

/// A layer that has not begun.
pub(super) enum Waiting {
    /// And its place among the inputs, where it is to be digested.
    Tar(Opened, Option<usize>),
    /// Its bytes go to a command: what is read is the command's.
    Filtered(Opened, Filter, Option<usize>),
    Reader(Box<ArchiveReader>),
    Layer(LayerBlob),
    /// And its place among the inputs.
    Folder(PathBuf, How, usize),
}

/// The layer under way.
pub(super) enum Layer {
    Tar(Box<ArchiveReader>),
    Filtered(Box<Filtered>),
    Image(Box<LayerReader>),
    /// And its place among the inputs.
    Folder(Box<FolderReader>, usize),
}

impl Waiting {
    /// Bytes that it will read, where that is known.
    pub(super) fn len(&self) -> Option<u64> {
        match self {
            Self::Tar(opened, _) => opened.total,
            Self::Reader(reader) => reader.progress().1,
            Self::Layer(layer) => Some(layer.size),
            Self::Folder(..) | Self::Filtered(..) => None,
        }
    }

    pub(super) fn begin(
        self,
        pool: &Pool,
        cancelled: fn() -> bool,
    ) -> Result<(Layer, Option<(usize, Receipt)>), ArchiveError> {
        let layer = match self {
            Self::Tar(opened, Some(nr)) => {
                let (reader, receipt) = opened.start_digested()?;
                return Ok((Layer::Tar(Box::new(reader)), Some((nr, receipt))));
            }
            Self::Tar(opened, None) => Layer::Tar(Box::new(opened.start()?)),
            Self::Filtered(opened, filter, nr) => {
                let (layer, receipt) = Filtered::start(opened, &filter, cancelled, nr.is_some())?;
                return Ok((Layer::Filtered(Box::new(layer)), nr.zip(receipt)));
            }
            Self::Reader(reader) => Layer::Tar(reader),
            Self::Layer(layer) => Layer::Image(Box::new(LayerReader::open(layer, pool)?)),
            Self::Folder(path, how, nr) => {
                Layer::Folder(Box::new(FolderReader::open(&path, how)?), nr)
            }
        };
        Ok((layer, None))
    }
}

impl Layer {
    /// From now on reading ends when `cancelled` says so.
    pub(super) fn stop_when(&mut self, cancelled: fn() -> bool) {
        match self {
            Self::Tar(tar) => tar.stop_when(cancelled),
            Self::Filtered(tar) => tar.tar().stop_when(cancelled),
            Self::Image(layer) => layer.stop_when(cancelled),
            // Whoever reads it is asked between two files.
            Self::Folder(..) => {}
        }
    }

    pub(super) fn next_item(&mut self) -> Result<Option<Item>, ArchiveError> {
        match self {
            Self::Tar(tar) => Ok(tar.next_entry()?.map(Item::Entry)),
            Self::Filtered(tar) => Ok(tar.next_entry()?.map(Item::Entry)),
            Self::Image(layer) => layer.next_item(),
            Self::Folder(folder, _) => Ok(folder.next_entry()?.map(Item::Entry)),
        }
    }

    pub(super) fn next_data(&mut self) -> Result<Option<Bytes>, ArchiveError> {
        match self {
            Self::Tar(tar) => tar.next_data(),
            Self::Filtered(tar) => tar.next_data(),
            Self::Image(layer) => layer.next_data(),
            Self::Folder(folder, _) => Ok(folder.next_data()?),
        }
    }

    pub(super) fn progress(&self) -> u64 {
        match self {
            Self::Tar(tar) => tar.progress().0,
            Self::Filtered(tar) => tar.progress(),
            Self::Image(layer) => layer.progress(),
            Self::Folder(folder, _) => folder.progress(),
        }
    }

    pub(super) fn take_warnings(&mut self) -> Vec<String> {
        match self {
            Self::Tar(tar) => tar.take_warnings(),
            Self::Filtered(tar) => tar.tar().take_warnings(),
            Self::Image(layer) => layer.take_warnings(),
            Self::Folder(folder, _) => folder.take_warnings(),
        }
    }
}
