//! Choice of device; the only file with device features.
use crate::error::Result;
use candle_core::{DType, Device};
use tiller_protocol::model::{DeviceChoice, DtypeChoice};
/// Opens the device asked for.
/// # Errors
/// [`crate::EngineError::NoDevice`] when it is not there.
pub fn open(_device: DeviceChoice) -> Result<Device> {
    todo!()
}
/// The number format for a device.
pub fn dtype(_choice: DtypeChoice, _device: &Device) -> DType {
    todo!()
}
/// Name for people, e.g. `CPU (2 threads)`.
pub fn label(_device: &Device) -> String {
    todo!()
}
