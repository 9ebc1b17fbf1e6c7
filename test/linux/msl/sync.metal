// Barriers, atomics, simdgroup_matrix.
#include <metal_stdlib>
#include <metal_simdgroup_matrix>
using namespace metal;

// A reduction of a threadgroup by halving, a barrier each: out[group] = sum of in.
kernel void tree_sum(device const uint *in [[buffer(0)]], device uint *out [[buffer(1)]], uint i [[thread_position_in_grid]],
                     uint local [[thread_index_in_threadgroup]], uint size [[threads_per_threadgroup]],
                     uint group [[threadgroup_position_in_grid]]) {
  threadgroup uint values[1024];
  values[local] = in[i];
  for (uint width = 512; width > 0; width /= 2) {
    threadgroup_barrier(mem_flags::mem_threadgroup);
    uint more = 0;
    if (local < width && local + width < size) more = values[local + width];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (local < width && local + width < size) values[local] += more;
  }
  if (local == 0) out[group] = values[0];
}

// Every thread hands a value to the next, many times: a thread that runs ahead spoils it.
kernel void relay(device uint *out [[buffer(0)]], constant uint &rounds [[buffer(1)]], uint i [[thread_position_in_grid]],
                  uint local [[thread_index_in_threadgroup]], uint size [[threads_per_threadgroup]],
                  threadgroup uint *cells [[threadgroup(0)]]) {
  cells[local] = local;
  for (uint round = 0; round < rounds; round++) {
    threadgroup_barrier(mem_flags::mem_threadgroup);
    const uint next = cells[(local + 1) % size];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    cells[local] = next;
  }
  out[i] = cells[local];
}

// The same inside of a SIMD group.
kernel void simd_relay(device uint *out [[buffer(0)]], uint i [[thread_position_in_grid]], uint lane [[thread_index_in_simdgroup]],
                       uint simd [[simdgroup_index_in_threadgroup]]) {
  threadgroup uint cells[4][32];
  cells[simd][lane] = lane;
  for (uint round = 0; round < 5; round++) {
    simdgroup_barrier(mem_flags::mem_threadgroup);
    const uint next = cells[simd][(lane + 1) % 32];
    simdgroup_barrier(mem_flags::mem_threadgroup);
    cells[simd][lane] = next;
  }
  out[i] = cells[simd][lane];
}

kernel void early_return(device uint *out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  if (i == 3) return;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  out[i] = 1;
}
kernel void two_barriers(device uint *out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  if (i % 2 == 0) {
    threadgroup_barrier(mem_flags::mem_threadgroup);
    out[i] = 1;
  } else {
    out[i] = 2;
    threadgroup_barrier(mem_flags::mem_device);
  }
}

kernel void atomics(device atomic_uint *counts [[buffer(0)]], device atomic_int *signeds [[buffer(1)]],
                    device atomic_float *floats [[buffer(2)]], device uint *seen [[buffer(3)]], uint i [[thread_position_in_grid]]) {
  atomic_fetch_add_explicit(&counts[0], 1, memory_order_relaxed);
  atomic_fetch_sub_explicit(&counts[1], 1, memory_order_relaxed);
  atomic_fetch_max_explicit(&counts[2], i, memory_order_relaxed);
  atomic_fetch_min_explicit(&counts[3], i, memory_order_relaxed);
  atomic_fetch_or_explicit(&counts[4], 1u << (i % 32), memory_order_relaxed);
  atomic_fetch_and_explicit(&counts[5], ~(1u << (i % 16)), memory_order_relaxed);
  atomic_fetch_xor_explicit(&counts[6], i, memory_order_relaxed);
  atomic_fetch_min_explicit(&signeds[0], -int(i), memory_order_relaxed);
  atomic_fetch_max_explicit(&signeds[1], -int(i) - 1, memory_order_relaxed);
  atomic_fetch_add_explicit(&floats[0], 0.5f, memory_order_relaxed);
  uint old = atomic_load_explicit(&counts[7], memory_order_relaxed);
  while (!atomic_compare_exchange_weak_explicit(&counts[7], &old, old + 2, memory_order_relaxed, memory_order_relaxed)) {}
  seen[old / 2] = 1; // each old value is seen once
  atomic_exchange_explicit(&counts[8], 7, memory_order_relaxed);
}

