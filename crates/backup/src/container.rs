//! The form of the file: a beginning, frames, and a digest of everything at the end.
//!
//! ```text
//! "greenroom-backup"  16 bytes
//! format              u32, little-endian
//! frames              kind: u8, length: u32 little-endian, and so many bytes:
//!   H  the header, JSON; first
//!   F  a file begins: its name
//!   L  bytes of it: u32 of how many there are, and these as a block of LZ4
//!   R  bytes of it as they are, where LZ4 made nothing of them
//!   M  the manifest, JSON; after all files
//!   Z  SHA-256 of everything before this frame; last
//! ```
//!
//! Sizes and digests stand at the end because a stream is never gone back in: a backup goes over
//! HTTP or to a store while it is made.

use std::io::{self, Read, Write};

use ring::digest::{Context, SHA256, SHA256_OUTPUT_LEN};

use crate::{
    error::BackupError,
    manifest::{Header, Manifest, PackedFile},
};

/// The version of the form.
pub const FORMAT_VERSION: u32 = 1;

const MAGIC: &[u8; 16] = b"greenroom-backup";

/// Bytes of a file that are compressed together.
pub(crate) const BLOCK_BYTES: usize = 512 * 1024;

/// Longest frame that is read: a block of which LZ4 made nothing, with room.
const FRAME_BYTES_MAX: u32 = 1024 * 1024;

/// Most files in a backup.
const FILES_MAX: usize = 64;

/// Longest name of a file.
const NAME_BYTES_MAX: usize = 128;

const HEADER: u8 = b'H';
const FILE: u8 = b'F';
const LZ4: u8 = b'L';
const RAW: u8 = b'R';
const MANIFEST: u8 = b'M';
const END: u8 = b'Z';

/// Writes a backup.
pub(crate) struct Writer<W> {
    out: W,
    digest: Context,
    written_bytes: u64,
    header: Header,
    files: Vec<PackedFile>,
    compressed: Vec<u8>,
}

impl<W: Write> Writer<W> {
    pub(crate) fn new(out: W, header: Header) -> io::Result<Self> {
        let digest = Context::new(&SHA256);
        let mut writer =
            Self { out, digest, written_bytes: 0, header, files: Vec::new(), compressed: Vec::new() };
        writer.write(MAGIC)?;
        writer.write(&FORMAT_VERSION.to_le_bytes())?;
        let header = serde_json::to_vec(&writer.header)?;
        writer.frame(HEADER, &[&header])?;
        Ok(writer)
    }

    /// Begins a file; [`block`](Self::block) adds to it.
    pub(crate) fn begin(&mut self, name: &str) -> io::Result<FileDigest> {
        self.frame(FILE, &[name.as_bytes()])?;
        Ok(FileDigest { name: name.to_owned(), bytes: 0, digest: Context::new(&SHA256) })
    }

    /// Adds `bytes`, at most [`BLOCK_BYTES`], to `file`.
    pub(crate) fn block(&mut self, file: &mut FileDigest, bytes: &[u8]) -> io::Result<()> {
        file.digest.update(bytes);
        file.bytes += bytes.len() as u64;
        let mut compressed = std::mem::take(&mut self.compressed);
        compressed.resize(lz4_flex::block::get_maximum_output_size(bytes.len()), 0);
        let length = lz4_flex::block::compress_into(bytes, &mut compressed).map_err(io::Error::other)?;
        let written = if length < bytes.len() {
            self.frame(LZ4, &[&(bytes.len() as u32).to_le_bytes(), &compressed[..length]])
        } else {
            self.frame(RAW, &[bytes])
        };
        self.compressed = compressed;
        written
    }

    /// Ends `file`.
    pub(crate) fn end(&mut self, file: FileDigest) {
        let sha256 = hexadecimal(file.digest.finish().as_ref());
        self.files.push(PackedFile { name: file.name, bytes: file.bytes, sha256 });
    }

    /// Writes the end. Gives back what it was written to, the manifest, and the bytes of all.
    pub(crate) fn finish(mut self) -> io::Result<(W, Manifest, u64)> {
        let manifest = Manifest { header: self.header.clone(), files: std::mem::take(&mut self.files) };
        let json = serde_json::to_vec(&manifest)?;
        self.frame(MANIFEST, &[&json])?;
        let digest = self.digest.clone().finish();
        self.frame(END, &[digest.as_ref()])?;
        self.out.flush()?;
        Ok((self.out, manifest, self.written_bytes))
    }

    fn frame(&mut self, kind: u8, parts: &[&[u8]]) -> io::Result<()> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let mut head = [kind, 0, 0, 0, 0];
        head[1..].copy_from_slice(&(length as u32).to_le_bytes());
        self.write(&head)?;
        parts.iter().try_for_each(|part| self.write(part))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.digest.update(bytes);
        self.written_bytes += bytes.len() as u64;
        self.out.write_all(bytes)
    }
}

/// A file that is being written.
pub(crate) struct FileDigest {
    name: String,
    bytes: u64,
    digest: Context,
}

/// What is done with what a backup has.
pub(crate) trait Visitor {
    /// A file of this name begins. It has been checked that the name stays within a folder.
    fn begin(&mut self, name: &str) -> Result<(), BackupError>;
    /// More of it. Not yet checked.
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), BackupError>;
    /// It has ended.
    fn end(&mut self) -> Result<(), BackupError>;
}

