// Constructs that Metal's compiler accepts. Each kernel writes numbers that msl_language.test.ts knows.
#include <metal_stdlib>
#include <metal_math>
#include <metal_simdgroup>
#include <metal_simdgroup_matrix>
#include <metal_atomic>
#include <metal_compute>
using namespace metal;

#define SIZE 8
#if !defined(__METAL__) || __METAL_VERSION__ < 300
#error "this is Metal"
#endif

constant float weights[4] = {1, 2, 4, 8};
constant float4 offsets = float4(1, 2, 3, 4);
constexpr constant uint limit = 2 * SIZE;
static constant int signs[] = {1, -1};

struct Point {
  float x, y;
  float length2() const { return x * x + y * y; }
};
struct alignas(16) Block {
  half scale;
  char values[30];
};
struct Args {
  uint count;
  float factor;
};
enum class Mode : uint { add, multiply };
typedef float4 Quad;
using Pair = vec<float, 2>;

template <typename T> struct Accumulator {
  T sum;
  Accumulator() : sum(T(0)) {}
  void add(T v) { sum += v; }
  T result() const { return sum; }
};

template <typename T, int n = 4> static inline T total(const thread T *values) {
  T sum = T(0);
#pragma unroll
  for (int i = 0; i < n; i++) sum += values[i];
  return sum;
}
inline float pick(constant float *table, uint i) { return table[i & 3]; }
inline void scale(thread float4 &v, float by) { v *= by; }
inline float first(device const Point *points) { return points[0].x; }
template <typename T> inline T sumOf(vec<T, 4> v) { return v.x + v.y + v.z + v.w; }

namespace outer {
namespace inner {
inline float half_of(float x) { return x / 2; }
kernel void scoped(device float *out [[buffer(0)]], uint i [[thread_position_in_grid]]) { out[i] = half_of(float(i)); }
}  // namespace inner
}  // namespace outer

// Everything into out[], by index, in one thread.
kernel void language(device float *out [[buffer(0)]], device const Point *points [[buffer(1)]], constant Args &args [[buffer(2)]]) {
  uint n = 0;
  out[n++] = weights[2];                                  // 0: 4
  out[n++] = pick(weights, 3);                            // 1: 8
  out[n++] = offsets.w + float(limit) + signs[1];         // 2: 19
  out[n++] = first(points) + points[1].length2();         // 3: 1 + 25
  float4 v = float4(1);
  scale(v, 3);
  out[n++] = v.x + v.w;                                   // 4: 6
  const float4 w(1, 2, 3, 4);
  out[n++] = dot(w, float4(w.xy, 1, 1));                  // 5: 1 + 4 + 3 + 4
  out[n++] = float4(half4(1.5h)).y + float(half(0.1f) * half(3));  // 6: 1.5 + rounded
  Accumulator<float2> acc;
  acc.add(float2(1, 2));
  acc.add(Pair(3));
  out[n++] = acc.result().x * 10 + acc.sum.y;             // 7: 45
  const float values[4] = {1, 2, 3, 4};
  out[n++] = total<float>(values) + total<float, 2>(values);  // 8: 13
  out[n++] = float(as_type<uint>(1.0f) >> 23);            // 9: 127
  Quad q = Quad(uint4(1, 2, 3, 4));
  q.zw = q.xy;
  out[n++] = q.x + q.y * 10 + q.z * 100 + q.w * 1000;     // 10: 2121
  out[n++] = sumOf(q);                                    // 11: 6
  out[n++] = float(select(1, 2, args.count == 3));        // 12: 2
  out[n++] = clamp(args.factor, 0.0f, 1.0f) + mix(0.0f, 10.0f, 0.25f);  // 13: 1 + 2.5
  bool4 mask = w > float4(2.5f);
  out[n++] = float(any(mask)) + float(all(mask)) * 2;     // 14: 1
  out[n++] = float(sizeof(Block) + alignof(Block) + sizeof(float3) + sizeof(packed_float3));  // 15: 32+16+16+12
  packed_float3 packed = packed_float3(1, 2, 3);
  float3 unpacked = float3(packed) * 2;
  out[n++] = unpacked.z + packed[1];                      // 16: 8
  out[n++] = float(popcount(0xF0Fu) + clz(1u) + ctz(8u)); // 17: 8 + 31 + 3
  out[n++] = float(Mode::multiply == Mode(1u)) + (float)(int(-2.7f)) + float(ushort(-1) >> 15);  // 18: 1 - 2 + 1
  out[n++] = precise::exp(0.0f) + fast::cos(0.0f) + metal::sqrt(16.0f) + rsqrt(0.25f);  // 19: 8
  out[n++] = isnan(NAN) + isinf(INFINITY) * 2 + (isnan(1.0f) || isinf(MAXFLOAT)) * 4;   // 20: 3
  out[n++] = float(numeric_limits<half>::max()) + float(numeric_limits<char>::lowest());  // 21: 65504 - 128
  float4x4 m = float4x4(2.0f);
  out[n++] = (m * w).z + (w * m).w;                       // 22: 14
  int local = 3, global = 4, generic = 5;                 // OpenCL reserves these
  out[n++] = float(local + global * generic);             // 23: 23
  ushort4 s = ushort4(float4(1.9f, 2.9f, 3.9f, 300.0f));
  out[n++] = float(s.x + s.y + s.z + s.w);                // 24: 306
  out[n++] = 1.0 / 3;                                     // 25: a literal is a float
  out[n++] = static_cast<float4>(half4(2)).x + float((uint2)(7).y);  // 26: 9
  device float *cursor = out + n;
  *cursor = cursor[-1] + 1;                               // 27: 10
  n++;
  thread float *here = (thread float *)&v;
  out[n++] = here[1];                                     // 28: 3
  for (uint j = 0; j < 3; ++j) { if (j == 1) continue; out[n++] = float(j); }  // 29, 30: 0, 2
  out[n++] = float((1u << 33u) == 2u);                    // 31: shifts count modulo the width
}

