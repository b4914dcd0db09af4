//! Cards as NVIDIA's driver tells of them, through NVML.

use nvml_wrapper::enum_wrappers::device::{Clock, ComputeMode};
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};

use super::{Card, Cards, CardsError, Reading};

/// `NVML_ERROR_GPU_NOT_FOUND` in `nvml.h`, for which the wrapper has no name.
const GPU_NOT_FOUND: u32 = 28;

/// NVIDIA's driver.
#[derive(Debug)]
pub struct NvmlCards {
    nvml: Nvml,
}

impl NvmlCards {
    /// Looks for the driver's library and greets it.
    ///
    /// # Errors
    ///
    /// [`CardsError`] when there is no driver here, or it does not answer.
    pub fn open() -> Result<Self, CardsError> {
        Nvml::init().map(|nvml| Self { nvml }).map_err(|error| match error {
            NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound => CardsError {
                problem: "no NVIDIA driver was found: its library `libnvidia-ml.so` cannot be loaded".to_owned(),
                hint: "install the driver, or in a container ask for the cards (`docker run --gpus all`)".to_owned(),
            },
            error => CardsError {
                problem: format!("the NVIDIA driver does not answer: {error}"),
                hint: "see whether `nvidia-smi` answers".to_owned(),
            },
        })
    }

    /// Newest CUDA that the driver runs, as `13.0`.
    #[must_use]
    pub fn cuda_version(&self) -> Option<String> {
        let version = self.nvml.sys_cuda_driver_version().ok()?;
        let (major, minor) =
            (nvml_wrapper::cuda_driver_version_major(version), nvml_wrapper::cuda_driver_version_minor(version));
        Some(format!("{major}.{minor}"))
    }

    fn device(&self, card: &Card) -> Result<Device<'_>, CardsError> {
        self.nvml.device_by_uuid(card.uuid.as_str()).map_err(|error| silent(&format!("card {}", card.index), &error))
    }
}

/// Whether a card is one that this process may not see, or that has failed: no reason to know nothing of the others.
fn is_out_of_reach(card: &Result<Card, NvmlError>) -> bool {
    matches!(card, Err(NvmlError::NoPermission | NvmlError::GpuLost | NvmlError::UnexpectedVariant(GPU_NOT_FOUND)))
}

fn silent(what: &str, error: &NvmlError) -> CardsError {
    CardsError {
        problem: format!("the NVIDIA driver does not tell of {what}: {error}"),
        hint: "see whether `nvidia-smi` shows it".to_owned(),
    }
}

impl Cards for NvmlCards {
    fn driver(&self) -> String {
        self.nvml.sys_driver_version().unwrap_or_else(|_| "unknown".to_owned())
    }

    fn list(&self) -> Result<Vec<Card>, CardsError> {
        let count = self.nvml.device_count().map_err(|error| silent("its cards", &error))?;
        let card = |index| {
            let device = self.nvml.device_by_index(index)?;
            let memory_bytes = device.memory_info()?.total;
            // A kind that cannot be cut says so by an error.
            let is_sliced = device.mig_mode().is_ok_and(|mode| mode.current != 0);
            let takes_one = device.compute_mode().is_ok_and(|mode| mode == ComputeMode::ExclusiveProcess);
            Ok(Card { index, uuid: device.uuid()?, name: device.name()?, memory_bytes, is_sliced, takes_one })
        };
        let told = (0..count).map(|index| (index, card(index))).filter(|(_, card)| !is_out_of_reach(card));
        told.map(|(index, card)| card.map_err(|error| silent(&format!("card {index}"), &error))).collect()
    }

    fn read(&self, card: &Card) -> Result<Reading, CardsError> {
        let device = self.device(card)?;
        let memory = device.memory_info().map_err(|error| silent(&format!("card {}", card.index), &error))?;
        Ok(Reading {
            used_bytes: memory.used,
            free_bytes: memory.free,
            utilisation: device.utilization_rates().ok().map(|rates| f64::from(rates.gpu) / 100.0),
            clock_mhz: device.clock_info(Clock::SM).ok(),
            memory_clock_mhz: device.clock_info(Clock::Memory).ok(),
        })
    }

    fn held_by(&self, card: &Card, process: u32) -> Option<u64> {
        let processes = self.device(card).ok()?.running_compute_processes().ok()?;
        match processes.into_iter().find(|one| one.pid == process)?.used_gpu_memory {
            UsedGpuMemory::Used(bytes) => Some(bytes),
            UsedGpuMemory::Unavailable => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_out_of_reach_is_passed_over_and_another_failure_is_not() {
        let passed_over = [NvmlError::NoPermission, NvmlError::GpuLost, NvmlError::UnexpectedVariant(28)];
        assert!(passed_over.into_iter().all(|error| is_out_of_reach(&Err(error))));
        assert!(!is_out_of_reach(&Err(NvmlError::Unknown)));
    }

    #[test]
    fn a_machine_without_a_driver_is_told_so_with_a_hint() {
        // Where there is one, its cards have names and memory.
        match NvmlCards::open() {
            Ok(driver) => {
                assert!(
                    driver.list().expect("cards").iter().all(|card| card.memory_bytes > 0 && !card.uuid.is_empty())
                );
            }
            Err(error) => assert!(error.to_string().contains("NVIDIA driver") && error.to_string().contains("hint: ")),
        }
    }
}