/// Reads a whole backup and tells `visitor` what is in it. Only an `Ok` at the end says that what it
/// was told is what was packed.
pub(crate) fn read(input: impl Read, visitor: &mut impl Visitor) -> Result<Manifest, BackupError> {
    let mut reader = Reader { input, digest: Context::new(&SHA256), frame: Vec::new() };
    let header = reader.beginning()?;
    let mut files: Vec<PackedFile> = Vec::new();
    let mut open: Option<FileDigest> = None;
    let mut block = Vec::new();
    loop {
        let kind = reader.frame()?;
        if matches!(kind, FILE | MANIFEST)
            && let Some(FileDigest { name, bytes, digest }) = open.take()
        {
            visitor.end()?;
            files.push(PackedFile { name, bytes, sha256: hexadecimal(digest.finish().as_ref()) });
        }
        let bytes: &[u8] = match kind {
            FILE => {
                let name = checked_name(&reader.frame, &files)?;
                visitor.begin(&name)?;
                open = Some(FileDigest { name, bytes: 0, digest: Context::new(&SHA256) });
                continue;
            }
            LZ4 => {
                decompress(&reader.frame, &mut block)?;
                &block
            }
            RAW => &reader.frame,
            MANIFEST => {
                let manifest: Manifest = serde_json::from_slice(&reader.frame)
                    .map_err(|_| BackupError::damaged("its manifest cannot be read"))?;
                if manifest.header != header || manifest.files != files {
                    return Err(BackupError::damaged("what is in it is not what its manifest says"));
                }
                reader.end()?;
                return Ok(manifest);
            }
            END => return Err(BackupError::damaged("it ends without a manifest")),
            _ => return Err(BackupError::damaged("it has a part of an unknown kind")),
        };
        let Some(file) = &mut open else {
            return Err(BackupError::damaged("it has bytes that are of no file"));
        };
        file.digest.update(bytes);
        file.bytes += bytes.len() as u64;
        visitor.bytes(bytes)?;
    }
}

struct Reader<R> {
    input: R,
    digest: Context,
    frame: Vec<u8>,
}

impl<R: Read> Reader<R> {
    fn beginning(&mut self) -> Result<Header, BackupError> {
        let mut magic = [0; MAGIC.len()];
        self.exact(&mut magic)?;
        if magic != *MAGIC {
            return Err(BackupError::damaged("it does not begin like one"));
        }
        let mut format = [0; 4];
        self.exact(&mut format)?;
        let found = u32::from_le_bytes(format);
        let kind = self.frame()?;
        let header: Option<Header> = serde_json::from_slice(&self.frame).ok();
        match header {
            Some(header) if kind == HEADER && found == FORMAT_VERSION => Ok(header),
            Some(header) if kind == HEADER && found > FORMAT_VERSION => {
                Err(BackupError::TooNew { found, known: FORMAT_VERSION, program: header.program })
            }
            _ => Err(BackupError::damaged("its header cannot be read")),
        }
    }

    /// Reads a frame into `self.frame`; gives its kind.
    fn frame(&mut self) -> Result<u8, BackupError> {
        let mut head = [0; 5];
        self.exact(&mut head)?;
        let [kind, length @ ..] = head;
        let length = u32::from_le_bytes(length);
        if length > FRAME_BYTES_MAX {
            return Err(BackupError::damaged("it has a part that is longer than any"));
        }
        let mut frame = std::mem::take(&mut self.frame);
        frame.resize(length as usize, 0);
        let read = self.exact(&mut frame);
        self.frame = frame;
        read.map(|()| kind)
    }

    /// Reads the last frame, and that nothing comes after it.
    fn end(&mut self) -> Result<(), BackupError> {
        let digest = self.digest.clone().finish();
        let kind = self.frame()?;
        if kind != END || self.frame.len() != SHA256_OUTPUT_LEN || self.frame != digest.as_ref() {
            return Err(BackupError::damaged("it was altered: its digest is another one"));
        }
        match self.input.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(BackupError::damaged("something stands behind its end")),
            Err(cause) => Err(BackupError::unreadable("the backup")(cause)),
        }
    }

    fn exact(&mut self, bytes: &mut [u8]) -> Result<(), BackupError> {
        self.input.read_exact(bytes).map_err(|cause| match cause.kind() {
            io::ErrorKind::UnexpectedEof => BackupError::damaged("it is cut short"),
            _ => BackupError::unreadable("the backup")(cause),
        })?;
        self.digest.update(bytes);
        Ok(())
    }
}

fn decompress(frame: &[u8], block: &mut Vec<u8>) -> Result<(), BackupError> {
    let altered = || BackupError::damaged("it was altered: a block cannot be decompressed");
    let (length, compressed) = frame.split_first_chunk::<4>().ok_or_else(altered)?;
    let length = u32::from_le_bytes(*length) as usize;
    if length > BLOCK_BYTES {
        return Err(altered());
    }
    block.resize(length, 0);
    match lz4_flex::block::decompress_into(compressed, block) {
        Ok(read) if read == length => Ok(()),
        _ => Err(altered()),
    }
}

/// A name that stays within a folder: whoever made the file may not choose where it is put.
fn checked_name(bytes: &[u8], files: &[PackedFile]) -> Result<String, BackupError> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let name = std::str::from_utf8(bytes).ok().filter(|name| {
        !name.is_empty()
            && name.len() <= NAME_BYTES_MAX
            && !name.starts_with('.')
            && name.as_bytes().iter().all(is_plain)
    });
    let Some(name) = name else { return Err(BackupError::damaged("it has a file of an impossible name")) };
    if files.len() >= FILES_MAX || files.iter().any(|file| file.name == name) {
        return Err(BackupError::damaged("it has a file twice, or too many"));
    }
    Ok(name.to_owned())
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _always_fits = write!(text, "{byte:02x}");
        text
    })
}