template <typename T, uint tile>
[[kernel, max_total_threads_per_threadgroup(tile * 4)]] void reversed(device const T *in [[buffer(0)]], device T *out [[buffer(1)]],
                                                                   threadgroup T *extra [[threadgroup(0)]],
                                                                   ushort i [[thread_index_in_threadgroup]]) {
  constexpr uint rows = tile * 2;
  threadgroup T buffer[rows][2], one;
  threadgroup atomic_uint counter;
  if (i == 0) atomic_store_explicit(&counter, 0, memory_order_relaxed);
  buffer[i / 2][i % 2] = in[i];
  extra[i] = in[i] + T(1);
  if (i == 0) one = T(1);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  atomic_fetch_add_explicit(&counter, 1, memory_order_relaxed);
  const uint j = tile * 4 - 1 - i;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  out[i] = buffer[j / 2][j % 2] + extra[j] - one + T(atomic_load_explicit(&counter, memory_order_relaxed));
}
template [[host_name("reversed_f32")]] [[kernel]] decltype(reversed<float, 8>) reversed<float, 8>;
template [[host_name("reversed_i32")]] [[kernel]] void reversed<int, 16>(device const int *, device int *, threadgroup int *, ushort);

// Unattributed buffers get indices in order.
kernel void plain(device const float *a, device float *b, constant uint &n, uint2 at [[thread_position_in_grid]],
                  uint2 size [[threads_per_grid]]) {
  const uint i = at.y * size.x + at.x;
  if (i < n) b[i] = a[i] * 2;
}

