//! Memory mappings: mmap(2), mremap(2), madvise(2), mlock2(2), `asm-generic/mman.h`.
