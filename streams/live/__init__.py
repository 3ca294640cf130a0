"""Everything that touches the world: files, Kafka, Faust, the wall clock."""