// What each thread is told.
kernel void positions(device uint *out [[buffer(0)]], uint3 gid [[thread_position_in_grid]], uint3 grid [[threads_per_grid]],
                      ushort3 lid [[thread_position_in_threadgroup]], ushort3 size [[threads_per_threadgroup]],
                      uint3 asked [[dispatch_threads_per_threadgroup]], uint3 group [[threadgroup_position_in_grid]],
                      uint3 groups [[threadgroups_per_grid]], uint index [[thread_index_in_threadgroup]],
                      uint lane [[thread_index_in_simdgroup]], ushort simd [[simdgroup_index_in_threadgroup]],
                      ushort simds [[simdgroups_per_threadgroup]], uint width [[threads_per_simdgroup]]) {
  device uint *o = out + ((gid.z * grid.y + gid.y) * grid.x + gid.x) * 16;
  o[0] = gid.x; o[1] = gid.y; o[2] = gid.z;
  o[3] = lid.x; o[4] = lid.y; o[5] = lid.z;
  o[6] = size.x; o[7] = size.y; o[8] = size.z;
  o[9] = asked.x + 100 * asked.y + 10000 * asked.z;
  o[10] = group.x + 100 * group.y + 10000 * group.z;
  o[11] = groups.x + 100 * groups.y + 10000 * groups.z;
  o[12] = index; o[13] = lane; o[14] = simd; o[15] = simds * 100 + width;
}
kernel void positions_waiting(device uint *out [[buffer(0)]], uint3 gid [[thread_position_in_grid]], uint3 grid [[threads_per_grid]],
                              ushort3 lid [[thread_position_in_threadgroup]], ushort3 size [[threads_per_threadgroup]],
                              uint3 asked [[dispatch_threads_per_threadgroup]], uint3 group [[threadgroup_position_in_grid]],
                              uint3 groups [[threadgroups_per_grid]], uint index [[thread_index_in_threadgroup]],
                              uint lane [[thread_index_in_simdgroup]], ushort simd [[simdgroup_index_in_threadgroup]],
                              ushort simds [[simdgroups_per_threadgroup]], uint width [[threads_per_simdgroup]]) {
  threadgroup_barrier(mem_flags::mem_none);
  device uint *o = out + ((gid.z * grid.y + gid.y) * grid.x + gid.x) * 16;
  o[0] = gid.x; o[1] = gid.y; o[2] = gid.z;
  o[3] = lid.x; o[4] = lid.y; o[5] = lid.z;
  o[6] = size.x; o[7] = size.y; o[8] = size.z;
  o[9] = asked.x + 100 * asked.y + 10000 * asked.z;
  o[10] = group.x + 100 * group.y + 10000 * group.z;
  o[11] = groups.x + 100 * groups.y + 10000 * groups.z;
  o[12] = index; o[13] = lane; o[14] = simd; o[15] = simds * 100 + width;
}

// Mathematical functions, a row each.
kernel void mathematics(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], constant uint &n [[buffer(2)]],
                        uint i [[thread_position_in_grid]]) {
  const float v = x[i];
  uint r = 0;
  out[n * r++ + i] = exp(v);
  out[n * r++ + i] = exp2(v);
  out[n * r++ + i] = log(v);
  out[n * r++ + i] = log2(v);
  out[n * r++ + i] = sin(v);
  out[n * r++ + i] = cos(v);
  out[n * r++ + i] = tanh(v);
  out[n * r++ + i] = sqrt(v);
  out[n * r++ + i] = rsqrt(v);
  out[n * r++ + i] = pow(fabs(v), 1.5f);
  out[n * r++ + i] = floor(v);
  out[n * r++ + i] = ceil(v);
  out[n * r++ + i] = trunc(v);
  out[n * r++ + i] = rint(v);
  out[n * r++ + i] = round(v);
  out[n * r++ + i] = sign(v);
  out[n * r++ + i] = fract(v);
  out[n * r++ + i] = exp(float4(v)).z;
  out[n * r++ + i] = tan(v);
  out[n * r++ + i] = atan2(v, 2.0f);
  out[n * r++ + i] = fma(v, v, 1.0f);
  out[n * r++ + i] = min(v, 1.0f) + max(v, 2.0f);
}

// Half arithmetic rounds after each operation.
kernel void halves(device const half *a [[buffer(0)]], device const half *b [[buffer(1)]], device half *out [[buffer(2)]],
                   constant uint &n [[buffer(3)]], uint i [[thread_position_in_grid]]) {
  out[i] = a[i] + b[i];
  out[n + i] = a[i] * b[i];
  out[2 * n + i] = a[i] * b[i] + a[i];
  out[3 * n + i] = half(float(a[i]) * 1.0001f);
  out[4 * n + i] = (a[i] + b[i]) * 0.5h;
}
