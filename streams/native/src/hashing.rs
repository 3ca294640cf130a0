//! Hash tables with the quick hash of `foldhash`; its seed differs from run to run, as ids come from outside.

pub type HashMap<K, V> = std::collections::HashMap<K, V, foldhash::fast::RandomState>;
pub type HashSet<T> = std::collections::HashSet<T, foldhash::fast::RandomState>;
pub type HashTable<T> = hashbrown::HashTable<T>;
pub type Hasher = foldhash::fast::RandomState;