// Threadgroup atomics: a histogram.
kernel void histogram(device const uint *in [[buffer(0)]], device atomic_uint *out [[buffer(1)]], uint i [[thread_position_in_grid]],
                      uint local [[thread_index_in_threadgroup]]) {
  threadgroup atomic_uint bins[16];
  if (local < 16) atomic_store_explicit(&bins[local], 0u, memory_order_relaxed);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  atomic_fetch_add_explicit(&bins[in[i] % 16], 1u, memory_order_relaxed);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (local < 16) atomic_fetch_add_explicit(&out[local], atomic_load_explicit(&bins[local], memory_order_relaxed), memory_order_relaxed);
}

// out = a b + c, with a, b in device memory (strides of 12) and c through threadgroup memory; then the transposes.
template <typename T>
[[kernel]] void matrices(device const T *a [[buffer(0)]], device const T *b [[buffer(1)]], device const float *c [[buffer(2)]],
                         device float *out [[buffer(3)]], uint lane [[thread_index_in_simdgroup]]) {
  threadgroup float staged[64];
  staged[lane] = c[lane];
  staged[lane + 32] = c[lane + 32];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  simdgroup_matrix<T, 8, 8> ma, mb, mt;
  simdgroup_float8x8 mc, md;
  simdgroup_load(ma, a, 12);
  simdgroup_load(mb, b, 12);
  simdgroup_load(mc, staged);
  simdgroup_multiply_accumulate(md, ma, mb, mc);
  simdgroup_store(md, out);
  simdgroup_load(mt, b, 12, ulong2(0, 0), true);
  simdgroup_multiply(md, ma, mt);
  simdgroup_store(md, out + 64);
  simdgroup_store(md, out + 128, 8, ulong2(0), true);
  md = make_filled_simdgroup_matrix<float, 8, 8>(3.0f);
  simdgroup_multiply_accumulate(md, ma, mb, md);
  simdgroup_store(md, out + 192);
  simdgroup_load(mt, a, 12, ulong2(2, 1)); // column 2, row 1
  simdgroup_multiply(md, mt, simdgroup_matrix<T, 8, 8>(T(1)));
  simdgroup_store(md, out + 256);
}
template [[host_name("matrices_f32")]] [[kernel]] decltype(matrices<float>) matrices<float>;
template [[host_name("matrices_f16")]] [[kernel]] decltype(matrices<half>) matrices<half>;

// Which element is whose, and that changes arrive.
kernel void fragments(device const float *in [[buffer(0)]], device float *own [[buffer(1)]], device float *out [[buffer(2)]],
                      uint lane [[thread_index_in_simdgroup]]) {
  simdgroup_float8x8 m;
  simdgroup_load(m, in);
  own[2 * lane] = m.thread_elements()[0];
  own[2 * lane + 1] = m.thread_elements()[1];
  m.thread_elements()[0] *= 2;
  if (lane % 2 == 0) m.thread_elements()[1] = -1;
  simdgroup_store(m, out);
}

// Divisions that cannot be done: any result, but no stop.
kernel void divisions(device const int *x [[buffer(0)]], device int *out [[buffer(1)]], constant uint &n [[buffer(2)]],
                      uint i [[thread_position_in_grid]]) {
  const int a = x[0], b = x[i];
  out[i] = a / b;
  out[n + i] = a % b;
  out[2 * n + i] = int(uint(a) / uint(b));
  out[3 * n + i] = short(a) / short(b);
  out[4 * n + i] = int(long(a) * 0x100000000l / long(b));
  out[5 * n + i] = char(a) / char(b);
  out[6 * n + i] = 1;
}

// For the checking modes: memory that nobody wrote, and the order in which threadgroups run.
kernel void unwritten(device uint *out [[buffer(0)]], uint i [[thread_position_in_grid]], threadgroup uint *given [[threadgroup(0)]]) {
  threadgroup uint own[4];
  out[i] = own[i % 4] & given[i % 4];
  own[i % 4] = given[i % 4] = 0;
}
kernel void order(device atomic_uint *next [[buffer(0)]], device uint *out [[buffer(1)]], uint group [[threadgroup_position_in_grid]]) {
  out[atomic_fetch_add_explicit(next, 1, memory_order_relaxed)] = group;
}
