//! Choice of device; the only file with device features.

use candle_core::{DType, Device};
use tiller_protocol::model::{DeviceChoice, DtypeChoice};

use crate::error::{EngineError, Result};
use crate::keep::Keep;

/// Opens the device asked for; `Auto` is the processor unless the build has a working accelerator.
///
/// # Errors
/// [`EngineError::NoDevice`] when it is not there or this build cannot use it.
pub fn open(device: DeviceChoice) -> Result<Device> {
    match device {
        DeviceChoice::Cpu => Ok(Device::Cpu),
        DeviceChoice::Auto => Ok(cuda(0).or_else(|_| metal()).unwrap_or(Device::Cpu)),
        DeviceChoice::Cuda(index) => cuda(index),
        DeviceChoice::Metal => metal(),
    }
}

/// The number format for a device. The processor always computes in f32: its other formats are slower there.
pub fn dtype(choice: DtypeChoice, device: &Device) -> DType {
    match (device, choice) {
        (Device::Cpu, _) | (_, DtypeChoice::F32) => DType::F32,
        (_, DtypeChoice::Auto | DtypeChoice::Bf16) => DType::BF16,
        (_, DtypeChoice::F16) => DType::F16,
    }
}

/// How weights are kept on a device.
pub fn keep(choice: DtypeChoice, device: &Device) -> Keep {
    match (device, choice) {
        (Device::Cpu, DtypeChoice::Auto) => Keep::Auto,
        (Device::Cpu, DtypeChoice::F32) => Keep::As(DType::F32),
        (Device::Cpu, DtypeChoice::Bf16) => Keep::As(DType::BF16),
        (Device::Cpu, DtypeChoice::F16) => Keep::As(DType::F16),
        _ => Keep::As(dtype(choice, device)),
    }
}

/// Name for people, e.g. `CPU (2 threads)`.
pub fn label(device: &Device) -> String {
    match device {
        Device::Cpu => match rayon::current_num_threads() {
            1 => "CPU (1 thread)".to_owned(),
            n => format!("CPU ({n} threads)"),
        },
        Device::Cuda(_) => "NVIDIA GPU".to_owned(),
        Device::Metal(_) => "Apple GPU".to_owned(),
    }
}

#[cfg(feature = "cuda")]
fn cuda(index: usize) -> Result<Device> {
    Device::new_cuda(index).map_err(|error| no_device(&format!("cuda:{index}"), &error.to_string()))
}

#[cfg(not(feature = "cuda"))]
fn cuda(index: usize) -> Result<Device> {
    Err(no_device(&format!("cuda:{index}"), "this build has no CUDA support"))
}

#[cfg(feature = "metal")]
fn metal() -> Result<Device> {
    Device::new_metal(0).map_err(|error| no_device("metal", &error.to_string()))
}

#[cfg(not(feature = "metal"))]
fn metal() -> Result<Device> {
    Err(no_device("metal", "this build has no Metal support"))
}

fn no_device(name: &str, reason: &str) -> EngineError {
    EngineError::NoDevice { name: name.to_owned(), reason: reason.to_owned() }
}
