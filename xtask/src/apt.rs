//! Debian's package manager, as root.

use std::fs;
use std::path::Path;

use crate::run::{Failure, Session};

/// Installs packages, with newer package lists where they are needed.
pub(crate) fn install(session: &Session, packages: &[&str]) -> Result<(), Failure> {
    if packages.is_empty() {
        return Ok(());
    }
    let known = |package: &&str| session.step("apt-cache").args(["show", package]).ask().is_some();
    let fresh = !packages.iter().all(known);
    if fresh {
        get(session, &["update"])?;
    }
    let mut words = vec!["install", "-y", "--no-install-recommends"];
    words.extend(packages);
    match get(session, &words) {
        // Package lists that are too old name files that the server no longer has.
        Err(_) if !fresh => {
            get(session, &["update"])?;
            get(session, &words)
        }
        result => result,
    }
}

fn get(session: &Session, words: &[&str]) -> Result<(), Failure> {
    session
        .step("apt-get")
        .args(["-o", "DPkg::Lock::Timeout=120"])
        .args(words)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .run()
}

/// Unpacks `package` into a folder of its name in `folder`. Only the libraries it needs are
/// installed.
pub(crate) fn unpack(session: &Session, package: &str, folder: &Path) -> Result<(), Failure> {
    if session.step("apt-cache").args(["show", package]).ask().is_none() {
        get(session, &["update"])?;
    }
    let needs = session.step("apt-cache").args(["depends", package]).ask().unwrap_or_default();
    install(session, &libraries(&needs))?;
    let failed = |error: std::io::Error| Failure::new(format!("cannot unpack {package}: {error}"));
    fs::create_dir_all(folder).map_err(failed)?;
    let place = folder.to_string_lossy();
    session.step("apt-get").args(["download", package]).within(&place).run()?;
    let archives = fs::read_dir(folder).map_err(failed)?.filter_map(Result::ok);
    let archive = archives.map(|entry| entry.path()).find(|path| is_archive(path, package));
    let archive = archive
        .ok_or_else(|| Failure::new(format!("apt-get downloaded no archive of {package}")))?;
    let unpacked = session.step("dpkg-deb").arg("-x").arg(&archive).arg(folder.join(package)).run();
    fs::remove_file(&archive).map_err(failed)?;
    unpacked
}

/// The libraries among what `apt-cache depends` lists.
fn libraries(needs: &str) -> Vec<&str> {
    let named = needs.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    named.filter(|name| name.starts_with("lib")).collect()
}

fn is_archive(path: &Path, package: &str) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".deb") && name.split('_').next() == Some(package)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_told_from_what_else_a_package_depends_on() {
        let needs = "webdis\n  Depends: libb64-0d\n |Depends: libother\n  Depends: adduser\n  \
                     Depends: lsb-base\n    sysvinit-utils\n  Suggests: libnot\n";
        assert_eq!(libraries(needs), ["libb64-0d"]);
    }

    #[test]
    fn an_archive_is_known_by_its_package() {
        assert!(is_archive(Path::new("/x/webdis_0.1.9+dfsg-1_amd64.deb"), "webdis"));
        assert!(!is_archive(Path::new("/x/webdis-doc_1_all.deb"), "webdis"));
        assert!(!is_archive(Path::new("/x/webdis"), "webdis"));
    }
}
