//! Windows of a scan as they are kept: places in the scanned sequences, which are kept once for all features.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _};

use crate::error::{IndexError, Result};
use crate::varint::{Source, number};
use crate::window::{Tokens, Window};

/// Windows that are kept for their height.
const STRONGEST: usize = 20;

/// Windows that are kept as a sample.
const SAMPLED: usize = 15;

/// Windows between two prunings.
pub(crate) const CROWDED: usize = 2 * (STRONGEST + SAMPLED);

/// Tokens of a window before its peak, and after it.
const BEFORE: usize = 24;
const AFTER: usize = 12;

/// A place in a sequence.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sketch {
    /// Number of the sequence in its scan.
    pub(crate) sequence: u64,
    /// Position of its peak there.
    pub(crate) peak: u32,
    /// Activation at the peak.
    pub(crate) height: f32,
    /// Absent for the strongest, which stay by their height; of the others, which are a random sample, the lowest stay.
    pub(crate) draw: Option<u32>,
    /// Where its feature fires around it, ascending; shared by the windows of one sequence.
    pub(crate) fires: Arc<[(u32, f32)]>,
}

/// What a further window must be above to be kept for its height, and what its draw must be below.
pub(crate) type Bars = (f32, u32);

/// Keeps the strongest, strongest first, then the sample.
pub(crate) fn prune(sketches: &mut Vec<Sketch>) -> Bars {
    // Stable: of two that are equal the earlier stays.
    sketches.sort_by(|a, b| match (a.draw, b.draw) {
        (None, None) => b.height.total_cmp(&a.height),
        (a, b) => a.cmp(&b),
    });
    let n_strongest = sketches.iter().take_while(|sketch| sketch.draw.is_none()).count();
    let mut sample = sketches.split_off(n_strongest);
    sketches.truncate(STRONGEST);
    sample.truncate(SAMPLED);
    let bar = sketches.last().filter(|_| sketches.len() == STRONGEST).map_or(0.0, |sketch| sketch.height);
    let draw_bar = sample.last().filter(|_| sample.len() == SAMPLED).and_then(|sketch| sketch.draw);
    sketches.append(&mut sample);
    (bar, draw_bar.unwrap_or(u32::MAX))
}

/// Packs sketches; of their fires those inside the window.
pub(crate) fn pack(sketches: &[Sketch]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(20 * sketches.len());
    number(&mut bytes, sketches.len() as u64);
    for sketch in sketches {
        number(&mut bytes, sketch.draw.map_or(0, |draw| u64::from(draw) + 1));
        number(&mut bytes, sketch.sequence);
        number(&mut bytes, u64::from(sketch.peak));
        let (start, end) = (start(sketch.peak), sketch.peak as usize + AFTER);
        let inside = || sketch.fires.iter().filter(|(at, _)| (start..=end).contains(&(*at as usize)));
        number(&mut bytes, inside().count() as u64);
        let mut last = 0;
        for &(at, value) in inside() {
            number(&mut bytes, u64::from(at - last));
            bytes.extend_from_slice(&value.to_le_bytes());
            last = at;
        }
    }
    bytes
}

/// Unpacks sketches.
pub(crate) fn unpack(packed: &[u8]) -> Result<Vec<Sketch>> {
    let mut source = Source(packed);
    let sketches = source.count().and_then(|count| (0..count).map(|_| sketch(&mut source)).collect());
    sketches.ok_or_else(|| IndexError::Damaged("places of examples end in the middle".to_owned()))
}

fn sketch(source: &mut Source<'_>) -> Option<Sketch> {
    let draw = source.number()?.checked_sub(1).map(u32::try_from).transpose().ok()?;
    let sequence = source.number()?;
    let peak = u32::try_from(source.number()?).ok()?;
    let mut at = 0_u32;
    let count = source.count()?;
    let fires: Option<Arc<[(u32, f32)]>> = (0..count)
        .map(|_| {
            let (gap, value) = source.step()?;
            at = at.checked_add(u32::try_from(gap).ok()?)?;
            Some((at, value))
        })
        .collect();
    let fires = fires?;
    let height = fires.iter().find(|(at, _)| *at == peak)?.1;
    Some(Sketch { sequence, peak, height, draw, fires })
}

