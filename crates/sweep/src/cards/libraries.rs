//! The libraries that a build with CUDA is linked with.
//!
//! The system looks for them before the first line of such a program, which then cannot say itself what it lacks. So any build
//! looks for them here, one that has nothing of CUDA included.

use libloading::Library;

/// What brings the libraries of CUDA.
const TOOLKIT: &str =
    "a CUDA toolkit, or the wheels that PyTorch for that CUDA has, with their folder on LD_LIBRARY_PATH";

/// A library that a build with CUDA does not start without, and that is not to be had here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingLibrary {
    /// Its file's name.
    pub name: String,
    /// What brings it.
    pub source: &'static str,
    /// What the system said when it was looked for.
    pub problem: String,
}

/// Of the libraries that a build with CUDA of a generation needs, 13 for 13.0, those that this system cannot load.
#[must_use]
pub fn missing_libraries(generation: u32) -> Vec<MissingLibrary> {
    let look = |(name, source): (String, &'static str)| {
        let problem = can_load(&name).err()?;
        Some(MissingLibrary { name, source, problem })
    };
    needed(generation).into_iter().filter_map(look).collect()
}

fn needed(generation: u32) -> [(String, &'static str); 5] {
    [
        // cuRAND has had the number 10 since CUDA 11.
        ("libcuda.so.1".to_owned(), "NVIDIA's driver, in a container `docker run --gpus all`"),
        (format!("libcudart.so.{generation}"), TOOLKIT),
        (format!("libcublas.so.{generation}"), TOOLKIT),
        (format!("libcublasLt.so.{generation}"), TOOLKIT),
        ("libcurand.so.10".to_owned(), TOOLKIT),
    ]
}

/// Whether the system finds and takes a library; what it says where not.
fn can_load(name: &str) -> Result<(), String> {
    // SAFETY: these are NVIDIA's own, which any program with CUDA loads; what they do when they are loaded is safe before main.
    let opened = unsafe { Library::new(name) };
    opened.map(drop).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_no_system_has_is_missing_and_the_system_says_why() {
        let problem = can_load("libforescale-nowhere.so.7").expect_err("nowhere");
        assert!(problem.contains("libforescale-nowhere.so.7"), "{problem}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_library_of_a_folder_is_taken_and_a_file_that_is_none_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let [good, bad] = ["libgood.so.1", "libbad.so.1"].map(|name| folder.path().join(name));
        let mapped = std::fs::read_to_string("/proc/self/maps").expect("what this process has loaded");
        let own = mapped.split_whitespace().find(|word| word.contains("libgcc_s.so.1")).expect("each of our programs");
        std::fs::copy(own, &good).expect("copied");
        std::fs::write(&bad, "no library").expect("written");
        assert_eq!(can_load(&good.display().to_string()), Ok(()));
        assert!(can_load(&bad.display().to_string()).is_err());
    }

    #[test]
    fn libraries_are_those_of_the_generation_that_is_asked_for() {
        let names: Vec<String> = needed(12).into_iter().map(|(name, _)| name).collect();
        let of_12 = ["libcuda.so.1", "libcudart.so.12", "libcublas.so.12", "libcublasLt.so.12", "libcurand.so.10"];
        assert_eq!(names, of_12);
    }
}
