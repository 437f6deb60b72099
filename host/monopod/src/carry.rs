//! `monopod carry`: puts this program, its loader and its libraries into one folder.
//!
//! For clusters without image volumes. A bundle's image holds files and nothing that runs, so
//! that it cannot copy itself out. The chart has the host's image carry the program into a
//! volume, and each bundle's image run it from there, by its loader:
//! `DIR/loader --library-path DIR DIR/monopod copy / /bundles/NAME`.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::cli::Carry;
use crate::screen;

/// The program's name in the folder.
const PROGRAM: &str = "monopod";
/// The loader's.
const LOADER: &str = "loader";

pub fn run(options: &Carry) -> ExitCode {
    match carry(&options.to) {
        Ok(files) => {
            screen::line("carried", &format!("{files} files to {}", options.to.display()));
            ExitCode::SUCCESS
        }
        Err(why) => {
            screen::error(&why);
            ExitCode::from(crate::FAILED)
        }
    }
}

fn carry(to: &Path) -> Result<usize, String> {
    let said = |what: &Path, doing: &str| {
        let what = what.display().to_string();
        let doing = doing.to_owned();
        move |why: io::Error| format!("{what} cannot be {doing}: {why}")
    };
    let maps = Path::new("/proc/self/maps");
    let text = std::fs::read_to_string(maps).map_err(said(maps, "read"))?;
    let program = std::env::current_exe().map_err(said(Path::new(PROGRAM), "found"))?;
    let files = named(&text, &program);
    if !files.iter().any(|(_, name)| name == LOADER) {
        return Err("this program has no loader, so that others could not start it from a folder\n  \
                    fix: build it for a target with glibc"
            .to_owned());
    }
    std::fs::create_dir_all(to).map_err(said(to, "made"))?;
    for (file, name) in &files {
        let target = to.join(name);
        // Beside it first: a container that is started again must not write to what runs.
        let beside = to.join(format!("{name}.tmp"));
        std::fs::copy(file, &beside).map_err(said(&beside, "written"))?;
        std::fs::rename(&beside, &target).map_err(said(&target, "put in place"))?;
    }
    Ok(files.len())
}

/// The files whose code this process runs, each with the name it gets.
fn named(maps: &str, program: &Path) -> Vec<(PathBuf, String)> {
    // address permissions offset device inode path
    let code = |line: &str| {
        let mut fields = line.split_whitespace();
        let runs = fields.nth(1).is_some_and(|permissions| permissions.contains('x'));
        let path = fields.nth(3).filter(|path| path.starts_with('/'));
        path.filter(|_| runs).map(PathBuf::from)
    };
    let files: BTreeSet<PathBuf> = maps.lines().filter_map(code).collect();
    let name = |file: &Path| {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match name {
            _ if file == program => PROGRAM.to_owned(),
            name if name.starts_with("ld-") => LOADER.to_owned(),
            name => name,
        }
    };
    files.into_iter().map(|file| (file.clone(), name(&file))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_is_carried_with_its_loader_and_nothing_else() {
        let maps = "55d0-55e0 r--p 00000000 fe:00 17   /monopod\n\
            55e0-55f0 r-xp 00010000 fe:00 17                        /monopod\n\
            7f00-7f10 r-xp 00026000 fe:00 18                        /lib/x86_64-linux-gnu/libc.so.6\n\
            7f10-7f20 r--p 00026000 fe:00 20                        /var/lib/monopod/state.db\n\
            7f20-7f30 rwxp 00000000 00:00 0 \n\
            7f30-7f40 r-xp 00001000 fe:00 19                        /lib64/ld-linux-x86-64.so.2\n\
            7ffd-7fff r-xp 00000000 00:00 0                          [vdso]\n";
        let found = named(maps, Path::new("/monopod"));
        let names: Vec<_> = found.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names, ["libc.so.6", "loader", "monopod"]);
    }
}
