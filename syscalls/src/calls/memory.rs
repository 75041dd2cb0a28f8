//! Memory mappings.
