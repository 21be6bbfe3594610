//! The state dictionary of a file of `PyTorch` (source: `torch.serialization` of 2.x, the zip form of 1.6 and later).

use std::io::Read as _;

use super::pickle::{self, Pickle, Value};
use super::zip::Member;
use super::{Container, Entry, Place, npy};
use crate::error::Result;

/// Names under which training programs keep the dictionary beside other things.
const NESTED: [&str; 4] = ["state_dict", "model_state_dict", "model", "sae"];

/// Fills `container` from the program in `table`.
///
/// # Errors
/// A program that is refused, tensors outside the archive, or none at all.
pub(super) fn read(container: &mut Container, members: &[Member], table: &Member) -> Result<()> {
    let prefix = table.name.strip_suffix("data.pkl").unwrap_or_default();
    let find = |name: &str| members.iter().find(|member| member.name.strip_prefix(prefix) == Some(name));
    if find("constants.pkl").is_some() {
        return Err(container.bad("it is a TorchScript program, not a file of weights"));
    }
    if table.size > pickle::MAX_LEN {
        return Err(container.bad(format!("its table of {} bytes is not that of an SAE", table.size)));
    }
    let unpack = |member: &Member| {
        let mut bytes = Vec::new();
        let from = npy::unpacked(container.raw.part(member.start, member.packed), member.is_deflated);
        let read = from.take(pickle::MAX_LEN).read_to_end(&mut bytes);
        read.map_err(|error| container.raw.io(error)).map(|_| bytes)
    };
    if let Some(order) = find("byteorder")
        && unpack(order)? != b"little"
    {
        return Err(container.bad("its numbers are in the order of a big-endian computer, which is not read"));
    }
    let (made, root) = pickle::read(&unpack(table)?).map_err(|reason| container.bad(reason))?;
    let items = state(&made, root).ok_or_else(|| container.bad("it holds no dictionary of tensors"))?;
    for (key, value) in items {
        let Some(name) = made.text(*key).map(str::to_owned) else { continue };
        match *value {
            Value::Tensor(at) => {
                let tensor = &made.tensors[at];
                let storage = &made.storages[tensor.storage];
                let Some(number) = storage.number else { continue };
                let member = find(&format!("data/{}", storage.key));
                let member = member.ok_or_else(|| container.bad(format!("it lacks the values of {name}")))?;
                let skip = (tensor.offset as u64).saturating_mul(number.width() as u64);
                let bytes = (storage.len as u64).saturating_mul(number.width() as u64).min(member.size);
                let place = if member.is_deflated {
                    Place::Packed(member.clone(), skip)
                } else {
                    Place::File(member.start.saturating_add(skip))
                };
                let entry = Entry { number, shape: tensor.shape.clone(), strides: tensor.strides.clone(), place };
                container.add(name, entry, bytes.saturating_sub(skip))?;
            }
            Value::Int(number) => drop(container.scalars.insert(name, number as f64)),
            Value::Float(number) => drop(container.scalars.insert(name, number)),
            _ => {}
        }
    }
    if container.entries.is_empty() {
        return Err(container.bad("it holds no dictionary of tensors"));
    }
    Ok(())
}

/// The items of the dictionary that holds tensors: the root, or one inside it.
fn state(made: &Pickle, root: Value) -> Option<&[(Value, Value)]> {
    let items = |value: Value| if let Value::Dict(at) = value { Some(made.dicts[at].as_slice()) } else { None };
    let holds = |items: &&[(Value, Value)]| items.iter().any(|(_, value)| matches!(value, Value::Tensor(_)));
    let root = items(root)?;
    let inner = root.iter().filter(|(key, _)| made.text(*key).is_some_and(|key| NESTED.contains(&key)));
    [root].into_iter().chain(inner.filter_map(|(_, value)| items(*value))).find(holds)
}
