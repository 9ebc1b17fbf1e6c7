/** What the MSL tool has to refuse, and how: each source breaks one rule of MSL, or uses what the layer lacks. */

/** A source that is refused. The line of the mistake is marked with `// <-`. */
export interface RefusedSource {
  readonly rule: string;
  readonly source: string;
  /** What the sentence has to say. */
  readonly says: RegExp;
}

const prelude = "#include <metal_stdlib>\nusing namespace metal;\n";

function refused(rule: string, says: RegExp, source: string): RefusedSource {
  return { rule, says, source: prelude + source };
}

/** A mistake in the body of a kernel. */
function inKernel(rule: string, says: RegExp, body: string): RefusedSource {
  return refused(
    rule,
    says,
    `kernel void k(device float *x [[buffer(0)]], constant float *c [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  threadgroup float t[4];
  float v = x[i];
  t[0] = v;
  ${body}
}`,
  );
}

const addressSpace = /needs an address space: device, constant, threadgroup or thread/;

export const refusedSources: readonly RefusedSource[] = [
  // Address spaces, from our own reading.
  refused("a pointer parameter without an address space", addressSpace, "void f(float *p) {} // <-"),
  refused("a reference parameter without one", addressSpace, "void f(float4 &p) {} // <-"),
  refused("a const pointer without one", addressSpace, "void f(const float *p) {} // <-"),
  refused("a pointer to a struct without one", addressSpace, "struct S { int a; };\nvoid f(S *p) {} // <-"),
  refused(
    "a reference to a template parameter without one",
    addressSpace,
    "template <typename T> void f(T &p) {} // <-",
  ),
  refused("a pointer to vec without one", addressSpace, "void f(vec<float, 4> *p) {} // <-"),
  refused("a returned pointer without one", addressSpace, "float *f(device float *p) { return 0; } // <-"),
  refused("a pointer member without one", addressSpace, "struct S {\n  int a;\n  float *p; // <-\n};"),
  refused("an array reference without one", addressSpace, "void f(float (&a)[4]) {} // <-"),
  inKernel("a local pointer without one", addressSpace, "float *p = x; // <-"),
  inKernel("a local reference without one", addressSpace, "float &r = v; // <-"),
  inKernel("a cast to a pointer without one", addressSpace, "v = *(float *)x; // <-"),
  inKernel(
    "a pointer in a template argument without one",
    addressSpace,
    "v = *reinterpret_cast<float *>(x); // <-",
  ),
  // Address spaces, from the compiler.
  inKernel("a thread pointer to device memory", /address space/, "thread float *p = x; // <-"),
  inKernel("a device pointer to a constant", /address space|constant/, "const device float *p = c; // <-"),
  inKernel(
    "a device pointer to threadgroup memory",
    /address space|threadgroup/,
    "device float *p = t; // <-",
  ),
  inKernel("a threadgroup pointer to a local", /address space|thread/, "threadgroup float *p = &v; // <-"),
  inKernel("a write to constant memory", /read-only|const/, "c[0] = 1; // <-"),
  refused(
    "a call with another address space",
    /no matching function|address space/,
    `float f(thread float *p) { return *p; }
kernel void k(device float *x [[buffer(0)]]) {
  x[0] = f(x); // <-
}`,
  ),
  // Language.
  inKernel("double", /'double' is not part of MSL/, "double d = 1.0; // <-"),
  inKernel("long long", /'long long' is not part of MSL/, "long long d = 1; // <-"),
  inKernel("goto", /'goto' is not part of MSL/, "goto end; end: v = 1; // <-"),
  inKernel("a static local", /static variables in functions/, "static float s = 1; // <-"),
  inKernel("a lambda", /lambdas are not part of MSL/, "auto f = [&](float a) { return a; }; // <-"),
  inKernel("new", /'new' is not part of MSL/, "v = *new float; // <-"),
  inKernel("throw", /exceptions are not part of MSL/, "throw 1; // <-"),
  inKernel("inline assembly", /inline assembly is not part of MSL/, 'asm volatile("nop"); // <-'),
  inKernel("the C++ standard library", /standard library is not part of MSL/, "v = std::max(v, 1.0f); // <-"),
  inKernel("OpenCL's words", /'__local' is not part of MSL/, "__local float *p = t; // <-"),
  inKernel("an undeclared name", /undeclared identifier 'nothing'/, "v = nothing; // <-"),
  inKernel("a vector of another element type", /./, "float4 f = half4(1); // <-"),
  inKernel("mixed types in max", /no matching function/, "v = max(v, 1); // <-"),
  refused(
    "a virtual function",
    /virtual functions are not part/,
    "struct S {\n  virtual void f(); // <-\n};",
  ),
  refused("a mutable program-scope variable", /constant address space/, "float counter = 0; // <-"),
  refused("a constexpr program-scope variable", /constant address space/, "constexpr float pi = 3.0f; // <-"),
  refused(
    "a program-scope variable that has to be computed",
    /initialised by a constant expression/,
    "inline int f(int n) { return n ? f(n - 1) : 1; }\nconstant int v = f(1); // <-",
  ),
  refused("a file that is not there", /'missing\.h' file not found/, '#include "missing.h" // <-'),
  refused("an unclosed brace", /'\{' is not closed/, "void f() { // <-"),
  refused(
    "a bracket that does not match",
    /does not match an opening bracket/,
    "void f() { int a[2); } // <-",
  ),
  // Threadgroup memory.
  refused(
    "a threadgroup variable in a helper",
    /can only be declared in a kernel/,
    "void f() {\n  threadgroup float t[4]; // <-\n}",
  ),
  inKernel("an initialised threadgroup variable", /has no initialiser/, "threadgroup float u = 1; // <-"),
  inKernel("a constant local", /has to be at program scope/, "constant float u = 1; // <-"),
  // Kernels.
  refused(
    "a kernel that returns a value",
    /returns void/,
    "kernel int k(device int *x [[buffer(0)]]) { return 1; } // <-",
  ),
  refused(
    "a value argument",
    /has to be a pointer or a reference/,
    "kernel void k(uint n [[buffer(0)]]) {} // <-",
  ),
  refused("an argument that is nothing", /needs an attribute/, "kernel void k(uint n) {} // <-"),
  refused("an index above 30", /the highest is 30/, "kernel void k(device int *x [[buffer(31)]]) {} // <-"),
  refused(
    "an index twice",
    /same buffer index/,
    "kernel void k(device int *x [[buffer(2)]],\n device int *y [[buffer(2)]]) {} // <-",
  ),
  refused(
    "an unknown attribute",
    /unknown attribute 'bufer'/,
    "kernel void k(device int *x [[bufer(0)]]) {} // <-",
  ),
  refused(
    "a position of another type",
    /has to be ushort or uint/,
    "kernel void k(device int *x [[buffer(0)]],\n float i [[thread_position_in_grid]]) {} // <-",
  ),
  refused(
    "a vector where a scalar is due",
    /has to be a scalar/,
    "kernel void k(device int *x [[buffer(0)]],\n uint2 i [[thread_index_in_simdgroup]]) {} // <-",
  ),
  refused(
    "positions of two dimensions",
    /another dimension/,
    "kernel void k(uint2 i [[thread_position_in_grid]],\n uint j [[threads_per_grid]]) {} // <-",
  ),
  refused("size_t as an argument", /size_t/, "kernel void k(device size_t *x [[buffer(0)]]) {} // <-"),
  refused(
    "an overloaded kernel",
    /cannot be overloaded/,
    "kernel void k(device int *x) {}\nkernel void k(device float *x) {} // <-",
  ),
  refused(
    "two kernels of one host name",
    /host name 'same'/,
    `template <typename T> kernel void k(device T *x [[buffer(0)]]) {}
template [[host_name("same")]] kernel void k<int>(device int *);
template [[host_name("same")]] kernel void k<uint>(device uint *); // <-`,
  ),
  refused(
    "an instantiation without a host name",
    /needs a name for the host/,
    "template <typename T> kernel void k(device T *x [[buffer(0)]]) {}\ntemplate kernel void k<int>(device int *); // <-",
  ),
  // What the layer lacks.
  refused(
    "a texture",
    /not supported by this layer/,
    "kernel void k(texture2d<float> t [[texture(0)]]) {} // <-",
  ),
  refused(
    "a function constant",
    /not supported by this layer/,
    "constant int n [[function_constant(0)]]; // <-",
  ),
  refused("bfloat", /bfloat is not supported/, "kernel void k(device bfloat *x [[buffer(0)]]) {} // <-"),
  refused("a fragment function", /it computes only/, "fragment float4 f() { return float4(1); } // <-"),
  refused(
    "a kernel with too many local variables",
    /it may have 24576/,
    `kernel void k(device float *x [[buffer(0)]], uint i [[thread_position_in_grid]]) { // <-
  float a[20000];
  for (int j = 0; j < 20000; j++) a[j] = x[j];
  for (int j = 0; j < 20000; j++) x[j] = a[(j * 7 + i) % 20000];
  simdgroup_barrier(mem_flags::mem_device);
}`,
  ),
];

/** The number of the marked line of a source. */
export function markedLine(source: string): number {
  return source.split("\n").findIndex((line) => line.includes("// <-")) + 1;
}
