//! The state folder as a place: who may write in it, and files in it that nobody else has planted.
//!
//! Owns: modes, owners, and the refusal to follow a link inside the folder; the folder itself may be one. What
//! others may only read is told by `tallyd check` and otherwise left as it is: whoever made the folder may have
//! had a reason. Refuses a folder in which somebody else could exchange a file under our hands. Fails with
//! [`LedgerError`], which names the folder or the file.

use super::LedgerError;
use rustix::fs::OFlags;
use rustix::process::geteuid;
use std::fs::{DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Everybody may write.
const WORLD_WRITABLE: u32 = 0o002;
/// Anybody but the owner may do anything.
const OTHERS: u32 = 0o077;
/// Mode of a file that is the owner's alone.
const OWN: u32 = 0o600;

const LINK: &str = "it is a symbolic link, and in the state folder none is followed";

/// Makes the folder, mode 0700, where it is missing; refuses one that others could plant files in.
pub(super) fn make(folder: &Path) -> Result<(), LedgerError> {
    let failed = |source| LedgerError::folder(folder, source);
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    match exposure(&std::fs::metadata(folder).map_err(failed)?, geteuid().as_raw()) {
        Some(why) => Err(LedgerError::Exposed { path: folder.to_owned(), why }),
        None => Ok(()),
    }
}

/// Who else could exchange files in a folder that `user` keeps a ledger in. Root owns every machine that it is
/// on, and may keep a ledger in anybody's folder: containers do.
fn exposure(folder: &Metadata, user: u32) -> Option<String> {
    let owner = folder.uid();
    if folder.mode() & WORLD_WRITABLE != 0 {
        Some("everybody may write in it".to_owned())
    } else if user != 0 && owner != 0 && owner != user {
        Some(format!("it belongs to another user (uid {owner})"))
    } else {
        None
    }
}

/// Opens a file of the state folder, never through a link, never one that waits. A mode that lets others in,
/// as restoring a copy leaves it, is mended.
pub(super) fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = options.mode(OWN).custom_flags(flags).open(path).map_err(|error| told(path, error))?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    if metadata.mode() & OTHERS != 0 {
        // Fails only where the file is somebody else's, who may let in whom he likes.
        let _ = file.set_permissions(Permissions::from_mode(OWN));
    }
    Ok(file)
}

/// Mends the mode of a file that SQLite makes and opens itself, and refuses a link in its place. Not opened here:
/// closing it would end the locks that this process has on it.
pub(super) fn mend(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_symlink() => Err(io::Error::other(LINK)),
        Ok(metadata) if metadata.mode() & OTHERS != 0 => {
            let _ = std::fs::set_permissions(path, Permissions::from_mode(OWN));
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The system says of a link that it is one of too many.
fn told(path: &Path, error: io::Error) -> io::Error {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_symlink() => io::Error::other(LINK),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_ones_own_or_roots_and_not_everybodys() {
        let folder = tempfile::tempdir().unwrap();
        let told = |mode, user| {
            std::fs::set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
            exposure(&std::fs::metadata(folder.path()).unwrap(), user)
        };
        let owner = geteuid().as_raw();
        assert_eq!([0o700, 0o755, 0o775, 0o2770].map(|mode| told(mode, owner)), [const { None }; 4]);
        assert_eq!([0o777, 0o1777].map(|mode| told(mode, owner).is_some()), [true; 2]);
        assert_eq!(told(0o700, owner + 1).is_some(), owner != 0, "root's folder is as good as one's own");
        assert_eq!(told(0o700, 0), None, "root may work in anybody's");
    }
}
