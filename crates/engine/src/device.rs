//! Choice of device; the only file with device features.

use candle_core::{DType, Device};
use tiller_protocol::model::{DeviceChoice, DtypeChoice};

#[cfg(any(feature = "cuda", feature = "metal"))]
use crate::error::without_backtrace;
use crate::error::{EngineError, Result};
use crate::keep::Keep;
use crate::memory::Runs;

/// Opens the device asked for; `Auto` is the first of [`candidates`].
///
/// # Errors
/// [`EngineError::NoDevice`] when it is not there or this build cannot use it.
pub fn open(device: DeviceChoice) -> Result<Device> {
    Ok(candidates(device)?.swap_remove(0))
}

/// The devices that a choice stands for, best first: for `Auto` the accelerator if the build has a working one, then
/// the processor; otherwise the one asked for.
///
/// # Errors
/// As [`open`].
pub fn candidates(device: DeviceChoice) -> Result<Vec<Device>> {
    match device {
        DeviceChoice::Cpu => Ok(vec![Device::Cpu]),
        DeviceChoice::Auto => Ok(cuda(0).or_else(|_| metal()).into_iter().chain([Device::Cpu]).collect()),
        DeviceChoice::Cuda(index) => Ok(vec![cuda(index)?]),
        DeviceChoice::Metal => Ok(vec![metal()?]),
    }
}

/// Bytes that are free now in a device's own memory; `None` for the processor, whose memory is the system's, and where
/// the driver does not tell.
pub fn free_bytes(device: &Device) -> Option<u64> {
    match device {
        Device::Cpu => None,
        Device::Cuda(device) => cuda_free_bytes(device),
        Device::Metal(device) => metal_free_bytes(device),
    }
}

/// How a model runs there: see [`crate::memory`].
pub fn runs(device: &Device, dtype: DType) -> Runs {
    if device.is_cpu() { Runs::PROCESSOR } else { Runs { value_bytes: dtype.size_in_bytes() as u64, is_fused: false } }
}

/// Names of the accelerators that this build can use, in the order of their indices.
pub fn accelerators() -> Vec<String> {
    let mut names = cuda_names();
    if metal().is_ok() {
        names.push("Apple GPU".to_owned());
    }
    names
}

/// The number format of activations on a device. The processor always computes in f32: its other formats are slower
/// there.
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
    let name = format!("cuda:{index}");
    let found = guarded(|| Device::new_cuda(index)).ok_or_else(|| no_device(&name, NO_DRIVER))?;
    found.map_err(|error| no_device(&name, &without_backtrace(error).to_string()))
}

#[cfg(feature = "cuda")]
const NO_DRIVER: &str = "the NVIDIA driver's library (libcuda) is not on this computer";

/// Calls the driver; `None` when its library is not there: the bindings look it up at the first call and panic where
/// they do not find it.
#[cfg(feature = "cuda")]
fn guarded<T>(call: impl FnOnce() -> T) -> Option<T> {
    use std::sync::atomic::{AtomicBool, Ordering};
    static ABSENT: AtomicBool = AtomicBool::new(false);
    if ABSENT.load(Ordering::Relaxed) {
        return None;
    }
    let called = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).ok();
    ABSENT.store(called.is_none(), Ordering::Relaxed);
    called
}

#[cfg(feature = "cuda")]
fn cuda_free_bytes(device: &candle_core::CudaDevice) -> Option<u64> {
    let (free, _total) = device.cuda_stream().context().mem_get_info().ok()?;
    Some(free as u64)
}

#[cfg(feature = "cuda")]
fn cuda_names() -> Vec<String> {
    use candle_core::cuda::cudarc::driver::{CudaContext, result};
    let names = || -> std::result::Result<Vec<String>, result::DriverError> {
        (0..CudaContext::device_count()?).map(|index| result::device::get_name(result::device::get(index)?)).collect()
    };
    guarded(names).and_then(std::result::Result::ok).unwrap_or_default()
}

#[cfg(not(feature = "cuda"))]
fn cuda(index: usize) -> Result<Device> {
    Err(no_device(&format!("cuda:{index}"), "this build has no CUDA support"))
}

#[cfg(not(feature = "cuda"))]
fn cuda_free_bytes(_device: &candle_core::CudaDevice) -> Option<u64> {
    None
}

#[cfg(not(feature = "cuda"))]
fn cuda_names() -> Vec<String> {
    Vec::new()
}

#[cfg(feature = "metal")]
fn metal() -> Result<Device> {
    Device::new_metal(0).map_err(|error| no_device("metal", &without_backtrace(error).to_string()))
}

#[cfg(feature = "metal")]
fn metal_free_bytes(device: &candle_core::MetalDevice) -> Option<u64> {
    let device = device.metal_device();
    device.recommended_max_working_set_size().checked_sub(device.current_allocated_size()).map(|free| free as u64)
}

#[cfg(not(feature = "metal"))]
fn metal() -> Result<Device> {
    Err(no_device("metal", "this build has no Metal support"))
}

#[cfg(not(feature = "metal"))]
fn metal_free_bytes(_device: &candle_core::MetalDevice) -> Option<u64> {
    None
}

fn no_device(name: &str, reason: &str) -> EngineError {
    EngineError::NoDevice { name: name.to_owned(), reason: reason.to_owned() }
}
