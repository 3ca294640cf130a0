//! One module a rule kind, or a family of kinds. Each mirrors the module of that name in `streams/core/kinds`.

pub mod acts;
pub mod deadline;
pub mod sequence;