/// Keeps the tokens of a sequence.
pub(crate) fn write_sequence(connection: &Connection, sequence: u64, tokens: &[u32]) -> Result<()> {
    let mut bytes = Vec::with_capacity(3 * tokens.len());
    for &token in tokens {
        number(&mut bytes, u64::from(token));
    }
    let mut statement = connection.prepare_cached("INSERT OR REPLACE INTO sequence VALUES (?1, ?2)")?;
    statement.execute((sequence.cast_signed(), bytes))?;
    Ok(())
}

impl Sketch {
    /// The tokens around its peak with the activations on them; none when its sequence is gone.
    pub(crate) fn window(&self, connection: &Connection) -> Result<Option<Window>> {
        let mut statement = connection.prepare_cached("SELECT tokens FROM sequence WHERE id = ?1")?;
        let bytes: Option<Vec<u8>> = statement.query_row([self.sequence.cast_signed()], |row| row.get(0)).optional()?;
        let Some(bytes) = bytes else { return Ok(None) };
        let (mut source, mut tokens) = (Source(&bytes), Vec::new());
        while !source.0.is_empty() {
            let token = source.number().and_then(|token| u32::try_from(token).ok());
            tokens.push(token.ok_or_else(|| IndexError::Damaged("a scanned sequence ends in the middle".to_owned()))?);
        }
        let (start, peak) = (start(self.peak), self.peak as usize);
        let end = (peak + AFTER + 1).min(tokens.len());
        if peak >= end {
            return Err(IndexError::Damaged("an example lies beyond its sequence".to_owned()));
        }
        let mut values = vec![0.0; end - start];
        for &(at, value) in &*self.fires {
            if let Some(slot) = (at as usize).checked_sub(start).and_then(|at| values.get_mut(at)) {
                *slot = value;
            }
        }
        let tokens = Tokens::Ids(tokens[start..end].to_vec());
        Ok(Some(Window { tokens, values, peak: peak - start, decile: None }))
    }
}

/// Where the window around a peak begins.
fn start(peak: u32) -> usize {
    (peak as usize).saturating_sub(BEFORE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_back_and_damage_is_an_error() {
        let fires: Arc<[(u32, f32)]> = Arc::new([(3, 1.0), (40, 2.5), (50, 0.5), (400, 1.0)]);
        let of = |peak, height, draw| Sketch { sequence: 1 << 40, peak, height, draw, fires: Arc::clone(&fires) };
        let sketches = vec![of(40, 2.5, None), of(3, 1.0, Some(u32::MAX))];
        let packed = pack(&sketches);
        let back = unpack(&packed).unwrap();
        assert_eq!((&*back[0].fires, &*back[1].fires), (&fires[1..3], &fires[..1]));
        assert_eq!((back[0].height, back[1].draw), (2.5, Some(u32::MAX)));
        for len in 0..packed.len() {
            assert!(unpack(&packed[..len]).is_err(), "{len}");
        }
        for at in 0..packed.len() {
            let mut damaged = packed.clone();
            damaged[at] = 0xff;
            let sketches = unpack(&damaged).unwrap_or_default();
            assert!(sketches.iter().all(|sketch| sketch.fires.iter().any(|(at, _)| *at == sketch.peak)));
        }
    }

    #[test]
    fn the_strongest_and_the_lowest_draws_stay_in_whatever_parts_they_come() {
        let all: Vec<Sketch> = (0..200_u32)
            .map(|at| Sketch {
                sequence: u64::from(at),
                peak: 0,
                height: (at * 37 % 101) as f32,
                draw: (at % 2 == 0).then_some(at * 7919 % 1009),
                fires: Arc::new([(0, 1.0)]),
            })
            .collect();
        let mut at_once = all.clone();
        let bars = prune(&mut at_once);
        assert_eq!(at_once.len(), STRONGEST + SAMPLED);
        let mut in_parts = Vec::new();
        for part in all.chunks(23) {
            in_parts.extend_from_slice(part);
            prune(&mut in_parts);
        }
        assert_eq!(in_parts, at_once);
        assert_eq!(bars, (at_once[STRONGEST - 1].height, at_once[STRONGEST + SAMPLED - 1].draw.unwrap()));
        assert_eq!(prune(&mut all[..10].to_vec()), (0.0, u32::MAX));
    }
}
